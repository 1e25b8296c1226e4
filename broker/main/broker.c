/* SPDX-License-Identifier: Apache-2.0 */
#include "main/broker.h"
#include "base/check.h"
#include "base/limits.h"
#include "main/drop.h"
#include "main/state_dir.h"
#include "net/listener.h"
#include "shard/shard.h"
#include "store/store_mem.h"
#include "store_sqlite/store_disk.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct open_listener {
    const struct config_listener *config;
    struct listener net;
    struct gauge open;
    struct shards_listener of_shards[LISTENER_FDS_MAX];
};

struct broker {
    const struct config *config;
    struct clock_steady clock; /* of all but the log, whose lines have the time of day */
    struct log *log;
    struct metrics *metrics;
    struct shards *shards;
    struct store_mem *mem; /* one of the two */
    struct store_disk *disk;
    char state_dir[CONFIG_TEXT_BYTES + 64];
    bool runs; /* the loops, and the store behind them */
    struct open_listener *listeners;
    size_t listeners_count;
    struct shards_view view;
    struct shards_door *doors; /* of the view: one for each listener */
};

static unsigned shards_wanted(const struct config *config)
{
    cpu_set_t set;
    if (config->shards > 0) return config->shards;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int cpus = CPU_COUNT(&set);
    return cpus < 1 ? 1 : cpus > SHARDS_MAX ? SHARDS_MAX : (unsigned)cpus;
}

static enum err open_log(struct broker *b)
{
    struct log_dest dests[CONFIG_DESTS_MAX];
    struct log_conf conf = {
        .clock = &clock_system,
        .levels = b->config->log_types,
        .timestamps = b->config->log_timestamp,
        .dests = dests,
        .dests_count = b->config->log_dests_count,
    };
    for (size_t i = 0; i < conf.dests_count; i++)
        dests[i] = (struct log_dest){ b->config->log_dests[i].sink, b->config->log_dests[i].path };
    enum err rc = log_open(&b->log, &conf);
    if (rc != ERR_OK)
        fprintf(stderr, "longlinkd: log_dest: cannot be opened: %s\n",
                rc == ERR_SYS ? strerror(errno) : err_text(rc));
    return rc;
}

static int family_of(const struct config_listener *l)
{
    switch (l->socket_domain) {
    case CONFIG_DOMAIN_IPV4: return AF_INET;
    case CONFIG_DOMAIN_IPV6: return AF_INET6;
    default: return AF_UNSPEC;
    }
}

static enum err refuse_path(struct broker *b, const struct config_listener *l)
{
    log_event(b->log, EVENT_LISTENER_FAILED, LOG_STR("address", l->path),
              LOG_STR("error", "Unix sockets are not built yet"), LOG_STR("set_at", l->origin));
    return ERR_NOTFOUND;
}

static enum err open_listener(struct broker *b, const struct config_listener *l)
{
    if (l->path[0] != '\0') return refuse_path(b, l);
    struct open_listener *o = &b->listeners[b->listeners_count];
    const char *address = l->address[0] == '\0' ? NULL : l->address;
    struct listener_conf conf = { address, l->port, family_of(l), b->config->set_tcp_nodelay };
    enum err rc = listener_open(&o->net, &conf);
    const char *shown = address == NULL ? "*" : address;
    if (rc != ERR_OK) {
        log_event(b->log, EVENT_LISTENER_FAILED, LOG_STR("address", shown), LOG_NUM("port", l->port),
                  LOG_STR("error", rc == ERR_SYS ? strerror(errno) : "the address does not resolve"),
                  LOG_STR("set_at", l->origin));
        return rc;
    }
    o->config = l;
    size_t door = b->listeners_count++;
    log_event(b->log, EVENT_LISTENER_OPEN, LOG_STR("address", shown), LOG_NUM("port", o->net.port));
    for (unsigned i = 0; i < o->net.fds_count; i++)
        o->of_shards[i] = (struct shards_listener){
            .fd = o->net.fds[i],
            .port = o->net.port,
            .door = (uint16_t)door,
            .open = &o->open,
        };
    return ERR_OK;
}

static void accept_connections(struct broker *b)
{
    for (size_t i = 0; i < b->listeners_count; i++) {
        struct open_listener *o = &b->listeners[i];
        for (unsigned fd = 0; fd < o->net.fds_count; fd++) shards_listen(b->shards, &o->of_shards[fd]);
    }
    log_event(b->log, EVENT_BROKER_READY, LOG_NUM("listeners", b->listeners_count));
}

