/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that take too long, and verdicts that come later. A callback hangs until the test lets it go, so
 * that only "too late" depends on a clock, and however late that is the outcome is the same.
 */
#include "plugin/ext_int.h"
#include "unit/test_plugin_kit.h"
#include <stdlib.h>
#include <string.h>

enum { SHORT_MS = 20, END_MS = 4000 };

static const char *const all[] = { "2", "3", "7", "10", NULL };

static int hang_if_asked(struct rig *r, const char *name, int event, void *data)
{
    (void)name;
    if (event == MOSQ_EVT_ACL_CHECK) {
        const struct mosquitto_evt_acl_check *e = data;
        if (e->topic[0] == '1') rig_hang(r);
        return MOSQ_ERR_SUCCESS;
    }
    if (event != MOSQ_EVT_BASIC_AUTH) return MOSQ_ERR_SUCCESS;
    const struct mosquitto_evt_basic_auth *e = data;
    if (e->username != NULL && strcmp(e->username, "hang") == 0) rig_hang(r);
    return MOSQ_ERR_SUCCESS;
}

static void one(struct rig *r, uint32_t timeout_ms, uint32_t queue_max)
{
    rig_init(r);
    rig_add(r, "a", all);
    r->conf.timeout_ms = timeout_ms;
    r->conf.queue_max = queue_max;
    r->on_call = hang_if_asked;
    CHECK_INT(ERR_OK, rig_start(r));
}

static void let_go(struct rig *r)
{
    mailbox_send(&r->release, &r->may_go);
}

static void check_verdict(struct hook_ask *a, enum hook_verdict want)
{
    CHECK_INT(want, a->verdict);
    hook_ask_unref(&a);
}

/* Another time counts at once. With one that is short from the start, a test that is held up between two
 * questions would find the plugin hanging already at the second. */
static void set_time(struct rig *r, uint32_t timeout_ms)
{
    r->conf.timeout_ms = timeout_ms;
    plugins_reload(r->plugins, &r->conf);
}

/* --- deliveries */

struct reads {
    struct hook_reads q;
    struct hook_read at[3];
};

static struct hook_read *item_of(struct hook_reads *q, size_t i)
{
    return &CONTAINER(q, struct reads, q)->at[i];
}

static void free_reads(struct hook_ask *a)
{
    struct reads *q = CONTAINER(a, struct reads, q.ask);
    for (size_t i = 0; i < 3; i++) {
        hook_client_unref(&q->at[i].client);
        msg_unref(&q->at[i].msg);
    }
    free(q);
}

static struct reads *reads(struct rig *r, const char *const topics[3])
{
    struct reads *q = calloc(1, sizeof *q);
    rig_ask_set(r, &q->q.ask, HOOK_READ);
    q->q.ask.destroy = free_reads;
    q->q.count = 3;
    q->q.item = item_of;
    for (size_t i = 0; i < 3; i++) {
        struct msg_parts parts = { .topic = bytes_of_text(topics[i]) };
        q->at[i] = (struct hook_read){ .client = hook_client_ref(r->client), .fallback = HOOK_DENY };
        CHECK_INT(ERR_OK, msg_new(&q->at[i].msg, &parts));
    }
    return q;
}

/* Until nothing hangs any more: a delivery is put behind it, however long it takes. */
static void wait_behind(struct rig *r)
{
    static const char *const topics[] = { "0", "0", "0" };
    struct hook_ask *a = &reads(r, topics)->q.ask;
    CHECK_TRUE(!hooks_ask(a));
    assert_ptr_equal(a, rig_answer(r));
    hook_ask_unref(&a);
}

/* --- questions */

TEST(who_takes_too_long_is_not_waited_for)
{
    struct rig r;
    one(&r, SHORT_MS, 100);
    struct hook_ask *a = rig_login(&r, "hang");
    CHECK_TRUE(!hooks_ask(a));
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_LATE);
    CHECK_INT(1, tally_get(&r.plugins->at[0].counts[MOSQ_EVT_BASIC_AUTH].late));
    set_time(&r, RIG_LONG_MS);
    let_go(&r);
    wait_behind(&r);
    rig_check_login(&r, "quick", HOOK_ALLOW);
    rig_fini(&r);
}

