/* SPDX-License-Identifier: Apache-2.0 */
#include "topic/topic.h"

bool topic_level_next(struct topic_levels *l, struct bytes *level)
{
    if (l->ended) return false;
    const uint8_t *slash = l->rest.len > 0 ? memchr(l->rest.at, '/', l->rest.len) : NULL;
    if (slash == NULL) {
        *level = l->rest;
        *l = (struct topic_levels){ .ended = true };
        return true;
    }
    size_t n = (size_t)(slash - l->rest.at);
    *level = bytes_of(l->rest.at, n);
    l->rest = bytes_of(slash + 1, l->rest.len - n - 1);
    return true;
}

static bool level_is(struct bytes level, char c)
{
    return level.len == 1 && level.at[0] == (uint8_t)c;
}

bool topic_matches(struct bytes filter, struct bytes name)
{
    struct topic_levels filters = topic_levels(filter), names = topic_levels(name);
    struct bytes want, have;

    /* [MQTT-4.7.2-1] */
    if (name.len > 0 && name.at[0] == '$' && filter.len > 0 && filter.at[0] != '$') return false;
    while (topic_level_next(&filters, &want)) {
        if (level_is(want, '#')) return true; /* matches the parent too: section 4.7.1.2 */
        if (!topic_level_next(&names, &have)) return false;
        if (!level_is(want, '+') && !bytes_equal(want, have)) return false;
    }
    return !topic_level_next(&names, &have);
}
