/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "base/check.h"
#include <signal.h>
#include <stdio.h>

static void *body(void *arg)
{
    struct thread *t = arg;
    pthread_setname_np(pthread_self(), t->name);
    t->run(t->arg);
    return NULL;
}

enum err thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg)
{
    sigset_t all, before;
    t->run = run;
    t->arg = arg;
    snprintf(t->name, sizeof t->name, "%s", name);

    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int rc = pthread_create(&t->id, NULL, body, t);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return rc == 0 ? ERR_OK : ERR_SYS;
}

void thread_join(struct thread *t)
{
    CHECK(pthread_join(t->id, NULL) == 0);
}
