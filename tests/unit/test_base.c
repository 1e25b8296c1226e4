/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "base/rng.h"
#include "base/thread.h"
#include "kit/test.h"
#include "unit/topics_kit.h"
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Does run abort? In a process of its own; the alarm is for one that hangs instead. */
static bool aborts(void (*run)(void))
{
    fflush(NULL);
    pid_t child = fork();
    CHECK_TRUE(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        alarm(300);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        run();
        _exit(0);
    }
    int status = 0;
    CHECK_INT(child, waitpid(child, &status, 0));
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* --- err, check */

TEST(every_error_has_a_text_of_its_own)
{
    static const enum err all[] = {
#define ERR(name, value, text) ERR_##name,
#include "base/err.def"
#undef ERR
    };
    size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++) {
            CHECK_TRUE(all[i] != all[k]);
            CHECK_TRUE(strcmp(err_text(all[i]), err_text(all[k])) != 0);
        }
    CHECK_INT(0, ERR_OK);
    CHECK_TRUE(strlen(err_text((enum err)12345)) > 0);
}

static void check_false(void)
{
    CHECK(1 + 1 == 3);
}
static void check_true(void)
{
    CHECK(1 + 1 == 2);
}

TEST(a_check_that_does_not_hold_aborts)
{
    CHECK_TRUE(aborts(check_false));
    CHECK_TRUE(!aborts(check_true));
}

#ifdef LONGLINK_DCHECK
static void never_happened(void)
{
    if (NEVER(1 + 1 == 2)) return;
}
static void dcheck_false(void)
{
    DCHECK(1 + 1 == 3);
}

TEST(what_cannot_happen_aborts_in_test_builds)
{
    CHECK_TRUE(aborts(never_happened));
    CHECK_TRUE(aborts(dcheck_false));
}
#endif

TEST(never_lets_the_ordinary_case_pass)
{
    CHECK_TRUE(!NEVER(1 + 1 == 3));
}

/* --- bytes */

TEST(bytes_are_equal_by_content_and_length)
{
    char a[] = "topic", b[] = "topic";
    CHECK_TRUE(bytes_equal(bytes_of_text(a), bytes_of_text(b)));
    CHECK_TRUE(!bytes_equal(bytes_of(a, 4), bytes_of(b, 5)));
    CHECK_TRUE(!bytes_equal(bytes_of_text("topic"), bytes_of_text("topiC")));
    CHECK_TRUE(bytes_equal(bytes_of(NULL, 0), bytes_of(a, 0)));
}

enum { HASH_BYTES = 70 };

static void fill(uint8_t at[HASH_BYTES], uint64_t seed)
{
    struct kit_random r = { seed };
    for (size_t i = 0; i < HASH_BYTES; i++) at[i] = (uint8_t)kit_random(&r);
}

/* It is kept with retained messages. */
TEST(a_hash_stays_what_it_was_in_earlier_versions)
{
    static const struct {
        size_t bytes;
        uint64_t hash;
    } known[] = { { 3, 0xcdcf8c94f997b8cd },
                  { 8, 0x8ae103fedc046a37 },
                  { 13, 0xf2583f924c1fbad7 },
                  { 27, 0xbd656c09c4d481bf } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        CHECK_TRUE(bytes_hash(bytes_of("sensors/kitchen/temperature", known[i].bytes), 42) == known[i].hash);
}

TEST(equal_bytes_hash_equally_wherever_they_lie)
{
    uint8_t data[HASH_BYTES];
    fill(data, 1);
    for (size_t n = 0; n <= HASH_BYTES; n++) {
        uint8_t *exact = malloc(n + 3); /* reading past the end is an error of the sanitizer */
        memcpy(exact + 3, data, n);
        CHECK_TRUE(bytes_hash(bytes_of(data, n), 7) == bytes_hash(bytes_of(exact + 3, n), 7));
        free(exact);
    }
}

TEST(length_content_and_seed_each_make_another_hash)
{
    static uint64_t seen[2 * (HASH_BYTES + 1)];
    static const uint8_t zeros[HASH_BYTES];
    size_t count = 0;
    for (size_t n = 0; n <= HASH_BYTES; n++)
        for (uint64_t seed = 0; seed < 2; seed++) seen[count++] = bytes_hash(bytes_of(zeros, n), seed);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++) CHECK_TRUE(seen[i] != seen[k]);
}

