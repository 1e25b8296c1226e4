/* SPDX-License-Identifier: Apache-2.0 */
#include "main/doors.h"
#include "config/keep.h"
#include "main/doors_access.h"
#include "main/drop.h"
#include "main/plugins.h"
#include "net/listener.h"
#include "net/proxy.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A listener. */
struct door {
    struct listener net;
    struct gauge open; /* its connections */
    struct shards_rates rates;
    struct shards_listener of_shards[LISTENER_FDS_MAX];
    struct edge *edge;
    uint64_t number;
    struct config_listener *last; /* of one that is gone: what its connections still ask for */
    bool is_listening;
};

/* The view that shards have, and what it is made of. */
struct view {
    struct shards_view shards;
    struct config *config;
    struct shards_door *doors;
};

struct doors {
    struct log *log;
    struct plugins *plugins; /* NULL: none */
    struct door **at;        /* by their places in the view; NULL: a free one */
    size_t count;
    uint64_t numbers;  /* given to doors */
    struct view *view; /* that holds; NULL at first */
    bool only_tries;   /* opens no sockets */
};

enum fate { FATE_NONE, FATE_OPEN, FATE_KEEP, FATE_CLOSE, FATE_REST, FATE_FREE };

/* One place in the view that is to be. */
struct plan_row {
    struct door *door;
    const struct config_listener *config;
    struct edge *edge;
    enum fate fate;
    bool is_muted; /* its sockets listen no more, so that another one can have the port */
};

struct doors_plan {
    struct view *view;
    struct plan_row *rows;
    size_t count;
};

enum err doors_new(struct doors **out, struct log *log, struct plugins *plugins)
{
    struct doors *d = calloc(1, sizeof *d);
    *out = d;
    if (d == NULL) return ERR_NOMEM;
    d->log = log;
    d->plugins = plugins;
    return ERR_OK;
}

static void door_free(struct door *door)
{
    if (door == NULL) return;
    (void)listener_close(&door->net);
    edge_unref(&door->edge);
    free(door->last);
    free(door);
}

static void view_free(struct view *v)
{
    if (v == NULL) return;
    for (size_t i = 0; i < v->shards.doors_count; i++) {
        access_unref(&v->doors[i].access);
        hooks_unref(&v->doors[i].hooks);
    }
    free(v->doors);
    free(v->config);
    free(v);
}

void doors_free(struct doors **owner)
{
    struct doors *d = *owner;
    *owner = NULL;
    if (d == NULL) return;
    for (size_t i = 0; i < d->count; i++) door_free(d->at[i]);
    free(d->at);
    view_free(d->view);
    free(d);
}

static void close_net(const struct doors *d, struct listener *net)
{
    char path[LISTENER_PATH_BYTES];
    memcpy(path, net->path, sizeof path);
    if (listener_close(net) != ERR_OK)
        log_event(d->log, EVENT_LISTENER_LEFT, LOG_STR("address", path), LOG_STR("error", strerror(errno)));
}

void doors_close(struct doors *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->at[i] != NULL) close_net(d, &d->at[i]->net);
}

const struct config *doors_config(const struct doors *d)
{
    return d->view == NULL ? NULL : d->view->config;
}

/* --- the plan: who stays, who goes, who comes */

/* The row of the open listener that the one at `index` of the new configuration is; NULL: it is new. */
static struct plan_row *find_open(const struct doors *d, const struct doors_plan *p, size_t index)
{
    const struct config *before = doors_config(d);
    size_t was = before == NULL ? 0 : config_find_listener(before, p->view->config, index);
    if (before == NULL || was == before->listeners_count) return NULL;
    for (size_t i = 0; i < d->count; i++)
        if (p->rows[i].fate == FATE_CLOSE && d->view->doors[i].config == &before->listeners[was])
            return &p->rows[i];
    return NULL;
}

static struct plan_row *find_free(const struct doors_plan *p)
{
    struct plan_row *r = p->rows;
    while (r->fate != FATE_NONE) r++; /* there are as many as listeners in the configuration */
    return r;
}

/* Who is there goes, unless the configuration has it; who was gone before and has no connection left is
 * freed. */
