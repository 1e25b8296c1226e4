/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log_int.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum err open_file(struct log_sink *s)
{
    if (s->path == NULL) {
        errno = ENOENT;
        return ERR_SYS;
    }
    /* Not for everybody's eyes: client ids and addresses are in it. */
    s->fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return s->fd >= 0 ? ERR_OK : ERR_SYS;
}

static void close_file(struct log_sink *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

const struct log_sink_ops log_sink_file = {
    .name = "file",
    .open = open_file,
    .write = log_sink_write_fd,
    .close = close_file,
};
