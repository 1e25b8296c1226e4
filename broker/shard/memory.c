/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/memory.h"
#include "shard/shard_int.h"

enum {
    LOOK_BYTES = 256 * 1024,
    WATCH_MS = 1000, /* how often a shard that sleeps looks */
    SHED_MS = 100,
    SESSIONS_A_STEP = 4096, /* within half a millisecond */
    PASSES = 3,
    INPUT_ALWAYS = 4096, /* any acknowledgement fits */
    BEYOND_PART = 8,     /* of the limit */
    OUTPUT_MAX_HIGH = 256 * 1024,
    WINDOW_MAX_HIGH = 64 * 1024,
    LATE_MAX_HIGH = 1024 * 1024,
};

/* What one session may keep in RAM of what waits for it, in each pass. */
static const uint64_t kept_bytes[PASSES] = { 1024 * 1024, 64 * 1024, 0 };

static void look(struct shard *sh)
{
    struct memory *m = &sh->memory;
    uint32_t changes = heap_gate_changes(&sh->all->heap);
    uint64_t used = heap_used();
    enum heap_change change = heap_gate_look(&sh->all->heap, changes, used);
    if (change != HEAP_SAME)
        log_event(sh->log, change == HEAP_HIGH ? EVENT_MEMORY_HIGH : EVENT_MEMORY_WELL,
                  LOG_NUM("used_bytes", used), LOG_NUM("memory_limit", heap_gate_limit(&sh->all->heap)));
    if (change == HEAP_HIGH) metrics_add(sh->metrics, METRIC_memory_high, 1);
    if (change == HEAP_WELL) metrics_sub(sh->metrics, METRIC_memory_high, 1);
    m->taken = 0;
    m->looked_ms = sh->now_ms;
    bool is_high = heap_gate_is_high(&sh->all->heap);
    if (is_high == m->is_high) return;
    m->is_high = is_high;
    m->pass = 0;
    m->walk_at = 0;
    sh->alarm_ms[ALARM_MEMORY] = sh->now_ms + (is_high ? SHED_MS : WATCH_MS);
}

void memory_turn(struct shard *sh)
{
    bool is_limited = heap_gate_limit(&sh->all->heap) > 0;
    if (!is_limited && !sh->memory.is_high) return;
    if (sh->alarm_ms[ALARM_MEMORY] == 0) sh->alarm_ms[ALARM_MEMORY] = sh->now_ms + WATCH_MS;
    if (sh->now_ms != sh->memory.looked_ms) look(sh);
}

static bool has_room(struct shard *sh, size_t bytes)
{
    struct memory *m = &sh->memory;
    if (heap_gate_limit(&sh->all->heap) == 0) return true;
    m->taken += bytes < LOOK_BYTES ? bytes : LOOK_BYTES;
    if (m->taken >= LOOK_BYTES) look(sh);
    return !heap_gate_is_high(&sh->all->heap) &&
           (bytes < LOOK_BYTES || heap_gate_has_room(&sh->all->heap, bytes, 0));
}

static bool note(struct shard *sh, bool may)
{
    if (!may) metrics_add(sh->metrics, METRIC_memory_refused_total, 1);
    return may;
}

bool memory_grants(struct shard *sh, size_t bytes)
{
    return note(sh, has_room(sh, bytes));
}

bool memory_grants_input(struct shard *sh, size_t bytes)
{
    if (bytes <= INPUT_ALWAYS || has_room(sh, bytes)) return true;
    uint64_t beyond = heap_gate_limit(&sh->all->heap) / BEYOND_PART;
    return note(sh, bytes <= SCRATCH_BYTES && heap_gate_has_room(&sh->all->heap, bytes, beyond));
}

size_t memory_output_max(const struct shard *sh)
{
    return sh->memory.is_high ? OUTPUT_MAX_HIGH : OUT_BYTES_READ_MAX;
}

size_t memory_window_max(const struct shard *sh)
{
    return sh->memory.is_high ? WINDOW_MAX_HIGH : OUT_BYTES_QOS1_MAX;
}

size_t memory_late_max(const struct shard *sh)
{
    return sh->memory.is_high ? LATE_MAX_HIGH : LATE_BYTES_MAX;
}

static void shed(struct shard *sh, struct session *s)
{
    uint32_t dropped = session_shed(s, kept_bytes[sh->memory.pass]);
    if (dropped == 0) return;
    s->dropped += dropped;
    metrics_add(sh->metrics, METRIC_publish_dropped_queue_full_total, dropped);
    log_event(sh->log, EVENT_SESSION_QUEUE_FULL, LOG_TEXT("client", session_client_id(s)),
              LOG_NUM("dropped", s->dropped));
}

/* Where it stands in the map may be another session by now: one is left out, or comes twice, and there is a
 * next time. */
static void shed_some(struct shard *sh)
{
    struct memory *m = &sh->memory;
    for (int i = 0; i < SESSIONS_A_STEP; i++) {
        struct session *s = map_next(&sh->by_id, &m->walk_at);
        if (s == NULL) {
            m->walk_at = 0;
            if (m->pass < PASSES - 1) m->pass++;
            return;
        }
        shed(sh, s);
    }
}

void memory_alarm(struct shard *sh)
{
    look(sh);
    sh->alarm_ms[ALARM_MEMORY] = sh->now_ms + (sh->memory.is_high ? SHED_MS : WATCH_MS);
    if (!sh->memory.is_high) return;
    out_pool_fini(&sh->pool);
    shed_some(sh);
}
