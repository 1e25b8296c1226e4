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

enum { MESSAGES = 300, SESSION = 5, GROUP = 300, ROUNDS = 36 };

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

static uint64_t last_position;

static void take(unsigned count)
{
    while (count > 0) {
        struct mail *next;
        for (struct mail *m = mailbox_wait(&mailbox); m != NULL; m = next) {
            next = m->next;
            struct command *c = CONTAINER(m, struct command, completion);
            CHECK_TRUE(c->result == COMMAND_DURABLE || c->result == COMMAND_DUPLICATE);
            last_position = c->position;
            command_unref(&c);
            count--;
        }
    }
}

/* --- the store */

/* What a start shows. */
struct shown {
    unsigned sessions, groups, delayed, inbound;
    uint64_t due_sum, id_sum;
};

static enum err see_session(void *ctx, const struct restore_session *r)
{
    struct shown *shown = ctx;
    CHECK_INT(SESSION, r->session_no);
    shown->sessions++;
    return ERR_OK;
}

static enum err see_group(void *ctx, uint64_t group_no, struct bytes text)
{
    struct shown *shown = ctx;
    CHECK_INT(GROUP, group_no);
    CHECK_TRUE(bytes_equal(text, bytes_of_text("$share/g/f")));
    shown->groups++;
    return ERR_OK;
}

static enum err see_inbound(void *ctx, uint64_t session_no, uint16_t id)
{
    struct shown *shown = ctx;
    CHECK_INT(SESSION, session_no);
    shown->inbound++;
    shown->id_sum += id;
    return ERR_OK;
}

static enum err see_delayed(void *ctx, uint64_t seq, uint64_t due_ms)
{
    struct shown *shown = ctx;
    (void)seq;
    shown->delayed++;
    shown->due_sum += due_ms;
    return ERR_OK;
}

static struct backlog_limits limits;

static struct store_disk *open_store(const char *dir, struct shown *shown)
{
    struct store_disk *s;
    char text[STORE_DISK_TEXT_BYTES];
    struct store_disk_conf conf = {
        .sink = { deliver, deliver, flush, NULL }, .dir = dir, .limits = limits, .clock = &flying
    };
    struct restore_sink restore = { .session = see_session,
                                    .group = see_group,
                                    .inbound = see_inbound,
                                    .delayed = see_delayed,
                                    .ctx = shown };
    *shown = (struct shown){ 0 };
    if (store_disk_open(&s, &conf, &restore, text) != ERR_OK) print_error("%s\n", text);
    CHECK_TRUE(s != NULL);
    CHECK_INT(ERR_OK, store_disk_run(s));
    return s;
}

static struct command *of_session(enum command_kind kind, uint16_t in_id)
{
    struct command *c = make_plain(kind, SESSION, bytes_of_text(kind == COMMAND_CLAIM ? "client" : ""));
    c->claim_no = 1;
    c->in_id = in_id;
    return c;
}

static void work(const char *dir)
{
    const uint64_t to[] = { SESSION, 0 };
    const struct a_message a = { "t", "ten bytes!", 0, false };
    struct shown shown;
    struct outbox o = { 0 };
    struct store_disk *s = open_store(dir, &shown);
    struct journal j = store_disk_journal(s);
    command_put(&o, of_session(COMMAND_CLAIM, 0));
    for (unsigned i = 0; i < MESSAGES; i++) command_put(&o, make_enqueue(0, &a, to));
    journal_submit(&j, &o);
    take(MESSAGES + 1);
    store_disk_stop(&s);
    _exit(0);
}

/* --- QoS 2, a group and delayed messages: what one process has folded the next one goes on with */

static struct command *publish(uint64_t to, uint16_t in_id, uint64_t due_ms)
{
    const struct a_message a = { "t", "ten bytes!", 0, false };
    struct command *c = make_enqueue(0, &a, (const uint64_t[]){ to, 0 });
    c->session_no = in_id != 0 ? SESSION : 0;
    c->claim_no = in_id != 0 ? 1 : 0;
    c->in_id = in_id;
    c->due_ms = due_ms;
    return c;
}

static struct command *move(uint64_t from, uint64_t seq, uint64_t to)
{
    struct command *c = publish(to, 0, 0);
    c->kind = COMMAND_MOVE;
    c->session_no = from;
    c->version = seq;
    return c;
}

