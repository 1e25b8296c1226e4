/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"
#include "base/thread.h"
#include "kit/test.h"
#include "worker/worker.h"
#include <stdlib.h>

enum { THREADS = 3, WAITING = 8 };

struct job {
    struct work work;
    struct mailbox *started; /* told when it runs */
    struct mail start_mail;
    struct mailbox gate; /* runs until something comes */
    struct mail open;
    int runs;
};

static void run(struct work *w)
{
    struct job *j = CONTAINER(w, struct job, work);
    j->runs++;
    mailbox_send(j->started, &j->start_mail);
    mailbox_wait(&j->gate);
}

struct rig {
    struct workers *workers;
    struct mailbox home, started;
    struct job jobs[THREADS + WAITING + 1];
};

static void setup(struct rig *r, unsigned threads)
{
    struct workers_conf conf = { threads, WAITING };
    *r = (struct rig){ 0 };
    CHECK_INT(ERR_OK, mailbox_open(&r->home));
    CHECK_INT(ERR_OK, mailbox_open(&r->started));
    CHECK_INT(ERR_OK, workers_start(&r->workers, &conf));
    for (size_t i = 0; i < sizeof r->jobs / sizeof r->jobs[0]; i++) {
        struct job *j = &r->jobs[i];
        j->work = (struct work){ .run = run, .mail.kind = (uint32_t)i, .to = &r->home };
        j->started = &r->started;
        CHECK_INT(ERR_OK, mailbox_open(&j->gate));
    }
}

static void teardown(struct rig *r)
{
    workers_free(&r->workers);
    mailbox_close(&r->home);
    mailbox_close(&r->started);
    for (size_t i = 0; i < sizeof r->jobs / sizeof r->jobs[0]; i++) mailbox_close(&r->jobs[i].gate);
}

static void wait_for(struct mailbox *m, unsigned count)
{
    while (count > 0)
        for (struct mail *at = mailbox_wait(m); at != NULL; at = at->next) count--;
}

static void open_gate(struct job *j)
{
    mailbox_send(&j->gate, &j->open);
}

TEST(each_job_runs_once_and_comes_home_with_its_kind)
{
    struct rig r;
    setup(&r, THREADS);
    unsigned back = 0;
    for (unsigned i = 0; i < WAITING; i++) {
        open_gate(&r.jobs[i]);
        CHECK_INT(ERR_OK, workers_put(r.workers, &r.jobs[i].work));
    }
    while (back < WAITING)
        for (struct mail *m = mailbox_wait(&r.home); m != NULL; m = m->next, back++) {
            CHECK_TRUE(m == &r.jobs[m->kind].work.mail);
            CHECK_TRUE(r.jobs[m->kind].work.is_done);
        }
    for (unsigned i = 0; i < WAITING; i++) CHECK_INT(1, r.jobs[i].runs);
    teardown(&r);
}

TEST(a_long_job_holds_up_no_other_thread)
{
    struct rig r;
    setup(&r, 2);
    CHECK_INT(ERR_OK, workers_put(r.workers, &r.jobs[0].work));
    wait_for(&r.started, 1);
    for (unsigned i = 1; i <= 5; i++) {
        open_gate(&r.jobs[i]);
        CHECK_INT(ERR_OK, workers_put(r.workers, &r.jobs[i].work));
    }
    wait_for(&r.home, 5);
    CHECK_TRUE(!r.jobs[0].work.is_done);
    open_gate(&r.jobs[0]);
    wait_for(&r.home, 1);
    CHECK_TRUE(r.jobs[0].work.is_done);
    teardown(&r);
}

TEST(a_full_queue_refuses_and_takes_again_when_there_is_room)
{
    struct rig r;
    setup(&r, THREADS);
    for (unsigned i = 0; i < THREADS; i++) CHECK_INT(ERR_OK, workers_put(r.workers, &r.jobs[i].work));
    wait_for(&r.started, THREADS);
    for (unsigned i = 0; i < WAITING; i++)
        CHECK_INT(ERR_OK, workers_put(r.workers, &r.jobs[THREADS + i].work));
    struct job *last = &r.jobs[THREADS + WAITING];
    CHECK_INT(ERR_FULL, workers_put(r.workers, &last->work));
    open_gate(&r.jobs[0]);
    wait_for(&r.started, 1); /* the thread has taken one of those that waited */
    CHECK_INT(ERR_OK, workers_put(r.workers, &last->work));
    for (unsigned i = 1; i <= THREADS + WAITING; i++) open_gate(&r.jobs[i]);
    wait_for(&r.home, THREADS + WAITING + 1);
    CHECK_INT(1, last->runs);
    teardown(&r);
}

static void stop(void *arg)
{
    workers_stop(arg);
}

TEST(at_the_end_what_runs_is_finished_and_what_waits_comes_back_unrun)
{
    struct rig r;
    struct thread stopper;
    setup(&r, 1);
    for (unsigned i = 0; i < 4; i++) CHECK_INT(ERR_OK, workers_put(r.workers, &r.jobs[i].work));
    wait_for(&r.started, 1);
    CHECK_INT(ERR_OK, thread_start(&stopper, "stopper", stop, r.workers));
    wait_for(&r.home, 3);
    for (unsigned i = 1; i < 4; i++) CHECK_TRUE(!r.jobs[i].work.is_done && r.jobs[i].runs == 0);
    CHECK_INT(ERR_FULL, workers_put(r.workers, &r.jobs[4].work));
    open_gate(&r.jobs[0]);
    wait_for(&r.home, 1);
    CHECK_TRUE(r.jobs[0].work.is_done);
    thread_join(&stopper);
    teardown(&r);
}
