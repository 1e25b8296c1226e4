/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/wal_kit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A log in a real directory, and a copy of it that is made while the log is written: whenever the copy reads,
 * in the midst of what it reads, the log goes on. A write of the log takes effect little by little, at times
 * that the dice choose; before the log's next call it is complete, as it is when pwrite has returned.
 */

enum { SEGMENT_BYTES = 4096 + 3 * 65536, PATH_BYTES = 64, PENDING_MAX = WAL_BATCH_BYTES_MAX };

struct rig {
    struct wal_io log_io, copy_io;
    char from[PATH_BYTES], to[PATH_BYTES];
    struct wal *log;
    uint64_t random;
    uint64_t floor;     /* everything below is in the tables */
    unsigned reads_max; /* 0: the log rests while the copy is made */
    unsigned turns;     /* of the log, in the copy's reads */

    int pending_fd;
    uint8_t *pending;
    size_t pending_len, pending_done;
    off_t pending_at;
};

static uint64_t draw(struct rig *r, uint64_t below)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (r->random >> 33) % below;
}

static void write_on(struct rig *r, size_t bytes)
{
    size_t left = r->pending_len - r->pending_done;
    size_t n = bytes < left ? bytes : left;
    if (n == 0) return;
    ssize_t done =
        pwrite(r->pending_fd, r->pending + r->pending_done, n, r->pending_at + (off_t)r->pending_done);
    CHECK_INT(n, done);
    r->pending_done += n;
}

static ssize_t log_pwrite(void *ctx, int fd, const void *from, size_t n, off_t at)
{
    struct rig *r = ctx;
    write_on(r, SIZE_MAX);
    CHECK_TRUE(n <= PENDING_MAX);
    memcpy(r->pending, from, n);
    r->pending_fd = fd;
    r->pending_len = n;
    r->pending_done = 0;
    r->pending_at = at;
    return (ssize_t)n;
}

/* No test here loses power. What is asked for behind a write comes after it. */
static int log_sync(void *ctx, int fd)
{
    (void)fd;
    if (((struct rig *)ctx)->pending_len > 65536) write_on(ctx, SIZE_MAX); /* the zeros of a new segment */
    return 0;
}

static int log_close(void *ctx, int fd)
{
    write_on(ctx, SIZE_MAX);
    return close(fd);
}

static int log_unlink(void *ctx, int dir, const char *name)
{
    write_on(ctx, SIZE_MAX);
    return unlinkat(dir, name, 0);
}

static void write_batch(struct rig *r)
{
    write_on(r, SIZE_MAX);
    for (uint64_t n = 1 + draw(r, draw(r, 4) == 0 ? 120 : 4); n > 0; n--)
        CHECK_INT(ERR_OK, kit_append(r->log));
    CHECK_INT(ERR_OK, wal_sync(r->log));
}

static void fold(struct rig *r)
{
    write_on(r, SIZE_MAX);
    r->floor = wal_last(r->log, 0) + 1 - draw(r, 2) * draw(r, 600);
    CHECK_INT(ERR_OK, wal_purge(r->log, 0, r->floor));
    if (draw(r, 2) == 0) CHECK_INT(ERR_OK, wal_prepare(r->log));
}

static void go_on(struct rig *r)
{
    if (r->reads_max == 0) return;
    r->turns++;
    for (uint64_t n = draw(r, r->reads_max); n > 0; n--) {
        uint64_t dice = draw(r, 40);
        if (dice < 20) write_on(r, draw(r, 3000));
        if (dice >= 20 && dice < 38) write_batch(r);
        if (dice == 38) fold(r);
        if (dice == 39)
            for (int i = 0; i < 20; i++) write_batch(r);
    }
}

/* In two parts, with the log between them. */
static ssize_t copy_pread(void *ctx, int fd, void *to, size_t n, off_t at)
{
    struct rig *r = ctx;
    size_t half = n > 1 ? 1 + (size_t)draw(r, n - 1) : n;
    go_on(r);
    ssize_t got = pread(fd, to, half, at);
    if (got < (ssize_t)half || half == n) return got;
    go_on(r);
    ssize_t more = pread(fd, (uint8_t *)to + half, n - half, at + (off_t)half);
    return more < 0 ? more : got + more;
}

