/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "store/record.h"
#include "unit/store_kit.h"
#include <stdlib.h>
#include <string.h>

enum { STAMP_MS = 1234567, KINDS = COMMAND_KEEPALIVE + 1 };

static const uint64_t big = UINT64_C(0xfedcba9876543210);

static struct command *sample(enum command_kind kind)
{
    struct a_message m = { .topic = "a/b", .payload = "hello", .expires_ms = big - 3, .retain = true };
    struct command_mid mid = { bytes_of("some\0client", 11), bytes_of_text("id"), UINT32_MAX - 7 };
    struct command *c = NULL;
    switch (kind) {
    case COMMAND_ENQUEUE:
        c = make_with_mid(9, &m, &mid);
        c->in_id = 65535;
        c->due_ms = big - 8;
        break;
    case COMMAND_MOVE:
        c = make_enqueue(9, &m, (uint64_t[]){ big, 2, 0 });
        c->kind = kind;
        c->version = big - 7;
        c->retains = true;
        break;
    case COMMAND_FIRE_WILL:
        c = make_enqueue(9, &m, (uint64_t[]){ big, 2, 3, 0 });
        c->kind = kind;
        c->targets[1].drop_upto = big - 5;
        break;
    case COMMAND_RETAINED: c = make_retained(9, &m, big); break;
    case COMMAND_RECEIVED:
    case COMMAND_ACK:
        c = make_ack(5, big, (uint64_t[]){ 1, big - 1, 0 });
        c->kind = kind;
        break;
    case COMMAND_CLAIM:
        c = make_plain(kind, 5, bytes_of("some\0client", 11));
        c->msg = make_msg(&m);
        c->will = (struct command_will){ 7, UINT32_MAX };
        break;
    case COMMAND_SUBSCRIBE:
    case COMMAND_GROUP:
    case COMMAND_KEEPALIVE:
    case COMMAND_UNSUBSCRIBE:
        c = make_plain(kind, 5, bytes_of("some\0data", 9));
        if (kind == COMMAND_SUBSCRIBE) c->sub_id = 268435455;
        break;
    case COMMAND_RELEASE:
        c = make_plain(kind, 5, bytes_of(NULL, 0));
        c->in_id = 65534;
        break;
    case COMMAND_SENT_AS:
        c = make_plain(kind, 5, bytes_of(NULL, 0));
        c->version = big - 9;
        c->in_id = 65533;
        break;
    case COMMAND_OFFLINE:
        c = make_plain(kind, 5, bytes_of(NULL, 0));
        c->sent = big - 4;
        c->keeps_will = true;
        break;
    case COMMAND_EXPIRY:
    case COMMAND_END_SESSION:
    case COMMAND_FENCE: c = make_plain(kind, 5, bytes_of(NULL, 0)); break;
    }
    c->session_no = big - 1;
    c->claim_no = big - 2;
    c->expiry_s = UINT32_MAX;
    c->stamp_ms = STAMP_MS;
    c->origin = (struct command_origin){ .node = 3, .boot_no = UINT32_MAX - 1, .n = big - 6 };
    return c;
}

static struct bytes encoded(const struct command *c)
{
    size_t size = record_size(c);
    uint8_t *at = malloc(size);
    CHECK_TRUE(at != NULL);
    record_encode(c, at);
    return bytes_of(at, size);
}

static void free_bytes(struct bytes b)
{
    free((void *)(uintptr_t)b.at);
}

static void check_same_message(const struct msg *a, const struct msg *b)
{
    CHECK_TRUE(bytes_equal(msg_topic(a), msg_topic(b)));
    CHECK_TRUE(bytes_equal(msg_block(a), msg_block(b)));
    CHECK_TRUE(bytes_equal(msg_payload(a), msg_payload(b)));
    CHECK_INT(a->qos, b->qos);
    CHECK_INT(a->retain, b->retain);
    CHECK_TRUE(a->expires_ms == b->expires_ms);
    CHECK_TRUE(a->from_session == b->from_session);
    CHECK_TRUE(a->from_client == b->from_client);
}

