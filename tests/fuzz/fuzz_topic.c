/* SPDX-License-Identifier: Apache-2.0 */
/* A filter, a line feed, a name. Both are judged by topic/ and by a second opinion here that walks
 * characters, not levels. */
#include "base/check.h"
#include "codec/rd.h"
#include "fuzz/fuzz.h"
#include "topic/topic.h"
#include <stdio.h>

static size_t count_of(struct bytes b, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < b.len; i++) n += b.at[i] == (uint8_t)c;
    return n;
}

static bool naive_sized(struct bytes b)
{
    return b.len >= 1 && b.len <= TOPIC_BYTES_MAX && count_of(b, '/') < TOPIC_LEVELS_MAX &&
           count_of(b, 0) == 0;
}

static bool naive_name(struct bytes b)
{
    return naive_sized(b) && count_of(b, '+') == 0 && count_of(b, '#') == 0;
}

static bool naive_filter(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        bool first = i == 0 || b.at[i - 1] == '/', last = i + 1 == b.len;
        if (b.at[i] == '#' && !(first && last)) return false;
        if (b.at[i] == '+' && !(first && (last || b.at[i + 1] == '/'))) return false;
    }
    return naive_sized(b);
}

/* For a valid filter that is not shared. */
static bool naive_match(struct bytes f, struct bytes n)
{
    size_t i = 0, k = 0;

    if (n.at[0] == '$' && (f.at[0] == '+' || f.at[0] == '#')) return false;
    while (i < f.len) {
        if (f.at[i] == '#') return true;
        if (f.at[i] == '+') {
            while (k < n.len && n.at[k] != '/') k++;
            i++;
            continue;
        }
        if (k == n.len) return f.at[i] == '/' && i + 2 == f.len && f.at[i + 1] == '#';
        if (f.at[i++] != n.at[k++]) return false;
    }
    return k == n.len;
}

static void check_levels(struct bytes b)
{
    struct topic_levels l = topic_levels(b);
    struct bytes level;
    size_t levels = 0, bytes = 0;

    for (; topic_level_next(&l, &level); levels++) {
        CHECK(count_of(level, '/') == 0);
        bytes += level.len;
    }
    CHECK(levels == count_of(b, '/') + 1);
    CHECK(bytes + levels - 1 == b.len);
}

static void check_scan(struct bytes b)
{
    unsigned seen = utf8_scan(b);
    if ((seen & UTF8_ILL_FORMED) != 0) return;
    CHECK(((seen & UTF8_WILDCARD) != 0) == (count_of(b, '+') + count_of(b, '#') > 0));
    CHECK(count_of(b, 0) == 0);
}

/* What was split, put together again. */
static void check_delay(struct bytes name)
{
    static const char prefix[] = "$delayed/";
    const size_t n = sizeof prefix - 1;
    bool begins = name.len >= n && memcmp(name.at, prefix, n) == 0;
    uint32_t seconds;
    struct bytes rest;
    if (!topic_delay_split(name, &seconds, &rest)) {
        CHECK(begins);
        return;
    }
    CHECK(begins == (seconds > 0));
    CHECK(rest.at + rest.len == name.at + name.len);
    if (!begins) {
        CHECK(rest.len == name.len);
        return;
    }
    char head[32];
    int digits = (int)(name.len - rest.len - n - 1);
    CHECK(digits >= 1 && digits <= 7);
    snprintf(head, sizeof head, "%s%0*u/", prefix, digits, (unsigned)seconds);
    CHECK(strlen(head) == name.len - rest.len);
    CHECK(memcmp(head, name.at, name.len - rest.len) == 0);
    CHECK(naive_name(rest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *feed = size > 0 ? memchr(data, '\n', size) : NULL;
    if (feed == NULL) return 0;

    struct bytes filter = bytes_of(data, (size_t)(feed - data)), group, rest = filter;
    struct bytes name = bytes_of(feed + 1, size - filter.len - 1);
    bool shared = topic_share_split(filter, &group, &rest);
    bool filter_valid = topic_filter_valid(filter);

    if (shared) {
        bool group_valid =
            group.len > 0 && count_of(group, '+') + count_of(group, '#') + count_of(group, 0) == 0;
        CHECK(count_of(group, '/') == 0);
        CHECK(filter_valid == (filter.len <= TOPIC_BYTES_MAX && group_valid && naive_filter(rest)));
    } else {
        CHECK(filter_valid == naive_filter(filter));
    }
    CHECK(topic_name_valid(name) == naive_name(name));
    CHECK(topic_filter_is_exact(rest) == (count_of(rest, '+') + count_of(rest, '#') == 0));
    if (filter_valid && topic_name_valid(name)) CHECK(topic_matches(rest, name) == naive_match(rest, name));
    check_levels(filter);
    check_scan(name);
    check_delay(name);
    return 0;
}
