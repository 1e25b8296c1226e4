/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keep.h"
#include "main/broker_int.h"
#include "main/plugins.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The configuration, read again: everything that can be wrong is found before anything changes.
 *
 *   file and flags -> what needs a restart stays -> doors (sockets, keys) -> applied, or nothing has happened
 */

static bool is_open_now(const struct config *running, const struct config_dest *d)
{
    for (size_t i = 0; running != NULL && i < running->log_dests_count; i++) {
        const struct config_dest *o = &running->log_dests[i];
        if (strcmp(o->sink, d->sink) == 0 && strcmp(o->path, d->path) == 0) return true;
    }
    return false;
}

/* What the log is to be; dests has room for it. */
static struct log_conf log_conf_of(const struct config *config, const struct config *running,
                                   struct log_dest *dests)
{
    static_assert(LOG_WANTS_SUBSCRIBE == 1 << 5 && LOG_WANTS_UNSUBSCRIBE == 1 << 6,
                  "the bits of log_types must be those of the log");
    for (size_t i = 0; i < config->log_dests_count; i++) {
        const struct config_dest *d = &config->log_dests[i];
        dests[i] = (struct log_dest){ d->sink, d->path, is_open_now(running, d) };
    }
    return (struct log_conf){
        .clock = &clock_system,
        .levels = config->log_types | (config->connection_messages ? 0u : LOG_WANTS_NO_CONNECTIONS),
        .timestamps = config->log_timestamp,
        .stamp = config->log_timestamp_format,
        .facility = config->log_facility,
        .dests = dests,
        .dests_count = config->log_dests_count,
    };
}

/* Errors are on the terminal anyway. */
static bool shows_errors(const struct config *config)
{
    bool shows = false;
    for (size_t i = 0; i < config->log_dests_count; i++) {
        const char *sink = config->log_dests[i].sink;
        shows |= strcmp(sink, "stderr") == 0 || strcmp(sink, "stdout") == 0;
    }
    return shows && (config->log_types & 1u << LOG_LEVEL_ERROR) != 0;
}

static void tell_unwritable(const struct config *config, const struct config_dest *d, int why)
{
    char set_at[CONFIG_ORIGIN_BYTES];
    config_origin_print(config, d->set_at, set_at);
    fprintf(stderr,
            "error: %s: option 'log_dest': value '%s %s' cannot be opened: %s; allowed: a file that can be "
            "written\n",
            set_at, d->sink, d->path, strerror(why));
}

/* Which one it was. */
static void tell_unopened(const struct config *config, const struct log_conf *conf, enum err rc)
{
    struct log_plan *plan;
    size_t bad;
    if (rc == ERR_SYS && log_plan_new(&plan, conf, &bad) == ERR_SYS)
        tell_unwritable(config, &config->log_dests[bad], errno);
    else
        fprintf(stderr, "longlinkd: the log cannot be opened: %s\n", err_text(rc));
}

enum err broker_open_log(struct broker *b, const struct config *config)
{
    struct log_dest dests[CONFIG_DESTS_MAX];
    struct log_conf conf = log_conf_of(config, NULL, dests);
    if (!shows_errors(config)) conf.levels |= LOG_WANTS_START;
    enum err rc = log_open(&b->log, &conf);
    if (rc != ERR_OK) tell_unopened(config, &conf, rc);
    return rc;
}

static enum err plan_log(struct broker *b, struct log_plan **out, const struct config *config)
{
    struct log_dest dests[CONFIG_DESTS_MAX];
    char set_at[CONFIG_ORIGIN_BYTES];
    size_t bad;
    struct log_conf conf = log_conf_of(config, b->config, dests);
    enum err rc = log_plan_new(out, &conf, &bad);
    int why = errno;
    if (rc != ERR_OK) {
        config_origin_print(config, config->log_dests[bad].set_at, set_at);
        log_event(b->log, EVENT_LOG_DEST_FAILED, LOG_STR("log_dest", dests[bad].sink),
                  LOG_STR("path", dests[bad].path), LOG_STR("set_at", set_at),
                  LOG_STR("error", rc == ERR_SYS ? strerror(why) : err_text(rc)));
    }
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

/* Could it be opened for writing? Nothing is made: 0, or the errno. */
static int why_unwritable(const char *path)
{
    char folder[CONFIG_TEXT_BYTES];
    if (access(path, W_OK) == 0) return 0;
    if (errno != ENOENT) return errno;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) slash[slash == folder ? 1 : 0] = '\0';
    return access(slash == NULL ? "." : folder, W_OK | X_OK) == 0 ? 0 : errno;
}

