/* SPDX-License-Identifier: Apache-2.0 */
#include "access/throttle.h"
#include "base/limits.h"
#include "main/broker_int.h"
#include "main/deadline.h"
#include "main/drop.h"
#include "main/files.h"
#include "main/plugins.h"
#include "main/state_dir.h"
#include "store/store_mem.h"
#include "store_sqlite/store_disk.h"
#include "worker/worker.h"
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned shards_wanted(const struct config *config)
{
    cpu_set_t set;
    if (config->shards > 0) return config->shards;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int cpus = CPU_COUNT(&set);
    return cpus < 1 ? 1 : cpus > SHARDS_MAX ? SHARDS_MAX : (unsigned)cpus;
}

static bool is_on_disk(const struct config *config)
{
    return config->persistence && config->durability != CONFIG_DURABILITY_MEMORY;
}

static struct backlog_limits limits_of(const struct config *config)
{
    static const enum backlog_policy policies[] = {
        [CONFIG_QUEUE_DROP_NEW] = BACKLOG_DROP_NEW,
        [CONFIG_QUEUE_DROP_OLDEST] = BACKLOG_DROP_OLDEST,
        [CONFIG_QUEUE_REFUSE] = BACKLOG_REFUSE,
    };
    return (struct backlog_limits){
        .messages_max = config->max_queued_messages,
        .bytes_max = config->max_queued_bytes,
        .policy = policies[config->max_queued_policy],
    };
}

static const char *durability_of(const struct config *config)
{
    return config_durability_word(is_on_disk(config) ? config->durability : CONFIG_DURABILITY_MEMORY);
}

static enum err run_loops(struct broker *b, const struct journal *journal, const struct store *store,
                          const struct shards_past *past)
{
    enum err rc = shards_sys(b->shards, "longlink version " LONGLINK_VERSION, durability_of(b->config));
    return rc == ERR_OK ? shards_start(b->shards, journal, store, past) : rc;
}

static enum err run_in_memory(struct broker *b)
{
    struct store_mem_conf conf = {
        .sink = shards_sink(b->shards),
        .limits = limits_of(b->config),
        .clock = &clock_system,
    };
    enum err rc = store_mem_start(&b->mem, &conf);
    if (rc != ERR_OK) return rc;
    struct journal journal = store_mem_journal(b->mem);
    struct store store = store_mem_store(b->mem);
    return run_loops(b, &journal, &store, &(struct shards_past){ 0 });
}

static enum err store_failed(struct broker *b, const char *why, enum err rc)
{
    const struct passwd *user = getpwuid(geteuid());
    char set_at[CONFIG_ORIGIN_BYTES];
    config_origin_print(b->config, b->config->origins[CONFIG_ID_persistence_location], set_at);
    log_event(b->log, EVENT_STORE_FAILED, LOG_STR("persistence_location", b->state_dir),
              LOG_STR("set_at", set_at), LOG_STR("user", user == NULL ? "" : user->pw_name),
              LOG_STR("error", why));
    return rc;
}

static enum err make_state_dir(struct broker *b)
{
    char text[STATE_DIR_TEXT_BYTES] = "";
    if (!is_on_disk(b->config)) return ERR_OK;
    enum err rc = state_dir_choose(b->state_dir, sizeof b->state_dir, b->config);
    if (rc == ERR_OK) rc = state_dir_make(b->state_dir, b->config->user, text);
    return rc == ERR_OK ? ERR_OK : store_failed(b, text[0] != '\0' ? text : err_text(rc), rc);
}

