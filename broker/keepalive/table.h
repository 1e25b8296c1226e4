/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table - what is known of each client on each of its networks; bounded, and the longest unused goes.
 *
 * Thread:  owned by one shard; no locks.
 * Memory:  entries are the table's, in blocks that are never given back; KA_ENTRY_BYTES each at most, and the
 *          map's slots. Entries stay where they are until the table gives them up.
 * Limits:  entries_max entries; KA_NETS_OF_CLIENT_MAX networks of one client (Mars: 20).
 * Errors:  ERR_NOMEM from ka_table_new; NULL from ka_table_get without memory.
 * Tests:   tests/unit/test_ka_table.c
 */
#ifndef KEEPALIVE_TABLE_H
#define KEEPALIVE_TABLE_H

#include "base/err.h"
#include "base/list.h"
#include "keepalive/classify.h"

enum { KA_NETS_OF_CLIENT_MAX = 20, KA_ENTRY_BYTES = 192, KA_CLASSES = 20 };

struct ka_entry {
    uint64_t client, net; /* hashes */
    struct ka_state state;
    bool is_connected;  /* a connection of now */
    bool is_dirty;      /* to be stored */
    uint8_t doubt_kind; /* enum ka_kind: a failure that may turn out to be an outage's; not yet in state */
    uint8_t class;      /* it is counted in; the table's */
    uint16_t doubt_gap_s, doubt_in_force_s;
    uint16_t in_force_s; /* of the connection of now, or the last one */
    struct ka_terms terms;
    struct ka_end end; /* of the last connection, until it is judged */
    int64_t doubt_lost_s, doubt_back_s, ended_at_s, used_at_s;
    struct list of_used, of_dirty; /* the table's */
    struct ka_entry *next;         /* of the same client; the table's */
};

struct ka_table;

enum err ka_table_new(struct ka_table **out, uint32_t entries_max);
void ka_table_free(struct ka_table **owner);

struct ka_entry *ka_table_find(struct ka_table *t, uint64_t client, uint64_t net);

/* The same, and makes one when there is none (all zero but for client and net): *is_new. Marks it as used.
 * Others may go: those of the same client above their limit, and whoever was used longest ago. A dirty one
 * that goes has been lost to the store; that is harmless. */
struct ka_entry *ka_table_get(struct ka_table *t, uint64_t client, uint64_t net, bool *is_new);

/* The client's entries: first, and then entry->next. NULL at the end. */
struct ka_entry *ka_table_first(struct ka_table *t, uint64_t client);

void ka_table_dirty(struct ka_table *t, struct ka_entry *e);
/* The entry that has been dirty for longest, no longer dirty now; NULL: none is. */
struct ka_entry *ka_table_next_dirty(struct ka_table *t);

uint32_t ka_table_count(const struct ka_table *t);

/* Entries are counted by class, so that nobody has to walk them for it: a new one is in class 0, and one that
 * goes is in none. */
void ka_table_put_into_class(struct ka_table *t, struct ka_entry *e, unsigned which);
uint32_t ka_table_count_of_class(const struct ka_table *t, unsigned which);

#endif
