/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/breaker.h"
#include "auth/http.h"
#include "auth/http_cache.h"
#include "kit/test.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the breaker */

TEST(a_breaker_opens_after_so_many_failures_one_after_the_other)
{
    struct breaker b = { .failures_max = 3, .open_ms = 1000 };
    for (int i = 0; i < 2; i++) CHECK_TRUE(breaker_may(&b, 0) && !breaker_done(&b, false, 0));
    CHECK_TRUE(breaker_may(&b, 0) && !breaker_done(&b, true, 0));
    for (int i = 0; i < 2; i++) CHECK_TRUE(breaker_may(&b, 0) && !breaker_done(&b, false, 0));
    CHECK_TRUE(breaker_may(&b, 0) && breaker_done(&b, false, 0));
    CHECK_TRUE(!breaker_may(&b, 0) && !breaker_may(&b, 999));
}

TEST(an_open_breaker_tries_once_and_closes_when_that_was_good)
{
    struct breaker b = { .failures_max = 1, .open_ms = 1000 };
    CHECK_TRUE(breaker_done(&b, false, 0));
    CHECK_TRUE(breaker_may(&b, 1000) && !breaker_may(&b, 1000));
    CHECK_TRUE(breaker_done(&b, false, 1500) && !breaker_may(&b, 2400));
    CHECK_TRUE(breaker_may(&b, 2500));
    CHECK_TRUE(!breaker_done(&b, true, 2600));
    CHECK_TRUE(breaker_may(&b, 2600) && breaker_may(&b, 2600));
}

TEST(a_breaker_without_a_number_never_opens)
{
    struct breaker b = { .open_ms = 1000 };
    for (int i = 0; i < 100; i++) CHECK_TRUE(breaker_may(&b, 0) && !breaker_done(&b, false, 0));
}

/* --- what is remembered */

static struct http_key key(const struct http_cache *c, const char *a, const char *b)
{
    const char *const texts[] = { a, b };
    return http_cache_key(c, texts, 2);
}

static const struct http_said *get(struct http_cache *c, const char *a, uint64_t now_ms)
{
    struct http_key k = key(c, a, "x");
    return http_cache_get(c, &k, now_ms);
}

static void put(struct http_cache *c, const char *a, bool allows, uint64_t until_ms)
{
    char body[] = "{}";
    struct http_key k = key(c, a, "x");
    struct http_said said = { allows, allows ? body : NULL, 0 };
    http_cache_put(c, &k, &said, until_ms);
}

TEST(what_was_said_is_remembered_until_then)
{
    struct http_cache *c;
    CHECK_INT(ERR_OK, http_cache_new(&c, 10));
    put(c, "anna", true, 100);
    put(c, "bob", false, 100);
    CHECK_TRUE(get(c, "anna", 99)->allows && strcmp(get(c, "anna", 99)->body, "{}") == 0);
    CHECK_TRUE(!get(c, "bob", 99)->allows && get(c, "bob", 99)->body == NULL);
    CHECK_TRUE(get(c, "anna", 100) == NULL && get(c, "carl", 0) == NULL);
    put(c, "bob", true, 100);
    CHECK_TRUE(get(c, "bob", 99)->allows);
    http_cache_clear(c);
    CHECK_TRUE(get(c, "bob", 0) == NULL);
    http_cache_free(&c);
}

TEST(the_one_that_was_not_used_for_longest_makes_room)
{
    struct http_cache *c;
    CHECK_INT(ERR_OK, http_cache_new(&c, 2));
    put(c, "a", true, 100);
    put(c, "b", true, 100);
    CHECK_TRUE(get(c, "a", 0) != NULL);
    put(c, "c", true, 100);
    CHECK_TRUE(get(c, "a", 0) != NULL && get(c, "b", 0) == NULL && get(c, "c", 0) != NULL);
    http_cache_free(&c);
    CHECK_INT(ERR_OK, http_cache_new(&c, 0));
    put(c, "a", true, 100);
    CHECK_TRUE(get(c, "a", 0) == NULL);
    http_cache_free(&c);
}

