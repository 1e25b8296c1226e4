/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/heap.h"
#include "config/print.h"
#include "main/args.h"
#include "main/broker.h"
#include "main/drop.h"
#include "main/notify.h"
#include "plugin/plugin.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct process {
    int argc;
    char **argv;
    struct args args;
    struct config *config; /* until the broker takes it */
    struct broker *broker;
    struct notify notify;
};

/* The same flags, and the file that they name, as they are now. */
static void reload(const struct process *p)
{
    struct args again;
    struct config *config = malloc(sizeof *config);
    if (config == NULL) return;
    notify_reloading(&p->notify);
    args_read(&again, p->argc, p->argv, config);
    enum err rc = broker_reload(p->broker, config, &again.notes);
    notify_ready(&p->notify, rc == ERR_OK ? "Accepting connections"
                                          : "The new configuration is wrong, the one before it holds");
    args_fini(&again);
}

/* When memory is to be given back, and the watchdog fed: several times within the time that it gives. */
static uint64_t upkeep_due_ms(const struct process *p)
{
    enum { FEEDS_A_TIME = 4, SHORTEST_MS = 10, LONGEST_MS = 5000 };
    uint64_t ms = p->notify.watchdog_ms / FEEDS_A_TIME;
    if (p->notify.watchdog_ms == 0 || ms > LONGEST_MS) ms = LONGEST_MS;
    return clock_mono_ms(&clock_system) + (ms < SHORTEST_MS ? SHORTEST_MS : ms);
}

/* The next signal; 0 when it is time for upkeep. */
static int next_signal(const sigset_t *signals, uint64_t due_ms)
{
    uint64_t now_ms = clock_mono_ms(&clock_system), ms = due_ms > now_ms ? due_ms - now_ms : 0;
    struct timespec wait = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
    if (ms == 0) return 0;
    int got = sigtimedwait(signals, NULL, &wait);
    return got < 0 && errno == EAGAIN ? 0 : got;
}

/* Signals are taken here, one at a time, by a thread that may block; the loops never see one. Of several
 * SIGHUPs that come during a reload one is kept: what they ask for is read after it. */
static void wait_for_end(const struct process *p, const sigset_t *signals)
{
    uint64_t due_ms = upkeep_due_ms(p);
    for (;;) {
        int got = next_signal(signals, due_ms); /* or -1: interrupted */
        if (got == SIGINT || got == SIGTERM) return;
        if (got == SIGHUP) reload(p);
        if (got == SIGUSR2) broker_print_metrics(p->broker);
        if (got != 0) continue;
        heap_tend();
        if (p->notify.watchdog_ms > 0 && broker_is_alive(p->broker)) notify_alive(&p->notify);
        due_ms = upkeep_due_ms(p);
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

static int serve(struct process *p, struct config *config, const sigset_t *signals)
{
    notify_open(&p->notify);
    if (broker_start(&p->broker, config, &p->args.notes) != ERR_OK) return EXIT_FAILURE;
    notify_ready(&p->notify, "Accepting connections");
    wait_for_end(p, signals);
    notify_stopping(&p->notify);
    broker_stop(&p->broker);
    notify_close(&p->notify);
    return EXIT_SUCCESS;
}

static int run(struct process *p)
{
    sigset_t signals = block_signals();
    struct config *config = p->config;
    if (p->args.daemon && drop_to_background() != ERR_OK) return EXIT_FAILURE;
    char pid_file[sizeof config->pid_file], set_at[CONFIG_ORIGIN_BYTES];
    snprintf(pid_file, sizeof pid_file, "%s", config->pid_file);
    config_origin_print(config, config->origins[CONFIG_ID_pid_file], set_at);
    if (pid_file[0] != '\0' && drop_pid_file(pid_file, set_at) != ERR_OK) return EXIT_FAILURE;
    p->config = NULL;
    int status = serve(p, config, &signals);
    if (pid_file[0] != '\0') unlink(pid_file); /* if the user that we have become may */
    return status;
}

static int try_out(struct process *p)
{
    struct config *config = p->config;
    p->config = NULL;
    if (broker_try(config) != ERR_OK) return EXIT_FAILURE;
    puts("longlinkd: the configuration is fine");
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
    return a->test ? try_out(p) : run(p);
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
    if (plugins_left_any()) _exit(status); /* one still runs, and what exit(3) takes down is under its feet */
    return status;
}
