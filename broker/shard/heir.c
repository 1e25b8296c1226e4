/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/heir.h"
#include "shard/change.h"
#include "shard/connect.h"
#include "shard/parked.h"
#include <stdlib.h>

struct heir {
    struct list of_conn;  /* of the one that has the session */
    struct bytes connect; /* kept */
    struct conn *conn;
};

static struct heir *heir_new(struct conn *c, struct bytes body)
{
    struct heir *h = malloc(sizeof *h);
    if (h == NULL) return NULL;
    *h = (struct heir){ .connect = connect_keep(body), .conn = c };
    list_init(&h->of_conn);
    if (h->connect.at != NULL) return h;
    free(h);
    return NULL;
}

void heir_free(struct conn *c)
{
    struct heir *h = c->seldom->heir;
    if (h == NULL) return;
    conn_seldom(c)->heir = NULL;
    list_remove(&h->of_conn);
    connect_forget(&h->connect);
    free(h);
}

/* Its last word is that it is taken over, unless it has had one itself, or its peer is gone: then what that
 * has said is read to its end. False: no memory. */
static bool let_go(struct shard *sh, struct conn *old)
{
    bool is_live = !old->hung_up && !old->hooked->parked.is_last;
    if (!is_live) return true;
    if (!parked_ends(sh, old, MQTT_RC_TAKEN_OVER)) return false;
    metrics_add(sh->metrics, METRIC_takeovers_total, 1);
    log_event(sh->log, EVENT_SESSION_TAKEN_OVER, LOG_TEXT("client", session_client_id(old->session)));
    return true;
}

bool heir_waits(struct shard *sh, struct conn *c, const struct connect *p)
{
    const struct session *s = c->seldom->assigned_id != NULL ? NULL : sessions_find(sh, p->client_id);
    struct conn *old = s != NULL ? s->conn : NULL;
    if (old == NULL || old->doomed || !parked_any(old)) return false;
    /* Without memory it is as if nothing waited: it is taken over at once. */
    struct conn_seldom *seldom = conn_seldom(c);
    if (seldom != NULL) seldom->heir = heir_new(c, p->body);
    if (c->seldom->heir == NULL) return false;
    if (!let_go(sh, old)) {
        heir_free(c);
        return false;
    }
    list_add(&old->hooked->heirs, &seldom->heir->of_conn);
    c->state = CONN_AUTH;
    conn_pause(sh, c, PAUSE_CONNACK);
    heirs_press(sh, old);
    return true;
}

bool heirs_wait(const struct conn *c)
{
    return c->hooked != NULL && !list_empty(&c->hooked->heirs);
}

void heirs_press(struct shard *sh, struct conn *c)
{
    bool stands_still = (c->paused & PAUSE_OUTPUT) != 0 && !c->hung_up;
    if (stands_still && heirs_wait(c)) conn_hang_up(sh, c);
}

/* The last one first: of those that are ready the last goes on first. */
void heirs_wake(struct shard *sh, struct conn *c)
{
    while (heirs_wait(c)) {
        struct heir *h = CONTAINER(c->hooked->heirs.prev, struct heir, of_conn);
        list_remove(&h->of_conn);
        conn_resume(sh, h->conn, PAUSE_CONNACK);
    }
}

void heir_go_on(struct shard *sh, struct conn *c)
{
    struct bytes connect = c->seldom->heir->connect;
    if (c->state != CONN_AUTH || c->paused != 0) return;
    c->seldom->heir->connect = (struct bytes){ 0 };
    heir_free(c);
    connect_go_on(sh, c, &connect);
    if (c->state != CONN_CLOSED) recheck_conn(sh, c); /* the view may be another one since it was let in */
}
