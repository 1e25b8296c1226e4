/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal - one order of all changes to persistent state. The seam: a local log, memory, or a cluster.
 *
 * A shard fills a command, and hands over all of a loop turn at once. The journal gives each a position (what
 * changes nothing may have that of what came before it), makes it durable, applies it in the order of
 * positions (checking the fencing numbers), then sends its seats to their shards and, after the seats of
 * everything up to it, the completion to the shard that submitted it. So whoever sees a completion may ask
 * any shard about the state at that position.
 *
 * Thread:  submit from any shard; seats and completions arrive in shards' mailboxes.
 * Memory:  takes the command; each seat and the completion hold one reference, given to their receiver.
 * Limits:  the number of commands under way is bounded by who submits (acks waiting, one page a session).
 * Errors:  in command.result, at completion. A submit is never refused.
 * Tests:   tests/contract/journal_contract.c, for every implementation
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "base/bytes.h"
#include "base/mailbox.h"
#include "base/ref.h"
#include "msg/msg.h"

enum command_kind {
#define COMMAND(name, doc) COMMAND_##name,
#include "store/commands.def"
#undef COMMAND
};

/* Does it bring a message to targets? */
static inline bool command_has_targets(enum command_kind kind)
{
    return kind == COMMAND_ENQUEUE || kind == COMMAND_RETAINED || kind == COMMAND_FIRE_WILL ||
           kind == COMMAND_MOVE;
}

/* The queue of messages that are not due yet: it is always there. Numbers of sessions and groups are above
 * it. */
enum { DELAYED_QUEUE = 255 };

enum command_result {
    COMMAND_DURABLE,
    COMMAND_STALE,     /* durable, but its session, claim, will or entry is gone: it had no effect. A MOVE out
                          of a group's queue: or all its targets are not there, and these are marked so */
    COMMAND_REFUSED,   /* not accepted, and without any effect: no room, or a limit that refuses */
    COMMAND_DUPLICATE, /* as good as durable, and without effect: its message is there already */
};

/* One queue that an ENQUEUE goes into. Ordered by shard. */
struct command_target {
    uint64_t session_no;
    uint16_t shard;
    uint8_t qos;
    bool retain;        /* the flag to deliver it with: retain-as-published */
    bool is_skipped;    /* gets nothing: its queue is full, or its session is gone */
    uint32_t dropped;   /* entries that its queue's limit cost, this one included */
    uint64_t drop_upto; /* not 0: the queue was full, and its entries up to here make room */
    uint64_t expected;  /* the journal's own: by which queue since it was admitted; 0: by none */
};

/* A shard's share of an applied command. */
struct command_seat {
    struct mail mail;
    struct command *command;
    uint16_t shard;
    bool direct;           /* deliver to the shard's direct receivers, too */
    bool owns_topic;       /* keep as retained */
    uint32_t first, count; /* of the targets */
};

/* How far a session has acknowledged: all <= cursor are finished but those in open (ascending). What was
 * finished once is not open again. */
struct command_ack {
    uint64_t cursor;
    uint32_t open_count;
    uint64_t *open;
};

/* A will, beside its message: seconds after the connection's end, and after it was published (UINT32_MAX:
 * it does not expire). */
struct command_will {
    uint32_t delay_s, expiry_s;
};

/* Its publisher's own id of a message: the same id of the same client has no effect again within the window
 * from the first one's stamp on. */
struct command_mid {
    struct bytes client_id, mid;
    uint32_t window_s;
};

/* Which submission it is of which process: (node, boot_no) submits n = 1, 2, 3 ... */
struct command_origin {
    uint16_t node;
    uint32_t boot_no;
    uint64_t n;
};

