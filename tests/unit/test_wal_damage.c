/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/wal_kit.h"
#include <stdlib.h>
#include <string.h>

#define FIRST_NAME  "0000000000000001.wal"
#define SECOND_NAME "0000000000000002.wal"

enum { IN_LAST = 4 };

/* A log of two segments, each record synced by itself, and where those of the last one end. It was not
 * closed. */
struct sample {
    struct disk disk;
    unsigned count, in_last;
    size_t ends[IN_LAST];
};

static size_t used(struct disk *d, const char *name)
{
    size_t n = 0;
    const uint8_t *at = disk_bytes(d, name, &n);
    while (at != NULL && n > 0 && at[n - 1] == 0) n--;
    return n;
}

static void sample_make(struct sample *s)
{
    struct disk d;

    *s = (struct sample){ .count = 0 };
    disk_init(&d, 5);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    while (s->in_last < IN_LAST) {
        kit_write(w, 1);
        s->count++;
        size_t end = used(&d, SECOND_NAME);
        if (end > WAL_HEADER_BYTES) s->ends[s->in_last++] = end;
    }
    disk_copy(&s->disk, &d);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&d);
}

struct outcome {
    enum err rc;
    struct wal_report report;
    unsigned count; /* records, all as they were written, from the first on */
};

static struct outcome open_harmed(struct disk *d)
{
    struct wal_conf conf = kit_conf(d);
    struct outcome o = { .count = 0 };
    struct wal *w = NULL;

    o.rc = wal_open(&w, &conf, &o.report);
    if (o.rc != ERR_OK) {
        CHECK_TRUE(w == NULL);
        CHECK_TRUE(o.report.text[0] != '\0');
        return o;
    }
    struct kit_seen seen = kit_read(w, 0);
    CHECK_TRUE(seen.count == 0 || seen.first == 1);
    o.count = seen.count;
    kit_write(w, 1); /* it goes on */
    CHECK_INT(ERR_OK, wal_close(&w));
    return o;
}

static unsigned whole_before(const struct sample *s, size_t cut)
{
    unsigned n = s->count - s->in_last;
    for (unsigned i = 0; i < s->in_last; i++) n += s->ends[i] <= cut;
    return n;
}

TEST(a_log_cut_at_any_byte_has_the_records_before_the_cut)
{
    struct sample s;
    size_t end;

    sample_make(&s);
    end = s.ends[s.in_last - 1];
    for (size_t cut = 0; cut <= end; cut++) {
        struct disk d;
        disk_copy(&d, &s.disk);
        disk_resize(&d, SECOND_NAME, cut);
        struct outcome o = open_harmed(&d);
        CHECK_INT(ERR_OK, o.rc);
        CHECK_INT(whole_before(&s, cut), o.count);
        disk_fini(&d);
    }
    disk_fini(&s.disk);
}

TEST(a_log_that_ends_in_zeros_from_any_byte_on_has_the_records_before_them)
{
    struct sample s;
    size_t end, size;

    sample_make(&s);
    end = s.ends[s.in_last - 1];
    for (size_t cut = WAL_HEADER_BYTES; cut <= end; cut++) {
        struct disk d;
        disk_copy(&d, &s.disk);
        uint8_t *at = disk_bytes(&d, SECOND_NAME, &size);
        memset(at + cut, 0, size - cut);
        struct outcome o = open_harmed(&d);
        CHECK_INT(ERR_OK, o.rc);
        CHECK_INT(whole_before(&s, cut), o.count);
        disk_fini(&d);
    }
    disk_fini(&s.disk);
}

/* A flipped bit anywhere in the log is damage, or harmless because no record is there. */
static void flip_all(const char *name, size_t from, size_t to)
{
    struct sample s;

    sample_make(&s);
    for (size_t i = from; i < to; i++) {
        struct disk d;
        size_t size;
        disk_copy(&d, &s.disk);
        disk_bytes(&d, name, &size)[i] ^= (uint8_t)(1u << i * 5 % 8);
        bool in_use = i < used(&s.disk, name);
        struct outcome o = open_harmed(&d);
        if (in_use) CHECK_INT(WAL_DAMAGED, o.report.verdict);
        if (in_use) CHECK_TRUE(strstr(o.report.text, name) != NULL);
        if (o.rc == ERR_OK) CHECK_INT(s.count, o.count);
        disk_fini(&d);
    }
    disk_fini(&s.disk);
}

TEST(a_flipped_bit_in_a_segment_that_was_left_is_damage)
{
    flip_all(FIRST_NAME, 0, KIT_SEGMENT_BYTES);
}

TEST(a_flipped_bit_in_the_segment_in_use_is_damage_even_in_its_last_record)
{
    flip_all(SECOND_NAME, 0, KIT_SEGMENT_BYTES);
}

