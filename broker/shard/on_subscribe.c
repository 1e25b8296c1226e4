/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/rd.h"
#include "shard/hooked.h"
#include "shard/job.h"
#include "shard/mount.h"
#include "shard/parked.h"
#include "shard/shard_int.h"
#include "shard/subscribe.h"
#include "topic/topic.h"
#include <stdlib.h>

/* SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11). The index changes at once, so that nothing published from
 * now on is missed; the answer waits for the journal where something durable or retained hangs on it. */

/* What a level of a filter takes at least, as work is counted. */
enum { LEVEL_BYTES = 2 };

static bool is_filter(const void *item, const void *key)
{
    return bytes_equal(subs_filter_text(item), *(const struct bytes *)key);
}

static uint64_t filter_hash(const struct shard *sh, struct bytes filter)
{
    return bytes_hash(filter, sh->all->seed);
}

struct sub *subscription_find(const struct shard *sh, const struct session *s, struct bytes filter)
{
    return map_get(&s->subs, filter_hash(sh, filter), is_filter, &filter);
}

static void set_id(struct session *s, struct sub *sub, uint32_t id)
{
    if (id != 0 && sub->id == 0) s->identified++;
    if (id == 0 && sub->id != 0) s->identified--;
    sub->id = id;
}

enum err subscribe_add(struct shard *sh, struct session *s, struct bytes filter,
                       const struct subscribe_wish *wish)
{
    if (s->subs.count >= SUBSCRIPTIONS_MAX) return ERR_FULL;
    struct sub *sub = calloc(1, sizeof *sub);
    if (sub == NULL) return ERR_NOMEM;
    sub->session = s;
    sub->durable_no = s->persistent ? s->session_no : 0;
    sub->options = wish->options;
    if (subs_add(sh->all->subs, sh->index, filter, sub) != ERR_OK) {
        free(sub);
        return ERR_NOMEM;
    }
    if (map_put(&s->subs, filter_hash(sh, filter), sub) != ERR_OK) {
        subs_remove(sh->all->subs, sh->index, sub);
        free(sub);
        return ERR_NOMEM;
    }
    set_id(s, sub, wish->id);
    metrics_add(sh->metrics, METRIC_subscriptions, 1);
    return ERR_OK;
}

static enum err change(struct shard *sh, struct session *s, struct sub *sub,
                       const struct subscribe_wish *wish)
{
    enum err rc = subs_change(sh->all->subs, sh->index, sub, wish->options);
    if (rc == ERR_OK) set_id(s, sub, wish->id);
    return rc;
}

/* Has the client room for our answer [MQTT-3.1.2-24]? */
static bool answer_fits(const struct conn *c, uint16_t count)
{
    uint32_t remaining = (c->version == MQTT_V5 ? 3u : 2u) + count;
    return 1 + varint_size(remaining) + remaining <= c->max_packet;
}

/* A filter that is none makes the packet malformed (section 4.7.1); so nothing of it is done. */
static enum mqtt_rc filters_check(struct subscribe p, uint8_t version)
{
    struct subscribe_filter f;
    while (subscribe_next(&p, version, &f))
        if (topic_filter_check(f.filter) == TOPIC_FILTER_WRONG) return MQTT_RC_MALFORMED;
    return MQTT_RC_OK;
}

/* One more costs its filter, and what the index and the session have of it. */
static bool has_room(struct shard *sh, struct bytes filter)
{
    enum { SUBSCRIPTION_BYTES = 256 };
    return memory_grants(sh, filter.len + SUBSCRIPTION_BYTES);
}

/* The code for SUBACK, unless the group's answer brings another one. No retained messages (section 4.8.2). */
static uint8_t subscribe_shared(struct shard *sh, struct subscribe_job *j, uint16_t index,
                                const struct subscribe_filter *f, const struct subscribe_wish *wish)
{
    if (shares_find(sh, j->session, f->filter) == NULL && !has_room(sh, f->filter))
        return MQTT_RC_QUOTA_EXCEEDED;
    if (shares_subscribe(sh, j, index, f->filter, wish) != ERR_OK) return MQTT_RC_QUOTA_EXCEEDED;
    return wish->options.qos;
}

/* The code for SUBACK. Retained messages are wanted by retain handling 0 always, by 1 for a new subscription
 * [MQTT-3.3.1-9, 10]. */
