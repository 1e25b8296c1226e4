/* SPDX-License-Identifier: Apache-2.0 */
/* An ACL file, then a line "?USER CLIENT TOPIC" that asks. Whoever may do both may do each; without a rule
 * nobody may; and a second opinion for files that have one user's "topic" lines alone. */
#include "access/access.h"
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "topic/topic.h"

struct question {
    struct access_who who;
    struct bytes topic;
};

static struct bytes until(struct bytes *rest, char end)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->at, end, rest->len);
    size_t n = at == NULL ? rest->len : (size_t)(at - rest->at);
    struct bytes b = bytes_of(rest->at, n);
    size_t skip = at == NULL ? n : n + 1;
    *rest = bytes_of(rest->at + skip, rest->len - skip);
    return b;
}

/* False: there is none that a client could ask. */
static bool question_of(struct bytes text, struct question *q)
{
    q->who.username = until(&text, ' ');
    if (q->who.username.len == 0) q->who.username = (struct bytes){ 0 };
    q->who.client_id = until(&text, ' ');
    q->topic = text;
    return topic_name_valid(text) && memchr(text.at, '\n', text.len) == NULL;
}

/* 1: yes; 0: no; -1: the file is not simple enough for this. Only lines "topic deny F" and "topic F". */
static int second_opinion(struct bytes file, const struct question *q)
{
    int may = 0;
    if (q->who.username.at != NULL) return -1;
    while (file.len > 0) {
        struct bytes line = until(&file, '\n'), rest = line;
        if (line.len == 0 || line.at[0] == '#') continue;
        if (memchr(line.at, '\t', line.len) != NULL || memchr(line.at, '\r', line.len) != NULL) return -1;
        if (!bytes_equal(until(&rest, ' '), bytes_of_text("topic"))) return -1;
        struct bytes filter = rest, word = until(&filter, ' ');
        bool denies = bytes_equal(word, bytes_of_text("deny")) && filter.len > 0;
        if (!denies) filter = rest;
        if (filter.len == 0 || memchr(filter.at, ' ', filter.len) != NULL) return -1;
        if (!topic_matches(filter, q->topic)) continue;
        if (denies) return 0;
        may = 1;
    }
    return may;
}

static void ask(const struct access *a, struct bytes file, const struct question *q)
{
    bool reads = access_may(a, &q->who, q->topic, ACCESS_READ);
    bool writes = access_may(a, &q->who, q->topic, ACCESS_WRITE);
    int want = second_opinion(file, q);
    if (want >= 0) CHECK(reads == (want == 1) && writes == reads);
    if (file.len == 0) CHECK(!reads && !writes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct access *a;
    struct question q;
    struct access_notes notes = { 0 };
    struct bytes rest = bytes_of(data, size);
    struct bytes file = until(&rest, '?');
    struct access_source passwords = { 0 }, rules = { "acl", file };
    enum err rc = access_parse(&a, &passwords, &rules, &notes);
    CHECK((rc == ERR_OK) == (a != NULL));
    if (rc != ERR_OK) {
        CHECK(strncmp(notes.error, "acl:", 4) == 0);
        return 0;
    }
    if (question_of(rest, &q)) ask(a, file, &q);
    access_unref(&a);
    return 0;
}
