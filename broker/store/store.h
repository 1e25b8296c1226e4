/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - where the queues of persistent sessions wait. Written by the journal's commands, read in pages.
 *
 * Thread:  ask from any shard; the answer arrives in that shard's mailbox, among the seats of the journal:
 *          it shows all up to its snapshot, and nothing that the seats after it bring.
 * Memory:  takes the page until it is answered; each row holds a reference, given to the asker.
 * Limits:  PAGE_ENTRIES_MAX rows a page, IDS_ENTRIES_MAX without their messages.
 * Errors:  a page of a session that is gone is empty.
 * Tests:   tests/contract/journal_contract.c, tests/contract/journal_ids.c
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/limits.h"
#include "base/mailbox.h"
#include "msg/msg.h"
#include "store/journal.h"

struct store_row {
    uint64_t seq; /* position of the command that put it into this queue */
    struct msg *msg;
    uint8_t qos;
    bool retain;
    bool released;      /* QoS 2: its client has it, and waits for PUBREL */
    uint16_t packet_id; /* QoS 2: what another broker sent it with, and it keeps; 0: none */
};

/* A question and its answer: the rows of a queue after a position, in order. Fewer than asked for may come
 * though there are more; an empty answer is the end. What was acknowledged a moment ago may still be among
 * them. */
struct store_page {
    struct mail request;
    struct mail answer; /* its kind is the asker's */
    uint16_t shard;
    uint64_t session_no, claim_no;
    uint64_t after; /* rows with seq > after */
    uint32_t limit;
    uint64_t snapshot; /* answer: all commands up to this position are reflected */
    uint32_t count;
    struct store_row rows[PAGE_ENTRIES_MAX];
};

/* What is to be known of a row without reading its message. */
struct store_id {
    uint64_t seq;
    uint64_t expires_ms; /* of the message, since 1970; 0: never */
    uint32_t payload_bytes;
    uint8_t qos;
    bool retain;
};

/* The same question without the messages. */
struct store_ids {
    struct mail request;
    struct mail answer; /* its kind is the asker's */
    uint16_t shard;
    uint64_t session_no;
    uint64_t after;
    uint32_t limit;
    uint64_t snapshot;
    uint32_t count;
    struct store_id rows[IDS_ENTRIES_MAX];
};

struct store_ops {
    const char *name;
    void (*page)(void *impl, struct store_page *page);
    void (*ids)(void *impl, struct store_ids *ids);
};

struct store {
    const struct store_ops *ops;
    void *impl;
};

static inline void store_page(const struct store *s, struct store_page *p)
{
    s->ops->page(s->impl, p);
}

static inline void store_ids(const struct store *s, struct store_ids *p)
{
    s->ops->ids(s->impl, p);
}

#endif
