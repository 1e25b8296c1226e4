/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share - a group of shared subscriptions ($share/NAME/FILTER, MQTT 5.0 section 4.8.2) as a machine without
 * I/O: its members, what waits for them, and who gets what.
 *
 *   offered -> waiting -> given to one member -> done -> gone
 *                 ^------------ back ---'
 *
 * A member says how much it takes at once (its credit, 0 while it is off line). Whoever has room gets the
 * next message, in turn. What a member hands back goes to another one first. An entry travels: while it is
 * with its member it is that member's shard's, but for the fields marked as the group's.
 *
 * A durable group is a queue of the store, too. Like a session it keeps a tail of it here and reads the rest
 * in pages; what has been given is finished for the store only when it is done, and nothing of who had it is
 * kept. QoS 2 is different, because it must never go to a second client [MQTT-4.8.2-5]: share_next() asks for
 * it to be moved out of the queue before it is given.
 *
 * A member may not be allowed to have a message (conf->may): then another one gets it. While all who may have
 * it have no room, or are persistent and away, it stands with those that came back, and later ones pass it,
 * up to SHARE_HELD_MAX; one that no such member may have is dropped, and counted.
 *
 * Thread:  the group's shard.
 * Memory:  holds a reference to each message that it has taken; entries and members are its own.
 * Limits:  SHARE_CREDIT_MAX for a member, SHARE_OUT_MAX given at once, conf->queue_*_max for what waits in
 *          RAM only, TAIL_ENTRIES_MAX for what the store has as well, SHARE_MEMBERS_MAX.
 * Errors:  ERR_FULL: a limit. ERR_NOMEM. ERR_AGAIN from share_offer: left to the store.
 * Tests:   tests/unit/test_share.c
 */
#ifndef SHARE_SHARE_H
#define SHARE_SHARE_H

#include "base/err.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "msg/msg.h"

struct share;

/* What a member has asked for, and where it is. */
struct share_terms {
    uint64_t session_no; /* of a persistent session; 0: clean */
    uint16_t shard;
    uint8_t qos;
    bool retain_as_published;
};

struct share_member {
    struct list of_share, of_able, of_online;
    struct share *share;
    uint64_t number; /* among all that ever were */
    void *who;       /* the caller's: whom it stands for */
    struct share_terms terms;
    uint32_t credit; /* 0: off line */
    void *reader;    /* the caller's, for conf->may; also while it is away */
    uint32_t out;    /* of its credit */
    uint32_t out_qos0;
    bool has_left;
};

enum share_how {
    SHARE_GIVE,  /* to be sent, with entry.qos */
    SHARE_MOVE,  /* QoS 2 to a persistent member: to be moved into its own queue; then share_moved */
    SHARE_TAKE,  /* QoS 2 to a clean one: to be moved out of the group's queue; then share_taken */
    SHARE_AGAIN, /* the caller's: on its way back into the group's queue, as a new entry */
};

struct share_entry {
    struct mail mail; /* to the member's shard, and back */
    struct msg *msg;
    uint64_t seq; /* in the group's queue; 0: in RAM only */
    uint8_t how;  /* enum share_how */
    uint8_t qos;
    bool retain;
    bool dup; /* an earlier process may have sent it */
    bool is_qos0, is_retained;
    /* The group's, wherever it is. */
    struct list of_share, of_back;
    struct share_member *member;
    uint16_t home; /* its shard */
    uint32_t refusers_count;
    uint64_t *refusers; /* members that may not have it, by their numbers */
    /* The member's shard's, while it is there. */
    struct list of_session;
    void *to;           /* whom it is for */
    uint32_t sub_id;    /* its subscription identifier; 0: none */
    uint64_t moved_seq; /* SHARE_MOVE: its place in the member's queue */
    uint16_t id;        /* packet id; 0: not sent */
    uint8_t step;
    bool is_back;    /* on its way home: not done */
    bool is_refused; /* the same: its client may not have it, as a plugin says */
};

/* Where a durable group's messages come from, as enum session_feed. */
enum share_feed { SHARE_LIVE, SHARE_STORE, SHARE_READING };

struct share_conf {
    bool (*may)(const struct share_member *m, const struct msg *msg); /* NULL: all may have everything */
    uint32_t queue_messages_max;                                      /* 0: no limit but bytes */
    uint64_t queue_bytes_max;
};

struct share {
    struct share_conf conf;
    bool is_durable, acks_dirty, page_is_late;
    bool was_before; /* this process: what its first page shows may have been given already */
    uint8_t feed;
    struct list members, able, online; /* able: with room, in turn. online: in turn, for QoS 0 */
    uint32_t members_count, persistent_count, online_count;
    uint32_t of_qos[3];  /* members */
    struct list waiting; /* in the order they came */
    struct list taken;   /* given once, not done; in the same order */
    struct list back;    /* of those: with no member now */
    uint32_t waiting_count, out;
    uint64_t members_made;
    uint64_t denied; /* dropped, because nobody might have them */
    uint64_t waiting_bytes;
    uint64_t fed;         /* the highest seq that came into RAM */
    uint64_t taken_upto;  /* the highest seq that was ever given */
    uint64_t finished;    /* the highest seq that is done */
    uint64_t resent_upto; /* entries up to here may have been given by an earlier process */
};

void share_init(struct share *s, const struct share_conf *conf);
/* Everything that was given has come home. */
void share_fini(struct share *s);

/* From now on what is offered with a seq is in a queue of the store as well. */
void share_make_durable(struct share *s);

enum err share_join(struct share *s, struct share_member **out, void *who, const struct share_terms *terms);
void share_change(struct share_member *m, const struct share_terms *terms);
/* Gets nothing more. Freed when its last entry is home. */
void share_leave(struct share_member *m);
void share_credit(struct share_member *m, uint32_t credit);

/* The highest QoS of its members. */
uint8_t share_qos(const struct share *s);
/* Members that make the group durable: persistent, with QoS 1 or 2. */
bool share_wants_durable(const struct share *s);

struct share_row {
    struct msg *msg;
    uint64_t seq; /* 0: not in the store */
    bool retain;
};

/* A message of QoS 1 or 2 for the group. Shares msg when it takes it. */
enum err share_offer(struct share *s, const struct share_row *row);

/* The next message for a member, if there is one of each. entry.member says who. */
struct share_entry *share_next(struct share *s);

/* A message of QoS 0, now or never: NULL when nobody can have it. Shares msg. */
struct share_entry *share_next_qos0(struct share *s, const struct share_row *row);

/* It has been acknowledged, or nobody shall have it any more. Frees e. */
void share_done(struct share_entry *e);
/* Its member has not had it: another one may. Frees e if it is of QoS 0. */
void share_back(struct share_entry *e);
/* The same, and this member never gets it. */
void share_refused(struct share_entry *e);

/* SHARE_MOVE, SHARE_TAKE: it is out of the group's queue. False: its member is not on line any more. */
bool share_moved(struct share_entry *e, uint64_t seq);
bool share_taken(struct share_entry *e);

/* The queue dropped its oldest, up to this seq. */
void share_drop_upto(struct share *s, uint64_t seq);

/* Pages, as in session.h: ask for rows after s->fed. */
bool share_wants_page(const struct share *s);
void share_reading(struct share *s);
/* Its rows, and whether the answer was empty: then all up to now is here. */
void share_page(struct share *s, const struct share_row *rows, uint32_t count, uint64_t snapshot);

/* For a lazy ACK, as session_ack_state. */
uint32_t share_ack_state(struct share *s, uint64_t *cursor, uint64_t *open, uint32_t room);

#endif
