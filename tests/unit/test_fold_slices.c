/* SPDX-License-Identifier: Apache-2.0 */
/* A process that dies between two transactions of one fold. */
#include "base/failpoint.h"
#include "base/list.h"
#include "store_sqlite/store_disk.h"
#include "unit/store_kit.h"
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGES = 300, SESSION = 5 };

/* Time flies: a transaction ends at its first look at the clock. */
static uint64_t flying_ms(void *ctx)
{
    static atomic_uint_fast64_t now_ms;
    (void)ctx;
    return atomic_fetch_add_explicit(&now_ms, 50, memory_order_relaxed);
}

static const struct clock flying = { flying_ms, flying_ms, NULL };

/* --- one shard, that counts */

static struct mailbox mailbox; /* completions, then pages; there are no seats */

static void deliver(void *ctx, unsigned shard, struct mail *m)
{
    (void)ctx;
    (void)shard;
    mailbox_send(&mailbox, m);
}

static void flush(void *ctx)
{
    (void)ctx;
}

static void take(unsigned count)
{
    while (count > 0) {
        struct mail *next;
        for (struct mail *m = mailbox_wait(&mailbox); m != NULL; m = next) {
            next = m->next;
            struct command *c = CONTAINER(m, struct command, completion);
            CHECK_INT(COMMAND_DURABLE, c->result);
            command_unref(&c);
            count--;
        }
    }
}

/* --- the store */

static enum err see_session(void *ctx, const struct restore_session *r)
{
    unsigned *seen = ctx;
    CHECK_INT(SESSION, r->session_no);
    ++*seen;
    return ERR_OK;
}

static struct store_disk *open_store(const char *dir, unsigned *sessions)
{
    struct store_disk *s;
    char text[STORE_DISK_TEXT_BYTES];
    struct store_disk_conf conf = { .sink = { deliver, deliver, flush, NULL }, .dir = dir, .clock = &flying };
    struct restore_sink restore = { .session = see_session, .ctx = sessions };
    *sessions = 0;
    if (store_disk_open(&s, &conf, &restore, text) != ERR_OK) print_error("%s\n", text);
    CHECK_TRUE(s != NULL);
    CHECK_INT(ERR_OK, store_disk_run(s));
    return s;
}

static void work(const char *dir)
{
    const uint64_t to[] = { SESSION, 0 };
    const struct a_message a = { "t", "ten bytes!", 0, false };
    unsigned sessions;
    struct outbox o = { 0 };
    struct store_disk *s = open_store(dir, &sessions);
    struct journal j = store_disk_journal(s);
    struct command *c = make_plain(COMMAND_CLAIM, SESSION, bytes_of_text("client"));
    c->claim_no = 1;
    command_put(&o, c);
    for (unsigned i = 0; i < MESSAGES; i++) command_put(&o, make_enqueue(0, &a, to));
    journal_submit(&j, &o);
    take(MESSAGES + 1);
    store_disk_stop(&s);
    _exit(0);
}

/* Dies when a fold is committed for the so-manieth time, the empty one of the start included. */
static bool dies(const char *dir, unsigned times)
{
    char armed[48];
    int status = 0;
    snprintf(armed, sizeof armed, "fold_committed:%u", times);
    fflush(NULL);
    pid_t child = fork();
    CHECK_TRUE(child >= 0);
    if (child == 0) {
        alarm(60);
        if (freopen("/dev/null", "w", stderr) == NULL || failpoints_arm(armed) != ERR_OK) _exit(3);
        work(dir);
    }
    CHECK_INT(child, waitpid(child, &status, 0));
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed) CHECK_INT(0, status);
    return killed;
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

/* How many messages wait, each with its body, read in pages. */
static unsigned rows(struct store_disk *s)
{
    struct store store = store_disk_store(s);
    struct store_page p = { .session_no = SESSION, .limit = PAGE_ENTRIES_MAX };
    unsigned count = 0;
    do {
        store_page(&store, &p);
        CHECK_TRUE(mailbox_wait(&mailbox) == &p.answer);
        for (uint32_t i = 0; i < p.count; i++) {
            CHECK_TRUE(p.rows[i].seq > p.after);
            p.after = p.rows[i].seq;
            msg_unref(&p.rows[i].msg);
        }
        count += p.count;
    } while (p.count > 0);
    return count;
}

TEST(a_fold_may_end_between_any_two_of_its_transactions)
{
    unsigned deaths = 0;
    bool died = true;
    CHECK_INT(ERR_OK, mailbox_open(&mailbox));
    for (unsigned times = 2; died; times++) {
        char dir[] = "/tmp/test_fold_slices.XXXXXX";
        CHECK_TRUE(mkdtemp(dir) != NULL);
        died = dies(dir, times);
        unsigned sessions;
        struct store_disk *s = open_store(dir, &sessions);
        CHECK_INT(1, sessions);
        CHECK_INT(MESSAGES, rows(s));
        store_disk_stop(&s);
        remove_dir(dir);
        deaths += died;
    }
    CHECK_TRUE(deaths >= 3);
    mailbox_close(&mailbox);
}