static enum err run_on_disk(struct broker *b)
{
    char text[STORE_DISK_TEXT_BYTES];
    struct restore_sink restore = shards_restore(b->shards);
    struct store_disk_conf conf = {
        .sink = shards_sink(b->shards),
        .dir = b->state_dir,
        .sets_damaged_aside = b->config->persistence_damaged == CONFIG_DAMAGED_SET_ASIDE,
        .sync = b->config->durability == CONFIG_DURABILITY_DISK,
        .limits = limits_of(b->config),
        .memory_limit = b->config->memory_limit,
        .log = b->log,
        .metrics = metrics_shard(b->metrics, shards_wanted(b->config)),
        .clock = &b->clock.clock,
    };
    enum err rc = store_disk_open(&b->disk, &conf, &restore, text);
    if (rc != ERR_OK) return store_failed(b, text, rc);
    struct journal journal = store_disk_journal(b->disk);
    struct store store = store_disk_store(b->disk);
    struct shards_past past = { store_disk_boot_no(b->disk), store_disk_client_key(b->disk) };
    rc = run_loops(b, &journal, &store, &past);
    return rc == ERR_OK ? store_disk_run(b->disk) : rc;
}

/* For passwords: as many as have CPUs to run on, and no more, so that logging in leaves some for messages. */
static enum err start_workers(struct broker *b)
{
    unsigned cpus = shards_wanted(b->config);
    struct workers_conf conf = { cpus < 2 ? 2 : cpus > 4 ? 4 : cpus, LOGINS_WAITING_MAX };
    enum err rc = throttle_new(&b->throttle);
    return rc == ERR_OK ? workers_start(&b->workers, &conf) : rc;
}

/* The sum of all max_connections that are set. */
static uint64_t connections_wanted(const struct config *config)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < config->listeners_count; i++) {
        uint32_t most = config->listeners[i].max_connections;
        if (most != UINT32_MAX) sum += most;
    }
    return sum;
}

static uint32_t connections_max(struct broker *b)
{
    struct files f = files_raise(shards_wanted(b->config), b->config->listeners_count);
    uint64_t wanted = connections_wanted(b->config);
    if (wanted > f.connections)
        log_event(b->log, EVENT_FILES_FEW, LOG_NUM("open_files", f.limit),
                  LOG_NUM("connections", f.connections), LOG_NUM("max_connections", wanted));
    return f.connections;
}

static enum err start_shards(struct broker *b)
{
    struct shards_conf conf = {
        .count = shards_wanted(b->config),
        .view = doors_plan_view(b->plan),
        .log = b->log,
        .clock = &b->clock.clock,
        .connections_max = connections_max(b),
    };
    enum err rc = metrics_new(&b->metrics, conf.count + 1);
    conf.metrics = b->metrics;
    if (rc == ERR_OK) rc = start_workers(b);
    conf.workers = b->workers;
    conf.throttle = b->throttle;
    if (rc == ERR_OK) rc = shards_new(&b->shards, &conf);
    if (rc == ERR_OK) rc = shards_pulse_new(&b->pulse, b->shards);
    if (rc != ERR_OK) return rc;
    log_event(b->log, EVENT_BROKER_START, LOG_STR("version", LONGLINK_VERSION), LOG_NUM("shards", conf.count),
              LOG_STR("durability", durability_of(b->config)));
    rc = is_on_disk(b->config) ? run_on_disk(b) : run_in_memory(b);
    b->runs = rc == ERR_OK;
    return rc;
}

/* What must be done as root, if this is: sockets may be privileged, keys and directories root's. */
static enum err open_all(struct broker *b, struct config *config)
{
    if (config->local_only) log_event(b->log, EVENT_LOCAL_ONLY);
    enum err rc = plugins_of_config(&b->plugins, config, b->log);
    if (rc == ERR_OK) rc = doors_new(&b->doors, b->log, b->plugins);
    if (rc != ERR_OK) {
        free(config);
        return rc;
    }
    rc = doors_plan(b->doors, &b->plan, config);
    if (rc != ERR_OK) return rc;
    b->config = config;
    return make_state_dir(b);
}

/* They may publish while they begin; clients come when all are ready. */
static enum err start_plugins(struct broker *b)
{
    struct hook_broker broker = shards_hook_broker(b->shards);
    return b->plugins == NULL ? ERR_OK : plugins_start(b->plugins, &broker);
}

static enum err accept_connections(struct broker *b)
{
    struct doors_counts counts;
    enum err rc = doors_apply(b->doors, &b->plan, b->shards, &counts);
    if (rc != ERR_OK) return rc;
    log_publish(b->log, shards_log_line, b->shards);
    log_event(b->log, EVENT_BROKER_READY, LOG_NUM("listeners", counts.opened));
    log_started(b->log);
    return ERR_OK;
}