/* Flips each bit of many texts of n bytes; each bit of the hash should follow in about half of the cases. */
static void check_avalanche(size_t n)
{
    enum { TEXTS = 64 };
    uint8_t data[HASH_BYTES];
    unsigned flips[64] = { 0 };
    for (uint64_t text = 0; text < TEXTS; text++) {
        fill(data, text * 1000 + n);
        uint64_t before = bytes_hash(bytes_of(data, n), text);
        for (size_t bit = 0; bit < n * 8; bit++) {
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            uint64_t change = before ^ bytes_hash(bytes_of(data, n), text);
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_TRUE(change != 0);
            for (unsigned i = 0; i < 64; i++) flips[i] += (unsigned)(change >> i & 1);
        }
    }
    unsigned trials = (unsigned)(TEXTS * n * 8);
    for (unsigned i = 0; i < 64; i++) CHECK_TRUE(flips[i] > trials * 4 / 10 && flips[i] < trials * 6 / 10);
}

TEST(each_bit_of_the_text_changes_about_half_of_the_hash)
{
    for (size_t n = 1; n <= HASH_BYTES; n++) check_avalanche(n);
}

TEST(numbered_topics_fill_buckets_evenly)
{
    enum { TOPICS = 64 * 1024, BUCKETS = 256 };
    static unsigned low[BUCKETS], high[BUCKETS];
    char topic[KIT_TOPIC_BYTES];
    for (unsigned i = 0; i < TOPICS; i++) {
        snprintf(topic, sizeof topic, "device/%u/state", i);
        uint64_t hash = bytes_hash(bytes_of_text(topic), 99);
        low[hash % BUCKETS]++;
        high[hash >> 56]++;
    }
    for (unsigned i = 0; i < BUCKETS; i++) { /* expected 256, standard deviation 16 */
        CHECK_TRUE(low[i] > 256 - 96 && low[i] < 256 + 96);
        CHECK_TRUE(high[i] > 256 - 96 && high[i] < 256 + 96);
    }
}

/* --- list */

struct item {
    int value;
    struct list link;
};

static int list_sum_in_order(struct list *head)
{
    int sum = 0;
    for (struct list *l = head->next; l != head; l = l->next)
        sum = sum * 10 + CONTAINER(l, struct item, link)->value;
    return sum;
}

TEST(a_list_keeps_the_order_of_adding_and_lets_any_item_go)
{
    struct list head;
    struct item items[3] = { { .value = 1 }, { .value = 2 }, { .value = 3 } };
    list_init(&head);
    CHECK_TRUE(list_empty(&head));
    for (int i = 0; i < 3; i++) list_add(&head, &items[i].link);
    CHECK_INT(123, list_sum_in_order(&head));
    list_remove(&items[1].link);
    CHECK_INT(13, list_sum_in_order(&head));
    list_remove(&items[1].link);
    CHECK_INT(13, list_sum_in_order(&head));
    list_add(&head, &items[1].link);
    CHECK_INT(132, list_sum_in_order(&head));
    for (int i = 0; i < 3; i++) list_remove(&items[i].link);
    CHECK_TRUE(list_empty(&head));
}

/* --- ref */

TEST(the_last_of_several_owners_is_told_so)
{
    struct ref r;
    ref_init(&r, 1);
    ref_add(&r, 2);
    CHECK_TRUE(!ref_drop(&r));
    CHECK_TRUE(!ref_drop(&r));
    CHECK_TRUE(ref_drop(&r));
}

static void drop_too_often(void)
{
    struct ref r;
    ref_init(&r, 0);
    ref_drop(&r);
}

TEST(a_count_below_zero_aborts)
{
    CHECK_TRUE(aborts(drop_too_often));
}

enum { OWNERS = 4, ROUNDS = 2000 };

