/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script_int - what the two halves of the scenario runner share: script.c reads the lines and does what they
 * say, script_expect.c decides whether what came is what was expected.
 *
 * Thread:  one owner.
 * Memory:  a run owns its clients and variables.
 * Limits:  SCRIPT_CLIENTS_MAX clients.
 * Errors:  fail and broken write into the report and return false, which ends the scenario.
 * Tests:   tests/conformance/selftest
 */
#ifndef KIT_SCRIPT_INT_H
#define KIT_SCRIPT_INT_H

#include "kit/mtc_link.h"
#include "kit/mtc_packet.h"
#include "kit/script.h"

struct client {
    char name[MTC_NAME_MAX];
    struct link link;
    unsigned version; /* of its last CONNECT */
};

struct run {
    const struct script_conf *conf;
    struct script_result *result;
    FILE *report;
    const char *path;
    const char *text; /* of the line */
    unsigned line;
    unsigned version;
    int wait_ms; /* of one wait: the run's, or the scenario's when that is longer */
    bool is_for_version;
    struct fields vars;
    struct client clients[SCRIPT_CLIENTS_MAX];
    size_t clients_count;
};

/* The broker is wrong; the scenario is wrong. Both return false. */
bool script_fail(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool script_broken(struct run *r, const char *why);

void script_trace(struct run *r, const struct client *c, const char *arrow, const struct out *bytes);

/* words: without client and "expect". */
bool script_expect(struct run *r, struct client *c, struct fields *words);

/* Reads and ignores until the other side has closed. */
bool script_drain(struct run *r, struct client *c);

#endif
