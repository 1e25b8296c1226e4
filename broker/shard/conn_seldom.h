/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_seldom - what few connections have, and most of them only until they are in: so that an idle one does
 * not carry a place for each.
 *
 * Thread:  the shard's; a hand-off gives it to another with the connection.
 * Memory:  a block of the connection's, from when there is something for it until conn_seldom_tidy or the
 *          end. What hangs on it is its owners'.
 * Limits:  none.
 * Errors:  NULL from conn_seldom without memory.
 * Tests:   tests/unit/test_shard_heir.c, tests/conformance
 */
#ifndef SHARD_CONN_SELDOM_H
#define SHARD_CONN_SELDOM_H

struct conn;
struct conn_auth;
struct heir;
struct login;
struct share_reader;
struct way;

struct conn_seldom {
    struct conn_auth *auth;      /* with an authentication method */
    struct login *login;         /* while its password is checked */
    struct heir *heir;           /* while it waits for the session of another connection */
    struct share_reader *reader; /* when it is a member of a group */
    struct way *way;             /* what is special about its keepalive (keepalive_way.h) */
    char *assigned_id;           /* a client id that we made, until CONNACK has told it */
};

/* Of a connection that has none of it: to be read, never written. conn.seldom is this one or its own, so it
 * is read without a question. */
extern const struct conn_seldom conn_seldom_none;

/* Its own, to be written: made now if it has none. */
struct conn_seldom *conn_seldom(struct conn *c);
/* Gives it up if there is nothing in it any more. */
void conn_seldom_tidy(struct conn *c);
/* The end: with the reader and the id; login, auth and heir are gone. */
void conn_seldom_end(struct conn *c);

#endif
