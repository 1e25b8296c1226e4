/* SPDX-License-Identifier: Apache-2.0 */
#include "node/snap.h"
#include "wal/crc32c.h"
#include "zab/zab.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAP_MAGIC UINT64_C(0x4c6c6e6b536e6170) /* "LlnkSnap" */

enum {
    SNAP_VERSION = 1,
    MEMBERS_AT = 40,
    HEAD_CRC_AT = SNAP_HEAD_BYTES - 4,
    NAME_BYTES = 32,
    BLOCK_BYTES = 64 * 1024
};

static_assert(MEMBERS_AT + ZAB_MEMBERS_BYTES_MAX <= HEAD_CRC_AT, "the members must fit into the head");

static void put(uint8_t *at, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

static uint64_t get(const uint8_t *at, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | at[i];
    return v;
}

static void name_of(char name[NAME_BYTES], uint64_t zxid)
{
    snprintf(name, NAME_BYTES, "snap.%016" PRIx64, zxid);
}

static enum err fail(struct snap_writer *w, const char *what)
{
    int why = errno;
    char reason[96];

    if (w->rc != ERR_OK) return w->rc;
    snprintf(w->text, sizeof w->text, "cannot %s %s: %s", what, w->name,
             strerror_r(why, reason, sizeof reason));
    w->rc = why == ENOSPC || why == EDQUOT ? ERR_FULL : ERR_SYS;
    return w->rc;
}

static int write_at(int fd, const uint8_t *from, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t got = pwrite(fd, from, n, at);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;
        if (got <= 0) return -1;
        from += got;
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

/* How many bytes: fewer at the end of the file. */
static ssize_t read_some(int fd, uint8_t *to, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, to + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

void snap_begin(struct snap_writer *w, int dir, const char *name)
{
    *w = (struct snap_writer){ .dir = dir, .name = name };
    w->fd = openat(dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0) fail(w, "create");
}

void snap_write(struct snap_writer *w, struct bytes data)
{
    if (w->rc != ERR_OK || data.len == 0) return;
    if (write_at(w->fd, data.at, data.len, (off_t)(SNAP_HEAD_BYTES + w->bytes)) != 0) {
        fail(w, "write");
        return;
    }
    w->bytes += data.len;
    w->crc = crc32c(w->crc, data.at, data.len);
}

static enum err put_head(struct snap_writer *w, const struct snap_head *head)
{
    uint8_t at[SNAP_HEAD_BYTES] = { 0 };
    uint32_t len = zab_members_encode(&head->members, at + MEMBERS_AT, ZAB_MEMBERS_BYTES_MAX);

    put(at, SNAP_MAGIC, 8);
    put(at + 8, SNAP_VERSION, 4);
    put(at + 12, head->epoch, 4);
    put(at + 16, head->zxid, 8);
    put(at + 24, w->bytes, 8);
    put(at + 32, w->crc, 4);
    put(at + 36, len, 4);
    put(at + HEAD_CRC_AT, crc32c(0, at, HEAD_CRC_AT), 4);
    if (write_at(w->fd, at, sizeof at, 0) != 0) return fail(w, "write");
    return fsync(w->fd) == 0 ? ERR_OK : fail(w, "sync");
}

enum err snap_end(struct snap_writer *w, const struct snap_head *head)
{
    char name[NAME_BYTES];

    name_of(name, head->zxid);
    if (w->rc == ERR_OK) put_head(w, head);
    if (w->rc == ERR_OK && renameat(w->dir, w->name, w->dir, name) != 0) fail(w, "rename");
    if (w->rc == ERR_OK && fsync(w->dir) != 0) fail(w, "sync the directory of");
    enum err rc = w->rc;
    snap_drop(w);
    return rc;
}

void snap_drop(struct snap_writer *w)
{
    if (w->fd < 0) return;
    close(w->fd);
    w->fd = -1;
    unlinkat(w->dir, w->name, 0); /* of one that is whole the name has gone already */
}

static enum err refuse(uint64_t zxid, const char *why, char text[SNAP_TEXT_BYTES])
{
    snprintf(text, SNAP_TEXT_BYTES, "snap.%016" PRIx64 " %s", zxid, why);
    return ERR_SYNTAX;
}

static enum err read_head(struct snap_reader *r, uint64_t zxid, char text[SNAP_TEXT_BYTES])
{
    uint8_t at[SNAP_HEAD_BYTES];
    struct snap_head *h = &r->head;

    if (read_some(r->fd, at, sizeof at) != SNAP_HEAD_BYTES) return refuse(zxid, "is too short", text);
    if (get(at, 8) != SNAP_MAGIC || get(at + HEAD_CRC_AT, 4) != crc32c(0, at, HEAD_CRC_AT))
        return refuse(zxid, "does not begin as one", text);
    if (get(at + 8, 4) != SNAP_VERSION) return refuse(zxid, "is of another version", text);
    h->epoch = (uint32_t)get(at + 12, 4);
    h->zxid = get(at + 16, 8);
    h->bytes = get(at + 24, 8);
    h->crc = (uint32_t)get(at + 32, 4);
    uint64_t len = get(at + 36, 4);
    if (h->zxid != zxid) return refuse(zxid, "was renamed", text);
    if (len > ZAB_MEMBERS_BYTES_MAX || !zab_members_decode(bytes_of(at + MEMBERS_AT, len), &h->members))
        return refuse(zxid, "has no members", text);
    return ERR_OK;
}

static enum err check_state(struct snap_reader *r, uint64_t zxid, char text[SNAP_TEXT_BYTES])
{
    uint8_t *block = malloc(BLOCK_BYTES);
    uint32_t crc = 0;
    uint64_t bytes = 0;
    ssize_t got = 0;

    if (block == NULL) return ERR_NOMEM;
    while ((got = read_some(r->fd, block, BLOCK_BYTES)) > 0) {
        crc = crc32c(crc, block, (size_t)got);
        bytes += (uint64_t)got;
    }
    free(block);
    if (got < 0 || bytes != r->head.bytes || crc != r->head.crc)
        return refuse(zxid, "is not what was written", text);
    return lseek(r->fd, SNAP_HEAD_BYTES, SEEK_SET) < 0 ? ERR_SYS : ERR_OK;
}

enum err snap_open(struct snap_reader *r, int dir, uint64_t zxid, char text[SNAP_TEXT_BYTES])
{
    char name[NAME_BYTES];

    *r = (struct snap_reader){ .fd = -1 };
    name_of(name, zxid);
    r->fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0) return refuse(zxid, "cannot be opened", text);
    enum err rc = read_head(r, zxid, text);
    if (rc == ERR_OK) rc = check_state(r, zxid, text);
    r->left = r->head.bytes;
    if (rc != ERR_OK) snap_close(r);
    return rc;
}

size_t snap_read(struct snap_reader *r, void *to, size_t n)
{
    if (n > r->left) n = (size_t)r->left;
    ssize_t got = n > 0 ? read_some(r->fd, to, n) : 0;
    if (got <= 0) return 0;
    r->left -= (uint64_t)got;
    return (size_t)got;
}

void snap_close(struct snap_reader *r)
{
    if (r->fd >= 0) close(r->fd);
    r->fd = -1;
}

/* Keeps the newest when there are more. */
static void list_one(struct snap_list *l, uint64_t zxid)
{
    uint32_t at = 0;

    while (at < l->count && l->at[at] > zxid) at++;
    if (at == SNAPS_MAX) return;
    if (l->count < SNAPS_MAX) l->count++;
    for (uint32_t i = l->count - 1; i > at; i--) l->at[i] = l->at[i - 1];
    l->at[at] = zxid;
}

enum err snap_list(int dir, struct snap_list *out)
{
    *out = (struct snap_list){ 0 };
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (d == NULL && fd >= 0) close(fd);
    if (d == NULL) return ERR_SYS;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char *end;
        if (strncmp(e->d_name, "snap.", 5) != 0 || strlen(e->d_name) != 5 + 16) continue;
        uint64_t zxid = strtoull(e->d_name + 5, &end, 16);
        if (*end == '\0') list_one(out, zxid);
    }
    closedir(d);
    return ERR_OK;
}

void snap_remove(int dir, uint64_t zxid)
{
    char name[NAME_BYTES];
    name_of(name, zxid);
    unlinkat(dir, name, 0);
}
