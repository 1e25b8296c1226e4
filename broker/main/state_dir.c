/* SPDX-License-Identifier: Apache-2.0 */
#include "main/state_dir.h"
#include "main/drop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err state_dir_choose(char *path, size_t bytes, const struct config *config)
{
    bool is_set = config_is_set(config, CONFIG_ID_persistence_location);
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (is_set || geteuid() == 0 || (state == NULL && home == NULL))
        n = snprintf(path, bytes, "%s", config->persistence_location);
    else if (state != NULL && state[0] == '/')
        n = snprintf(path, bytes, "%s/longlink", state);
    else
        n = snprintf(path, bytes, "%s/.local/state/longlink", home == NULL ? "" : home);
    return n < (int)bytes ? ERR_OK : ERR_RANGE;
}

static enum err fail(char text[STATE_DIR_TEXT_BYTES], const char *path, const char *why)
{
    snprintf(
        text, STATE_DIR_TEXT_BYTES,
        "%.300s: %s; make it, and give it to the broker's user, set persistence_location to one that can be "
        "written, or persistence false to keep nothing",
        path, why);
    return ERR_SYS;
}

/* Its name must survive the loss of power, too: what is synced inside would have no place. */
static int sync_parent(char *path, char *end)
{
    *end = '\0';
    int fd = open(end == path ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *end = '/';
    if (fd < 0) return -1;
    int rc = fsync(fd);
    close(fd);
    return rc;
}

static int make_one(char *path, mode_t mode)
{
    char *slash = strrchr(path, '/');
    if (mkdir(path, mode) != 0) return errno == EEXIST ? 0 : -1;
    return slash == NULL ? 0 : sync_parent(path, slash);
}

/* Those that root makes on the way are for all to pass: the user that the broker becomes is no owner of them.
 */
static int make_all(char *path)
{
    mode_t above = geteuid() == 0 ? 0755 : 0700;
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/') continue;
        *at = '\0';
        int rc = make_one(path, above);
        *at = '/';
        if (rc != 0) return rc;
    }
    return make_one(path, 0700);
}

enum err state_dir_make(const char *path, const char *user, char text[STATE_DIR_TEXT_BYTES])
{
    struct stat st;
    char copy[CONFIG_TEXT_BYTES + 64];
    if (stat(path, &st) == 0) return ERR_OK;
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) return ERR_RANGE;
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/') copy[--n] = '\0';
    if (make_all(copy) != 0) return fail(text, path, strerror(errno));
    return drop_give(path, user) == ERR_OK ? ERR_OK : fail(text, path, strerror(errno));
}
