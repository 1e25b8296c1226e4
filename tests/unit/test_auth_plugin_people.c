/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/people.h"
#include "kit/test.h"
#include <string.h>

/* The host's clients are numbers here. */
struct host {
    int ended[16], forgotten[16];
    enum people_end why;
    void (*then)(void); /* while the host is told: another thread may do it then. Once */
};

static struct host host;
static int numbers[16];

static void end(void *client, enum people_end why)
{
    host.ended[(int *)client - numbers]++;
    host.why = why;
    void (*then)(void) = host.then;
    host.then = NULL;
    if (then != NULL) then();
}

static void forget(void *client)
{
    host.forgotten[(int *)client - numbers]++;
}

static const struct people_ops ops = { end, forget };

static struct people *made(void)
{
    struct people *p;
    host = (struct host){ 0 };
    CHECK_INT(ERR_OK, people_new(&p, &ops, 1000));
    return p;
}

static struct person *person(struct people *p, int number, const char *id)
{
    struct person *q;
    CHECK_INT(ERR_OK, person_new(&q, p, &numbers[number], id));
    return q;
}

static enum err enter(struct person *q, const char *account, uint32_t most, uint64_t expires_ms)
{
    struct person_entry e = { .source = SOURCE_SQLITE,
                              .account = account,
                              .class = "",
                              .expires_ms = expires_ms,
                              .limit = { .connections = most } };
    return people_enter(q, &e);
}

static void leave(struct person *q)
{
    people_gone(q);
    person_unref(&q);
}

TEST(the_oldest_connection_of_an_account_is_ended_for_one_more)
{
    struct people *p = made();
    struct person *a = person(p, 0, "p1"), *b = person(p, 1, "p2");
    CHECK_INT(ERR_OK, enter(a, "anna", 1, 0));
    CHECK_INT(ERR_OK, enter(b, "anna", 1, 0));
    CHECK_TRUE(host.ended[0] == 1 && host.ended[1] == 0 && host.why == PEOPLE_TOO_MANY);
    leave(a);
    leave(b);
    CHECK_TRUE(host.forgotten[0] == 1 && host.forgotten[1] == 1);
    people_unref(&p);
}

TEST(who_has_gone_meanwhile_does_not_come_in)
{
    struct people *p = made();
    struct person *a = person(p, 0, "p1"), *b = person(p, 1, "p2");
    person_ref(a);
    leave(a);
    CHECK_INT(0, host.forgotten[0]);
    CHECK_INT(ERR_CLOSED, enter(a, "anna", 1, 0));
    person_unref(&a);
    CHECK_INT(1, host.forgotten[0]);
    CHECK_INT(ERR_OK, enter(b, "anna", 1, 0));
    CHECK_INT(0, host.ended[0]);
    leave(b);
    people_unref(&p);
}

TEST(who_has_no_account_is_not_counted)
{
    struct people *p = made();
    struct person *a = person(p, 0, "p1"), *b = person(p, 1, "p2");
    CHECK_INT(ERR_OK, enter(a, NULL, 1, 0));
    CHECK_INT(ERR_OK, enter(b, NULL, 1, 0));
    CHECK_INT(0, host.ended[0]);
    leave(a);
    leave(b);
    people_unref(&p);
}

TEST(who_expires_is_ended_then_and_not_before)
{
    struct people *p = made();
    struct person *a = person(p, 0, "p1"), *b = person(p, 1, "p2");
    CHECK_INT(ERR_OK, enter(a, "anna", 0, 5000));
    CHECK_INT(ERR_OK, enter(b, "bob", 0, 0));
    people_tick(p, 4900);
    CHECK_INT(0, host.ended[0]);
    people_tick(p, 5100);
    CHECK_TRUE(host.ended[0] == 1 && host.ended[1] == 0 && host.why == PEOPLE_EXPIRED);
    people_tick(p, 9000);
    CHECK_INT(1, host.ended[0]);
    leave(a);
    leave(b);
    people_unref(&p);
}

static struct person *newer[3];

