/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wheel - hierarchical timer wheel: start and stop in O(1), no scan, any number of timers.
 *
 * Time is an argument, in milliseconds of a clock that does not go back. A timer fires in the first
 * wheel_advance() at or after its time, never before; within one call, in order of time to the tick.
 *
 * Thread:  owned by one shard; no locks.
 * Memory:  timers are intrusive and the caller's; the wheel itself is one fixed block.
 * Limits:  resolution WHEEL_TICK_MS; times farther away than the top level are kept and re-sorted.
 * Errors:  none.
 * Tests:   tests/unit/test_wheel.c
 */
#ifndef WHEEL_WHEEL_H
#define WHEEL_WHEEL_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEEL_TICK_MS = 16 };

struct wheel; /* opaque */

struct wheel_timer {
    struct wheel_timer *next, **at; /* at is NULL while not running */
    uint64_t when_ms;
};

/* Called with the timer already stopped; may start it again, or start and stop any other. */
typedef void wheel_fire(struct wheel_timer *t, void *arg);

enum err wheel_new(struct wheel **out, uint64_t now_ms);
void wheel_free(struct wheel **owner); /* forgets running timers */

void wheel_start(struct wheel *w, struct wheel_timer *t, uint64_t when_ms); /* restarts a running one */
void wheel_stop(struct wheel *w, struct wheel_timer *t);                    /* no effect on a stopped one */
static inline bool wheel_running(const struct wheel_timer *t)
{
    return t->at != NULL;
}

/* Fires all that is due at now_ms. Gives how many fired. */
size_t wheel_advance(struct wheel *w, uint64_t now_ms, wheel_fire *fire, void *arg);

/* Milliseconds from now_ms until wheel_advance() is next worth calling; UINT64_MAX when nothing runs. May be
 * earlier than the next timer (a level to re-sort), never later. */
uint64_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms);

#endif
