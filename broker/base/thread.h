/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread - a named thread with every signal blocked (main takes them).
 *
 * Thread:  thread_join from whoever started it.
 * Memory:  the caller's struct, until joined.
 * Limits:  a name of at most 15 bytes.
 * Errors:  ERR_SYS when the system has no thread left.
 * Tests:   every threaded test.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/err.h"
#include <pthread.h>

struct thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
    char name[16];
};

enum err thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg);
void thread_join(struct thread *t);

#endif
