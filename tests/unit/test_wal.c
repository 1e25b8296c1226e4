/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "unit/wal_kit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_NAME  "0000000000000001.wal"
#define SECOND_NAME "0000000000000002.wal"

static void close_well(struct wal **w, struct disk *d)
{
    CHECK_INT(ERR_OK, wal_close(w));
    CHECK_TRUE(*w == NULL);
    disk_fini(d);
}

/* Until so many segments are in use. */
static void fill_segments(struct wal *w, unsigned count)
{
    while (wal_stat(w).segments < count) kit_write(w, 1);
}

TEST(records_come_back_in_order_with_all_that_was_in_them)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(0, wal_last(w, 0));
    fill_segments(w, 4);
    uint64_t last = wal_last(w, 0);
    CHECK_INT(last, kit_read(w, 0).last);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(ERR_OK, wal_close(&w));
        w = kit_open(&d, WAL_CLEAN);
        CHECK_INT(last, wal_last(w, 0));
        struct kit_seen s = kit_read(w, 0);
        CHECK_INT(1, s.first);
        CHECK_INT(last, s.last);
    }
    kit_write(w, 1);
    CHECK_TRUE(kit_read(w, 0).last > last);
    close_well(&w, &d);
}

TEST(replay_begins_with_the_record_that_holds_the_next_position)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    fill_segments(w, 3);
    uint64_t last = wal_last(w, 0);
    for (uint64_t after = 0; after < last; after++) {
        struct kit_seen s = kit_read(w, after);
        CHECK_TRUE(s.first <= after + 1);
        CHECK_TRUE(s.first + kit_span(s.first) > after);
        CHECK_INT(last, s.last);
    }
    CHECK_INT(0, kit_read(w, last).count);
    close_well(&w, &d);
}

static enum err stop_at_three(void *arg, const struct wal_record *r)
{
    unsigned *count = arg;
    (void)r;
    return ++*count == 3 ? ERR_CLOSED : ERR_OK;
}

TEST(replay_stops_with_the_error_of_its_caller)
{
    struct disk d;
    unsigned count = 0;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 5);
    CHECK_INT(ERR_CLOSED, wal_replay(w, 0, 0, stop_at_three, &count));
    CHECK_INT(3, count);
    close_well(&w, &d);
}

TEST(a_batch_costs_one_sync_however_many_records_it_has)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 1);
    struct wal_stat before = wal_stat(w);
    unsigned syncs = d.syncs[DISK_SYNC_BATCH];
    for (int i = 0; i < 5; i++) CHECK_INT(ERR_OK, kit_append(w));
    CHECK_INT(syncs, d.syncs[DISK_SYNC_BATCH]);
    CHECK_INT(ERR_OK, wal_sync(w));
    CHECK_INT(ERR_OK, wal_sync(w)); /* nothing to do */
    CHECK_INT(syncs + 1, d.syncs[DISK_SYNC_BATCH]);
    struct wal_stat after = wal_stat(w);
    CHECK_INT(before.appends + 5, after.appends);
    CHECK_INT(before.batches + 1, after.batches);
    CHECK_INT(before.syncs + 1, after.syncs);
    CHECK_TRUE(after.bytes > before.bytes);
    CHECK_INT(1, after.segments);
    CHECK_INT(KIT_SEGMENT_BYTES, after.disk_bytes);
    close_well(&w, &d);
}

TEST(a_segment_that_was_prepared_is_not_waited_for)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    for (int i = 0; i < 60; i++) {
        CHECK_INT(ERR_OK, wal_prepare(w));
        unsigned made = d.syncs[DISK_SYNC_MADE];
        CHECK_INT(ERR_OK, wal_prepare(w));
        kit_write(w, 1);
        CHECK_INT(made, d.syncs[DISK_SYNC_MADE]);
    }
    CHECK_INT(0, wal_stat(w).waits);
    CHECK_TRUE(wal_stat(w).segments > 3);
    CHECK_INT(ERR_OK, wal_close(&w));
    w = kit_open(&d, WAL_CLEAN);
    fill_segments(w, 8);
    CHECK_TRUE(wal_stat(w).waits > 0);
    close_well(&w, &d);
}