struct shared {
    struct ref ref;
    int written[OWNERS];
};

struct owner {
    struct thread thread;
    struct shared **shared;
    unsigned no;
    unsigned last;
    bool saw_all;
};

static void owner_run(void *arg)
{
    struct owner *o = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct shared *s = o->shared[i];
        s->written[o->no] = 1;
        if (!ref_drop(&s->ref)) continue;
        o->last++;
        for (unsigned k = 0; k < OWNERS; k++) o->saw_all = o->saw_all && s->written[k] == 1;
        free(s);
    }
}

TEST(the_last_owner_sees_what_all_others_did)
{
    static struct shared *shared[ROUNDS];
    struct owner owners[OWNERS];
    unsigned last = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        shared[i] = calloc(1, sizeof *shared[i]);
        ref_init(&shared[i]->ref, OWNERS);
    }
    for (unsigned i = 0; i < OWNERS; i++) {
        owners[i] = (struct owner){ .shared = shared, .no = i, .saw_all = true };
        CHECK_INT(ERR_OK, thread_start(&owners[i].thread, "owner", owner_run, &owners[i]));
    }
    for (unsigned i = 0; i < OWNERS; i++) {
        thread_join(&owners[i].thread);
        CHECK_TRUE(owners[i].saw_all);
        last += owners[i].last;
    }
    CHECK_INT(ROUNDS, last);
}

/* --- rng, clock */

TEST(random_numbers_differ_and_fill_every_byte)
{
    uint8_t many[1000] = { 0 };
    size_t zeros = 0;
    CHECK_TRUE(rng_u64() != rng_u64());
    rng_fill(many, sizeof many);
    for (size_t i = 0; i < sizeof many; i++) zeros += many[i] == 0;
    CHECK_TRUE(zeros < 50); /* about 4; 50 would be a wonder */
    rng_fill(many, 0);
}

TEST(the_monotone_clock_does_not_go_back)
{
    uint64_t last = clock_mono_ms(&clock_system);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_mono_ms(&clock_system);
        CHECK_TRUE(now >= last);
        last = now;
    }
    CHECK_TRUE(clock_wall_ms(&clock_system) > 1600000000000u); /* after 2020 */
}

struct fake_time {
    uint64_t mono_ms, wall_ms;
};

static uint64_t fake_mono_ms(void *ctx)
{
    const struct fake_time *t = ctx;
    return t->mono_ms;
}

static uint64_t fake_wall_ms(void *ctx)
{
    const struct fake_time *t = ctx;
    return t->wall_ms;
}

TEST(a_steady_clock_follows_time_that_passes_and_not_who_sets_the_clock)
{
    struct fake_time t = { 5000, 1700000000000u };
    struct clock fake = { fake_mono_ms, fake_wall_ms, &t };
    struct clock_steady s;
    clock_steady_init(&s, &fake);
    CHECK_INT(5000, clock_mono_ms(&s.clock));
    CHECK_INT(1700000000000u, clock_wall_ms(&s.clock));
    t.wall_ms += 3600 * 1000; /* set */
    CHECK_INT(1700000000000u, clock_wall_ms(&s.clock));
    t.mono_ms += 250; /* passed */
    t.wall_ms = 250;  /* set to the seventies */
    CHECK_INT(5250, clock_mono_ms(&s.clock));
    CHECK_INT(1700000000250u, clock_wall_ms(&s.clock));

    t = (struct fake_time){ 900000, 20 }; /* a machine that does not know the date */
    clock_steady_init(&s, &fake);
    t.mono_ms += 7;
    CHECK_INT(27, clock_wall_ms(&s.clock));
}

/* --- lock, thread */

static void release_what_is_not_held(void)
{
    struct lock l;
    lock_init(&l, LOCK_RANK_SUBS);
    lock_release(&l);
}

static void take_downwards(void)
{
    struct lock low, high;
    lock_init(&low, LOCK_RANK_SUBS);
    lock_init(&high, LOCK_RANK_LOG);
    lock_take(&high);
    lock_take(&low);
}

