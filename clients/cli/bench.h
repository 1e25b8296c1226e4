/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench - the subcommand `longlink bench`: a load generator for any MQTT broker.
 *
 * Thread:  the program's first; starts its own workers.
 * Memory:  its own, until it returns.
 * Limits:  bench_options.def.
 * Errors:  written to stderr; the exit code says which kind.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

/* argv after the subcommand's name. Returns the program's exit code. */
int bench_main(int argc, char *const *argv);
void bench_help(void);

#endif
