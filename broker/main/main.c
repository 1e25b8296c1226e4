/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include "main/args.h"
#include "main/broker.h"
#include "main/drop.h"
#include <signal.h>
#include <stdlib.h>

struct process {
    int argc;
    char **argv;
    struct args args;
    struct config *config; /* until the broker takes it */
    struct broker *broker;
};

/* The same flags, and the file that they name, as they are now. */
static void reload(const struct process *p)
{
    struct args again;
    struct config *config = malloc(sizeof *config);
    if (config == NULL) return;
    args_read(&again, p->argc, p->argv, config);
    broker_reload(p->broker, config, &again.notes);
    args_fini(&again);
}

/* Signals are taken here, one at a time, by a thread that may block; the loops never see one. Of several
 * SIGHUPs that come during a reload one is kept: what they ask for is read after it. */
static void wait_for_end(const struct process *p, const sigset_t *signals)
{
    for (;;) {
        int got = 0;
        if (sigwait(signals, &got) != 0) continue;
        if (got == SIGINT || got == SIGTERM) return;
        if (got == SIGHUP) reload(p);
        if (got == SIGUSR2) broker_print_metrics(p->broker);
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

static int run(struct process *p)
{
    sigset_t signals = block_signals();
    struct config *config = p->config;
    if (p->args.daemon && drop_to_background() != ERR_OK) return EXIT_FAILURE;
    if (config->pid_file[0] != '\0' && drop_pid_file(config->pid_file) != ERR_OK) return EXIT_FAILURE;
    p->config = NULL;
    if (broker_start(&p->broker, config, &p->args.notes) != ERR_OK) return EXIT_FAILURE;
    wait_for_end(p, &signals);
    broker_stop(&p->broker);
    return EXIT_SUCCESS;
}

static int act(struct process *p)
{
    const struct args *a = &p->args;
    if (a->help) {
        args_help(stdout);
        return EXIT_SUCCESS;
    }
    if (a->version) {
        puts("longlinkd " LONGLINK_VERSION);
        return EXIT_SUCCESS;
    }
    if (a->print_config) {
        config_print_effective(p->config, stdout);
        return EXIT_SUCCESS;
    }
    if (!a->test) return run(p);
    puts("longlinkd: the configuration is fine");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct process p = { .argc = argc, .argv = argv, .config = malloc(sizeof *p.config) };
    if (p.config == NULL || failpoints_arm(getenv(FAILPOINT_VARIABLE)) != ERR_OK) {
        free(p.config);
        return EXIT_FAILURE;
    }
    enum err rc = args_read(&p.args, argc, argv, p.config);
    if (rc != ERR_OK || p.args.test) args_print_notes(&p.args);
    int status = rc == ERR_OK ? act(&p) : EXIT_FAILURE;
    args_fini(&p.args);
    free(p.config);
    return status;
}
