/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "wheel/wheel.h"
#include <stdlib.h>

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool refuse_memory;

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse_memory ? NULL : __real_calloc(n, size);
}

static struct wheel *open_wheel(uint64_t now_ms)
{
    struct wheel *w;
    CHECK_INT(ERR_OK, wheel_new(&w, now_ms));
    return w;
}

struct seen {
    struct wheel_timer *timers[16];
    size_t count;
};

static void note(struct wheel_timer *t, void *arg)
{
    struct seen *seen = arg;
    assert_true(seen->count < 16);
    seen->timers[seen->count++] = t;
}

TEST(no_memory_is_reported)
{
    struct wheel *w;
    refuse_memory = true;
    CHECK_INT(ERR_NOMEM, wheel_new(&w, 0));
    refuse_memory = false;
    assert_null(w);
    wheel_free(&w);
}

TEST(a_timer_fires_at_its_time_and_not_a_millisecond_before)
{
    static const uint64_t delays[] = {
        0,           1,           15,          16,           17,           4095,
        4096,        4097,        1048575,     1048576,      268435455,    268435456,
        68719476735, 68719476736, 68719476737, 500000000000, 9000000000000
    };
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        uint64_t start_ms = 123456789;
        struct wheel *w = open_wheel(start_ms);
        struct wheel_timer t = { 0 };
        struct seen seen = { 0 };

        wheel_start(w, &t, start_ms + delays[i]);
        if (delays[i] > 0) CHECK_INT(0, wheel_advance(w, start_ms + delays[i] - 1, note, &seen));
        CHECK_TRUE(wheel_running(&t));
        CHECK_INT(1, wheel_advance(w, start_ms + delays[i], note, &seen));
        CHECK_TRUE(!wheel_running(&t));
        CHECK_INT(UINT64_MAX, wheel_wait_ms(w, start_ms + delays[i]));
        wheel_free(&w);
    }
}

TEST(a_time_that_is_past_fires_at_the_next_advance)
{
    struct wheel *w = open_wheel(1000000);
    struct wheel_timer t = { 0 };
    struct seen seen = { 0 };

    wheel_start(w, &t, 5);
    CHECK_INT(0, wheel_wait_ms(w, 1000000));
    CHECK_INT(1, wheel_advance(w, 1000000, note, &seen));
    wheel_free(&w);
}

TEST(a_stopped_timer_does_not_fire_and_stopping_twice_is_no_harm)
{
    struct wheel *w = open_wheel(0);
    struct wheel_timer a = { 0 }, b = { 0 };
    struct seen seen = { 0 };

    wheel_stop(w, &a);
    wheel_start(w, &a, 100);
    wheel_start(w, &b, 100);
    wheel_stop(w, &a);
    wheel_stop(w, &a);
    CHECK_TRUE(!wheel_running(&a));
    CHECK_INT(1, wheel_advance(w, 1000, note, &seen));
    CHECK_TRUE(seen.timers[0] == &b);
    wheel_free(&w);
}

TEST(a_running_timer_started_again_fires_once_at_its_new_time)
{
    struct wheel *w = open_wheel(0);
    struct wheel_timer t = { 0 };
    struct seen seen = { 0 };

    wheel_start(w, &t, 100);
    wheel_start(w, &t, 5000);
    CHECK_INT(0, wheel_advance(w, 4999, note, &seen));
    CHECK_INT(1, wheel_advance(w, 5000, note, &seen));
    wheel_start(w, &t, 9000);
    wheel_start(w, &t, 5100);
    CHECK_INT(1, wheel_advance(w, 20000, note, &seen));
    wheel_free(&w);
}

TEST(timers_of_one_advance_fire_in_order_of_their_ticks)
{
    static const uint64_t when[] = { 90000000, 70, 4200, 2000000, 300, 10000, 20, 1100000 };
    struct wheel *w = open_wheel(3);
    struct wheel_timer t[8] = { 0 };
    struct seen seen = { 0 };

    for (size_t i = 0; i < 8; i++) wheel_start(w, &t[i], when[i]);
    CHECK_INT(8, wheel_advance(w, 100000000, note, &seen));
    for (size_t i = 1; i < 8; i++) CHECK_TRUE(seen.timers[i - 1]->when_ms < seen.timers[i]->when_ms);
    wheel_free(&w);
}