TEST(every_bit_of_the_last_record_counts)
{
    struct sample s;

    sample_make(&s);
    for (size_t bit = s.ends[IN_LAST - 2] * 8; bit < s.ends[IN_LAST - 1] * 8; bit++) {
        struct disk d;
        size_t size;
        disk_copy(&d, &s.disk);
        disk_bytes(&d, SECOND_NAME, &size)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_INT(WAL_DAMAGED, open_harmed(&d).report.verdict);
        disk_fini(&d);
    }
    disk_fini(&s.disk);
}

TEST(a_sector_that_is_lost_is_a_torn_end_only_if_nothing_was_written_after_its_sync)
{
    struct sample s;
    size_t size;

    sample_make(&s);
    for (size_t sector = 8; sector * 512 < s.ends[IN_LAST - 1]; sector++) {
        struct disk d;
        disk_copy(&d, &s.disk);
        size_t begin = sector * 512, last = s.ends[IN_LAST - 2];
        memset(disk_bytes(&d, SECOND_NAME, &size) + begin, 0, 512);
        struct outcome o = open_harmed(&d);
        if (begin < last && begin + 512 <= s.ends[IN_LAST - 1]) CHECK_INT(WAL_DAMAGED, o.report.verdict);
        if (begin >= last) CHECK_INT(WAL_TORN, o.report.verdict);
        if (begin >= last) CHECK_INT(s.count - 1, o.count);
        disk_fini(&d);
    }
    disk_fini(&s.disk);
}

TEST(damage_is_refused_and_nothing_is_changed)
{
    struct sample s;
    size_t size, size_after;

    sample_make(&s);
    disk_resize(&s.disk, "copy.tmp", 100);
    uint8_t *at = disk_bytes(&s.disk, FIRST_NAME, &size);
    at[5000] ^= 1;
    uint8_t *before = malloc(size);
    memcpy(before, at, size);
    for (int i = 0; i < 2; i++) {
        struct outcome o = open_harmed(&s.disk);
        CHECK_INT(ERR_SYNTAX, o.rc);
        CHECK_TRUE(strstr(o.report.text, "memory/" FIRST_NAME " is damaged at offset ") != NULL);
    }
    CHECK_TRUE(memcmp(before, disk_bytes(&s.disk, FIRST_NAME, &size_after), size) == 0);
    CHECK_INT(size, size_after);
    CHECK_TRUE(disk_bytes(&s.disk, "copy.tmp", &size) != NULL);
    free(before);
    disk_fini(&s.disk);
}

TEST(a_record_taken_out_of_a_batch_is_damage)
{
    struct disk d, harmed;
    size_t ends[3], size;

    disk_init(&d, 9);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    for (int i = 0; i < 3; i++) CHECK_INT(ERR_OK, kit_append(w));
    CHECK_INT(ERR_OK, wal_sync(w));
    disk_copy(&harmed, &d);
    CHECK_INT(ERR_OK, wal_close(&w));

    uint8_t *at = disk_bytes(&harmed, FIRST_NAME, &size);
    ends[2] = used(&harmed, FIRST_NAME);
    ends[0] = WAL_HEADER_BYTES + at[WAL_HEADER_BYTES] + ((size_t)at[WAL_HEADER_BYTES + 1] << 8);
    ends[1] = ends[0] + at[ends[0]] + ((size_t)at[ends[0] + 1] << 8);
    memmove(at + ends[0], at + ends[1], ends[2] - ends[1]);
    memset(at + ends[0] + (ends[2] - ends[1]), 0, ends[1] - ends[0]);
    struct outcome o = open_harmed(&harmed);
    CHECK_INT(WAL_DAMAGED, o.report.verdict);
    CHECK_TRUE(strstr(o.report.text, "it is not behind the record before") != NULL);
    disk_fini(&harmed);
    disk_fini(&d);
}

/* What recovery copied was durable: no crash takes it away any more. */
TEST(a_copied_segment_is_never_torn)
{
    struct sample s;
    size_t size;

    sample_make(&s);
    struct wal *w = kit_open(&s.disk, WAL_CLEAN);
    CHECK_INT(ERR_OK, wal_close(&w));
    CHECK_INT(s.ends[IN_LAST - 1], used(&s.disk, SECOND_NAME));
    for (size_t cut = WAL_HEADER_BYTES; cut < s.ends[IN_LAST - 1]; cut += 7) {
        struct disk zeros, shorter;
        disk_copy(&zeros, &s.disk);
        disk_copy(&shorter, &s.disk);
        memset(disk_bytes(&zeros, SECOND_NAME, &size) + cut, 0, s.ends[IN_LAST - 1] - cut);
        disk_resize(&shorter, SECOND_NAME, cut);
        CHECK_INT(WAL_DAMAGED, open_harmed(&zeros).report.verdict);
        CHECK_INT(WAL_DAMAGED, open_harmed(&shorter).report.verdict);
        disk_fini(&zeros);
        disk_fini(&shorter);
    }
    disk_fini(&s.disk);
}

