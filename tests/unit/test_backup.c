/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "store_sqlite/backup.h"
#include "store_sqlite/db.h"
#include "wal/wal.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A store made by hand, with any positions, and places for its backup and what is restored of it. */

enum { PATH_BYTES = 128, SEGMENT_BYTES = 8192, NOBODY = 65534 };

struct rig {
    char top[48], store[PATH_BYTES], out[PATH_BYTES], back[PATH_BYTES];
    struct backup_report report;
};

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void join(char to[PATH_BYTES], const char *dir, const char *name)
{
    CHECK_TRUE(snprintf(to, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES);
}

static void append(struct wal *w, uint64_t last)
{
    static const uint8_t payload[900];
    for (uint64_t at = wal_last(w, 0) + 1; at <= last; at++) {
        struct wal_record r = {
            .type = 1, .first = at, .last = at, .prev = at - 1, .payload = bytes_of(payload, sizeof payload)
        };
        CHECK_INT(ERR_OK, wal_append(w, &r));
        CHECK_INT(ERR_OK, wal_sync(w));
    }
}

static void open_log(struct wal **w, const char *dir)
{
    struct wal_conf conf = { .dir = dir, .segment_bytes = SEGMENT_BYTES };
    struct wal_report report;
    CHECK_INT(ERR_OK, wal_open(w, &conf, &report));
}

static struct db *open_db(const char *dir)
{
    char path[PATH_BYTES];
    struct db *db;
    join(path, dir, "longlink.db");
    CHECK_INT(ERR_OK, db_open_writer(&db, path));
    return db;
}

/* A log of `logged` records, and tables that have `applied` of them. */
static struct rig *rig_new(uint64_t logged, uint64_t applied)
{
    struct rig *r = calloc(1, sizeof *r);
    struct wal *w;
    CHECK_TRUE(r != NULL);
    snprintf(r->top, sizeof r->top, "/tmp/test_backup.XXXXXX");
    CHECK_TRUE(mkdtemp(r->top) != NULL);
    join(r->store, r->top, "store");
    join(r->out, r->top, "out");
    join(r->back, r->top, "back");
    CHECK_INT(0, mkdir(r->store, 0700));
    open_log(&w, r->store);
    append(w, logged);
    CHECK_INT(ERR_OK, wal_close(&w));
    struct db *db = open_db(r->store);
    uint64_t boot_no;
    CHECK_INT(ERR_OK, db_boot(db, &boot_no));
    CHECK_INT(ERR_OK, db_begin(db));
    CHECK_INT(ERR_OK, db_commit_progress(db, &(struct db_progress){ .applied = applied }));
    db_close(&db);
    return r;
}

static unsigned count_files(const char *dir, const char *with)
{
    unsigned count = 0;
    DIR *d = opendir(dir);
    CHECK_TRUE(d != NULL);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        count += e->d_name[0] != '.' && strstr(e->d_name, with) != NULL;
    closedir(d);
    return count;
}

static void remove_tree(const char *path)
{
    char inner[PATH_BYTES];
    DIR *d = opendir(path);
    if (d == NULL) return;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.') continue;
        join(inner, path, e->d_name);
        if (e->d_type == DT_DIR)
            remove_tree(inner);
        else
            unlink(inner);
    }
    closedir(d);
    CHECK_INT(0, rmdir(path));
}

static void rig_free(struct rig *r)
{
    remove_tree(r->top);
    free(r);
}

static void make(struct rig *r)
{
    enum err rc = backup_make(r->store, r->out, &r->report);
    if (rc != ERR_OK) print_error("%s\n", r->report.text);
    CHECK_INT(ERR_OK, rc);
}

static void restore(struct rig *r)
{
    enum err rc = backup_restore(r->out, r->back, &r->report);
    if (rc != ERR_OK) print_error("%s\n", r->report.text);
    CHECK_INT(ERR_OK, rc);
}

static void says(const struct rig *r, const char *words)
{
    if (strstr(r->report.text, words) == NULL) print_error("'%s' is not in: %s\n", words, r->report.text);
    CHECK_TRUE(strstr(r->report.text, words) != NULL);
}

