/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in ticks is a number of four digits of eight bits; what is above them is the epoch (2.2 years). A
 * timer stands at the level of the highest digit in which its tick differs from the wheel's, in the slot of
 * its own digit. So at level 0 are the timers whose tick differs in the last digit only, in order; and all of
 * a level comes before all of the level above it.
 *
 *     tick      epoch | digit 3 | digit 2 | digit 1 | digit 0
 *     level                3         2         1         0
 *     a slot is         74 hours  17 min    4.1 s      16 ms
 *
 * At levels 1 to 3 a slot is always greater than the wheel's own digit: when the wheel reaches a slot, its
 * timers move down (slot_sort). That leaves slot 0 of the top level free; it keeps the timers of later
 * epochs, and is sorted again when an epoch begins.
 *
 * The slot of the wheel's own tick may hold timers that are not due yet, for a tick is longer than a
 * millisecond. soonest_ms spares looking at them again and again, and next_ms looking at anything: a loop
 * asks at each of its turns, and mostly in vain. So the wheel's tick stays behind until there is something to
 * do.
 */
#include "wheel/wheel.h"

#include "base/check.h"
#include <stdlib.h>

enum { LEVELS = 4, DIGIT_BITS = 8, SLOTS = 1 << DIGIT_BITS, WORDS = SLOTS / 64, TOP = LEVELS - 1 };

struct wheel {
    uint64_t tick;       /* all that was due before it has been given out */
    uint64_t soonest_ms; /* no timer in the slot of this tick is due earlier */
    uint64_t next_ms;    /* before it there is nothing to do: wheel_advance() */
    size_t running;
    struct wheel_timer *due;      /* taken out by wheel_advance(), to be fired, in order */
    uint64_t used[LEVELS][WORDS]; /* a bit for each slot that holds a timer */
    struct wheel_timer *slots[LEVELS][SLOTS];
};

static unsigned digit(uint64_t tick, unsigned level)
{
    return tick >> (level * DIGIT_BITS) & (SLOTS - 1);
}

static void bit_set(struct wheel *w, unsigned level, unsigned slot)
{
    w->used[level][slot / 64] |= (uint64_t)1 << slot % 64;
}

static void bit_clear(struct wheel *w, unsigned level, unsigned slot)
{
    w->used[level][slot / 64] &= ~((uint64_t)1 << slot % 64);
}

