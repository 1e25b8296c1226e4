/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/test_plugin_kit.h"
#include <stdlib.h>
#include <string.h>

static const char *const login[] = { "3", NULL };
static const char *const login_and_gone[] = { "3", "10", NULL };
static const char *const acl[] = { "2", NULL };
static const char *const all[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", NULL };

/* A plugin's result for a login is in the user name: "a=0 b=11". */
static int as_named(struct rig *r, const char *name, int event, void *data)
{
    (void)r;
    char want[16];
    if (event != MOSQ_EVT_BASIC_AUTH) return MOSQ_ERR_SUCCESS;
    const struct mosquitto_evt_basic_auth *e = data;
    snprintf(want, sizeof want, "%s=", name);
    const char *at = e->username == NULL ? NULL : strstr(e->username, want);
    return at == NULL ? MOSQ_ERR_PLUGIN_DEFER : (int)strtol(at + strlen(want), NULL, 10);
}

static void two(struct rig *r)
{
    rig_init(r);
    rig_add(r, "a", login_and_gone);
    rig_add(r, "b", login_and_gone);
    r->on_call = as_named;
    CHECK_INT(ERR_OK, rig_start(r));
    rig_check_said(r, "a:init b:init ");
}

TEST(plugins_begin_and_end_in_their_order)
{
    struct rig r;
    two(&r);
    rig_stop(&r);
    rig_check_said(&r, "a:cleanup b:cleanup ");
    rig_fini(&r);
}

TEST(the_first_plugin_that_does_not_defer_decides)
{
    struct rig r;
    two(&r);
    rig_check_login(&r, "a=0", HOOK_ALLOW);
    rig_check_said(&r, "a:basic_auth ");
    rig_check_login(&r, "b=0", HOOK_ALLOW);
    rig_check_said(&r, "a:basic_auth b:basic_auth ");
    rig_check_login(&r, "a=11 b=0", HOOK_DENY);
    rig_check_said(&r, "a:basic_auth ");
    rig_check_login(&r, "nobody", HOOK_DEFER);
    rig_check_said(&r, "a:basic_auth b:basic_auth ");
    rig_fini(&r);
}

TEST(nobody_is_asked_what_nobody_is_registered_for)
{
    struct rig r;
    two(&r);
    CHECK_TRUE(hooks_want(r.hooks, HOOK_EVENT_LOGIN));
    CHECK_TRUE(hooks_want(r.hooks, HOOK_EVENT_DISCONNECT));
    CHECK_TRUE(!hooks_want(r.hooks, HOOK_EVENT_ACL | HOOK_EVENT_MESSAGE | HOOK_EVENT_PSK));
    struct hook_publish *p = rig_message(&r, "topic");
    struct hook_ask *a = &p->ask;
    CHECK_TRUE(hooks_ask(a)); /* at once */
    CHECK_INT(HOOK_ALLOW, a->verdict);
    hook_ask_unref(&a);
    p = rig_message(&r, "topic");
    a = &p->ask;
    p->fallback = HOOK_DENY;
    CHECK_TRUE(hooks_ask(a));
    CHECK_INT(HOOK_DENY, a->verdict);
    CHECK_INT(0x87, a->code);
    hook_ask_unref(&a);
    rig_check_said(&r, "");
    rig_fini(&r);
}

TEST(all_hear_that_a_client_is_gone_and_then_do_not_know_it)
{
    struct rig r;
    two(&r);
    rig_check_login(&r, "nobody", HOOK_DEFER);
    lock_take(&r.plugins->at[1].lock);
    CHECK_TRUE(plugin_known_locked(&r.plugins->at[1], r.client) != NULL);
    lock_release(&r.plugins->at[1].lock);
    rig_say_gone(&r);
    rig_stop(&r);
    rig_check_said(&r, "a:basic_auth b:basic_auth a:disconnect b:disconnect a:cleanup b:cleanup ");
    for (size_t i = 0; i < 2; i++) CHECK_INT(0, r.plugins->at[i].known.count);
    rig_fini(&r);
}

TEST(the_same_file_twice_is_two_plugins)
{
    struct rig r;
    two(&r);
    assert_string_equal("rigged", r.plugins->at[0].name);
    assert_string_equal("rigged#2", r.plugins->at[1].name);
    rig_fini(&r);
}

TEST(a_plugin_that_does_not_want_to_start_stops_those_before_it)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, "a", login);
    rig_add(&r, "b", login);
    rig_add_opt(&r, "init", "7");
    CHECK_INT(ERR_SYS, rig_start(&r));
    rig_stop(&r);
    rig_check_said(&r, "a:init a:cleanup ");
    rig_fini(&r);
}