static void open_log(struct rig *r)
{
    struct wal_conf conf = { .dir = r->from, .io = &r->log_io, .segment_bytes = SEGMENT_BYTES };
    struct wal_report report;
    CHECK_INT(ERR_OK, wal_open(&r->log, &conf, &report));
}

static void rig_init(struct rig *r, uint64_t seed, unsigned reads_max)
{
    *r = (struct rig){ .log_io = wal_io_system, .copy_io = wal_io_system, .random = seed, .floor = 1 };
    r->log_io.ctx = r->copy_io.ctx = r;
    r->log_io.pwrite = log_pwrite;
    r->log_io.fdatasync = r->log_io.fsync = r->copy_io.fsync = log_sync;
    r->log_io.close = log_close;
    r->log_io.unlink = log_unlink;
    r->copy_io.pread = copy_pread;
    r->reads_max = reads_max;
    r->pending = malloc(PENDING_MAX);
    CHECK_TRUE(r->pending != NULL);
    snprintf(r->from, sizeof r->from, "/tmp/test_wal_copy.XXXXXX");
    snprintf(r->to, sizeof r->to, "/tmp/test_wal_copy.XXXXXX");
    CHECK_TRUE(mkdtemp(r->from) != NULL);
    CHECK_TRUE(mkdtemp(r->to) != NULL);
    open_log(r);
}

static void remove_dir(const char *path)
{
    DIR *d = opendir(path);
    CHECK_TRUE(d != NULL);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        if (e->d_name[0] != '.') CHECK_INT(0, unlinkat(dirfd(d), e->d_name, 0));
    closedir(d);
    CHECK_INT(0, rmdir(path));
}

static void rig_fini(struct rig *r)
{
    wal_close(&r->log);
    remove_dir(r->from);
    remove_dir(r->to);
    free(r->pending);
}

static void copy(struct rig *r)
{
    char text[WAL_TEXT_BYTES];
    enum err rc = wal_copy(r->from, r->to, &r->copy_io, text);
    if (rc != ERR_OK) print_error("%s\n", text);
    CHECK_INT(ERR_OK, rc);
}

/* What a broker would find that has the tables as of now: opens the copy and reads what they lack. */
static struct kit_seen read_copy(struct rig *r)
{
    struct wal_conf conf = { .dir = r->to, .segment_bytes = SEGMENT_BYTES };
    struct wal_report report;
    struct wal *w;
    enum err rc = wal_open(&w, &conf, &report);
    if (rc != ERR_OK) print_error("%s\n", report.text);
    CHECK_INT(ERR_OK, rc);
    struct kit_seen seen = kit_read(w, r->floor - 1);
    CHECK_INT(ERR_OK, wal_close(&w));
    return seen;
}

TEST(a_log_at_rest_is_copied_whole)
{
    struct rig r;
    rig_init(&r, 1, 0);
    while (wal_stat(r.log).segments < 4) write_batch(&r);
    CHECK_INT(ERR_OK, wal_prepare(r.log));
    write_on(&r, SIZE_MAX);
    copy(&r);
    struct kit_seen seen = read_copy(&r);
    CHECK_INT(1, seen.first);
    CHECK_INT(wal_last(r.log, 0), seen.last);
    rig_fini(&r);
}

TEST(a_copy_has_all_that_was_durable_when_it_began_whatever_is_written_purged_and_prepared_meanwhile)
{
    unsigned purged = 0, ahead = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig r;
        rig_init(&r, seed, 2 + (unsigned)(seed % 12));
        for (uint64_t n = draw(&r, 150); n > 0; n--) write_batch(&r);
        write_on(&r, SIZE_MAX);
        uint64_t durable = wal_last(r.log, 0);
        copy(&r);
        CHECK_TRUE(r.turns > 0 || durable == 0);
        struct kit_seen seen = read_copy(&r); /* no gap above the floor, nothing damaged */
        CHECK_TRUE(seen.last >= durable);
        purged += r.floor > 1;
        ahead += seen.last > durable;
        rig_fini(&r);
    }
    CHECK_TRUE(purged > 10); /* else this test shows nothing */
    CHECK_TRUE(ahead > 10);
}

