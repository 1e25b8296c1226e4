/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log_int.h"
#include <unistd.h>

static enum err open_stderr(struct log_sink *s)
{
    s->fd = STDERR_FILENO;
    return ERR_OK;
}

static void close_stderr(struct log_sink *s)
{
    s->fd = -1; /* the descriptor is the process's, not ours */
}

const struct log_sink_ops log_sink_stderr_ = {
    .name = "stderr",
    .open = open_stderr,
    .write = log_sink_write_fd,
    .close = close_stderr,
};