TEST(questions_that_differ_anywhere_have_different_keys)
{
    static const char *const pairs[][2] = { { "ab", "c" }, { "a", "bc" },   { NULL, "abc" },
                                            { "", "abc" }, { "abc", NULL }, { "abc", "" } };
    struct http_cache *c, *other;
    CHECK_INT(ERR_OK, http_cache_new(&c, 1));
    CHECK_INT(ERR_OK, http_cache_new(&other, 1));
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            struct http_key a = key(c, pairs[i][0], pairs[i][1]), b = key(c, pairs[j][0], pairs[j][1]);
            CHECK_INT(i == j, memcmp(&a, &b, sizeof a) == 0);
        }
    struct http_key a = key(c, "a", "b"), b = key(other, "a", "b");
    CHECK_TRUE(memcmp(&a, &b, sizeof a) != 0);
    http_cache_free(&c);
    http_cache_free(&other);
}

/* --- bodies */

static bool reads(const char *body)
{
    struct http_answer a = { .is = HTTP_ALLOWS };
    bool is_good = http_read_body(body, &a);
    http_answer_fini(&a);
    return is_good;
}

TEST(a_body_says_a_name_a_device_rules_and_an_end_or_nothing)
{
    struct http_answer a = { .is = HTTP_ALLOWS };
    CHECK_TRUE(http_read_body("{\"username\":\"anna\",\"device\":\"phone\",\"acl\":{\"both\":\"#\"},"
                              "\"expires_in\":60,\"more\":[]}",
                              &a));
    CHECK_TRUE(strcmp(a.username, "anna") == 0 && strcmp(a.device, "phone") == 0 && a.grants != NULL);
    CHECK_INT(60, a.expires_in_s);
    http_answer_fini(&a);
    CHECK_TRUE(reads(NULL) && reads("") && reads(" \n") && reads("{}") && reads("{\"username\":null}"));
}

TEST(a_body_that_cannot_be_read_lets_nobody_in)
{
    static const char *const wrong[] = { "OK",
                                         "[]",
                                         "{\"username\":7}",
                                         "{\"username\":\"\"}",
                                         "{\"acl\":[]}",
                                         "{\"acl\":{\"both\":\"a#\"}}",
                                         "{\"expires_in\":0}",
                                         "{\"expires_in\":\"60\"}",
                                         "{\"username\":\"a\",\"username\":\"b\"}" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) CHECK_TRUE(!reads(wrong[i]));
}

/* --- the thread */

/* A server that takes connections and says nothing. */
static int silent_server(char url[64])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(0, bind(fd, (struct sockaddr *)&at, sizeof at));
    CHECK_INT(0, listen(fd, 16));
    CHECK_INT(0, getsockname(fd, (struct sockaddr *)&at, &bytes));
    snprintf(url, 64, "http://127.0.0.1:%u/", (unsigned)ntohs(at.sin_port));
    return fd;
}

struct question {
    struct http_ask ask;
    int done;
    enum http_is is;
};

static void note(struct http_ask *q, struct http_answer *a)
{
    struct question *question = (struct question *)(void *)q;
    question->done++;
    question->is = a->is;
}

TEST(a_stop_fails_what_is_under_way_and_what_waits_and_refuses_the_rest)
{
    char url[64], byte;
    int server = silent_server(url);
    struct http_conf conf = { .url = url,
                              .ca_file = "",
                              .cert_file = "",
                              .key_file = "",
                              .header = "",
                              .timeout_ms = 60000,
                              .connections = 1,
                              .waiting = 2 };
    struct question q[3] = { 0 };
    struct http *h;
    CHECK_INT(ERR_OK, http_start(&h, &conf));
    for (int i = 0; i < 3; i++) q[i].ask = (struct http_ask){ .username = "anna", .done = note };
    CHECK_INT(ERR_OK, http_put(h, &q[0].ask));
    int peer = accept(server, NULL, NULL);
    CHECK_INT(1, recv(peer, &byte, 1, 0)); /* it is under way */
    CHECK_INT(ERR_OK, http_put(h, &q[1].ask));
    http_stop(h);
    CHECK_INT(ERR_FULL, http_put(h, &q[2].ask));
    http_free(&h);
    for (int i = 0; i < 2; i++) CHECK_TRUE(q[i].done == 1 && q[i].is == HTTP_FAILED);
    CHECK_INT(0, q[2].done);
    close(peer);
    close(server);
}