static enum err become_user(const struct config *config)
{
    char set_at[CONFIG_ORIGIN_BYTES];
    config_origin_print(config, config->origins[CONFIG_ID_user], set_at);
    return drop_to_user(config->user, set_at);
}

static enum err start(struct broker *b, struct config *config, const struct config_notes *notes)
{
    enum err rc = broker_open_log(b, config);
    if (rc != ERR_OK) {
        free(config);
        return rc;
    }
    broker_log_warnings(b, notes);
    rc = open_all(b, config);
    if (rc == ERR_OK) rc = become_user(b->config);
    if (rc == ERR_OK) rc = start_shards(b);
    if (rc == ERR_OK) rc = start_plugins(b);
    if (rc == ERR_OK) rc = accept_connections(b);
    if (rc != ERR_OK) log_event(b->log, EVENT_BROKER_FAILED, LOG_STR("error", err_text(rc)));
    return rc;
}

enum err broker_start(struct broker **out, struct config *config, const struct config_notes *notes)
{
    struct broker *b = calloc(1, sizeof *b);
    *out = b;
    if (b == NULL) {
        free(config);
        return ERR_NOMEM;
    }
    clock_steady_init(&b->clock, &clock_system);
    enum err rc = start(b, config, notes);
    if (rc != ERR_OK) broker_stop(out);
    return rc;
}

void broker_stop(struct broker **owner)
{
    struct broker *b = *owner;
    *owner = NULL;
    if (b == NULL) return;
    struct deadline deadline = { .runs = false };
    bool runs = b->runs;
    if (runs) log_event(b->log, EVENT_BROKER_STOP);
    if (runs) deadline_start(&deadline, b->log);
    if (runs) shards_close_clients(b->shards);
    if (b->workers != NULL) workers_stop(b->workers); /* what they have goes home before the shards end */
    if (b->plugins != NULL) plugins_stop(b->plugins, PLUGINS_STOP_MS); /* the same */
    if (runs) log_publish(b->log, NULL, NULL);
    if (b->doors != NULL) doors_close(b->doors);
    store_mem_stop(&b->mem);
    store_disk_stop(&b->disk);
    if (runs) shards_stop(b->shards);
    shards_pulse_free(&b->pulse);
    shards_free(&b->shards);
    workers_free(&b->workers);
    throttle_free(&b->throttle);
    metrics_free(&b->metrics);
    doors_cancel(&b->plan);
    doors_free(&b->doors);
    plugins_free(&b->plugins);
    log_finish(b->log); /* what it goes to may hang, too */
    deadline_stop(&deadline);
    log_close(&b->log);
    free(b);
}

bool broker_is_alive(struct broker *b)
{
    bool alive = shards_pulse(b->pulse);
    if (!alive) log_event(b->log, EVENT_LOOP_STUCK);
    return alive;
}

static void print_figure(void *ctx, const struct plugin_figure *f)
{
    struct broker *b = ctx;
    if (f->event == NULL)
        log_event(b->log, EVENT_METRIC, LOG_STR("name", f->name), LOG_STR("plugin", f->plugin),
                  LOG_NUM("value", f->value));
    else
        log_event(b->log, EVENT_METRIC, LOG_STR("name", f->name), LOG_STR("plugin", f->plugin),
                  LOG_STR("event", f->event), LOG_NUM("value", f->value));
}

void broker_print_metrics(struct broker *b)
{
    static const char *const names[] = {
#define METRIC(name, kind, unit, doc) #name,
#include "metrics/metrics.def"
#undef METRIC
    };
    for (unsigned i = 0; i < METRICS_COUNT; i++)
        log_event(b->log, EVENT_METRIC, LOG_STR("name", names[i]),
                  LOG_NUM("value", metrics_sum(b->metrics, i)));
    if (b->plugins != NULL) plugins_figures(b->plugins, print_figure, b);
}
