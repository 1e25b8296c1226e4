/* SPDX-License-Identifier: Apache-2.0 */
/* A log that lives through crashes of all kinds, beside a model of what it has promised. Everything is drawn
 * from a seed; what is wrong is said with it. */
#include "unit/wal_kit.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 60, SEEDS = 400, SEARCH = 4000 };

struct run {
    struct disk disk;
    struct wal *w;
    enum wal_durability durability;
    bool closes;       /* may it be closed in good order? */
    uint64_t given;    /* position: the last that was handed over, in this life or one before */
    uint64_t promised; /* survives a loss of power */
    uint64_t written;  /* survives the end of the process */
    uint64_t floor;    /* what is below may be gone */
    unsigned torn, purged, failed, cuts;
    const char *wrong;
};

static void check_recovered(struct run *r, uint64_t must)
{
    struct kit_seen s = { .last = 0 };
    uint64_t after = r->floor > 0 ? r->floor - 1 : 0;

    if (wal_replay(r->w, 0, after, kit_see, &s) != ERR_OK) r->wrong = "the beginning is missing";
    if (s.is_wrong) r->wrong = "a record is not what was appended, or one is missing";
    if (s.count > 0 && s.first > after + 1) r->wrong = "the first record is missing";
    if (s.count == 0 && must > after) r->wrong = "all records are gone";
    if (s.count > 0 && s.last < must) r->wrong = "a promised record is gone";
    if (s.last > r->given) r->wrong = "a record that was never appended";
    r->given = r->promised = r->written = wal_last(r->w, 0);
}

/* Until it opens: the first tries may fail by a fault. */
static void reopen(struct run *r, uint64_t must)
{
    struct wal_conf conf = kit_conf(&r->disk);
    struct wal_report report;

    conf.durability = r->durability;
    enum err rc = wal_open(&r->w, &conf, &report);
    if (rc != ERR_OK && report.verdict == WAL_FAILED && r->disk.failure != 0) {
        r->failed++;
        r->disk.failure = 0;
        disk_end_process(&r->disk);
        if (disk_draw(&r->disk, 2) == 0) {
            disk_lose_power(&r->disk);
            must = r->promised;
        }
        rc = wal_open(&r->w, &conf, &report);
    }
    r->disk.failure = 0;
    r->disk.countdown = 0;
    if (rc != ERR_OK) {
        r->wrong = "it was refused after a crash";
        if (r->disk.swallowed == DISK_SYNC_NONE) print_error("%s\n", report.text);
        return;
    }
    r->torn += report.verdict == WAL_TORN;
    check_recovered(r, must);
}

static void arm(struct run *r)
{
    static const enum disk_call calls[] = { DISK_ANY,  DISK_WRITE,  DISK_FSYNC,
                                            DISK_OPEN, DISK_RENAME, DISK_UNLINK };

    r->disk.failing = calls[disk_draw(&r->disk, sizeof calls / sizeof *calls)];
    r->disk.failure = disk_draw(&r->disk, 3) == 0 ? ENOSPC : EIO;
    r->disk.countdown = 1 + (unsigned)disk_draw(&r->disk, 8);
}

/* The memory of the process is lost with it; closing only frees ours. */
static void crash(struct run *r)
{
    bool power = disk_draw(&r->disk, 2) == 0;

    r->cuts++;
    r->disk.failing = DISK_FSYNC;
    r->disk.failure = EIO;
    r->disk.countdown = 1; /* a close must not sync any more */
    wal_close(&r->w);
    disk_end_process(&r->disk);
    if (power) disk_lose_power(&r->disk);
    r->disk.failure = 0;
    if (disk_draw(&r->disk, 4) == 0) arm(r);
    reopen(r, power ? r->promised : r->written);
}

static void close_in_order(struct run *r)
{
    uint64_t before = r->written;

    if (!r->closes) return;
    if (wal_close(&r->w) == ERR_OK) r->promised = before;
    disk_end_process(&r->disk);
    if (disk_draw(&r->disk, 2) == 0) disk_lose_power(&r->disk);
    reopen(r, r->promised);
}

