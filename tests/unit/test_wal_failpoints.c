/* SPDX-License-Identifier: Apache-2.0 */
/* The log on a real directory, written by processes that die at each of its failpoints. */
#include "base/failpoint.h"
#include "unit/wal_kit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCHES = 60, PURGE_EVERY = 20, NAME_MAX_BYTES = 64 };

static const char *const names[] = {
#define FAILPOINT(name, step) #name,
#include "base/failpoint.def"
#undef FAILPOINT
};

/* What a process tells its parent as soon as it holds. */
struct promise {
    uint64_t durable, floor;
};

static struct wal *open_log(const char *dir)
{
    struct wal_conf conf = { .dir = dir, .segment_bytes = KIT_SEGMENT_BYTES, .node_id = KIT_NODE };
    struct wal_report report;
    struct wal *w = NULL;

    if (wal_open(&w, &conf, &report) != ERR_OK) print_error("%s\n", report.text);
    CHECK_TRUE(w != NULL);
    return w;
}

/* Batches, the next segment made ahead every other time, and a purge of several segments at once. */
static void work(const char *dir, struct promise p, int tell)
{
    struct wal *w = open_log(dir);

    for (unsigned i = 0; i < BATCHES; i++) {
        if (kit_append(w) != ERR_OK || wal_sync(w) != ERR_OK) _exit(4);
        p.durable = wal_last(w, 0);
        if (write(tell, &p, sizeof p) != sizeof p) _exit(5);
        if (i % 4 == 0 && wal_prepare(w) != ERR_OK) _exit(6);
        if (i % PURGE_EVERY != PURGE_EVERY - 1) continue;
        p.floor = p.durable;
        if (write(tell, &p, sizeof p) != sizeof p) _exit(5);
        if (wal_purge(w, 0, p.floor) != ERR_OK) _exit(7);
    }
    wal_close(&w);
    _exit(0);
}

/* True: it died at the failpoint. What it promised last is in *p. */
static bool dies(const char *dir, const char *armed, struct promise *p)
{
    int ends[2], status = 0;
    struct promise told;

    fflush(NULL);
    CHECK_INT(0, pipe(ends));
    pid_t child = fork();
    CHECK_TRUE(child >= 0);
    if (child == 0) {
        alarm(300);
        close(ends[0]);
        if (freopen("/dev/null", "w", stderr) == NULL || failpoints_arm(armed) != ERR_OK) _exit(3);
        work(dir, *p, ends[1]);
    }
    close(ends[1]);
    while (read(ends[0], &told, sizeof told) == sizeof told) *p = told;
    close(ends[0]);
    CHECK_INT(child, waitpid(child, &status, 0));
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed) CHECK_INT(0, status);
    return killed;
}

/* Everything that was promised is there, in order, and may be written behind. */
static void check_log(const char *dir, struct promise *p)
{
    struct wal *w = open_log(dir);
    struct kit_seen s = kit_read(w, p->floor > 0 ? p->floor - 1 : 0);

    CHECK_TRUE(s.last >= p->durable);
    if (p->durable > 0) CHECK_TRUE(s.count > 0 && s.first <= (p->floor > 0 ? p->floor : 1));
    kit_write(w, 1);
    p->durable = wal_last(w, 0);
    CHECK_INT(ERR_OK, wal_close(&w));
}

static void remove_dir(const char *dir)
{
    char path[NAME_MAX_BYTES * 2 + NAME_MAX_BYTES * 4];
    DIR *d = opendir(dir);

    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

/* The death before, which leaves what the step needs. */
static const char *death_before(const char *name)
{
    if (strcmp(name, "wal_recover_unused") == 0) return "wal_next_made";
    if (strcmp(name, "wal_recover_empty") == 0) return "wal_header_synced";
    return "wal_batch_written:9";
}

/* At its first time, and at later ones for as long as it is reached that often. */
static void die_at(const char *name)
{
    char dir[] = "/tmp/longlink-wal.XXXXXX", armed[NAME_MAX_BYTES];
    struct promise p = { 0, 0 };

    CHECK_TRUE(mkdtemp(dir) != NULL);
    for (unsigned count = 1; count < 9; count += 1 + count / 2) {
        CHECK_TRUE(dies(dir, death_before(name), &p));
        snprintf(armed, sizeof armed, "%s:%u", name, count);
        bool died = dies(dir, armed, &p);
        if (count == 1 && !died) print_error("%s was not reached\n", name);
        CHECK_TRUE(died || count > 1);
        check_log(dir, &p);
    }
    remove_dir(dir);
}

TEST(the_log_keeps_its_promises_when_the_process_dies_at_any_of_its_failpoints)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(names[i], "wal_", 4) == 0) die_at(names[i]);
}
