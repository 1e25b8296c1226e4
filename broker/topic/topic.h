/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topic - names and filters: MQTT 5.0 section 4.7, 4.8.
 *
 * Thread:  any; no state.
 * Memory:  borrows.
 * Limits:  TOPIC_LEVELS_MAX levels (an empty one counts), TOPIC_BYTES_MAX bytes.
 * Errors:  a bool: valid or not.
 * Tests:   tests/unit/test_topic.c, tests/fuzz/fuzz_topic.c
 */
#ifndef TOPIC_TOPIC_H
#define TOPIC_TOPIC_H

#include "base/bytes.h"

enum { TOPIC_LEVELS_MAX = 200, TOPIC_BYTES_MAX = 65535, TOPIC_DELAY_SECONDS_MAX = 4294967 };

/* A name to publish to: not empty, no wildcard, no NUL, within limits. UTF-8 is the codec's to check. */
bool topic_name_valid(struct bytes name);

/* The same of a name that a decoder has passed: no wildcard and no NUL is in it, and a short one has not too
 * many levels. */
static inline bool topic_decoded_valid(struct bytes name)
{
    return name.len > 0 && (name.len < TOPIC_LEVELS_MAX || topic_name_valid(name));
}

/* A filter to subscribe to: '+' alone in its level, '#' alone and last. $share/... is also checked here. One
 * that is right but for its length is above our limits. */
enum topic_verdict { TOPIC_FILTER_VALID, TOPIC_FILTER_ABOVE_LIMITS, TOPIC_FILTER_WRONG };
enum topic_verdict topic_filter_check(struct bytes filter);
static inline bool topic_filter_valid(struct bytes filter)
{
    return topic_filter_check(filter) == TOPIC_FILTER_VALID;
}

bool topic_filter_is_exact(struct bytes filter); /* no wildcard */

/* Below $CONTROL/: for the broker and its plugins alone. */
static inline bool topic_is_control(struct bytes name)
{
    static const char prefix[] = "$CONTROL/";
    return name.len >= sizeof prefix - 1 && memcmp(name.at, prefix, sizeof prefix - 1) == 0;
}

/* Does this filter match that name? Both valid. '$' topics: [MQTT-4.7.2-1]. For tests and slow paths. */
bool topic_matches(struct bytes filter, struct bytes name);

/* $share/GROUP/FILTER (section 4.8.2). False when filter is not shared; group and rest are set when it is. */
bool topic_share_split(struct bytes filter, struct bytes *group, struct bytes *rest);

/* $delayed/SECONDS/NAME: to be published to NAME so many seconds later. Any other name is all of *rest, and
 * *seconds is 0. False: it begins so, and the number or what follows is not right. */
bool topic_delay_split(struct bytes name, uint32_t *seconds, struct bytes *rest);

/* Walks levels: gives the next level of *rest and moves on. False when none is left. Start with
 * struct topic_levels l = topic_levels(name). "a//b" has three levels, "/" two. */
struct topic_levels {
    struct bytes rest;
    bool ended;
};
static inline struct topic_levels topic_levels(struct bytes name)
{
    return (struct topic_levels){ name, false };
}
bool topic_level_next(struct topic_levels *l, struct bytes *level);

#endif
