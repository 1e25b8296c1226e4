/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws - the transport WebSocket (RFC 6455), the server's end, on any other transport.
 *
 * MQTT's bytes are the payload of binary messages; where a message or a frame ends says nothing. A frame is
 * handed on as it comes and never gathered. What is read is the payload of one read below; what is written in
 * one call goes as one frame, up to WS_PAYLOAD_BYTES_MAX.
 *
 * Thread:  the connection's shard.
 * Memory:  struct ws, about 200 bytes; until the handshake is done also its bytes, at most
 * websockets_headers_size; while one is there, a control frame and an answer to it. Nothing else: see
 * ws_frame.h. Limits:  of PINGs that come in one read, or before the PONG has gone, the newest is answered.
 * Errors:  ERR_SYNTAX for a handshake or a frame that is wrong; `why` says what. The status, of HTTP or a
 * Close, is then output. ERR_CLOSED after the peer's Close. Tests:   tests/contract/transport_contract.c,
 * tests/unit/test_ws.c, tests/fuzz/fuzz_ws.c
 */
#ifndef NET_WS_H
#define NET_WS_H

#include "net/transport.h"
#include "net/ws_http.h"

/* Clients and what stands between may bound a message, Jetty at 64 KiB: below, whatever the size of a packet.
 */
enum { WS_PAYLOAD_BYTES_MAX = 65535 };

extern const struct transport_ops transport_ws;

/* Puts itself on the transport. Shares the rules. ERR_NOMEM, and the transport is as it was. */
enum err ws_open(struct ws_rules *rules, struct transport *t);

#endif
