/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/script_mutate.h"
#include "fuzz/script.h"
#include <string.h>

enum { EDITS_MAX = 4, RUN_MAX = 8, KNOWN = 64 };

/* Scripts that came before: their steps are put among those of others. */
struct known {
    size_t size;
    uint8_t at[(SCRIPT_STEPS_MAX + 1) * STEP_BYTES];
};

static struct known known[KNOWN];
static uint64_t state;

static size_t draw(size_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return below == 0 ? 0 : (size_t)(state >> 33) % below;
}

/* A script under change; steps count from 1, for the first eight bytes are its configuration. */
struct script {
    uint8_t *at;
    size_t steps, steps_max;
};

static uint8_t *step_at(const struct script *s, size_t i)
{
    return s->at + i * STEP_BYTES;
}

/* Makes room for a step before i; NULL: there is none. */
static uint8_t *open_step(struct script *s, size_t i)
{
    if (s->steps == s->steps_max) return NULL;
    memmove(step_at(s, i + 1), step_at(s, i), (s->steps - i) * STEP_BYTES);
    s->steps++;
    return step_at(s, i);
}

static size_t any_step(const struct script *s)
{
    return 1 + draw(s->steps - 1);
}

static void remove_steps(struct script *s)
{
    size_t first = any_step(s), count = 1 + draw(draw(2) == 0 ? 1 : RUN_MAX);
    if (count > s->steps - first) count = s->steps - first;
    memmove(step_at(s, first), step_at(s, first + count), (s->steps - first - count) * STEP_BYTES);
    s->steps -= count;
}

/* Few kinds matter most; and mostly all is turned after a step. */
static void fill_step(uint8_t *at)
{
    static const uint8_t common[] = { STEP_CONNECT, STEP_PUBLISH, STEP_PUBLISH, STEP_SUBSCRIBE, STEP_ACK };
    at[0] = (uint8_t)(draw(2) == 0 ? common[draw(sizeof common)] : draw(256));
    at[1] = (uint8_t)(draw(3) | (draw(4) == 0 ? draw(4) << 4 : 0));
    for (size_t i = 2; i < STEP_BYTES; i++) at[i] = (uint8_t)(draw(3) == 0 ? draw(256) : draw(4));
}

static void insert_step(struct script *s)
{
    uint8_t *at = open_step(s, 1 + draw(s->steps));
    if (at != NULL) fill_step(at);
}

static void copy_step(struct script *s)
{
    uint8_t copy[STEP_BYTES];
    memcpy(copy, step_at(s, any_step(s)), sizeof copy);
    uint8_t *at = open_step(s, 1 + draw(s->steps));
    if (at != NULL) memcpy(at, copy, sizeof copy);
}

static void swap_steps(struct script *s)
{
    uint8_t copy[STEP_BYTES], *a = step_at(s, any_step(s)), *b = step_at(s, any_step(s));
    memcpy(copy, a, sizeof copy);
    memmove(a, b, sizeof copy);
    memcpy(b, copy, sizeof copy);
}

static void graft_steps(struct script *s)
{
    const struct known *from = &known[draw(KNOWN)];
    size_t theirs = from->size / STEP_BYTES;
    if (theirs < 2) return;
    size_t first = 1 + draw(theirs - 1), count = 1 + draw(theirs - first), to = 1 + draw(s->steps);
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = open_step(s, to + i);
        if (at == NULL) break;
        memcpy(at, from->at + (first + i) * STEP_BYTES, STEP_BYTES);
    }
}

static void change_byte(uint8_t *at)
{
    switch (draw(4)) {
    case 0: *at ^= (uint8_t)(1u << draw(8)); break;
    case 1: *at = (uint8_t)(*at + draw(7) - 3); break;
    case 2: *at = (uint8_t)draw(8); break;
    default: *at = (uint8_t)draw(256); break;
    }
}

static void edit(struct script *s)
{
    size_t what = draw(17);
    if (s->steps < 2 || what == 0) {
        insert_step(s);
        return;
    }
    switch (what) {
    case 1:
    case 2: insert_step(s); break;
    case 3:
    case 4: copy_step(s); break;
    case 5: remove_steps(s); break;
    case 6: swap_steps(s); break;
    case 7: step_at(s, any_step(s))[1] ^= (uint8_t)(1 + draw(7)); break;        /* who */
    case 8: step_at(s, any_step(s))[1] ^= (uint8_t)((1 + draw(3)) << 4); break; /* turns */
    case 9: change_byte(s->at + draw(STEP_BYTES)); break;                       /* configuration */
    case 11: graft_steps(s); break;
    case 10: fill_step(step_at(s, any_step(s))); break;
    default: change_byte(step_at(s, any_step(s)) + draw(STEP_BYTES)); break;
    }
}

static struct script begin(uint8_t *at, size_t size, size_t room, uint32_t seed)
{
    struct script s = { at, size / STEP_BYTES, room / STEP_BYTES };
    state = seed * 0x9e3779b97f4a7c15u + 1;
    if (s.steps_max > SCRIPT_STEPS_MAX + 1) s.steps_max = SCRIPT_STEPS_MAX + 1;
    if (s.steps == 0 && s.steps_max > 0) {
        memset(at, 0, STEP_BYTES);
        s.steps = 1;
    }
    if (s.steps > s.steps_max) s.steps = s.steps_max;
    return s;
}

size_t script_mutate(uint8_t *at, size_t size, size_t room, uint32_t seed)
{
    struct script s = begin(at, size, room, seed);
    if (s.steps_max < 2) return size;
    struct known *k = &known[draw(KNOWN)];
    k->size = s.steps * STEP_BYTES;
    memcpy(k->at, at, k->size);
    for (size_t n = 1 + draw(EDITS_MAX); n > 0; n--) edit(&s);
    return s.steps * STEP_BYTES;
}