static struct command *received(uint64_t seq)
{
    struct command *c = make_ack(SESSION, 0, (const uint64_t[]){ seq, 0 });
    c->kind = COMMAND_RECEIVED;
    c->claim_no = 1;
    return c;
}

static void submit_and_stop(struct store_disk *s, struct outbox *o, unsigned count)
{
    struct journal j = store_disk_journal(s);
    journal_submit(&j, o);
    take(count);
    store_disk_stop(&s);
}

/* Three entries a round, at positions FIRST + 3 * round. */
enum { FIRST = 3 };

static void begin_exactly(const char *dir)
{
    struct shown shown;
    struct outbox o = { 0 };
    struct store_disk *s = open_store(dir, &shown);
    command_put(&o, of_session(COMMAND_CLAIM, 0));
    command_put(&o, make_plain(COMMAND_GROUP, GROUP, bytes_of_text("$share/g/f")));
    for (uint16_t i = 0; i < ROUNDS; i++) {
        command_put(&o, publish(SESSION, (uint16_t)(i + 1), 0));
        command_put(&o, publish(GROUP, 0, 0));
        command_put(&o, publish(DELAYED_QUEUE, 0, i + 1U));
    }
    submit_and_stop(s, &o, 2 + 3 * ROUNDS);
    CHECK_INT(FIRST + 3 * ROUNDS - 1, last_position);
}

/* All of it in one fold: what is elsewhere, and what comes and goes within the fold. */
static void go_on_exactly(const char *dir)
{
    struct shown shown;
    struct outbox o = { 0 };
    uint64_t at = FIRST + 3 * ROUNDS;
    struct store_disk *s = open_store(dir, &shown);
    for (uint16_t i = 0; i < ROUNDS; i++, at += 10) {
        uint16_t id = (uint16_t)(i + 1);
        uint64_t seq = FIRST + UINT64_C(3) * i;
        command_put(&o, of_session(COMMAND_RELEASE, id));
        command_put(&o, received(seq));
        command_put(&o, move(GROUP, seq + 1, SESSION));
        command_put(&o, i % 2 == 0 ? move(DELAYED_QUEUE, seq + 2, SESSION) : received(at + 2));
        command_put(&o, publish(SESSION, id, 0)); /* at + 4 */
        command_put(&o, received(at + 4));
        command_put(&o, of_session(COMMAND_RELEASE, id));
        command_put(&o, publish(GROUP, i % 3 == 0 ? id : 0, 0)); /* at + 7 */
        command_put(&o, publish(DELAYED_QUEUE, 0, 1000));        /* at + 8 */
        command_put(&o, i % 4 == 0 ? move(GROUP, at + 7, SESSION) : move(DELAYED_QUEUE, at + 8, SESSION));
    }
    submit_and_stop(s, &o, 10 * ROUNDS);
    _exit(0);
}

