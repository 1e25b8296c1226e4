/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_run - one run from setting up to the numbers that the conductor read. Private to bench*.c.
 *
 * Thread:  the program's first; the workers live within bench_run().
 * Memory:  bench_setup() allocates, bench_fini() frees; both work on the caller's struct bench.
 * Limits:  bench_options.def; the limit on open files is raised when the system lets us.
 * Errors:  ERR_FULL, ERR_NOTFOUND from setting up, in words in problem; a run's own failure is in its result.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_RUN_H
#define CLI_BENCH_RUN_H

#include "cli/bench_int.h"
#include "cli/bench_proc.h"

/* What the conductor read of the broker's process and of ours. */
struct sample {
    struct proc_sample broker;
    double own_cpu_s;
};

/* What phases took, from the begin of each to the last client that was ready with it. */
struct spent {
    uint64_t ns;
    double broker_cpu_s, own_cpu_s;
};

/* Of a pair, the second is the place after the first. */
enum {
    SAMPLE_START,
    SAMPLE_RUN,
    SAMPLE_RUN_END,
    SAMPLE_HOLD,
    SAMPLE_HOLD_END,
    SAMPLE_RETURN,
    SAMPLE_RETURN_END,
    SAMPLE_COUNTED, /* of the last phase that was counted */
    SAMPLE_COUNTED_END,
    SAMPLES
};

struct run_result {
    bool interrupted, failed;
    struct spent connect, leave; /* storm: of all waves; else of the first phase */
    struct sample samples[SAMPLES];
    char problem[BENCH_PROBLEM_MAX];
};

/* Everything that a run of b->conf needs. problem: BENCH_PROBLEM_MAX bytes. After an error too, bench_fini().
 */
enum err bench_setup(struct bench *b, char *problem);
void bench_run(struct bench *b, struct run_result *out);
void bench_fini(struct bench *b);

#endif
