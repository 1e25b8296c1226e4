/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "shard/hook_will.h"
#include "shard/on_login.h"
#include "shard/route.h"
#include "shard/shard_int.h"

/* The registry of this shard's sessions, and how they end. */

static bool is_client(const void *item, const void *key)
{
    return bytes_equal(session_client_id(item), *(const struct bytes *)key);
}

static bool is_number(const void *item, const void *key)
{
    const struct session *s = item;
    return s->session_no == *(const uint64_t *)key;
}

struct session *sessions_find(struct shard *sh, struct bytes client_id)
{
    return map_get(&sh->by_id, bytes_hash(client_id, sh->all->seed), is_client, &client_id);
}

struct session *sessions_find_no(struct shard *sh, uint64_t session_no)
{
    return map_get(&sh->by_no, map_hash_u64(session_no), is_number, &session_no);
}

static enum err enrol(struct shard *sh, struct session *s)
{
    struct bytes id = session_client_id(s);
    uint64_t hash = bytes_hash(id, sh->all->seed);
    enum err rc = map_put(&sh->by_id, hash, s);
    if (rc != ERR_OK || !s->persistent) return rc;
    rc = map_put(&sh->by_no, map_hash_u64(s->session_no), s);
    if (rc != ERR_OK) map_take(&sh->by_id, hash, is_client, &id);
    return rc;
}

static struct session *make(struct shard *sh, struct bytes client_id, bool persistent, uint64_t session_no)
{
    struct session *s;
    uint64_t bytes_max = sh->config->max_queued_bytes;
    struct session_conf conf = {
        .client_id = client_id,
        .session_no = session_no,
        .persistent = persistent,
        .queue_messages_max = sh->config->max_queued_messages,
        .queue_bytes_max =
            bytes_max == 0 || bytes_max > CLEAN_QUEUE_BYTES_MAX ? CLEAN_QUEUE_BYTES_MAX : (uint32_t)bytes_max,
    };
    if (session_new(&s, &conf) != ERR_OK) return NULL;
    if (enrol(sh, s) != ERR_OK) {
        session_free(&s);
        return NULL;
    }
    metrics_add(sh->metrics, METRIC_sessions, 1);
    if (persistent) metrics_add(sh->metrics, METRIC_sessions_persistent, 1);
    return s;
}

struct session *sessions_create(struct shard *sh, struct bytes client_id, bool persistent)
{
    log_event(sh->log, EVENT_SESSION_CREATED, LOG_TEXT("client", client_id),
              LOG_NUM("persistent", persistent));
    return make(sh, client_id, persistent, ++sh->sessions_minted * SHARDS_MAX + sh->index);
}

static void stop_acking(struct shard *sh, struct session *s)
{
    if (!s->acking) return;
    struct session **at = &sh->acking;
    while (*at != s) at = &session_kept_own(*at)->next_acking;
    *at = session_kept(s)->next_acking;
    s->acking = false;
}

static void forget_durable(struct shard *sh, const struct session *s)
{
    uint64_t session_no = s->session_no;
    map_take(&sh->by_no, map_hash_u64(session_no), is_number, &session_no);
    metrics_sub(sh->metrics, METRIC_sessions_persistent, 1);
    struct command *end = journal_fenced(s, COMMAND_END_SESSION, bytes_of(NULL, 0));
    CHECK(end != NULL); /* small and fixed; without it the store would keep what nobody can reach */
    journal_put(sh, end);
}

void sessions_destroy(struct shard *sh, struct session *s)
{
    CHECK(s->conn == NULL);
    struct bytes id = session_client_id(s);
    if (s->persistent) wheel_stop(sh->session_wheel, &session_kept_own(s)->timer);
    stop_acking(sh, s);
    will_detach(s);
    jobs_session_gone(s);
    shares_session_gone(sh, s);
    map_take(&sh->by_id, bytes_hash(id, sh->all->seed), is_client, &id);
    size_t at = 0;
    for (struct sub *sub = map_next(&s->subs, &at); sub != NULL; sub = map_next(&s->subs, &at))
        subs_remove(sh->all->subs, sh->index, sub);
    metrics_sub(sh->metrics, METRIC_subscriptions, s->subs.count);
    metrics_sub(sh->metrics, METRIC_sessions, 1);
    if (s->persistent) forget_durable(sh, s);
    session_free(&s);
}

void sessions_put_will(struct shard *sh, const struct session_will *w, const struct will_from *from)
{
    struct route_in in = {
        .topic = w->topic,
        .block = w->block,
        .payload = w->payload,
        .qos = w->qos,
        .retain = w->retain && sh->config->retain_available,
        .from_session = from->session_no,
        .from_client = from->client,
        .expires_ms = w->has_expiry ? sh->wall_ms + (uint64_t)w->expiry_s * 1000 : 0,
        .will_of = from->durable,
    };
    if (route_publish(sh, &in) == ROUTE_FAILED)
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_TEXT("will_of", from->client_id));
    metrics_add(sh->metrics, METRIC_wills_published_total, 1);
    log_event(sh->log, EVENT_WILL_PUBLISHED, LOG_TEXT("client", from->client_id),
              LOG_TEXT("topic", w->topic));
}

void sessions_will(struct shard *sh, struct session *s)
{
    struct session_will *w = s->will;
    struct will_from from = { .client_id = session_client_id(s),
                              .session_no = s->session_no,
                              .client = w->retain ? client_hash(sh, s) : 0,
                              .durable = s->persistent ? s : NULL };
    s->will = NULL;
    sessions_put_will(sh, w, &from);
    s->will = w;
    session_drop_will(s);
}

