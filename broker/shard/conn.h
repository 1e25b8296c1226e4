/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn - one network connection: its bytes in and out, and where it stands.
 *
 *   NEW -> (CONNECT) -> AUTH -> WAITING -> (journal) -> OPEN -> ENDING -> CLOSED
 *     \________________\______________________________/
 *
 *   NEW      no CONNECT yet; perhaps handed to the shard of its client id
 *   AUTH     its password is checked, or what its method says, or it waits for who has its session (heir.h)
 *   WAITING  CONNACK waits for the journal; nothing more is read
 *   OPEN     in its session
 *   ENDING   we have said why and will write no more; what comes is thrown away until the peer closes, or, if
 *            it has asked for the end itself, until what we had to say has gone
 *   CLOSED   freed at the end of the turn
 *
 * Thread:  its shard's; a hand-off gives it to another.
 * Memory:  input and output buffers exist only while there is something in them.
 * Limits:  one packet of input: max_packet_size; output: see out.h.
 * Errors:  a connection that fails is ended; its session knows what to do.
 * Tests:   tests/conformance, tests/fuzz
 */
#ifndef SHARD_CONN_H
#define SHARD_CONN_H

#include "base/list.h"
#include "base/mailbox.h"
#include "codec/codec.h"
#include "net/transport.h"
#include "shard/conn_out.h"
#include "shard/conn_seldom.h"
#include "shard/out.h"
#include "wheel/wheel.h"

struct acks;
struct alias_in;
struct alias_out;
struct guard;
struct hooked;
struct shard;
struct session;
struct subscribe_job;
struct shards_listener;
struct command;

enum conn_state { CONN_NEW, CONN_AUTH, CONN_WAITING, CONN_OPEN, CONN_ENDING, CONN_CLOSED };

/* Why a connection is not read for the moment. */
enum {
    PAUSE_CREDIT = 1,
    PAUSE_ACKS = 2,
    PAUSE_CONNACK = 4,
    PAUSE_DEFERRED = 8,
    PAUSE_JOBS = 16,
    PAUSE_OUTPUT = 32,
    PAUSE_JOURNAL = 64,
    PAUSE_RATE = 128,
    PAUSE_HOOKS = 256,
    PAUSE_READS = 512,
    PAUSE_FILTERS = 1024,
    PAUSE_LATE = 2048,
    PAUSE_ADMISSION = 4096
};

/* What CONNACK has told it of what it may do: that holds as long as it is connected. */
struct conn_told {
    uint32_t packet_bytes;
    uint16_t receive_max, alias_max;
    uint8_t qos;
    bool retains;
};

struct conn {
    struct transport transport;
    union {
        struct wheel_timer timer;
        struct mail mail;       /* for a hand-off: then it has no timer */
        struct conn *next_dead; /* nor when it is closed */
    };
    uint64_t id; /* slot and its generation: a stale one finds nothing */
    struct session *session;
    struct shards_listener *listener;
    struct list dirty; /* of sh->dirty, or of sh->late */
    struct list credit_waiter, late_waiter;
    struct conn *next_ready;
    uint64_t seen_ms; /* the last whole packet, or enough of one */
    uint64_t part_ms; /* since when a packet is not whole, or enough of it has come; 0: there is none */
    uint64_t had;     /* of the shard's work: not less than who was served when it wanted something */
    struct out out;
    uint8_t *in;                            /* an incomplete packet */
    uint32_t in_bytes, in_room, part_bytes; /* the last: of it at part_ms */
    uint16_t asks;                          /* so much of the shard's work at a time, on average */
    uint8_t lacks;                          /* reads of WORK_READ_BYTES, or more, for the rest of a packet */
    bool gathers;                           /* it had much when its output of messages to many was written */
    struct acks *acks;
    struct subscribe_job *asking; /* of which filters are still to be taken */
    char *username;               /* NULL: none, or not known yet */
    struct alias_in *alias_in;
    struct alias_out *alias_out;
    struct hooked *hooked;            /* what plugins know of it; NULL: its listener has none */
    struct guard *guard;              /* NULL: its listener has no limits that need one */
    const struct conn_seldom *seldom; /* never NULL; written through conn_seldom */
    size_t journal_bytes;             /* of its publishes that wait for the journal */
    uint32_t jobs_count;              /* its SUBSCRIBEs and UNSUBSCRIBEs that are not finished */
    uint32_t max_packet;              /* the client's, or PACKET_BYTES_MAX */
    struct conn_told told;
    uint32_t deferred;  /* publishes that reach even clean receivers at their completion */
    uint32_t taken;     /* bytes it has taken since slow.c looked */
    uint16_t alias_max; /* the client's Topic Alias Maximum; 0: it takes none */
    uint16_t keepalive_s, paused;
    uint8_t version, state;
    uint8_t watched; /* what epoll tells of it: EPOLLIN, EPOLLOUT */
    bool is_dirty : 1, is_ready : 1, is_queued : 1, has_rest : 1, is_slow : 1;
    bool wants_write : 1, blocked : 1, handed_over : 1;
    bool session_present : 1, limited_keepalive : 1, wants_reasons : 1, wants_response_info : 1;
    bool is_vouched : 1,
        is_proven : 1;            /* its user name is its certificate's; it has shown its user's password */
    bool is_mounted : 1;          /* it is below a mount_point */
    bool is_admitted : 1;         /* its CONNECT has been looked at, and may go on; see admission.h */
    bool is_way : 1;              /* the learner of keepalives knows of it (keepalive_way.h) */
    bool is_pushed : 1;           /* a PUBLISH was not acknowledged when this was last asked, */
    bool is_patient : 1;          /* and TCP has tcp_user_timeout for it; */
    bool is_spoiled : 1;          /* a PUBLISH has gone since its last packet */
    bool doomed : 1, hung_up : 1; /* to be dropped when its output is flushed; its peer takes nothing more */
    bool is_polled : 1;           /* epoll has been told of it */
    bool is_over : 1;             /* its client has asked for the end, and waits for no last words */
};

