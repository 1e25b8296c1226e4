/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/transport_rig.h"
#include "kit/test.h"
#include "net/ws.h"
#include <string.h>
#include <sys/socket.h>

enum { FIN = 0x80, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static const uint8_t key[] = { 0xa5, 0x00, 0xff, 0x42 };
static const struct rig_kind websocket = { .name = "websocket",
                                           .is_unix = true,
                                           .client = { .is_websocket = true } };

static bool client_saw_end(const struct rig *r)
{
    return r->client_eof;
}

static bool has_ended(const struct rig *r)
{
    return r->ended != ERR_OK;
}

static bool is_quiet(const struct rig *r)
{
    return r->wire.to_net.len == 0 && (r->here.needs & TRANSPORT_HAS_OUTPUT) == 0;
}

static void open_ws(struct rig *r)
{
    rig_seed(1);
    rig_open(r, &websocket, 0);
    rig_run_open(r);
}

static void add(struct rig *r, unsigned first, const char *payload, size_t len)
{
    wire_frame(&r->wire.to_net, first, payload, len, key);
}

/* Turns until nothing is under way. */
static void settle(struct rig *r)
{
    rig_run(r, is_quiet);
    while (rig_turn(r)) {}
}

/* What was added is a mistake: "ok" that comes before it is read, then the client gets this Close. */
static void check_closed(struct rig *r, unsigned status)
{
    rig_run(r, client_saw_end);
    CHECK_INT(ERR_SYNTAX, r->ended);
    CHECK_TRUE(r->here.why != NULL);
    CHECK_INT(2, r->got.len);
    CHECK_TRUE(memcmp(r->got.at, "ok", 2) == 0);
    CHECK_TRUE(r->wire.has_end);
    CHECK_INT(status, r->wire.ws_status);
    rig_close(r);
}

static void check_frame_closes(unsigned first, const char *payload, size_t len, unsigned status)
{
    struct rig r;
    open_ws(&r);
    add(&r, FIN | BINARY, "ok", 2);
    add(&r, first, payload, len);
    add(&r, FIN | BINARY, "never read", 10);
    check_closed(&r, status);
}

TEST(a_message_of_text_is_answered_by_1003)
{
    check_frame_closes(FIN | TEXT, "text", 4, 1003); /* [MQTT-6.0.0-1] */
    check_frame_closes(TEXT, "te", 2, 1003);
}

TEST(reserved_bits_and_opcodes_are_answered_by_1002)
{
    check_frame_closes(FIN | 0x40 | BINARY, "x", 1, 1002);
    check_frame_closes(FIN | 0x20 | BINARY, "x", 1, 1002);
    check_frame_closes(FIN | 0x10 | PING, "x", 1, 1002);
    for (unsigned opcode = 3; opcode <= 7; opcode++) check_frame_closes(FIN | opcode, "x", 1, 1002);
    for (unsigned opcode = 11; opcode <= 15; opcode++) check_frame_closes(FIN | opcode, "x", 1, 1002);
}

TEST(a_control_frame_in_fragments_or_too_long_is_answered_by_1002)
{
    static const char long_payload[126] = "x";
    check_frame_closes(PING, "x", 1, 1002);
    check_frame_closes(CLOSE, "\x03\xe8", 2, 1002);
    check_frame_closes(FIN | PING, long_payload, 126, 1002);
}

TEST(a_close_that_is_not_well_formed_is_answered_by_what_is_wrong)
{
    check_frame_closes(FIN | CLOSE, "\x03", 1, 1002);
    check_frame_closes(FIN | CLOSE, "\x03\xed", 2, 1002);
    check_frame_closes(FIN | CLOSE, "\x03\xe8\xff", 3, 1007);
}

TEST(fragments_out_of_order_are_answered_by_1002)
{
    struct rig r;
    check_frame_closes(FIN | 0, "x", 1, 1002);
    open_ws(&r);
    add(&r, BINARY, "o", 1);
    add(&r, FIN | PING, "", 0);
    add(&r, 0, "k", 1);
    add(&r, FIN | BINARY, "another message", 15);
    check_closed(&r, 1002);
}

TEST(a_frame_that_is_not_masked_is_answered_by_1002)
{
    struct rig r;
    open_ws(&r);
    add(&r, FIN | BINARY, "ok", 2);
    wire_frame(&r.wire.to_net, FIN | BINARY, "clear", 5, NULL);
    check_closed(&r, 1002);
    open_ws(&r);
    add(&r, FIN | BINARY, "ok", 2);
    wire_frame(&r.wire.to_net, FIN | BINARY, "", 0, NULL);
    check_closed(&r, 1002);
}

TEST(a_message_in_fragments_is_read_as_it_comes)
{
    struct rig r;
    open_ws(&r);
    add(&r, BINARY, "one ", 4);
    settle(&r);
    CHECK_INT(4, r.got.len);
    add(&r, 0, "", 0);
    add(&r, FIN | PING, "between", 7);
    add(&r, 0, "two ", 4);
    add(&r, FIN, "three", 5);
    add(&r, FIN | BINARY, ".", 1);
    settle(&r);
    CHECK_INT(14, r.got.len);
    CHECK_TRUE(memcmp(r.got.at, "one two three.", 14) == 0);
    CHECK_INT(1, r.wire.pongs);
    CHECK_INT(ERR_OK, r.ended);
    rig_close(&r);
}

TEST(a_frame_larger_than_any_packet_is_read_as_it_comes_and_not_gathered)
{
    static const uint8_t head[] = { 0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    struct rig r;
    open_ws(&r);
    out_add(&r.wire.to_net, head, sizeof head); /* 2^62 bytes, key 0 */
    out_add(&r.wire.to_net, "the first of them", 17);
    settle(&r);
    CHECK_INT(17, r.got.len);
    out_add(&r.wire.to_net, ", and more", 10);
    settle(&r);
    CHECK_INT(27, r.got.len);
    CHECK_TRUE(memcmp(r.got.at, "the first of them, and more", 27) == 0);
    rig_close(&r);
}

TEST(a_ping_is_answered_and_a_pong_is_not)
{
    struct rig r;
    char payload[125];
    memset(payload, 'p', sizeof payload);
    open_ws(&r);
    add(&r, FIN | PING, payload, sizeof payload);
    settle(&r);
    CHECK_INT(1, r.wire.pongs);
    CHECK_INT(1, r.wire.frames);
    CHECK_INT(sizeof payload, r.wire.frame_bytes_max);
    add(&r, FIN | PONG, "unasked", 7);
    settle(&r);
    CHECK_INT(1, r.wire.frames);
    CHECK_INT(ERR_OK, r.ended);
    rig_close(&r);
}

TEST(of_pings_that_come_together_the_newest_is_answered)
{
    struct rig r;
    open_ws(&r);
    for (unsigned i = 0; i < 3000; i++) add(&r, FIN | PING, "older", 5);
    add(&r, FIN | PING, "the newest", 10);
    settle(&r);
    CHECK_TRUE(r.wire.pongs >= 1 && r.wire.pongs <= 100);
    CHECK_INT(10, r.wire.frame_bytes_max);
    CHECK_INT(ERR_OK, r.ended);
    rig_close(&r);
}

static bool has_said_it(const struct rig *r)
{
    return r->wire.plain.len == 10;
}

TEST(who_sends_pings_and_reads_nothing_has_no_heap_of_pongs)
{
    struct rig r;
    open_ws(&r);
    r.is_deaf = true;
    for (unsigned i = 0; i < 200000; i++) add(&r, FIN | PING, "x", 1);
    while (r.wire.to_net.len > 0) rig_turn(&r);
    r.is_deaf = false;
    out_add(&r.to_send, "after them", 10);
    rig_run(&r, has_said_it);
    CHECK_TRUE(r.wire.pongs < 5000); /* what the sockets have held, and one that waited */
    rig_close(&r);
}

TEST(a_close_is_answered_by_its_status_and_ends)
{
    struct rig r;
    open_ws(&r);
    add(&r, FIN | BINARY, "last words", 10);
    add(&r, FIN | CLOSE, "\x03\xe9going away", 12);
    rig_run(&r, client_saw_end);
    CHECK_INT(ERR_CLOSED, r.ended);
    CHECK_INT(10, r.got.len);
    CHECK_INT(1001, r.wire.ws_status);
    rig_close(&r);

    open_ws(&r);
    add(&r, FIN | CLOSE, "", 0);
    rig_run(&r, client_saw_end);
    CHECK_INT(ERR_CLOSED, r.ended);
    CHECK_INT(1000, r.wire.ws_status);
    rig_close(&r);
}

/* Who reads slowly is not to lose what the peer has said: its Close is answered when the end is read. */
TEST(what_was_said_before_a_close_is_answered_before_it)
{
    struct rig r;
    open_ws(&r);
    add(&r, FIN | BINARY, "q", 1);
    add(&r, FIN | CLOSE, "\x03\xe9", 2);
    while (r.got.len == 0) rig_turn(&r);
    CHECK_INT(ERR_OK, r.ended);
    CHECK_INT(0, r.wire.frames);
    out_add(&r.to_send, "answer", 6);
    rig_run(&r, client_saw_end);
    CHECK_INT(ERR_CLOSED, r.ended);
    CHECK_INT(6, r.wire.plain.len);
    CHECK_INT(1001, r.wire.ws_status);
    rig_close(&r);
}

TEST(a_write_is_one_frame_up_to_the_size_that_anybody_takes)
{
    static char block[200000];
    struct rig r;
    struct iovec parts[] = { { block, 10 }, { block + 10, 20 }, { block + 30, 30 } };
    size_t wrote;
    open_ws(&r);
    CHECK_INT(ERR_OK, r.here.ops->write(&r.here, parts, 3, &wrote));
    settle(&r);
    CHECK_INT(1, r.wire.frames);
    CHECK_INT(60, r.wire.plain.len);
    out_add(&r.to_send, block, sizeof block);
    r.write_max = sizeof block;
    rig_run(&r, is_quiet);
    while (r.wire.plain.len < 60 + sizeof block) rig_turn(&r);
    CHECK_TRUE(r.wire.frame_bytes_max <= WS_PAYLOAD_BYTES_MAX);
    rig_close(&r);
}

/* The answer is read whole although more came than was read, and the socket is closed then. */
TEST(a_handshake_that_is_refused_is_answered_and_ends)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct rig r;
    rig_seed(1);
    rig_open(&r, &websocket, 0);
    out_clear(&r.wire.to_net);
    out_add(&r.wire.to_net, request, sizeof request - 1);
    for (unsigned i = 0; i < 10000; i++) out_u8(&r.wire.to_net, 'x');
    rig_run(&r, client_saw_end);
    CHECK_INT(ERR_SYNTAX, r.ended);
    CHECK_TRUE(strstr(r.here.why, "Upgrade") != NULL);
    CHECK_INT(426, r.wire.ws_status);
    rig_close(&r);
}

TEST(mqtt_on_the_wrong_listener_is_refused_at_its_first_byte)
{
    struct rig r;
    rig_seed(1);
    rig_open(&r, &websocket, 0);
    out_clear(&r.wire.to_net);
    out_u8(&r.wire.to_net, 0x10);
    rig_run(&r, has_ended);
    CHECK_INT(ERR_SYNTAX, r.ended);
    rig_close(&r);
}

TEST(an_end_before_the_handshake_says_nothing)
{
    struct rig r;
    rig_seed(1);
    rig_open(&r, &websocket, 0);
    out_clear(&r.wire.to_net);
    r.ends = true;
    rig_run(&r, client_saw_end);
    CHECK_INT(0, r.wire.ws_in.len);
    CHECK_INT(0, r.wire.frames);
    rig_close(&r);
}

TEST(an_end_without_a_close_is_an_end_all_the_same)
{
    struct rig r;
    open_ws(&r);
    add(&r, FIN | BINARY, "cut", 3);
    r.wire.to_net.len--;
    settle(&r);
    CHECK_INT(2, r.got.len);
    shutdown(r.there, SHUT_WR);
    rig_run(&r, has_ended);
    CHECK_INT(ERR_CLOSED, r.ended);
    rig_close(&r);
}
