/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "kit/wire.h"
#include "net/ws_frame.h"
#include <stdlib.h>
#include <string.h>

static const uint8_t key[] = { 0x12, 0x80, 0xff, 0x07 };

/* Reads `in` in pieces of `step` bytes, in place, as a transport does. Writes each frame as a line of text:
 * opcode, whether it is the last of its message, and its payload. */
static enum err read_all(struct out *text, const struct out *in, size_t step)
{
    struct ws_cut cut = { 0 };
    enum err rc = ERR_AGAIN;
    for (size_t at = 0; at < in->len && rc == ERR_AGAIN; at += step) {
        size_t n = in->len - at < step ? in->len - at : step, put = 0;
        uint8_t *block = malloc(n);
        struct ws_piece p;
        memcpy(block, in->at + at, n);
        struct ws_framer *f = ws_framer_get();
        ws_framer_begin(f, &cut, block, n);
        while ((rc = ws_framer_next(f, &p)) == ERR_OK) {
            CHECK_TRUE(p.is_masked && p.rsv == 0);
            if (p.begins) {
                out_u8(text, '0' + p.opcode);
                out_u8(text, p.is_final ? '!' : '-');
            }
            memmove(block + put, p.data.at, p.data.len); /* over what has been read */
            out_add(text, block + put, p.data.len);
            put += p.data.len;
            if (p.ends) out_u8(text, '\n');
        }
        free(block);
    }
    if (rc == ERR_AGAIN) CHECK_INT(0, cut.head_bytes);
    return rc;
}

static void check_text(const struct out *in, size_t step, const struct out *want)
{
    struct out text = { 0 };
    CHECK_INT(ERR_AGAIN, read_all(&text, in, step));
    CHECK_INT(want->len, text.len);
    CHECK_TRUE(memcmp(want->at, text.at, want->len) == 0);
    out_clear(&text);
}

static void add_both(struct out *in, struct out *want, unsigned first, const char *payload, size_t len)
{
    wire_frame(in, first, payload, len, key);
    out_u8(want, '0' + (first & 15));
    out_u8(want, (first & 0x80) != 0 ? '!' : '-');
    out_add(want, payload, len);
    out_u8(want, '\n');
}

TEST(frames_are_the_same_wherever_a_read_cuts_them)
{
    struct out in = { 0 }, want = { 0 };
    static char large[70000];
    for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 7 % 251);
    add_both(&in, &want, 0x82, "hello", 5);
    add_both(&in, &want, 0x82, "", 0);
    add_both(&in, &want, 0x02, "a", 1);
    add_both(&in, &want, 0x89, "ping", 4);
    add_both(&in, &want, 0x80, "b", 1);
    add_both(&in, &want, 0x82, large, 125);
    add_both(&in, &want, 0x82, large, 126);
    add_both(&in, &want, 0x82, large, 300);
    size_t small = in.len, small_want = want.len;
    for (size_t step = 1; step <= small; step++) check_text(&in, step, &want);
    add_both(&in, &want, 0x82, large, 65535);
    add_both(&in, &want, 0x82, large, 65536);
    add_both(&in, &want, 0x82, large, sizeof large);
    add_both(&in, &want, 0x88, "\x03\xe8", 2);
    CHECK_TRUE(in.len > small && want.len > small_want);
    static const size_t steps[] = { 1, 2, 3, 5, 7, 13, 14, 15, 4095, 4096, 4097, 65543, 131072, 1000000 };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) check_text(&in, steps[i], &want);
    out_clear(&in);
    out_clear(&want);
}

static void check_refused(const char *bytes, size_t len)
{
    for (size_t step = 1; step <= len; step++) {
        struct out in = { 0 }, text = { 0 };
        out_add(&in, bytes, len);
        CHECK_INT(ERR_SYNTAX, read_all(&text, &in, step));
        out_clear(&in);
        out_clear(&text);
    }
}

