/* SPDX-License-Identifier: Apache-2.0 */
#include "main/drop.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum err drop_to_background(void)
{
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "longlinkd: cannot go to the background: %s\n", strerror(errno));
        return ERR_SYS;
    }
    if (pid > 0) _exit(0);
    if (setsid() < 0) return ERR_SYS;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return ERR_SYS;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO) close(null);
    return ERR_OK;
}

enum err drop_pid_file(const char *path, const char *set_at)
{
    FILE *f = fopen(path, "we");
    if (f == NULL || fprintf(f, "%ld\n", (long)getpid()) < 0 || fclose(f) != 0) {
        fprintf(stderr, "error: %s: option 'pid_file': value '%s' cannot be written: %s\n", set_at, path,
                strerror(errno));
        return ERR_SYS;
    }
    return ERR_OK;
}

static const struct passwd *find_user(const char *name)
{
    const struct passwd *p = getpwnam(name);
    return p == NULL && strcmp(name, "longlink") == 0 ? getpwnam("nobody") : p;
}

enum err drop_to_user(const char *name, const char *set_at)
{
    if (geteuid() != 0 || strcmp(name, "root") == 0) return ERR_OK;
    const struct passwd *p = find_user(name);
    if (p == NULL) {
        fprintf(
            stderr,
            "error: %s: option 'user': value '%s' is no user of this machine; create it, or name another\n",
            set_at, name);
        return ERR_NOTFOUND;
    }
    if (initgroups(p->pw_name, p->pw_gid) != 0 || setgid(p->pw_gid) != 0 || setuid(p->pw_uid) != 0) {
        fprintf(stderr, "error: %s: option 'user': value '%s' cannot be become: %s\n", set_at, p->pw_name,
                strerror(errno));
        return ERR_SYS;
    }
    return ERR_OK;
}

enum err drop_give(const char *path, const char *name)
{
    if (geteuid() != 0 || strcmp(name, "root") == 0) return ERR_OK;
    const struct passwd *p = find_user(name);
    if (p == NULL) return ERR_OK; /* drop_to_user says so */
    return chown(path, p->pw_uid, p->pw_gid) == 0 ? ERR_OK : ERR_SYS;
}
