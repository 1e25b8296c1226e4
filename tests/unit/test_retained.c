/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "msg/msg.h"
#include "retained/retained.h"
#include "unit/topics_kit.h"
#include <stdio.h>
#include <stdlib.h>

static struct msg *message(const char *topic, const char *payload)
{
    struct msg *m = NULL;
    struct msg_parts parts = { .topic = bytes_of_text(topic), .payload = bytes_of_text(payload) };
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    return m;
}

static enum err set(struct retained *r, const char *topic, const char *payload, uint64_t version)
{
    struct msg *m = message(topic, payload);
    enum err rc = retained_set(r, m, version);
    msg_unref(&m);
    return rc;
}

static struct retained *retained_with(uint32_t topics_max)
{
    struct retained *r = NULL;
    CHECK_INT(ERR_OK, retained_new(&r, &(struct retained_conf){ .topics_max = topics_max, .seed = 9 }));
    return r;
}

/* What a match gave, up to a limit. */
enum { SEEN_MAX = 2000 };

struct seen {
    size_t count, limit;
    struct kit_text topics[SEEN_MAX];
    uint64_t versions[SEEN_MAX];
};

static bool see(const struct retained_value *v, void *arg)
{
    struct seen *seen = arg;
    struct bytes topic = msg_topic(v->msg);
    CHECK_TRUE(seen->count < SEEN_MAX && topic.len < KIT_TOPIC_BYTES);
    memcpy(seen->topics[seen->count].text, topic.at, topic.len);
    seen->topics[seen->count].text[topic.len] = '\0';
    seen->versions[seen->count++] = v->version;
    return seen->count < seen->limit;
}

static struct seen *match(struct seen *seen, const struct retained *r, const char *filter, const char *after,
                          size_t limit)
{
    struct retained_query q = { bytes_of_text(filter), bytes_of_text(after), UINT32_MAX };
    seen->count = 0;
    seen->limit = limit;
    retained_match(r, &q, see, seen);
    return seen;
}

static size_t matches(const struct retained *r, const char *filter)
{
    static struct seen seen;
    return match(&seen, r, filter, "", SEEN_MAX)->count;
}

/* --- against a plain list */

enum { TOPICS = 300 };

struct model {
    struct retained *r;
    struct kit_random random;
    struct kit_text topics[TOPICS]; /* each once */
    uint64_t versions[TOPICS];      /* 0: no message */
    struct seen all, page;
};

static size_t model_index(const struct model *m, const char *topic)
{
    size_t i = 0;
    while (i < TOPICS && strcmp(m->topics[i].text, topic) != 0) i++;
    return i;
}

static struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof *m);
    m->r = retained_with(TOPICS);
    m->random.at = 77;
    for (size_t i = 0; i < TOPICS;) {
        struct kit_text topic = kit_topic(&m->random);
        if (model_index(m, topic.text) < TOPICS) continue;
        m->topics[i++] = topic;
    }
    return m;
}

static void model_free(struct model *m)
{
    retained_free(&m->r);
    free(m);
}

static void model_step(struct model *m)
{
    size_t i = kit_below(&m->random, TOPICS);
    bool forget = kit_below(&m->random, 3) == 0;
    m->versions[i] = forget ? 0 : kit_random(&m->random) | 1;
    CHECK_INT(ERR_OK, set(m->r, m->topics[i].text, forget ? "" : "x", m->versions[i]));
}

static void model_compare(struct model *m, const char *filter)
{
    size_t want = 0;
    match(&m->all, m->r, filter, "", SEEN_MAX);
    for (size_t i = 0; i < TOPICS; i++) want += m->versions[i] != 0 && kit_matches(filter, m->topics[i].text);
    if (want != m->all.count) print_error("filter %s\n", filter);
    CHECK_INT(want, m->all.count);
    for (size_t i = 0; i < m->all.count; i++) {
        size_t index = model_index(m, m->all.topics[i].text);
        CHECK_TRUE(index < TOPICS && m->versions[index] == m->all.versions[i]);
        CHECK_TRUE(kit_matches(filter, m->topics[index].text));
        for (size_t k = 0; k < i; k++) CHECK_TRUE(strcmp(m->all.topics[k].text, m->all.topics[i].text) != 0);
    }
}

TEST(a_filter_gives_the_last_message_of_each_topic_that_it_matches)
{
    struct model *m = model_new();
    for (int i = 0; i < 10000; i++) {
        model_step(m);
        if (i % 5 == 0) model_compare(m, kit_filter(&m->random).text);
        if (i % 50 == 0) model_compare(m, "#");
        if (i % 50 == 1) model_compare(m, m->topics[kit_below(&m->random, TOPICS)].text);
    }
    uint32_t count = 0;
    for (size_t i = 0; i < TOPICS; i++) count += m->versions[i] != 0;
    CHECK_INT(count, retained_count(m->r));
    model_free(m);
}