TEST(time_begins_with_the_callback_and_not_with_the_question)
{
    struct rig r;
    one(&r, RIG_LONG_MS, 100);
    struct hook_ask *first = rig_login(&r, "hang"), *second = rig_login(&r, "quick");
    CHECK_TRUE(!hooks_ask(first));
    CHECK_TRUE(!hooks_ask(second));
    mailbox_wait(&r.entered);
    let_go(&r);
    assert_ptr_equal(first, rig_answer(&r));
    assert_ptr_equal(second, rig_answer(&r));
    check_verdict(first, HOOK_ALLOW);
    check_verdict(second, HOOK_ALLOW);
    rig_fini(&r);
}

TEST(behind_one_that_hangs_twice_as_long_nobody_waits)
{
    struct rig r;
    one(&r, 0, 100);
    struct hook_ask *first = rig_login(&r, "hang"), *second = rig_login(&r, "quick");
    struct hook_ask *third = &rig_message(&r, "topic")->ask;
    CHECK_TRUE(!hooks_ask(first));
    CHECK_TRUE(!hooks_ask(second));
    CHECK_TRUE(!hooks_ask(third));
    mailbox_wait(&r.entered);
    set_time(&r, SHORT_MS);
    for (int i = 0; i < 3; i++) check_verdict(rig_answer(&r), HOOK_LATE);
    struct hook_ask *fourth = rig_login(&r, "quick");
    CHECK_TRUE(hooks_ask(fourth)); /* at once */
    check_verdict(fourth, HOOK_LATE);
    let_go(&r);
    rig_say_gone(&r);
    rig_stop(&r);
    rig_check_said(&r, "a:init a:basic_auth a:disconnect a:cleanup ");
    rig_fini(&r);
}

TEST(a_queue_that_is_full_refuses_logins_and_nothing_else)
{
    struct rig r;
    one(&r, RIG_LONG_MS, 1);
    struct hook_ask *hangs = rig_login(&r, "hang"), *waits = rig_login(&r, "quick");
    CHECK_TRUE(!hooks_ask(hangs));
    mailbox_wait(&r.entered);
    CHECK_TRUE(!hooks_ask(waits));
    struct hook_ask *busy = rig_login(&r, "quick"), *message = &rig_message(&r, "topic")->ask;
    CHECK_TRUE(hooks_ask(busy));
    check_verdict(busy, HOOK_BUSY);
    CHECK_TRUE(!hooks_ask(message));
    let_go(&r);
    for (int i = 0; i < 3; i++) check_verdict(rig_answer(&r), HOOK_ALLOW);
    rig_fini(&r);
}

TEST(a_reload_sets_another_time)
{
    struct rig r;
    one(&r, 0, 100);
    struct hook_ask *a = rig_login(&r, "hang");
    CHECK_TRUE(!hooks_ask(a));
    mailbox_wait(&r.entered);
    set_time(&r, SHORT_MS);
    check_verdict(rig_answer(&r), HOOK_LATE);
    let_go(&r);
    rig_fini(&r);
}

/* --- deliveries: what is decided stays so */

TEST(deliveries_that_were_decided_stay_so_and_the_others_are_late)
{
    static const char *const topics[] = { "0", "1", "2" };
    struct rig r;
    one(&r, 0, 100);
    struct reads *q = reads(&r, topics), *behind = reads(&r, topics);
    struct hook_ask *a = &q->q.ask;
    CHECK_TRUE(!hooks_ask(a));
    behind->q.count = 1;
    CHECK_TRUE(!hooks_ask(&behind->q.ask));
    mailbox_wait(&r.entered);
    set_time(&r, SHORT_MS);
    assert_ptr_equal(a, rig_answer(&r));
    CHECK_INT(HOOK_ALLOW, q->at[0].verdict);
    CHECK_INT(HOOK_LATE, q->at[1].verdict);
    CHECK_INT(HOOK_LATE, q->at[2].verdict);
    hook_ask_unref(&a);
    set_time(&r, 0);
    let_go(&r);
    a = rig_answer(&r); /* deliveries wait, however long it takes */
    assert_ptr_equal(&behind->q.ask, a);
    CHECK_INT(HOOK_ALLOW, behind->at[0].verdict);
    hook_ask_unref(&a);
    rig_fini(&r);
}

