/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shares - shared subscriptions across the shards (MQTT 5.0 section 4.8.2).
 *
 *   member's shard                                    the group's shard (by the hash of "$share/NAME/FILTER")
 *   SUBSCRIBE   --- note JOIN -------------------->   group, in the index; durable: command GROUP
 *   SUBACK      <-- answer ------------------------
 *   on, off line--- note CREDIT ------------------>
 *   PUBLISH     <-- GIVE (an entry) ---------------   from the index, or the group's queue
 *   PUBACK      --- HOME (the same entry) -------->   lazy ACK
 *   UNSUBSCRIBE --- note LEAVE ------------------->
 *   freed       <-- answer ------------------------
 *
 * Mail of one shard to another stays in order, so a membership is freed when no entry for it can be under way
 * any more, and what comes for one without a client goes home at once.
 *
 * Thread:  each struct belongs to the shard of its side; what travels belongs to whoever has it.
 * Memory:  notes are made by the member's shard, which frees those that are answered. Entries are the
 *          group's. GIVE takes no credit of the pair of shards: it is bounded by the members' own credit,
 *          SHARE_CREDIT_MAX messages each, and SHARE_OUT_QOS0_MAX of QoS 0.
 * Limits:  SHARE_MEMBERS_MAX for a group. There are no more groups than members.
 * Errors:  a JOIN is answered with a reason code.
 * Tests:   tests/conformance/4.8-shared, tests/e2e/test_shared.py
 */
#ifndef SHARD_SHARES_H
#define SHARD_SHARES_H

#include "base/list.h"
#include "base/map.h"
#include "share/share.h"
#include "store/journal.h"
#include "subs/subs.h"

struct session;
struct conn;
struct shard;
struct share_reader;
struct subscribe_job;
struct subscribe_wish;

/* Where a session takes part. */
struct membership {
    struct session *session; /* NULL: no more */
    uint16_t owner;
    uint16_t text_bytes;
    struct sub_options options;
    uint32_t id; /* subscription identifier; 0: none */
    char text[]; /* read by the group's shard, too */
};

enum note_kind { NOTE_JOIN, NOTE_CREDIT, NOTE_LEAVE };

struct share_note {
    struct mail mail;
    struct list of_group; /* a JOIN that waits for the group's queue */
    enum note_kind kind;
    uint16_t from;
    uint8_t code; /* the answer to a JOIN */
    uint32_t credit;
    struct share_reader *reader; /* with credit: who the client is; the note's until the group takes it */
    struct membership *membership;
    struct share_terms terms;
    struct subscribe_job *job; /* of a JOIN; NULL: nobody waits */
    uint16_t job_index;
};

struct share_group {
    struct share share;
    struct shard *shard;
    struct list of_dirty;
    struct list pending; /* JOINs */
    uint64_t group_no;   /* its queue; 0: none yet */
    uint64_t matched;    /* number of the match that touched it last */
    /* In the index: for who publishes, `durable` means that the message goes into the queue. One that became
     * durable later has both: see shares_hit. */
    struct sub direct, durable;
    bool is_direct, is_indexed_durable;
    bool is_making; /* command GROUP is under way */
    bool has_ended;
    uint32_t commands; /* under way */
    uint32_t dropped;
    uint16_t text_bytes;
    char text[];
};

/* A shard's groups, and their members. */
struct shares {
    struct map by_text, by_no; /* groups */
    struct map members;        /* struct share_member by its membership */
    struct list dirty, ended;
    uint64_t *hit; /* durable groups that the present publish matches */
    uint32_t hit_count, hit_room;
};

static inline struct bytes membership_text(const struct membership *ms)
{
    return bytes_of(ms->text, ms->text_bytes);
}

/* --- share_reader.c: what a member's client may read, asked by its group */

/* A reference to what is known of this connection; NULL: no memory. */
struct share_reader *share_reader_of(const struct shard *sh, struct conn *c, const struct session *s);
void share_reader_unref(struct share_reader **owner);
bool share_reader_may(const struct share_member *m, const struct msg *msg);
void share_member_set_reader(struct share_member *m, struct share_reader **reader);

void shares_init(struct shares *s);
void shares_fini(struct shard *sh);

/* --- share_member.c: the member's side */

/* A SUBSCRIBE with a shared filter. Its job waits for an answer then (job.joins). */
enum err shares_subscribe(struct shard *sh, struct subscribe_job *j, uint16_t index, struct bytes text,
                          const struct subscribe_wish *wish);
bool shares_unsubscribe(struct shard *sh, struct session *s, struct bytes text);
struct membership *shares_find(const struct shard *sh, const struct session *s, struct bytes text);
/* The session has got a connection, has lost it, or ends. */
void shares_online(struct shard *sh, struct session *s);
void shares_offline(struct shard *sh, struct session *s);
void shares_session_gone(struct shard *sh, struct session *s);
/* To its client, as far as the window allows. False: none is there to be sent. */
bool shares_send(struct shard *sh, struct session *s);
/* What is finished goes home. */
void shares_send_home(struct shard *sh, struct session *s);
/* The process ends. */
void shares_forget(struct session *s);
/* At boot. */
enum err shares_restore(struct shard *sh, struct session *s, struct bytes text,
                        const struct subscribe_wish *wish);

/* --- share_group.c: who is in it, and where it stands */

enum err group_restore(struct shard *sh, uint64_t group_no, struct bytes text);
enum err group_restore_member(struct shard *sh, struct membership *ms, const struct share_terms *terms);
/* Before the first turn: ends groups that nobody is in. */
void groups_start(struct shard *sh);
void group_made(struct shard *sh, struct command *c); /* COMMAND_GROUP is complete */
struct share_group *group_find_no(struct shard *sh, uint64_t group_no);
void group_free_if_over(struct share_group *g);

/* --- share_feed.c: messages in and out */

/* A publisher's shard has found a durable group among its targets. False: no memory. */
bool shares_note_target(struct shard *sh, uint64_t group_no);

/* A group's entry in the index matches. seat: of the command that brings the message; NULL: none does. */
void shares_hit(struct shard *sh, struct share_group *g, struct msg *m, const struct command_seat *seat);
void shares_apply(struct shard *sh, const struct command *c, const struct command_target *t);
void shares_turn(struct shard *sh);
/* Has everything that was given come home, and every command been answered? */
bool shares_are_home(const struct shard *sh);
void group_mark(struct shard *sh, struct share_group *g);
/* A command that was made here is complete: cmd.job is an entry. */
void shares_done(struct shard *sh, struct command *cmd);

#endif
