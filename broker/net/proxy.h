/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy - the PROXY protocol, versions 1 and 2: a header in which a proxy tells whom it speaks for.
 *
 * It is the lowest layer and the first to go: when the header has come whole, and not a byte more has been
 * read, the transport becomes what lies above it, with `from` set. Who may send one is the edge's to know.
 *
 * Thread:  the connection's shard; proxy_parse any.
 * Memory:  a block of less than 1 KiB while the header comes; a name in a certificate that was told stays.
 * Limits:  PROXY_V1_BYTES_MAX; of version 2 PROXY_SEEN_BYTES are looked at, and what comes after them, up to
 *          the 64 KiB of its format, is read and forgotten. Time: connect_timeout_s.
 * Errors:  ERR_SYNTAX, and the transport's `why`.
 * Tests:   tests/unit/test_proxy.c, tests/fuzz/fuzz_proxy.c, tests/e2e/test_proxy.py
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "base/bytes.h"
#include "net/address.h"

struct edge;

enum { PROXY_V1 = 1, PROXY_V2 = 2 }; /* bits: versions that are taken */

enum {
    PROXY_FIRST_BYTES = 15,   /* the shortest header of all: "PROXY UNKNOWN\r\n" */
    PROXY_V1_BYTES_MAX = 107, /* with its CR LF */
    PROXY_V2_BYTES = 16,      /* before addresses */
    PROXY_TLVS_BYTES = 536,   /* that are looked at: what the specification says must be enough */
    PROXY_SEEN_BYTES = PROXY_V2_BYTES + 216 + PROXY_TLVS_BYTES,
    PROXY_NAME_BYTES = 256, /* of a certificate: its Common Name has at most 64 characters */
};

struct proxy_header {
    uint32_t bytes;          /* of all of it; 0: not known yet */
    bool is_told;            /* `from` is the client's address; else it is the proxy's own connection */
    struct net_address from; /* told */
    struct bytes
        name; /* in the client's certificate, which the proxy has verified; inside of what was parsed */
};

/* Looks at the beginning of a connection. ERR_AGAIN: it is not whole yet. ERR_SYNTAX: it is none; *why says
 * in words what is wrong. Of a header that is larger than PROXY_SEEN_BYTES it needs only so many. */
enum err proxy_parse(struct bytes in, unsigned versions, struct proxy_header *out, const char **why);

/* Puts it on a bare socket. When it fails the transport is as it was. What the edge has above it comes by
 * itself: edge_climb. Shares the edge. */
enum err proxy_open(struct edge *e, unsigned versions, struct transport *t);

#endif