static void judge_open(const struct doors *d, struct doors_plan *p)
{
    for (size_t i = 0; i < d->count; i++) {
        struct door *door = d->at[i];
        struct plan_row *r = &p->rows[i];
        if (door == NULL) continue;
        r->door = door;
        r->config = door->last;
        r->fate = door->last == NULL ? FATE_CLOSE : gauge_is_zero(&door->open) ? FATE_FREE : FATE_REST;
    }
}

static enum err judge(struct doors *d, struct doors_plan *p)
{
    const struct config *config = p->view->config;
    bool is_new[CONFIG_LISTENERS_MAX];
    judge_open(d, p);
    for (size_t i = 0; i < config->listeners_count; i++) {
        struct plan_row *r = find_open(d, p, i);
        is_new[i] = r == NULL;
        if (r == NULL) continue;
        r->fate = FATE_KEEP;
        r->config = &config->listeners[i];
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        if (!is_new[i]) continue;
        struct plan_row *r = find_free(p);
        r->door = calloc(1, sizeof *r->door);
        if (r->door == NULL) return ERR_NOMEM;
        r->door->number = ++d->numbers;
        r->fate = FATE_OPEN;
        r->config = &config->listeners[i];
    }
    return ERR_OK;
}

/* --- sockets */

static int family_of(const struct config_listener *l)
{
    switch (l->socket_domain) {
    case CONFIG_DOMAIN_IPV4: return AF_INET;
    case CONFIG_DOMAIN_IPV6: return AF_INET6;
    default: return AF_UNSPEC;
    }
}

static const char *shown_address(const struct config_listener *l)
{
    if (l->path[0] != '\0') return l->path;
    return l->address[0] == '\0' ? "*" : l->address;
}

/* Those on this port that go. True: there were any. */
static bool mute_others(struct doors_plan *p, uint16_t port)
{
    bool any = false;
    for (size_t i = 0; i < p->count; i++) {
        struct plan_row *r = &p->rows[i];
        if (r->fate != FATE_CLOSE || r->door->net.port != port || r->is_muted) continue;
        listener_mute(&r->door->net);
        any = r->is_muted = true;
    }
    return any;
}

/* Its file is the user's that stays: who may connect, and who removes it at the end, is decided by that. */
static enum err open_path(const struct config *config, struct plan_row *r)
{
    enum err rc = listener_open_path(&r->door->net, r->config->path);
    return rc == ERR_OK ? drop_give(r->config->path, config->user) : rc;
}

static struct listener_tcp tcp_of(const struct config *config, const struct config_listener *l)
{
    return (struct listener_tcp){
        .nodelay = config->set_tcp_nodelay,
        .thin_linear_timeouts = l->tcp_thin_linear_timeouts,
        .rto_max_ms = l->tcp_rto_max,
        .notsent_lowat = l->tcp_notsent_lowat,
        .defer_accept_s = l->tcp_defer_accept,
    };
}

static enum err open_socket(struct doors_plan *p, struct plan_row *r)
{
    const struct config_listener *l = r->config;
    if (l->path[0] != '\0') return open_path(p->view->config, r);
    struct listener_conf conf = {
        .address = l->address[0] == '\0' ? NULL : l->address,
        .port = l->port,
        .family = family_of(l),
        .interface = l->bind_interface[0] == '\0' ? NULL : l->bind_interface,
        .tcp = tcp_of(p->view->config, l),
    };
    enum err rc = listener_open(&r->door->net, &conf);
    /* The same port on another address, or on all: whoever has it now is about to go. */
    if (rc == ERR_SYS && errno == EADDRINUSE && mute_others(p, l->port))
        rc = listener_open(&r->door->net, &conf);
    return rc;
}

static enum err open_listener(struct doors *d, struct doors_plan *p, struct plan_row *r)
{
    const struct config_listener *l = r->config;
    struct door *door = r->door;
    enum err rc = open_socket(p, r);
    if (rc != ERR_OK) {
        log_event(d->log, EVENT_LISTENER_FAILED, LOG_STR("address", shown_address(l)),
                  LOG_NUM("port", l->port), LOG_STR("error", listener_why(rc)), LOG_STR("set_at", l->origin));
        return rc;
    }
    for (unsigned i = 0; i < door->net.fds_count; i++)
        door->of_shards[i] = (struct shards_listener){
            .fd = door->net.fds[i],
            .port = door->net.port,
            .door = (uint16_t)(r - p->rows),
            .open = &door->open,
            .rates = &door->rates,
        };
    return ERR_OK;
}

