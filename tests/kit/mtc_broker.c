/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/mtc_broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit/mtc_link.h"

/* How long it may take to start, and to end: bounds on failure, whatever is tested. */
enum { START_WAIT_MS = 60000, END_WAIT_MS = 60000 };

enum { COMMAND_MAX = 4096, START_TRIES = 9, POLL_MS = 10, FIRST_PORT_MIN = 4096 };

/* One of those that the kernel does not give to who asks for any, so that nobody else comes upon it between
 * here and the broker's bind; 0, any, where it gives nearly all of them. */
static uint16_t some_port(void)
{
    unsigned first = 0, number = 0;
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");

    if (range != NULL && fscanf(range, "%u", &first) != 1) first = 0;
    if (range != NULL) (void)fclose(range);
    if (first < FIRST_PORT_MIN || getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) return 0;
    return (uint16_t)(first / 2 + number % (first / 2));
}

/* 0: it is taken. */
static unsigned free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = 0;

    if (fd < 0) return 0;
    a.sin_port = htons(some_port());
    if (bind(fd, (struct sockaddr *)&a, size) == 0 && getsockname(fd, (struct sockaddr *)&a, &size) == 0)
        port = ntohs(a.sin_port);
    close(fd);
    return port;
}

/* Appends what name stands for, or one character of the command. Returns how much of the command it used. */
static size_t put_next(const struct broker *b, const char *at, FILE *to)
{
    if (strncmp(at, "{port}", 6) == 0) {
        fprintf(to, "%u", b->port);
        return 6;
    }
    if (strncmp(at, "{dir}", 5) == 0) {
        fprintf(to, "%s", b->dir);
        return 5;
    }
    fputc(*at, to);
    return 1;
}

static void run_child(const struct broker *b, const char *command)
{
    char line[COMMAND_MAX] = "", log[BROKER_PATH_MAX + 8];
    FILE *to = fmemopen(line, sizeof line - 1, "w");

    for (const char *at = command; to != NULL && *at != '\0';) at += put_next(b, at, to);
    if (to == NULL || fclose(to) != 0) _exit(126);

    (void)snprintf(log, sizeof log, "%s/log", b->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(126);
    (void)setpgid(0, 0); /* so that a shell that stays in between is stopped too */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

static bool has_ended(const struct broker *b, int wait_ms)
{
    struct pollfd p = { .fd = b->pidfd, .events = POLLIN };
    return poll(&p, 1, wait_ms) > 0;
}

/* Until it accepts connections; false when it ended, or does not in time. */
static bool is_accepting(const struct broker *b)
{
    for (int waited_ms = 0; waited_ms < START_WAIT_MS; waited_ms += POLL_MS) {
        struct link l;
        struct link_to to = { .host = "127.0.0.1", .port = b->port };
        bool is_open = link_open(&l, &to, START_WAIT_MS);
        if (is_open) link_close(&l);
        if (has_ended(b, is_open ? 0 : POLL_MS)) return false;
        if (is_open) return true;
    }
    return false;
}

/* Ends the process group; returns the status of waitpid. */
static int end(struct broker *b)
{
    int status = -1;

    (void)kill(-b->pid, SIGTERM);
    if (!has_ended(b, END_WAIT_MS)) {
        fprintf(stderr, "mtc: the broker did not exit within %d ms after SIGTERM; killed\n", END_WAIT_MS);
        (void)kill(-b->pid, SIGKILL);
    }
    while (waitpid(b->pid, &status, 0) < 0 && errno == EINTR) {}
    (void)close(b->pidfd);
    return status;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s, (void)kind, (void)at;
    return remove(path);
}

static bool try_start(struct broker *b, const char *command)
{
    b->port = free_port();
    b->pid = b->port != 0 ? fork() : -1;
    if (b->pid == 0) run_child(b, command);
    if (b->pid < 0) return false;
    (void)setpgid(b->pid, b->pid); /* the child does it too: whoever is first */
    b->pidfd = pidfd_open(b->pid, 0);
    if (is_accepting(b)) return true;
    (void)end(b);
    return false;
}

bool broker_start(struct broker *b, const char *command)
{
    const char *tmp = getenv("TMPDIR");

    *b = (struct broker){ .pid = -1, .pidfd = -1 };
    (void)snprintf(b->dir, sizeof b->dir, "%s/mtc.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(b->dir) == NULL) {
        fprintf(stderr, "mtc: cannot make the directory %s: %s\n", b->dir, strerror(errno));
        return false;
    }
    for (int i = 0; i < START_TRIES; i++)
        if (try_start(b, command)) return true;
    fprintf(stderr, "mtc: the broker did not start: %s\nmtc: its output is in %s/log\n", command, b->dir);
    return false;
}

bool broker_stop(struct broker *b, bool keep_dir)
{
    bool was_dead = has_ended(b, 0);
    int status = end(b);
    bool is_good = !was_dead && WIFEXITED(status) && WEXITSTATUS(status) == 0;

    if (was_dead) fprintf(stderr, "mtc: the broker ended during the scenarios\n");
    if (WIFSIGNALED(status)) fprintf(stderr, "mtc: the broker died by signal %d\n", WTERMSIG(status));
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fprintf(stderr, "mtc: the broker exited with status %d\n", WEXITSTATUS(status));
    if (is_good && !keep_dir)
        (void)nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    else
        fprintf(stderr, "mtc: the broker's directory is kept: %s\n", b->dir);
    return is_good;
}
