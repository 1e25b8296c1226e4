/* SPDX-License-Identifier: Apache-2.0 */
#include "base/epoch.h"
#include "base/list.h"
#include "base/thread.h"
#include "kit/test.h"
#include <stdatomic.h>
#include <stdlib.h>

struct object {
    struct epoch_node node;
    unsigned value, check;
};

static unsigned destroyed, destroyed_value;

static void note_destroyed(struct epoch_node *n)
{
    destroyed++;
    destroyed_value = CONTAINER(n, struct object, node)->value;
}

static void retire(struct epoch *e, unsigned slot, struct object *o)
{
    epoch_retire(e, slot, &o->node);
}

static struct epoch *epoch_that(unsigned participants, epoch_destroy *destroy)
{
    struct epoch *e = NULL;
    CHECK_INT(ERR_OK, epoch_new(&e, participants, destroy));
    destroyed = 0;
    return e;
}

static struct epoch *epoch_of(unsigned participants)
{
    return epoch_that(participants, note_destroyed);
}

TEST(an_object_lives_while_a_reader_from_before_has_not_been_quiet)
{
    struct epoch *e = epoch_of(2);
    struct object o = { .value = 1 };
    epoch_online(e, 0);
    epoch_online(e, 1);
    retire(e, 0, &o);
    for (int i = 0; i < 3; i++) epoch_quiet(e, 0);
    CHECK_INT(0, destroyed);
    CHECK_INT(1, epoch_waiting(e, 0));
    epoch_quiet(e, 1);
    CHECK_INT(0, destroyed);
    epoch_quiet(e, 0);
    CHECK_INT(1, destroyed);
    CHECK_INT(0, epoch_waiting(e, 0));
    epoch_offline(e, 0);
    epoch_offline(e, 1);
    epoch_free(&e);
    CHECK_TRUE(e == NULL);
    CHECK_INT(1, destroyed);
}

TEST(who_is_off_line_holds_nothing_up)
{
    struct epoch *e = epoch_of(3);
    struct object o = { .value = 1 };
    epoch_online(e, 0);
    epoch_online(e, 1);
    retire(e, 0, &o);
    epoch_offline(e, 1);
    epoch_quiet(e, 0);
    CHECK_INT(1, destroyed);
    epoch_offline(e, 0);
    epoch_free(&e);
}

TEST(who_comes_on_line_after_the_retirement_holds_nothing_up)
{
    struct epoch *e = epoch_of(2);
    struct object o = { .value = 1 };
    epoch_online(e, 0);
    retire(e, 0, &o);
    epoch_online(e, 1);
    epoch_quiet(e, 0);
    CHECK_INT(1, destroyed);
    epoch_offline(e, 0);
    epoch_offline(e, 1);
    epoch_free(&e);
}

TEST(a_reader_holds_up_what_was_retired_after_it_and_not_what_was_before)
{
    struct epoch *e = epoch_of(2);
    struct object o[2] = { { .value = 1 }, { .value = 2 } };
    epoch_online(e, 0);
    retire(e, 0, &o[0]);
    epoch_online(e, 1);
    retire(e, 0, &o[1]);
    epoch_quiet(e, 0);
    CHECK_INT(1, destroyed);
    CHECK_INT(1, destroyed_value);
    CHECK_INT(1, epoch_waiting(e, 0));
    epoch_offline(e, 1);
    epoch_quiet(e, 0);
    CHECK_INT(2, destroyed_value);
    epoch_offline(e, 0);
    epoch_free(&e);
}

TEST(what_waits_at_the_end_is_destroyed_by_freeing)
{
    struct epoch *e = epoch_of(2);
    struct object o[3] = { { .value = 1 }, { .value = 2 }, { .value = 3 } };
    epoch_online(e, 1);
    retire(e, 0, &o[0]);
    retire(e, 0, &o[1]);
    retire(e, 1, &o[2]);
    CHECK_INT(2, epoch_waiting(e, 0));
    CHECK_INT(1, epoch_waiting(e, 1));
    epoch_offline(e, 1);
    CHECK_INT(0, destroyed);
    epoch_free(&e);
    CHECK_INT(3, destroyed);
}

