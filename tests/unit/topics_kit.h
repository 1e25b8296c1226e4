/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topics_kit - what tests of topic look-ups share: repeatable random numbers, random topics and filters over
 * few levels so that many match, and a matcher that shares no code with the broker.
 *
 * Thread:  any; a value each.
 * Memory:  the caller's.
 * Limits:  KIT_TOPIC_BYTES with the end.
 * Errors:  none.
 * Tests:   test_subs.c, test_subs_threads.c, test_retained.c
 */
#ifndef UNIT_TOPICS_KIT_H
#define UNIT_TOPICS_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { KIT_TOPIC_BYTES = 64 };

struct kit_random {
    uint64_t at;
};

/* splitmix64 */
static inline uint64_t kit_random(struct kit_random *r)
{
    uint64_t z = r->at += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint32_t kit_below(struct kit_random *r, uint32_t limit)
{
    return (uint32_t)(kit_random(r) % limit);
}

struct kit_text {
    char text[KIT_TOPIC_BYTES];
};

/* One to five levels of words[]; never the empty text. */
static inline struct kit_text kit_levels(struct kit_random *r, const char *const *words, uint32_t count)
{
    struct kit_text out;
    do {
        uint32_t levels = 1 + kit_below(r, 5);
        size_t at = 0;
        for (uint32_t i = 0; i < levels; i++) {
            const char *word = words[kit_below(r, count)];
            if (i > 0) out.text[at++] = '/';
            memcpy(out.text + at, word, strlen(word));
            at += strlen(word);
        }
        out.text[at] = '\0';
    } while (out.text[0] == '\0');
    return out;
}

static inline struct kit_text kit_topic(struct kit_random *r)
{
    static const char *const words[] = { "a", "a", "b", "c", "ab", "a b", "", "$x", "-" };
    return kit_levels(r, words, sizeof words / sizeof words[0]);
}

static inline struct kit_text kit_filter(struct kit_random *r)
{
    static const char *const words[] = { "a", "a", "b", "c", "ab", "a b", "", "$x", "-", "+", "+", "+" };
    struct kit_text out = kit_levels(r, words, sizeof words / sizeof words[0]);
    size_t n = strlen(out.text);
    if (kit_below(r, 4) == 0) memcpy(out.text + n, "/#", 3);
    if (kit_below(r, 50) == 0) memcpy(out.text, "#", 2);
    return out;
}

/* Level by level, as the specification tells it; NULL: no level left. */
static inline bool kit_matches_from(const char *filter, const char *topic)
{
    if (filter == NULL) return topic == NULL;
    if (strcmp(filter, "#") == 0) return true;
    if (topic == NULL) return false;
    const char *filter_slash = strchr(filter, '/'), *topic_slash = strchr(topic, '/');
    size_t filter_n = filter_slash != NULL ? (size_t)(filter_slash - filter) : strlen(filter);
    size_t topic_n = topic_slash != NULL ? (size_t)(topic_slash - topic) : strlen(topic);
    bool plus = filter_n == 1 && filter[0] == '+';
    if (!plus && (filter_n != topic_n || memcmp(filter, topic, topic_n) != 0)) return false;
    return kit_matches_from(filter_slash != NULL ? filter_slash + 1 : NULL,
                            topic_slash != NULL ? topic_slash + 1 : NULL);
}

static inline bool kit_matches(const char *filter, const char *topic)
{
    if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#')) return false;
    return kit_matches_from(filter, topic);
}

#endif
