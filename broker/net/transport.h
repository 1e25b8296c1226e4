/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport - bytes to and from one peer. The interface; each other file of its kind implements it.
 *
 * A connection has one transport, which may stand on another one: WebSocket on TLS on TCP.
 *
 * Thread:  the connection's shard; a hand-off gives it to another with the connection.
 * Memory:  a value in the connection; what an implementation needs beyond that hangs on `state`.
 * Limits:  TRANSPORT_PARTS_MAX runs of bytes a write.
 * Errors:  ERR_AGAIN: nothing now, the loop will tell; ERR_CLOSED: the peer is gone, in good order or not;
 *          ERR_SYNTAX: it does not speak this transport; ERR_SYS.
 * Tests:   tests/contract/transport_contract.c, on every implementation; tests/unit/test_net.c
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include "base/bytes.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { TRANSPORT_PARTS_MAX = 64 };

/* What a transport asks of the loop after a call, beyond telling it of input. */
enum {
    TRANSPORT_WANTS_WRITE = 1, /* a read goes on only when the descriptor takes output */
    TRANSPORT_HAS_INPUT = 2,   /* a read gives something, and no event will say so */
    TRANSPORT_SHAKES = 4,      /* its handshake goes on: the next read may cost milliseconds */
    TRANSPORT_HAS_OUTPUT = 8, /* of its own, a PONG perhaps: a write without parts when output is taken; after
                               * a read that failed they are last words, to be flushed before the end */
    TRANSPORT_ASKS = 32,      /* its handshake waits for the answer to `ask` */
    TRANSPORT_RESUMED = 16,   /* told by the read that ends a handshake: it took an earlier session up */
};

struct epoll_event;
struct net_address;
struct transport_ops;

struct transport {
    const struct transport_ops *ops;
    int fd;
    uint8_t needs;            /* TRANSPORT_*; true after each call */
    uint32_t overhead_bytes;  /* of the last read: headers, which cost more than what they frame */
    void *state;              /* of the implementation */
    const char *why;          /* after ERR_SYNTAX: what the peer did wrong, in words; a static text */
    struct net_address *from; /* of the client, when a proxy has told; NULL: what the descriptor says */
};

/* Whom the transport knows its peer as: from its certificate or pre-shared key. */
enum transport_identity { TRANSPORT_COMMON_NAME, TRANSPORT_SUBJECT, TRANSPORT_PSK };

/* What a handshake has to know from elsewhere: the pre-shared key of whom the peer says that it is. */
enum transport_answer {
    TRANSPORT_ASK_OPEN,  /* not answered */
    TRANSPORT_ASK_KEY,   /* `key` is it */
    TRANSPORT_ASK_OWN,   /* it may look in what it has itself */
    TRANSPORT_ASK_REFUSE /* there is none */
};

enum { TRANSPORT_KEY_BYTES_MAX = 256, TRANSPORT_NAME_BYTES_MAX = 128 };

struct transport_ask {
    const char *hint; /* of the listener */
    char identity[TRANSPORT_NAME_BYTES_MAX + 1];
    uint8_t answer; /* enum transport_answer */
    uint16_t key_bytes;
    uint8_t key[TRANSPORT_KEY_BYTES_MAX];
};

/* What the system knows of the way to the peer. */
struct transport_facts {
    uint32_t unanswered_bytes; /* written, and not acknowledged */
    bool is_full; /* and nothing of it is under way: the peer has acknowledged all that it has room for */
    uint32_t round_trip_ms;
    uint32_t sent_ms,
        ack_ms;     /* since the last of our bytes went out, and since the peer acknowledged anything */
    uint8_t probes; /* of the system's own that nobody has answered, since the last answer */
    bool is_over,
        has_finished; /* a reset, or too long without an answer; the peer has said that it is the end */
};

/* What the system does by itself on an idle connection, which the peer's system answers by itself. */
struct transport_probe {
    uint16_t idle_s;  /* a probe after so much silence; 0: none any more */
    uint16_t again_s; /* and again, while nobody answers, */
    uint8_t most;     /* so often: then it is over; 127 at the most */
};

struct transport_ops {
    const char *name;
    bool is_bare; /* nothing is said below the bytes: once they are written, close is as good an end as `end`
                   */
    /* Does what epoll_ctl does for this loop: from now on it hears of the transport what `e` says. */
    enum err (*watch)(struct transport *t, int epoll_fd, int op, struct epoll_event *e);
    /* Reads at most size bytes; *got is above 0 when ERR_OK. A handshake is part of reading: ERR_AGAIN until
     * it is done. */
    enum err (*read)(struct transport *t, void *at, size_t size, size_t *got);
    /* Writes as much as goes now, from the first of the parts on. After ERR_AGAIN, or when not all has gone,
     * the next call begins with the same bytes, and has no fewer. */
    enum err (*write)(struct transport *t, struct iovec *parts, int count, size_t *wrote);
    /* Text that ends with a NUL. ERR_NOTFOUND: it does not know; ERR_SYNTAX: what it knows is no text, has a
     * NUL inside, or does not fit. */
    enum err (*identity)(const struct transport *t, enum transport_identity which, char *out, size_t size);
    /* While TRANSPORT_ASKS: what it asks, for the answer, with which the next read goes on. NULL as an
     * operation: it never does. */
    struct transport_ask *(*ask)(const struct transport *t);
    /* The peer's certificate, an X509 of OpenSSL; gives a reference, for transport_certificate_free. NULL:
     * none; NULL as an operation: it never has one. */
    void *(*certificate)(const struct transport *t);
    /* One call of the system, for moments that matter. False, or NULL as an operation: nothing is known. */
    bool (*facts)(const struct transport *t, struct transport_facts *out);
    /* How long written bytes may stay unanswered until it is over; 0: as the system likes. NULL as an
     * operation, and below: there is no such thing. */
    void (*patience)(struct transport *t, uint32_t ms);
    void (*probe)(struct transport *t, const struct transport_probe *p);
    /* No more will be written; what was written still reaches the peer. */
    void (*end)(struct transport *t);
    /* And frees `state` and `from`. */
    void (*close)(struct transport *t);
};

/* tls_who.c */
void transport_certificate_free(void *certificate);

/* The bottom of all: a socket, of TCP or of this machine. */
extern const struct transport_ops transport_tcp;

/* socket.c: of the descriptor, whatever stands on it. */
bool socket_facts(const struct transport *t, struct transport_facts *out);
void socket_patience(struct transport *t, uint32_t ms);
void socket_probe(struct transport *t, const struct transport_probe *p);

#endif
