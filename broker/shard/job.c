/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/job.h"
#include "base/check.h"
#include <stdlib.h>

struct subscribe_job *job_new(struct shard *sh, struct conn *c, uint16_t packet_id, uint16_t count)
{
    struct session *s = c->session;
    if (s->fence != NULL && s->fence->jobs_count >= JOBS_SESSION_MAX) return NULL;
    struct subscribe_job *j = calloc(1, sizeof *j + 2 * (size_t)count);
    if (j == NULL) return NULL;
    if (session_fence_open(s) != ERR_OK) {
        free(j);
        return NULL;
    }
    list_init(&j->link);
    j->packet_id = packet_id;
    j->count = count;
    j->version = c->version;
    j->shard = sh;
    j->conn = c;
    j->session = s;
    j->since = s->fence->notes;
    list_add(&s->fence->jobs, &j->of_session);
    s->fence->jobs_count++;
    if (++c->jobs_count >= JOBS_WAITING_MAX) {
        conn_pause(sh, c, PAUSE_JOBS);
        conn_mark_dirty(sh, c); /* the parked ones go on: no acknowledgement will be read for them */
    }
    return j;
}

bool job_has_id(const struct conn *c, uint16_t packet_id)
{
    if (c->version != MQTT_V5 || !session_has_jobs(c->session)) return false;
    const struct list *jobs = &c->session->fence->jobs;
    for (struct list *at = jobs->next; at != jobs; at = at->next) {
        const struct subscribe_job *j = CONTAINER(at, struct subscribe_job, of_session);
        if (j->conn == c && j->packet_id == packet_id && !j->is_walking) return true;
    }
    return false;
}

static void leave_conn(struct subscribe_job *j)
{
    if (j->conn == NULL) return;
    if (j->is_taking) j->conn->asking = NULL;
    if (--j->conn->jobs_count < JOBS_WAITING_MAX / 2) conn_resume(j->shard, j->conn, PAUSE_JOBS);
    j->conn = NULL;
}

static void leave_session(struct subscribe_job *j)
{
    struct session *s = j->session;
    if (s == NULL) return;
    list_remove(&j->of_session);
    s->fence->jobs_count--;
    if (j->is_fenced)
        session_fence_end(s);
    else
        session_fence_tidy(s);
    j->is_fenced = false;
    j->session = NULL;
}

void job_free(struct subscribe_job *j)
{
    leave_conn(j);
    leave_session(j);
    list_remove(&j->link);
    command_unref(&j->command);
    msg_unref(&j->last);
    free(j);
}

/* Without its session nobody else would come to go on with it. */
static void free_if_held(struct subscribe_job *j)
{
    if (j->session == NULL && j->is_held && j->joins == 0) job_free(j);
}

/* Its connection is gone: of what it has not taken yet nobody has been told. */
static void end_taking(struct subscribe_job *j)
{
    j->is_taking = false;
    j->is_held = j->joins > 0;
    if (j->session == NULL) {
        if (!j->is_held) job_free(j);
        return;
    }
    memmove(j->codes + j->taken, job_wants(j), j->taken);
    j->count = j->taken;
    j->command->data.len = j->taken_bytes;
    subscribe_settle_codes(j);
    job_begin(j->shard, j);
}

/* A parked job has nothing under way: nobody would come to free it, or to go on with it. */
static void conn_gone(struct subscribe_job *j)
{
    leave_conn(j);
    if (!j->session->persistent) leave_session(j);
    if (j->is_parked) {
        j->is_parked = false;
        retain_step(j->shard, j);
    } else if (j->is_taking) {
        end_taking(j);
    } else {
        free_if_held(j);
    }
}

/* While there are jobs: so that their list stays, when the last of them goes. */
static struct list *hold_jobs(struct session *s)
{
    CHECK(session_fence_begin(s) == ERR_OK);
    return &s->fence->jobs;
}

void jobs_conn_gone(struct session *s)
{
    if (!session_has_jobs(s)) return;
    struct list *next, *jobs = hold_jobs(s);
    for (struct list *at = jobs->next; at != jobs; at = next) {
        struct subscribe_job *j = CONTAINER(at, struct subscribe_job, of_session);
        next = at->next;
        if (j->conn != NULL) conn_gone(j);
    }
    session_fence_end(s);
}

void jobs_session_gone(struct session *s)
{
    while (session_has_jobs(s)) {
        struct subscribe_job *j = CONTAINER(s->fence->jobs.next, struct subscribe_job, of_session);
        leave_session(j);
        if (j->is_parked)
            job_free(j);
        else
            free_if_held(j);
    }
}

/* --- waiting for groups */

static struct subscribe_job *before(const struct subscribe_job *j)
{
    struct list *prev = j->of_session.prev;
    return prev == &j->session->fence->jobs ? NULL : CONTAINER(prev, struct subscribe_job, of_session);
}

