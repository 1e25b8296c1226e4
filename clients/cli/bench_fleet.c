/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_int.h"

/*
 * fleet: clients that leave and come back, on a schedule, while messages go on; and, in every scenario, those
 * that the broker wants later.
 *
 *   READY -> one that leaves -> away (a ring: all are away for equally long) -> client_open -> READY
 */

static const uint64_t spread = 2654435761; /* a prime: each in turn, and no neighbours */

static uint32_t own_subscribers(const struct worker *w)
{
    const struct bench *b = w->bench;
    uint32_t all = b->plan.subscribers, threads = b->worker_count;
    return all / threads + (w->index < all % threads ? 1 : 0);
}

/* Every other one says so; the others are gone as a telephone in a tunnel is. */
static void go_away(struct worker *w, uint32_t index, bool says_so)
{
    struct conn *c = &w->bench->subscribers[index].conn;
    uint32_t room = own_subscribers(w);
    if (c->state != CONN_READY) return; /* chosen again too soon */
    if (says_so) {
        client_leave(w, c);
    } else {
        conn_close(c);
        w->clients_ready--;
    }
    uint32_t place = (w->away_first + w->away_count) % room;
    w->away[place] = (struct away){ w->now_ns + w->bench->conf.away * (BENCH_NS_PER_S / 1000), index };
    w->away_count++;
}

static void take_leavers(struct worker *w)
{
    const struct bench *b = w->bench;
    uint64_t churn = b->conf.churn, own = own_subscribers(w);
    uint64_t passed = w->now_ns - w->churn_from_ns;
    uint64_t due = passed / BENCH_NS_PER_S * churn + passed % BENCH_NS_PER_S * churn / BENCH_NS_PER_S;
    for (; w->churned < due; w->churned++) {
        if (w->churned % b->worker_count != w->index || w->away_count == own) continue;
        uint64_t turn = w->churned / b->worker_count;
        go_away(w, w->index + (uint32_t)(turn * spread % own) * b->worker_count, turn % 2 == 0);
    }
}

static void take_returners(struct worker *w)
{
    while (w->away_count > 0 && w->away[w->away_first].back_ns <= w->now_ns) {
        struct conn *c = &w->bench->subscribers[w->away[w->away_first].index].conn;
        w->away_first = (w->away_first + 1) % own_subscribers(w);
        w->away_count--;
        if (c->wire.fd >= 0) { /* the broker has not yet closed it */
            conn_close(c);
            w->clients_ready--;
        }
        w->connecting++;
        if (client_open(w, c) != ERR_OK) return;
    }
}

void fleet_step(struct worker *w)
{
    take_returners(w);
    take_leavers(w);
}

/* Never more than there are clients. */
static uint32_t retry_room(const struct worker *w)
{
    return w->bench->plan.publishers + w->bench->plan.subscribers;
}

bool retry_later(struct worker *w, struct conn *c)
{
    if (w->retry == NULL) return false;
    uint32_t place = (w->retry_first + w->retry_count) % retry_room(w);
    conn_close(c);
    c->retries = true;
    w->connecting--;
    w->counts.turned_away++;
    w->retry[place] = (struct retry){ w->now_ns + w->bench->conf.retry * (BENCH_NS_PER_S / 1000), c };
    w->retry_count++;
    return true;
}

void retry_step(struct worker *w)
{
    while (w->retry_count > 0 && w->retry[w->retry_first].at_ns <= w->now_ns) {
        struct conn *c = w->retry[w->retry_first].conn;
        w->retry_first = (w->retry_first + 1) % retry_room(w);
        w->retry_count--;
        w->connecting++;
        if (client_open(w, c) != ERR_OK) return;
    }
}

bool fleet_is_calm(const struct worker *w)
{
    return w->connecting == 0 && w->retry_count == 0;
}