/* --- the view */

static_assert((int)CONFIG_PROXY_V1 == (int)PROXY_V1 && (int)CONFIG_PROXY_V2 == (int)PROXY_V2 &&
                  CONFIG_PROXY_ANY == (PROXY_V1 | PROXY_V2),
              "the words of enable_proxy_protocol are in the order of these bits");

static bool has_plugins(const struct config *config, const struct config_listener *l)
{
    for (size_t i = 0; i < config->plugins_count; i++)
        if (config_plugin_serves(&config->plugins[i], (size_t)(l - config->listeners))) return true;
    return false;
}

/* What stands between a socket of this listener and MQTT. */
static struct edge_conf edge_conf_of(const struct config *config, const struct config_listener *l,
                                     struct edge *previous)
{
    return (struct edge_conf){
        .before = previous,
        .tls = {
            .certfile = l->certfile,
            .keyfile = l->keyfile,
            .cafile = l->cafile,
            .capath = l->capath,
            .crlfile = l->crlfile,
            .require_certificate = l->require_certificate,
            .version_min = l->tls_version == CONFIG_TLS_1_3 ? TLS_1_3 : TLS_1_2,
            .ciphers = l->ciphers,
            .ciphers_tls1_3 = l->ciphers_tls1_3,
            .dhparamfile = l->dhparamfile,
            .sni_dir = l->sni_dir,
            .psk_hint = l->psk_hint,
            .psk_file = l->security.psk_file,
            .asks_for_keys = has_plugins(config, l),
        },
        .is_websocket = l->protocol == CONFIG_PROTOCOL_WEBSOCKETS,
        .ws = { .bytes_max = config->websockets_headers_size, .origins = l->websockets_origin },
        .proxy_versions = l->enable_proxy_protocol,
        .proxy_trusted = l->proxy_trusted,
    };
}

static enum err make_edge(struct doors *d, const struct config *config, struct plan_row *r)
{
    char text[EDGE_TEXT_BYTES];
    struct edge_conf conf = edge_conf_of(config, r->config, r->door->edge);
    enum err rc = edge_new(&r->edge, &conf, text);
    if (rc != ERR_OK)
        log_event(d->log, EVENT_LISTENER_FAILED, LOG_STR("address", shown_address(r->config)),
                  LOG_NUM("port", r->config->port), LOG_STR("error", text),
                  LOG_STR("set_at", r->config->origin));
    return rc;
}

/* One that goes keeps what its connections ask for: the configuration that had it is about to be freed. */
static enum err keep_last(const struct doors *d, const struct doors_plan *p, struct plan_row *r)
{
    struct config_listener *last = malloc(sizeof *last);
    if (last == NULL) return ERR_NOMEM;
    *last = *d->view->doors[r - p->rows].config;
    r->config = last;
    return ERR_OK;
}

/* Who may come in by it. One that goes keeps what it had. */
static enum err make_access(struct doors *d, struct doors_plan *p, struct plan_row *r)
{
    size_t i = (size_t)(r - p->rows);
    struct shards_door *shown = &p->view->doors[i];
    if (r->fate == FATE_CLOSE || r->fate == FATE_REST) shown->access = access_ref(d->view->doors[i].access);
    if (r->fate != FATE_OPEN && r->fate != FATE_KEEP) return ERR_OK;
    shown->config = r->config;
    return door_access_open(shown, p->view->doors, i, d->log);
}

/* Its plugins, which are what they were as long as it is open. */
static enum err make_hooks(struct doors *d, struct doors_plan *p, struct plan_row *r)
{
    size_t i = (size_t)(r - p->rows);
    const struct config *config = p->view->config;
    struct shards_door *shown = &p->view->doors[i];
    if (r->fate == FATE_CLOSE || r->fate == FATE_REST || r->fate == FATE_KEEP)
        shown->hooks = hooks_ref(d->view->doors[i].hooks);
    if (r->fate != FATE_OPEN) return ERR_OK;
    if (!r->config->lacks_plugin)
        return plugins_of_listener(&shown->hooks, d->plugins, config,
                                   (size_t)(r->config - config->listeners));
    log_event(d->log, EVENT_LISTENER_FAILED, LOG_STR("address", shown_address(r->config)),
              LOG_NUM("port", r->config->port),
              LOG_STR("error", "it has a plugin of its own, and plugins are loaded at start only: restart"),
              LOG_STR("set_at", r->config->origin));
    return ERR_SYNTAX;
}

