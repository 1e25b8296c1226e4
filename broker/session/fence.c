/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/limits.h"
#include "session/session_int.h"
#include <stdlib.h>

/*
 * Retained messages of a new subscription must not come after newer ones that were delivered live meanwhile.
 * Two things are remembered, both by topic, which is known by its hash.
 *
 * Notes: what came live while somebody read retained messages for this session. Publishers choose how many
 * topics that are, so at NOTED_TOPICS_MAX all notes are thrown away.
 *
 * Copies: for each retained message on its way through the journal, the newest that came live since. We
 * choose how many that are (session_copy_room), so nothing of it is thrown away.
 *
 * What a lost note means. It would have kept back a value that came live as well, which is no harm: it comes
 * twice. Or it would have kept back an older one, which must not come; nor may it be left out unseen, because
 * perhaps nothing came live and it is the last one. So whoever has read a page after notes were lost throws
 * it away, and reads it again behind a fence in the journal. Everything that came live before that fence is
 * at the topics' owners by then, so what is read is not older than that; only notes made since must be there.
 */

struct noted {
    uint64_t topic_hash, version;
    uint64_t number; /* of the note, as s->notes counts them */
};

struct copy {
    uint64_t topic_hash;
    uint64_t newest; /* that came live meanwhile; 0: none */
    uint32_t count;  /* on their way: filters may overlap */
};

static bool is_noted(const void *item, const void *key)
{
    const struct noted *n = item;
    return n->topic_hash == *(const uint64_t *)key;
}

static bool is_copy(const void *item, const void *key)
{
    const struct copy *c = item;
    return c->topic_hash == *(const uint64_t *)key;
}

static void forget_all(struct map *m)
{
    size_t at = 0;
    for (void *item = map_next(m, &at); item != NULL; item = map_next(m, &at)) free(item);
    map_fini(m);
}

void session_fence_begin(struct session *s)
{
    s->fences++;
}

void session_fence_end(struct session *s)
{
    CHECK(s->fences > 0);
    if (--s->fences == 0) forget_all(&s->noted);
}

/* False: no memory. */
static bool add_note(struct session *s, uint64_t topic_hash, uint64_t version)
{
    struct noted *n = malloc(sizeof *n);
    if (n == NULL) return false;
    *n = (struct noted){ topic_hash, version, s->notes };
    if (map_put(&s->noted, topic_hash, n) == ERR_OK) return true;
    free(n);
    return false;
}

static void note(struct session *s, uint64_t topic_hash, uint64_t version)
{
    struct noted *n = map_get(&s->noted, topic_hash, is_noted, &topic_hash);
    s->notes++;
    if (n != NULL) {
        n->number = s->notes;
        if (version > n->version) n->version = version;
        return;
    }
    if (s->noted.count >= NOTED_TOPICS_MAX) {
        forget_all(&s->noted);
        s->notes_lost = s->notes - 1;
    }
    if (!add_note(s, topic_hash, version)) s->notes_lost = s->notes;
}

void session_fence_note(struct session *s, uint64_t topic_hash, uint64_t version)
{
    struct copy *c = map_get(&s->copies, topic_hash, is_copy, &topic_hash);
    if (c != NULL && version > c->newest) c->newest = version;
    if (s->fences > 0) note(s, topic_hash, version);
}

bool session_fence_saw(const struct session *s, uint64_t topic_hash, uint64_t version, uint64_t since)
{
    const struct noted *n = map_get(&s->noted, topic_hash, is_noted, &topic_hash);
    return n != NULL && n->number > since && n->version >= version;
}

/* --- copies on their way */

bool session_copy_room(const struct session *s)
{
    return s->copies_count + s->voided_count < COPIES_MAX;
}

/* So that there is room for every copy to become void: session_copy_end cannot fail. */
static bool reserve_voided(struct session *s)
{
    uint32_t need = s->voided_count + s->copies_count + 1;
    if (need <= s->voided_room) return true;
    uint32_t room = s->voided_room == 0 ? 16 : s->voided_room * 2;
    uint64_t *grown = realloc(s->voided, room * sizeof *grown);
    if (grown == NULL) return false;
    s->voided = grown;
    s->voided_room = room;
    return true;
}

static void shrink_voided(struct session *s)
{
    if (s->voided_count + s->copies_count > 0) return;
    free(s->voided);
    s->voided = NULL;
    s->voided_room = 0;
}

static struct copy *make_copy(struct session *s, uint64_t topic_hash)
{
    struct copy *c = map_get(&s->copies, topic_hash, is_copy, &topic_hash);
    if (c != NULL) return c;
    c = malloc(sizeof *c);
    if (c == NULL) return NULL;
    *c = (struct copy){ .topic_hash = topic_hash };
    if (map_put(&s->copies, topic_hash, c) == ERR_OK) return c;
    free(c);
    return NULL;
}

enum err session_copy_begin(struct session *s, uint64_t topic_hash)
{
    if (!session_copy_room(s)) return ERR_FULL;
    struct copy *c = reserve_voided(s) ? make_copy(s, topic_hash) : NULL;
    if (c == NULL) return ERR_NOMEM;
    c->count++;
    s->copies_count++;
    session_fence_begin(s);
    return ERR_OK;
}

void session_copy_end(struct session *s, uint64_t topic_hash, uint64_t version, uint64_t seq)
{
    struct copy *c = map_get(&s->copies, topic_hash, is_copy, &topic_hash);
    CHECK(c != NULL);
    if (c->newest > version && seq != 0) {
        DCHECK(s->voided_count == 0 || s->voided[s->voided_count - 1] < seq);
        s->voided[s->voided_count++] = seq;
    }
    if (--c->count == 0) free(map_take(&s->copies, topic_hash, is_copy, &topic_hash));
    if (--s->copies_count == 0) map_fini(&s->copies);
    shrink_voided(s);
    session_fence_end(s);
}

/* --- entries that are finished instead of sent: ascending, as the journal brought them */

static uint32_t voided_at(const struct session *s, uint64_t seq)
{
    uint32_t low = 0, high = s->voided_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (s->voided[mid] < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool session_is_void(const struct session *s, uint64_t seq)
{
    uint32_t at = voided_at(s, seq);
    return at < s->voided_count && s->voided[at] == seq;
}

/* Entries go out in the order of seq, so whatever stood before this one has gone, or will never come. */
void session_unvoid(struct session *s, uint64_t seq)
{
    uint32_t gone = voided_at(s, seq + 1);
    s->voided_count -= gone;
    memmove(s->voided, s->voided + gone, s->voided_count * sizeof *s->voided);
    shrink_voided(s);
}

void session_fence_free(struct session *s)
{
    forget_all(&s->noted);
    forget_all(&s->copies);
    free(s->voided);
}