static void write_some(struct run *r)
{
    unsigned count = 1 + (unsigned)disk_draw(&r->disk, 4);

    for (unsigned i = 0; i < count; i++)
        if (kit_append(r->w) != ERR_OK) break;
    if (wal_last(r->w, 0) > r->given) r->given = wal_last(r->w, 0);
    enum err rc = wal_sync(r->w);
    if (rc == ERR_FULL) {
        if (disk_draw(&r->disk, 2) == 0) wal_discard(r->w);
        r->disk.countdown = 0;
        rc = wal_sync(r->w);
    }
    if (rc != ERR_OK) {
        r->failed++;
        crash(r);
        return;
    }
    r->written = wal_last(r->w, 0);
    if (r->durability == WAL_DISK) r->promised = r->written;
}

static void purge_some(struct run *r)
{
    uint64_t safe = r->promised;

    if (safe < 2) return;
    uint64_t below = r->floor + disk_draw(&r->disk, safe - r->floor + 1);
    if (below > r->floor) r->floor = below;
    uint64_t before = wal_stat(r->w).segments;
    if (wal_purge(r->w, 0, r->floor) != ERR_OK) {
        r->failed++;
        crash(r);
        return;
    }
    r->purged += wal_stat(r->w).segments < before;
}

/* The power goes while a batch is on its way to the disk. */
static void crash_in_sync(struct run *r)
{
    r->disk.failing = DISK_FSYNC;
    r->disk.failure = EIO;
    r->disk.countdown = 1;
    r->disk.is_lost_in_sync = true;
    write_some(r);
    r->disk.is_lost_in_sync = false;
}

static void step(struct run *r)
{
    unsigned what = (unsigned)disk_draw(&r->disk, 32);

    bool fails = what >= 24 && what < 26 && wal_prepare(r->w) != ERR_OK;

    if (what < 20)
        write_some(r);
    else if (what < 22)
        crash_in_sync(r);
    else if (what < 24)
        purge_some(r);
    else if (what == 26)
        arm(r);
    else if (what == 27)
        close_in_order(r);
    else if (what > 28 || fails)
        crash(r);
}

static void run(struct run *r, uint64_t seed, enum disk_sync swallowed)
{
    disk_init(&r->disk, seed);
    r->disk.writes_short = seed % 3 == 0;
    r->disk.swallowed = swallowed;
    r->wrong = NULL;
    r->given = r->promised = r->written = r->floor = 0;
    reopen(r, 0);
    for (unsigned i = 0; i < STEPS && r->wrong == NULL; i++) step(r);
    wal_close(&r->w);
    disk_fini(&r->disk);
}

static void run_all(struct run *r)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(r, seed, DISK_SYNC_NONE);
        if (r->wrong != NULL) print_error("seed %llu: %s\n", (unsigned long long)seed, r->wrong);
        CHECK_TRUE(r->wrong == NULL);
    }
    print_message("%u crashes, %u torn, %u faults, %u purges\n", r->cuts, r->torn, r->failed, r->purged);
    /* It went where it should. */
    CHECK_TRUE(r->torn > SEEDS / 4);
    CHECK_TRUE(r->purged > SEEDS / 4);
    CHECK_TRUE(r->failed > SEEDS);
    CHECK_TRUE(r->cuts > SEEDS);
}

TEST(what_is_synced_survives_any_crash_in_order_and_is_never_refused)
{
    run_all(&(struct run){ .durability = WAL_DISK });
    run_all(&(struct run){ .durability = WAL_DISK, .closes = true });
}

TEST(what_is_written_survives_the_end_of_the_process_and_a_loss_of_power_leaves_a_beginning)
{
    run_all(&(struct run){ .durability = WAL_OS });
    run_all(&(struct run){ .durability = WAL_OS, .closes = true });
}

/* The same runs on a disk that ignores one of the syncs must fail: so each is needed, and the runs see it. */
static void check_needed(enum disk_sync what, enum wal_durability durability, const char *name)
{
    struct run r = { .durability = durability };

    for (uint64_t seed = 1; seed <= SEARCH; seed++) {
        run(&r, seed, what);
        if (r.wrong == NULL) continue;
        print_message("without %s: seed %llu: %s\n", name, (unsigned long long)seed, r.wrong);
        return;
    }
    print_error("nothing was missed without %s\n", name);
    CHECK_TRUE(false);
}

TEST(without_the_sync_of_a_batch_promised_records_are_gone)
{
    check_needed(DISK_SYNC_BATCH, WAL_DISK, "the sync of a batch");
}

