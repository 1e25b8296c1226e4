/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_int - the inside of peer: nodes, connections to them, what waits to be written.
 *
 *   connecting -> shaking (TLS) -> hello -> proof -> up -> dead
 *                                    |        |
 *                                    +--------+-> parting: we said no; the other side may read it -> dead
 *
 * A connection is made and freed in peer_run alone. Elsewhere it only dies: its socket is closed, its memory
 * and the sink's word of it wait for peer_run.
 *
 * Thread:  the owner's.
 * Memory:  struct peers has all of it.
 * Limits:  peer.h.
 * Errors:  a connection that cannot go on dies, with words.
 * Tests:   tests/unit/test_cluster_peer*.c
 */
#ifndef PEER_PEER_INT_H
#define PEER_PEER_INT_H

#include "peer/peer.h"
#include "wire/wire.h"
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    PEER_CHUNK_BYTES = 64 * 1024,
    PEER_CHUNKS_KEPT = 16,
    PEER_PARTS_MAX = 64,               /* of one writev */
    PEER_DIRECT_BYTES_MIN = 16 * 1024, /* payloads from here on are not copied while the socket takes them */
    PEER_INPUT_BYTES = 128 * 1024,     /* until a longer frame comes */
    PEER_TURN_BYTES = 1024 * 1024,     /* read of one connection in one peer_run */
    PEER_ACCEPTS_A_TURN = 16,
    PEER_EVENTS_A_TURN = 64,
    PEER_REMOTES_MAX = 2 * ZAB_NODES_MAX,
    PEER_PLANES = 2,
    PEER_LIVED_MS = 1000,  /* a connection that lived so long is dialled again at once */
    PEER_PARTING_MS = 500, /* for the other side to read why it is refused */
    PEER_PAUSE_MS = 100,   /* without descriptors, and between looks for a host's address */
    PEER_LOOK_MS = 5,
    PEER_WHERE_BYTES = 64,
    PEER_EXPORT_BYTES = 32,
};

enum peer_state { PEER_CONNECTING, PEER_SHAKING, PEER_HELLO, PEER_PROOF, PEER_UP, PEER_PARTING, PEER_DEAD };

struct peer_chunk {
    struct peer_chunk *next;
    uint32_t begin, end;
    uint8_t at[PEER_CHUNK_BYTES];
};

struct peer_queue {
    struct peer_chunk *first, *last;
    uint64_t bytes;
};

struct peer_conn {
    struct peer_conn *next; /* the newer ones come first */
    int fd;                 /* -1: dead */
    SSL *ssl;               /* NULL: none */
    uint8_t state;          /* enum peer_state */
    uint8_t plane;          /* enum wire_plane */
    bool is_dialler;
    bool has_input;   /* more than one turn reads, or inside of OpenSSL, where epoll does not see it */
    bool is_told;     /* the sink knows of the session */
    bool is_full;     /* the socket takes no more now */
    uint16_t peer;    /* 0: not known. Proven when it is up */
    uint32_t events;  /* what epoll looks for */
    uint64_t session; /* of the peer plane, when it is up */
    uint64_t end_ms;  /* UINT64_MAX: it may live */
    uint64_t up_ms;   /* since when */
    uint8_t ours[WIRE_HELLO_BYTES], theirs[WIRE_HELLO_BYTES];
    uint8_t shake[WIRE_HELLO_BYTES]; /* what is read until it is proven */
    uint8_t *in;                     /* and then; NULL before */
    uint32_t in_size, in_begin, in_end;
    struct peer_queue out;
    char where[PEER_WHERE_BYTES];
};

struct peer_lookup;

/* What we have, or try to have, with a node on one plane. */
struct peer_link {
    struct peer_conn *conn; /* up, or being dialled; NULL: none */
    struct peer_lookup *lookup;
    uint64_t dial_ms;
    uint32_t backoff_ms; /* 0: the next try is the first one */
    uint32_t tries;      /* they go round a host's addresses */
    uint64_t said;       /* hash of the last line */
};

struct peer_remote {
    uint16_t id;             /* 0: free */
    bool is_member, is_good; /* its address can be read */
    bool has_note;
    struct peer_address at;
    struct peer_link links[PEER_PLANES];
    uint8_t note[WIRE_NOTE_BYTES];
};

