/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args - longlinkd's command line: mosquitto's flags, and a few more.
 *
 * Thread:  main.
 * Memory:  borrows argv; args_fini frees the notes.
 * Limits:  CONFIG_PORTS_MAX flags -p.
 * Errors:  ERR_SYNTAX.
 * Tests:   tests/e2e/test_start.py
 */
#ifndef MAIN_ARGS_H
#define MAIN_ARGS_H

#include "base/err.h"
#include "config/config.h"

struct args {
    const char *file; /* NULL: no -c */
    bool daemon, test, print_config, help, version;
    struct config_notes notes; /* warnings: for the log, once there is one */
};

/* Reads the flags and the file that they name into config, and settles it. What is wrong with the flags is on
 * stderr, with the configuration in the notes. */
enum err args_read(struct args *a, int argc, char **argv, struct config *config);
void args_print_notes(const struct args *a); /* on stderr */
void args_fini(struct args *a);
void args_help(FILE *to);

#endif
