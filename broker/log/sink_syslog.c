/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log_int.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/*
 * The datagrams that syslog(3) sends, without its state for the whole process:
 * <PRIORITY>Mmm dd hh:mm:ss longlinkd[PID]: LINE
 */

enum { FACILITY_DAEMON = 3, FACILITY_LOCAL_0 = 16, HEAD_BYTES = 80 };

static const int severities[LOG_LEVELS_COUNT] = {
    [LOG_LEVEL_ERROR] = 3, [LOG_LEVEL_WARNING] = 4, [LOG_LEVEL_NOTICE] = 5,
    [LOG_LEVEL_INFO] = 6,  [LOG_LEVEL_DEBUG] = 7,
};

static void close_syslog(struct log_sink *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

static void try_connect(struct log_sink *s)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    snprintf(to.sun_path, sizeof to.sun_path, "%s", s->path == NULL ? "/dev/log" : s->path);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&to, sizeof to) != 0) close_syslog(s);
}

/* Whoever takes the lines may start later, and start again. */
static enum err open_syslog(struct log_sink *s)
{
    try_connect(s);
    return ERR_OK;
}

static int facility_of(const struct log_sink *s)
{
    return s->facility == 0 ? FACILITY_DAEMON : FACILITY_LOCAL_0 + (int)s->facility - 1;
}

static bool write_syslog(struct log_sink *s, const struct log_record *r, const char *text)
{
    char head[HEAD_BYTES], when[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
    int n = snprintf(head, sizeof head, "<%d>%s longlinkd[%ld]: ", facility_of(s) * 8 + severities[r->level],
                     when, (long)getpid());
    /* Without the newline, and without our time: it has one. */
    struct iovec parts[] = { { head, (size_t)n },
                             { (void *)(uintptr_t)(text + r->stamp), r->size - r->stamp - 1u } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
    for (int i = 0; i < 2; i++) {
        if (s->fd < 0) try_connect(s);
        if (s->fd >= 0 && sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
        close_syslog(s);
    }
    return false;
}

const struct log_sink_ops log_sink_syslog = {
    .name = "syslog",
    .open = open_syslog,
    .write = write_syslog,
    .close = close_syslog,
};
