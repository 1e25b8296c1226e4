/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log_int.h"
#include <errno.h>
#include <unistd.h>

static const struct log_sink_ops *const sinks[] = {
#define SINK(name) &log_sink_##name,
#include "log/sinks.def"
#undef SINK
};

const struct log_sink_ops *log_sink_find(const char *name)
{
    for (size_t i = 0; i < sizeof sinks / sizeof sinks[0]; i++)
        if (strcmp(sinks[i]->name, name) == 0) return sinks[i];
    return NULL;
}

bool log_sink_write_fd(struct log_sink *s, const struct log_record *r, const char *text)
{
    size_t n = r->size;
    if (s->fd < 0) return false;
    while (n > 0) {
        ssize_t wrote = write(s->fd, text, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        text += wrote;
        n -= (size_t)wrote;
    }
    return true;
}