static enum err count_record(void *arg, const struct wal_record *r)
{
    (void)r;
    ++*(unsigned *)arg;
    return ERR_OK;
}

/* A start on a directory: what the tables have, and how many records they lack; the next one can be written.
 */
static void start_sees(const char *dir, uint64_t applied, unsigned lacking, uint64_t boot_no)
{
    struct wal *w;
    unsigned records = 0;
    uint64_t boot;
    open_log(&w, dir);
    struct db *db = open_db(dir);
    CHECK_INT(applied, db_applied(db));
    CHECK_INT(ERR_OK, db_boot(db, &boot));
    CHECK_INT(boot_no, boot);
    CHECK_INT(ERR_OK, wal_replay(w, 0, applied, count_record, &records));
    CHECK_INT(lacking, records);
    db_close(&db);
    CHECK_INT(ERR_OK, wal_close(&w));
}

TEST(what_the_tables_lack_comes_with_the_log)
{
    struct rig *r = rig_new(30, 12);
    make(r);
    CHECK_INT(30, r->report.position);
    CHECK_INT(1, r->report.boot_no);
    CHECK_TRUE(count_files(r->out, ".wal") > 0);
    restore(r);
    CHECK_INT(30, r->report.position);
    start_sees(r->back, 12, 18, 2);
    start_sees(r->store, 12, 18, 2); /* and the store is what it was */
    rig_free(r);
}

TEST(a_log_that_the_tables_are_ahead_of_is_left_out)
{
    for (uint64_t applied = 30; applied <= 40; applied += 10) {
        struct rig *r = rig_new(30, applied);
        make(r);
        CHECK_INT(applied, r->report.position);
        CHECK_INT(1, r->report.files);
        CHECK_INT(2, count_files(r->out, "")); /* longlink.db, MANIFEST */
        restore(r);
        CHECK_INT(1, count_files(r->back, ""));
        start_sees(r->back, applied, 0, 2);
        rig_free(r);
    }
}

/* Some bytes behind the last of the newest segment, as of a batch that is being written. */
static void tear(const char *dir)
{
    static uint8_t bytes[SEGMENT_BYTES];
    char path[PATH_BYTES], name[32];
    unsigned newest = 1;
    ssize_t end;
    do {
        snprintf(name, sizeof name, "%016x.wal", newest + 1);
        join(path, dir, name);
        newest += exists(path);
    } while (exists(path));
    snprintf(name, sizeof name, "%016x.wal", newest);
    join(path, dir, name);
    int fd = open(path, O_RDWR);
    for (end = pread(fd, bytes, sizeof bytes, 0); end > 0 && bytes[end - 1] == 0;) end--;
    CHECK_TRUE(end > WAL_HEADER_BYTES);
    CHECK_INT(3, pwrite(fd, "\1\2\3", 3, end));
    close(fd);
}

TEST(a_store_that_is_open_is_backed_up_and_what_is_torn_at_the_end_of_its_log_is_dropped)
{
    struct rig *r = rig_new(10, 10);
    struct wal *w;
    open_log(&w, r->store);
    struct db *db = open_db(r->store);
    append(w, 25);
    tear(r->store);
    make(r);
    CHECK_INT(25, r->report.position);
    restore(r);
    start_sees(r->back, 10, 15, 2);
    db_close(&db);
    CHECK_INT(ERR_OK, wal_close(&w));
    rig_free(r);
}

TEST(only_the_owner_can_read_it)
{
    struct rig *r = rig_new(30, 12);
    struct stat s;
    char path[PATH_BYTES];
    mode_t mask = umask(0);
    make(r);
    restore(r);
    umask(mask);
    const char *const dirs[] = { r->out, r->back };
    for (int i = 0; i < 2; i++) {
        CHECK_INT(0, stat(dirs[i], &s));
        CHECK_INT(0700, s.st_mode & 07777);
        DIR *d = opendir(dirs[i]);
        for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
            if (e->d_name[0] == '.') continue;
            join(path, dirs[i], e->d_name);
            CHECK_INT(0, stat(path, &s));
            CHECK_INT(0600, s.st_mode & 07777);
        }
        closedir(d);
    }
    rig_free(r);
}

