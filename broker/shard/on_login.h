/* SPDX-License-Identifier: Apache-2.0 */
/*
 * on_login - whether a CONNECT may come in, and what its client may do then, by access/access.h.
 *
 *   CONNECT with a user name, and a password file -> AUTH: delayed, perhaps; hashed by a worker -> let in, or
 *   refused. Its CONNECT is kept meanwhile, and nothing more is read.
 *
 * What holds is what the connection's door has now: after a reload that is the new one, at once.
 *
 * Thread:  the shard's.
 * Memory:  the connection's, with the password in it; wiped when the answer is there.
 * Limits:  the workers' queue: above it a client is told to come later.
 * Errors:  none of its own.
 * Tests:   tests/e2e/test_access.py, tests/e2e/test_tls_options.py
 */
#ifndef SHARD_ON_LOGIN_H
#define SHARD_ON_LOGIN_H

#include "access/access.h"
#include "codec/codec.h"
#include "shard/conn.h"
#include "shard/shard_int.h"

/* Puts what the listener says in the place of what the client says: the name in its certificate for the user
 * name, the user name for the client id. */
enum mqtt_rc login_identify(const struct shard *sh, struct conn *c, struct connect *p);

/* The CONNECT is right; p is what body says. Lets it in, or refuses it, now or later. */
enum mqtt_rc login_begin(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body);

/* Plugins were asked first, and none has decided. As with mosquitto, a user name that nobody knows is refused
 * then, whatever is allowed to those without one. */
enum mqtt_rc login_deferred(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body);

void login_log_failed(struct shard *sh, const struct conn *c, struct bytes username);

/* Its timer has fired. False: no login waits for that. */
bool login_wake(struct shard *sh, struct conn *c);

/* It is in: keeps its user name. */
bool login_keep_name(struct conn *c, const struct connect *p);

void login_conn_gone(struct conn *c);

/* The view has changed: ends the connection if its user may not be here any more. */
void login_recheck(struct shard *sh, struct conn *c);

/* --- rights */

bool login_may(const struct access *a, const struct conn *c, struct bytes topic, enum access_right right);

static inline bool conn_may(const struct shard *sh, const struct conn *c, struct bytes topic,
                            enum access_right right)
{
    const struct access *a = sh->view->doors[c->listener->door].access;
    return a == NULL || login_may(a, c, topic, right);
}

bool login_may_deliver(struct shard *sh, const struct access *a, const struct conn *c, struct bytes topic);

/* May this go to its client? Counts it if not. */
static inline bool conn_may_get(struct shard *sh, const struct conn *c, struct bytes topic)
{
    const struct access *a = sh->view->doors[c->listener->door].access;
    return a == NULL || login_may_deliver(sh, a, c, topic);
}

/* A will that its client may not publish now is never published: its connection ends, or has ended and the
 * will's delay is over. With plugins the file is asked when they are (shard/hook_will.h). */
void login_check_will(struct shard *sh, struct conn *c);
bool login_may_late_will(const struct shard *sh, const struct session *s);
void login_deny_will(struct shard *sh, struct session *s);

#endif
