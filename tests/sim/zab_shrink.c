/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/zab_shrink.h"

struct shrinking {
    struct world *w;
    const char *invariant;
    struct plan trial;
    uint32_t runs;
};

static bool fails(struct shrinking *s)
{
    if (s->runs++ >= SHRINK_RUNS_MAX) return false;
    world_run(s->w, &s->trial);
    return s->w->is_failed && strcmp(s->w->invariant, s->invariant) == 0;
}

/* Without the actions [from, to). */
static bool try_without(struct shrinking *s, struct plan *p, uint32_t from, uint32_t to)
{
    plan_copy(&s->trial, p);
    memmove(s->trial.acts + from, s->trial.acts + to, (p->count - to) * sizeof *p->acts);
    s->trial.count -= to - from;
    if (!fails(s)) return false;
    plan_copy(p, &s->trial);
    return true;
}

static void cut_end(struct shrinking *s, struct plan *p)
{
    uint32_t count = 0;
    plan_copy(&s->trial, p);
    if (!fails(s)) return;
    while (count < p->count && p->acts[count].at_us <= s->w->failed_at_us) count++;
    if (count < p->count) try_without(s, p, count, p->count);
}

bool shrink(struct world *w, struct plan *p, const char *invariant)
{
    struct shrinking s = { .w = w, .invariant = invariant };
    uint32_t before = p->count, chunk = p->count / 2;
    cut_end(&s, p);
    for (; chunk > 0 && s.runs < SHRINK_RUNS_MAX; chunk /= 2) {
        uint32_t at = 0;
        while (at < p->count && s.runs < SHRINK_RUNS_MAX) {
            uint32_t to = at + chunk < p->count ? at + chunk : p->count;
            if (!try_without(&s, p, at, to)) at = to;
        }
    }
    plan_fini(&s.trial);
    return p->count < before;
}