TEST(root_gives_what_it_restores_to_the_owner_of_the_directory)
{
    if (geteuid() != 0) skip();
    struct rig *r = rig_new(30, 12);
    struct stat s;
    char path[PATH_BYTES];
    make(r);
    CHECK_INT(0, mkdir(r->back, 0700));
    CHECK_INT(0, chown(r->back, NOBODY, NOBODY));
    restore(r);
    DIR *d = opendir(r->back);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.') continue;
        join(path, r->back, e->d_name);
        CHECK_INT(0, stat(path, &s));
        CHECK_INT(NOBODY, s.st_uid);
        CHECK_INT(NOBODY, s.st_gid);
    }
    closedir(d);
    rig_free(r);
}

TEST(a_directory_with_something_in_it_is_refused_and_left_alone)
{
    struct rig *r = rig_new(30, 12);
    char path[PATH_BYTES];
    CHECK_INT(0, mkdir(r->out, 0755));
    CHECK_INT(ERR_OK, backup_make(r->store, r->out, &r->report)); /* empty is fine */
    unsigned before = count_files(r->out, "");
    CHECK_INT(ERR_FULL, backup_make(r->store, r->out, &r->report));
    says(r, "out is not empty");
    says(r, "new or empty");
    CHECK_INT(before, count_files(r->out, ""));

    CHECK_INT(0, mkdir(r->back, 0755));
    join(path, r->back, "precious");
    CHECK_INT(0, close(open(path, O_CREAT | O_WRONLY, 0644)));
    CHECK_INT(ERR_FULL, backup_restore(r->out, r->back, &r->report));
    says(r, "'precious'");
    CHECK_INT(1, count_files(r->back, ""));
    rig_free(r);
}

TEST(a_directory_in_use_is_refused_by_restore)
{
    struct rig *r = rig_new(30, 12);
    struct wal *w;
    char pid[32];
    make(r);
    CHECK_INT(0, mkdir(r->back, 0700));
    open_log(&w, r->back);
    CHECK_INT(ERR_AGAIN, backup_restore(r->out, r->back, &r->report));
    snprintf(pid, sizeof pid, "in use by process %ld", (long)getpid());
    says(r, pid);
    append(w, 3);
    CHECK_INT(ERR_AGAIN, backup_restore(r->out, r->back, &r->report));
    CHECK_INT(ERR_OK, wal_close(&w));
    CHECK_INT(ERR_FULL, backup_restore(r->out, r->back, &r->report)); /* free, and not empty */
    rig_free(r);
}

TEST(what_is_no_store_and_what_is_no_backup_is_named)
{
    struct rig *r = rig_new(30, 12);
    char path[PATH_BYTES];
    CHECK_INT(ERR_NOTFOUND, backup_make(r->top, r->out, &r->report));
    says(r, "persistence_location");
    CHECK_TRUE(!exists(r->out));
    CHECK_INT(ERR_NOTFOUND, backup_restore(r->store, r->back, &r->report));
    says(r, "has no MANIFEST");
    join(path, r->top, "nothing");
    CHECK_INT(ERR_SYS, backup_restore(path, r->back, &r->report));
    says(r, "nothing: No such file");
    CHECK_TRUE(!exists(r->back));
    rig_free(r);
}

/* Turns one bit. */
static void harm(const char *dir, const char *name, off_t at)
{
    char path[PATH_BYTES];
    uint8_t byte;
    join(path, dir, name);
    int fd = open(path, O_RDWR);
    CHECK_INT(1, pread(fd, &byte, 1, at));
    byte ^= 4;
    CHECK_INT(1, pwrite(fd, &byte, 1, at));
    close(fd);
}

TEST(a_backup_with_one_bit_turned_is_refused_before_anything_is_made)
{
    struct rig *r = rig_new(30, 12);
    make(r);
    static const char *const names[] = { "longlink.db", "MANIFEST", "0000000000000003.wal" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_BYTES];
        struct stat s;
        join(path, r->out, names[i]);
        CHECK_INT(0, stat(path, &s));
        for (off_t at = 0; at < s.st_size; at += 1 + s.st_size / 50) {
            harm(r->out, names[i], at);
            CHECK_TRUE(backup_restore(r->out, r->back, &r->report) != ERR_OK);
            says(r, names[i]);
            CHECK_TRUE(!exists(r->back));
            harm(r->out, names[i], at);
        }
    }
    restore(r);
    rig_free(r);
}

