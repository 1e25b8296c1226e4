/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - what outlives a connection: subscriptions, the window of messages on their way, the will.
 *
 * A protocol machine without I/O. Messages are offered to it; session_next() says which to send next and
 * with which packet id, as long as the client's Receive Maximum allows; session_acked() takes PUBACKs.
 *
 *   offered -> waiting -> sent (packet id, counts against the window) -> acknowledged -> gone
 *
 * A clean session waits in RAM, within a limit. A persistent one keeps only a tail in RAM: what does not fit
 * is left to the store and read back in pages, in the order of seq (the states of enum session_feed).
 *
 * Thread:  owned by one shard; no locks.
 * Memory:  holds a reference to each message it has taken. Subscriptions are freed with it, but the caller
 *          takes them out of the index first.
 * Limits:  CLEAN_QUEUE_BYTES_MAX or conf->queue_*_max; TAIL_ENTRIES_MAX; SUBSCRIPTIONS_MAX; COPIES_MAX and
 *          NOTED_TOPICS_MAX.
 * Errors:  ERR_FULL: dropped by a limit, to be counted. ERR_NOMEM: the same, by the machine's.
 * Tests:   tests/unit/test_session.c, tests/unit/test_session_shed.c, tests/unit/test_session_ring.c
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "msg/msg.h"
#include "session/qos2.h"
#include "session/shared.h"
#include "session/will.h"
#include "store/store.h"
#include "subs/subs.h"
#include "wheel/wheel.h"

/* Where a persistent session's messages come from. */
enum session_feed {
    FEED_LIVE,    /* everything up to now is in RAM; what is offered is taken */
    FEED_STORE,   /* there may be more in the store after session.fed; what is offered is left to it */
    FEED_READING, /* as FEED_STORE, and a page has been asked for */
};

struct session_conf {
    struct bytes client_id;
    uint64_t session_no;
    bool persistent;
    uint32_t queue_messages_max; /* clean sessions; 0: no limit but bytes */
    uint64_t queue_bytes_max;    /* clean sessions */
};

enum session_entry_state {
    ENTRY_OPEN,     /* to be sent, or sent */
    ENTRY_RECEIVED, /* QoS 2: PUBREC came; its PUBREL waits for the journal */
    ENTRY_RELEASED, /* QoS 2: its PUBREL may go, or went */
    ENTRY_DONE,
};

/* One message on its way out. */
struct session_entry {
    struct msg *msg;
    uint64_t seq;   /* 0: of a clean session */
    uint16_t place; /* 1 to ID_ROUND_MAX, one after the other; 0: not sent by this process yet */
    uint8_t qos;
    uint8_t state; /* enum session_entry_state */
    bool retain;
    uint16_t packet_id; /* QoS 2: another broker's, known to the client; 0: none */
};

struct session {
    uint64_t session_no, claim_no;
    void *conn; /* the shard's connection; NULL: off line */
    struct session *next_acking;
    struct wheel_timer timer; /* expiry, or the will's delay; off line only */
    uint64_t expires_ms;      /* with the timer: when the session ends; UINT64_MAX: never */
    uint32_t expiry_s;        /* UINT32_MAX: never */
    bool persistent;
    uint8_t feed;    /* enum session_feed */
    bool acks_dirty; /* acknowledged since the last session_ack_state */
    bool acking;     /* the shard's: stands in its list for a lazy ACK, by next_acking */

    struct session_entry *block, **blocks;              /* of entries, see ring.c */
    uint32_t blocks_room, block_room, head, sent, tail; /* [head, sent) sent, [sent, tail) waiting */
    uint32_t unacked; /* sent and not acknowledged: what the window counts */
    uint32_t window;  /* the client's Receive Maximum, or ours */
    uint16_t last_place, client_id_bytes;
    uint32_t keeping;                       /* the shard's: QoS 0 on its way into the queue */
    uint32_t foreign;                       /* entries in the ring with another broker's packet id */
    uint64_t queued_bytes, queue_bytes_max; /* waiting; its limit */
    uint64_t dropped;      /* messages, by the limit of its queue, since this process began */
    uint64_t fed;          /* the highest seq taken into the ring */
    uint64_t finished;     /* the highest seq acknowledged */
    uint64_t dropped_upto; /* its queue's limit cost what was not sent up to here */
    uint64_t resent_upto;  /* entries up to here may have been sent before this process began */
    uint32_t queue_messages_max, inflight_bytes_max; /* the second: of payload under way; 0: no limit */
    struct qos2_out *exact;                          /* QoS 2 on its way out; NULL: none */
    struct qos2_in inbound;