TEST(pages_together_give_what_one_answer_gives)
{
    struct model *m = model_new();
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 20; i++) model_step(m);
        struct kit_text filter = kit_filter(&m->random);
        match(&m->all, m->r, filter.text, "", SEEN_MAX);
        size_t at = 0, limit = 1 + kit_below(&m->random, 5);
        const char *after = "";
        for (match(&m->page, m->r, filter.text, after, limit); m->page.count > 0;
             match(&m->page, m->r, filter.text, after, limit)) {
            for (size_t i = 0; i < m->page.count; i++, at++)
                CHECK_INT(0, strcmp(m->all.topics[at].text, m->page.topics[i].text));
            after = m->all.topics[at - 1].text;
        }
        CHECK_INT(m->all.count, at);
    }
    model_free(m);
}

/* Appends to seen what a part gives; where it stopped, or "". */
static struct kit_text match_part(struct seen *seen, const struct retained *r, const char *filter,
                                  const struct retained_query *part)
{
    struct retained_query q = { bytes_of_text(filter), part->after, part->visits_max };
    struct kit_text reached = { "" };
    seen->limit = SEEN_MAX;
    struct msg *at = retained_match(r, &q, see, seen);
    if (at == NULL) return reached;
    struct bytes topic = msg_topic(at);
    memcpy(reached.text, topic.at, topic.len);
    return reached;
}

/* All parts of so many visits, put together; how many there were. */
static size_t match_in_parts(struct seen *seen, const struct retained *r, const char *filter, uint32_t visits)
{
    struct kit_text after = { "" };
    size_t parts = 0;
    seen->count = 0;
    do {
        size_t before = seen->count;
        struct retained_query part = { .after = bytes_of_text(after.text), .visits_max = visits };
        after = match_part(seen, r, filter, &part);
        CHECK_TRUE(seen->count - before <= visits);
        parts++;
    } while (after.text[0] != '\0');
    return parts;
}

TEST(an_answer_may_be_cut_behind_any_number_of_topics_looked_at)
{
    struct model *m = model_new();
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 20; i++) model_step(m);
        struct kit_text filter = kit_filter(&m->random);
        match(&m->all, m->r, filter.text, "", SEEN_MAX);
        for (uint32_t visits = 1; visits < 40; visits++) {
            match_in_parts(&m->page, m->r, filter.text, visits);
            CHECK_INT(m->all.count, m->page.count);
            for (size_t i = 0; i < m->all.count; i++)
                CHECK_INT(0, strcmp(m->all.topics[i].text, m->page.topics[i].text));
        }
    }
    model_free(m);
}

TEST(a_filter_that_matches_nothing_of_many_topics_is_answered_in_parts)
{
    enum { DEVICES = 1000, VISITS = 50 };
    struct retained *r = retained_with(2 * DEVICES);
    struct seen *seen = calloc(1, sizeof *seen);
    char topic[KIT_TOPIC_BYTES];
    for (unsigned i = 0; i < DEVICES; i++) {
        snprintf(topic, sizeof topic, "a/%04u/state", i);
        CHECK_INT(ERR_OK, set(r, topic, "x", 1));
    }
    /* A visit says no more than where the next device begins, so there are as many as devices. */
    CHECK_TRUE(match_in_parts(seen, r, "a/+/never", VISITS) >= DEVICES / VISITS);
    CHECK_INT(0, seen->count);
    CHECK_TRUE(match_in_parts(seen, r, "a/+/state", VISITS) >= DEVICES / VISITS);
    CHECK_INT(DEVICES, seen->count);
    CHECK_INT(1, match_in_parts(seen, r, "a/0007/state", 1));
    CHECK_INT(1, seen->count);
    free(seen);
    retained_free(&r);
}

TEST(a_page_goes_on_after_a_topic_that_is_gone_and_misses_none_that_stays)
{
    struct model *m = model_new();
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 50; i++) model_step(m);
        match(&m->all, m->r, "#", "", SEEN_MAX);
        bool stays[TOPICS], met[TOPICS] = { false };
        for (size_t i = 0; i < TOPICS; i++) stays[i] = m->versions[i] != 0 && m->topics[i].text[0] != '$';
        struct kit_text after = { "" };
        for (match(&m->page, m->r, "#", after.text, 3); m->page.count > 0;
             match(&m->page, m->r, "#", after.text, 3)) {
            for (size_t i = 0; i < m->page.count; i++) {
                size_t index = model_index(m, m->page.topics[i].text);
                CHECK_TRUE(!met[index]);
                met[index] = true;
            }
            after = m->page.topics[m->page.count - 1];
            size_t gone = model_index(m, after.text);
            m->versions[gone] = 0;
            CHECK_INT(ERR_OK, set(m->r, after.text, "", 0));
            model_step(m);
            for (size_t i = 0; i < TOPICS; i++) stays[i] = stays[i] && (met[i] || m->versions[i] != 0);
        }
        for (size_t i = 0; i < TOPICS; i++) CHECK_TRUE(!stays[i] || met[i]);
    }
    model_free(m);
}