TEST(a_backup_whose_manifest_is_cut_at_any_byte_or_that_lacks_a_file_is_refused)
{
    struct rig *r = rig_new(30, 12);
    char path[PATH_BYTES];
    struct stat s;
    make(r);
    join(path, r->out, "0000000000000003.wal");
    CHECK_INT(0, unlink(path));
    CHECK_INT(ERR_SYS, backup_restore(r->out, r->back, &r->report));
    says(r, "0000000000000003.wal: No such file");
    join(path, r->out, "MANIFEST");
    CHECK_INT(0, stat(path, &s));
    for (off_t size = s.st_size - 1; size >= 0; size--) {
        CHECK_INT(0, truncate(path, size));
        CHECK_INT(ERR_SYNTAX, backup_restore(r->out, r->back, &r->report));
    }
    CHECK_TRUE(!exists(r->back));
    rig_free(r);
}

TEST(a_damaged_store_has_no_backup)
{
    struct rig *r = rig_new(60, 12);
    harm(r->store, "0000000000000004.wal", WAL_HEADER_BYTES + 20);
    CHECK_INT(ERR_SYNTAX, backup_make(r->store, r->out, &r->report));
    says(r, "0000000000000004.wal is damaged");
    CHECK_TRUE(!exists(r->out));
    harm(r->store, "0000000000000004.wal", WAL_HEADER_BYTES + 20);

    char path[PATH_BYTES];
    /* Records of 949 bytes, four a segment: without four segments more is gone than the tables have. */
    for (int i = 1; i <= 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "%016x.wal", (unsigned)i);
        join(path, r->store, name);
        CHECK_INT(0, unlink(path));
    }
    CHECK_INT(ERR_NOTFOUND, backup_make(r->store, r->out, &r->report));
    says(r, "segments are gone");
    CHECK_TRUE(!exists(r->out));

    harm(r->store, "longlink.db", 2 * 4096); /* the first page of a table */
    CHECK_TRUE(backup_make(r->store, r->out, &r->report) != ERR_OK);
    says(r, "longlink.db");
    harm(r->store, "longlink.db", 2);
    CHECK_INT(ERR_SYS, backup_make(r->store, r->out, &r->report));
    says(r, "not a database");
    CHECK_TRUE(!exists(r->out));
    rig_free(r);
}

/* Files of this process can only be so long from here on. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = { bytes, RLIM_INFINITY };
    CHECK_INT(0, setrlimit(RLIMIT_FSIZE, &limit));
}

TEST(when_something_cannot_be_written_nothing_is_left)
{
    struct rig *r = rig_new(30, 12);
    make(r);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(10000); /* enough for segments, too little for the tables */
    CHECK_INT(ERR_SYS, backup_restore(r->out, r->back, &r->report));
    says(r, "File too large");
    CHECK_TRUE(!exists(r->back));
    CHECK_INT(0, mkdir(r->back, 0700));
    CHECK_TRUE(backup_make(r->store, r->back, &r->report) != ERR_OK);
    says(r, r->store);
    limit_files(RLIM_INFINITY);
    signal(SIGXFSZ, SIG_DFL);
    CHECK_INT(0, count_files(r->back, "")); /* it was there before */
    restore(r);
    start_sees(r->back, 12, 18, 2);
    rig_free(r);
}

TEST(no_broker_starts_on_a_restore_that_was_cut_short)
{
    struct rig *r = rig_new(30, 12);
    char path[PATH_BYTES];
    struct db *db;
    int status;
    make(r);
    pid_t child = fork();
    if (child == 0) {
        limit_files(10000); /* the signal ends it in the midst of the tables */
        backup_restore(r->out, r->back, &r->report);
        _exit(0);
    }
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
    join(path, r->back, "longlink.db");
    CHECK_INT(ERR_SYNTAX, db_open_writer(&db, path));
    CHECK_TRUE(strstr(db_error(NULL), "not a database") != NULL);
    CHECK_INT(ERR_FULL, backup_restore(r->out, r->back, &r->report));
    rig_free(r);
}
