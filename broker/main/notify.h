/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify - what a service manager is told: ready, reloading, stopping, alive (sd_notify(3), without its
 * library).
 *
 * Thread:  main.
 * Memory:  the caller's struct.
 * Limits:  NOTIFY_TEXT_BYTES a message.
 * Errors:  a manager that does not listen is not told; nothing fails.
 * Tests:   tests/e2e/test_systemd.py
 */
#ifndef MAIN_NOTIFY_H
#define MAIN_NOTIFY_H

#include <stdint.h>

enum { NOTIFY_TEXT_BYTES = 512 };

struct notify {
    int fd;               /* -1: nobody asked */
    uint64_t watchdog_ms; /* how often it wants to hear of us; 0: not at all */
};

/* As the environment says; in the process that is to be watched. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

void notify_ready(const struct notify *n, const char *status);
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n);
void notify_alive(const struct notify *n);

#endif
