/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bisect.h"
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
    uint64_t number; /* of the note, as `notes` counts them */
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

enum err session_fence_open(struct session *s)
{
    if (s->fence != NULL) return ERR_OK;
    s->fence = calloc(1, sizeof *s->fence);
    if (s->fence == NULL) return ERR_NOMEM;
    list_init(&s->fence->jobs);
    map_init(&s->fence->noted);
    map_init(&s->fence->copies);
    return ERR_OK;
}

/* Whoever remembers a number of a note is a job, or a fence. */
void session_fence_tidy(struct session *s)
{
    const struct session_fence *f = s->fence;
    if (f == NULL || f->fences > 0 || f->jobs_count > 0 || f->copies_count > 0 || f->voided_count > 0) return;
    session_fence_free(s);
}

enum err session_fence_begin(struct session *s)
{
    enum err rc = session_fence_open(s);
    if (rc == ERR_OK) s->fence->fences++;
    return rc;
}

void session_fence_end(struct session *s)
{
    CHECK(s->fence != NULL && s->fence->fences > 0);
    if (--s->fence->fences > 0) return;
    forget_all(&s->fence->noted);
    session_fence_tidy(s);
}

/* False: no memory. */
static bool add_note(struct session_fence *f, uint64_t topic_hash, uint64_t version)
{
    struct noted *n = malloc(sizeof *n);
    if (n == NULL) return false;
    *n = (struct noted){ topic_hash, version, f->notes };
    if (map_put(&f->noted, topic_hash, n) == ERR_OK) return true;
    free(n);
    return false;
}

static void note(struct session_fence *f, uint64_t topic_hash, uint64_t version)
{
    struct noted *n = map_get(&f->noted, topic_hash, is_noted, &topic_hash);
    f->notes++;
    if (n != NULL) {
        n->number = f->notes;
        if (version > n->version) n->version = version;
        return;
    }
    if (f->noted.count >= NOTED_TOPICS_MAX) {
        forget_all(&f->noted);
        f->notes_lost = f->notes - 1;
    }
    if (!add_note(f, topic_hash, version)) f->notes_lost = f->notes;
}

void session_fence_note(struct session *s, uint64_t topic_hash, uint64_t version)
{
    struct session_fence *f = s->fence;
    if (f == NULL) return;
    struct copy *c = map_get(&f->copies, topic_hash, is_copy, &topic_hash);
    if (c != NULL && version > c->newest) c->newest = version;
    if (f->fences > 0) note(f, topic_hash, version);
}

bool session_fence_saw(const struct session *s, uint64_t topic_hash, uint64_t version, uint64_t since)
{
    if (s->fence == NULL) return false;
    const struct noted *n = map_get(&s->fence->noted, topic_hash, is_noted, &topic_hash);
    return n != NULL && n->number > since && n->version >= version;
}

/* --- copies on their way */

bool session_copy_room(const struct session *s)
{
    return s->fence == NULL || s->fence->copies_count + s->fence->voided_count < COPIES_MAX;
}

/* So that there is room for every copy to become void: session_copy_end cannot fail. */
static bool reserve_voided(struct session_fence *f)
{
    uint32_t need = f->voided_count + f->copies_count + 1;
    if (need <= f->voided_room) return true;
    uint32_t room = f->voided_room == 0 ? 16 : f->voided_room * 2;
    uint64_t *grown = realloc(f->voided, room * sizeof *grown);
    if (grown == NULL) return false;
    f->voided = grown;
    f->voided_room = room;
    return true;
}

static void shrink_voided(struct session_fence *f)
{
    if (f->voided_count + f->copies_count > 0) return;
    free(f->voided);
    f->voided = NULL;
    f->voided_room = 0;
}

static struct copy *make_copy(struct session_fence *f, uint64_t topic_hash)
{
    struct copy *c = map_get(&f->copies, topic_hash, is_copy, &topic_hash);
    if (c != NULL) return c;
    c = malloc(sizeof *c);
    if (c == NULL) return NULL;
    *c = (struct copy){ .topic_hash = topic_hash };
    if (map_put(&f->copies, topic_hash, c) == ERR_OK) return c;
    free(c);
    return NULL;
}

enum err session_copy_begin(struct session *s, uint64_t topic_hash)
{
    if (!session_copy_room(s)) return ERR_FULL;
    if (session_fence_begin(s) != ERR_OK) return ERR_NOMEM;
    struct session_fence *f = s->fence;
    struct copy *c = reserve_voided(f) ? make_copy(f, topic_hash) : NULL;
    if (c == NULL) {
        session_fence_end(s);
        return ERR_NOMEM;
    }
    c->count++;
    f->copies_count++;
    return ERR_OK;
}

void session_copy_end(struct session *s, uint64_t topic_hash, uint64_t version, uint64_t seq)
{
    struct session_fence *f = s->fence;
    CHECK(f != NULL);
    struct copy *c = map_get(&f->copies, topic_hash, is_copy, &topic_hash);
    CHECK(c != NULL);
    if (c->newest > version && seq != 0) {
        DCHECK(f->voided_count == 0 || f->voided[f->voided_count - 1] < seq);
        f->voided[f->voided_count++] = seq;
    }
    if (--c->count == 0) free(map_take(&f->copies, topic_hash, is_copy, &topic_hash));
    if (--f->copies_count == 0) map_fini(&f->copies);
    shrink_voided(f);
    session_fence_end(s);
}

/* --- entries that are finished instead of sent: ascending, as the journal brought them */

static bool is_before(const void *items, size_t i, uint64_t seq)
{
    const uint64_t *voided = items;
    return voided[i] < seq;
}

static uint32_t voided_at(const struct session_fence *f, uint64_t seq)
{
    return (uint32_t)bisect(f->voided, f->voided_count, seq, is_before);
}

bool session_is_void(const struct session *s, uint64_t seq)
{
    const struct session_fence *f = s->fence;
    if (f == NULL || f->voided_count == 0) return false;
    uint32_t at = voided_at(f, seq);
    return at < f->voided_count && f->voided[at] == seq;
}

/* Entries go out in the order of seq, so whatever stood before this one has gone, or will never come. */
void session_unvoid(struct session *s, uint64_t seq)
{
    struct session_fence *f = s->fence;
    if (f == NULL || f->voided_count == 0) return;
    uint32_t gone = voided_at(f, seq + 1);
    f->voided_count -= gone;
    memmove(f->voided, f->voided + gone, f->voided_count * sizeof *f->voided);
    shrink_voided(f);
    session_fence_tidy(s);
}

void session_fence_free(struct session *s)
{
    struct session_fence *f = s->fence;
    s->fence = NULL;
    if (f == NULL) return;
    forget_all(&f->noted);
    forget_all(&f->copies);
    free(f->voided);
    free(f);
}
