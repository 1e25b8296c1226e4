/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/job.h"

/*
 * Before a SUBSCRIBE takes its place in the journal, all that any shard matched without the new subscriber
 * must have a place before it: else a retained message could be newer than what the subscriber reads and
 * older than what it gets live. So a barrier goes to every other shard, which hands over its commands and
 * answers. One barrier at a time serves all jobs that were there when it began.
 */

static void submit_all(struct shard *sh)
{
    while (!list_empty(&sh->fencing) && !sh->closing) {
        struct list *first = sh->fencing.next;
        list_remove(first);
        job_submitted(sh, CONTAINER(first, struct subscribe_job, link));
    }
}

static void start_barrier(struct shard *sh)
{
    while (!list_empty(&sh->fence_next)) {
        struct list *first = sh->fence_next.next;
        list_remove(first);
        list_add(&sh->fencing, first);
    }
    sh->barrier_open = sh->all->count - 1;
    for (unsigned to = 0; to < sh->all->count; to++) {
        if (to == sh->index) continue;
        sh->barriers[to].from = (uint16_t)sh->index;
        sh->barriers[to].to = (uint16_t)to;
        shard_post(sh, to, &sh->barriers[to].mail, MAIL_BARRIER);
    }
    if (sh->barrier_open == 0) submit_all(sh);
}

void fence_begin(struct shard *sh, struct subscribe_job *job)
{
    list_add(&sh->fence_next, &job->link);
}

void fence_turn(struct shard *sh)
{
    if (sh->barrier_open == 0 && !sh->closing && !list_empty(&sh->fence_next)) start_barrier(sh);
}

void fence_mail_barrier(struct shard *sh, struct mail *m)
{
    struct barrier *b = CONTAINER(m, struct barrier, mail);
    shard_submit(sh);
    shard_post(sh, b->from, m, MAIL_BARRIER_DONE);
}

void fence_mail_barrier_done(struct shard *sh, struct mail *m)
{
    (void)m;
    if (--sh->barrier_open == 0) submit_all(sh);
}
