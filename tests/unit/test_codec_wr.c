/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

TEST(what_was_written_is_read_again)
{
    uint8_t b[64];
    struct wr w = { b, sizeof b, false };
    wr_u8(&w, 1);
    wr_u16(&w, 0x0203);
    wr_u32(&w, 0x04050607);
    wr_str(&w, bytes_of_text("abc"));
    wr_str(&w, (struct bytes){ 0 });
    wr_varint(&w, 321);

    struct rd r = { b, sizeof b - w.left, false };
    CHECK_INT(1, rd_u8(&r));
    CHECK_INT(0x0203, rd_u16(&r));
    CHECK_INT(0x04050607, rd_u32(&r));
    CHECK_TRUE(bytes_equal(bytes_of_text("abc"), rd_str(&r)));
    CHECK_INT(0, rd_str(&r).len);
    CHECK_INT(321, rd_varint(&r));
    CHECK_TRUE(rd_done(&r));
    CHECK_TRUE(!w.bad);
}

TEST(a_write_that_does_not_fit_writes_nothing_nor_does_any_later_one)
{
    uint8_t b[4] = { 9, 9, 9, 9 };
    struct wr w = { b, 3, false };
    wr_u16(&w, 0x0102);
    wr_u16(&w, 0x0304);
    wr_u8(&w, 5);
    wr_bytes(&w, bytes_of_text("x"));
    CHECK_TRUE(w.bad);
    CHECK_INT(1, w.left);
    CHECK_INT(9, b[2]);
    CHECK_INT(9, b[3]);
}

TEST(no_write_is_done_by_half)
{
    uint8_t b[8] = { 0 };

    for (size_t n = 0; n < 4; n++) {
        struct wr w[4] = { { b, n, false }, { b, n, false }, { b, n, false }, { b, n, false } };
        wr_u32(&w[0], UINT32_MAX);
        wr_varint(&w[1], 268435455);
        wr_str(&w[2], bytes_of_text("ab"));
        wr_bytes(&w[3], bytes_of_text("abcd"));
        for (size_t i = 0; i < 4; i++) {
            CHECK_TRUE(w[i].bad);
            CHECK_INT(n, w[i].left);
        }
        CHECK_INT(0, b[0]);
    }
}

TEST(a_string_of_more_than_65535_bytes_poisons)
{
    static uint8_t text[65536], b[70000];
    struct wr w = { b, sizeof b, false };
    wr_str(&w, bytes_of(text, sizeof text));
    CHECK_TRUE(w.bad);
    CHECK_INT(sizeof b, w.left);

    w = (struct wr){ b, sizeof b, false };
    wr_str(&w, bytes_of(text, sizeof text - 1));
    CHECK_TRUE(!w.bad);
}

TEST(a_variable_byte_integer_is_written_in_its_shortest_form)
{
    static const uint32_t values[] = { 0, 127, 128, 16383, 16384, 2097151, 2097152, 268435455 };
    uint8_t b[8];

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct wr w = { b, sizeof b, false };
        wr_varint(&w, values[i]);
        CHECK_INT(varint_size(values[i]), sizeof b - w.left);
        struct rd r = { b, sizeof b - w.left, false };
        CHECK_INT(values[i], rd_varint(&r));
        CHECK_TRUE(rd_done(&r));
    }
    struct wr w = { b, sizeof b, false };
    wr_varint(&w, 268435456);
    CHECK_TRUE(w.bad);
    CHECK_INT(sizeof b, w.left);
}