static void check_same(const struct command *a, const struct command *b)
{
    bool has_expiry = a->kind == COMMAND_CLAIM || a->kind == COMMAND_EXPIRY;
    CHECK_INT(a->kind, b->kind);
    CHECK_TRUE(a->session_no == b->session_no);
    CHECK_TRUE(a->claim_no == b->claim_no);
    CHECK_INT(has_expiry ? a->expiry_s : 0, b->expiry_s);
    CHECK_TRUE(a->version == b->version);
    CHECK_INT(a->retains, b->retains);
    CHECK_INT(a->in_id, b->in_id);
    CHECK_INT(a->sub_id, b->sub_id);
    CHECK_TRUE(a->due_ms == b->due_ms);
    CHECK_INT(a->origin.node, b->origin.node);
    CHECK_TRUE(a->origin.boot_no == b->origin.boot_no);
    CHECK_TRUE(a->origin.n == b->origin.n);
    CHECK_TRUE(a->sent == b->sent);
    CHECK_INT(a->keeps_will, b->keeps_will);
    CHECK_TRUE(a->will.delay_s == b->will.delay_s);
    CHECK_TRUE(a->will.expiry_s == b->will.expiry_s);
    CHECK_TRUE(bytes_equal(a->data, b->data));
    CHECK_INT(a->targets_count, b->targets_count);
    for (uint32_t i = 0; i < a->targets_count; i++) {
        CHECK_TRUE(a->targets[i].session_no == b->targets[i].session_no);
        CHECK_TRUE(a->targets[i].drop_upto == b->targets[i].drop_upto);
        CHECK_INT(a->targets[i].qos, b->targets[i].qos);
        CHECK_INT(a->targets[i].retain, b->targets[i].retain);
    }
    CHECK_TRUE(a->ack.cursor == b->ack.cursor);
    CHECK_INT(a->ack.open_count, b->ack.open_count);
    for (uint32_t i = 0; i < a->ack.open_count; i++) CHECK_TRUE(a->ack.open[i] == b->ack.open[i]);
    CHECK_INT(a->mid != NULL, b->mid != NULL);
    if (a->mid != NULL) {
        CHECK_TRUE(bytes_equal(a->mid->client_id, b->mid->client_id));
        CHECK_TRUE(bytes_equal(a->mid->mid, b->mid->mid));
        CHECK_INT(a->mid->window_s, b->mid->window_s);
    }
    CHECK_INT(a->msg != NULL, b->msg != NULL);
    if (a->msg != NULL) check_same_message(a->msg, b->msg);
}

TEST(every_kind_comes_back_as_it_was)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct command *c = sample((enum command_kind)kind), *back;
        struct bytes record = encoded(c);
        CHECK_INT(ERR_OK, record_decode(record, &back));
        CHECK_TRUE(back->stamp_ms == STAMP_MS);
        check_same(c, back);
        CHECK_INT(0, back->seats_count);
        free_bytes(record);
        command_unref(&c);
        command_unref(&back);
    }
}

TEST(a_skipped_target_is_not_written)
{
    struct a_message m = { .topic = "t", .payload = "x" };
    struct command *c = make_enqueue(1, &m, (uint64_t[]){ 5, 6, 7, 0 }), *back;
    c->targets[1].is_skipped = true;
    struct bytes record = encoded(c);
    CHECK_INT(ERR_OK, record_decode(record, &back));
    CHECK_INT(2, back->targets_count);
    CHECK_TRUE(back->targets[0].session_no == 5 && back->targets[1].session_no == 7);
    free_bytes(record);
    command_unref(&c);
    command_unref(&back);
}

TEST(a_message_without_block_payload_or_target_comes_back)
{
    struct a_message m = { .topic = "t", .payload = "" };
    struct command *c = make_enqueue(1, &m, (uint64_t[]){ 0 }), *back;
    struct bytes record = encoded(c);
    CHECK_INT(ERR_OK, record_decode(record, &back));
    check_same(c, back);
    free_bytes(record);
    command_unref(&c);
    command_unref(&back);
}