TEST(a_missing_segment_is_damage)
{
    struct sample s;
    struct disk d;

    sample_make(&s);
    disk_copy(&d, &s.disk);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    while (disk_bytes(&d, "0000000000000004.wal", &(size_t){ 0 }) == NULL) kit_write(w, 1);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_remove(&d, SECOND_NAME);
    struct outcome o = open_harmed(&d);
    CHECK_INT(ERR_SYNTAX, o.rc);
    CHECK_TRUE(strstr(o.report.text, SECOND_NAME) != NULL);
    CHECK_TRUE(strstr(o.report.text, "the file is missing") != NULL);
    disk_fini(&d);
    disk_fini(&s.disk);
}

TEST(a_missing_beginning_is_found_by_who_needs_it)
{
    struct sample s;
    struct wal_conf conf;
    struct wal_report report;
    struct wal *w;
    struct kit_seen seen = { .count = 0 };

    sample_make(&s);
    disk_remove(&s.disk, FIRST_NAME);
    conf = kit_conf(&s.disk);
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    CHECK_INT(ERR_NOTFOUND, wal_replay(w, 0, 1, kit_see, &seen));
    CHECK_INT(0, seen.count);
    CHECK_TRUE(strstr(wal_error(w), "from 2 on") != NULL);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&s.disk);
}

static void check_foreign(struct disk *d, const struct wal_conf *conf, const char *text)
{
    struct wal_report report;
    struct wal *w;

    CHECK_INT(ERR_RANGE, wal_open(&w, conf, &report));
    CHECK_TRUE(w == NULL);
    CHECK_INT(WAL_FOREIGN, report.verdict);
    CHECK_TRUE(strstr(report.text, text) != NULL);
    CHECK_TRUE(!d->locked);
}

TEST(a_log_of_another_node_or_cluster_or_place_is_refused)
{
    struct sample s;
    size_t size;

    sample_make(&s);
    struct wal_conf conf = kit_conf(&s.disk);
    conf.node_id++;
    check_foreign(&s.disk, &conf, "of another node");
    conf = kit_conf(&s.disk);
    conf.cluster_id++;
    check_foreign(&s.disk, &conf, "of another cluster");

    conf = kit_conf(&s.disk);
    const uint8_t *from = disk_bytes(&s.disk, SECOND_NAME, &size);
    disk_resize(&s.disk, "0000000000000003.wal", size);
    memcpy(disk_bytes(&s.disk, "0000000000000003.wal", &size), from, size);
    check_foreign(&s.disk, &conf, "it was renamed");
    disk_fini(&s.disk);
}

TEST(files_of_others_are_left_alone)
{
    static const char *const names[] = { "messages.db", "00000000000000001.wal", "000000000000000G.wal",
                                         "0000000000000001.wa", "0000000000000001.wal~" };
    struct sample s;
    size_t size;

    sample_make(&s);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) disk_resize(&s.disk, names[i], 10);
    CHECK_INT(s.count, open_harmed(&s.disk).count);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_TRUE(disk_bytes(&s.disk, names[i], &size) != NULL);
    disk_fini(&s.disk);
}

/* The log's own bytes, as the payload of a record that a crash tears: they must not pass for records. */
TEST(a_payload_cannot_pose_as_a_record)
{
    struct sample s;
    struct disk d;
    size_t size, at;

    sample_make(&s);
    disk_init(&d, 8);
    struct wal *w = kit_open(&d, WAL_CLEAN);
    kit_write(w, 1);
    at = used(&d, FIRST_NAME);
    struct wal_record r = { .type = 1, .first = 50, .last = 50, .prev = 1 };
    const uint8_t *other = disk_bytes(&s.disk, SECOND_NAME, &size) + s.ends[0];
    r.payload = bytes_of(other, s.ends[IN_LAST - 1] - s.ends[0]);
    CHECK_INT(ERR_OK, wal_append(w, &r));
    CHECK_INT(ERR_OK, wal_sync(w));
    struct disk torn;
    disk_copy(&torn, &d);
    uint8_t *bytes = disk_bytes(&torn, FIRST_NAME, &size);
    memset(bytes + used(&d, FIRST_NAME) - 20, 0, 20);
    CHECK_TRUE(at < used(&torn, FIRST_NAME));
    struct outcome o = open_harmed(&torn);
    CHECK_INT(WAL_TORN, o.report.verdict);
    CHECK_INT(1, o.count);
    CHECK_INT(ERR_OK, wal_close(&w));
    disk_fini(&torn);
    disk_fini(&d);
    disk_fini(&s.disk);
}
