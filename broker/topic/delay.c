/* SPDX-License-Identifier: Apache-2.0 */
#include "topic/topic.h"

static const char prefix[] = "$delayed/";

static bool is_delayed(struct bytes name)
{
    const size_t n = sizeof prefix - 1;
    return name.len >= n && memcmp(name.at, prefix, n) == 0;
}

/* Digits only; 0 when it is no number, or too large. */
static uint32_t seconds_of(struct bytes text)
{
    uint32_t seconds = 0;
    if (text.len > 7) return 0; /* as many as the largest has: it cannot wrap */
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') return 0;
        seconds = seconds * 10 + (uint32_t)(text.at[i] - '0');
    }
    return seconds <= TOPIC_DELAY_SECONDS_MAX ? seconds : 0;
}

bool topic_delay_split(struct bytes name, uint32_t *seconds, struct bytes *rest)
{
    *seconds = 0;
    *rest = name;
    if (!is_delayed(name)) return true;
    struct topic_levels levels =
        topic_levels(bytes_of(name.at + sizeof prefix - 1, name.len - (sizeof prefix - 1)));
    struct bytes number;
    topic_level_next(&levels, &number);
    *seconds = seconds_of(number);
    *rest = levels.rest;
    return *seconds > 0 && topic_name_valid(*rest) && !is_delayed(*rest);
}
