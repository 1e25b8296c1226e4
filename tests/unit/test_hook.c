/* SPDX-License-Identifier: Apache-2.0 */
#include "hook/hook.h"
#include "kit/test.h"
#include <stdlib.h>

/* --- the client */

static unsigned certificates_freed;

static void free_certificate(void *certificate)
{
    CHECK_TRUE(certificate == &certificates_freed);
    certificates_freed++;
}

static struct hook_client *new_client(const char *id, const char *username)
{
    struct hook_client *c;
    struct hook_client_conf conf = { .id = bytes_of_text(id),
                                     .address = "192.0.2.1",
                                     .conn_id = 7,
                                     .shard = 3,
                                     .port = 8883,
                                     .keepalive_s = 60,
                                     .version = 5,
                                     .clean_start = true };
    if (username != NULL) conf.username = bytes_of_text(username);
    CHECK_INT(ERR_OK, hook_client_new(&c, &conf));
    return c;
}

TEST(a_client_keeps_what_its_connect_said)
{
    char id[] = "phone", username[] = "me";
    struct hook_client *c = new_client(id, username);
    id[0] = username[0] = 'X';
    assert_string_equal("phone", hook_client_id(c));
    assert_string_equal("192.0.2.1", hook_client_address(c));
    assert_string_equal("me", hook_client_username(c));
    const struct hook_client_conf *facts = hook_client_facts(c);
    CHECK_INT(7, facts->conn_id);
    CHECK_INT(3, facts->shard);
    CHECK_INT(8883, facts->port);
    CHECK_INT(60, facts->keepalive_s);
    CHECK_INT(5, facts->version);
    CHECK_TRUE(facts->clean_start && !facts->is_websocket);
    CHECK_TRUE(bytes_equal(bytes_of_text("phone"), facts->id));
    hook_client_unref(&c);
    CHECK_TRUE(c == NULL);
}

TEST(no_user_name_is_not_an_empty_one)
{
    struct hook_client *none = new_client("", NULL), *empty = new_client("", "");
    CHECK_TRUE(hook_client_username(none) == NULL);
    assert_string_equal("", hook_client_username(empty));
    assert_string_equal("", hook_client_id(none));
    hook_client_unref(&none);
    hook_client_unref(&empty);
}

TEST(a_name_that_was_given_out_stays_good_when_another_one_is_set)
{
    struct hook_client *c = new_client("phone", "me");
    const char *before = hook_client_username(c);
    CHECK_INT(ERR_OK, hook_client_set_username(c, "you"));
    assert_string_equal("me", before);
    assert_string_equal("you", hook_client_username(c));
    CHECK_INT(ERR_OK, hook_client_set_username(c, NULL));
    CHECK_TRUE(hook_client_username(c) == NULL);
    assert_string_equal("me", before);
    hook_client_unref(&c);
}

TEST(so_many_names_and_no_more)
{
    struct hook_client *c = new_client("phone", "me");
    char name[16];
    for (int i = 1; i < HOOK_USERNAMES_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        CHECK_INT(ERR_OK, hook_client_set_username(c, name));
    }
    CHECK_INT(ERR_FULL, hook_client_set_username(c, "them"));
    assert_string_equal(name, hook_client_username(c));
    for (int i = 0; i < 100; i++) { /* who authenticates again each hour has one name */
        CHECK_INT(ERR_OK, hook_client_set_username(c, i % 2 == 0 ? "me" : "1"));
        assert_string_equal(i % 2 == 0 ? "me" : "1", hook_client_username(c));
        CHECK_INT(ERR_OK, hook_client_set_username(c, NULL));
    }
    hook_client_unref(&c);
}

TEST(a_certificate_goes_with_the_last_reference)
{
    struct hook_client *c, *other;
    struct hook_client_conf conf = { .address = "",
                                     .certificate = &certificates_freed,
                                     .certificate_free = free_certificate };
    certificates_freed = 0;
    CHECK_INT(ERR_OK, hook_client_new(&c, &conf));
    other = hook_client_ref(c);
    hook_client_unref(&c);
    CHECK_INT(0, certificates_freed);
    hook_client_unref(&other);
    CHECK_INT(1, certificates_freed);
    hook_client_unref(&other);
    CHECK_INT(1, certificates_freed);
}

