/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/thread.h"
#include "unit/wal_kit.h"
#include "wal/wal_reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wal_reader *read_by(struct wal *w)
{
    struct wal_reader *r;
    CHECK_INT(ERR_OK, wal_reader_open(&r, w));
    return r;
}

static void close_all(struct wal_reader **r, struct wal **w, struct disk *d)
{
    wal_reader_close(r);
    CHECK_INT(ERR_OK, wal_close(w));
    disk_fini(d);
}

static struct kit_seen see(struct wal_reader *r, uint64_t after)
{
    struct kit_seen s = { .last = after };
    CHECK_INT(ERR_OK, wal_read(r, 0, after, kit_see, &s));
    CHECK_TRUE(!s.is_wrong);
    return s;
}

TEST(what_a_sync_has_ended_with_is_seen_and_a_batch_that_waits_is_not)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    struct wal_reader *r = read_by(w);
    CHECK_INT(0, see(r, 0).count);
    uint64_t last = 0;
    for (int i = 0; i < 200; i++) {
        CHECK_INT(ERR_OK, kit_append(w));
        CHECK_INT(last, see(r, 0).last);
        CHECK_INT(ERR_OK, wal_sync(w));
        CHECK_INT(1, see(r, last).count);
        last = wal_last(w, 0);
        CHECK_INT(last, see(r, 0).last);
    }
    CHECK_TRUE(wal_stat(w).segments > 3);
    close_all(&r, &w, &d);
}

TEST(reading_begins_with_the_record_that_holds_the_next_position)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 100);
    struct wal_reader *r = read_by(w);
    uint64_t last = wal_last(w, 0);
    for (uint64_t after = last; after-- > 0;) {
        struct kit_seen s = see(r, after);
        CHECK_TRUE(s.first <= after + 1 && s.first + kit_span(s.first) > after);
        CHECK_INT(last, s.last);
    }
    close_all(&r, &w, &d);
}

struct some {
    struct kit_seen seen;
    unsigned wanted;
};

static enum err take_some(void *arg, const struct wal_record *record)
{
    struct some *s = arg;
    return s->seen.count == s->wanted ? ERR_AGAIN : kit_see(&s->seen, record);
}

/* As many as learners that catch up, and more than there are places. */
TEST(many_who_each_take_a_little_at_a_time_see_all_of_it)
{
    struct disk d;
    struct some all[WAL_READER_PLACES + 2];
    bool is_more = true;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 150);
    struct wal_reader *r = read_by(w);
    memset(all, 0, sizeof all);
    while (is_more) {
        is_more = false;
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
            all[i].wanted = all[i].seen.count + 1 + i;
            is_more |= wal_read(r, 0, all[i].seen.last, take_some, &all[i]) == ERR_AGAIN;
            CHECK_TRUE(!all[i].seen.is_wrong);
        }
    }
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) CHECK_INT(150, all[i].seen.count);
    close_all(&r, &w, &d);
}

TEST(what_was_purged_is_missing_and_the_first_that_is_there_says_so)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 100);
    struct wal_reader *r = read_by(w);
    see(r, 0); /* it has a file open */
    CHECK_INT(ERR_OK, wal_purge(w, 0, 60));
    struct kit_seen s = see(r, 0);
    CHECK_TRUE(s.first > 1 && s.first <= 60);
    CHECK_INT(wal_last(w, 0), s.last);
    close_all(&r, &w, &d);
}

TEST(a_record_that_went_bad_since_is_an_error_with_the_name_of_its_file)
{
    struct disk d;
    size_t size;
    struct kit_seen s = { 0 };

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 3);
    struct wal_reader *r = read_by(w);
    disk_bytes(&d, "0000000000000001.wal", &size)[WAL_HEADER_BYTES + 20] ^= 1;
    CHECK_INT(ERR_SYS, wal_read(r, 0, 0, kit_see, &s));
    CHECK_INT(0, s.count);
    CHECK_TRUE(strstr(wal_reader_error(r), "0000000000000001.wal") != NULL);
    close_all(&r, &w, &d);
}

TEST(a_log_that_was_opened_again_is_read_from_its_beginning)
{
    struct disk d;

    disk_init(&d, 1);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 40);
    CHECK_INT(ERR_OK, wal_close(&w));
    w = kit_open(&d, WAL_CLEAN);
    struct wal_reader *r = read_by(w);
    CHECK_INT(40, see(r, 0).count);
    kit_write(w, 40);
    CHECK_INT(80, see(r, 0).count);
    close_all(&r, &w, &d);
}

/* --- on a real disk, by two threads */

enum { THREADED_RECORDS = 3000 };

/* Each payload is its position, again and again. */
enum { WORDS = 20 };

static void write_them(void *arg)
{
    struct wal *w = arg;
    uint64_t words[WORDS];

    for (uint64_t i = 1; i <= THREADED_RECORDS; i++) {
        for (int j = 0; j < WORDS; j++) words[j] = i;
        const struct wal_record r = {
            .type = 1, .first = i, .last = i, .prev = i - 1, .payload = bytes_of(words, sizeof words)
        };
        CHECK(wal_append(w, &r) == ERR_OK);
        if (i % 7 == 6 || i == THREADED_RECORDS) CHECK(wal_sync(w) == ERR_OK);
    }
}

static enum err see_words(void *arg, const struct wal_record *r)
{
    uint64_t *last = arg, words[WORDS];

    if (r->first != *last + 1 || r->payload.len != sizeof words) return ERR_RANGE;
    memcpy(words, r->payload.at, sizeof words);
    for (int j = 0; j < WORDS; j++)
        if (words[j] != r->first) return ERR_RANGE;
    *last = r->first;
    return ERR_OK;
}

static void remove_dir(const char *dir)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", dir);
    CHECK_INT(0, system(command));
}

TEST(one_thread_reads_what_another_writes)
{
    char dir[] = "/tmp/longlink-wal.XXXXXX";
    struct wal_report report;
    struct wal *w;
    struct thread writer;
    uint64_t last = 0;

    CHECK_TRUE(mkdtemp(dir) != NULL);
    struct wal_conf conf = { .dir = dir, .segment_bytes = 256 * 1024, .durability = WAL_OS };
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    struct wal_reader *r = read_by(w);
    CHECK_INT(ERR_OK, thread_start(&writer, "writer", write_them, w));
    while (last < THREADED_RECORDS) CHECK_INT(ERR_OK, wal_read(r, 0, last, see_words, &last));
    thread_join(&writer);
    CHECK_TRUE(wal_stat(w).segments > 2);
    wal_reader_close(&r);
    CHECK_INT(ERR_OK, wal_close(&w));
    remove_dir(dir);
}
