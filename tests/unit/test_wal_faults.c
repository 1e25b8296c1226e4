/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of the system, and of the allocator, fails once: whoever asked is told, and nothing is lost. */
#include "unit/wal_kit.h"
#include "wal/wal_reader.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_NAME "0000000000000001.wal"

/* --- the system's calls, or a test's disk's, but for one */

enum bend { BEND_FAIL, BEND_INTERRUPT, BEND_EMPTY };

struct bent {
    struct wal_io io;
    const struct wal_io *under;
    enum bend bend;
    unsigned countdown; /* 0: never */
    int failure;
    int64_t size; /* 0: as it is */
};

static bool is_bent(struct bent *b)
{
    if (b->countdown == 0 || --b->countdown > 0) return false;
    errno = b->bend == BEND_INTERRUPT ? EINTR : b->failure;
    return true;
}

static int bent_open_dir(void *ctx, const char *path)
{
    struct bent *b = ctx;
    return is_bent(b) ? -1 : b->under->open_dir(b->under->ctx, path);
}

static int bent_open(void *ctx, int dir, const char *name, int flags)
{
    struct bent *b = ctx;
    return is_bent(b) ? -1 : b->under->open(b->under->ctx, dir, name, flags);
}

static int bent_lock(void *ctx, int fd)
{
    struct bent *b = ctx;
    return is_bent(b) ? -1 : b->under->lock(b->under->ctx, fd);
}

static int bent_list(void *ctx, int dir, void (*each)(void *arg, const char *name), void *arg)
{
    struct bent *b = ctx;
    return is_bent(b) ? -1 : b->under->list(b->under->ctx, dir, each, arg);
}

static int64_t bent_size(void *ctx, int fd)
{
    struct bent *b = ctx;
    if (b->size != 0) return b->size;
    return is_bent(b) ? -1 : b->under->size(b->under->ctx, fd);
}

static ssize_t bent_pread(void *ctx, int fd, void *to, size_t n, off_t at)
{
    struct bent *b = ctx;
    if (is_bent(b)) return b->bend == BEND_EMPTY ? 0 : -1;
    return b->under->pread(b->under->ctx, fd, to, n, at);
}

static ssize_t bent_pwrite(void *ctx, int fd, const void *from, size_t n, off_t at)
{
    struct bent *b = ctx;
    if (is_bent(b)) return b->bend == BEND_EMPTY ? 0 : -1;
    return b->under->pwrite(b->under->ctx, fd, from, n, at);
}

static int bent_fdatasync(void *ctx, int fd)
{
    struct bent *b = ctx;
    return is_bent(b) ? -1 : b->under->fdatasync(b->under->ctx, fd);
}

static int bent_fsync(void *ctx, int fd)
{
    struct bent *b = ctx;
    return is_bent(b) ? -1 : b->under->fsync(b->under->ctx, fd);
}

static int bent_close(void *ctx, int fd)
{
    struct bent *b = ctx;
    return b->under->close(b->under->ctx, fd);
}

static int bent_reserve(void *ctx, int fd, off_t bytes)
{
    struct bent *b = ctx;
    return b->under->reserve(b->under->ctx, fd, bytes);
}

static int bent_rename(void *ctx, int dir, const char *from, const char *to)
{
    struct bent *b = ctx;
    return b->under->rename(b->under->ctx, dir, from, to);
}

static int bent_unlink(void *ctx, int dir, const char *name)
{
    struct bent *b = ctx;
    return b->under->unlink(b->under->ctx, dir, name);
}

static uint64_t bent_random(void *ctx)
{
    struct bent *b = ctx;
    return b->under->random(b->under->ctx);
}

static struct bent bent_of(struct bent *b, const struct wal_io *under)
{
    return (struct bent){ .io = { .open_dir = bent_open_dir,
                                  .open = bent_open,
                                  .close = bent_close,
                                  .lock = bent_lock,
                                  .list = bent_list,
                                  .size = bent_size,
                                  .pread = bent_pread,
                                  .pwrite = bent_pwrite,
                                  .reserve = bent_reserve,
                                  .fdatasync = bent_fdatasync,
                                  .fsync = bent_fsync,
                                  .rename = bent_rename,
                                  .unlink = bent_unlink,
                                  .random = bent_random,
                                  .ctx = b },
                          .under = under,
                          .failure = EIO };
}

/* --- memory */

static int allocations_left = -1; /* -1: all of them */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

static bool is_refused(void)
{
    if (allocations_left < 0 || allocations_left-- > 0) return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return is_refused() ? NULL : __real_realloc(at, size);
}

char *__wrap_strdup(const char *text)
{
    return is_refused() ? NULL : __real_strdup(text);
}

/* --- a copy, from one directory of the system to another */

enum { PATH_BYTES = 64 };

