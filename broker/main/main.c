/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include "main/args.h"
#include "main/broker.h"
#include "main/drop.h"
#include <signal.h>
#include <stdlib.h>

/* Signals are taken here, one at a time, by a thread that may block; the loops never see one. */
static void wait_for_end(struct broker *b, const sigset_t *signals)
{
    for (;;) {
        int got = 0;
        if (sigwait(signals, &got) != 0) continue;
        if (got == SIGINT || got == SIGTERM) return;
        if (got == SIGHUP) log_reopen(broker_log(b));
        if (got == SIGUSR2) broker_print_metrics(b);
    }
}

static sigset_t block_signals(void)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGINT);
    sigaddset(&s, SIGTERM);
    sigaddset(&s, SIGHUP);
    sigaddset(&s, SIGUSR1); /* mosquitto's "save now": there is nothing to save on demand */
    sigaddset(&s, SIGUSR2);
    sigprocmask(SIG_BLOCK, &s, NULL);
    signal(SIGPIPE, SIG_IGN);
    return s;
}

static int run(const struct args *a, const struct config *config)
{
    struct broker *b;
    sigset_t signals = block_signals();
    if (a->daemon && drop_to_background() != ERR_OK) return EXIT_FAILURE;
    if (config->pid_file[0] != '\0' && drop_pid_file(config->pid_file) != ERR_OK) return EXIT_FAILURE;
    if (broker_start(&b, config, &a->notes) != ERR_OK) return EXIT_FAILURE;
    wait_for_end(b, &signals);
    broker_stop(&b);
    return EXIT_SUCCESS;
}

static int act(const struct args *a, const struct config *config)
{
    if (a->help) {
        args_help(stdout);
        return EXIT_SUCCESS;
    }
    if (a->version) {
        puts("longlinkd " LONGLINK_VERSION);
        return EXIT_SUCCESS;
    }
    if (a->print_config) {
        config_print_effective(config, stdout);
        return EXIT_SUCCESS;
    }
    if (!a->test) return run(a, config);
    puts("longlinkd: the configuration is fine");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct config config;
    struct args a;
    if (failpoints_arm(getenv(FAILPOINT_VARIABLE)) != ERR_OK) return EXIT_FAILURE;
    enum err rc = args_read(&a, argc, argv, &config);
    int status = rc == ERR_OK ? act(&a, &config) : EXIT_FAILURE;
    args_fini(&a);
    return status;
}