TEST(a_prepared_segment_goes_with_a_good_end)
{
    struct disk d;
    size_t size;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 1);
    CHECK_INT(ERR_OK, wal_prepare(w));
    CHECK_TRUE(disk_bytes(&d, SECOND_NAME, &size) != NULL);
    CHECK_INT(ERR_OK, wal_close(&w));
    CHECK_TRUE(disk_bytes(&d, SECOND_NAME, &size) == NULL);
    w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(ERR_OK, wal_prepare(w));
    struct disk crashed;
    disk_copy(&crashed, &d);
    close_well(&w, &d);
    CHECK_TRUE(disk_bytes(&crashed, SECOND_NAME, &size) != NULL);
    w = kit_open(&crashed, WAL_CLEAN);
    CHECK_TRUE(disk_bytes(&crashed, SECOND_NAME, &size) == NULL);
    CHECK_INT(1, kit_read(w, 0).count);
    close_well(&w, &crashed);
}

TEST(what_does_not_follow_or_is_too_long_is_not_taken)
{
    struct disk d;
    uint8_t *bytes = calloc(1, WAL_PAYLOAD_BYTES_MAX + 1);

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 2);
    uint64_t last = wal_last(w, 0);
    const struct wal_record bad[] = {
        { .type = 1, .first = last + 1, .last = last + 1, .prev = last - 1 },
        { .type = 1, .first = last + 1, .last = last + 1, .prev = last + 1 },
        { .type = 1, .first = last + 2, .last = last + 1, .prev = last },
        { .type = 0, .first = last + 1, .last = last + 1, .prev = last },
        { .group = 1, .type = 1, .first = 1, .last = 1 },
        { .type = 1, .first = last + 1, .last = last + 1, .prev = last, .payload = bytes_of(bytes, 4096) },
        { .type = 1,
          .first = last + 1,
          .last = last + 1,
          .prev = last,
          .payload = bytes_of(bytes, WAL_PAYLOAD_BYTES_MAX + 1) },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(ERR_RANGE, wal_append(w, &bad[i]));
    CHECK_INT(last, wal_last(w, 0));
    kit_write(w, 1);
    close_well(&w, &d);
    free(bytes);
}

TEST(a_full_batch_asks_for_a_sync)
{
    struct disk d;
    enum err rc = ERR_OK;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    while (rc == ERR_OK) rc = kit_append(w);
    CHECK_INT(ERR_AGAIN, rc);
    uint64_t last = wal_last(w, 0);
    CHECK_INT(ERR_OK, wal_sync(w));
    CHECK_INT(ERR_OK, kit_append(w));
    CHECK_INT(ERR_OK, wal_sync(w));
    CHECK_TRUE(kit_read(w, 0).last > last);
    close_well(&w, &d);
}

TEST(the_longest_record_is_kept)
{
    struct disk d;
    struct wal_conf conf;
    struct wal_report report;
    struct wal *w;
    uint8_t *bytes = malloc(WAL_PAYLOAD_BYTES_MAX);

    disk_init(&d, 1);
    conf = kit_conf(&d);
    conf.segment_bytes = 2 * WAL_RECORD_BYTES_MAX;
    memset(bytes, 'x', WAL_PAYLOAD_BYTES_MAX);
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    struct wal_record r = {
        .type = 1, .first = 1, .last = 1, .payload = bytes_of(bytes, WAL_PAYLOAD_BYTES_MAX)
    };
    CHECK_INT(ERR_OK, wal_append(w, &r));
    CHECK_INT(ERR_OK, wal_sync(w));
    CHECK_INT(ERR_OK, wal_close(&w));
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    CHECK_INT(1, report.records);
    close_well(&w, &d);
    free(bytes);
}

TEST(writes_that_are_cut_short_are_continued)
{
    struct disk d;

    disk_init(&d, 1);
    d.writes_short = true;
    struct wal *w = kit_open(&d, WAL_CLEAN);
    fill_segments(w, 3);
    CHECK_INT(wal_last(w, 0), kit_read(w, 0).last);
    close_well(&w, &d);
}

TEST(purge_removes_only_segments_that_are_wholly_below)
{
    struct disk d;
    size_t size;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    fill_segments(w, 4);
    CHECK_INT(ERR_OK, wal_purge(w, 0, 2));
    CHECK_INT(4, wal_stat(w).segments);
    CHECK_INT(ERR_OK, wal_purge(w, 0, wal_last(w, 0)));
    CHECK_INT(1, wal_stat(w).segments);
    CHECK_INT(KIT_SEGMENT_BYTES, wal_stat(w).disk_bytes);
    CHECK_TRUE(disk_bytes(&d, FIRST_NAME, &size) == NULL);
    CHECK_INT(ERR_OK, wal_purge(w, 0, wal_last(w, 0) + 100)); /* the last one stays: it knows the position */
    CHECK_INT(1, wal_stat(w).segments);
    uint64_t last = wal_last(w, 0);
    CHECK_INT(ERR_OK, wal_close(&w));
    w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(last, wal_last(w, 0));
    CHECK_INT(1, kit_read(w, last - 1).count);
    close_well(&w, &d);
}

