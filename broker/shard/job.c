/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/job.h"
#include "base/check.h"
#include <stdlib.h>

struct subscribe_job *job_new(struct shard *sh, struct conn *c, uint16_t packet_id, uint16_t count)
{
    struct subscribe_job *j = calloc(1, sizeof *j + 2 * (size_t)count);
    if (j == NULL) return NULL;
    list_init(&j->link);
    j->packet_id = packet_id;
    j->count = count;
    j->shard = sh;
    j->conn = c;
    j->session = c->session;
    j->next = c->jobs;
    c->jobs = j;
    if (++c->jobs_count >= JOBS_WAITING_MAX) {
        conn_pause(sh, c, PAUSE_JOBS);
        conn_mark_dirty(sh, c); /* the parked ones go on: no acknowledgement will be read for them */
    }
    return j;
}

static void leave_conn(struct subscribe_job *j)
{
    if (j->conn == NULL) return;
    struct subscribe_job **at = &j->conn->jobs;
    while (*at != j) at = &(*at)->next;
    *at = j->next;
    if (--j->conn->jobs_count < JOBS_WAITING_MAX / 2) conn_resume(j->shard, j->conn, PAUSE_JOBS);
    if (j->is_fenced) session_fence_end(j->session);
    j->is_fenced = false;
    j->conn = NULL;
    j->session = NULL;
}

void job_free(struct subscribe_job *j)
{
    leave_conn(j);
    list_remove(&j->link);
    command_unref(&j->command);
    msg_unref(&j->last);
    free(j);
}

/* A parked job has nothing under way: nobody would come to free it. */
void job_conn_gone(struct subscribe_job *j)
{
    leave_conn(j);
    if (j->is_parked) job_free(j);
}

/* Its turn to go to the journal. Without its connection too: the subscriptions stand already. */
void job_submitted(struct shard *sh, struct subscribe_job *j)
{
    struct command *c = j->command;
    ref_add(&c->ref, 1); /* the filters are walked after completion */
    journal_put(sh, c);
}

void job_answer(struct shard *sh, struct conn *c, const struct subscribe_job *j)
{
    size_t room = 16 + (size_t)j->count;
    uint8_t *at = conn_reserve(sh, c, room);
    if (at == NULL) {
        conn_doom(sh, c);
        return;
    }
    struct wr w = { .at = at, .left = room };
    struct suback a = { .id = j->packet_id, .codes = bytes_of(j->codes, j->count) };
    if (j->is_unsubscribe)
        unsuback_encode(&w, c->version, &a);
    else
        suback_encode(&w, c->version, &a);
    CHECK(!w.bad);
    conn_commit(sh, c, (size_t)(w.at - at));
}

void job_done(struct shard *sh, struct command *cmd)
{
    struct subscribe_job *j = cmd->job;
    j->position = cmd->position;
    if (j->conn == NULL) {
        job_free(j);
        return;
    }
    job_answer(sh, j->conn, j);
    if (j->is_unsubscribe) {
        job_free(j);
        return;
    }
    j->walk = (struct subscribe){ .count = j->count, .filters = { cmd->data.at, cmd->data.len, false } };
    retain_step(sh, j);
}

void job_resume(struct shard *sh, struct conn *c)
{
    struct subscribe_job *next;
    for (struct subscribe_job *j = c->jobs; j != NULL; j = next) {
        next = j->next;
        if (!j->is_parked) continue;
        j->is_parked = false;
        retain_step(sh, j);
    }
}
