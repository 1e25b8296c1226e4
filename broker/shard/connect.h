/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect - from a CONNECT to its CONNACK.
 *
 * Thread:  the shard's.
 * Memory:  the connection's.
 * Limits:  CONNECT_BYTES_MAX.
 * Errors:  a CONNECT that cannot be is refused, with a CONNACK where the client can read one.
 * Tests:   tests/conformance/3.1-connect
 */
#ifndef SHARD_CONNECT_H
#define SHARD_CONNECT_H

#include "shard/conn.h"

/* on_connect.c */
enum mqtt_rc on_connect(struct shard *sh, struct conn *c, const struct frame *f);
/* True when the packet begins a CONNECT of a session that lives on another shard: the connection is gone. */
bool connect_hand_over(struct shard *sh, struct conn *c, const struct frame *f, struct bytes unread);

/* What it says of itself: its version, and what it wishes. May be called again. */
void connect_learn(struct conn *c, const struct connect *p);

/* A CONNECT that is to go on later: a copy of its body; at is NULL without memory. What is kept has a
 * password in it, perhaps: it is wiped. */
struct bytes connect_keep(struct bytes body);
void connect_forget(struct bytes *kept);
/* Goes on where it had been left, and forgets it. */
void connect_go_on(struct shard *sh, struct conn *c, struct bytes *kept);

/* The CONNECT is right, and may come in. */
enum mqtt_rc connect_open(struct shard *sh, struct conn *c, const struct connect *p);

/* on_auth.c: a CONNECT with an authentication method; p is what body says. */
enum mqtt_rc auth_begin(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body);
/* A packet in the state AUTH; an AUTH in the state OPEN. */
enum mqtt_rc auth_dispatch(struct shard *sh, struct conn *c, const struct frame *f);
enum mqtt_rc on_auth(struct shard *sh, struct conn *c, const struct frame *f);
/* What a CONNACK or AUTH says of it. */
void auth_fill(const struct conn *c, struct props *props);
void auth_told(struct conn *c); /* and what it said need not be kept */
void auth_conn_gone(struct conn *c);

/* on_psk.c: the transport's handshake asks for a key. */
void psk_ask(struct shard *sh, struct conn *c);

/* connack.c: with a refusal, if the client has room for one, then the end. Gives MQTT_RC_OK. */
enum mqtt_rc connack_refuse(struct shard *sh, struct conn *c, enum mqtt_rc why);
/* Has the client room for its CONNACK [MQTT-3.1.2-24]? Asked before its session is touched. */
bool connack_fits(const struct shard *sh, const struct conn *c, uint32_t expiry_s);
void connack_send(struct shard *sh, struct conn *c);

#endif
