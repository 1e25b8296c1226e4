/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench_conf.h"
#include "cli/bench_report.h"

enum { EXIT_GOOD = 0, EXIT_BAD_FIGURES = 1, EXIT_USAGE = 2, EXIT_RUN_FAILED = 3 };

void bench_help(void)
{
    options_help(&bench_options, stdout);
    report_help(stdout);
}

static int conclude(const struct bench *b, struct run_result *result)
{
    struct report r;
    char wrong[BENCH_PROBLEM_MAX];

    report_make(&r, b, result);
    bool bad = report_is_bad(&r, &b->conf, wrong) && b->conf.allow_loss == 0;
    if (bad && result->problem[0] == '\0') memcpy(result->problem, wrong, sizeof wrong);
    if (b->conf.json != 0)
        report_print_json(&r, b, result, stdout);
    else
        report_print(&r, b, result, stdout);
    if (result->problem[0] != '\0') fprintf(stderr, "longlink bench: %s\n", result->problem);
    if (result->failed) return EXIT_RUN_FAILED;
    return bad ? EXIT_BAD_FIGURES : EXIT_GOOD;
}

static int run(struct bench *b)
{
    struct run_result result;
    char problem[BENCH_PROBLEM_MAX];

    if (bench_setup(b, problem) != ERR_OK) {
        fprintf(stderr, "longlink bench: %s\n", problem);
        return EXIT_RUN_FAILED;
    }
    bench_run(b, &result);
    return conclude(b, &result);
}

int bench_main(int argc, char *const *argv)
{
    struct bench b = { .conductor_fd = -1 };
    struct options_parsed parsed;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        bench_help();
        return EXIT_GOOD;
    }
    if (bench_conf_parse(argc, argv, &b.conf, &parsed) != ERR_OK) {
        fprintf(stderr, "longlink bench: %s\n", parsed.problem);
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN); /* TLS writes without MSG_NOSIGNAL */
    int code = run(&b);
    bench_fini(&b);
    return code;
}
