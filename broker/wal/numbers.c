/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_int.h"
#include <errno.h>
#include <stdlib.h>

enum { NAME_LEN = 20, DIGITS = 16 };

static bool is_segment(const char *name, uint64_t *number)
{
    if (strlen(name) != NAME_LEN || strspn(name, "0123456789abcdef") != DIGITS) return false;
    if (strcmp(name + DIGITS, ".wal") != 0) return false;
    *number = strtoull(name, NULL, 16);
    return true;
}

static void note_name(void *arg, const char *name)
{
    struct wal_numbers *all = arg;
    uint64_t number;

    if (strcmp(name, WAL_COPY_NAME) == 0) all->has_copy = true;
    if (!is_segment(name, &number)) return;
    if (all->count == all->room) {
        size_t room = all->room == 0 ? 64 : all->room * 2;
        uint64_t *more = realloc(all->at, room * sizeof *more);
        all->no_memory = all->no_memory || more == NULL;
        if (more == NULL) return;
        all->at = more;
        all->room = room;
    }
    all->at[all->count++] = number;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int wal_numbers_list(const struct wal *w, struct wal_numbers *out)
{
    *out = (struct wal_numbers){ 0 };
    int rc = w->io->list(w->io->ctx, w->dir_fd, note_name, out);
    if (rc == 0 && out->no_memory) {
        errno = ENOMEM;
        rc = -1;
    }
    if (rc != 0) {
        int why = errno;
        free(out->at);
        *out = (struct wal_numbers){ 0 };
        errno = why;
        return -1;
    }
    if (out->count > 0) qsort(out->at, out->count, sizeof *out->at, by_number);
    return 0;
}
