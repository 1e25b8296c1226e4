/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge - what a listener puts between a socket and MQTT: the layers that each of its connections has.
 *
 *   PROXY header, then TLS, then WebSocket; each of them or none.
 *
 * Thread:  made on main; edge_open on any shard; never changed after it is made.
 * Memory:  counted: a reload makes another one, and connections keep theirs while they need it.
 * Limits:  those of the layers.
 * Errors:  edge_new says in text what is wrong with which file or value, and what is allowed.
 * Tests:   tests/contract/transport_contract.c
 */
#ifndef NET_EDGE_H
#define NET_EDGE_H

#include "base/err.h"
#include "net/tls.h"
#include "net/transport.h"
#include "net/ws_http.h"

struct edge;

enum { EDGE_TEXT_BYTES = TLS_TEXT_BYTES };

struct edge_conf {
    unsigned proxy_versions;   /* PROXY_V1, PROXY_V2, both; 0: no header is expected */
    const char *proxy_trusted; /* who may send one: as sources.h has it */
    struct tls_conf tls;
    const struct edge
        *before; /* what the listener had until now, or NULL: its sessions of TLS may be resumed */
    bool is_websocket;
    struct ws_rules_conf ws;
};

enum err edge_new(struct edge **out, const struct edge_conf *conf, char text[EDGE_TEXT_BYTES]);
struct edge *edge_ref(struct edge *e);
void edge_unref(struct edge **owner);

/* Takes the descriptor: closes it when it fails. ERR_NOTFOUND: a PROXY header is expected, and this is none
 * of those who may send one. */
enum err edge_open(struct edge *e, int fd, struct transport *out);

#endif
