/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/guard.h"
#include "base/bucket.h"
#include "net/address.h"
#include "shard/addresses.h"
#include "shard/shard_int.h"
#include <stdlib.h>

enum { READ_BYTES_MIN = 1024 };

struct guard {
    struct conn *conn;
    struct wheel_timer timer; /* of the pause */
    uint64_t until_ms;        /* when what came is paid for */
    struct address *address;  /* NULL: not counted, or not known yet */
    struct bucket messages;
};

static bool is_limit(uint32_t option)
{
    return option != ADDRESS_NO_LIMIT;
}

static bool has_address_limits(const struct config_listener *l)
{
    return is_limit(l->address_connections) || is_limit(l->address_connect_rate) ||
           is_limit(l->address_byte_rate);
}

static bool has_limits(const struct config_listener *l)
{
    return has_address_limits(l) || is_limit(l->byte_rate) || is_limit(l->message_rate);
}

bool guard_accepts(struct shard *sh, const struct shards_listener *l)
{
    uint32_t rate = sh->view->doors[l->door].config->connect_rate;
    return !is_limit(rate) || l->rates == NULL || bucket_take(&l->rates->connects, rate, sh->now_ms);
}

/* --- its address */

static bool is_known(const struct shard *sh, const struct conn *c)
{
    return conn_door(sh, c)->enable_proxy_protocol == CONFIG_PROXY_OFF || c->transport.from != NULL;
}

static enum err enter(struct shard *sh, struct conn *c, struct address_limits limits)
{
    struct net_address a;
    transport_address(&c->transport, &a);
    struct address_from from = { &a, c->listener->door, limits };
    return address_enter(sh->all->addresses, &from, sh->now_ms, &c->guard->address);
}

static void wait_for(struct guard *g, uint64_t until_ms)
{
    if (until_ms > g->until_ms) g->until_ms = until_ms;
}

/* What others have brought too much of is waited for by who comes now, too: n is 0 then. */
static void spend(struct shard *sh, struct conn *c, uint32_t n)
{
    const struct config_listener *l = conn_door(sh, c);
    struct guard *g = c->guard;
    uint64_t now = sh->now_ms;
    if (is_limit(l->byte_rate) && c->listener->rates != NULL) {
        struct bucket *b = &c->listener->rates->bytes;
        wait_for(
            g, now + (n == 0 ? bucket_wait_ms(b, l->byte_rate, now) : bucket_spend(b, l->byte_rate, n, now)));
    }
    if (is_limit(l->address_byte_rate) && g->address != NULL)
        wait_for(g, now + address_spend(g->address, l->address_byte_rate, n, now));
}

static enum err guard_new(struct conn *c)
{
    c->guard = calloc(1, sizeof *c->guard);
    if (c->guard == NULL) return ERR_NOMEM;
    c->guard->conn = c;
    return ERR_OK;
}

static struct address_limits limits_of(const struct config_listener *l)
{
    return (struct address_limits){ l->address_connections, l->address_connect_rate };
}

enum err guard_attach(struct shard *sh, struct conn *c)
{
    const struct config_listener *l = conn_door(sh, c);
    if (!has_limits(l)) return ERR_OK;
    enum err rc = guard_new(c);
    if (rc == ERR_OK && has_address_limits(l) && is_known(sh, c)) rc = enter(sh, c, limits_of(l));
    if (rc == ERR_OK) spend(sh, c, 0);
    return rc;
}

enum err guard_learn(struct shard *sh, struct conn *c)
{
    const struct config_listener *l = conn_door(sh, c);
    if (c->guard->address != NULL || !has_address_limits(l) || !is_known(sh, c)) return ERR_OK;
    return enter(sh, c, limits_of(l));
}

void guard_log_refused(struct shard *sh, const struct shards_listener *l, const struct net_address *from,
                       enum event why)
{
    char peer[ADDRESS_TEXT_BYTES];
    metrics_add(sh->metrics, METRIC_connections_refused_total, 1);
    address_print(from, peer);
    log_event(sh->log, why, LOG_STR("peer", peer), LOG_NUM("port", l->port));
}

