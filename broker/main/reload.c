/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keep.h"
#include "main/broker_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The configuration, read again: everything that can be wrong is found before anything changes.
 *
 *   file and flags -> what needs a restart stays -> doors (sockets, keys) -> applied, or nothing has happened
 */

enum err broker_open_log(struct broker *b, const struct config *config)
{
    struct log_dest dests[CONFIG_DESTS_MAX];
    struct log_conf conf = {
        .clock = &clock_system,
        .levels = config->log_types,
        .timestamps = config->log_timestamp,
        .dests = dests,
        .dests_count = config->log_dests_count,
    };
    for (size_t i = 0; i < conf.dests_count; i++)
        dests[i] = (struct log_dest){ config->log_dests[i].sink, config->log_dests[i].path };
    enum err rc = log_open(&b->log, &conf);
    if (rc != ERR_OK)
        fprintf(stderr, "longlinkd: log_dest: cannot be opened: %s\n",
                rc == ERR_SYS ? strerror(errno) : err_text(rc));
    return rc;
}

void broker_log_warnings(struct broker *b, const struct config_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++) {
        const struct config_note *n = &notes->at[i];
        if (n->is_error)
            log_event(b->log, EVENT_CONFIG_ERROR, LOG_STR("error", n->text));
        else
            log_event(b->log, EVENT_CONFIG_WARNING, LOG_STR("warning", n->text));
    }
}

static enum err fail(struct broker *b, enum err rc)
{
    log_event(b->log, EVENT_RELOAD_FAILED, LOG_STR("error", err_text(rc)));
    return rc;
}

static void tell_kept(void *ctx, const struct config_change *change)
{
    struct broker *b = ctx;
    log_event(b->log, EVENT_RESTART_NEEDED, LOG_STR("option", change->option),
              LOG_STR("set_at", change->set_at), LOG_STR("holds", change->before),
              LOG_STR("wanted", change->after));
}

enum err broker_reload(struct broker *b, struct config *config, const struct config_notes *notes)
{
    struct doors_plan *plan;
    struct doors_counts counts;
    log_reopen(b->log);
    broker_log_warnings(b, notes);
    if (notes->errors > 0) {
        free(config);
        return fail(b, ERR_SYNTAX);
    }
    config_keep(config, b->config, tell_kept, b);
    unsigned changed = config_changes(config, b->config);
    enum err rc = doors_plan(b->doors, &plan, config);
    if (rc == ERR_OK) rc = doors_apply(b->doors, &plan, b->shards, &counts);
    if (rc != ERR_OK) return fail(b, rc);
    b->config = doors_config(b->doors);
    log_event(b->log, EVENT_RELOAD_DONE, LOG_NUM("options", changed), LOG_NUM("opened", counts.opened),
              LOG_NUM("closed", counts.closed), LOG_NUM("kept", counts.kept));
    return ERR_OK;
}