/* --- verdicts that come later */

enum { PROMISES = 3 };
static struct plugin_step *promised[PROMISES];
static size_t promised_count;

static int promise(struct rig *r, const char *name, int event, void *data)
{
    bool comes_later = event == MOSQ_EVT_BASIC_AUTH || event == MOSQ_EVT_ACL_CHECK;
    (void)data;
    if (!comes_later || name[0] != 'a') return MOSQ_ERR_SUCCESS;
    struct plugin_step *s = plugin_step_now();
    CHECK_TRUE(plugin_step_later(s));
    CHECK_TRUE(!plugin_step_later(s));
    promised[promised_count++] = s;
    mailbox_send(&r->entered, &r->has_entered);
    mailbox_wait(&r->release);
    return PLUGIN_LATER;
}

static void promising(struct rig *r, uint32_t timeout_ms)
{
    rig_init(r);
    rig_add(r, "a", all);
    rig_add(r, "b", all);
    r->conf.timeout_ms = timeout_ms;
    r->on_call = promise;
    promised_count = 0;
    CHECK_INT(ERR_OK, rig_start(r));
}

static int promise_and_forget(struct rig *r, const char *name, int event, void *data)
{
    (void)r, (void)name;
    if (event != MOSQ_EVT_BASIC_AUTH) return MOSQ_ERR_SUCCESS;
    CHECK_TRUE(longlink_verdict_later(data) != NULL);
    return LONGLINK_VERDICT_LATER;
}

static void promising_many(struct rig *r, uint32_t timeout_ms)
{
    rig_init(r);
    rig_add(r, "a", all);
    r->conf.timeout_ms = timeout_ms;
    r->conf.queue_max = UINT32_MAX;
    r->on_call = promise_and_forget;
    CHECK_INT(ERR_OK, rig_start(r));
}

static struct hook_client *client_new(size_t number)
{
    struct hook_client *c;
    char id[32];
    snprintf(id, sizeof id, "client-%zu", number);
    struct hook_client_conf conf = { .id = bytes_of_text(id), .address = "127.0.0.1", .version = 5 };
    CHECK(hook_client_new(&c, &conf) == ERR_OK);
    return c;
}

static void ask_of(struct rig *r, struct hook_client *client)
{
    struct hook_ask *a = rig_login(r, "later");
    hook_client_unref(&a->client);
    a->client = hook_client_ref(client);
    CHECK_TRUE(!hooks_ask(a));
}

static void gone_of(struct rig *r, struct hook_client *client)
{
    struct hook_gone *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    hook_ask_init(&g->ask, HOOK_GONE, r->hooks, client);
    g->ask.destroy = rig_free_gone;
    hook_client_end(client);
    CHECK_TRUE(!hooks_ask(&g->ask));
}

/* A question whose callback has promised a verdict, and has returned once something else was done behind. */
static struct hook_ask *ask_later(struct rig *r)
{
    struct hook_ask *a = rig_login(r, "later");
    CHECK_TRUE(!hooks_ask(a));
    mailbox_wait(&r->entered);
    let_go(r);
    return a;
}

TEST(a_verdict_may_come_later_and_holds_up_nothing_else)
{
    struct rig r;
    promising(&r, RIG_LONG_MS);
    struct hook_ask *first = ask_later(&r), *second = ask_later(&r);
    CHECK_TRUE(plugin_step_answer(promised[1], MOSQ_ERR_AUTH, NULL));
    assert_ptr_equal(second, rig_answer(&r));
    check_verdict(second, HOOK_DENY);
    CHECK_TRUE(plugin_step_answer(promised[0], MOSQ_ERR_SUCCESS, NULL));
    assert_ptr_equal(first, rig_answer(&r));
    check_verdict(first, HOOK_ALLOW);
    rig_fini(&r);
}