static uint8_t subscribe_one(struct shard *sh, struct subscribe_job *j, uint16_t index,
                             const struct subscribe_filter *f)
{
    struct session *s = j->session;
    uint8_t most = (uint8_t)conn_door(sh, j->conn)->max_qos;
    uint8_t granted = f->qos < most ? f->qos : most;
    struct subscribe_wish wish = {
        .options = { .qos = granted, .no_local = f->no_local, .retain_as_published = f->retain_as_published },
        .id = j->sub_id
    };
    struct bytes group, rest;
    if (!topic_filter_valid(f->filter)) return MQTT_RC_FILTER_INVALID; /* too long for us */
    if (topic_share_split(f->filter, &group, &rest)) return subscribe_shared(sh, j, index, f, &wish);

    struct sub *had = subscription_find(sh, s, f->filter);
    if (had == NULL && !has_room(sh, f->filter)) return MQTT_RC_QUOTA_EXCEEDED;
    enum err done = had != NULL ? change(sh, s, had, &wish) : subscribe_add(sh, s, f->filter, &wish);
    if (done != ERR_OK) return MQTT_RC_QUOTA_EXCEEDED;
    job_wants(j)[index] = f->retain_handling == 0 || (f->retain_handling == 1 && had == NULL);
    log_event(sh->log, EVENT_CLIENT_SUBSCRIBED, LOG_TEXT("client", session_client_id(s)),
              LOG_TEXT("filter", f->filter), LOG_NUM("qos", wish.options.qos));
    return wish.options.qos;
}

/* Unless plugins have refused it. */
static uint8_t try_subscribe(struct shard *sh, struct subscribe_job *j, uint16_t index,
                             const struct subscribe_filter *f)
{
    uint8_t refusal = parked_refusal(j->conn, index);
    return refusal != 0 ? refusal : subscribe_one(sh, j, index, f);
}

/* What was refused is not unsubscribed from: the command says nothing of it. */
static void leave_out_refused(struct command *c, const struct subscribe_job *j)
{
    enum { REFUSAL_MIN = 0x80 };
    struct rd r = { c->data.at, c->data.len, false };
    uint8_t *to = (uint8_t *)(uintptr_t)c->data.at; /* the command's own copy */
    for (uint16_t i = 0; i < j->count && r.left > 0; i++) {
        const uint8_t *from = r.at;
        rd_str(&r);
        if (j->codes[i] >= REFUSAL_MIN) continue;
        memmove(to, from, (size_t)(r.at - from));
        to += r.at - from;
    }
    c->data.len = (size_t)(to - c->data.at);
}

static struct command *new_command(const struct session *s, struct subscribe_job *j, struct bytes filters)
{
    enum command_kind kind = j->is_unsubscribe ? COMMAND_UNSUBSCRIBE : COMMAND_SUBSCRIBE;
    struct command *c = journal_fenced(s, s->persistent ? kind : COMMAND_FENCE, filters);
    if (c == NULL) return NULL;
    if (c->kind == COMMAND_SUBSCRIBE) command_mark_refused(c, bytes_of(j->codes, j->count));
    if (j->is_unsubscribe) leave_out_refused(c, j);
    c->sub_id = j->sub_id;
    c->job = j;
    c->conn_id = j->conn->id;
    return c;
}

/* Answers now, or when the journal says so; never before what was asked earlier. */
static enum mqtt_rc finish(struct shard *sh, struct conn *c, struct subscribe_job *j, struct bytes filters)
{
    bool waits = c->session->persistent || c->jobs_count > 1 || j->joins > 0;
    for (uint16_t i = 0; i < j->count && !j->is_unsubscribe; i++) waits |= job_wants(j)[i] != 0;
    hooked_count_subs(c);
    if (!waits) {
        job_answer(sh, c, j);
        job_free(j);
        return MQTT_RC_OK;
    }
    j->command = new_command(c->session, j, filters);
    if (j->command == NULL) {
        j->is_held = j->joins > 0;
        if (!j->is_held) job_free(j);
        return MQTT_RC_QUOTA_EXCEEDED;
    }
    j->is_fenced = !j->is_unsubscribe;
    if (j->is_fenced) session_fence_begin(c->session);
    job_begin(sh, j);
    return MQTT_RC_OK;
}

/* The client has used the id of a request that is not answered yet: this one is, with a refusal of it all. */
static enum mqtt_rc refuse_id(struct shard *sh, struct conn *c, struct subscribe_job *j)
{
    memset(j->codes, MQTT_RC_ID_IN_USE, j->count);
    job_answer(sh, c, j);
    job_free(j);
    return MQTT_RC_OK;
}