TEST(filters_match_as_the_specification_says)
{
    struct retained *r = retained_with(100);
    static const char *const topics[] = { "a",      "a/b",      "a/b/c", "a b", "/",  "/a",  "b/c",
                                          "$SYS/a", "$SYS/a/b", "$",     "%",   "a/", "a//b" };
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        CHECK_INT(ERR_OK, set(r, topics[i], "x", 1));
    CHECK_INT(10, matches(r, "#"));
    CHECK_INT(3, matches(r, "+"));
    CHECK_INT(5, matches(r, "a/#"));
    CHECK_INT(2, matches(r, "a/+"));
    CHECK_INT(5, matches(r, "+/+"));
    CHECK_INT(1, matches(r, "+/b"));
    CHECK_INT(2, matches(r, "$SYS/#"));
    CHECK_INT(1, matches(r, "$SYS/+/b"));
    CHECK_INT(1, matches(r, "+/+/b"));
    CHECK_INT(2, matches(r, "+/b/#"));
    CHECK_INT(1, matches(r, "/"));
    CHECK_INT(0, matches(r, "a/b/c/d"));
    retained_free(&r);
}

TEST(an_empty_payload_forgets_the_topic_and_an_unknown_one_is_no_error)
{
    struct retained *r = retained_with(1);
    CHECK_INT(ERR_OK, set(r, "a", "", 1));
    CHECK_INT(0, retained_count(r));
    CHECK_INT(ERR_OK, set(r, "a", "x", 2));
    CHECK_INT(ERR_OK, set(r, "a", "", 3));
    CHECK_INT(0, retained_count(r));
    CHECK_INT(0, matches(r, "a"));
    retained_free(&r);
}

TEST(the_bytes_of_all_payloads_are_counted)
{
    struct retained *r = retained_with(2);
    CHECK_INT(ERR_OK, set(r, "a", "12345", 1));
    CHECK_INT(ERR_OK, set(r, "b", "123", 2));
    CHECK_INT(8, retained_bytes(r));
    CHECK_INT(ERR_OK, set(r, "a", "1", 3));
    CHECK_INT(4, retained_bytes(r));
    CHECK_INT(ERR_FULL, set(r, "c", "123", 4));
    CHECK_INT(4, retained_bytes(r));
    CHECK_INT(ERR_OK, set(r, "b", "", 5));
    CHECK_INT(1, retained_bytes(r));
    retained_free(&r);
}

TEST(one_topic_more_than_the_limit_is_refused_and_the_others_still_change)
{
    struct retained *r = retained_with(2);
    struct seen *seen = calloc(1, sizeof *seen);
    CHECK_INT(ERR_OK, set(r, "a", "x", 1));
    CHECK_INT(ERR_OK, set(r, "b", "x", 2));
    CHECK_INT(ERR_FULL, set(r, "c", "x", 3));
    CHECK_INT(2, matches(r, "#"));
    CHECK_INT(ERR_OK, set(r, "b", "y", 4));
    match(seen, r, "b", "", 10);
    CHECK_INT(1, seen->count);
    CHECK_INT(4, seen->versions[0]);
    CHECK_INT(ERR_OK, set(r, "a", "", 5));
    CHECK_INT(ERR_OK, set(r, "c", "x", 6));
    free(seen);
    retained_free(&r);
}

TEST(a_message_is_held_as_long_as_it_is_the_last_one)
{
    struct retained *r = retained_with(10);
    struct msg *m = message("a", "x");
    CHECK_INT(ERR_OK, retained_set(r, m, 1));
    CHECK_INT(2, atomic_load(&m->ref.count));
    CHECK_INT(ERR_OK, set(r, "a", "y", 2));
    CHECK_INT(1, atomic_load(&m->ref.count));
    CHECK_INT(ERR_OK, retained_set(r, m, 3));
    CHECK_INT(ERR_OK, retained_set(r, m, 4));
    CHECK_INT(2, atomic_load(&m->ref.count));
    retained_free(&r);
    CHECK_INT(1, atomic_load(&m->ref.count));
    msg_unref(&m);
}

/* Ten thousand devices in the order of their names: a tree without balance would be a list. */
TEST(topics_may_come_in_order_and_leave_in_order)
{
    enum { DEVICES = 10000 };
    struct retained *r = retained_with(2 * DEVICES);
    char topic[KIT_TOPIC_BYTES];
    for (unsigned i = 0; i < DEVICES; i++) {
        snprintf(topic, sizeof topic, "device/%05u/state", i);
        CHECK_INT(ERR_OK, set(r, topic, "x", i + 1));
        snprintf(topic, sizeof topic, "device/%05u/a", i);
        CHECK_INT(ERR_OK, set(r, topic, "x", i + 1));
    }
    CHECK_INT(2, matches(r, "device/00077/+"));
    CHECK_INT(1, matches(r, "+/00077/state"));
    CHECK_INT(0, matches(r, "device/+/none"));
    for (unsigned i = 0; i < DEVICES; i++) {
        snprintf(topic, sizeof topic, "device/%05u/state", i);
        CHECK_INT(ERR_OK, set(r, topic, "", 0));
    }
    CHECK_INT(DEVICES, retained_count(r));
    retained_free(&r);
}