TEST(without_the_sync_of_the_header_a_crash_looks_like_damage)
{
    check_needed(DISK_SYNC_HEADER, WAL_DISK, "the sync of a header");
}

TEST(without_the_sync_of_the_directory_a_new_segment_is_gone)
{
    check_needed(DISK_SYNC_MADE_DIR, WAL_DISK, "the sync of the directory for a new segment");
}

TEST(without_the_sync_of_the_copy_what_recovery_showed_is_gone)
{
    check_needed(DISK_SYNC_COPY, WAL_OS, "the sync of the copy");
}

TEST(without_the_sync_of_the_directory_the_copy_is_gone)
{
    check_needed(DISK_SYNC_COPY_DIR, WAL_OS, "the sync of the directory for the copy");
}

TEST(without_the_sync_of_the_directory_removed_segments_leave_a_gap)
{
    check_needed(DISK_SYNC_REMOVE_DIR, WAL_DISK, "the sync of the directory for a removed segment");
}

TEST(without_the_sync_of_a_segment_that_is_left_a_crash_looks_like_damage)
{
    check_needed(DISK_SYNC_BATCH, WAL_OS, "the sync of a segment that is left");
}

/* This one is for time, not for safety: the sync of the first batch would write the zeros of a whole segment.
 */
static size_t waited_bytes(enum disk_sync swallowed)
{
    struct disk d;

    disk_init(&d, 1);
    d.swallowed = swallowed;
    struct wal *w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(ERR_OK, wal_prepare(w));
    kit_write(w, 3);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
    return d.waited_bytes_max;
}

TEST(a_sync_of_records_never_writes_the_zeros_of_the_segment)
{
    CHECK_INT(WAL_HEADER_BYTES, waited_bytes(DISK_SYNC_NONE));
    CHECK_TRUE(waited_bytes(DISK_SYNC_MADE) > WAL_HEADER_BYTES);
}

static unsigned after_close(enum disk_sync swallowed)
{
    struct disk d;
    struct wal_conf conf;
    struct wal_report report;
    struct wal *w;

    disk_init(&d, 3);
    conf = kit_conf(&d);
    conf.durability = WAL_OS;
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    kit_write(w, 4);
    d.swallowed = swallowed;
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_lose_power(&d);
    d.swallowed = DISK_SYNC_NONE;
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    unsigned count = kit_read(w, 0).count;
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
    return count;
}

TEST(a_log_closed_in_good_order_survives_a_loss_of_power)
{
    CHECK_INT(4, after_close(DISK_SYNC_NONE));
    CHECK_TRUE(after_close(DISK_SYNC_BATCH) < 4);
}

/* The cache shows records that a failed sync did not write, and no later sync of that file would write them.
 */
TEST(what_recovery_shows_after_a_failed_sync_is_on_the_disk)
{
    struct disk d;

    disk_init(&d, 4);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 1);
    d.failing = DISK_FSYNC;
    d.failure = EIO;
    d.countdown = 1;
    CHECK_INT(ERR_OK, kit_append(w));
    CHECK_INT(ERR_SYS, wal_sync(w));
    CHECK_INT(ERR_SYS, wal_sync(w)); /* not tried again */
    CHECK_INT(ERR_SYS, wal_close(&w));
    disk_end_process(&d);

    w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(2, kit_read(w, 0).count);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_lose_power(&d);
    w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(2, kit_read(w, 0).count);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

static void open_twice(uint64_t seed)
{
    struct disk d;
    struct wal_conf conf;
    struct wal_report report;
    struct wal *w;

    disk_init(&d, seed);
    conf = kit_conf(&d);
    conf.durability = WAL_OS;
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    kit_write(w, 4);
    d.failing = DISK_FSYNC;
    d.failure = EIO;
    d.countdown = 1;
    CHECK_INT(ERR_SYS, wal_close(&w)); /* only written */
    disk_end_process(&d);
    d.countdown = 2; /* of the copy, of the directory */
    CHECK_INT(ERR_SYS, wal_open(&w, &conf, &report));
    disk_end_process(&d);
    w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(4, kit_read(w, 0).count);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_lose_power(&d);
    w = kit_open(&d, WAL_CLEAN);
    CHECK_INT(4, kit_read(w, 0).count);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

TEST(a_copy_whose_name_was_not_durable_is_made_so_by_the_next_start)
{
    for (uint64_t seed = 1; seed < 20; seed++) open_twice(seed);
}
