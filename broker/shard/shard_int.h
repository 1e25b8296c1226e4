/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard_int - what the files of this module share: the shard, and what each file offers the others.
 *
 * Thread:  who holds `own` (its thread, or a visitor) alone touches a struct shard, but for mailbox, credit.
 * Memory:  see shard.h.
 * Limits:  base/limits.h.
 * Errors:  none of its own.
 * Tests:   tests/e2e, tests/conformance, tests/stress
 */
#ifndef SHARD_SHARD_INT_H
#define SHARD_SHARD_INT_H

#include "base/credit.h"
#include "base/heap.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/thread.h"
#include "retained/retained.h"
#include "session/session.h"
#include "shard/admission.h"
#include "shard/alarm.h"
#include "shard/backoff.h"
#include "shard/conn_set.h"
#include "shard/keepalive_way.h"
#include "shard/late.h"
#include "shard/memory.h"
#include "shard/plugin.h"
#include "shard/reads.h"
#include "shard/sessions.h"
#include "shard/shard.h"
#include "shard/shares.h"
#include "shard/work.h"
#include "sys/sys.h"

enum mail_kind {
#define MAIL(name, handler, doc) MAIL_##name,
#include "shard/mailbox_kinds.def"
#undef MAIL
};

/* What all shards share. Nothing here but the gate changes after shards_start. */
struct shards {
    unsigned count;
    struct shard **at;
    struct subs *subs;
    struct epoch *epoch;
    uint64_t seed, client_key; /* the second for client_hash */
    struct shards_conf conf;
    struct journal journal;
    struct store store;
    struct addresses *addresses;       /* of clients, for the limits of listeners */
    struct outbox *posted, *completed; /* the journal's thread: for each shard, until its flush */
    struct mailbox main;               /* where main waits for its calls */
    struct gauge open, log_lines;      /* connections; lines of the log that are to be published */
    struct heap_gate heap;             /* memory_limit's */
    struct admission admission;
    struct plugin_words plugins;
    struct keepalive_past past_ways; /* by client; changes no more once the shards run */
};

struct barrier;
struct hit;

struct shard {
    struct shards *all;
    unsigned index;
    int epoll_fd, timer_fd;
    bool stopping, closing, is_visited, is_settled; /* visited: this turn is run by another shard's thread */
    struct mail *asked_home; /* main's, until nothing more goes to the journal for groups: settled */
    struct mailbox mailbox;
    struct lock own; /* all of this but mailbox and credit: whoever runs a turn has it */
    struct thread thread;
    struct outbox *to; /* one for each shard: what this turn has for it */
    struct outbox to_journal, to_main;
    struct credit *credit;              /* what is under way from here to each shard */
    struct list credit_waiters;         /* connections not read until credit comes */
    uint64_t now_ms, wall_ms, asked_ms; /* of this turn; of the one in which main has asked */
    uint64_t rings_ms;                  /* when timer_fd wakes us at the latest; 0: it does not */
    uint64_t alarm_ms[ALARMS];          /* 0: not set */
    struct wheel *conn_wheel, *session_wheel, *rate_wheel;
    struct conn_slot *slots;
    uint32_t slots_count, slots_free, conns_count;
    struct list dirty;         /* connections with output from this turn */
    struct late late;          /* with output of messages to many */
    struct conn *dead, *ready; /* freed at the end of the turn; no longer paused, with input left */
    uint32_t psk_waiting;      /* handshakes that wait for a plugin */
    struct due more, held;     /* connections with input, by what they have had; and admission.h's, by time */
    struct conn_ids shaking, strangers; /* the latter, with input and new, or at their ends */
    struct backoff backoff;             /* of the view */
    struct mail *mail_left;             /* of what has been taken from the mailbox */
    struct slow_list slow;
    struct ways ways; /* to clients, for the learner of keepalives */
    struct memory memory;
    uint64_t work, turn_until;      /* done ever, see work.h; and where this turn ends */
    uint64_t had;                   /* of it, by everybody who waits, at least: see conn.had */
    uint16_t arrivals;              /* in `more`, of 2^16 */
    uint32_t had_rest, work_of_one; /* less than one for each; what one connection may do in this turn */
    bool has_fanned_out, fans_out, watches_admission; /* the last message; what is written now; admission.c */
    struct out_pool pool;
    struct msg *fan_msg, *found_msg; /* what is being delivered to many; what `found` is about */
    struct fan_packet fan[2];        /* for version 3, for version 5 */
    uint8_t *scratch;