struct peer_door {
    int fd;
    uint64_t opens_ms; /* 0: open */
};

struct peers {
    struct peer_conf conf; /* pointers of it are not used after peer_open, but for the sink's */
    struct peer_address listens;
    uint8_t secret[PEER_SECRET_BYTES_MAX];
    uint32_t secret_bytes;
    SSL_CTX *tls; /* NULL: none */
    BIO_METHOD *socket;
    int epoll;
    struct peer_door doors[PEER_PLANES];
    struct peer_remote remotes[PEER_REMOTES_MAX];
    struct peer_conn *conns;
    struct peer_lookup *orphans; /* lookups that nobody waits for, and that cannot be stopped */
    struct peer_chunk *chunks;   /* kept */
    uint32_t chunks_count;
    bool has_dead;
    uint64_t now_ms, session, random, guest_said_ms;
    struct peer_stat stat;
    struct wire_out out;
    struct wire_scratch scratch;
};

/* peer.c */
struct peer_remote *peer_remote_find(struct peers *p, uint16_t id);
/* Makes one for a node that is not configured. NULL: there are too many. */
struct peer_remote *peer_remote_make(struct peers *p, uint16_t id);
/* The link that the connection belongs to, if it does. */
struct peer_link *peer_link_of(struct peers *p, const struct peer_conn *c);
/* A line for the operator, once until it is another one. r: NULL for who is not known, or has not
 * proven it: one a second. */
__attribute__((format(printf, 4, 5))) void peer_say(struct peers *p, struct peer_remote *r, int plane,
                                                    const char *format, ...);

/* conn.c */
struct peer_conn *peer_conn_new(struct peers *p, int fd, int plane);
/* Closes; why: words for the operator, NULL: he need not know. */
void peer_conn_kill(struct peers *p, struct peer_conn *c, const char *why);
void peer_conn_run(struct peers *p, struct peer_conn *c, uint32_t events);
/* Tells epoll what to look for. */
void peer_conn_watch(struct peers *p, struct peer_conn *c);
/* Bytes into the queue; false: it died. */
bool peer_conn_put(struct peers *p, struct peer_conn *c, struct bytes b);
/* Head and payload; a long payload goes to the socket first. */
bool peer_conn_send(struct peers *p, struct peer_conn *c, struct bytes head, struct bytes payload);
void peer_conn_flush(struct peers *p, struct peer_conn *c);
/* Proven: takes its place, and the place of an older one. */
void peer_conn_up(struct peers *p, struct peer_conn *c);
/* Tells the sink of the end of the dead, and frees them. */
void peer_conn_mourn(struct peers *p);
void peer_conn_bury(struct peers *p);

/* io.c: at most size bytes; 0: not now; -1: over. */
long peer_io_read(struct peer_conn *c, uint8_t *at, size_t size);
long peer_io_write(struct peer_conn *c, const struct iovec *parts, int count);

/* queue.c */
bool peer_queue_put(struct peers *p, struct peer_queue *q, struct bytes b); /* false: no memory */
int peer_queue_parts(const struct peer_queue *q, struct iovec parts[PEER_PARTS_MAX]);
void peer_queue_drop(struct peers *p, struct peer_queue *q, size_t bytes);
void peer_queue_fini(struct peers *p, struct peer_queue *q);
void peer_chunks_free(struct peers *p);

/* shake.c */
void peer_shake_begin(struct peers *p, struct peer_conn *c); /* the socket is connected */
void peer_shake_run(struct peers *p, struct peer_conn *c);

/* dial.c */
enum err peer_doors_open(struct peers *p, char *text);
void peer_accept(struct peers *p, int plane);
void peer_dial(struct peers *p);
uint64_t peer_dial_next_ms(const struct peers *p);
/* After a connection that was dialled has ended; up_ms: since when it was up, 0: never. */
void peer_dial_again(struct peers *p, struct peer_link *l, uint64_t up_ms);
void peer_lookup_forget(struct peers *p, struct peer_link *l);
void peer_orphans_free(struct peers *p);

/* tls.c */
enum err peer_tls_new(struct peers *p, char *text);
SSL *peer_tls_open(struct peers *p, int fd, bool is_dialler);
/* Is the certificate the node's? at: NULL when it is not configured. */
bool peer_tls_is(SSL *ssl, uint16_t id, const struct peer_address *at);

#endif