TEST(each_position_survives_a_purge_below_it)
{
    for (uint64_t below = 1; below < 40; below++) {
        struct disk d;
        disk_init(&d, 1);
        struct wal *w = kit_open(&d, WAL_CLEAN);
        while (wal_last(w, 0) < 40) kit_write(w, 1);
        CHECK_INT(ERR_OK, wal_purge(w, 0, below));
        struct kit_seen s = kit_read(w, below - 1);
        CHECK_TRUE(s.first <= below && s.last == wal_last(w, 0));
        close_well(&w, &d);
    }
}

static struct wal_record of_group(uint16_t group, uint64_t n)
{
    static const uint8_t bytes[500];
    return (struct wal_record){ .group = group,
                                .type = 1,
                                .first = n,
                                .last = n,
                                .prev = n - 1,
                                .payload = bytes_of(bytes, sizeof bytes) };
}

static enum err count_group(void *arg, const struct wal_record *r)
{
    uint64_t *last = arg;
    CHECK_INT(*last + 1, r->first);
    *last = r->last;
    return ERR_OK;
}

TEST(groups_have_positions_of_their_own_and_a_segment_goes_when_none_needs_it)
{
    struct disk d;
    struct wal_conf conf;
    struct wal_report report;
    struct wal *w;
    uint64_t seen[2] = { 0, 0 };

    disk_init(&d, 1);
    conf = kit_conf(&d);
    conf.groups = 2;
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    for (uint64_t n = 1; n <= 40; n++) {
        struct wal_record a = of_group(0, n), b = of_group(1, n);
        CHECK_INT(ERR_OK, wal_append(w, &a));
        if (n % 2 == 0)
            CHECK_INT(ERR_OK, wal_append(w, &(struct wal_record){ .group = 1,
                                                                  .type = 2,
                                                                  .first = n / 2,
                                                                  .last = n / 2,
                                                                  .prev = n / 2 - 1,
                                                                  .payload = b.payload }));
        CHECK_INT(ERR_OK, wal_sync(w));
    }
    CHECK_INT(40, wal_last(w, 0));
    CHECK_INT(20, wal_last(w, 1));
    uint64_t segments = wal_stat(w).segments;
    CHECK_INT(ERR_OK, wal_purge(w, 0, 40));
    CHECK_INT(segments, wal_stat(w).segments);
    CHECK_INT(ERR_OK, wal_close(&w));
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    for (uint16_t g = 0; g < 2; g++) CHECK_INT(ERR_OK, wal_replay(w, g, 0, count_group, &seen[g]));
    CHECK_TRUE(seen[0] == 40 && seen[1] == 20);
    CHECK_INT(ERR_OK, wal_purge(w, 1, 20));
    CHECK_INT(segments, wal_stat(w).segments);
    CHECK_INT(ERR_OK, wal_purge(w, 0, 40));
    CHECK_INT(1, wal_stat(w).segments);
    close_well(&w, &d);
}

/* A cluster takes back what was not agreed on by a record that says so: the position after it is lower. */
TEST(positions_may_go_back_when_a_record_says_so)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    const struct wal_record log[] = { { .type = 1, .first = 1, .last = 9 },
                                      { .type = 2, .first = 4, .last = 4, .prev = 9 },
                                      { .type = 1, .first = 5, .last = 6, .prev = 4 } };
    for (size_t i = 0; i < 3; i++) CHECK_INT(ERR_OK, wal_append(w, &log[i]));
    CHECK_INT(ERR_OK, wal_sync(w));
    CHECK_INT(ERR_OK, wal_close(&w));
    w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(6, wal_last(w, 0));
    close_well(&w, &d);
}