TEST(a_copy_in_the_midst_of_a_write_ends_before_it_or_in_it)
{
    struct rig r;
    rig_init(&r, 3, 0);
    write_batch(&r);
    write_on(&r, SIZE_MAX);
    uint64_t durable = wal_last(r.log, 0);
    for (int i = 0; i < 12; i++) CHECK_INT(ERR_OK, kit_append(r.log));
    CHECK_INT(ERR_OK, wal_sync(r.log));
    for (size_t done = 0; done < r.pending_len; done += 1 + done % 7) {
        write_on(&r, done - r.pending_done);
        copy(&r);
        uint64_t last = read_copy(&r).last;
        CHECK_TRUE(last >= durable && last < wal_last(r.log, 0));
        remove_dir(r.to);
        CHECK_INT(0, mkdir(r.to, 0700));
    }
    rig_fini(&r);
}

TEST(an_empty_log_and_a_prepared_segment_leave_no_files)
{
    struct rig r;
    rig_init(&r, 4, 0);
    CHECK_INT(ERR_OK, wal_prepare(r.log));
    write_on(&r, SIZE_MAX);
    copy(&r);
    CHECK_INT(0, rmdir(r.to)); /* empty */
    CHECK_INT(0, mkdir(r.to, 0700));
    rig_fini(&r);
}

TEST(a_copy_keeps_damage_so_that_opening_it_shows_it)
{
    struct rig r;
    struct wal_report report;
    struct wal *w;
    char path[PATH_BYTES + 32];
    rig_init(&r, 5, 0);
    for (int i = 0; i < 5; i++) write_batch(&r);
    write_on(&r, SIZE_MAX);
    snprintf(path, sizeof path, "%s/0000000000000001.wal", r.from);
    int fd = open(path, O_RDWR);
    CHECK_INT(1, pwrite(fd, "x", 1, WAL_HEADER_BYTES + 20));
    close(fd);
    copy(&r);
    struct wal_conf conf = { .dir = r.to, .segment_bytes = SEGMENT_BYTES };
    CHECK_INT(ERR_SYNTAX, wal_open(&w, &conf, &report));
    rig_fini(&r);
}

TEST(a_copy_that_cannot_be_made_names_the_file)
{
    struct rig r;
    char text[WAL_TEXT_BYTES];
    rig_init(&r, 6, 0);
    write_batch(&r);
    write_on(&r, SIZE_MAX);
    CHECK_INT(ERR_SYS, wal_copy("/nowhere/at/all", r.to, NULL, text));
    CHECK_TRUE(strstr(text, "/nowhere/at/all") != NULL && strstr(text, "No such file") != NULL);
    CHECK_INT(ERR_OK, wal_copy(r.from, r.to, NULL, text));
    CHECK_INT(ERR_SYS, wal_copy(r.from, r.to, NULL, text)); /* never over another file */
    CHECK_TRUE(strstr(text, r.to) != NULL && strstr(text, "0000000000000001.wal: File exists") != NULL);
    rig_fini(&r);
}

TEST(a_log_is_in_use_from_open_to_close)
{
    struct rig r;
    long pid = 1;
    rig_init(&r, 7, 0);
    CHECK_TRUE(!wal_is_in_use(r.to, &pid));
    CHECK_INT(0, pid);
    write_on(&r, SIZE_MAX);
    CHECK_TRUE(wal_is_in_use(r.from, &pid));
    CHECK_INT(getpid(), pid);
    CHECK_INT(ERR_OK, wal_close(&r.log));
    CHECK_TRUE(!wal_is_in_use(r.from, &pid));
    rig_fini(&r);
}