static void check_try(const char *path, const char *want)
{
    char text[PLUGIN_TEXT_BYTES] = "";
    CHECK_INT(want == NULL ? ERR_OK : ERR_SYS, plugin_try(path, text));
    if (want != NULL && strstr(text, want) == NULL) fail_msg("%s: %s", path, text);
}

TEST(what_cannot_be_loaded_is_said)
{
    check_try(RIGGED_SO, NULL);
    check_try(TEST_PLUGINS "/not-there.so", "No such file or directory");
    check_try("/etc/passwd", "/etc/passwd: ");
    check_try(TEST_PLUGINS "/refused_none.so", "it has no function mosquitto_plugin_version");
    check_try(TEST_PLUGINS "/refused_half.so", "it has no function mosquitto_plugin_init");
    check_try(TEST_PLUGINS "/refused_old.so", "it speaks version 2, 3 or 4 of mosquitto's interface");
    check_try(TEST_PLUGINS "/refused_new.so", "its mosquitto_plugin_version says 99");
}

/* --- a reload */

static int remember_opts(struct rig *r, const char *name, int event, void *data)
{
    const struct mosquitto_evt_reload *e = data;
    if (event != MOSQ_EVT_RELOAD) return MOSQ_ERR_PLUGIN_DEFER;
    lock_take(&r->lock);
    size_t n = strlen(r->said);
    snprintf(r->said + n, sizeof r->said - n, "%s has %s=%s ", name, e->options[e->option_count - 1].key,
             e->options[e->option_count - 1].value);
    lock_release(&r->lock);
    return MOSQ_ERR_SUCCESS;
}

TEST(a_reload_hands_over_the_options_as_they_are_now)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, "a", all);
    rig_add_opt(&r, "last", "first");
    r.on_call = remember_opts;
    CHECK_INT(ERR_OK, rig_start(&r));
    plugins_reload(r.plugins, &r.conf);
    rig_add_opt(&r, "last", "second");
    plugins_reload(r.plugins, &r.conf);
    rig_stop(&r);
    rig_check_said(&r, "a:init a:reload a has last=first a:reload a has last=second a:cleanup ");
    rig_fini(&r);
}

/* --- a message: may it, and then its content */

static int change_payload(struct rig *r, const char *name, int event, void *data)
{
    (void)r;
    struct mosquitto_evt_message *e = data;
    char text[64];
    if (event != MOSQ_EVT_MESSAGE) return MOSQ_ERR_PLUGIN_DEFER;
    int n = snprintf(text, sizeof text, "%.*s+%s", (int)e->payloadlen, (const char *)e->payload, name);
    e->payload = mosquitto_strdup(text);
    e->payloadlen = (uint32_t)n;
    return MOSQ_ERR_SUCCESS;
}

TEST(all_are_asked_whether_it_may_be_before_any_sees_its_content)
{
    struct rig r;
    static const char *const both[] = { "2", "7", "6", NULL };
    rig_init(&r);
    rig_add(&r, "a", both);
    rig_add(&r, "b", both);
    r.on_call = change_payload;
    CHECK_INT(ERR_OK, rig_start(&r));
    struct hook_publish *p = rig_message(&r, "topic");
    struct hook_ask *a = &p->ask;
    rig_ask(&r, a);
    CHECK_INT(HOOK_ALLOW, a->verdict);
    CHECK_TRUE(bytes_equal(bytes_of_text("payload+a+b"), p->payload));
    hook_ask_unref(&a);
    rig_check_said(&r, "a:init b:init a:acl_check b:acl_check a:message b:message ");
    p = rig_message(&r, "$CONTROL/b/v1");
    a = &p->ask;
    p->asks_acl = false;
    rig_ask(&r, a);
    hook_ask_unref(&a);
    rig_check_said(&r, "b:control ");
    rig_fini(&r);
}

/* --- callbacks that may run anywhere */

TEST(what_may_run_anywhere_is_answered_at_once)
{
    struct rig r;
    two(&r);
    CHECK_TRUE(!r.hooks->ops->is_inline(r.hooks, HOOK_EVENT_LOGIN));
    plugin_run_anywhere(&r.plugins->at[0], MOSQ_EVT_BASIC_AUTH);
    struct hook_ask *a = rig_login(&r, "a=0");
    CHECK_TRUE(hooks_ask(a));
    CHECK_INT(HOOK_ALLOW, a->verdict);
    hook_ask_unref(&a);
    rig_check_login(&r, "b=11", HOOK_DENY); /* the second one on its thread */
    CHECK_TRUE(!r.hooks->ops->is_inline(r.hooks, HOOK_EVENT_LOGIN));
    plugin_run_anywhere(&r.plugins->at[1], MOSQ_EVT_BASIC_AUTH);
    CHECK_TRUE(r.hooks->ops->is_inline(r.hooks, HOOK_EVENT_LOGIN));
    a = rig_login(&r, "b=11");
    CHECK_TRUE(hooks_ask(a));
    CHECK_INT(HOOK_DENY, a->verdict);
    hook_ask_unref(&a);
    rig_fini(&r);
}