/* Dies when a fold is committed for the so-manieth time, the empty one of the start included. */
static bool dies(void (*work_in)(const char *dir), const char *dir, unsigned times)
{
    char armed[48];
    int status = 0;
    snprintf(armed, sizeof armed, "fold_committed:%u", times);
    fflush(NULL);
    pid_t child = fork();
    CHECK_TRUE(child >= 0);
    if (child == 0) {
        alarm(300);
        if (freopen("/dev/null", "w", stderr) == NULL || failpoints_arm(armed) != ERR_OK) _exit(3);
        work_in(dir);
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

/* How many messages wait, each with its body, read in pages; and how many of them were received. */
static unsigned rows(struct store_disk *s, uint64_t session_no, unsigned *released)
{
    struct store store = store_disk_store(s);
    struct store_page p = { .session_no = session_no, .limit = PAGE_ENTRIES_MAX };
    unsigned count = 0;
    *released = 0;
    do {
        store_page(&store, &p);
        CHECK_TRUE(mailbox_wait(&mailbox) == &p.answer);
        for (uint32_t i = 0; i < p.count; i++) {
            CHECK_TRUE(p.rows[i].seq > p.after);
            p.after = p.rows[i].seq;
            *released += p.rows[i].released;
            msg_unref(&p.rows[i].msg);
        }
        count += p.count;
    } while (p.count > 0);
    return count;
}

/* The work once for each of its transactions, as far as that one; then what the next process finds. Before it
 * a life that ends well, or NULL. */
struct life {
    void (*before)(const char *dir);
    void (*work)(const char *dir);
    void (*check)(const char *dir);
};

static void die_everywhere(const struct life *life, unsigned deaths_min)
{
    unsigned deaths = 0;
    bool died = true;
    CHECK_INT(ERR_OK, mailbox_open(&mailbox));
    for (unsigned times = 2; died; times++) {
        char dir[] = "/tmp/test_fold_slices.XXXXXX";
        CHECK_TRUE(mkdtemp(dir) != NULL);
        if (life->before != NULL) life->before(dir);
        died = dies(life->work, dir, times);
        life->check(dir);
        remove_dir(dir);
        deaths += died;
    }
    CHECK_TRUE(deaths >= deaths_min);
    mailbox_close(&mailbox);
}

static void check_messages(const char *dir)
{
    struct shown shown;
    unsigned released;
    struct store_disk *s = open_store(dir, &shown);
    CHECK_INT(1, shown.sessions);
    CHECK_INT(0, shown.inbound);
    CHECK_INT(MESSAGES, rows(s, SESSION, &released));
    store_disk_stop(&s);
}

TEST(a_fold_may_end_between_any_two_of_its_transactions)
{
    die_everywhere(&(struct life){ NULL, work, check_messages }, 3);
}

static unsigned multiples(unsigned of)
{
    return (ROUNDS + of - 1) / of;
}

static void check_exactly(const char *dir)
{
    struct shown shown;
    unsigned released, none;
    struct store_disk *s = open_store(dir, &shown);
    uint64_t ids = 0, due = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) ids += i + 1;
        due += (i % 2 != 0 ? i + 1 : 0) + (i % 4 == 0 ? 1000 : 0);
    }
    CHECK_INT(1, shown.sessions);
    CHECK_INT(1, shown.groups);
    CHECK_INT(multiples(3), shown.inbound);
    CHECK_INT(ids, shown.id_sum);
    CHECK_INT(ROUNDS - multiples(2) + multiples(4), shown.delayed);
    CHECK_INT(due, shown.due_sum);
    /* Its own, the group's, those that were due; in each round one more of its own, and one that moved. */
    CHECK_INT(2 * ROUNDS + multiples(2) + 2 * ROUNDS, rows(s, SESSION, &released));
    CHECK_INT(2 * ROUNDS + (ROUNDS - multiples(2)), released);
    CHECK_INT(ROUNDS - multiples(4), rows(s, GROUP, &none));
    CHECK_INT(shown.delayed, rows(s, DELAYED_QUEUE, &none));
    store_disk_stop(&s);
}

static const struct life exactly = { begin_exactly, go_on_exactly, check_exactly };

TEST(whichever_of_its_transactions_a_fold_ends_with_nothing_is_lost_or_there_twice)
{
    die_everywhere(&exactly, 5);
}

/* With a limit that is not reached: the store knows each entry then, and must not miss those that a fold has
 * left out because they had moved by then. */
TEST(a_fold_may_end_anywhere_where_queues_have_limits_too)
{
    limits = (struct backlog_limits){ .messages_max = 100000, .policy = BACKLOG_DROP_OLDEST };
    die_everywhere(&exactly, 5);
    limits = (struct backlog_limits){ 0 };
}

/* Each message twice, before its packet id is released: all before the fold. */
static void repeat(const char *dir)
{
    struct shown shown;
    struct outbox o = { 0 };
    struct store_disk *s = open_store(dir, &shown);
    command_put(&o, of_session(COMMAND_CLAIM, 0));
    for (uint16_t i = 0; i < MESSAGES; i++) {
        for (int times = 0; times < 2; times++) command_put(&o, publish(SESSION, (uint16_t)(i + 1), 0));
        command_put(&o, of_session(COMMAND_RELEASE, (uint16_t)(i + 1)));
    }
    submit_and_stop(s, &o, 1 + 3 * MESSAGES);
    _exit(0);
}

TEST(what_was_a_repeat_is_one_again_though_its_packet_id_was_released_before_the_fold)
{
    die_everywhere(&(struct life){ NULL, repeat, check_messages }, 5);
}