struct pair {
    char from[PATH_BYTES], to[PATH_BYTES];
    uint64_t last;
};

static void make_dir(char *path)
{
    snprintf(path, PATH_BYTES, "/tmp/longlink-wal-XXXXXX");
    CHECK_TRUE(mkdtemp(path) != NULL);
}

static void empty_dir(const char *path)
{
    DIR *d = opendir(path);

    CHECK_TRUE(d != NULL);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        if (e->d_name[0] != '.') unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static struct wal *open_in(const char *dir, enum err want)
{
    struct wal_conf conf = {
        .dir = dir, .segment_bytes = KIT_SEGMENT_BYTES, .node_id = KIT_NODE, .cluster_id = KIT_CLUSTER
    };
    struct wal_report report;
    struct wal *w;

    CHECK_INT(want, wal_open(&w, &conf, &report));
    return w;
}

static void pair_make(struct pair *p)
{
    make_dir(p->from);
    make_dir(p->to);
    struct wal *w = open_in(p->from, ERR_OK);
    kit_write(w, 40);
    p->last = wal_last(w, 0);
    CHECK_INT(ERR_OK, wal_close(&w));
}

static void pair_remove(struct pair *p)
{
    empty_dir(p->from);
    empty_dir(p->to);
    CHECK_INT(0, rmdir(p->from));
    CHECK_INT(0, rmdir(p->to));
}

static void check_copy(const struct pair *p)
{
    struct wal *w = open_in(p->to, ERR_OK);

    CHECK_INT(p->last, kit_read(w, 0).last);
    CHECK_INT(ERR_OK, wal_close(&w));
}

TEST(a_copy_of_which_any_call_fails_says_so)
{
    static const int failures[] = { EIO, ENOSPC };
    char text[WAL_TEXT_BYTES];
    struct pair p;
    struct bent b;

    pair_make(&p);
    for (size_t k = 0; k < 2; k++) {
        unsigned n = 0;
        enum err rc;
        do {
            b = bent_of(&b, &wal_io_system);
            b.failure = failures[k];
            b.countdown = ++n;
            rc = wal_copy(p.from, p.to, &b.io, text);
            if (rc != ERR_OK) {
                CHECK_INT(failures[k] == EIO ? ERR_SYS : ERR_FULL, rc);
                CHECK_TRUE(strstr(text, "cannot ") == text);
                empty_dir(p.to);
            }
        } while (rc != ERR_OK);
        CHECK_TRUE(n > 20);
        check_copy(&p);
        empty_dir(p.to);
    }
    pair_remove(&p);
}

TEST(a_copy_goes_on_when_a_call_is_interrupted_and_ends_at_a_file_that_became_shorter)
{
    char text[WAL_TEXT_BYTES];
    struct pair p;
    struct bent b;
    unsigned failed = 0;

    pair_make(&p);
    for (unsigned n = 1; n < 40; n++) {
        b = bent_of(&b, &wal_io_system);
        b.bend = BEND_EMPTY;
        b.failure = 0;
        b.countdown = n;
        failed += wal_copy(p.from, p.to, &b.io, text) != ERR_OK;
        empty_dir(p.to);
    }
    CHECK_TRUE(failed > 10);
    unsigned whole = 0;
    for (unsigned n = 1; n < 40; n++) {
        b = bent_of(&b, &wal_io_system);
        b.bend = BEND_INTERRUPT;
        b.countdown = n;
        if (wal_copy(p.from, p.to, &b.io, text) == ERR_OK) {
            check_copy(&p);
            whole++;
        }
        empty_dir(p.to);
    }
    CHECK_TRUE(whole > 10);
    pair_remove(&p);
}

TEST(a_copy_of_a_segment_that_is_longer_than_any_is_refused)
{
    char text[WAL_TEXT_BYTES];
    struct pair p;
    struct bent b;

    pair_make(&p);
    b = bent_of(&b, &wal_io_system);
    b.size = (int64_t)WAL_SEGMENT_BYTES_MAX + 1;
    CHECK_INT(ERR_SYS, wal_copy(p.from, p.to, &b.io, text));
    CHECK_TRUE(strstr(text, FIRST_NAME) != NULL || strstr(text, ".wal") != NULL);
    pair_remove(&p);
}

TEST(a_copy_without_memory_says_so)
{
    char text[WAL_TEXT_BYTES];
    struct pair p;
    enum err rc;
    int n = -1;

    pair_make(&p);
    do {
        allocations_left = ++n;
        rc = wal_copy(p.from, p.to, NULL, text);
        allocations_left = -1;
        CHECK_TRUE(rc == ERR_OK || rc == ERR_NOMEM);
        if (rc != ERR_OK) CHECK_TRUE(text[0] != '\0');
    } while (rc != ERR_OK);
    CHECK_TRUE(n >= 6);
    check_copy(&p);
    pair_remove(&p);
}

TEST(the_systems_calls_fail_as_the_system_does)
{
    char nowhere[PATH_BYTES];
    long pid = 7;

    CHECK_INT(-1, wal_io_system.list(NULL, -1, NULL, NULL));
    CHECK_INT(-1, wal_io_system.size(NULL, -1));
    make_dir(nowhere);
    CHECK_TRUE(!wal_is_in_use(nowhere, &pid));
    CHECK_INT(0, pid);
    CHECK_INT(0, rmdir(nowhere));
    CHECK_TRUE(!wal_is_in_use(nowhere, &pid));
}

/* --- opening and reading, on a disk in memory */

static void fill(struct disk *d, uint64_t *last)
{
    disk_init(d, 1);
    struct wal *w = kit_open(d, WAL_CLEAN);
    kit_write(w, 40);
    *last = wal_last(w, 0);
    CHECK_INT(ERR_OK, wal_close(&w));
}

TEST(a_log_of_which_any_call_is_interrupted_or_empty_opens_or_says_why_not)
{
    for (int bend = BEND_FAIL; bend <= BEND_EMPTY; bend++) {
        unsigned opened = 0, refused = 0;
        for (unsigned n = 1; n < 60; n++) {
            struct disk d;
            struct bent b;
            struct wal_report report;
            uint64_t last;
            struct wal *w;
            fill(&d, &last);
            b = bent_of(&b, &d.io);
            b.bend = (enum bend)bend;
            b.countdown = n;
            struct wal_conf conf = kit_conf(&d);
            conf.io = &b.io;
            if (wal_open(&w, &conf, &report) == ERR_OK) {
                b.countdown = 0;
                CHECK_INT(last, kit_read(w, 0).last);
                CHECK_INT(ERR_OK, wal_close(&w));
                opened++;
            } else {
                CHECK_TRUE(report.text[0] != '\0');
                refused++;
            }
            disk_end_process(&d);
            w = kit_open(&d, WAL_CLEAN);
            CHECK_INT(last, kit_read(w, 0).last);
            CHECK_INT(ERR_OK, wal_close(&w));
            disk_fini(&d);
        }
        CHECK_TRUE(opened > 0 && refused > 0);
    }
}

TEST(a_segment_that_is_longer_than_any_is_damage)
{
    struct disk d;
    struct bent b;
    struct wal_report report;
    struct wal *w;
    uint64_t last;

    fill(&d, &last);
    b = bent_of(&b, &d.io);
    b.size = (int64_t)WAL_SEGMENT_BYTES_MAX + 1;
    struct wal_conf conf = kit_conf(&d);
    conf.io = &b.io;
    CHECK_INT(ERR_SYNTAX, wal_open(&w, &conf, &report));
    CHECK_INT(WAL_DAMAGED, report.verdict);
    disk_fini(&d);
}

TEST(records_of_a_group_that_is_not_configured_are_damage)
{
    struct disk d;
    struct wal_report report;
    struct wal *w;

    disk_init(&d, 1);
    struct wal_conf conf = kit_conf(&d);
    conf.groups = 2;
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    struct wal_record r = kit_record(1, 0);
    r.group = 1;
    CHECK_INT(ERR_OK, wal_append(w, &r));
    CHECK_INT(ERR_OK, wal_sync(w));
    CHECK_INT(ERR_OK, wal_close(&w));
    conf.groups = 1;
    CHECK_INT(ERR_SYNTAX, wal_open(&w, &conf, &report));
    CHECK_TRUE(strstr(report.text, "group") != NULL);
    disk_fini(&d);
}

TEST(groups_that_are_not_configured_are_out_of_range)
{
    struct disk d;
    struct kit_seen s = { 0 };
    struct wal_reader *r;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(ERR_RANGE, wal_replay(w, 1, 0, kit_see, &s));
    CHECK_INT(ERR_RANGE, wal_purge(w, 1, 5));
    CHECK_INT(ERR_OK, wal_reader_open(&r, w));
    CHECK_INT(ERR_RANGE, wal_read(r, 1, 0, kit_see, &s));
    wal_reader_close(&r);
    wal_reader_close(&r);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

/* What becomes of a log whose first segment is harmed at a byte while it is open. */
static void harmed(size_t at, uint8_t mask, enum err replayed, enum err read)
{
    struct disk d;
    struct kit_seen s = { 0 };
    struct wal_reader *r;
    size_t size;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 40);
    CHECK_INT(ERR_OK, wal_reader_open(&r, w));
    disk_bytes(&d, FIRST_NAME, &size)[at] ^= mask;
    CHECK_INT(read, wal_read(r, 0, 0, kit_see, &s));
    if (read != ERR_OK) CHECK_TRUE(strstr(wal_reader_error(r), FIRST_NAME) != NULL);
    s = (struct kit_seen){ 0 };
    CHECK_INT(replayed, wal_replay(w, 0, 0, kit_see, &s));
    if (replayed != ERR_OK) CHECK_TRUE(strstr(wal_error(w), FIRST_NAME) != NULL);
    wal_reader_close(&r);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

TEST(what_was_sound_when_it_was_written_and_is_not_any_more_is_not_read)
{
    static const size_t header[] = { 0, 8, 12, 16, 24, 4092 };

    for (size_t i = 0; i < sizeof header / sizeof *header; i++) harmed(header[i], 1, ERR_SYS, ERR_SYS);
    for (size_t i = 0; i < WAL_HEAD_BYTES + 1; i++) harmed(WAL_HEADER_BYTES + i, 1, ERR_SYS, ERR_SYS);
    harmed(WAL_HEADER_BYTES + 3, 0x80, ERR_SYS, ERR_SYS); /* longer than any record, than the segment */
    harmed(WAL_HEADER_BYTES + 2, 0x01, ERR_SYS, ERR_SYS);
    harmed(WAL_HEADER_BYTES + 1, 0x40, ERR_SYS, ERR_SYS);
    harmed(100, 1, ERR_SYS, ERR_SYS);
}

TEST(a_segment_that_went_away_under_a_log_that_is_open_is_missed)
{
    struct disk d;
    struct kit_seen s = { 0 };
    struct wal_reader *r;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 40);
    CHECK_INT(ERR_OK, wal_reader_open(&r, w));
    disk_remove(&d, FIRST_NAME);
    CHECK_INT(ERR_NOTFOUND, wal_read(r, 0, 0, kit_see, &s));
    CHECK_INT(ERR_SYS, wal_replay(w, 0, 0, kit_see, &s));
    wal_reader_close(&r);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

TEST(a_read_of_which_any_call_fails_says_so_and_can_be_tried_again)
{
    for (int is_replay = 0; is_replay < 2; is_replay++) {
        struct disk d;
        unsigned failed = 0;
        disk_init(&d, 1);
        struct wal *w = kit_open(&d, WAL_CLEAN);
        kit_write(w, 60);
        for (unsigned n = 1; n < 40; n++) {
            struct kit_seen s = { 0 };
            struct wal_reader *r;
            CHECK_INT(ERR_OK, wal_reader_open(&r, w));
            d.failing = DISK_ANY;
            d.failure = EIO;
            d.countdown = n;
            enum err rc = is_replay ? wal_replay(w, 0, 0, kit_see, &s) : wal_read(r, 0, 0, kit_see, &s);
            if (rc != ERR_OK) {
                CHECK_INT(ERR_SYS, rc);
                failed++;
            }
            d.countdown = 0;
            CHECK_INT(ERR_OK, wal_read(r, 0, s.last, kit_see, &s));
            CHECK_INT(wal_last(w, 0), s.last);
            wal_reader_close(&r);
        }
        CHECK_TRUE(failed > 5);
        CHECK_INT(ERR_OK, wal_close(&w));
        disk_fini(&d);
    }
}

TEST(a_reader_without_memory_is_not_made)
{
    struct disk d;
    struct wal_reader *r;
    enum err rc;
    int n = -1;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    do {
        allocations_left = ++n;
        rc = wal_reader_open(&r, w);
        allocations_left = -1;
        CHECK_INT(rc == ERR_OK, r != NULL);
    } while (rc == ERR_NOMEM);
    CHECK_INT(2, n);
    wal_reader_close(&r);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

TEST(a_lock_that_cannot_be_asked_for_is_not_one_that_another_has)
{
    struct disk d;
    struct wal_report report;
    struct wal *w, *other;

    for (unsigned n = 1; n <= 4; n++) {
        struct bent b;
        disk_init(&d, 1);
        b = bent_of(&b, &d.io);
        b.countdown = n;
        struct wal_conf conf = kit_conf(&d);
        conf.io = &b.io;
        CHECK_INT(ERR_SYS, wal_open(&w, &conf, &report));
        CHECK_INT(WAL_FAILED, report.verdict);
        disk_fini(&d);
    }
    disk_init(&d, 1);
    w = kit_open(&d, WAL_CLEAN);
    d.failing = DISK_READ; /* of the id of who has it */
    d.failure = EIO;
    d.countdown = 1;
    struct wal_conf conf = kit_conf(&d);
    CHECK_INT(ERR_AGAIN, wal_open(&other, &conf, &report));
    CHECK_TRUE(strstr(report.text, "process 0") != NULL);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

TEST(a_quota_is_a_full_disk)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    d.failing = DISK_RESERVE;
    d.failure = EDQUOT;
    d.countdown = 1;
    CHECK_INT(ERR_FULL, wal_prepare(w));
    CHECK_INT(ERR_OK, wal_prepare(w));
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}