void guard_refused(struct shard *sh, const struct conn *c, enum err rc)
{
    struct net_address from;
    enum event why = rc == ERR_FULL ? EVENT_ADDRESS_FULL : EVENT_CONNECT_RATE;
    if (rc == ERR_NOMEM) {
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_NUM("bytes", sizeof *c->guard));
        return;
    }
    transport_address(&c->transport, &from);
    guard_log_refused(sh, c->listener, &from, why);
}

void guard_recheck(struct shard *sh, struct conn *c)
{
    struct address_limits none = { ADDRESS_NO_LIMIT, ADDRESS_NO_LIMIT };
    const struct config_listener *l = conn_door(sh, c);
    if (!has_limits(l)) return;
    if (c->guard == NULL && guard_new(c) != ERR_OK) return; /* without memory it has none of them */
    if (c->guard->address == NULL && has_address_limits(l) && is_known(sh, c)) enter(sh, c, none);
}

/* --- its pauses */

void guard_hold(struct shard *sh, struct conn *c)
{
    struct guard *g = c->guard;
    if (g->until_ms <= sh->now_ms || c->state == CONN_ENDING || c->state == CONN_CLOSED) return;
    if ((c->paused & PAUSE_RATE) == 0) {
        struct bytes client = c->session == NULL ? bytes_of_text("") : session_client_id(c->session);
        metrics_add(sh->metrics, METRIC_rate_pauses_total, 1);
        log_event(sh->log, EVENT_CLIENT_HELD, LOG_TEXT("client", client), LOG_NUM("port", c->listener->port),
                  LOG_NUM("wait_ms", g->until_ms - sh->now_ms));
    }
    conn_pause(sh, c, PAUSE_RATE);
    wheel_start(sh->rate_wheel, &g->timer, g->until_ms);
}

void guard_timer(struct wheel_timer *t, void *shard)
{
    struct guard *g = CONTAINER(t, struct guard, timer);
    conn_resume(shard, g->conn, PAUSE_RATE);
}

/* A debt is a time, which may be long: the operator who has raised a rate would wait for it with his clients.
 */
void guard_forgive(struct shard *sh, struct conn *c)
{
    struct guard *g = c->guard;
    if (g == NULL) return;
    if (c->listener->rates != NULL) bucket_refill(&c->listener->rates->bytes);
    if (g->address != NULL) address_forgive(g->address);
    bucket_refill(&g->messages);
    g->until_ms = 0;
    wheel_stop(sh->rate_wheel, &g->timer);
    conn_resume(sh, c, PAUSE_RATE);
}

void guard_joined(struct shard *sh, struct conn *c)
{
    if (c->guard != NULL) guard_hold(sh, c);
}

void guard_left(struct shard *sh, struct conn *c)
{
    if (c->guard != NULL) wheel_stop(sh->rate_wheel, &c->guard->timer);
}

void guard_free(struct shard *sh, struct conn *c)
{
    if (c->guard == NULL) return;
    address_leave(sh->all->addresses, &c->guard->address, sh->now_ms);
    free(c->guard);
    c->guard = NULL;
}

static size_t less(size_t room, uint32_t rate)
{
    size_t most = rate / 4 < READ_BYTES_MIN ? (size_t)READ_BYTES_MIN : rate / 4;
    return is_limit(rate) && room > most ? most : room;
}

size_t guard_room(const struct shard *sh, const struct conn *c, size_t room)
{
    const struct config_listener *l = conn_door(sh, c);
    return less(less(room, l->byte_rate), l->address_byte_rate);
}

void guard_bytes(struct shard *sh, struct conn *c, size_t n)
{
    if (n > 0) spend(sh, c, (uint32_t)n);
}

void guard_message(struct shard *sh, struct conn *c)
{
    uint32_t rate = conn_door(sh, c)->message_rate;
    if (!is_limit(rate)) return;
    wait_for(c->guard, sh->now_ms + bucket_spend(&c->guard->messages, rate, 1, sh->now_ms));
    guard_hold(sh, c);
}