struct command {
    struct mail mail;       /* to the journal */
    struct mail completion; /* back to from_shard; its kind is the submitter's */
    struct ref ref;
    enum command_kind kind;
    enum command_result result;
    uint16_t from_shard;
    uint16_t seats_count;
    uint64_t position;
    uint64_t stamp_ms; /* wall clock when it was submitted; never goes back from one position to the next */
    struct command_origin origin;
    uint64_t session_no, claim_no; /* fences: 0 where the kind has none */
    uint64_t conn_id, ticket;      /* the submitter's: who waits, and for what */
    uint64_t version; /* RETAINED: the position at which its message became the retained one. MOVE: the seq
                         of the entry in the queue session_no. SENT_AS: the entry's seq */
    void *job;
    bool deferred;
    bool keeps_will; /* OFFLINE */
    bool retains;    /* MOVE: its message becomes the retained one, too */
    bool is_kept;    /* ENQUEUE, when it is submitted: its message was acknowledged long ago, so no limit and
                        no want of room stands in its way */
    bool was_stored; /* RELEASE, the journal's own: the id is in the tables */
    uint16_t in_id;  /* ENQUEUE: the publisher's packet id, to be known until it is released; 0: none. Then
                        session_no and claim_no are the publisher's. RELEASE: this one. SENT_AS: the entry's */
    uint32_t sub_id; /* SUBSCRIBE: the subscription identifier of all its filters; 0: none */
    uint64_t due_ms; /* ENQUEUE into DELAYED_QUEUE: when, since 1970; else 0 */
    uint64_t sent;   /* OFFLINE: the highest seq that the client may have seen */
    uint32_t expiry_s; /* CLAIM, EXPIRY */
    uint32_t targets_count;
    struct msg *msg;               /* CLAIM: the will's, or NULL */
    struct command_will will;      /* CLAIM */
    struct command_ack ack;        /* RECEIVED: the entries are ack.open */
    const struct command_mid *mid; /* ENQUEUE; NULL: none */
    struct bytes data; /* CLAIM: client id. GROUP: "$share/NAME/FILTER". KEEPALIVE: keepalive_rows. SUBSCRIBE,
              UNSUBSCRIBE: the filters as in the packet, but for COMMAND_FILTER_REFUSED in the options */
    struct command_target *targets;
    struct command_seat *seats;
};

/* How large a command to make: one block for all of it. */
struct command_size {
    uint32_t targets, seats, open;
    struct bytes data;             /* copied */
    const struct command_mid *mid; /* copied, with what it points to; NULL: none */
};

/* A zeroed command with room for targets, seats, open entries; one reference. NULL when out of memory. */
struct command *command_new(enum command_kind kind, const struct command_size *size);
void command_unref(struct command **owner);

/* A bit that no packet has (section 3.8.3.1): this filter stands in its packet only. */
enum { COMMAND_FILTER_REFUSED = 0x80 };

/* Marks the filters of a SUBSCRIBE that were refused: their codes are above QoS 2. Gives the others the QoS
 * that was granted, which is their code. */
void command_mark_refused(struct command *c, struct bytes codes);

/* Where a journal delivers. post: a seat or page; complete: a completion. Nothing is seen before flush, and
 * flush hands over what was posted to all shards before what was completed. Called on the journal's thread.
 */
struct journal_sink {
    void (*post)(void *ctx, unsigned shard, struct mail *mail);
    void (*complete)(void *ctx, unsigned shard, struct mail *mail);
    void (*flush)(void *ctx);
    void *ctx;
};

struct journal_ops {
    const char *name;
    /* Takes all commands of the outbox, in the order they were put. */
    void (*submit)(void *impl, struct outbox *commands);
};

struct journal {
    const struct journal_ops *ops;
    void *impl;
};

/* The kind of a command's mail; an implementation's own kinds come after it. */
enum { JOURNAL_MAIL_COMMAND = 0 };

/* Until when the mid of a command with a stamp is known. */
static inline uint64_t command_mid_until_ms(const struct command *c)
{
    return c->stamp_ms + (uint64_t)c->mid->window_s * 1000;
}

/* Puts a command into a shard's outbox to the journal, with one reference for each seat and its completion.
 */
void command_put(struct outbox *o, struct command *c);

static inline void journal_submit(const struct journal *j, struct outbox *commands)
{
    if (!outbox_empty(commands)) j->ops->submit(j->impl, commands);
}

#endif