    struct map subs;     /* struct sub by hash of its filter */
    uint32_t identified; /* the shard's: of them, how many have a subscription identifier */
    struct session_will *will;
    struct session_shared shared;
    struct list jobs; /* the shard's: its SUBSCRIBEs and UNSUBSCRIBEs that are not finished */
    uint32_t jobs_count;
    uint32_t fences;
    struct map noted;           /* by topic: retained messages that came live while fences > 0 */
    uint64_t notes, notes_lost; /* how many were ever made; up to which they have been thrown away */
    struct map copies;          /* by topic: retained copies on their way through the journal */
    uint32_t copies_count, voided_count, voided_room;
    uint64_t *voided; /* entries of this seq are finished instead of sent */
    uint64_t matched; /* the shard's: number of the match that touched it last, and where it stands there */
    uint32_t match_index;
    char client_id[];
};

enum err session_new(struct session **out, const struct session_conf *conf);
void session_free(struct session **owner);

static inline struct bytes session_client_id(const struct session *s)
{
    return bytes_of(s->client_id, s->client_id_bytes);
}

/* A connection takes the session: sent entries will be sent again, with DUP and their ids, in order
 * [MQTT-4.4.0-1]. window is 1 to 65,535. */
void session_attach(struct session *s, void *conn, uint32_t window);

/* The connection is gone. A persistent session lets go of what it has not sent: the store has it. */
void session_detach(struct session *s);

/* A message for this session, QoS 1 or 2, or one of QoS 0 that waits in its queue. Shares msg when it takes
 * it. ERR_AGAIN: left to the store. */
enum err session_offer(struct session *s, const struct store_row *row);

/* The next packet to send now, if any; marks it sent. Lends the message until it is acknowledged. */
struct session_send {
    struct msg *msg;
    uint16_t id;
    uint8_t qos;
    bool dup, retain;
    bool is_void;    /* to be skipped */
    bool is_release; /* a PUBREL: only the id counts */
};
bool session_next(struct session *s, struct session_send *out);

/* Would a clean session take this message (NULL: any) now? */
bool session_has_room(const struct session *s, const struct msg *m);

/* What session_next gave just now was of QoS 0, or cannot be sent (expired, too large): finished. */
void session_skip(struct session *s, const struct session_send *given);
/* Is what session_next gave some time ago still to be answered, or to be skipped? */
bool session_awaits(const struct session *s, const struct session_send *given);

/* PUBACK. False: no such packet id is on its way with QoS 1. */
bool session_acked(struct session *s, uint16_t id);

/* Has a message gone out with this packet id, and is not finished? */
bool session_in_flight(const struct session *s, uint16_t id);

/* Up to which seq may the client have seen entries that it has not acknowledged? 0: none. */
uint64_t session_sent_upto(const struct session *s);

/* Is it time to ask the store for a page? Then ask for rows after s->fed, and call _reading. */
bool session_wants_page(const struct session *s);
void session_reading(struct session *s);

/* The page came: takes its rows. An empty page whose snapshot is the present makes the session live. */
void session_page(struct session *s, struct store_page *page);

/* For a lazy ACK command: cursor and the entries at or below it that are open. Writes at most `room` of
 * them; gives how many there are. */
uint32_t session_ack_state(struct session *s, uint64_t *cursor, uint64_t *open, uint32_t room);

/* Has this entry of a persistent session been acknowledged, or dropped, in this process? The store may not
 * know yet. */
bool session_has_finished(const struct session *s, uint64_t seq);

/* While a SUBSCRIBE waits for its retained messages, or such a one is on its way through the journal,
 * remembers which were delivered live: the version of the newest for each topic, known by its hash. */
void session_fence_begin(struct session *s);
void session_fence_note(struct session *s, uint64_t topic_hash, uint64_t version);
/* Did this version or a newer one of the topic come live, after s->notes was `since`? Not if it says no and
 * s->notes_lost is above what s->notes was at a fence before the version was read: then nobody knows. */
bool session_fence_saw(const struct session *s, uint64_t topic_hash, uint64_t version, uint64_t since);
void session_fence_end(struct session *s);

/* A retained copy goes through the journal to this session. ERR_FULL: not now, see session_copy_room. */
enum err session_copy_begin(struct session *s, uint64_t topic_hash);
bool session_copy_room(const struct session *s);
/* It has arrived, as the entry seq, to be offered now (0: it was dropped). If something newer of its topic
 * came live meanwhile, the entry is given out as void when its turn comes, and finished by session_skip. */
void session_copy_end(struct session *s, uint64_t topic_hash, uint64_t version, uint64_t seq);

/* Memory is short: lets go of what waits for its turn beyond so many bytes, the newest first. Of a persistent
 * session the store has it; of a clean one it is dropped, and said how many. */
uint32_t session_shed(struct session *s, uint64_t keep_bytes);

/* The queue dropped its oldest, up to this seq: what of it has not been sent is not to be sent any more. */
void session_drop_upto(struct session *s, uint64_t seq);

#endif