TEST(its_subscriptions_are_counted_by_one_and_read_by_another)
{
    struct hook_client *c = new_client("phone", NULL);
    CHECK_INT(0, gauge_count(hook_client_subs(c)));
    gauge_set(hook_client_subs(c), 5);
    CHECK_INT(5, gauge_count(hook_client_subs(c)));
    hook_client_unref(&c);
}

/* --- questions */

struct host {
    struct hooks hooks;
    uint32_t wants;
    struct hook_ask *asked;
    unsigned freed, questions_freed;
};

static uint32_t host_wants(const struct hooks *h)
{
    return ((const struct host *)(const void *)h)->wants;
}

static bool host_ask(struct hooks *h, struct hook_ask *a)
{
    ((struct host *)(void *)h)->asked = a;
    return false;
}

static bool host_is_inline(const struct hooks *h, enum hook_event e)
{
    (void)h, (void)e;
    return false;
}

static void host_destroy(struct hooks *h)
{
    ((struct host *)(void *)h)->freed++;
}

static const struct hooks_ops host_ops = { host_wants, host_ask, host_is_inline, host_destroy };

static void host_init(struct host *host)
{
    *host = (struct host){ .hooks.ops = &host_ops };
    ref_init(&host->hooks.ref, 1);
}

static struct host *the_host;

static void question_freed(struct hook_ask *a)
{
    CHECK_TRUE(a->client == NULL && a->hooks == NULL);
    the_host->questions_freed++;
}

TEST(nobody_wants_anything_of_no_plugins)
{
    struct host host;
    host_init(&host);
    CHECK_TRUE(!hooks_want(NULL, UINT32_MAX));
    CHECK_TRUE(!hooks_want(&host.hooks, HOOK_EVENT_ACL));
    host.wants = HOOK_EVENT_ACL | HOOK_EVENT_MESSAGE;
    CHECK_TRUE(hooks_want(&host.hooks, HOOK_EVENT_MESSAGE | HOOK_EVENT_PSK));
    CHECK_TRUE(!hooks_want(&host.hooks, HOOK_EVENT_LOGIN));
    struct hooks *none = NULL;
    CHECK_TRUE(hooks_ref(NULL) == NULL);
    hooks_unref(&none);
}

TEST(a_question_keeps_plugins_and_client_until_the_last_has_done_with_it)
{
    struct host host;
    struct hook_login q;
    host_init(&host);
    the_host = &host;
    struct hooks *hooks = &host.hooks;
    struct hook_client *c = new_client("phone", NULL), *seen = c;
    hook_ask_init(&q.ask, HOOK_LOGIN, hooks, c);
    q.ask.destroy = question_freed;
    hooks_unref(&hooks);
    hook_client_unref(&c);
    CHECK_TRUE(!hooks_ask(&q.ask));
    CHECK_TRUE(host.asked == &q.ask);
    CHECK_INT(HOOK_LOGIN, q.ask.about);
    CHECK_INT(HOOK_DEFER, q.ask.verdict);
    CHECK_TRUE(q.ask.client == seen);

    /* Too slow a callback reads it still, when the asker has gone on. */
    struct hook_ask *hosts = &q.ask, *askers = &q.ask;
    ref_add(&hosts->ref, 1);
    q.ask.reason = malloc(1);
    hook_ask_unref(&askers);
    CHECK_INT(0, host.questions_freed);
    CHECK_INT(0, host.freed);
    assert_string_equal("phone", hook_client_id(hosts->client));
    hook_ask_unref(&hosts);
    CHECK_INT(1, host.questions_freed);
    CHECK_INT(1, host.freed);
}

TEST(what_plugins_have_made_goes_with_the_question)
{
    struct host host;
    struct hook_publish p = { .qos = 1 };
    struct hook_auth auth = { .method = "TEST" };
    host_init(&host);
    the_host = &host;
    hook_ask_init(&p.ask, HOOK_PUBLISH, &host.hooks, NULL);
    hook_ask_init(&auth.ask, HOOK_AUTH_START, &host.hooks, NULL);
    p.ask.destroy = auth.ask.destroy = question_freed;
    for (int i = 0; i < 3; i++) p.changed[i] = malloc(8);
    p.payload = bytes_of(p.changed[0], 8);
    auth.answer = bytes_of(malloc(8), 8);
    struct hook_ask *one = &p.ask, *two = &auth.ask;
    hook_ask_unref(&one);
    hook_ask_unref(&two);
    CHECK_INT(2, host.questions_freed);
    CHECK_INT(0, host.freed);
}
