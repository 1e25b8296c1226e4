/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_plan - what of a mosquitto.db goes into a store, and then the commands that put it there.
 *
 * A message that several queues have becomes one ENQUEUE to all of them, in the order of mosquitto's ids,
 * which is the order of arrival. A queue that is in another order (retained messages are older than the
 * subscription they come for) goes in alone, message by message, behind the others. So each queue keeps its
 * own order.
 *
 * Thread:  one.
 * Memory:  borrows the file; some 200 bytes for each message and each place in a queue.
 * Limits:  what is not valid here, or can never be sent, is skipped and counted.
 * Errors:  import_read: of mosquitto_db.h, with its text, or ERR_NOMEM. import_put: of store_sqlite/fresh.h.
 * Tests:   tests/fuzz/fuzz_mosquitto_db.c, tests/e2e/test_import.py
 */
#ifndef CLI_IMPORT_PLAN_H
#define CLI_IMPORT_PLAN_H

#include "base/map.h"
#include "cli/mosquitto_db.h"
#include "store/journal.h"
#include <stdio.h>

enum import_skip {
#define SKIP(name, what, why) IMPORT_SKIP_##name,
#include "cli/import_skips.def"
#undef SKIP
    IMPORT_SKIPS
};

struct import_session {
    struct import_session *next;
    struct import_entry *entries, **entries_end; /* to its client, in order */
    struct bytes id;
    uint64_t session_no, claim_no;
    uint64_t newest_id; /* of the messages in its queue so far */
    uint64_t sent;      /* entries up to here its client may have seen */
    uint32_t expiry_s;
    uint32_t filters_count, released_count;
    bool is_mixed; /* its queue is not in the order of the messages' ids */
};

struct import_message {
    struct import_message *next;
    struct import_entry *entries; /* in queues that are in order, newest first */
    struct mosquitto_message is;
    uint32_t entries_count;
    bool is_invalid, is_expired, is_retained;
};

/* A place in a queue; or, from a client, a packet id that was not released yet. */
struct import_entry {
    struct import_entry *next;            /* of its session; from a client: of all such */
    struct import_entry *next_of_message; /* those of one command follow each other */
    struct import_session *session;
    struct import_message *message;
    uint64_t seq;
    uint16_t packet_id;
    uint8_t qos;
    bool retain, was_sent, is_released;
};

struct import_filter {
    struct import_filter *next;
    struct import_session *session;
    struct bytes filter;
    uint32_t id;
    uint8_t options;
};

struct import_counts {
    uint64_t sessions, subscriptions, queued, retained;
    uint64_t sent_again, released, inbound, usernames;
    uint64_t skipped[IMPORT_SKIPS];
};

struct import_plan {
    struct mosquitto_db db;
    struct map sessions_by_id, messages_by_id;
    struct import_session *sessions, **sessions_end;
    struct import_message *messages;
    struct import_filter *filters, **filters_end;
    struct import_entry *inbound, **inbound_end;
    struct import_counts counts;
    uint64_t now_s;
    bool is_clean_end; /* mosquitto wrote it when it ended */
};

/* now_s: since 1970. What was read is freed by import_fini, when it failed, too. */
enum err import_read(struct import_plan *p, struct bytes file, uint64_t now_s);
void import_fini(struct import_plan *p);

/* Where commands go: struct fresh, or a test's. put takes each one, in order; import_done is to be told of
 * each one's position, before wait returns. */
struct import_target {
    enum err (*put)(void *ctx, struct command *c);
    enum err (*wait)(void *ctx);
    void *ctx;
    uint64_t numbers_from; /* sessions and claims are numbered from here on */
    uint64_t client_key;   /* of bytes_hash for publishers' client ids */
};

enum err import_put(struct import_plan *p, const struct import_target *to);
void import_done(const struct command *c);

void import_print(const struct import_plan *p, FILE *to);

#endif
