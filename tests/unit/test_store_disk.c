/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "store_sqlite/store_disk.h"
#include "wal/wal.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Records as another version, or a bug, may have left them: sound for the log, not for us. */

static void make_dir(char dir[32])
{
    snprintf(dir, 32, "/tmp/test_store_disk.XXXXXX");
    CHECK_TRUE(mkdtemp(dir) != NULL);
}

static void remove_dir(const char *dir)
{
    DIR *files = opendir(dir);
    CHECK_TRUE(files != NULL);
    for (const struct dirent *e = readdir(files); e != NULL; e = readdir(files))
        if (e->d_name[0] != '.') unlinkat(dirfd(files), e->d_name, 0);
    closedir(files);
    CHECK_INT(0, rmdir(dir));
}

static void put_record(const char *dir, uint64_t position, struct bytes payload)
{
    struct wal *w;
    struct wal_report report = { 0 };
    struct wal_conf conf = { .dir = dir, .durability = WAL_OS };
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    struct wal_record r = { .type = 1, .first = position, .last = position, .payload = payload };
    CHECK_INT(ERR_OK, wal_append(w, &r));
    CHECK_INT(ERR_OK, wal_sync(w));
    CHECK_INT(ERR_OK, wal_close(&w));
}

static enum err open_with(struct bytes payload, char text[STORE_DISK_TEXT_BYTES])
{
    char dir[32];
    struct store_disk *s;
    struct restore_sink restore = { 0 }; /* nothing is restored before all is well */
    make_dir(dir);
    put_record(dir, 4711, payload);
    struct store_disk_conf conf = { .dir = dir, .clock = &clock_system };
    enum err rc = store_disk_open(&s, &conf, &restore, text);
    CHECK_TRUE(s == NULL);
    CHECK_TRUE(strstr(text, dir) != NULL);
    CHECK_TRUE(strstr(text, "record 4711") != NULL);
    remove_dir(dir);
    return rc;
}

TEST(a_record_of_a_later_version_stops_the_start_and_says_so)
{
    uint8_t record[40] = { 200, 1 };
    char text[STORE_DISK_TEXT_BYTES];
    CHECK_INT(ERR_UNKNOWN, open_with(bytes_of(record, sizeof record), text));
    CHECK_TRUE(strstr(text, "newer longlinkd") != NULL);
}

TEST(a_record_that_is_none_stops_the_start_and_says_so)
{
    char text[STORE_DISK_TEXT_BYTES];
    CHECK_INT(ERR_SYNTAX, open_with(bytes_of("short", 5), text));
    CHECK_TRUE(strstr(text, "backup") != NULL);
}
