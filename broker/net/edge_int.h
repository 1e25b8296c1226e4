/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge_int - what the lowest layer asks of the edge when it is done.
 *
 * Thread:  as edge.h.
 * Memory:  as edge.h.
 * Limits:  none.
 * Errors:  edge_climb leaves a transport that can be closed.
 * Tests:   tests/unit/test_proxy.c
 */
#ifndef NET_EDGE_INT_H
#define NET_EDGE_INT_H

#include "net/edge.h"

/* Puts on a socket what lies above the PROXY header; its `from` stays. */
enum err edge_climb(struct edge *e, struct transport *t);

/* Then only TLS knows who the peer is. */
bool edge_has_tls(const struct edge *e);

#endif
