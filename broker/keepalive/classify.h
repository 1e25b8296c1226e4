/* SPDX-License-Identifier: Apache-2.0 */
/*
 * classify - from what a broker sees of a connection to what it means: did the network forget it while it was
 * silent, or was it something else?
 *
 * The end of a connection seldom says; who comes back, when, and from where does. So there are two questions,
 * one at the end, and one at the next CONNECT of the same client from the same network. And ends that come
 * together have one cause, which is no client's silence: the outage filter.
 *
 * Thread:  the owner's; no locks.
 * Memory:  plain values of fixed size.
 * Limits:  KA_OUTAGES_MAX outages are remembered; what is older is taken as if it had been in one.
 * Errors:  none.
 * Tests:   tests/unit/test_classify.c, tests/sim/nat
 */
#ifndef KEEPALIVE_CLASSIFY_H
#define KEEPALIVE_CLASSIFY_H

#include "keepalive/learn.h"

enum ka_how {
    KA_END_NONE,       /* no end: nothing to judge */
    KA_END_DISCONNECT, /* DISCONNECT, or an end that the client has announced otherwise */
    KA_END_FIN,        /* closed by the other side without a word */
    KA_END_RESET,      /* ECONNRESET */
    KA_END_TIMED_OUT,  /* ETIMEDOUT: something that was sent was never acknowledged, or probes were not
                          answered */
    KA_END_SILENT,     /* closed by us: one and a half times the keepalive without a packet, and, as far as is
                          known yet, nothing of the client after that: see keepalive_excused */
    KA_END_TAKEN_OVER, /* by the next CONNECT of its client; keepalive_connected() follows */
    KA_END_OURS,       /* drain, kick, a limit, an error of protocol, our own end */
};

/* How a connection ended. Times by a clock that does not jump. */
struct ka_end {
    uint8_t how;            /* enum ka_how */
    uint16_t keepalive_s;   /* that the client obeys: its own, or what it was told; 0: none */
    uint32_t packet_s;      /* from the last packet from the client to the end */
    uint32_t silent_s;      /* the same from that, or from TCP's last acknowledgement, whatever was later */
    bool has_unacked;       /* something that we sent (a push, a probe) had not been acknowledged */
    uint32_t sent_gap_s;    /* has_unacked: silence in both directions before the oldest of these was sent */
    uint32_t sent_ago_ms;   /* has_unacked: from then to the end */
    uint32_t round_trip_ms; /* as TCP measured it; 0: not known */
};

/* What the end alone shows: a reset within about one round trip of a send. Else KA_NEUTRAL. */
struct ka_event ka_judge_end(const struct ka_end *end, uint16_t in_force_s);

/* What the end shows, now that the client has connected again from the same network, away_s after it. */
struct ka_event ka_judge_return(const struct ka_end *end, uint16_t in_force_s, uint32_t away_s);

/* What a sign of life after a gap means. */
enum ka_sign {
    KA_SIGN_PACKET, /* from the client */
    KA_SIGN_ACK,    /* TCP's, of a push or a probe that was sent after the gap */
    KA_SIGN_LATE,   /* either, but something sent before it had not been acknowledged in time: a radio gap */
};
struct ka_event ka_judge_sign(enum ka_sign sign, uint32_t gap_s, uint16_t in_force_s);

enum { KA_OUTAGES_MAX = 8, KA_OUTAGE_SECONDS = 64 };

/* Connections that come and go, and when too many went at once. */
struct ka_outages {
    uint32_t connections;
    int64_t second;                   /* of the last entry of lost */
    uint32_t lost[KA_OUTAGE_SECONDS]; /* in each second; a ring */
    struct {
        int64_t from_s, to_s;
    } past[KA_OUTAGES_MAX]; /* oldest first */
    uint8_t count;
    int64_t forgotten_s; /* outages up to here may have been forgotten */
};

void ka_outages_init(struct ka_outages *o, int64_t now_s);
void ka_outages_connected(struct ka_outages *o);
/* Gives whether this one has begun an outage. */
bool ka_outages_ended(struct ka_outages *o, const struct ka_conf *c, uint8_t how, int64_t now_s);

enum ka_answer { KA_NO, KA_YES, KA_TOO_EARLY };
/* Did what was lost at one time, and back at another, meet an outage? KA_TOO_EARLY: the window is still open.
 */
enum ka_answer ka_outages_ask(const struct ka_outages *o, const struct ka_conf *c, int64_t lost_s,
                              int64_t back_s, int64_t now_s);

#endif
