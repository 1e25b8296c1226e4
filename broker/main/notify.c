/* SPDX-License-Identifier: Apache-2.0 */
#include "main/notify.h"
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A path, or with @ in place of the first NUL an abstract name. */
static int open_socket(const char *name)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t n = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof to.sun_path) return -1;
    memcpy(to.sun_path, name, n);
    if (name[0] == '@') to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* 0: it is not set, or no number. */
static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9') return 0;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 ? v : 0;
}

void notify_open(struct notify *n)
{
    const char *name = getenv("NOTIFY_SOCKET");
    *n = (struct notify){ .fd = name == NULL ? -1 : open_socket(name) };
    bool is_ours = getenv("WATCHDOG_PID") == NULL || number_of("WATCHDOG_PID") == (uint64_t)getpid();
    if (n->fd >= 0 && is_ours) n->watchdog_ms = number_of("WATCHDOG_USEC") / 1000;
    /* It is for this process alone. */
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0) close(n->fd);
    n->fd = -1;
}

/* Whoever does not listen is not told: there is nothing else to do about it. */
static void say(const struct notify *n, const char *text)
{
    if (n->fd < 0) return;
    while (send(n->fd, text, strlen(text), MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

void notify_ready(const struct notify *n, const char *status)
{
    char text[NOTIFY_TEXT_BYTES];
    snprintf(text, sizeof text, "READY=1\nSTATUS=%s", status);
    say(n, text);
}

void notify_reloading(const struct notify *n)
{
    char text[NOTIFY_TEXT_BYTES];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* the manager's own clock, to know which reload it is */
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reading the configuration",
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    say(n, text);
}

void notify_stopping(const struct notify *n)
{
    say(n, "STOPPING=1\nSTATUS=Stopping");
}

void notify_alive(const struct notify *n)
{
    say(n, "WATCHDOG=1");
}