static struct epoch *chain_epoch;
static struct object chained = { .value = 2 };

static void retire_another(struct epoch_node *n)
{
    note_destroyed(n);
    if (n != &chained.node) retire(chain_epoch, 0, &chained);
}

TEST(an_object_may_retire_another_when_it_is_destroyed)
{
    chain_epoch = epoch_that(1, retire_another);
    struct object o = { .value = 1 };
    epoch_online(chain_epoch, 0);
    epoch_retire(chain_epoch, 0, &o.node);
    epoch_quiet(chain_epoch, 0);
    CHECK_INT(1, epoch_waiting(chain_epoch, 0));
    epoch_quiet(chain_epoch, 0);
    CHECK_INT(2, destroyed);
    epoch_offline(chain_epoch, 0);
    epoch_free(&chain_epoch);
}

/* --- threads: every one replaces shared objects and reads those of all others */

enum { THREADS = 4, STEPS = 20000 };

struct stage {
    struct epoch *epoch;
    _Atomic(struct object *) current[THREADS];
    atomic_uint made, gone;
};

struct actor {
    struct thread thread;
    struct stage *stage;
    unsigned slot, faults;
};

static struct stage *stage_now;

static void spoil_and_free(struct epoch_node *n)
{
    struct object *o = CONTAINER(n, struct object, node);
    o->check = o->value;
    atomic_fetch_add_explicit(&stage_now->gone, 1, memory_order_relaxed);
    free(o);
}

static struct object *object_new(struct stage *s, unsigned value)
{
    struct object *o = malloc(sizeof *o);
    *o = (struct object){ { 0 }, value, ~value };
    atomic_fetch_add_explicit(&s->made, 1, memory_order_relaxed);
    return o;
}

static void replace_own(struct actor *a, unsigned value)
{
    struct object *fresh = object_new(a->stage, value);
    struct object *old = atomic_exchange_explicit(&a->stage->current[a->slot], fresh, memory_order_acq_rel);
    epoch_retire(a->stage->epoch, a->slot, &old->node);
}

static void actor_run(void *arg)
{
    struct actor *a = arg;
    struct stage *s = a->stage;
    epoch_online(s->epoch, a->slot);
    for (unsigned step = 0; step < STEPS; step++) {
        if (step % 2 == 0) replace_own(a, step);
        for (unsigned i = 0; i < THREADS; i++) {
            const struct object *o = atomic_load_explicit(&s->current[i], memory_order_acquire);
            a->faults += o->check != ~o->value;
        }
        if (step % 3 == 0) epoch_quiet(s->epoch, a->slot);
        if (step % 50 == 0) {
            epoch_offline(s->epoch, a->slot);
            epoch_online(s->epoch, a->slot);
        }
    }
    epoch_offline(s->epoch, a->slot);
}

TEST(readers_of_many_threads_never_meet_a_destroyed_object)
{
    struct stage s = { .epoch = epoch_that(THREADS, spoil_and_free) };
    struct actor actors[THREADS];
    stage_now = &s;
    for (unsigned i = 0; i < THREADS; i++) atomic_init(&s.current[i], object_new(&s, i));
    for (unsigned i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){ .stage = &s, .slot = i };
        CHECK_INT(ERR_OK, thread_start(&actors[i].thread, "actor", actor_run, &actors[i]));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&actors[i].thread);
        CHECK_INT(0, actors[i].faults);
    }
    epoch_free(&s.epoch);
    CHECK_INT(atomic_load(&s.made) - THREADS, atomic_load(&s.gone));
    for (unsigned i = 0; i < THREADS; i++) free(atomic_load(&s.current[i]));
}
