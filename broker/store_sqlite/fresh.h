/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fresh - a store that is made whole of commands in a new directory, or not at all.
 *
 * The commands go the broker's own way: journal, tables, fold. It is made in a folder of its own inside of
 * the directory and moved up when it is complete; until then a file stands where the tables will be that no
 * broker starts on, so that nothing is lost by a broker that begins between.
 *
 * Thread:  one; done() is called on it, by fresh_put and fresh_wait. The store has its own three.
 * Memory:  takes commands; holds FRESH_COMMANDS_MAX of them, and some megabytes of messages.
 * Limits:  none on how much goes in.
 * Errors:  all with a text for an operator. ERR_AGAIN: the directory is in use. ERR_FULL: it is not empty, or
 *          there is no room. After one of fresh_put nothing more is taken. What was begun is removed, but by
 *          a process that is killed; a disk that fails ends the process, as it does a broker.
 * Tests:   tests/unit/test_fresh.c, tests/e2e/test_import.py
 */
#ifndef STORE_SQLITE_FRESH_H
#define STORE_SQLITE_FRESH_H

#include "base/clock.h"
#include "base/err.h"
#include "log/log.h"
#include "store/journal.h"

enum { FRESH_TEXT_BYTES = 1280, FRESH_COMMANDS_MAX = 1024 };

struct fresh;

struct fresh_conf {
    const char *dir; /* must not exist, or be empty */
    struct log *log; /* the store's; NULL: none */
    const struct clock *clock;
    /* A command is durable, with its position. Called in the order they were put, until one is not. */
    void (*done)(void *ctx, const struct command *c);
    void *ctx;
};

enum err fresh_begin(struct fresh **out, const struct fresh_conf *conf, char text[FRESH_TEXT_BYTES]);

/* What sessions and claims are numbered from, and client ids hashed with (see store_disk.h). */
uint64_t fresh_boot_no(const struct fresh *f);
uint64_t fresh_client_key(const struct fresh *f);

/* Takes c, which has no seats; NULL counts as out of memory. */
enum err fresh_put(struct fresh *f, struct command *c);

/* Until all that was put is done. */
enum err fresh_wait(struct fresh *f);

/* Makes it a store that a broker starts on; frees f. Fails when anything failed before. */
enum err fresh_commit(struct fresh **owner, char text[FRESH_TEXT_BYTES]);

/* Removes what was made; NULL is fine. */
void fresh_abort(struct fresh **owner);

#endif
