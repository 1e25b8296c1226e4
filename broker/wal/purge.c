/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include "wal/wal_int.h"

/* The first segment, if no group needs it and it is not written to. It stays the first: only this thread
 * removes any. */
static struct wal_segment *first_unneeded(struct wal *w)
{
    struct wal_segment *s = NULL;

    lock_take(&w->list_lock);
    if (!list_empty(&w->segments)) s = CONTAINER(w->segments.next, struct wal_segment, link);
    if (s == NULL || s->link.next == &w->segments)
        s = NULL; /* the last may be active, and shows the position */
    for (unsigned g = 0; s != NULL && g < w->groups; g++)
        if (s->highest[g] != 0 && s->highest[g] >= w->floors[g]) s = NULL;
    lock_release(&w->list_lock);
    return s;
}

enum err wal_purge(struct wal *w, uint16_t group, uint64_t below)
{
    const struct wal_io *io = w->io;
    char name[WAL_NAME_BYTES];
    bool removed = false;

    if (group >= w->groups) return ERR_RANGE;
    lock_take(&w->list_lock);
    if (below > w->floors[group]) w->floors[group] = below;
    lock_release(&w->list_lock);

    for (struct wal_segment *s = first_unneeded(w); s != NULL; s = first_unneeded(w)) {
        failpoint(removed ? FAIL_wal_purge_between : FAIL_wal_purge_begun);
        wal_segment_name(name, s->number);
        if (io->unlink(io->ctx, w->dir_fd, name) != 0) return wal_fail(w, w->upkeep_error, "remove", name);
        failpoint(FAIL_wal_purge_unlinked);
        /* Before the next one: a loss of power must not leave a gap. */
        if (io->fsync(io->ctx, w->dir_fd) != 0)
            return wal_fail(w, w->upkeep_error, "sync the directory of", name);
        lock_take(&w->list_lock);
        wal_segment_drop_locked(w, s);
        lock_release(&w->list_lock);
        removed = true;
    }
    if (removed) failpoint(FAIL_wal_purge_done);
    return ERR_OK;
}
