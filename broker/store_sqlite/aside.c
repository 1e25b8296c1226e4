/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/aside.h"
#include "store_sqlite/space.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MARK_NAME "damaged"

static void folder_name(uint64_t wall_ms, char name[ASIDE_NAME_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(name, ASIDE_NAME_BYTES, MARK_NAME "-%Y%m%dT%H%M%SZ", &tm);
}

/* Ours are regular files; what was set aside earlier is a folder. */
static bool goes_along(int dir_fd, const char *name)
{
    struct stat st;
    if (strcmp(name, "lock") == 0 || strcmp(name, SPACE_BALLAST_NAME) == 0) return false;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static enum err move_all(int dir_fd, int to_fd)
{
    int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (list == NULL) return ERR_SYS;
    enum err rc = ERR_OK;
    for (const struct dirent *e = readdir(list); e != NULL && rc == ERR_OK; e = readdir(list))
        if (goes_along(dir_fd, e->d_name) && renameat(dir_fd, e->d_name, to_fd, e->d_name) != 0) rc = ERR_SYS;
    closedir(list);
    return rc;
}

enum err aside_move(int dir_fd, uint64_t wall_ms, char name[ASIDE_NAME_BYTES])
{
    folder_name(wall_ms, name);
    if (mkdirat(dir_fd, name, 0700) != 0) return ERR_SYS;
    int to_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to_fd < 0) return ERR_SYS;
    enum err rc = move_all(dir_fd, to_fd);
    if (rc == ERR_OK && (fsync(to_fd) != 0 || fsync(dir_fd) != 0)) rc = ERR_SYS;
    close(to_fd);
    return rc;
}

void aside_mark(int dir_fd, const char *why)
{
    int fd = openat(dir_fd, MARK_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return;
    dprintf(fd, "%s\n", why);
    fsync(fd);
    fsync(dir_fd);
    close(fd);
}

bool aside_is_marked(int dir_fd, char text[ASIDE_TEXT_BYTES])
{
    int fd = openat(dir_fd, MARK_NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, ASIDE_TEXT_BYTES - 1);
    text[n < 0 ? 0 : n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    close(fd);
    return true;
}