TEST(a_head_that_is_none_is_refused_wherever_it_is_cut)
{
    check_refused("\x09\x80", 2);                                  /* a PING in fragments */
    check_refused("\x89\xfe\x00\x7e", 4);                          /* a PING of 126 bytes */
    check_refused("\x82\xfe\x00\x7d", 4);                          /* 125 in two bytes */
    check_refused("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10); /* 65535 in eight */
    check_refused("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 10); /* 2^63 */
}

TEST(a_head_says_the_length_in_as_few_bytes_as_there_are)
{
    uint8_t head[WS_HEAD_BYTES_MAX];
    CHECK_INT(2, ws_frame_head(head, WS_BINARY, 0));
    CHECK_TRUE(memcmp(head, "\x82\x00", 2) == 0);
    CHECK_INT(2, ws_frame_head(head, WS_PONG, 125));
    CHECK_TRUE(memcmp(head, "\x8a\x7d", 2) == 0);
    CHECK_INT(4, ws_frame_head(head, WS_BINARY, 126));
    CHECK_TRUE(memcmp(head, "\x82\x7e\x00\x7e", 4) == 0);
    CHECK_INT(4, ws_frame_head(head, WS_BINARY, 65535));
    CHECK_INT(10, ws_frame_head(head, WS_BINARY, 65536));
    CHECK_TRUE(memcmp(head, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10) == 0);
}

TEST(a_stream_that_was_left_does_not_reach_the_next_one)
{
    struct out in = { 0 };
    struct ws_cut cut = { 0 };
    struct ws_piece p;
    wire_frame(&in, 0x82, "first", 5, key);
    wire_frame(&in, 0x82, "never read", 10, key);
    struct ws_framer *f = ws_framer_get();
    ws_framer_begin(f, &cut, in.at, in.len);
    CHECK_INT(ERR_OK, ws_framer_next(f, &p));
    ws_framer_leave(f);
    struct out other = { 0 }, want = { 0 };
    add_both(&other, &want, 0x82, "other", 5);
    check_text(&other, 3, &want);
    out_clear(&in);
    out_clear(&other);
    out_clear(&want);
}

static void check_close(const char *payload, size_t len, bool is_good, unsigned want)
{
    uint16_t status;
    CHECK_INT(is_good, ws_close_read(bytes_of(payload, len), &status));
    CHECK_INT(want, status);
}

TEST(a_close_has_a_status_that_may_be_sent_and_a_reason_that_is_text)
{
    check_close("", 0, true, 1000);
    check_close("\x03", 1, false, 1002);
    check_close("\x03\xe8", 2, true, 1000);
    check_close("\x03\xe9going away", 12, true, 1001);
    check_close("\x03\xec", 2, false, 1002); /* 1004 */
    check_close("\x03\xed", 2, false, 1002); /* 1005 */
    check_close("\x03\xee", 2, false, 1002); /* 1006 */
    check_close("\x03\xf7", 2, false, 1002); /* 1015 */
    check_close("\x03\xe7", 2, false, 1002); /* 999 */
    check_close("\x07\xd0", 2, false, 1002); /* 2000 */
    check_close("\x0b\xb8", 2, true, 3000);
    check_close("\x13\x87", 2, true, 4999);
    check_close("\x13\x88", 2, false, 1002); /* 5000 */
    check_close("\x03\xe8\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9d", 11, true, 1000);
    check_close("\x03\xe8\xc3", 3, false, 1007);
    check_close("\x03\xe8\xc0\x80", 4, false, 1007);
    check_close("\x03\xe8\xe0\x80\x80", 5, false, 1007);
    check_close("\x03\xe8\xed\xa0\x80", 5, false, 1007);
    check_close("\x03\xe8\xf0\x80\x80\x80", 6, false, 1007);
    check_close("\x03\xe8\xf4\x90\x80\x80", 6, false, 1007);
    check_close("\x03\xe8\xff", 3, false, 1007);
    check_close("\x03\xe8\x80", 3, false, 1007);
}