static enum mqtt_rc subscribe(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct subscribe p;
    enum mqtt_rc rc = subscribe_decode(f->body, c->version, &p);
    if (rc == MQTT_RC_OK) rc = filters_check(p, c->version);
    if (rc != MQTT_RC_OK) return rc;
    if (!answer_fits(c, p.count)) return MQTT_RC_PACKET_TOO_LARGE;
    bool is_in_use = job_has_id(c, p.id);
    struct subscribe_job *j = job_new(sh, c, p.id, p.count);
    if (j == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    sh->work += p.count + (uint32_t)p.filters.left / LEVEL_BYTES;
    if (is_in_use) return refuse_id(sh, c, j);

    struct bytes filters = bytes_of(p.filters.at, p.filters.left);
    if (PROPS_HAS(&p.props, subscription_id)) j->sub_id = p.props.subscription_id;
    struct subscribe_filter one;
    for (uint16_t i = 0; i < p.count && subscribe_next(&p, c->version, &one); i++)
        j->codes[i] = try_subscribe(sh, j, i, &one);
    return finish(sh, c, j, filters);
}

static uint8_t unsubscribe_one(struct shard *sh, struct session *s, struct bytes filter)
{
    if (!topic_filter_valid(filter)) return MQTT_RC_FILTER_INVALID; /* too long for us */
    if (shares_unsubscribe(sh, s, filter)) return MQTT_RC_OK;
    struct sub *sub = map_take(&s->subs, filter_hash(sh, filter), is_filter, &filter);
    if (sub == NULL) return MQTT_RC_NO_SUBSCRIPTION;
    set_id(s, sub, 0);
    subs_remove(sh->all->subs, sh->index, sub);
    free(sub);
    metrics_sub(sh->metrics, METRIC_subscriptions, 1);
    log_event(sh->log, EVENT_CLIENT_UNSUBSCRIBED, LOG_TEXT("client", session_client_id(s)),
              LOG_TEXT("filter", filter));
    return MQTT_RC_OK;
}

static enum mqtt_rc unsubscribe(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct unsubscribe p;
    enum mqtt_rc rc = unsubscribe_decode(f->body, c->version, &p);
    if (rc != MQTT_RC_OK) return rc;
    struct bytes filters = bytes_of(p.filters.at, p.filters.left), filter;
    for (struct unsubscribe q = p; unsubscribe_next(&q, &filter);)
        if (topic_filter_check(filter) == TOPIC_FILTER_WRONG) return MQTT_RC_MALFORMED;
    if (!answer_fits(c, p.count)) return MQTT_RC_PACKET_TOO_LARGE;

    bool is_in_use = job_has_id(c, p.id);
    struct subscribe_job *j = job_new(sh, c, p.id, p.count);
    if (j == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    j->is_unsubscribe = true;
    sh->work += p.count + (uint32_t)p.filters.left / LEVEL_BYTES;
    if (is_in_use) return refuse_id(sh, c, j);
    for (uint16_t i = 0; i < p.count && unsubscribe_next(&p, &filter); i++) {
        uint8_t refusal = parked_refusal(c, i);
        j->codes[i] = refusal != 0 ? refusal : unsubscribe_one(sh, c->session, filter);
    }
    return finish(sh, c, j, filters);
}

static enum mqtt_rc mounted(struct shard *sh, struct conn *c, const struct frame *f,
                            enum mqtt_rc (*handle)(struct shard *sh, struct conn *c, const struct frame *f))
{
    uint8_t *made;
    struct frame inner = *f;
    enum mqtt_rc rc = mount_filters(sh, c, &inner, &made);
    if (rc == MQTT_RC_OK) rc = handle(sh, c, &inner);
    free(made);
    return rc;
}

enum mqtt_rc on_subscribe(struct shard *sh, struct conn *c, const struct frame *f)
{
    return c->is_mounted ? mounted(sh, c, f, subscribe) : subscribe(sh, c, f);
}

enum mqtt_rc on_unsubscribe(struct shard *sh, struct conn *c, const struct frame *f)
{
    return c->is_mounted ? mounted(sh, c, f, unsubscribe) : unsubscribe(sh, c, f);
}

/* As in a packet (section 3.8.3.1). */
static uint8_t options_byte(struct sub_options o)
{
    enum { NO_LOCAL = 4, AS_PUBLISHED = 8 };
    unsigned options = o.qos;
    if (o.no_local) options |= NO_LOCAL;
    if (o.retain_as_published) options |= AS_PUBLISHED;
    return (uint8_t)options;
}

/* What the session has of this filter now; NULL: nothing. */
static const struct sub_options *options_of(const struct shard *sh, const struct session *s,
                                            struct bytes filter)
{
    const struct membership *ms = shares_find(sh, s, filter);
    const struct sub *sub = ms != NULL ? NULL : subscription_find(sh, s, filter);
    if (ms != NULL) return &ms->options;
    return sub != NULL ? &sub->options : NULL;
}

struct command *subscribe_settle(struct shard *sh, const struct subscribe_job *j)
{
    struct command *c = journal_fenced(j->session, j->command->kind, j->command->data);
    if (c == NULL) return NULL;
    c->sub_id = j->sub_id;
    struct rd r = { c->data.at, c->data.len, false };
    uint8_t *to = (uint8_t *)(uintptr_t)c->data.at; /* the command's own copy */
    while (r.left > 0) {
        const uint8_t *from = r.at;
        struct bytes filter = rd_str(&r);
        if (!j->is_unsubscribe) rd_u8(&r);
        const struct sub_options *options = options_of(sh, j->session, filter);
        if ((options == NULL) != j->is_unsubscribe) continue;
        memmove(to, from, (size_t)(r.at - from));
        to += r.at - from;
        if (options != NULL) to[-1] = options_byte(*options);
    }
    c->data.len = (size_t)(to - c->data.at);
    if (c->data.len == 0) command_unref(&c);
    return c;
}