    struct map by_id, by_no; /* sessions; by_no has the persistent ones */
    struct session *acking;  /* with acknowledgements for the journal, by next_acking */
    uint64_t sessions_minted, claims_minted, matches; /* the last: the present match, for session.matched */
    size_t keeping_bytes, sub_ids_room;     /* the first: of QoS 0 on its way into queues (shard/qos0.h) */
    struct mail *asks, **asks_end;          /* questions for retained messages that wait for their turn */
    struct subs_found found, sub_ids_found; /* the second: sub_ids_find's, in the middle of a delivery */
    struct reads reads;
    uint32_t *sub_ids;
    /* Deferred publishes under way of connections that are gone, and wills. While there are any, all are
     * deferred: what the same client publishes over its next connection must not overtake them. */
    uint32_t orphans;
    bool *direct; /* for each shard: has it direct receivers among them? */
    struct hit *hits;
    struct command_target *targets;
    size_t hits_count, hits_room, targets_count, targets_room;

    struct shares shares;
    struct retained *retained;
    struct list kicks;               /* of plugins, by user name */
    struct list fencing, fence_next; /* jobs whose barrier is on its way; that came since: the next one's */
    struct barrier *barriers;        /* one for each shard */
    unsigned barrier_open;           /* answers still to come */

    const struct shards_view *view;
    const struct config *config; /* the view's */
    struct log *log;
    struct metrics_shard *metrics;
    const struct clock *clock;
    struct shards_listener **listeners; /* NULL: a free place */
    size_t listeners_count;
    bool rechecks, is_changing; /* connections are looked at again; not all shards have the view yet */
    uint32_t recheck_at;        /* after a change of the view: from this slot on */
    struct sys sys;             /* of shard 0 */
    struct delayed *delayed;    /* of shard 0 */
};

/* The shard whose session a client id is, and the shard that keeps a topic's retained message. */
static inline unsigned shard_of_client(const struct shards *all, struct bytes client_id)
{
    return (unsigned)((bytes_hash(client_id, all->seed) >> 32) % all->count);
}
static inline unsigned shard_of_topic(const struct shards *all, uint64_t topic_hash)
{
    return (unsigned)((topic_hash >> 32) % all->count);
}

/* What its listener was told. */
static inline const struct config_listener *conn_door(const struct shard *sh, const struct conn *c)
{
    return sh->view->doors[c->listener->door].config;
}

static inline void shard_post(struct shard *sh, unsigned to, struct mail *m, enum mail_kind kind)
{
    m->kind = kind;
    outbox_put(&sh->to[to], m);
}

/* A retained message's publisher is known by it, in later processes too: for No Local, by client id. */
static inline uint64_t client_hash(const struct shard *sh, const struct session *s)
{
    return bytes_hash(session_client_id(s), sh->all->client_key);
}

#define MAIL(name, handler, doc) void handler(struct shard *sh, struct mail *m);
#include "shard/mailbox_kinds.def"
#undef MAIL

/* shard.c */
uint64_t shard_stage_until(const struct shard *sh); /* up to where a stage of this turn works */
void shard_submit(struct shard *sh); /* what this turn has for the other shards, then for the journal */
void shard_pause_accepting(struct shard *sh, uint32_t for_ms);

void journal_put(struct shard *sh, struct command *c); /* journal.c: commands out, completions in */
struct command *journal_fenced(const struct session *s, enum command_kind kind, struct bytes data);

bool sys_owns(struct bytes topic); /* sys.c: may only the broker publish it? */
/* fence.c: SUBSCRIBE waits until all that was matched before it is in the journal */
void fence_turn(struct shard *sh);

/* feed.c: messages from the store to a session; acknowledgements back, noted and put once a turn */
void feed_pump(struct shard *sh, struct session *s); /* sends what the window allows, asks for pages */
void feed_note(struct shard *sh, struct session *s);
void feed_turn(struct shard *sh);

/* job.c, retain.c */
void job_done(struct shard *sh, struct command *c);
void jobs_resume(struct shard *sh, struct session *s);
void jobs_conn_gone(struct session *s);    /* before the connection's end: they go on without it, or end */
void jobs_session_gone(struct session *s); /* before the session's */
enum err retain_keep(struct shard *sh, struct msg *m, uint64_t version); /* by the owner; counts it */
void retain_copy_arrived(struct shard *sh, struct session *s);

#endif
