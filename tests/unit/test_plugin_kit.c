/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/test_plugin_kit.h"
#include <stdlib.h>
#include <string.h>

/* In front of a name that was said: what is not an event. */
static const char *rig_event(int event)
{
    return event == RIGGED_INIT ? "init" : event == RIGGED_CLEANUP ? "cleanup" : plugin_event_name(event);
}

static int rig_call(struct rigged *rigged, const char *name, int event, void *data)
{
    struct rig *r = CONTAINER(rigged, struct rig, rigged);
    lock_take(&r->lock);
    size_t n = strlen(r->said);
    if (event != MOSQ_EVT_TICK) snprintf(r->said + n, sizeof r->said - n, "%s:%s ", name, rig_event(event));
    lock_release(&r->lock);
    return r->on_call == NULL ? MOSQ_ERR_PLUGIN_DEFER : r->on_call(r, name, event, data);
}

void rig_hang(struct rig *r)
{
    mailbox_send(&r->entered, &r->has_entered);
    mailbox_wait(&r->release);
}

void rig_check_said(struct rig *r, const char *want)
{
    char said[sizeof r->said];
    lock_take(&r->lock);
    memcpy(said, r->said, sizeof said);
    r->said[0] = '\0';
    lock_release(&r->lock);
    assert_string_equal(want, said);
}

void rig_add_opt(struct rig *r, const char *key, const char *value)
{
    size_t i = r->conf.count - 1;
    r->opts[i][r->at[i].opts_count++] = (struct plugin_opt){ key, value };
}

void rig_add(struct rig *r, const char *name, const char *const *events)
{
    size_t i = r->conf.count++;
    r->at[i] = (struct plugin_conf){ .path = RIGGED_SO, .set_at = "test:1", .opts = r->opts[i] };
    rig_add_opt(r, "rig", r->address);
    rig_add_opt(r, "name", name);
    for (; *events != NULL; events++) rig_add_opt(r, "event", *events);
}

void rig_init(struct rig *r)
{
    *r = (struct rig){ .rigged.call = rig_call };
    lock_init(&r->lock, LOCK_RANK_LOGIN);
    CHECK(mailbox_open(&r->home) == ERR_OK && mailbox_open(&r->entered) == ERR_OK &&
          mailbox_open(&r->release) == ERR_OK);
    snprintf(r->address, sizeof r->address, "%llx", (unsigned long long)(uintptr_t)&r->rigged);
    r->conf = (struct plugins_conf){ .at = r->at, .timeout_ms = RIG_LONG_MS, .queue_max = 100 };
    struct hook_client_conf conf = { .id = bytes_of_text("client"), .address = "127.0.0.1", .version = 5 };
    CHECK(hook_client_new(&r->client, &conf) == ERR_OK);
}

static enum err rig_publish(void *ctx, const struct hook_message *m)
{
    (void)ctx;
    (void)m;
    return ERR_CLOSED;
}

static void rig_forget(void *ctx)
{
    (void)ctx;
}

static enum err rig_kick(void *ctx, const struct hook_kick *k)
{
    (void)ctx;
    (void)k;
    return ERR_CLOSED;
}

static enum err rig_presence(void *ctx, struct hook_presence *q)
{
    (void)ctx;
    (void)q;
    return ERR_CLOSED;
}

enum err rig_start(struct rig *r)
{
    static const uint16_t which[] = { 0, 1, 2, 3 };
    static const struct hook_broker broker = { NULL, rig_publish, rig_kick, rig_forget, rig_presence };
    CHECK(plugins_new(&r->plugins, &r->conf) == ERR_OK);
    r->hooks = plugins_hooks(r->plugins, which, r->conf.count);
    CHECK(r->hooks != NULL);
    return plugins_start(r->plugins, &broker);
}

void rig_stop(struct rig *r)
{
    plugins_stop(r->plugins, RIG_LONG_MS);
}

/* plugins_free by itself leaves behind who has not ended in a moment. */
void rig_fini(struct rig *r)
{
    rig_stop(r);
    hook_client_unref(&r->client);
    hooks_unref(&r->hooks);
    plugins_free(&r->plugins);
    mailbox_close(&r->home);
    mailbox_close(&r->entered);
    mailbox_close(&r->release);
    lock_fini(&r->lock);
}

/* --- questions */

void rig_ask_set(struct rig *r, struct hook_ask *a, enum hook_about about)
{
    hook_ask_init(a, about, r->hooks, about == HOOK_READ ? NULL : r->client);
    a->to = &r->home;
    a->kind = RIG_HOME;
}

static void rig_free_login(struct hook_ask *a)
{
    free(CONTAINER(a, struct hook_login, ask));
}

static void rig_free_publish(struct hook_ask *a)
{
    free(CONTAINER(a, struct hook_publish, ask));
}

void rig_free_gone(struct hook_ask *a)
{
    free(CONTAINER(a, struct hook_gone, ask));
}

struct hook_ask *rig_login(struct rig *r, const char *username)
{
    struct hook_login *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    rig_ask_set(r, &l->ask, HOOK_LOGIN);
    l->ask.destroy = rig_free_login;
    l->username = username;
    l->password = "secret";
    return &l->ask;
}

struct hook_publish *rig_message(struct rig *r, const char *topic)
{
    struct hook_publish *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    rig_ask_set(r, &p->ask, HOOK_PUBLISH);
    p->ask.destroy = rig_free_publish;
    p->topic = bytes_of_text(topic);
    p->payload = bytes_of_text("payload");
    p->version = 5;
    p->asks_acl = true;
    p->fallback = HOOK_ALLOW;
    return p;
}

void rig_say_gone(struct rig *r)
{
    struct hook_gone *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    rig_ask_set(r, &g->ask, HOOK_GONE);
    g->ask.destroy = rig_free_gone;
    g->was_in = true;
    CHECK(!hooks_ask(&g->ask));
}

struct hook_ask *rig_answer(struct rig *r)
{
    static _Thread_local struct mail *left;
    struct mail *m = left != NULL ? left : mailbox_wait(&r->home);
    left = m->next;
    CHECK_INT(RIG_HOME, m->kind);
    return CONTAINER(m, struct hook_ask, mail);
}

void rig_ask(struct rig *r, struct hook_ask *a)
{
    if (!hooks_ask(a)) assert_ptr_equal(a, rig_answer(r));
}

void rig_check_login(struct rig *r, const char *username, enum hook_verdict want)
{
    struct hook_ask *a = rig_login(r, username);
    rig_ask(r, a);
    CHECK_INT(want, a->verdict);
    hook_ask_unref(&a);
}
