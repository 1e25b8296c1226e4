/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/hook_will.h"
#include "shard/hooked.h"
#include "shard/on_login.h"
#include <stdlib.h>

/*
 *   connection lost, delay over -> will_fire        nobody is asked -> sessions_will
 *                                                   else asked, s->will->asked
 *   session ends, or goes on    -> will_detach      the will moves into the question
 *   answer                      -> will_mail_answer published, or dropped
 */

struct will_ask {
    struct hook_publish q;
    struct session *session;   /* NULL: the will is here: */
    struct session_will *will; /* with what is left of its session */
    struct will_from from;
    struct hook_gone *gone; /* for a client that was made for this question; NULL: it was not */
    uint8_t copy[];         /* client id, topic, payload, properties */
};

static const struct shards_door *door_of(const struct shard *sh, const struct session_will *w)
{
    for (size_t i = 0; w->door_no != 0 && i < sh->view->doors_count; i++)
        if (sh->view->doors[i].number == w->door_no) return &sh->view->doors[i];
    return NULL;
}

struct hooks *will_hooks(const struct shard *sh, const struct session_will *w)
{
    const struct shards_door *door = door_of(sh, w);
    return door != NULL && hooks_want(door->hooks, HOOK_EVENT_ACL) ? door->hooks : NULL;
}

static void will_ask_free(struct hook_ask *a)
{
    struct will_ask *k = CONTAINER(a, struct will_ask, q.ask);
    free(k->will);
    free(k);
}

static struct bytes put(struct wr *w, struct bytes b)
{
    const uint8_t *at = w->at;
    wr_bytes(w, b);
    return bytes_of(at, b.len);
}

/* Plugins know the client that has gone as gone: this one is made for the question. */
static struct hook_client *stand_in(const struct shard *sh, const struct session *s)
{
    struct hook_client *client;
    struct hook_client_conf conf = { .id = session_client_id(s),
                                     .username = s->will->username,
                                     .address = "",
                                     .shard = (uint16_t)sh->index,
                                     .version = MQTT_V5 };
    return hook_client_new(&client, &conf) == ERR_OK ? client : NULL;
}

static enum hook_verdict fallback_of(const struct shard *sh, const struct session *s)
{
    const struct session_will *w = s->will;
    const struct access *a = door_of(sh, w)->access;
    struct access_who who = { w->username, session_client_id(s) };
    return access_has_rules(a) && access_may(a, &who, w->topic, ACCESS_WRITE) ? HOOK_ALLOW : HOOK_DENY;
}

static struct will_ask *ask_new(struct shard *sh, struct session *s, struct hook_client *client)
{
    const struct session_will *w = s->will;
    struct bytes id = session_client_id(s);
    size_t bytes = id.len + w->topic.len + w->payload.len + w->block.len;
    struct will_ask *k = calloc(1, sizeof *k + bytes);
    if (k == NULL) return NULL;
    struct wr to = { .at = k->copy, .left = bytes };
    hook_ask_init(&k->q.ask, HOOK_WILL, will_hooks(sh, w), client);
    k->q.ask.destroy = will_ask_free;
    k->q.ask.to = &sh->mailbox;
    k->q.ask.kind = MAIL_HOOK_WILL;
    k->from = (struct will_from){ .client_id = put(&to, id),
                                  .session_no = s->session_no,
                                  .client = w->retain ? client_hash(sh, s) : 0 };
    k->q.topic = put(&to, w->topic);
    k->q.payload = put(&to, w->payload);
    k->q.block = put(&to, w->block);
    k->q.qos = w->qos;
    k->q.retain = w->retain;
    k->q.version = MQTT_V5;
    k->q.asks_acl = true;
    k->q.fallback = fallback_of(sh, s);
    k->session = s;
    return k;
}

/* NULL: no memory. */
static struct will_ask *ask_about(struct shard *sh, struct session *s, const struct conn *c)
{
    bool has_client = c != NULL && c->hooked != NULL;
    struct hook_client *client = has_client ? hook_client_ref(c->hooked->client) : stand_in(sh, s);
    struct hook_gone *gone = NULL;
    if (client == NULL) return NULL;
    if (!has_client) gone = hooked_gone_new(will_hooks(sh, s->will), client);
    struct will_ask *k = has_client || gone != NULL ? ask_new(sh, s, client) : NULL;
    if (k != NULL) {
        k->gone = gone;
    } else if (gone != NULL) {
        struct hook_ask *a = &gone->ask;
        hook_ask_unref(&a);
    }
    hook_client_unref(&client);
    return k;
}

static void count_denied(struct shard *sh, const struct will_ask *k)
{
    metrics_add(sh->metrics, METRIC_publish_denied_total, 1);
    log_event(sh->log, EVENT_PUBLISH_DENIED, LOG_TEXT("client", k->from.client_id),
              LOG_TEXT("topic", k->q.topic), LOG_NUM("will", 1));
}

static void act(struct shard *sh, struct will_ask *k)
{
    struct session *s = k->session;
    uint8_t verdict = k->q.ask.verdict != HOOK_DEFER ? k->q.ask.verdict : (uint8_t)k->q.fallback;
    if (s != NULL) s->will->asked = NULL;
    if (sh->closing) return; /* a durable one goes out when the broker is back */
    if (verdict == HOOK_LATE) metrics_add(sh->metrics, METRIC_publish_late_total, 1);
    if (verdict != HOOK_ALLOW && s == NULL) count_denied(sh, k);
    if (verdict != HOOK_ALLOW && s != NULL) sessions_deny_will(sh, s);
    if (verdict != HOOK_ALLOW) return;
    if (s != NULL)
        sessions_will(sh, s);
    else
        sessions_put_will(sh, k->will, &k->from);
}

static void finish(struct shard *sh, struct will_ask *k)
{
    struct hook_ask *a = &k->q.ask;
    act(sh, k);
    if (k->gone != NULL) hooks_ask(&k->gone->ask);
    hook_ask_unref(&a);
}

void will_fire(struct shard *sh, struct session *s, const struct conn *c)
{
    if (will_hooks(sh, s->will) == NULL) {
        sessions_will(sh, s);
        return;
    }
    struct will_ask *k = ask_about(sh, s, c);
    if (k == NULL) {
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_TEXT("will_of", session_client_id(s)));
        sessions_deny_will(sh, s);
        return;
    }
    s->will->asked = k;
    if (hooks_ask(&k->q.ask)) finish(sh, k);
}

void will_detach(struct session *s)
{
    if (!will_is_asked(s)) return;
    struct will_ask *k = s->will->asked;
    k->will = s->will;
    k->session = NULL;
    s->will = NULL;
}

void will_mail_answer(struct shard *sh, struct mail *m)
{
    struct hook_ask *a = CONTAINER(m, struct hook_ask, mail);
    finish(sh, CONTAINER(a, struct will_ask, q.ask));
}