/* In memory of exactly that size, so that a sanitizer sees a byte too many. */
static enum err decode_copy(struct bytes record)
{
    struct command *c = NULL;
    uint8_t *copy = malloc(record.len > 0 ? record.len : 1);
    CHECK_TRUE(copy != NULL);
    if (record.len > 0) memcpy(copy, record.at, record.len);
    enum err rc = record_decode(bytes_of(copy, record.len), &c);
    CHECK_INT(rc == ERR_OK, c != NULL);
    command_unref(&c);
    free(copy);
    return rc;
}

/* All packet ids there are: in flight are far fewer. */
TEST(what_was_received_of_a_full_window_fits_a_record)
{
    static uint64_t seqs[PACKET_ID_MAX + 1];
    for (uint32_t i = 0; i < PACKET_ID_MAX; i++) seqs[i] = big + i;
    struct command *c = make_ack(5, 0, seqs), *back;
    c->kind = COMMAND_RECEIVED;
    struct bytes record = encoded(c);
    CHECK_TRUE(record.len < 1024 * 1024);
    CHECK_INT(ERR_OK, record_decode(record, &back));
    check_same(c, back);
    free_bytes(record);
    command_unref(&c);
    command_unref(&back);
}

TEST(a_record_cut_at_any_byte_is_none)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct command *c = sample((enum command_kind)kind);
        struct bytes record = encoded(c);
        for (size_t len = 0; len < record.len; len++)
            CHECK_INT(ERR_SYNTAX, decode_copy(bytes_of(record.at, len)));
        free_bytes(record);
        command_unref(&c);
    }
}

TEST(a_byte_too_many_makes_it_none)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct command *c = sample((enum command_kind)kind);
        struct bytes record = encoded(c);
        uint8_t *longer = calloc(1, record.len + 1);
        CHECK_TRUE(longer != NULL);
        memcpy(longer, record.at, record.len);
        CHECK_INT(ERR_SYNTAX, decode_copy(bytes_of(longer, record.len + 1)));
        free(longer);
        free_bytes(record);
        command_unref(&c);
    }
}

TEST(a_kind_or_format_of_a_later_version_is_unknown)
{
    struct command *c = sample(COMMAND_CLAIM);
    struct bytes record = encoded(c);
    uint8_t *at = (uint8_t *)(uintptr_t)record.at;
    at[0] = KINDS;
    CHECK_INT(ERR_UNKNOWN, decode_copy(record));
    at[0] = COMMAND_CLAIM;
    at[1]++;
    CHECK_INT(ERR_UNKNOWN, decode_copy(record));
    free_bytes(record);
    command_unref(&c);
}

/* Counts and lengths that promise more than there is must not be believed. */
TEST(a_record_with_any_byte_changed_does_no_harm)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct command *c = sample((enum command_kind)kind);
        struct bytes record = encoded(c);
        uint8_t *at = (uint8_t *)(uintptr_t)record.at;
        for (size_t i = 0; i < record.len; i++) {
            uint8_t was = at[i];
            for (int v = 0; v < 256; v += 5) {
                at[i] = (uint8_t)v;
                decode_copy(record);
            }
            at[i] = 0xff;
            decode_copy(record);
            at[i] = was;
        }
        free_bytes(record);
        command_unref(&c);
    }
}

TEST(garbage_does_no_harm)
{
    uint8_t garbage[256];
    uint32_t x = 3; /* xorshift: the same bytes each time */
    for (int i = 0; i < 20000; i++) {
        for (size_t at = 0; at < sizeof garbage; at++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            garbage[at] = (uint8_t)x;
        }
        garbage[0] = (uint8_t)(garbage[0] % KINDS);
        garbage[1] = 1;
        decode_copy(bytes_of(garbage, x % sizeof garbage));
    }
}
