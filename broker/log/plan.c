/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log_int.h"
#include <errno.h>
#include <stdlib.h>

static enum err open_sink(struct log_sink *s, const struct log_conf *conf, const struct log_dest *dest)
{
    *s = (struct log_sink){ .ops = log_sink_find(dest->sink), .fd = -1, .facility = conf->facility };
    if (s->ops == NULL) return ERR_UNKNOWN;
    if (dest->path != NULL && dest->path[0] != '\0') {
        s->path = strdup(dest->path);
        if (s->path == NULL) return ERR_NOMEM;
    }
    enum err rc = s->ops->open(s);
    return rc == ERR_SYS && dest->is_open ? ERR_OK : rc;
}

enum err log_plan_new(struct log_plan **out, const struct log_conf *conf, size_t *bad)
{
    *bad = 0;
    *out = NULL;
    if (conf->dests_count > LOG_DESTS_MAX) return ERR_RANGE;
    struct log_plan *p = calloc(1, sizeof *p);
    if (p == NULL) return ERR_NOMEM;
    p->wanted = conf->dests_count > 0 ? conf->levels : conf->levels & LOG_WANTS_START;
    p->stamps = conf->timestamps;
    if (conf->stamp != NULL) snprintf(p->stamp, sizeof p->stamp, "%s", conf->stamp);
    enum err rc = ERR_OK;
    while (rc == ERR_OK && p->sinks_count < conf->dests_count) {
        *bad = p->sinks_count;
        rc = open_sink(&p->sinks[p->sinks_count], conf, &conf->dests[p->sinks_count]);
        p->sinks_count++;
    }
    *out = p;
    int why = errno; /* the caller says what the system refused */
    if (rc != ERR_OK) log_plan_free(out);
    errno = why;
    return rc;
}

void log_plan_free(struct log_plan **owner)
{
    struct log_plan *p = *owner;
    *owner = NULL;
    if (p == NULL) return;
    for (size_t i = 0; i < p->sinks_count; i++) {
        struct log_sink *s = &p->sinks[i];
        if (s->ops != NULL) s->ops->close(s);
        free(s->path);
    }
    free(p);
}

static void inherit(struct log_sink *s, struct log_plan *old)
{
    s->is_old = true;
    for (size_t i = 0; i < old->sinks_count; i++) {
        struct log_sink *o = &old->sinks[i];
        bool is_same =
            o->ops == s->ops && o->path != NULL && s->path != NULL && strcmp(o->path, s->path) == 0;
        if (!is_same || o->fd < 0) continue;
        s->fd = o->fd;
        o->fd = -1;
        return;
    }
}

void log_plan_inherit(struct log_plan *p, struct log_plan *old)
{
    for (size_t i = 0; old != NULL && i < p->sinks_count; i++)
        if (p->sinks[i].fd < 0 && p->sinks[i].ops == &log_sink_file) inherit(&p->sinks[i], old);
}
