/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
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

/* Of a filter, as work is counted: the levels of one with wildcards are places in the index. */
enum { EXACT_WORK_BYTES = 128, LEVELS_WORK_BYTES = 8 };

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

static struct command *new_command(const struct session *s, struct subscribe_job *j, struct bytes filters)
{
    enum command_kind kind = j->is_unsubscribe ? COMMAND_UNSUBSCRIBE : COMMAND_SUBSCRIBE;
    struct command *c = journal_fenced(s, s->persistent ? kind : COMMAND_FENCE, filters);
    if (c == NULL) return NULL;
    c->sub_id = j->sub_id;
    c->job = j;
    c->conn_id = j->conn->id;
    return c;
}

/* False without memory: its connection ends. */
static bool begin_command(struct subscribe_job *j, struct bytes filters)
{
    if (j->command != NULL) return true;
    j->command = new_command(j->session, j, filters);
    if (j->command == NULL) {
        j->is_held = j->joins > 0;
        if (!j->is_held) job_free(j);
        return false;
    }
    j->is_fenced = !j->is_unsubscribe;
    if (j->is_fenced) CHECK(session_fence_begin(j->session) == ERR_OK); /* there is a job: itself */
    return true;
}

void subscribe_settle_codes(struct subscribe_job *j)
{
    if (j->command->kind == COMMAND_SUBSCRIBE) command_mark_refused(j->command, bytes_of(j->codes, j->count));
    if (j->is_unsubscribe) leave_out_refused(j->command, j);
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
    if (!begin_command(j, filters)) return MQTT_RC_QUOTA_EXCEEDED;
    subscribe_settle_codes(j);
    job_begin(sh, j);
    return MQTT_RC_OK;
}

/* As many of its filters as a share of a turn is for, one at least. True: that was the last one. */
static bool take_some(struct shard *sh, struct subscribe_job *j, struct bytes filters)
{
    uint64_t until = sh->work + sh->work_of_one;
    struct rd r = { filters.at + j->taken_bytes, filters.len - j->taken_bytes, false };
    struct subscribe p = { .filters = r };
    struct unsubscribe q = { .filters = r };
    do {
        struct subscribe_filter f = { 0 };
        bool is_one =
            j->is_unsubscribe ? unsubscribe_next(&q, &f.filter) : subscribe_next(&p, j->version, &f);
        CHECK(is_one);
        bool is_exact = topic_filter_is_exact(f.filter);
        sh->work += 1 + f.filter.len / (is_exact ? EXACT_WORK_BYTES : LEVELS_WORK_BYTES);
        uint8_t *code = &j->codes[j->taken];
        if (*code == 0) /* plugins have not refused it */
            *code = j->is_unsubscribe ? unsubscribe_one(sh, j->session, f.filter)
                                      : subscribe_one(sh, j, j->taken, &f);
        j->taken++;
    } while (j->taken < j->count && sh->work < until);
    j->taken_bytes = filters.len - (j->is_unsubscribe ? q.filters.left : p.filters.left);
    return j->taken == j->count;
}

/* What is left of it waits for later turns, in a copy; and so does all that its client sends after it. */
static enum mqtt_rc take(struct shard *sh, struct conn *c, struct subscribe_job *j, struct bytes filters)
{
    for (uint16_t i = 0; i < j->count; i++) j->codes[i] = parked_refusal(c, i);
    if (take_some(sh, j, filters)) return finish(sh, c, j, filters);
    if (!begin_command(j, filters)) return MQTT_RC_QUOTA_EXCEEDED;
    j->is_taking = true;
    c->asking = j;
    conn_pause(sh, c, PAUSE_FILTERS);
    conn_queue(sh, c);
    return MQTT_RC_OK;
}

enum mqtt_rc subscribe_go_on(struct shard *sh, struct conn *c)
{
    struct subscribe_job *j = c->asking;
    if (!take_some(sh, j, j->command->data)) return MQTT_RC_OK;
    j->is_taking = false;
    c->asking = NULL;
    conn_resume(sh, c, PAUSE_FILTERS);
    return finish(sh, c, j, j->command->data);
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
    if (is_in_use) return refuse_id(sh, c, j);

    if (PROPS_HAS(&p.props, subscription_id)) j->sub_id = p.props.subscription_id;
    return take(sh, c, j, bytes_of(p.filters.at, p.filters.left));
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
    if (is_in_use) return refuse_id(sh, c, j);
    return take(sh, c, j, filters);
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
