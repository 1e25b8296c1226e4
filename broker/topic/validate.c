/* SPDX-License-Identifier: Apache-2.0 */
#include "topic/topic.h"

/* What a run of text holds. */
struct shape {
    size_t levels;
    bool wild, nul;
};

#define EACH_BYTE(b) (0x0101010101010101u * (uint8_t)(b))

/* The high bit of each byte of v that is c: the sum carries into it for all other bytes. */
static uint64_t bytes_that_are(uint64_t v, char c)
{
    uint64_t x = v ^ EACH_BYTE(c), low = EACH_BYTE(0x7f);
    return ~(((x & low) + low) | x | low);
}

static void shape_add(struct shape *s, uint64_t word)
{
    s->levels += (bytes_that_are(word, '/') >> 7) * EACH_BYTE(1) >> 56;
    if ((bytes_that_are(word, '+') | bytes_that_are(word, '#')) != 0) s->wild = true;
    if (bytes_that_are(word, 0) != 0) s->nul = true;
}

/* Every PUBLISH comes by here, so eight bytes at a time. */
static struct shape shape_of(struct bytes text)
{
    struct shape s = { .levels = 1 };
    uint64_t word;
    size_t i = 0;

    for (; text.len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, text.at + i, sizeof word);
        shape_add(&s, word);
    }
    for (word = EACH_BYTE('a'); i < text.len; i++) word = word << 8 | text.at[i]; /* any letter pads it */
    shape_add(&s, word);
    return s;
}

static bool within_limits(struct bytes text, const struct shape *s)
{
    return text.len > 0 && text.len <= TOPIC_BYTES_MAX && s->levels <= TOPIC_LEVELS_MAX && !s->nul;
}

/* Is one of the bytes zero? Exact: the borrow of a byte starts only at a zero below it. */
static bool word_has_zero(uint64_t v)
{
    return ((v - EACH_BYTE(0x01)) & ~v & EACH_BYTE(0x80)) != 0;
}

/* A word with a wildcard or a NUL in it? '+' and '#' differ in one bit, which '+' has. */
static bool word_is_odd(uint64_t word)
{
    return word_has_zero((word | EACH_BYTE('+' ^ '#')) ^ EACH_BYTE('+')) || word_has_zero(word);
}

static bool name_is_odd(struct bytes name)
{
    uint64_t word = EACH_BYTE('a'); /* any letter pads it */
    size_t i = 0;

    for (; name.len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, name.at + i, sizeof word);
        if (word_is_odd(word)) return true;
    }
    if (i > 0) /* the last eight: some of them again */
        memcpy(&word, name.at + name.len - sizeof word, sizeof word);
    else
        for (; i < name.len; i++) word = word << 8 | name.at[i];
    return word_is_odd(word);
}

bool topic_name_valid(struct bytes name)
{
    if (name.len == 0 || name.len > TOPIC_BYTES_MAX || name_is_odd(name)) return false;
    if (name.len < TOPIC_LEVELS_MAX) return true;
    struct shape s = shape_of(name);
    return within_limits(name, &s);
}

/* Sections 4.7.1.2 and 4.7.1.3: each wildcard is a whole level, and '#' is the last one. */
static bool wildcards_valid(struct bytes filter)
{
    struct topic_levels levels = topic_levels(filter);
    struct bytes level;

    while (topic_level_next(&levels, &level)) {
        if (!shape_of(level).wild) continue;
        if (level.len != 1 || (level.at[0] == '#' && !levels.ended)) return false;
    }
    return true;
}

enum topic_verdict topic_filter_check(struct bytes filter)
{
    struct bytes group, rest = filter;

    /* Section 4.8.2: a share name has at least one character and no wildcard, and a filter follows it. */
    bool is_shared = topic_share_split(filter, &group, &rest);
    if (is_shared && (group.len == 0 || shape_of(group).wild)) return TOPIC_FILTER_WRONG;
    if (rest.len == 0 || shape_of(filter).nul) return TOPIC_FILTER_WRONG;

    struct shape s = shape_of(rest);
    if (s.wild && !wildcards_valid(rest)) return TOPIC_FILTER_WRONG;
    bool fits = filter.len <= TOPIC_BYTES_MAX && within_limits(rest, &s);
    return fits ? TOPIC_FILTER_VALID : TOPIC_FILTER_ABOVE_LIMITS;
}

bool topic_filter_is_exact(struct bytes filter)
{
    return !shape_of(filter).wild;
}