TEST(without_room_nothing_of_a_batch_is_written_and_it_goes_on_when_there_is_room)
{
    for (int discards = 0; discards < 2; discards++) {
        struct disk d;
        enum err rc = ERR_OK;
        disk_init(&d, 1);
        struct wal *w = kit_open(&d, WAL_CLEAN);
        kit_write(w, 1);
        d.room = KIT_SEGMENT_BYTES + 1000;
        uint64_t last = wal_last(w, 0);
        while (rc == ERR_OK) {
            last = wal_last(w, 0);
            CHECK_INT(ERR_OK, kit_append(w));
            rc = wal_sync(w);
        }
        CHECK_INT(ERR_FULL, rc);
        CHECK_TRUE(strstr(wal_error(w), strerror(ENOSPC)) != NULL);
        CHECK_INT(ERR_FULL, wal_sync(w));
        CHECK_INT(ERR_FULL, wal_prepare(w));
        CHECK_TRUE(strstr(wal_upkeep_error(w), SECOND_NAME) != NULL);
        size_t size;
        CHECK_TRUE(disk_bytes(&d, SECOND_NAME, &size) == NULL);
        CHECK_INT(last, kit_read(w, 0).last);
        if (discards == 1) wal_discard(w);
        if (discards == 1) CHECK_INT(last, wal_last(w, 0));
        d.room = 0;
        CHECK_INT(ERR_OK, wal_sync(w));
        kit_write(w, 2);
        CHECK_INT(wal_last(w, 0), kit_read(w, 0).last);
        close_well(&w, &d);
    }
}

/* Each call of a fixed story fails in turn, once with each error: whatever was promised is there afterwards.
 */
static bool story(struct disk *d, uint64_t *promised)
{
    struct wal_conf conf = kit_conf(d);
    struct wal_report report;
    struct wal *w;
    bool failed = false;

    *promised = 0;
    for (int life = 0; life < 2 && !failed; life++) {
        failed = wal_open(&w, &conf, &report) != ERR_OK;
        if (failed) CHECK_TRUE(report.verdict == WAL_FAILED && report.text[0] != '\0');
        for (int i = 0; i < 12 && !failed; i++) {
            if (i % 4 == 0) failed = wal_prepare(w) != ERR_OK;
            CHECK_INT(ERR_OK, kit_append(w));
            if (!failed) failed = wal_sync(w) != ERR_OK;
            if (!failed) *promised = wal_last(w, 0);
            if (failed) CHECK_TRUE(wal_error(w)[0] != '\0' || wal_upkeep_error(w)[0] != '\0');
        }
        if (!failed && life == 1) failed = wal_purge(w, 0, 3) != ERR_OK;
        wal_close(&w);
    }
    return failed;
}

static void fail_each_call(int failure, enum disk_call calls)
{
    uint64_t promised = 0;
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        struct disk d;
        disk_init(&d, n);
        d.failing = calls;
        d.failure = failure;
        d.countdown = n;
        d.fails_for_good = n % 2 == 0;
        failed = story(&d, &promised);
        d.fails_for_good = false;
        disk_lose_power(&d);
        struct wal_conf conf = kit_conf(&d);
        struct wal_report report;
        struct wal *w = NULL;
        CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
        CHECK_TRUE(wal_last(w, 0) >= promised);
        if (promised > 0) CHECK_TRUE(kit_read(w, promised - 1).count > 0);
        kit_write(w, 20);
        close_well(&w, &d);
        CHECK_TRUE(n < 1000);
    }
    CHECK_TRUE(promised > 0);
}

TEST(whichever_call_fails_what_was_promised_survives)
{
    fail_each_call(EIO, DISK_ANY);
    fail_each_call(EIO, DISK_WRITE);
    fail_each_call(EIO, DISK_FSYNC);
    fail_each_call(ENOSPC, DISK_ANY);
}

TEST(after_a_failed_write_or_sync_nothing_more_is_taken)
{
    static const enum disk_call calls[] = { DISK_WRITE, DISK_FSYNC };

    for (int i = 0; i < 2; i++) {
        struct disk d;
        disk_init(&d, 1);
        struct wal *w = kit_open(&d, WAL_CLEAN);
        kit_write(w, 1);
        CHECK_INT(ERR_OK, kit_append(w));
        d.failing = calls[i];
        d.failure = EIO;
        d.countdown = 1;
        CHECK_INT(ERR_SYS, wal_sync(w));
        CHECK_TRUE(strstr(wal_error(w), "memory/" FIRST_NAME) != NULL);
        CHECK_TRUE(strstr(wal_error(w), strerror(EIO)) != NULL);
        unsigned syncs = d.syncs[DISK_SYNC_BATCH];
        CHECK_INT(ERR_SYS, wal_sync(w));
        CHECK_INT(ERR_SYS, wal_close(&w));
        CHECK_INT(syncs, d.syncs[DISK_SYNC_BATCH]);
        disk_fini(&d);
    }
}

