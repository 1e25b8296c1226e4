/* SPDX-License-Identifier: Apache-2.0 */
#include "topic/topic.h"

/* What a run of text holds: one pass. */
struct shape {
    size_t levels;
    bool wild, nul;
};

static struct shape shape_of(struct bytes text)
{
    struct shape s = { .levels = 1 };

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c == '/') s.levels++;
        if (c == '+' || c == '#') s.wild = true;
        if (c == 0) s.nul = true;
    }
    return s;
}

static bool within_limits(struct bytes text, const struct shape *s)
{
    return text.len > 0 && text.len <= TOPIC_BYTES_MAX && s->levels <= TOPIC_LEVELS_MAX && !s->nul;
}

bool topic_name_valid(struct bytes name)
{
    struct shape s = shape_of(name);
    return within_limits(name, &s) && !s.wild;
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

bool topic_filter_valid(struct bytes filter)
{
    struct bytes group, rest = filter;

    /* Section 4.8.2: a share name has at least one character and no wildcard, and a filter follows it. */
    if (filter.len > TOPIC_BYTES_MAX) return false;
    if (topic_share_split(filter, &group, &rest) && (group.len == 0 || shape_of(group).wild)) return false;
    if (shape_of(filter).nul) return false;

    struct shape s = shape_of(rest);
    return within_limits(rest, &s) && (!s.wild || wildcards_valid(rest));
}

bool topic_filter_is_exact(struct bytes filter)
{
    return !shape_of(filter).wild;
}
