/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_kit - commands as the journal's tests need them.
 *
 * Thread:  one.
 * Memory:  gives one reference to each command.
 * Limits:  none.
 * Errors:  out of memory ends the test.
 * Tests:   it is one.
 */
#ifndef UNIT_STORE_KIT_H
#define UNIT_STORE_KIT_H

#include "kit/test.h"
#include "store/journal.h"

struct a_message {
    const char *topic, *payload;
    uint64_t expires_ms;
    bool retain;
};

static inline struct msg *make_msg(const struct a_message *a)
{
    struct msg *m;
    struct msg_parts parts = {
        .topic = bytes_of_text(a->topic),
        .block = bytes_of_text("\x01\x01"),
        .payload = bytes_of_text(a->payload),
        .qos = 1,
        .retain = a->retain,
        .from_session = 77,
        .from_client = 78,
        .expires_ms = a->expires_ms,
    };
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    return m;
}

static inline struct command *make_command(enum command_kind kind, uint64_t position,
                                           const struct command_size *size)
{
    struct command *c = command_new(kind, size);
    CHECK_TRUE(c != NULL);
    c->position = position;
    return c;
}

/* An ENQUEUE of a message to the sessions, 0 ends them. */
static inline struct command *make_enqueue(uint64_t position, const struct a_message *a,
                                           const uint64_t *sessions)
{
    struct command_size size = { 0 };
    while (sessions[size.targets] != 0) size.targets++;
    struct command *c = make_command(COMMAND_ENQUEUE, position, &size);
    for (uint32_t i = 0; i < size.targets; i++)
        c->targets[i] = (struct command_target){ .session_no = sessions[i], .qos = 1, .retain = i % 2 != 0 };
    c->msg = make_msg(a);
    return c;
}

/* An ENQUEUE to nobody, with its publisher's own id. */
static inline struct command *make_with_mid(uint64_t position, const struct a_message *a,
                                            const struct command_mid *mid)
{
    struct command_size size = { .mid = mid };
    struct command *c = make_command(COMMAND_ENQUEUE, position, &size);
    c->msg = make_msg(a);
    return c;
}

static inline struct command *make_retained(uint64_t position, const struct a_message *a, uint64_t session_no)
{
    struct command_size size = { .targets = 1 };
    struct command *c = make_command(COMMAND_RETAINED, position, &size);
    c->version = position - 1;
    c->targets[0] = (struct command_target){ .session_no = session_no, .qos = 1, .retain = true };
    c->msg = make_msg(a);
    return c;
}

static inline struct command *make_ack(uint64_t session_no, uint64_t cursor, const uint64_t *open)
{
    struct command_size size = { 0 };
    while (open[size.open] != 0) size.open++;
    struct command *c = make_command(COMMAND_ACK, 0, &size);
    c->session_no = session_no;
    c->ack.cursor = cursor;
    for (uint32_t i = 0; i < size.open; i++) c->ack.open[i] = open[i];
    return c;
}

/* A kind that has at most data and an expiry. */
static inline struct command *make_plain(enum command_kind kind, uint64_t session_no, struct bytes data)
{
    struct command_size size = { .data = data };
    struct command *c = make_command(kind, 0, &size);
    c->session_no = session_no;
    return c;
}

#endif
