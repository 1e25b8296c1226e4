/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

static struct rd rd_text(const char *hex)
{
    static struct hex h;
    h = hex_of(hex);
    struct bytes b = exact_copy(hex_bytes(&h));
    return (struct rd){ b.at, b.len, false };
}

TEST(numbers_are_big_endian)
{
    struct rd r = rd_text("01 0203 04050607");
    CHECK_INT(1, rd_u8(&r));
    CHECK_INT(0x0203, rd_u16(&r));
    CHECK_INT(0x04050607, rd_u32(&r));
    CHECK_TRUE(rd_done(&r));
}

TEST(a_short_read_poisons_and_every_later_read_gives_nothing)
{
    struct rd r = rd_text("01 02 03");
    CHECK_INT(0, rd_u32(&r));
    CHECK_TRUE(r.bad);
    CHECK_INT(0, rd_u8(&r));
    CHECK_INT(0, rd_u16(&r));
    CHECK_INT(0, rd_varint(&r));
    CHECK_INT(0, rd_str(&r).len);
    CHECK_INT(0, rd_utf8(&r).len);
    CHECK_TRUE(!rd_done(&r));
}

TEST(bytes_left_over_are_not_done)
{
    struct rd r = rd_text("01 02");
    rd_u8(&r);
    CHECK_TRUE(!r.bad);
    CHECK_TRUE(!rd_done(&r));
}

TEST(a_string_longer_than_what_is_left_poisons)
{
    struct rd r = rd_text("0004 616263");
    CHECK_INT(0, rd_str(&r).len);
    CHECK_TRUE(r.bad);
}

TEST(a_sub_cursor_ends_where_its_block_ends)
{
    struct rd r = rd_text("0102 0304");
    struct rd sub = rd_sub(&r, 2);
    CHECK_INT(0x0102, rd_u16(&sub));
    CHECK_INT(0, rd_u8(&sub));
    CHECK_TRUE(sub.bad);
    CHECK_INT(0x0304, rd_u16(&r));

    struct rd beyond = rd_sub(&r, 1);
    CHECK_TRUE(beyond.bad);
}

TEST(a_variable_byte_integer_has_one_to_four_bytes)
{
    static const struct {
        const char *hex;
        uint32_t value;
    } rows[] = {
        { "00", 0 },         { "7f", 127 },         { "8001", 128 },         { "ff7f", 16383 },
        { "808001", 16384 }, { "ffff7f", 2097151 }, { "80808001", 2097152 }, { "ffffff7f", 268435455 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rd r = rd_text(rows[i].hex);
        CHECK_INT(rows[i].value, rd_varint(&r));
        CHECK_TRUE(rd_done(&r));
    }
}

TEST(a_variable_byte_integer_that_is_cut_too_long_or_not_shortest_poisons)
{
    static const char *const rows[] = { "",         "80",   "8080",   "808080",   "80808080", "8080808001",
                                        "ffffffff", "8000", "808000", "80808000", "ff00" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rd r = rd_text(rows[i]);
        CHECK_INT(0, rd_varint(&r));
        CHECK_TRUE(r.bad);
    }
}

static unsigned scan(const char *hex)
{
    struct hex h = hex_of(hex);
    return utf8_scan(exact_copy(hex_bytes(&h)));
}

TEST(utf8_is_taken_as_unicode_defines_it)
{
    static const char *const good[] = {
        "",
        "61",
        "01",
        "7f",
        "c280",
        "dfbf",
        "e0a080",
        "ed9fbf",
        "ee8080",
        "efbfbf",
        "efbbbf",
        "f0908080",
        "f48fbfbf",
        "e4bda0e5a5bd",
        "6161616161616161",
        "6161616161616161c3a9",
        "c3a96161616161616161",
        "616161616161616161",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK_INT(0, scan(good[i]));
}

TEST(ill_formed_utf8_is_seen)
{
    static const char *const bad[] = {
        "00",
        "80",
        "bf",
        "c0",
        "c080",
        "c1bf",
        "c2",
        "c261",
        "c2c2",
        "e0",
        "e080",
        "e09fbf",
        "e08080",
        "eda080",
        "edbfbf",
        "e28a",
        "e28a61",
        "e261",
        "f0",
        "f0908f",
        "f08fbfbf",
        "f0808080",
        "f4908080",
        "f5808080",
        "f7bfbfbf",
        "f8888888",
        "fe",
        "ff",
        "f09080",
        "f0908061",
        "f0906180",
        "f0619080",
        "6161616161616100",
        "0061616161616161",
        "61616161616161616100",
        "6161616161616180",
        "61616161616161e4bd",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(UTF8_ILL_FORMED, scan(bad[i]));
}

TEST(wildcards_are_seen_wherever_they_stand)
{
    char text[24];

    for (size_t i = 0; i < sizeof text; i++) {
        for (const char *c = "+#"; *c != '\0'; c++) {
            memset(text, 'a', sizeof text);
            text[i] = *c;
            CHECK_INT(UTF8_WILDCARD, utf8_scan(exact_copy(bytes_of(text, sizeof text))));
            CHECK_INT(UTF8_WILDCARD, utf8_scan(exact_copy(bytes_of(text, i + 1))));
            CHECK_INT(0, utf8_scan(exact_copy(bytes_of(text, i))));
        }
    }
}

TEST(an_ill_formed_string_poisons_the_cursor)
{
    struct rd r = rd_text("0002 c080 01");
    CHECK_INT(0, rd_utf8(&r).len);
    CHECK_TRUE(r.bad);
    r = rd_text("0002 c3a9 01");
    CHECK_INT(2, rd_utf8(&r).len);
    CHECK_INT(1, rd_u8(&r));
}