struct again {
    struct wheel *w;
    struct wheel_timer *other;
    uint64_t next_ms;
    unsigned fired;
};

static void start_again(struct wheel_timer *t, void *arg)
{
    struct again *a = arg;
    a->fired++;
    CHECK_TRUE(!wheel_running(t));
    wheel_start(a->w, t, a->next_ms);
}

TEST(a_timer_that_starts_itself_for_now_fires_once_in_each_advance)
{
    struct again a = { .w = open_wheel(0) };
    struct wheel_timer t = { 0 };

    wheel_start(a.w, &t, 50);
    for (unsigned i = 1; i <= 3; i++) {
        CHECK_INT(1, wheel_advance(a.w, 1000, start_again, &a));
        CHECK_INT(i, a.fired);
        CHECK_INT(0, wheel_wait_ms(a.w, 1000));
    }
    wheel_free(&a.w);
}

static void stop_other(struct wheel_timer *t, void *arg)
{
    struct again *a = arg;
    a->fired++;
    wheel_stop(a->w, t == a->other ? t - 1 : a->other);
}

TEST(a_timer_stopped_by_one_that_fires_with_it_does_not_fire)
{
    struct wheel_timer t[3] = { 0 };
    struct again a = { .w = open_wheel(0), .other = &t[1] };
    struct seen seen = { 0 };

    wheel_start(a.w, &t[0], 50);
    wheel_start(a.w, &t[1], 100);
    wheel_start(a.w, &t[2], 150);
    CHECK_INT(2, wheel_advance(a.w, 1000, stop_other, &a));
    CHECK_INT(2, a.fired);
    CHECK_INT(0, wheel_advance(a.w, 100000, note, &seen));
    CHECK_INT(UINT64_MAX, wheel_wait_ms(a.w, 100000));
    wheel_free(&a.w);
}

TEST(the_wait_is_never_longer_than_to_the_next_timer)
{
    static const uint64_t when[] = { 7, 16, 500, 4096, 5000, 2000000, 300000000, 70000000000, 200000000000 };
    struct seen seen = { 0 };

    for (size_t i = 0; i < sizeof when / sizeof *when; i++) {
        struct wheel *w = open_wheel(0);
        struct wheel_timer t = { 0 };
        uint64_t now_ms = 0;
        unsigned wakes = 0;

        seen.count = 0;
        wheel_start(w, &t, when[i]);
        while (seen.count == 0) {
            uint64_t wait = wheel_wait_ms(w, now_ms);
            assert_true(now_ms + wait <= when[i]);
            now_ms += wait;
            wheel_advance(w, now_ms, note, &seen);
            assert_true(++wakes < 12); /* a few levels to re-sort, no more */
        }
        CHECK_INT(when[i], now_ms);
        wheel_free(&w);
    }
}

TEST(stopping_the_last_timer_of_a_slot_takes_its_wake_away)
{
    struct wheel *w = open_wheel(0);
    struct wheel_timer a = { 0 }, b = { 0 }, c = { 0 };

    wheel_start(w, &a, 1000);
    wheel_start(w, &b, 100000);
    wheel_start(w, &c, 1001);
    wheel_stop(w, &a);
    assert_true(wheel_wait_ms(w, 0) <= 1001);
    wheel_stop(w, &c);
    assert_true(wheel_wait_ms(w, 0) > 4000);
    wheel_stop(w, &b);
    CHECK_INT(UINT64_MAX, wheel_wait_ms(w, 0));
    wheel_free(&w);
}

TEST(a_clock_that_stands_still_or_goes_back_is_no_harm)
{
    struct wheel *w = open_wheel(1000);
    struct wheel_timer t = { 0 }, u = { 0 };
    struct seen seen = { 0 };

    wheel_start(w, &t, 2000);
    CHECK_INT(0, wheel_advance(w, 1500, note, &seen));
    CHECK_INT(0, wheel_advance(w, 1500, note, &seen));
    CHECK_INT(0, wheel_advance(w, 900, note, &seen));
    wheel_start(w, &u, 1510);
    CHECK_INT(1, wheel_advance(w, 1510, note, &seen));
    CHECK_INT(1, wheel_advance(w, 2000, note, &seen));
    wheel_free(&w);
}

