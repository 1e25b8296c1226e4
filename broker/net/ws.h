/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws - the transport WebSocket (RFC 6455), the server's end, on any other transport.
 *
 * MQTT's bytes are the payload of binary messages; where a message or a frame ends says nothing. A frame is
 * handed on as it comes and never gathered. What is read is the payload of one read below; what is written in
 * one call goes as one frame, up to WS_PAYLOAD_BYTES_MAX.
 *
 * Thread:  the connection's shard.
 * Memory:  struct ws, about 200 bytes; the bytes of the handshake until it is done; a control frame while one
 *          is there, and an answer to it. Of a frame that is cut nothing else: see ws_frame.h.
 * Limits:  websockets_headers_size; of PINGs that come before a PONG has gone the newest is answered.
 * Errors:  ERR_SYNTAX for a handshake or a frame that is wrong: `why` says what, and the status, of HTTP or
 *          in a Close, is output then. ERR_CLOSED after the peer's Close.
 * Tests:   tests/contract/transport_contract.c, tests/unit/test_ws.c, tests/fuzz/fuzz_ws.c
 */
#ifndef NET_WS_H
#define NET_WS_H

#include "net/transport.h"
#include "net/ws_http.h"

/* Of a frame we send. Peers bound a message, Jetty at 64 KiB, whatever the size of an MQTT packet. */
enum { WS_PAYLOAD_BYTES_MAX = 65535 };

extern const struct transport_ops transport_ws;

/* Puts itself on the transport. Shares the rules. ERR_NOMEM, and the transport is as it was. */
enum err ws_open(struct ws_rules *rules, struct transport *t);

#endif
