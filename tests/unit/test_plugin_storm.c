/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shards that ask all the time while plugins come to their end, register and unregister, and answer from
 * other threads: every question is answered, and no callback runs where it may not. Worth most under
 * ThreadSanitizer.
 */
#include "base/thread.h"
#include "base/word.h"
#include "plugin/ext_int.h"
#include "unit/test_plugin_kit.h"
#include <stdlib.h>
#include <string.h>

/* END_MS: half of it passes, because of promises; the other is for three to clean up while shards ask all the
 * time. */
enum { SHARDS = 3, ROUNDS = 300, WAITING_MAX = 40, END_MS = 4000 };

static const char *const all[] = { "1", "2", "3", "7", "10", NULL };

struct shard {
    struct rig *rig;
    struct thread thread;
    struct mailbox home;
    struct shared_word *stops;
    unsigned asked, answered;
};

static void put_home(struct shard *s, struct mail *m)
{
    while (m != NULL) {
        struct hook_ask *a = CONTAINER(m, struct hook_ask, mail);
        m = m->next;
        s->answered++;
        hook_ask_unref(&a);
    }
}

static void ask(struct shard *s, struct hook_ask *a)
{
    a->to = &s->home;
    s->asked++;
    if (!hooks_ask(a)) return;
    s->answered++;
    hook_ask_unref(&a);
}

static void run_shard(void *arg)
{
    struct shard *s = arg;
    for (unsigned i = 0; i < ROUNDS || shared_word_get(s->stops) == 0; i++) {
        ask(s, rig_login(s->rig, "me"));
        bool is_later = i % 32 == 0 && i < WAITING_MAX / 2 * 32;
        ask(s, &rig_message(s->rig, is_later ? "later" : "topic")->ask);
        if (s->asked - s->answered > WAITING_MAX) put_home(s, mailbox_wait(&s->home));
        put_home(s, mailbox_take(&s->home));
    }
    while (s->answered < s->asked) put_home(s, mailbox_wait(&s->home));
}

static void start(struct shard *s, struct rig *r, struct shared_word *stops)
{
    *s = (struct shard){ .rig = r, .stops = stops };
    CHECK_INT(ERR_OK, mailbox_open(&s->home));
    CHECK_INT(ERR_OK, thread_start(&s->thread, "shard", run_shard, s));
}

static void join(struct shard *s)
{
    thread_join(&s->thread);
    CHECK_INT(s->asked, s->answered);
    mailbox_close(&s->home);
}

static struct shared_word cleaned[RIG_PLUGINS_MAX], wrong;

/* --- the end */

static int count_late_calls(struct rig *r, const char *name, int event, void *data)
{
    struct shared_word *is_cleaned = &cleaned[name[0] - 'a'];
    (void)r;
    if (shared_word_get(is_cleaned) != 0) shared_word_set(&wrong, 1);
    if (event == RIGGED_CLEANUP) shared_word_set(is_cleaned, 1);
    if (event != MOSQ_EVT_ACL_CHECK || name[0] != 'b') return MOSQ_ERR_PLUGIN_DEFER;
    const struct mosquitto_evt_acl_check *e = data;
    bool is_later = strcmp(e->topic, "later") == 0 && longlink_verdict_later(data) != NULL; /* for good */
    return is_later ? LONGLINK_VERDICT_LATER : MOSQ_ERR_PLUGIN_DEFER;
}

static void begin(struct rig *r, int (*on_call)(struct rig *r, const char *name, int event, void *data))
{
    shared_word_set(&wrong, 0);
    for (size_t i = 0; i < RIG_PLUGINS_MAX; i++) shared_word_set(&cleaned[i], 0);
    rig_init(r);
    rig_add(r, "a", all);
    rig_add(r, "b", all);
    rig_add(r, "c", all);
    r->conf.queue_max = UINT32_MAX;
    r->on_call = on_call;
    CHECK_INT(ERR_OK, rig_start(r));
}

TEST(no_callback_runs_anywhere_once_its_plugin_cleans_up)
{
    struct rig r;
    struct shard shards[SHARDS];
    struct shared_word stops = { 0 };
    begin(&r, count_late_calls);
    for (size_t i = 0; i < 3; i++) {
        plugin_run_anywhere(&r.plugins->at[i], MOSQ_EVT_BASIC_AUTH);
        plugin_run_anywhere(&r.plugins->at[i], MOSQ_EVT_ACL_CHECK);
    }
    for (unsigned i = 0; i < SHARDS; i++) start(&shards[i], &r, &stops);
    while (tally_get(&r.plugins->at[2].counts[MOSQ_EVT_BASIC_AUTH].calls) < ROUNDS) continue;
    plugins_stop(r.plugins, END_MS);
    shared_word_set(&stops, 1);
    for (unsigned i = 0; i < SHARDS; i++) join(&shards[i]);
    CHECK_INT(0, shared_word_get(&wrong));
    for (size_t i = 0; i < 3; i++) CHECK_INT(1, shared_word_get(&cleaned[i]));
    rig_fini(&r);
}

/* --- a storm of registrations */

static mosquitto_plugin_id_t *ids[RIG_PLUGINS_MAX];

static int on_message(int event, void *data, void *userdata)
{
    (void)event, (void)data, (void)userdata;
    return MOSQ_ERR_SUCCESS;
}

/* Where it may, and where it may not. */
static int register_and_unregister(struct rig *r, const char *name, int event, void *data)
{
    mosquitto_plugin_id_t **id = &ids[name[0] - 'a'];
    (void)r;
    if (event == RIGGED_INIT) *id = data;
    if (event != MOSQ_EVT_ACL_CHECK && event != MOSQ_EVT_BASIC_AUTH) return MOSQ_ERR_SUCCESS;
    bool may = event == MOSQ_EVT_ACL_CHECK || name[0] == 'c';
    int rc = mosquitto_callback_register(*id, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
    if (rc != (may ? MOSQ_ERR_SUCCESS : MOSQ_ERR_INVAL)) shared_word_set(&wrong, 1);
    rc = mosquitto_callback_unregister(*id, MOSQ_EVT_MESSAGE, on_message, NULL);
    if (rc != (may ? MOSQ_ERR_SUCCESS : MOSQ_ERR_INVAL)) shared_word_set(&wrong, 2);
    return MOSQ_ERR_PLUGIN_DEFER;
}

TEST(callbacks_come_and_go_on_the_thread_of_the_plugin_while_others_run)
{
    struct rig r;
    struct shard shards[SHARDS];
    struct shared_word stops = { 1 };
    begin(&r, register_and_unregister);
    plugin_run_anywhere(&r.plugins->at[1], MOSQ_EVT_BASIC_AUTH);
    plugin_run_anywhere(&r.plugins->at[0], MOSQ_EVT_BASIC_AUTH);
    for (unsigned i = 0; i < SHARDS; i++) start(&shards[i], &r, &stops);
    for (unsigned i = 0; i < SHARDS; i++) join(&shards[i]);
    rig_stop(&r);
    CHECK_INT(0, shared_word_get(&wrong));
    rig_fini(&r);
}