TEST(a_verdict_may_be_there_before_its_callback_has_returned)
{
    struct rig r;
    promising(&r, RIG_LONG_MS);
    struct hook_ask *a = rig_login(&r, "later");
    CHECK_TRUE(!hooks_ask(a));
    mailbox_wait(&r.entered);
    CHECK_TRUE(plugin_step_answer(promised[0], MOSQ_ERR_AUTH, NULL));
    let_go(&r);
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_DENY);
    rig_fini(&r);
}

TEST(who_defers_later_leaves_it_to_the_next)
{
    struct rig r;
    promising(&r, RIG_LONG_MS);
    struct hook_ask *a = ask_later(&r);
    CHECK_TRUE(plugin_step_answer(promised[0], MOSQ_ERR_PLUGIN_DEFER, NULL));
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_ALLOW);
    rig_check_said(&r, "a:init b:init a:basic_auth b:basic_auth ");
    rig_fini(&r);
}

TEST(a_verdict_that_comes_too_late_does_not_count)
{
    struct rig r;
    promising(&r, SHORT_MS);
    struct hook_ask *a = ask_later(&r);
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_LATE);
    CHECK_TRUE(!plugin_step_answer(promised[0], MOSQ_ERR_SUCCESS, NULL));
    rig_fini(&r);
}

TEST(a_verdict_is_not_waited_for_when_its_client_is_gone)
{
    struct rig r;
    promising(&r, RIG_LONG_MS);
    struct hook_ask *a = ask_later(&r);
    rig_say_gone(&r);
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_LATE);
    CHECK_TRUE(!plugin_step_answer(promised[0], MOSQ_ERR_SUCCESS, NULL));
    rig_stop(&r);
    rig_check_said(&r, "a:init b:init a:basic_auth a:disconnect b:disconnect a:cleanup b:cleanup ");
    rig_fini(&r);
}

TEST(verdicts_of_several_deliveries_come_in_any_order)
{
    static const char *const topics[] = { "x", "y", "z" };
    static const int rc[] = { MOSQ_ERR_SUCCESS, MOSQ_ERR_ACL_DENIED, MOSQ_ERR_PLUGIN_DEFER };
    struct rig r;
    promising(&r, RIG_LONG_MS);
    struct reads *q = reads(&r, topics);
    struct hook_ask *a = &q->q.ask;
    CHECK_TRUE(!hooks_ask(a));
    for (size_t i = 0; i < 3; i++) {
        mailbox_wait(&r.entered);
        let_go(&r);
    }
    for (size_t i = 3; i-- > 0;) CHECK_TRUE(plugin_step_answer(promised[i], rc[i], NULL));
    assert_ptr_equal(a, rig_answer(&r));
    CHECK_INT(HOOK_ALLOW, q->at[0].verdict);
    CHECK_INT(HOOK_DENY, q->at[1].verdict);
    CHECK_INT(HOOK_ALLOW, q->at[2].verdict); /* by the second plugin */
    hook_ask_unref(&a);
    rig_fini(&r);
}

TEST(where_callbacks_may_run_anywhere_verdicts_may_come_later_too)
{
    struct rig r;
    promising(&r, RIG_LONG_MS);
    plugin_run_anywhere(&r.plugins->at[0], MOSQ_EVT_BASIC_AUTH);
    let_go(&r);
    struct hook_ask *a = rig_login(&r, "later");
    CHECK_TRUE(!hooks_ask(a));
    mailbox_wait(&r.entered);
    CHECK_TRUE(plugin_step_answer(promised[0], MOSQ_ERR_PLUGIN_DEFER, NULL));
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_ALLOW);
    rig_fini(&r);
}