struct msg *sessions_will_msg(const struct shard *sh, const struct session *s)
{
    const struct session_will *w = s->will;
    struct msg *m;
    struct msg_parts parts = {
        .topic = w->topic,
        .block = w->block,
        .payload = w->payload,
        .qos = w->qos,
        .retain = w->retain,
        .from_session = s->session_no,
        .from_client = w->retain ? client_hash(sh, s) : 0,
    };
    return msg_new(&m, &parts) == ERR_OK ? m : NULL;
}

/* For the journal: since when it is off line, and what its client may have seen. Nobody waits for it. */
static void put_offline(struct shard *sh, const struct session *s)
{
    struct command *c = journal_fenced(s, COMMAND_OFFLINE, bytes_of(NULL, 0));
    CHECK(c != NULL); /* small and fixed; without it a will that was withdrawn would go out after a crash */
    c->sent = session_sent_upto(s);
    c->keeps_will = s->will != NULL;
    journal_put(sh, c);
}

void sessions_deny_will(struct shard *sh, struct session *s)
{
    login_deny_will(sh, s);
    if (s->persistent && s->conn == NULL) put_offline(sh, s); /* or it would go out after a crash */
}

void sessions_late_will(struct shard *sh, struct session *s)
{
    if (will_is_asked(s)) return;
    if (login_may_late_will(sh, s))
        will_fire(sh, s, NULL);
    else
        sessions_deny_will(sh, s);
}

/* When so many seconds have passed since then. UINT32_MAX: never. */
static uint64_t due_ms(const struct shard *sh, uint32_t seconds, uint64_t passed_ms)
{
    if (seconds == UINT32_MAX) return UINT64_MAX;
    uint64_t all_ms = (uint64_t)seconds * 1000;
    return all_ms > passed_ms ? sh->now_ms + all_ms - passed_ms : sh->now_ms;
}

/* The will after its delay, the end after the expiry; the earlier of the two fires both when the session ends
 * first (MQTT 5.0 section 3.1.3.2.2). passed_ms: since it went off line. */
static void start_timer(struct shard *sh, struct session *s, uint64_t passed_ms)
{
    struct session_kept *kept = session_kept_own(s);
    kept->expires_ms = due_ms(sh, s->expiry_s, passed_ms);
    bool waits = s->will != NULL && !will_is_asked(s);
    uint64_t will_ms = !waits ? UINT64_MAX : due_ms(sh, s->will->delay_s, passed_ms);
    uint64_t next_ms = will_ms < kept->expires_ms ? will_ms : kept->expires_ms;
    if (next_ms != UINT64_MAX) wheel_start(sh->session_wheel, &kept->timer, next_ms);
}

void sessions_offline(struct shard *sh, struct session *s, const struct conn *c)
{
    session_detach(s);
    metrics_sub(sh->metrics, METRIC_clients_connected, 1);
    shares_offline(sh, s);
    bool ends = !s->persistent || s->expiry_s == 0;
    if (s->will != NULL && (ends || s->will->delay_s == 0)) will_fire(sh, s, c);
    if (ends) {
        sessions_destroy(sh, s);
        return;
    }
    put_offline(sh, s);
    start_timer(sh, s, 0);
}

void sessions_timer(struct wheel_timer *t, void *shard)
{
    struct shard *sh = shard;
    struct session *s = session_of_timer(t);
    uint64_t expires_ms = session_kept(s)->expires_ms;
    if (s->will != NULL) sessions_late_will(sh, s);
    if (sh->now_ms < expires_ms) {
        if (expires_ms != UINT64_MAX) wheel_start(sh->session_wheel, t, expires_ms);
        return;
    }
    metrics_add(sh->metrics, METRIC_sessions_expired_total, 1);
    log_event(sh->log, EVENT_SESSION_EXPIRED, LOG_TEXT("client", session_client_id(s)));
    sessions_destroy(sh, s);
}

static enum err restore_will(struct session *s, const struct restore_session *r)
{
    const struct msg *m = r->will;
    if (m == NULL) return ERR_OK;
    struct session_will_parts parts = {
        .topic = msg_topic(m),
        .payload = msg_payload(m),
        .block = msg_block(m),
        .qos = m->qos,
        .retain = m->retain,
        .delay_s = r->when.delay_s,
        .has_expiry = r->when.expiry_s != UINT32_MAX,
        .expiry_s = r->when.expiry_s,
    };
    return session_set_will(s, &parts);
}

/* From before this process started: off line since then, if the clock was not set back meanwhile. What has
 * become due fires in the first turn. */
enum err sessions_restore(struct shard *sh, const struct restore_session *r)
{
    struct session *s = make(sh, r->client_id, true, r->session_no);
    if (s == NULL) return ERR_NOMEM;
    s->claim_no = r->claim_no;
    uint32_t most = sh->config->persistent_client_expiration; /* it may be newer than the session */
    s->expiry_s = r->expiry_s < most ? r->expiry_s : most;
    session_kept_own(s)->resent_upto = r->sent;
    bool known = r->offline_ms > 0 && r->offline_ms < sh->wall_ms;
    enum err rc = restore_will(s, r);
    start_timer(sh, s, known ? sh->wall_ms - r->offline_ms : 0);
    return rc;
}