static enum err make_row(struct doors *d, struct doors_plan *p, struct plan_row *r)
{
    enum err rc = ERR_OK;
    enum err access_rc = make_access(d, p, r); /* all that is wrong is said */
    enum err hooks_rc = make_hooks(d, p, r);
    if (access_rc == ERR_OK) access_rc = hooks_rc;
    if (r->fate == FATE_OPEN && !d->only_tries) rc = open_listener(d, p, r);
    if (r->fate == FATE_CLOSE) rc = keep_last(d, p, r);
    if (r->fate == FATE_OPEN || r->fate == FATE_KEEP) {
        enum err edge_rc = make_edge(d, p->view->config, r); /* said as well, when the socket is wrong, too */
        if (rc == ERR_OK) rc = edge_rc;
    }
    return rc == ERR_OK ? access_rc : rc;
}

static void show(struct doors_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_row *r = &p->rows[i];
        bool is_open = r->fate == FATE_OPEN || r->fate == FATE_KEEP;
        p->view->doors[i] = (struct shards_door){
            .config = r->fate == FATE_FREE ? NULL : r->config,
            .edge = is_open           ? r->edge
                    : r->door == NULL ? NULL
                                      : r->door->edge,
            .access = p->view->doors[i].access,
            .hooks = p->view->doors[i].hooks,
            .number = r->door == NULL ? 0 : r->door->number,
            .is_gone = !is_open,
        };
    }
}

static enum err plan_new(struct doors_plan **out, size_t count, struct config *config)
{
    struct doors_plan *p = calloc(1, sizeof *p);
    *out = p;
    if (p != NULL) p->view = calloc(1, sizeof *p->view);
    if (p == NULL || p->view == NULL) {
        free(config);
        return ERR_NOMEM;
    }
    p->count = count;
    p->view->config = config;
    p->view->doors = calloc(count, sizeof *p->view->doors);
    p->rows = calloc(count, sizeof *p->rows);
    if (p->rows == NULL || p->view->doors == NULL) return ERR_NOMEM;
    p->view->shards = (struct shards_view){ config, p->view->doors, count };
    return ERR_OK;
}

enum err doors_plan(struct doors *d, struct doors_plan **out, struct config *config)
{
    enum err rc = plan_new(out, d->count + config->listeners_count, config);
    if (rc == ERR_OK) rc = judge(d, *out);
    for (size_t i = 0; rc != ERR_NOMEM && i < (*out)->count; i++) {
        enum err one = make_row(d, *out, &(*out)->rows[i]);
        if (rc == ERR_OK || one == ERR_NOMEM) rc = one; /* the others may be wrong, too: all are said */
    }
    if (rc == ERR_OK)
        show(*out);
    else
        doors_cancel(out);
    return rc;
}

enum err doors_try(struct log *log, struct config *config)
{
    struct doors *d;
    struct doors_plan *plan;
    enum err rc = doors_new(&d, log, NULL);
    if (rc != ERR_OK) {
        free(config);
        return rc;
    }
    d->only_tries = true;
    enum err plugins_rc = plugins_try(config, log);
    rc = doors_plan(d, &plan, config);
    if (rc == ERR_OK) doors_cancel(&plan);
    if (rc == ERR_OK) rc = plugins_rc;
    doors_free(&d);
    return rc;
}

const struct shards_view *doors_plan_view(const struct doors_plan *p)
{
    return &p->view->shards;
}

static void cancel_row(struct plan_row *r)
{
    edge_unref(&r->edge);
    if (r->fate == FATE_OPEN) door_free(r->door);
    /* Of those that would go: the copy that keep_last has made. */
    if (r->fate == FATE_CLOSE) free((void *)(uintptr_t)r->config);
}

/* Once those are closed that would have had the port. */
static void unmute_all(struct doors_plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->rows[i].is_muted) listener_unmute(&p->rows[i].door->net);
}

static void plan_free(struct doors_plan **owner)
{
    struct doors_plan *p = *owner;
    *owner = NULL;
    if (p == NULL) return;
    free(p->rows);
    view_free(p->view);
    free(p);
}

