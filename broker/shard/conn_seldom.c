/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/conn_seldom.h"
#include "shard/conn.h"
#include "shard/shares.h"
#include <stdlib.h>

const struct conn_seldom conn_seldom_none;

static struct conn_seldom *own(const struct conn *c)
{
    return c->seldom == &conn_seldom_none ? NULL : (struct conn_seldom *)(uintptr_t)c->seldom;
}

struct conn_seldom *conn_seldom(struct conn *c)
{
    if (own(c) != NULL) return own(c);
    struct conn_seldom *s = calloc(1, sizeof *s);
    if (s != NULL) c->seldom = s;
    return s;
}

static void drop(struct conn *c)
{
    free(own(c));
    c->seldom = &conn_seldom_none;
}

void conn_seldom_tidy(struct conn *c)
{
    const struct conn_seldom *s = c->seldom;
    bool is_empty = s->auth == NULL && s->login == NULL && s->heir == NULL && s->reader == NULL;
    if (is_empty && s->way == NULL && s->assigned_id == NULL) drop(c);
}

void conn_seldom_end(struct conn *c)
{
    struct conn_seldom *s = own(c);
    if (s == NULL) return;
    share_reader_unref(&s->reader);
    free(s->assigned_id);
    free(s->way);
    drop(c);
}