/* First slot in use at or after `from`; SLOTS when there is none. */
static unsigned slot_next(const struct wheel *w, unsigned level, unsigned from)
{
    for (unsigned word = from / 64; word < WORDS; word++) {
        uint64_t bits = w->used[level][word];
        if (word == from / 64) bits &= ~(uint64_t)0 << from % 64;
        if (bits != 0) return word * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return SLOTS;
}

enum err wheel_new(struct wheel **out, uint64_t now_ms)
{
    struct wheel *w = calloc(1, sizeof *w);

    *out = w;
    if (w == NULL) return ERR_NOMEM;
    w->tick = now_ms / WHEEL_TICK_MS;
    w->soonest_ms = w->next_ms = UINT64_MAX;
    return ERR_OK;
}

void wheel_free(struct wheel **owner)
{
    free(*owner);
    *owner = NULL;
}

static void timer_link(struct wheel_timer **at, struct wheel_timer *t)
{
    t->next = *at;
    t->at = at;
    if (t->next != NULL) t->next->at = &t->next;
    *at = t;
}

static void timer_unlink(struct wheel_timer *t)
{
    *t->at = t->next;
    if (t->next != NULL) t->next->at = t->at;
    t->next = NULL;
    t->at = NULL;
}

static void timer_place(struct wheel *w, struct wheel_timer *t)
{
    uint64_t tick = t->when_ms / WHEEL_TICK_MS;
    if (tick < w->tick) tick = w->tick; /* overdue: the next advance */

    uint64_t differs = tick ^ w->tick;
    unsigned level = differs == 0 ? 0 : (63u - (unsigned)__builtin_clzll(differs)) / DIGIT_BITS;
    unsigned slot = level > TOP ? 0 : digit(tick, level);
    if (level > TOP) level = TOP;
    if (differs == 0 && t->when_ms < w->soonest_ms) w->soonest_ms = t->when_ms;
    timer_link(&w->slots[level][slot], t);
    bit_set(w, level, slot);
}

/* The level of the next slot in use behind the wheel's tick, and the tick that slot begins with; LEVELS when
 * there is none. */
static unsigned slot_ahead(const struct wheel *w, uint64_t *begins)
{
    for (unsigned level = 0; level < LEVELS; level++) {
        unsigned slot = slot_next(w, level, digit(w->tick, level) + 1);
        unsigned shift = level * DIGIT_BITS;
        if (slot == SLOTS) continue;
        *begins = (w->tick >> shift >> DIGIT_BITS << DIGIT_BITS | slot) << shift;
        return level;
    }
    if (w->slots[TOP][0] == NULL) return LEVELS;
    *begins = ((w->tick >> LEVELS * DIGIT_BITS) + 1) << LEVELS * DIGIT_BITS;
    return TOP;
}

/* When there is next something to do, as far as the wheel's tick says. */
static uint64_t next_of(const struct wheel *w)
{
    uint64_t begins = 0;
    if (w->running == 0) return UINT64_MAX;
    if (w->slots[0][digit(w->tick, 0)] != NULL) return w->soonest_ms;
    slot_ahead(w, &begins);
    return begins * WHEEL_TICK_MS;
}

void wheel_start(struct wheel *w, struct wheel_timer *t, uint64_t when_ms)
{
    wheel_stop(w, t);
    t->when_ms = when_ms;
    timer_place(w, t);
    w->running++;
    if (when_ms < w->next_ms) w->next_ms = when_ms;
}

void wheel_stop(struct wheel *w, struct wheel_timer *t)
{
    if (t->at == NULL) return;
    struct wheel_timer **at = t->at;
    timer_unlink(t);
    w->running--;

    /* Was it the last of a slot? Only then does `at` point into the table, and to NULL. */
    uintptr_t offset = (uintptr_t)at - (uintptr_t)&w->slots[0][0];
    if (*at != NULL || offset >= sizeof w->slots) return;
    unsigned index = (unsigned)(offset / sizeof(struct wheel_timer *));
    bit_clear(w, index / SLOTS, index % SLOTS);
    w->next_ms = next_of(w);
}

/* Empties a slot; the caller finds new places for what was in it. */
static struct wheel_timer *slot_take(struct wheel *w, unsigned level, unsigned slot)
{
    struct wheel_timer *head = w->slots[level][slot];
    w->slots[level][slot] = NULL;
    bit_clear(w, level, slot);
    return head;
}

/* The wheel has come to the first tick of this slot: its timers move to lower levels. */
static void slot_sort(struct wheel *w, unsigned level, unsigned slot)
{
    struct wheel_timer *t = slot_take(w, level, slot), *next;

    for (; t != NULL; t = next) {
        next = t->next;
        timer_place(w, t);
    }
}

/* Appends to *tail what is due in the slot of the wheel's tick; gives the new tail. */
static struct wheel_timer **slot_collect(struct wheel *w, uint64_t now_ms, struct wheel_timer **tail)
{
    if (now_ms < w->soonest_ms) return tail;
    struct wheel_timer *t = slot_take(w, 0, digit(w->tick, 0)), *next;

    w->soonest_ms = UINT64_MAX;
    for (; t != NULL; t = next) {
        next = t->next;
        if (t->when_ms > now_ms) {
            timer_place(w, t);
            continue;
        }
        timer_link(tail, t);
        tail = &t->next;
    }
    return tail;
}

/* Moves all that is due at now_ms to w->due, in order, and the wheel's tick to now. */
static void due_collect(struct wheel *w, uint64_t now_ms)
{
    struct wheel_timer **tail = slot_collect(w, now_ms, &w->due);
    uint64_t target = now_ms / WHEEL_TICK_MS;

    while (w->tick < target) {
        uint64_t begins = 0;
        unsigned level = slot_ahead(w, &begins);
        bool reached = level < LEVELS && begins <= target;

        w->tick = reached ? begins : target;
        w->soonest_ms = UINT64_MAX;
        if (!reached) continue;
        if (level > 0) slot_sort(w, level, digit(w->tick, level));
        w->soonest_ms = 0; /* not known: slot_collect() looks */
        tail = slot_collect(w, now_ms, tail);
    }
}

size_t wheel_advance(struct wheel *w, uint64_t now_ms, wheel_fire *fire, void *arg)
{
    size_t fired = 0;

    if (now_ms < w->next_ms) return 0;
    /* Collected first, fired afterwards: what fire() starts cannot make this call endless. */
    DCHECK(w->due == NULL);
    due_collect(w, now_ms);
    while (w->due != NULL) {
        struct wheel_timer *t = w->due;
        timer_unlink(t);
        w->running--;
        fired++;
        fire(t, arg);
    }
    w->next_ms = next_of(w);
    return fired;
}

uint64_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms)
{
    if (w->running == 0) return UINT64_MAX;
    return w->next_ms > now_ms ? w->next_ms - now_ms : 0;
}
