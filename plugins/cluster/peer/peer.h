/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer - the sockets between the nodes of a cluster: frames in sessions, and notes.
 *
 * Two ports, as in ZooKeeper's server.N=host:peerPort:electionPort. Each pair of nodes has one connection to
 * each: the larger id dials both, again and again, and a new one takes the place of an older one. A proven
 * connection to the peer port is a session: frames in order, none lost, until it ends. Notes are best effort,
 * and only the newest waits. Who is in nobody's configuration may dial in when it proves the secret or
 * has a certificate. docs/cluster-wire.md has the bytes.
 *
 *   peer_open -> peer_members -> { wait for peer_fd or peer_next_ms; peer_run; ... peer_flush } -> peer_free
 *
 * Thread:  its owner's. The sink is called from peer_run only, and may call everything here but peer_run
 *          and peer_free.
 * Memory:  a session's input as long as its longest frame; its output as much as waits. A connection that has
 *          proven nothing costs a small fixed buffer, and what OpenSSL needs. What is sent is copied.
 * Limits:  struct peer_conf; ZAB_NODES_MAX nodes that are configured, and as many that are not.
 * Errors:  peer_open says in text what is wrong. Later ones end a connection: the sink's line says why, once
 *          for each reason; peer_stat counts.
 * Tests:   tests/unit/test_cluster_peer*.c, tests/fuzz/fuzz_cluster_peer.c
 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "base/bytes.h"
#include "base/err.h"
#include "zab/types.h"

struct peers;

enum {
    PEER_TEXT_BYTES = 512,
    PEER_GUESTS_MAX = 32, /* connections that have not proven anything; one more ends the oldest */
    PEER_SECRET_BYTES_MIN = 16,
    PEER_SECRET_BYTES_MAX = 1024,
};

/* "host:peerPort:electionPort", "[::1]:2888:3888". */
struct peer_address {
    char host[ZAB_ADDRESS_BYTES];
    uint16_t peer_port, election_port;
};

bool peer_address_parse(const char *text, struct peer_address *out);

struct peer_sink {
    void *arg;
    /* Each session comes up once and goes down once; the next one of the same peer comes up after that. */
    void (*link)(void *arg, uint16_t peer, uint64_t session, bool is_up);
    void (*frame)(void *arg, uint16_t peer, uint64_t session, const struct zab_frame *frame);
    void (*note)(void *arg, uint16_t from, const struct zab_note *note);
    /* For the log of the operator. NULL: nobody wants it. */
    void (*line)(void *arg, const char *text);
};

struct peer_conf {
    uint16_t id;                /* ours */
    uint64_t cluster;           /* nodes of another one are refused */
    struct peer_address listen; /* host "" or "*": all addresses; port 0: any that is free */
    struct bytes secret;        /* copied; empty: none */
    /* Mutual TLS; all three or none. The peer's certificate must have the name server.N, N being its id, or
     * the host of its address in the configuration. */
    const char *cafile, *certfile, *keyfile;
    uint64_t sessions_after;  /* sessions have greater numbers: more than any process of this node has used */
    uint64_t seed;            /* of the jitter */
    uint32_t queue_bytes_max; /* waiting for one session; beyond it the session ends; 0: 64 MiB */
    uint32_t hello_ms;        /* to connect and to prove; 0: 2000 */
    uint32_t retry_min_ms,
        retry_max_ms;    /* 0: 100, 1000; the first try after a session that lived is at once */
    uint32_t silence_ms; /* bytes that nobody acknowledges so long end a connection; 0: 3000 */
    struct peer_sink sink;
};

/* Listens. ERR_RANGE: conf makes no sense, as addresses beyond this machine with neither secret nor TLS;
 * ERR_SYS, ERR_NOMEM. text: PEER_TEXT_BYTES. */
enum err peer_open(struct peers **out, const struct peer_conf *conf, char *text);
void peer_free(struct peers **owner);

/* Where it listens; the ports are those that were bound. */
const struct peer_address *peer_listens(const struct peers *p);

/* Dials those with lesser ids, and ends the connections of those that are no longer there or have another
 * address; copied. Addresses that cannot be read are told, and not dialled. */
void peer_members(struct peers *p, const struct zab_members *members);

/* An epoll descriptor to wait for: readable when peer_run has something to do. */
int peer_fd(const struct peers *p);

/* Of the clock of now_ms; UINT64_MAX: nothing is waited for. Now, when something was sent and not flushed. */
uint64_t peer_next_ms(const struct peers *p);

/* Reads, and calls the sink; dials, gives up. What is to be written waits for peer_flush, so that an answer
 * to a client may go first. Bounded: what is left makes peer_fd readable, or peer_next_ms be now. now_ms does
 * not go back. */
void peer_run(struct peers *p, uint64_t now_ms);

/* False: the session is over, or it is now, for too much waits; its link goes down in the next peer_run. */
bool peer_send(struct peers *p, uint16_t peer, uint64_t session, const struct zab_frame *frame);

/* The newest note of a peer replaces an older one that waits. Nobody knows it: forgotten. */
void peer_tell(struct peers *p, uint16_t to, const struct zab_note *note);

/* Writes what was gathered since the last time, one call of the system for each connection. */
void peer_flush(struct peers *p);

/* Ends it at once. No frame of it comes any more; the link goes down in the next peer_run. */
void peer_close_session(struct peers *p, uint16_t peer, uint64_t session);

/* Bytes that wait in our memory to be written. UINT64_MAX: there is no such session. */
uint64_t peer_queued(const struct peers *p, uint16_t peer, uint64_t session);

struct peer_stat {
    uint64_t sessions;  /* that came up */
    uint64_t replaced;  /* by a newer connection */
    uint64_t refused;   /* hellos and proofs, ours by others and others' by us */
    uint64_t late;      /* hellos that took too long */
    uint64_t malformed; /* sessions and notes that broke the protocol */
    uint64_t overflows; /* sessions that ended because too much waited */
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
};

struct peer_stat peer_stat(const struct peers *p);

#endif