static enum err try_log(const struct config *config)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; i < config->log_dests_count; i++) {
        const struct config_dest *d = &config->log_dests[i];
        int why = strcmp(d->sink, "file") == 0 ? why_unwritable(d->path) : 0;
        if (why == 0) continue;
        tell_unwritable(config, d, why);
        rc = ERR_SYS;
    }
    return rc;
}

enum err broker_try(struct config *config)
{
    struct log *log;
    struct log_dest dest = { .sink = "stderr", .path = "" };
    struct log_conf conf = {
        .clock = &clock_system,
        .levels = 1u << LOG_LEVEL_ERROR | 1u << LOG_LEVEL_WARNING,
        .dests = &dest,
        .dests_count = 1,
    };
    enum err rc = log_open(&log, &conf);
    if (rc != ERR_OK) {
        free(config);
        return rc;
    }
    enum err log_rc = try_log(config);
    rc = doors_try(log, config);
    log_close(&log);
    return rc == ERR_OK ? log_rc : rc;
}

static void tell_kept(void *ctx, const struct config_change *change)
{
    struct broker *b = ctx;
    log_event(b->log, EVENT_RESTART_NEEDED, LOG_STR("option", change->option),
              LOG_STR("set_at", change->set_at), LOG_STR("holds", change->before),
              LOG_STR("wanted", change->after));
}

/* Takes the configuration; both plans are made, or neither. */
static enum err plan_all(struct broker *b, struct config *config, struct doors_plan **doors,
                         struct log_plan **log)
{
    *doors = NULL;
    enum err log_rc = plan_log(b, log, config);
    enum err rc = doors_plan(b->doors, doors, config);
    if (rc == ERR_OK && log_rc == ERR_OK) return ERR_OK;
    log_plan_free(log);
    doors_cancel(doors);
    return rc != ERR_OK ? rc : log_rc;
}

static enum err change(struct broker *b, struct config *config, unsigned *changed,
                       struct doors_counts *counts)
{
    struct doors_plan *doors;
    struct log_plan *log;
    config_keep(config, b->config, tell_kept, b);
    *changed = config_changes(config, b->config);
    enum err rc = plan_all(b, config, &doors, &log);
    if (rc != ERR_OK) return rc;
    rc = doors_apply(b->doors, &doors, b->shards, counts);
    if (rc == ERR_OK) plugins_reload_config(b->plugins, doors_config(b->doors));
    if (rc == ERR_OK)
        log_change(b->log, &log);
    else
        log_plan_free(&log);
    return rc;
}

enum err broker_reload(struct broker *b, struct config *config, const struct config_notes *notes)
{
    unsigned changed = 0;
    struct doors_counts counts = { 0 };
    enum err rc = notes->errors > 0 ? ERR_SYNTAX : ERR_OK;
    broker_log_warnings(b, notes);
    if (rc == ERR_OK)
        rc = change(b, config, &changed, &counts);
    else
        free(config);
    b->config = doors_config(b->doors);
    if (rc == ERR_OK) {
        log_event(b->log, EVENT_RELOAD_DONE, LOG_NUM("options", changed), LOG_NUM("opened", counts.opened),
                  LOG_NUM("closed", counts.closed), LOG_NUM("kept", counts.kept));
    } else {
        log_event(b->log, EVENT_RELOAD_FAILED, LOG_STR("error", err_text(rc)));
        log_reopen(b->log); /* rotation does not wait for a better configuration */
    }
    return rc;
}