TEST(a_sync_that_finds_no_room_has_failed_for_good)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 1);
    CHECK_INT(ERR_OK, kit_append(w));
    d.failing = DISK_FSYNC;
    d.failure = ENOSPC;
    d.countdown = 1;
    CHECK_INT(ERR_SYS, wal_sync(w));
    CHECK_INT(ERR_SYS, wal_sync(w));
    CHECK_INT(ERR_SYS, wal_close(&w));
    disk_fini(&d);
}

TEST(a_file_system_without_reservation_will_do)
{
    struct disk d;

    disk_init(&d, 1);
    d.failing = DISK_RESERVE;
    d.failure = EOPNOTSUPP;
    d.countdown = 1;
    d.fails_for_good = true;
    struct wal *w = kit_open(&d, WAL_CLEAN);
    fill_segments(w, 3);
    close_well(&w, &d);
}

TEST(a_directory_that_cannot_be_written_is_named)
{
    struct disk d;
    struct wal_conf conf;
    struct wal_report report;
    struct wal *w;

    disk_init(&d, 1);
    conf = kit_conf(&d);
    d.failing = DISK_OPEN;
    d.failure = EROFS;
    d.countdown = 2; /* after the directory itself */
    CHECK_INT(ERR_SYS, wal_open(&w, &conf, &report));
    CHECK_TRUE(w == NULL);
    CHECK_INT(WAL_FAILED, report.verdict);
    CHECK_TRUE(strstr(report.text, "cannot create memory/lock") != NULL);
    disk_fini(&d);
}

TEST(a_wrong_size_or_number_of_groups_is_refused)
{
    struct disk d;
    struct wal_report report;
    struct wal *w;

    disk_init(&d, 1);
    struct wal_conf small = kit_conf(&d), large = kit_conf(&d), many = kit_conf(&d);
    small.segment_bytes = 8191;
    large.segment_bytes = (uint32_t)WAL_SEGMENT_BYTES_MAX + 1;
    many.groups = WAL_GROUPS_MAX + 1;
    CHECK_INT(ERR_RANGE, wal_open(&w, &small, &report));
    CHECK_INT(ERR_RANGE, wal_open(&w, &large, &report));
    CHECK_INT(ERR_RANGE, wal_open(&w, &many, &report));
    disk_fini(&d);
}

/* --- when there is no memory: the allocation that is counted down to 0 fails */

static int allocations_left = -1;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);

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

/* --- on the system's disk */

struct place {
    char dir[64];
    struct wal_conf conf;
};

static void place_make(struct place *p)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/longlink-wal-XXXXXX");
    CHECK_TRUE(mkdtemp(p->dir) != NULL);
    p->conf = (struct wal_conf){ .dir = p->dir, .segment_bytes = 64 * 1024, .node_id = KIT_NODE };
}

static void remove_name(void *arg, const char *name)
{
    const int *dir = arg;
    if (name[0] != '.') CHECK_INT(0, unlinkat(*dir, name, 0));
}

static void place_remove(struct place *p)
{
    int dir = open(p->dir, O_RDONLY | O_DIRECTORY);
    CHECK_INT(0, wal_io_system.list(NULL, dir, remove_name, &dir));
    close(dir);
    CHECK_INT(0, rmdir(p->dir));
}

static struct wal *place_open(struct place *p)
{
    struct wal_report report;
    struct wal *w = NULL;

    CHECK_INT(ERR_OK, wal_open(&w, &p->conf, &report));
    CHECK_INT(WAL_CLEAN, report.verdict);
    return w;
}

TEST(a_log_on_the_systems_disk_comes_back)
{
    struct place p;
    struct stat s;
    char path[128];

    place_make(&p);
    struct wal *w = place_open(&p);
    fill_segments(w, 3);
    uint64_t last = wal_last(w, 0);
    snprintf(path, sizeof path, "%s/" FIRST_NAME, p.dir);
    CHECK_INT(0, stat(path, &s));
    CHECK_INT(p.conf.segment_bytes, s.st_size);
    CHECK_INT(0600, s.st_mode & 0777);
    CHECK_TRUE((uint64_t)s.st_blocks * 512 >= p.conf.segment_bytes);
    CHECK_INT(ERR_OK, wal_close(&w));
    w = place_open(&p);
    CHECK_INT(last, kit_read(w, 0).last);
    CHECK_INT(ERR_OK, wal_purge(w, 0, last));
    CHECK_TRUE(stat(path, &s) != 0);
    CHECK_INT(ERR_OK, wal_close(&w));
    place_remove(&p);
}