/* What the groups refused must not stand in the journal. */
static void release(struct shard *sh, struct subscribe_job *j)
{
    j->is_held = false;
    if (j->command == NULL) { /* there was no memory for it: its connection has ended */
        job_free(j);
        return;
    }
    if (j->command->kind == COMMAND_SUBSCRIBE) command_mark_refused(j->command, bytes_of(j->codes, j->count));
    fence_begin(sh, j);
}

void job_begin(struct shard *sh, struct subscribe_job *j)
{
    const struct subscribe_job *earlier = before(j);
    j->is_held = j->joins > 0 || (earlier != NULL && earlier->is_held);
    if (!j->is_held) fence_begin(sh, j);
}

void job_joined(struct shard *sh, struct subscribe_job *j)
{
    if (j->session == NULL) {
        job_free(j);
        return;
    }
    struct session *s = j->session;
    struct list *next, *jobs = hold_jobs(s);
    for (struct list *at = jobs->next; at != jobs; at = next) {
        struct subscribe_job *first = CONTAINER(at, struct subscribe_job, of_session);
        next = at->next;
        if (first->is_held && first->joins > 0) break;
        if (first->is_held) release(sh, first);
    }
    session_fence_end(s);
}

/* Its turn to go to the journal. Without its connection too: the subscriptions stand already. */
void job_submitted(struct shard *sh, struct subscribe_job *j)
{
    struct command *c = j->command;
    ref_add(&c->ref, 1); /* the filters are walked after completion */
    journal_put(sh, c);
}

/* Before 5.0 there was one code for all failures [MQTT-3.9.3-2], and in 3.1 none: the least is granted, which
 * is no more than the client has. */
static void make_older(struct subscribe_job *j)
{
    for (uint16_t i = 0; i < j->count; i++)
        if (j->codes[i] > 2) j->codes[i] = j->version == MQTT_V31 ? 0 : 0x80;
}

/* The first refusal, if there is one. */
static uint8_t worst_of(const struct subscribe_job *j)
{
    for (uint16_t i = 0; i < j->count; i++)
        if (j->codes[i] >= 0x80) return j->codes[i];
    return 0;
}

void job_answer(struct shard *sh, struct conn *c, struct subscribe_job *j)
{
    if (j->version != MQTT_V5) make_older(j);
    uint32_t bare = 16 + (uint32_t)j->count;
    uint8_t worst = worst_of(j);
    size_t room = bare + (worst == 0 ? 0 : 3 + ADVICE_BYTES_MAX);
    uint8_t *at = conn_reserve(sh, c, room);
    if (at == NULL) {
        conn_doom(sh, c);
        return;
    }
    struct wr w = { .at = at, .left = room };
    struct suback a = { .id = j->packet_id, .codes = bytes_of(j->codes, j->count) };
    if (worst != 0) conn_give_reason(c, &a.props, worst, bare);
    if (j->is_unsubscribe)
        unsuback_encode(&w, c->version, &a);
    else
        suback_encode(&w, c->version, &a);
    CHECK(!w.bad);
    conn_commit(sh, c, (size_t)(w.at - at));
}

/* The connection lost the session to another one before the journal had its command, which so had no effect.
 * But the index has changed, and the session lives: the journal is told what stands there now, under the
 * present claim. Where a later packet has changed a filter again, that packet's own command tells it. Nobody
 * is answered. */
static void settle(struct shard *sh, struct subscribe_job *j)
{
    bool was_superseded = j->command->claim_no != j->session->claim_no; /* else it would be stale again */
    struct command *c = was_superseded ? subscribe_settle(sh, j) : NULL;
    if (c == NULL) {
        job_free(j);
        return;
    }
    c->job = j;
    command_unref(&j->command);
    j->command = c;
    j->is_settling = true;
    job_submitted(sh, j);
}

static void begin_walk(struct shard *sh, struct subscribe_job *j)
{
    struct bytes filters = j->command->data;
    j->position = j->command->position;
    j->is_walking = true;
    j->walk = (struct subscribe){ .count = j->count, .filters = { filters.at, filters.len, false } };
    if (j->conn != NULL) job_answer(sh, j->conn, j);
}

void job_done(struct shard *sh, struct command *cmd)
{
    struct subscribe_job *j = cmd->job;
    bool is_over = j->session == NULL || sh->closing;
    if (!is_over && cmd->result != COMMAND_DURABLE) {
        settle(sh, j);
        return;
    }
    is_over |= j->is_settling;
    if (!is_over && !j->is_walking) begin_walk(sh, j);
    if (is_over || j->is_unsubscribe) {
        job_free(j);
        return;
    }
    j->fenced = j->session->fence->notes;
    retain_step(sh, j);
}

void jobs_resume(struct shard *sh, struct session *s)
{
    struct list *next, *jobs = hold_jobs(s);
    for (struct list *at = jobs->next; at != jobs; at = next) {
        struct subscribe_job *j = CONTAINER(at, struct subscribe_job, of_session);
        next = at->next;
        if (!j->is_parked) continue;
        j->is_parked = false;
        retain_step(sh, j);
    }
    session_fence_end(s);
}