TEST(a_will_whose_verdict_comes_later_is_decided_by_it_though_its_client_is_gone)
{
    struct rig r;
    promising(&r, RIG_LONG_MS);
    struct hook_publish *will = rig_message(&r, "will");
    struct hook_ask *a = &will->ask;
    a->about = HOOK_WILL;
    will->fallback = HOOK_DENY;
    CHECK_TRUE(!hooks_ask(a));
    mailbox_wait(&r.entered);
    let_go(&r);
    rig_say_gone(&r);
    struct hook_ask *behind = ask_later(&r); /* both plugins know that its client is gone */
    CHECK_TRUE(plugin_step_answer(promised[1], MOSQ_ERR_PLUGIN_DEFER, NULL));
    assert_ptr_equal(behind, rig_answer(&r));
    check_verdict(behind, HOOK_ALLOW);
    CHECK_TRUE(plugin_step_answer(promised[0], MOSQ_ERR_PLUGIN_DEFER, NULL));
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_ALLOW);
    rig_stop(&r);
    for (size_t i = 0; i < 2; i++) CHECK_INT(0, r.plugins->at[i].known.count);
    rig_fini(&r);
}

/* Each is found at once, in whatever order; a search through all of them would take minutes. */
TEST(very_many_verdicts_that_come_never_are_forgotten_with_their_clients_or_their_time)
{
    enum { MANY = 30000 };
    struct rig r;
    promising_many(&r, RIG_LONG_MS);
    struct hook_client **clients = calloc(MANY, sizeof(struct hook_client *));
    CHECK_TRUE(clients != NULL);
    for (size_t i = 0; i < MANY; i++) {
        clients[i] = client_new(i);
        ask_of(&r, clients[i]);
    }
    for (size_t i = MANY; i-- > 0;) gone_of(&r, clients[i]);
    for (size_t i = 0; i < MANY; i++) check_verdict(rig_answer(&r), HOOK_LATE);
    for (size_t i = 0; i < MANY; i++) hook_client_unref(&clients[i]);
    free(clients);
    rig_stop(&r);
    CHECK_INT(0, r.plugins->at[0].known.count);
    rig_fini(&r);
}

/* --- the end */

TEST(at_the_end_what_waits_is_answered_and_who_promised_is_not_waited_for)
{
    struct rig r;
    promising(&r, RIG_LONG_MS);
    struct hook_ask *a = ask_later(&r);
    plugins_stop(r.plugins, END_MS); /* half of it is for what waits, the other for cleaning up */
    assert_ptr_equal(a, rig_answer(&r));
    check_verdict(a, HOOK_LATE);
    CHECK_TRUE(!plugin_step_answer(promised[0], MOSQ_ERR_SUCCESS, NULL));
    rig_check_said(&r, "a:init b:init a:basic_auth a:cleanup b:cleanup ");
    a = rig_login(&r, "quick");
    CHECK_TRUE(hooks_ask(a));
    check_verdict(a, HOOK_LATE);
    rig_fini(&r);
}

/* The last one: the plugin and all that it may touch stay for good. */
TEST(z_a_plugin_that_hangs_is_left_behind)
{
    static struct rig r;
    one(&r, 0, 100);
    struct hook_ask *a = rig_login(&r, "hang"), *behind = rig_login(&r, "quick");
    CHECK_TRUE(!plugins_left_any());
    CHECK_TRUE(!hooks_ask(a));
    mailbox_wait(&r.entered);
    CHECK_TRUE(!hooks_ask(behind));
    plugins_stop(r.plugins, SHORT_MS);
    CHECK_TRUE(plugins_left_any());
    for (int i = 0; i < 2; i++) check_verdict(rig_answer(&r), HOOK_LATE);
    struct plugin_gate gate;
    CHECK_TRUE(!plugins_enter(&gate));
    struct plugin *p = &r.plugins->at[0];
    hooks_unref(&r.hooks);
    hook_client_unref(&r.client);
    plugins_free(&r.plugins);
    let_go(&r); /* whatever it does now finds what it needs */
    thread_join(&p->thread);
    rig_check_said(&r, "a:init a:basic_auth a:cleanup ");
}
