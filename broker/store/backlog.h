/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backlog - how much waits in one queue that has a limit: the seq and size of every entry.
 *
 * A queue's rows may be on the disk; what a limit must know of them is here, 16 bytes an entry, and only for
 * queues with a limit: so the operator's own number bounds it.
 *
 * Thread:  one: the journal's.
 * Memory:  its own; backlog_fini frees it.
 * Limits:  the caller's.
 * Errors:  ERR_NOMEM from backlog_add: the entry is not counted.
 * Tests:   tests/unit/test_backlog.c
 */
#ifndef STORE_BACKLOG_H
#define STORE_BACKLOG_H

#include "store/journal.h"

/* What happens to a message for a full queue. */
enum backlog_policy {
    BACKLOG_DROP_NEW,
    BACKLOG_DROP_OLDEST,
    BACKLOG_REFUSE, /* the publish as a whole, for all its targets */
};

struct backlog_limits {
    uint32_t messages_max; /* 0: none */
    uint64_t bytes_max;    /* of payload; 0: none */
    enum backlog_policy policy;
};

static inline bool backlog_is_limited(const struct backlog_limits *l)
{
    return l->messages_max > 0 || l->bytes_max > 0;
}

struct backlog_entry {
    uint64_t seq;
    uint32_t bytes;
};

/* All zero is an empty one. Entries are ascending by seq: [head - leaving, head) must go for what is
 * expected, [head, head + count) stay. */
struct backlog {
    struct backlog_entry *entries;
    uint32_t head, leaving, count, room;
    uint32_t expected; /* admitted and not added yet */
    uint64_t bytes;    /* of the entries that stay and of what is expected */
};

void backlog_fini(struct backlog *b);

/* Is there room for one more of this size, when entries are dropped as the policy says? */
bool backlog_fits(const struct backlog *b, const struct backlog_limits *l, uint32_t bytes);

/* Expects one more, which fits. *drop_upto: not 0 if entries up to here must go for it; they are counted out
 * already. Gives how many. */
uint32_t backlog_expect(struct backlog *b, const struct backlog_limits *l, uint32_t bytes,
                        uint64_t *drop_upto);

/* Expects one more, whether it fits or not; nothing goes for it. */
void backlog_expect_beyond(struct backlog *b, uint32_t bytes);

/* What was expected does not come, and for its sake so many need not go. */
void backlog_unexpect(struct backlog *b, uint32_t bytes, uint32_t gone);

/* An entry is there; was_expected: it takes the place of one that was. */
enum err backlog_add(struct backlog *b, struct backlog_entry e, bool was_expected);

bool backlog_has(const struct backlog *b, uint64_t seq);

/* This one is gone, if it is here. */
void backlog_take(struct backlog *b, uint64_t seq);

/* These are gone. */
void backlog_finish(struct backlog *b, const struct command_ack *ack);

/* Is this seq one of ack->open? */
bool command_ack_is_open(const struct command_ack *ack, uint64_t seq);

#endif