static void newer_ones_come(void)
{
    static const char *const names[] = { "anna", "bob", "carl" };
    for (int i = 0; i < 3; i++) CHECK_INT(ERR_OK, enter(newer[i], names[i], 1, 0));
}

TEST(who_is_being_ended_for_one_reason_is_not_ended_for_another_one_meanwhile)
{
    static const char *const names[] = { "anna", "bob", "carl" };
    struct people *p = made();
    struct person *old[3];
    for (int i = 0; i < 3; i++) {
        old[i] = person(p, i, "old");
        newer[i] = person(p, 3 + i, "new");
        CHECK_INT(ERR_OK, enter(old[i], names[i], 0, 5000));
    }
    host.then = newer_ones_come;
    people_tick(p, 6000);
    for (int i = 0; i < 3; i++) CHECK_TRUE(host.ended[i] == 1 && host.ended[3 + i] == 0);
    for (int i = 0; i < 3; i++) leave(old[i]);
    for (int i = 0; i < 3; i++) leave(newer[i]);
    for (int i = 0; i < 6; i++) CHECK_INT(1, host.forgotten[i]);
    people_unref(&p);
}

static struct world *world_with(const char *const *names, size_t count)
{
    struct options *o;
    struct settings *s;
    struct accounts *a;
    struct world *w;
    struct world_note note = { .warn = NULL };
    char why[OPTIONS_NOTE_BYTES];
    CHECK_INT(ERR_OK, options_new(&o, NULL, 0, why));
    CHECK_INT(ERR_OK, settings_new(&s, o, &note));
    CHECK_INT(ERR_OK, accounts_new(&a));
    for (size_t i = 0; i < count; i++) {
        struct account_conf conf = { (int64_t)i + 1, bytes_of_text(names[i]), { 0 }, names[i][0] != '-' };
        if (names[i][0] == '-') conf.name = bytes_of_text(names[i] + 1);
        CHECK_INT(ERR_OK, accounts_add(a, &conf));
    }
    accounts_finish(a);
    CHECK_INT(ERR_OK, world_new(&w, s, a));
    accounts_unref(&a);
    settings_unref(&s);
    return w;
}

TEST(a_review_ends_those_whose_account_is_gone_or_disabled_and_nobody_else)
{
    static const char *const names[] = { "anna", "-bob" };
    struct people *p = made();
    struct world *w = world_with(names, 2);
    struct person *a = person(p, 0, "p1"), *b = person(p, 1, "p2"), *c = person(p, 2, "p3"),
                  *d = person(p, 3, "p4");
    CHECK_INT(ERR_OK, enter(a, "anna", 0, 0));
    CHECK_INT(ERR_OK, enter(b, "bob", 0, 0));
    CHECK_INT(ERR_OK, enter(c, "carl", 0, 0));
    struct person_entry token = { .source = SOURCE_JWT, .account = "carl", .class = "" };
    CHECK_INT(ERR_OK, people_enter(d, &token));
    CHECK_INT(2, people_review(p, w));
    CHECK_TRUE(host.ended[0] == 0 && host.ended[1] == 1 && host.ended[2] == 1 && host.ended[3] == 0);
    CHECK_INT(PEOPLE_NOT_ALLOWED, host.why);
    leave(a);
    leave(b);
    leave(c);
    leave(d);
    world_unref(&w);
    people_unref(&p);
}

TEST(who_shows_again_who_it_is_is_counted_once)
{
    struct people *p = made();
    struct person *a = person(p, 0, "p1");
    CHECK_INT(ERR_OK, enter(a, "anna", 1, 0));
    CHECK_INT(ERR_OK, enter(a, "anna", 1, 0));
    CHECK_INT(0, host.ended[0]);
    leave(a);
    people_unref(&p);
}

TEST(people_may_be_said_to_be_gone_after_the_end)
{
    struct people *p = made();
    struct person *a = person(p, 0, "p1");
    CHECK_INT(ERR_OK, enter(a, "anna", 1, 9999));
    people_unref(&p);
    leave(a);
    CHECK_INT(1, host.forgotten[0]);
}
