/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "session/session_int.h"
#include <stdlib.h>

/* Retained messages of a new subscription must not come after newer ones that were delivered live meanwhile.
 */

struct noted {
    uint64_t topic_hash, version;
};

static bool is_topic(const void *item, const void *key)
{
    const struct noted *n = item;
    return n->topic_hash == *(const uint64_t *)key;
}

void session_fence_begin(struct session *s)
{
    s->fences++;
}

/* Without memory the message may come twice, or after a newer one: at least once still holds. */
void session_fence_note(struct session *s, uint64_t topic_hash, uint64_t version)
{
    if (s->fences == 0) return;
    struct noted *n = map_get(&s->noted, topic_hash, is_topic, &topic_hash);
    if (n != NULL) {
        if (version > n->version) n->version = version;
        return;
    }
    n = malloc(sizeof *n);
    if (n == NULL) return;
    *n = (struct noted){ topic_hash, version };
    if (map_put(&s->noted, topic_hash, n) != ERR_OK) free(n);
}

bool session_fence_saw(const struct session *s, uint64_t topic_hash, uint64_t version)
{
    const struct noted *n = map_get(&s->noted, topic_hash, is_topic, &topic_hash);
    return n != NULL && n->version >= version;
}

static void forget_notes(struct session *s)
{
    size_t at = 0;
    for (struct noted *n = map_next(&s->noted, &at); n != NULL; n = map_next(&s->noted, &at)) free(n);
    map_fini(&s->noted);
}

void session_fence_end(struct session *s)
{
    CHECK(s->fences > 0);
    if (--s->fences == 0) forget_notes(s);
}

void session_void(struct session *s, uint64_t seq)
{
    /* Few at any time, and gone with the next connection that drains its queue. */
    uint64_t *grown = realloc(s->voided, (s->voided_count + 1) * sizeof *grown);
    if (grown == NULL) return; /* it comes late: at least once still holds */
    s->voided = grown;
    s->voided[s->voided_count++] = seq;
}

bool session_is_void(const struct session *s, uint64_t seq)
{
    for (uint32_t i = 0; i < s->voided_count; i++)
        if (s->voided[i] == seq) return true;
    return false;
}

void session_unvoid(struct session *s, uint64_t seq)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->voided_count; i++)
        if (s->voided[i] != seq) s->voided[kept++] = s->voided[i];
    s->voided_count = kept;
    if (kept > 0) return;
    free(s->voided);
    s->voided = NULL;
}

void session_fence_free(struct session *s)
{
    forget_notes(s);
    free(s->voided);
}