/* --- a random life beside a naive model: an array that is searched --- */

enum { TIMERS = 300 };

struct model {
    struct wheel *w;
    struct wheel_timer timers[TIMERS];
    bool running[TIMERS];
    uint64_t when_ms[TIMERS];
    uint64_t now_ms, last_tick;
    uint64_t seed;
    size_t fired;
};

static uint64_t draw(struct model *m, uint64_t below)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (m->seed >> 24) % below;
}

/* Delays of all magnitudes, from 0 to beyond the top level. */
static uint64_t draw_delay(struct model *m)
{
    uint64_t below = (uint64_t)1 << draw(m, 40);
    return draw(m, below);
}

static void model_start(struct model *m, size_t i)
{
    m->running[i] = true;
    m->when_ms[i] = m->now_ms + draw_delay(m);
    if (draw(m, 20) == 0) m->when_ms[i] = m->now_ms / 2;
    wheel_start(m->w, &m->timers[i], m->when_ms[i]);
}

static void model_stop(struct model *m, size_t i)
{
    m->running[i] = false;
    wheel_stop(m->w, &m->timers[i]);
}

static void model_fire(struct wheel_timer *t, void *arg)
{
    struct model *m = arg;
    size_t i = (size_t)(t - m->timers);

    assert_true(m->running[i] && !wheel_running(t));
    assert_true(m->when_ms[i] <= m->now_ms);
    m->running[i] = false;
    m->fired++;
    if (draw(m, 4) == 0) model_start(m, i);
    if (draw(m, 8) == 0) model_start(m, draw(m, TIMERS));
    if (draw(m, 8) == 0) model_stop(m, draw(m, TIMERS));
}

/* What is due and runs, and was not started by a callback of the advance just done, must have fired. */
static void model_advance(struct model *m)
{
    bool due[TIMERS];
    size_t fired_before = m->fired;

    for (size_t i = 0; i < TIMERS; i++) due[i] = m->running[i] && m->when_ms[i] <= m->now_ms;
    size_t fired = wheel_advance(m->w, m->now_ms, model_fire, m);
    CHECK_INT(m->fired - fired_before, fired);

    uint64_t soonest = UINT64_MAX;
    size_t due_left = 0, due_before = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        CHECK_INT(m->running[i], wheel_running(&m->timers[i]));
        if (due[i]) due_before++;
        if (m->running[i] && m->when_ms[i] <= m->now_ms) due_left++;
        if (m->running[i] && m->when_ms[i] < soonest) soonest = m->when_ms[i];
    }
    assert_true(fired <= due_before);
    assert_true(due_left <= 3 * fired); /* started by callbacks only */
    uint64_t wait = wheel_wait_ms(m->w, m->now_ms);
    if (soonest == UINT64_MAX)
        CHECK_INT(UINT64_MAX, wait);
    else
        assert_true(soonest <= m->now_ms ? wait == 0 : wait <= soonest - m->now_ms);
}

static void live(uint64_t seed, bool exactly)
{
    struct model *m = calloc(1, sizeof *m);

    assert_non_null(m);
    m->seed = seed;
    m->now_ms = draw_delay(m);
    m->w = open_wheel(m->now_ms);
    for (unsigned step = 0; step < 4000; step++) {
        uint64_t wait = wheel_wait_ms(m->w, m->now_ms);
        for (uint64_t n = draw(m, 6); n > 0; n--) {
            if (draw(m, 3) > 0)
                model_start(m, draw(m, TIMERS));
            else
                model_stop(m, draw(m, TIMERS));
        }
        wait = wheel_wait_ms(m->w, m->now_ms);
        if (exactly && wait != UINT64_MAX)
            m->now_ms += wait;
        else
            m->now_ms += draw_delay(m) >> draw(m, 20);
        model_advance(m);
    }
    assert_true(m->fired > 100);
    wheel_free(&m->w);
    free(m);
}

TEST(a_random_life_is_that_of_a_naive_list)
{
    for (uint64_t seed = 1; seed <= 10; seed++) live(seed, false);
}

TEST(a_random_life_woken_by_the_waits_alone_is_that_of_a_naive_list)
{
    for (uint64_t seed = 11; seed <= 20; seed++) live(seed, true);
}
