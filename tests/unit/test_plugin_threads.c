/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four shards, three plugins, and reloads all the time: every question is answered, as the plugins would have
 * it. Worth most under ThreadSanitizer.
 */
#include "base/thread.h"
#include "unit/test_plugin_kit.h"
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 4, ROUNDS = 150 };

static const char *const all[] = { "1", "2", "3", "7", "9", "10", NULL };

/* The first lets those in whose name begins with a, and so on; the last one's callbacks may run anywhere. */
static int by_letter(struct rig *r, const char *name, int event, void *data)
{
    (void)r;
    if (event == MOSQ_EVT_BASIC_AUTH) {
        const struct mosquitto_evt_basic_auth *e = data;
        CHECK(mosquitto_client_id(e->client) != NULL);
        if (name[0] != e->username[0]) return MOSQ_ERR_PLUGIN_DEFER;
        return e->username[1] == '+' ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
    }
    if (event == MOSQ_EVT_ACL_CHECK) {
        const struct mosquitto_evt_acl_check *e = data;
        return e->topic[0] == name[0] ? MOSQ_ERR_SUCCESS : MOSQ_ERR_PLUGIN_DEFER;
    }
    return MOSQ_ERR_SUCCESS;
}

struct shard {
    struct rig *rig;
    struct thread thread;
    struct mailbox home;
    unsigned number, wrong;
};

static void wait_if_asked(struct shard *s, struct hook_ask *a)
{
    a->to = &s->home;
    if (!hooks_ask(a)) CHECK(CONTAINER(mailbox_wait(&s->home), struct hook_ask, mail) == a);
}

static void try_login(struct shard *s, const char *username, enum hook_verdict want)
{
    struct hook_ask *a = rig_login(s->rig, username);
    wait_if_asked(s, a);
    if (a->verdict != want) s->wrong++;
    hook_ask_unref(&a);
}

static void try_message(struct shard *s, const char *topic, enum hook_verdict want)
{
    struct hook_publish *p = rig_message(s->rig, topic);
    struct hook_ask *a = &p->ask;
    p->fallback = HOOK_DENY;
    wait_if_asked(s, a);
    if (a->verdict != want) s->wrong++;
    hook_ask_unref(&a);
}

static struct hook_client *client_new(const struct shard *s, unsigned round)
{
    struct hook_client *c;
    char id[32];
    snprintf(id, sizeof id, "client-%u-%u", s->number, round);
    struct hook_client_conf conf = { .id = bytes_of_text(id), .address = "127.0.0.1", .version = 5 };
    CHECK(hook_client_new(&c, &conf) == ERR_OK);
    return c;
}

/* One that comes and goes. */
static void visit(struct shard *s, unsigned round)
{
    struct hook_client *client = client_new(s, round);
    struct hook_ask *a = rig_login(s->rig, "b+");
    struct hook_gone *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    hook_client_unref(&a->client);
    a->client = hook_client_ref(client);
    wait_if_asked(s, a);
    if (a->verdict != HOOK_ALLOW) s->wrong++;
    hook_ask_unref(&a);
    hook_ask_init(&g->ask, HOOK_GONE, s->rig->hooks, client);
    g->ask.destroy = rig_free_gone;
    g->was_in = true;
    CHECK(!hooks_ask(&g->ask));
    hook_client_unref(&client);
}

static void run_shard(void *arg)
{
    struct shard *s = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        try_login(s, "a+", HOOK_ALLOW);
        try_login(s, "c-", HOOK_DENY);
        try_login(s, "nobody", HOOK_DEFER);
        try_message(s, "b/topic", HOOK_ALLOW);
        try_message(s, "x/topic", HOOK_DENY);
        visit(s, i);
    }
}

static void start(struct shard *s, struct rig *r, unsigned number)
{
    *s = (struct shard){ .rig = r, .number = number };
    CHECK_INT(ERR_OK, mailbox_open(&s->home));
    CHECK_INT(ERR_OK, thread_start(&s->thread, "shard", run_shard, s));
}

TEST(many_shards_ask_three_plugins_that_reload_and_all_answers_are_theirs)
{
    struct rig r;
    struct shard shards[SHARDS];
    rig_init(&r);
    rig_add(&r, "a", all);
    rig_add(&r, "b", all);
    rig_add(&r, "c", all);
    r.on_call = by_letter;
    CHECK_INT(ERR_OK, rig_start(&r));
    plugin_run_anywhere(&r.plugins->at[2], MOSQ_EVT_BASIC_AUTH);
    for (unsigned i = 0; i < SHARDS; i++) start(&shards[i], &r, i);
    for (int i = 0; i < ROUNDS; i++) plugins_reload(r.plugins, &r.conf);
    for (unsigned i = 0; i < SHARDS; i++) {
        thread_join(&shards[i].thread);
        CHECK_INT(0, shards[i].wrong);
        mailbox_close(&shards[i].home);
    }
    rig_say_gone(&r);
    rig_stop(&r);
    for (size_t i = 0; i < 3; i++) CHECK_INT(0, r.plugins->at[i].known.count);
    CHECK_INT(ROUNDS, tally_get(&r.plugins->at[0].counts[MOSQ_EVT_RELOAD].calls));
    rig_fini(&r);
}
