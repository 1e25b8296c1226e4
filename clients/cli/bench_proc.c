/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PROC_TEXT_MAX = 8192, KIB = 1024 };

/* Reads a whole file of /proc as text. */
static enum err read_text(uint64_t pid, const char *name, char text[PROC_TEXT_MAX])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ERR_NOTFOUND;
    ssize_t n = read(fd, text, PROC_TEXT_MAX - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? ERR_OK : ERR_NOTFOUND;
}

/* "VmRSS:     1234 kB" */
static uint64_t status_bytes(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (at == NULL) return 0;
    return strtoull(at + strlen(key), NULL, 10) * KIB;
}

enum err proc_read(uint64_t pid, struct proc_sample *out)
{
    char text[PROC_TEXT_MAX];
    *out = (struct proc_sample){ 0 };

    enum err rc = read_text(pid, "status", text);
    if (rc != ERR_OK) return rc;
    out->rss_bytes = status_bytes(text, "\nVmRSS:");
    out->peak_bytes = status_bytes(text, "\nVmHWM:");
    out->anon_bytes = status_bytes(text, "\nRssAnon:");

    clockid_t clock;
    struct timespec spent;
    if (clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &spent) != 0)
        return ERR_NOTFOUND;
    out->cpu_s = (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
    return ERR_OK;
}

double proc_own_cpu_s(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) return 0.0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
