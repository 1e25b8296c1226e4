/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log_int.h"
#include <unistd.h>

static enum err open_stdout(struct log_sink *s)
{
    s->fd = STDOUT_FILENO;
    return ERR_OK;
}

static void close_stdout(struct log_sink *s)
{
    s->fd = -1; /* the descriptor is the process's, not ours */
}

const struct log_sink_ops log_sink_stdout_ = {
    .name = "stdout",
    .open = open_stdout,
    .write = log_sink_write_fd,
    .close = close_stdout,
};
