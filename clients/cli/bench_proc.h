/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_proc - CPU time and memory of a process of this machine, from /proc.
 *
 * Thread:  any.
 * Memory:  none.
 * Limits:  none.
 * Errors:  ERR_NOTFOUND: no such process, or not ours to read.
 * Tests:   tests/unit/test_bench_conf.c
 */
#ifndef CLI_BENCH_PROC_H
#define CLI_BENCH_PROC_H

#include <stdint.h>

#include "base/err.h"

struct proc_sample {
    double cpu_s;                               /* user and system together */
    uint64_t rss_bytes, anon_bytes, peak_bytes; /* VmRSS, RssAnon, VmHWM */
};

enum err proc_read(uint64_t pid, struct proc_sample *out);

/* Our own CPU time so far, user and system together. */
double proc_own_cpu_s(void);

#endif
