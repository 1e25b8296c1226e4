/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtc_link - one connection of a scenario: whole packets in, bytes out, every wait bounded. Below MQTT there
 * may be TLS and WebSocket, and below that a socket of TCP or of this machine.
 *
 * Thread:  one owner; no locks.
 * Memory:  owns the socket and what was read and not yet taken.
 * Limits:  each call waits at most wait_ms.
 * Errors:  false, or an enum mtc_got; errno is of no use afterwards. Trouble below MQTT is on stderr.
 * Tests:   tests/conformance/selftest
 */
#ifndef KIT_MTC_LINK_H
#define KIT_MTC_LINK_H

#include "kit/wire.h"

struct link_to {
    const char *host; /* a numeric address or a name */
    unsigned port;
    const char *path; /* of a Unix socket, instead of these; NULL: none */
    bool is_tls, is_websocket;
};

enum mtc_got { GOT_PACKET, GOT_CLOSE, GOT_SILENCE, GOT_HALF };

struct link {
    int fd; /* -1: not open */
    struct wire wire;
    struct out in;
    size_t packet_len; /* of the packet at the start of in that the caller looked at */
};

/* Handshakes and all. */
bool link_open(struct link *l, const struct link_to *to, int wait_ms);

/* False when the other side closed or does not read. */
bool link_send(struct link *l, const struct out *bytes, int wait_ms);

/* The next packet is the first l->packet_len bytes of l->in, until the next call. GOT_HALF: the connection
 * ended inside a packet, or the header has a length that cannot be. */
enum mtc_got link_next(struct link *l, int wait_ms);

/* The one of the two over which something came first, or which was closed; NULL when nothing happens. */
struct link *link_wait_either(struct link *a, struct link *b, int wait_ms);

/* Ends our direction, so that the other side knows that no more comes. */
void link_finish(struct link *l);
void link_close(struct link *l);

#endif
