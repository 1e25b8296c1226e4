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
#include "base/check.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "msg/msg.h"
#include "session/fence.h"
#include "session/kept.h"
#include "session/qos2.h"
#include "session/shared.h"
#include "session/will.h"
#include "store/store.h"
#include "subs/subs.h"

/* Where a persistent session's messages come from. */
enum session_feed {
    FEED_LIVE,    /* everything up to now is in RAM; what is offered is taken */
    FEED_STORE,   /* there may be more in the store after session_kept.fed; what is offered is left to it */
    FEED_READING, /* as FEED_STORE, and a page has been asked for */
};

struct session_conf {
    struct bytes client_id;
    uint64_t session_no;
    bool persistent;
    uint32_t queue_messages_max; /* clean sessions; 0: no limit but bytes */
    uint32_t queue_bytes_max;    /* clean sessions */
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
    void *conn;                             /* the shard's connection; NULL: off line */
    struct session_entry *block, **blocks;  /* of entries, see ring.c */
    uint32_t blocks_room, head, sent, tail; /* [head, sent) sent, [sent, tail) waiting */
    uint32_t unacked;                       /* sent and not acknowledged: what the window counts */
    uint32_t window;                        /* the client's Receive Maximum, or ours */
    uint32_t expiry_s;                      /* UINT32_MAX: never */
    uint32_t keeping;                       /* the shard's: QoS 0 on its way into the queue */
    uint32_t foreign;                       /* entries in the ring with another broker's packet id */
    uint32_t queue_bytes_max,
        queue_messages_max;      /* what may wait of a clean session's; the second: 0 for any */
    uint32_t inflight_bytes_max; /* of payload under way; 0: no limit */
    uint64_t queued_bytes;       /* waiting */
    uint64_t dropped;            /* messages, by the limit of its queue, since this process began */
    struct qos2_out *exact;      /* QoS 2 on its way out; NULL: none */
    struct qos2_in inbound;
    struct map subs; /* struct sub by hash of its filter */
    struct session_will *will;
    const struct session_shared *shared; /* never NULL; written through session_shared_own */
    struct session_fence *fence;         /* NULL: nothing */
    uint64_t matched; /* the shard's: number of the match that touched it last, and where it stands there */
    uint32_t match_index;
    uint32_t identified; /* the shard's: of subs, how many have a subscription identifier */
    uint16_t block_room, last_place, client_id_bytes;
    uint8_t feed; /* enum session_feed */
    bool persistent;
    bool acks_dirty : 1; /* acknowledged since the last session_ack_state */
    bool acking : 1;     /* the shard's: stands in its list for a lazy ACK, by next_acking */
};

/* There may be a million of them that do nothing. */
static_assert(sizeof(struct session) <= 208, "an idle session is to stay small");
static_assert(sizeof(struct session) % _Alignof(struct session_kept) == 0, "struct session_kept follows it");

static inline const struct session_kept *session_kept(const struct session *s)
{
    return s->persistent ? (const struct session_kept *)(s + 1) : &session_kept_none;
}
/* Of a persistent session, to be written. */
static inline struct session_kept *session_kept_own(struct session *s)
{
    DCHECK(s->persistent);
    return (struct session_kept *)(s + 1);
}
static inline struct session *session_of_timer(struct wheel_timer *t)
{
    return (struct session *)(void *)CONTAINER(t, struct session_kept, timer) - 1;
}

enum err session_new(struct session **out, const struct session_conf *conf);
void session_free(struct session **owner);

static inline struct bytes session_client_id(const struct session *s)
{
    const char *at = (const char *)(s + 1);
    return bytes_of(s->persistent ? at + sizeof(struct session_kept) : at, s->client_id_bytes);
}

/* Are SUBSCRIBEs or UNSUBSCRIBEs not finished? */
static inline bool session_has_jobs(const struct session *s)
{
    return s->fence != NULL && !list_empty(&s->fence->jobs);
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

/* Is it time to ask the store for a page? Then ask for rows after `fed`, and call _reading. */
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

/* Memory is short: lets go of what waits for its turn beyond so many bytes, the newest first. Of a persistent
 * session the store has it; of a clean one it is dropped, and said how many. */
uint32_t session_shed(struct session *s, uint64_t keep_bytes);

/* The queue dropped its oldest, up to this seq: what of it has not been sent is not to be sent any more. */
void session_drop_upto(struct session *s, uint64_t seq);

#endif
