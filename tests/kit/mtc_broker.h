/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtc_broker - the broker under test as a child process, from a free port to its exit status.
 *
 * Thread:  one owner; no locks.
 * Memory:  a value; owns the process and a fresh directory, until broker_stop.
 * Limits:  each wait is bounded, by a minute; the child dies with us.
 * Errors:  false, after saying on stderr what happened and where the log is.
 * Tests:   tests/conformance/selftest
 */
#ifndef KIT_MTC_BROKER_H
#define KIT_MTC_BROKER_H

#include <stdbool.h>
#include <sys/types.h>

enum { BROKER_PATH_MAX = 256 };

struct broker {
    pid_t pid;
    int pidfd;
    unsigned port;
    char dir[BROKER_PATH_MAX];
};

/* Runs command by the shell, with {port} and {dir} replaced, until it accepts connections. Its output goes to
 * the file "log" in the directory. */
bool broker_start(struct broker *b, const char *command);

/* Asks it to end (SIGTERM); false when it does not exit with status 0 in time. Removes the directory, unless
 * keep_dir or that went wrong. */
bool broker_stop(struct broker *b, bool keep_dir);

#endif