void doors_cancel(struct doors_plan **owner)
{
    struct doors_plan *p = *owner;
    if (p != NULL && p->rows != NULL) {
        for (size_t i = 0; i < p->count; i++) cancel_row(&p->rows[i]);
        unmute_all(p);
    }
    plan_free(owner);
}

/* --- applied */

static enum err listen_one(struct doors *d, struct plan_row *r, struct shards *shards)
{
    struct door *door = r->door;
    for (unsigned i = 0; i < door->net.fds_count; i++) {
        enum err rc = shards_listen(shards, &door->of_shards[i]);
        if (rc == ERR_OK) continue;
        log_event(d->log, EVENT_LISTENER_FAILED, LOG_STR("address", shown_address(r->config)),
                  LOG_NUM("port", r->config->port), LOG_STR("error", err_text(rc)),
                  LOG_STR("set_at", r->config->origin));
        return rc;
    }
    return ERR_OK;
}

static void unlisten_one(struct plan_row *r, struct shards *shards)
{
    for (unsigned i = 0; i < r->door->net.fds_count; i++) shards_unlisten(shards, &r->door->of_shards[i]);
}

/* Before anything changes: this can fail. Until the view is theirs, the shards leave who comes waiting. */
static enum err listen_all(struct doors *d, struct doors_plan *p, struct shards *shards)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; i < p->count && rc == ERR_OK; i++)
        if (p->rows[i].fate == FATE_OPEN) rc = listen_one(d, &p->rows[i], shards);
    for (size_t i = 0; i < p->count && rc != ERR_OK; i++)
        if (p->rows[i].fate == FATE_OPEN) unlisten_one(&p->rows[i], shards);
    return rc;
}

static void settle_row(struct doors *d, struct plan_row *r, struct doors_counts *counts)
{
    struct door *door = r->door;
    switch (r->fate) {
    case FATE_OPEN:
        log_event(d->log, EVENT_LISTENER_OPEN, LOG_STR("address", shown_address(r->config)),
                  LOG_NUM("port", door->net.port));
        counts->opened++;
        break;
    case FATE_KEEP: counts->kept++; break;
    case FATE_CLOSE:
        log_event(d->log, EVENT_LISTENER_CLOSED, LOG_STR("address", shown_address(r->config)),
                  LOG_NUM("port", door->net.port));
        close_net(d, &door->net);
        door->last = (struct config_listener *)(uintptr_t)r->config; /* made by keep_last */
        counts->closed++;
        break;
    case FATE_FREE: door_free(door); break;
    default: break;
    }
    if (r->edge == NULL) return;
    edge_unref(&door->edge);
    door->edge = r->edge;
    r->edge = NULL;
}

static void settle(struct doors *d, struct doors_plan *p, struct door **at, struct doors_counts *counts)
{
    for (size_t i = 0; i < p->count; i++) {
        settle_row(d, &p->rows[i], counts);
        at[i] = p->rows[i].fate == FATE_FREE ? NULL : p->rows[i].door;
    }
    free(d->at);
    d->at = at;
    for (d->count = p->count; d->count > 0 && at[d->count - 1] == NULL;) d->count--;
}

static void tune(const struct doors_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_row *r = &p->rows[i];
        if (r->fate != FATE_KEEP) continue;
        struct listener_tcp tcp = tcp_of(p->view->config, r->config);
        listener_tune(&r->door->net, &tcp);
    }
}

enum err doors_apply(struct doors *d, struct doors_plan **owner, struct shards *shards,
                     struct doors_counts *counts)
{
    struct doors_plan *p = *owner;
    struct door **at = calloc(p->count + 1, sizeof(struct door *));
    *counts = (struct doors_counts){ 0 };
    enum err rc = at == NULL ? ERR_NOMEM : listen_all(d, p, shards);
    if (rc != ERR_OK) {
        free(at);
        doors_cancel(owner);
        return rc;
    }
    for (size_t i = 0; i < p->count; i++)
        if (p->rows[i].fate == FATE_CLOSE) unlisten_one(&p->rows[i], shards);
    tune(p);
    shards_change(shards, &p->view->shards);
    /* All shards have turned to the new view: nobody looks at the old one, nor at what settle frees. */
    settle(d, p, at, counts);
    struct view *old = d->view;
    d->view = p->view;
    p->view = old;
    plan_free(owner);
    return ERR_OK;
}