static void take_twice(void)
{
    struct lock l;
    lock_init(&l, LOCK_RANK_SUBS);
    lock_take(&l);
    lock_take(&l);
}

static void take_upwards(void)
{
    struct lock low, high;
    lock_init(&low, LOCK_RANK_SUBS);
    lock_init(&high, LOCK_RANK_LOG);
    for (int i = 0; i < 10; i++) {
        lock_take(&low);
        lock_take(&high);
        lock_release(&high);
        lock_release(&low);
    }
    lock_fini(&high);
    lock_fini(&low);
}

static void try_held_and_free_ones(void)
{
    struct lock low, high;
    lock_init(&low, LOCK_RANK_SUBS);
    lock_init(&high, LOCK_RANK_LOG);
    CHECK(lock_try(&high));
    CHECK(!lock_try(&high));
    CHECK(lock_try(&low)); /* downwards: nobody waits for it */
    lock_release(&low);
    lock_release(&high);
    CHECK(lock_try(&high));
    lock_release(&high);
    lock_fini(&high);
    lock_fini(&low);
}

TEST(trying_takes_what_is_free_at_any_rank_and_never_waits)
{
    CHECK_TRUE(!aborts(try_held_and_free_ones));
}

TEST(locks_are_taken_upwards)
{
    CHECK_TRUE(!aborts(take_upwards));
}

#ifdef LONGLINK_DCHECK
TEST(a_lock_out_of_order_or_twice_aborts_instead_of_waiting_for_ever)
{
    CHECK_TRUE(aborts(take_downwards));
    CHECK_TRUE(aborts(take_twice));
    CHECK_TRUE(aborts(release_what_is_not_held));
}
#else
TEST(the_order_of_locks_is_for_test_builds)
{
    (void)take_downwards;
    (void)take_twice;
    (void)release_what_is_not_held;
}
#endif

struct counter {
    struct lock lock; /* guards count */
    unsigned count;
};

static void count_up(void *arg)
{
    struct counter *c = arg;
    for (int i = 0; i < 10000; i++) {
        lock_take(&c->lock);
        c->count++;
        lock_release(&c->lock);
    }
}

TEST(threads_count_under_a_lock_and_miss_nothing)
{
    struct counter c = { .count = 0 };
    struct thread threads[3];
    lock_init(&c.lock, LOCK_RANK_SUBS);
    for (int i = 0; i < 3; i++) CHECK_INT(ERR_OK, thread_start(&threads[i], "counter", count_up, &c));
    for (int i = 0; i < 3; i++) thread_join(&threads[i]);
    CHECK_INT(30000, c.count);
    lock_fini(&c.lock);
}

struct waiter {
    struct lock lock; /* guards had */
    bool had;
};

static void have(void *arg)
{
    struct waiter *w = arg;
    lock_take(&w->lock);
    w->had = true;
    lock_release(&w->lock);
}

TEST(who_waits_for_a_lock_has_it_before_those_who_only_try)
{
    for (int i = 0; i < 100; i++) {
        struct waiter w = { .had = false };
        struct thread t;
        lock_init(&w.lock, LOCK_RANK_SUBS);
        lock_take(&w.lock);
        CHECK_INT(ERR_OK, thread_start(&t, "waiter", have, &w));
        while (atomic_load(&w.lock.waiters) == 0) sched_yield();
        lock_release(&w.lock);
        while (!lock_try(&w.lock)) sched_yield();
        CHECK_TRUE(w.had);
        lock_release(&w.lock);
        thread_join(&t);
        lock_fini(&w.lock);
    }
}

static void see_signals(void *arg)
{
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, arg) == 0);
}

TEST(a_thread_takes_no_signals_and_leaves_the_starter_its_own)
{
    struct thread t;
    sigset_t inside, before, after;
    sigemptyset(&inside);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    CHECK_INT(ERR_OK, thread_start(&t, "a name that is too long", see_signals, &inside));
    thread_join(&t);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK_INT(1, sigismember(&inside, SIGTERM));
    CHECK_INT(1, sigismember(&inside, SIGHUP));
    CHECK_INT(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    CHECK_INT(15, strlen(t.name));
}
