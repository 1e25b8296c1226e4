/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "session/session_int.h"
#include <stdlib.h>

const struct session_kept session_kept_none;

enum err session_new(struct session **out, const struct session_conf *conf)
{
    CHECK(conf->client_id.len <= UINT16_MAX);
    struct session *s =
        calloc(1, sizeof *s + (conf->persistent ? sizeof(struct session_kept) : 0) + conf->client_id.len);
    *out = s;
    if (s == NULL) return ERR_NOMEM;
    s->session_no = conf->session_no;
    s->persistent = conf->persistent;
    s->feed = conf->persistent ? FEED_STORE : FEED_LIVE;
    s->queue_messages_max = conf->queue_messages_max;
    s->queue_bytes_max = conf->queue_bytes_max;
    s->client_id_bytes = (uint16_t)conf->client_id.len;
    memcpy((void *)(uintptr_t)session_client_id(s).at, conf->client_id.at, conf->client_id.len);
    map_init(&s->subs);
    s->shared = &session_shared_none;
    return ERR_OK;
}

void session_free(struct session **owner)
{
    struct session *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    CHECK(s->conn == NULL);
    CHECK(!wheel_running(&session_kept(s)->timer));
    CHECK(!session_has_jobs(s));
    session_ring_free(s);
    free(s->exact);
    free(s->inbound.at);
    size_t at = 0;
    for (struct sub *sub = map_next(&s->subs, &at); sub != NULL; sub = map_next(&s->subs, &at)) free(sub);
    map_fini(&s->subs);
    session_drop_will(s);
    session_fence_free(s);
    session_shared_fini(s);
    free(s);
}

void session_attach(struct session *s, void *conn, uint32_t window)
{
    CHECK(s->conn == NULL);
    CHECK(window >= 1);
    s->conn = conn;
    s->window = window;
    s->sent = s->head;
    s->unacked = 0;
    session_exact_reset(s);
    session_inbound_attach(s);
    if (s->persistent) s->feed = FEED_STORE;
}

void session_detach(struct session *s)
{
    CHECK(s->conn != NULL);
    s->conn = NULL;
    session_inbound_detach(s);
    session_shared_detach(s);
    if (!s->persistent) return;

    /* Entries with a place may have reached the client: their ids stay theirs. The others the store has. */
    while (s->tail != s->head && session_at(s, s->tail - 1)->place == 0) session_ring_drop_last(s);
    session_exact_reset(s);
    s->sent = s->tail;
    s->queued_bytes = 0;
    struct session_kept *kept = session_kept_own(s);
    kept->fed = s->tail != s->head ? session_at(s, s->tail - 1)->seq : kept->finished;
    s->feed = FEED_STORE;
}