static enum err open_listeners(struct broker *b)
{
    if (b->config->local_only) log_event(b->log, EVENT_LOCAL_ONLY);
    b->listeners = calloc(b->config->listeners_count, sizeof *b->listeners);
    if (b->listeners == NULL) return ERR_NOMEM;
    enum err rc = ERR_OK;
    for (size_t i = 0; i < b->config->listeners_count && rc == ERR_OK; i++)
        rc = open_listener(b, &b->config->listeners[i]);
    return rc;
}

static enum err make_door(struct broker *b, size_t i)
{
    char text[EDGE_TEXT_BYTES];
    struct edge_conf conf = { 0 };
    struct shards_door *d = &b->doors[i];
    d->config = b->listeners[i].config;
    enum err rc = edge_new(&d->edge, &conf, text);
    if (rc != ERR_OK)
        log_event(b->log, EVENT_LISTENER_FAILED, LOG_NUM("port", b->listeners[i].net.port),
                  LOG_STR("error", text), LOG_STR("set_at", d->config->origin));
    return rc;
}

/* What all shards see of the configuration. */
static enum err make_view(struct broker *b)
{
    b->doors = calloc(b->listeners_count, sizeof *b->doors);
    if (b->doors == NULL) return ERR_NOMEM;
    b->view = (struct shards_view){ b->config, b->doors, b->listeners_count };
    enum err rc = ERR_OK;
    for (size_t i = 0; i < b->listeners_count && rc == ERR_OK; i++) rc = make_door(b, i);
    return rc;
}

static void free_view(struct broker *b)
{
    for (size_t i = 0; i < b->view.doors_count; i++) edge_unref(&b->doors[i].edge);
    free(b->doors);
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
    log_event(b->log, EVENT_STORE_FAILED, LOG_STR("persistence_location", b->state_dir),
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

static enum err start_shards(struct broker *b)
{
    struct shards_conf conf = {
        .count = shards_wanted(b->config),
        .view = &b->view,
        .log = b->log,
        .clock = &b->clock.clock,
    };
    enum err rc = metrics_new(&b->metrics, conf.count + 1);
    conf.metrics = b->metrics;
    if (rc == ERR_OK) rc = shards_new(&b->shards, &conf);
    if (rc != ERR_OK) return rc;
    log_event(b->log, EVENT_BROKER_START, LOG_STR("version", LONGLINK_VERSION), LOG_NUM("shards", conf.count),
              LOG_STR("durability", durability_of(b->config)));
    rc = is_on_disk(b->config) ? run_on_disk(b) : run_in_memory(b);
    b->runs = rc == ERR_OK;
    return rc;
}

static void log_warnings(struct broker *b, const struct config_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        log_event(b->log, EVENT_CONFIG_WARNING, LOG_STR("warning", notes->at[i].text));
}

enum err broker_start(struct broker **out, const struct config *config, const struct config_notes *notes)
{
    struct broker *b = calloc(1, sizeof *b);
    *out = b;
    if (b == NULL) return ERR_NOMEM;
    b->config = config;
    clock_steady_init(&b->clock, &clock_system);
    enum err rc = open_log(b);
    if (rc == ERR_OK) log_warnings(b, notes);
    if (rc == ERR_OK) rc = open_listeners(b);
    if (rc == ERR_OK) rc = make_view(b); /* keys may be root's to read */
    if (rc == ERR_OK) rc = make_state_dir(b);
    /* Ports may be privileged; files and clients' bytes are for the user that stays. */
    if (rc == ERR_OK) rc = drop_to_user(config->user);
    if (rc == ERR_OK) rc = start_shards(b);
    if (rc == ERR_OK) {
        accept_connections(b);
        return ERR_OK;
    }
    log_event(b->log, EVENT_BROKER_FAILED, LOG_STR("error", err_text(rc)));
    broker_stop(out);
    return rc;
}

void broker_stop(struct broker **owner)
{
    struct broker *b = *owner;
    *owner = NULL;
    if (b == NULL) return;
    bool runs = b->runs;
    if (runs) log_event(b->log, EVENT_BROKER_STOP);
    if (runs) shards_close_clients(b->shards);
    for (size_t i = 0; i < b->listeners_count; i++) listener_close(&b->listeners[i].net);
    store_mem_stop(&b->mem);
    store_disk_stop(&b->disk);
    if (runs) shards_stop(b->shards);
    shards_free(&b->shards);
    metrics_free(&b->metrics);
    log_close(&b->log);
    free_view(b);
    free(b->listeners);
    free(b);
}

struct log *broker_log(struct broker *b)
{
    return b->log;
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
}
