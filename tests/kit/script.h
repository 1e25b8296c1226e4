/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script - runs one .mtc scenario against a broker. The language: tests/conformance/README.md.
 *
 * Thread:  one at a time.
 * Memory:  the caller frees the report with script_result_fini.
 * Limits:  SCRIPT_CLIENTS_MAX clients; each wait at most wait_ms, so a scenario of n lines ends.
 * Errors:  in the result. A scenario that cannot be understood is SCRIPT_BROKEN, never a failed expectation.
 * Tests:   tests/conformance/selftest
 */
#ifndef KIT_SCRIPT_H
#define KIT_SCRIPT_H

#include "kit/mtc_link.h"
#include <stdbool.h>
#include <stddef.h>

enum { SCRIPT_CLIENTS_MAX = 16, SCRIPT_TITLE_MAX = 160 };

enum script_end { SCRIPT_PASSED, SCRIPT_FAILED, SCRIPT_BROKEN, SCRIPT_NOT_FOR_VERSION };

struct script_conf {
    struct link_to to;
    int wait_ms;
    int deviant_wait_ms; /* of a scenario that is marked as deviating; 0: as long */
    const char *broker;  /* whose "deviates" lines count; NULL: nobody's */
};

struct script_result {
    enum script_end end;
    char title[SCRIPT_TITLE_MAX];
    char deviates[SCRIPT_TITLE_MAX]; /* why this broker is known to differ; "" when it is not */
    char *report;                    /* every packet, and what went wrong at the end */
    size_t report_size;
};

/* version is 3 (MQTT 3.1), 4 (3.1.1) or 5. A scenario without a line `versions` is not for 3. */
void script_run(struct script_result *out, const struct script_conf *conf, const char *path,
                unsigned version);
void script_result_fini(struct script_result *r);

#endif