TEST(a_second_broker_is_refused_and_told_the_process)
{
    struct place p;
    struct wal_report report;
    struct wal *second = NULL;
    char pid[64];

    place_make(&p);
    struct wal *w = place_open(&p);
    CHECK_INT(ERR_AGAIN, wal_open(&second, &p.conf, &report));
    CHECK_TRUE(second == NULL);
    CHECK_INT(WAL_LOCKED, report.verdict);
    snprintf(pid, sizeof pid, "is in use by process %ld:", (long)getpid());
    CHECK_TRUE(strstr(report.text, pid) != NULL);
    CHECK_TRUE(strstr(report.text, p.dir) != NULL);
    kit_write(w, 1);
    CHECK_INT(ERR_OK, wal_close(&w));
    second = place_open(&p);
    CHECK_INT(ERR_OK, wal_close(&second));
    place_remove(&p);
}

TEST(a_directory_that_is_not_there_is_named)
{
    struct wal_conf conf = { .dir = "/nonexistent/journal" };
    struct wal_report report;
    struct wal *w;

    CHECK_INT(ERR_SYS, wal_open(&w, &conf, &report));
    CHECK_TRUE(strstr(report.text, "/nonexistent/journal") != NULL);
}

struct upkeep {
    struct wal *w;
    unsigned rounds;
};

static void keep_up(void *arg)
{
    struct upkeep *u = arg;
    for (unsigned i = 0; i < u->rounds; i++) {
        CHECK_INT(ERR_OK, wal_prepare(u->w));
        struct wal_stat stat = wal_stat(u->w);
        CHECK_INT(ERR_OK, wal_purge(u->w, 0, stat.appends / 2));
    }
}

TEST(another_thread_prepares_and_purges_while_records_are_written)
{
    struct place p;
    struct thread t;

    place_make(&p);
    struct wal *w = place_open(&p);
    struct upkeep u = { w, 200 };
    CHECK_INT(ERR_OK, thread_start(&t, "upkeep", keep_up, &u));
    for (int i = 0; i < 300; i++) kit_write(w, 4);
    thread_join(&t);
    uint64_t last = wal_last(w, 0);
    CHECK_INT(last, kit_read(w, last / 2).last);
    CHECK_INT(ERR_OK, wal_close(&w));
    w = place_open(&p);
    CHECK_INT(last, kit_read(w, last / 2).last);
    CHECK_INT(ERR_OK, wal_close(&w));
    place_remove(&p);
}

TEST(without_memory_it_is_not_opened_and_nothing_is_harmed)
{
    struct place p;
    struct wal_report report;
    struct wal *w;
    enum err rc = ERR_NOMEM;

    place_make(&p);
    w = place_open(&p);
    fill_segments(w, 3);
    uint64_t last = wal_last(w, 0);
    CHECK_INT(ERR_OK, wal_close(&w));
    for (int n = 0; rc == ERR_NOMEM; n++) {
        allocations_left = n;
        rc = wal_open(&w, &p.conf, &report);
        if (rc == ERR_NOMEM) CHECK_TRUE(w == NULL && report.text[0] != '\0');
    }
    allocations_left = -1;
    CHECK_INT(ERR_OK, rc);
    CHECK_INT(last, kit_read(w, 0).last);
    CHECK_INT(ERR_OK, wal_close(&w));
    place_remove(&p);
}

TEST(a_batch_that_found_no_memory_is_written_when_there_is_some)
{
    struct place p;

    place_make(&p);
    struct wal *w = place_open(&p);
    CHECK_INT(ERR_OK, kit_append(w));
    allocations_left = 0; /* the segment that it needs */
    CHECK_INT(ERR_NOMEM, wal_sync(w));
    allocations_left = -1;
    CHECK_INT(ERR_OK, wal_sync(w));
    kit_write(w, 3);
    uint64_t last = wal_last(w, 0);
    CHECK_INT(ERR_OK, wal_close(&w));
    w = place_open(&p);
    CHECK_INT(last, kit_read(w, 0).last);
    CHECK_INT(ERR_OK, wal_close(&w));
    place_remove(&p);
}
