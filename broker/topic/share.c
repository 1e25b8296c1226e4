/* SPDX-License-Identifier: Apache-2.0 */
#include "topic/topic.h"

bool topic_share_split(struct bytes filter, struct bytes *group, struct bytes *rest)
{
    static const char prefix[] = "$share/";
    const size_t n = sizeof prefix - 1;

    if (filter.len < n || memcmp(filter.at, prefix, n) != 0) return false;
    struct topic_levels levels = topic_levels(bytes_of(filter.at + n, filter.len - n));
    topic_level_next(&levels, group);
    *rest = levels.rest;
    return true;
}