/* There may be a hundred thousand of them that do nothing. */
static_assert(sizeof(struct conn) <= 336, "an idle connection is to stay small");

/* Accepts what a listener has. */
void conn_accept(struct shard *sh, uint32_t listener);
/* Takes the transport of a new connection, which its listener has counted already. */
void conn_begin(struct shard *sh, const struct transport *t, struct shards_listener *l);

void conn_event(struct shard *sh, uint64_t id, uint32_t events); /* conn_in.c: epoll says so */
/* Input, of this turn's events and what earlier ones have left, within the turn's work; and handshakes,
 * within a budget of time. */
void conn_run_more(struct shard *sh);
bool conn_run_claims(struct shard *sh); /* of it, who asks for little. True: they are done, and others wait */
bool conn_has_input(const struct shard *sh);
/* It has something to do that is counted: in its turn. */
void conn_queue(struct shard *sh, struct conn *c);
void conn_run_shaking(struct shard *sh);

/* Into the loop, out of it, and the end of it all. False: no room; it is the caller's still. */
bool conn_join(struct shard *sh, struct conn *c);
void conn_leave(struct shard *sh, struct conn *c);
void conn_destroy(struct shard *sh, struct conn *c);

/* Tells epoll what it waits for now; or only when epoll does not know. */
void conn_watch(struct shard *sh, struct conn *c);
void conn_watch_changes(struct shard *sh, struct conn *c);
struct conn *conn_find(struct shard *sh, uint64_t id); /* NULL when it is gone */
void conn_timer(struct wheel_timer *t, void *shard);
/* When to look whether it is silent, if it is due then: with others, so that ten thousand that do nothing do
 * not wake the loop a hundred times a second. A 64th of its silence late at most, and a second. */
uint64_t conn_look_ms(const struct conn *c, uint64_t due_ms);

/* Bytes of its publishes that the journal has, so that a fast one cannot bury a slow disk. */
void conn_journal_take(struct shard *sh, struct conn *c, const struct command *cmd);
void conn_journal_give(struct shard *sh, struct conn *c, const struct command *cmd);

void conn_pause(struct shard *sh, struct conn *c, uint16_t why);
void conn_resume(struct shard *sh, struct conn *c, uint16_t why);

/* The peer broke the protocol, or must go: says why (v5) and ends. The session's will is published unless
 * the session has been taken from the connection before. */
void conn_end(struct shard *sh, struct conn *c, enum mqtt_rc why);
/* Says nothing more and ends once what was written has gone. */
void conn_end_quietly(struct shard *sh, struct conn *c);
/* The client has asked for the end, and will say nothing more: closed without waiting for its close. */
void conn_end_as_asked(struct shard *sh, struct conn *c);
/* A read has failed: says of whom the transport complains, lets it say its last words, or drops at once. */
void conn_failed(struct shard *sh, struct conn *c, enum err rc);
/* Nobody takes what we say any more; what the peer said before, a DISCONNECT perhaps, is read to its end. */
void conn_hang_up(struct shard *sh, struct conn *c);
/* The network is gone. May publish the will, so never in the middle of a delivery: conn_doom is for that. */
void conn_drop(struct shard *sh, struct conn *c);
/* Drops it when the turn's output is flushed. */
void conn_doom(struct shard *sh, struct conn *c);
void conn_cut(struct shard *sh, struct conn *c); /* forgets what ties it to its session */
void conn_free_dead(struct shard *sh);
/* Reads on where a pause had stopped. */
void conn_run_ready(struct shard *sh);

/* dispatch.c: one packet. */
enum mqtt_rc dispatch(struct shard *sh, struct conn *c, const struct frame *f);

/* on_publish.c, on_qos2.c, on_subscribe.c, on_end.c */
enum mqtt_rc on_publish(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_puback(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_pubrec(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_pubrel(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_pubcomp(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_subscribe(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_unsubscribe(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_disconnect(struct shard *sh, struct conn *c, const struct frame *f);

#endif