/* --- figures */

static void find_figure(void *ctx, const struct plugin_figure *f)
{
    char *said = ctx;
    if (strstr(f->name, "microseconds") != NULL) return;
    size_t n = strlen(said);
    snprintf(said + n, 1024 - n, "%s %s %s %d\n", f->name, f->plugin, f->event == NULL ? "-" : f->event,
             (int)f->value);
}

TEST(what_plugins_did_is_counted)
{
    struct rig r;
    char said[1024] = "";
    two(&r);
    rig_check_login(&r, "a=11", HOOK_DENY);
    rig_check_login(&r, "b=0", HOOK_ALLOW);
    plugins_figures(r.plugins, find_figure, said);
    assert_string_equal("plugin_queue rigged - 0\n"
                        "plugin_calls_total rigged basic_auth 2\n"
                        "plugin_late_total rigged basic_auth 0\n"
                        "plugin_denied_total rigged basic_auth 1\n"
                        "plugin_deferred_total rigged basic_auth 1\n"
                        "plugin_queue rigged#2 - 0\n"
                        "plugin_calls_total rigged#2 basic_auth 1\n"
                        "plugin_late_total rigged#2 basic_auth 0\n"
                        "plugin_denied_total rigged#2 basic_auth 0\n"
                        "plugin_deferred_total rigged#2 basic_auth 0\n",
                        said);
    rig_fini(&r);
}

/* --- deliveries */

enum { READS = 3 };

struct reads {
    struct hook_reads q;
    struct hook_read at[READS];
};

static struct hook_read *item_of(struct hook_reads *q, size_t i)
{
    return &CONTAINER(q, struct reads, q)->at[i];
}

static void free_reads(struct hook_ask *a)
{
    struct reads *q = CONTAINER(a, struct reads, q.ask);
    for (size_t i = 0; i < READS; i++) {
        hook_client_unref(&q->at[i].client);
        msg_unref(&q->at[i].msg);
    }
    free(q);
}

/* Topics "0", "1", "2". */
static struct hook_ask *reads(struct rig *r, uint8_t fallback)
{
    static const char *const topics[] = { "0", "1", "2" };
    struct reads *q = calloc(1, sizeof *q);
    rig_ask_set(r, &q->q.ask, HOOK_READ);
    q->q.ask.destroy = free_reads;
    q->q.count = READS;
    q->q.item = item_of;
    for (size_t i = 0; i < READS; i++) {
        struct msg_parts parts = { .topic = bytes_of_text(topics[i]) };
        q->at[i] = (struct hook_read){ .client = hook_client_ref(r->client), .fallback = fallback };
        CHECK_INT(ERR_OK, msg_new(&q->at[i].msg, &parts));
    }
    return &q->q.ask;
}

static void check_reads(struct hook_ask *a, const char *want)
{
    static const char letters[] = "dANmelb"; /* enum hook_verdict */
    const struct reads *q = CONTAINER(a, struct reads, q.ask);
    char got[READS + 1] = "";
    for (size_t i = 0; i < READS; i++) got[i] = letters[q->at[i].verdict];
    assert_string_equal(want, got);
    hook_ask_unref(&a);
}

static int by_topic(struct rig *r, const char *name, int event, void *data)
{
    (void)r;
    if (event != MOSQ_EVT_ACL_CHECK) return MOSQ_ERR_SUCCESS;
    const struct mosquitto_evt_acl_check *e = data;
    if (name[0] == 'a' && e->topic[0] == '0') return MOSQ_ERR_SUCCESS;
    return name[0] == 'b' && e->topic[0] == '1' ? MOSQ_ERR_ACL_DENIED : MOSQ_ERR_PLUGIN_DEFER;
}

TEST(each_delivery_of_a_question_goes_its_own_way_through_the_plugins)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, "a", acl);
    rig_add(&r, "b", acl);
    r.on_call = by_topic;
    CHECK_INT(ERR_OK, rig_start(&r));
    struct hook_ask *a = reads(&r, HOOK_ALLOW);
    rig_ask(&r, a);
    check_reads(a, "ANA");
    a = reads(&r, HOOK_DENY);
    rig_ask(&r, a);
    check_reads(a, "ANN");
    rig_fini(&r);
}
