/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/limits.h"
#include "plugin/plugin_int.h"
#include <stdlib.h>
#include <string.h>

static bool left_any;

bool plugins_left_any(void)
{
    return left_any;
}

/* --- made */

static struct plugin_opts *opts_new(const struct plugin_conf *conf)
{
    struct plugin_opts *o = calloc(1, sizeof *o + (conf->opts_count + 1) * sizeof o->at[0]);
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < conf->opts_count; i++) {
        struct mosquitto_opt *at = &o->at[o->count++];
        at->key = strdup(conf->opts[i].key);
        at->value = strdup(conf->opts[i].value);
        ok = at->key != NULL && at->value != NULL;
    }
    if (ok) return o;
    for (int i = 0; o != NULL && i < o->count; i++) {
        free(o->at[i].key);
        free(o->at[i].value);
    }
    free(o);
    return NULL;
}

static void opts_free(struct plugin_opts *o)
{
    while (o != NULL) {
        struct plugin_opts *before = o->before;
        for (int i = 0; i < o->count; i++) {
            free(o->at[i].key);
            free(o->at[i].value);
        }
        free(o);
        o = before;
    }
}

/* The file without folder and ending; a second plugin of this name has a number. */
static void set_name(struct plugin *p)
{
    const char *slash = strrchr(p->path, '/'), *name = slash == NULL ? p->path : slash + 1;
    size_t n = strlen(name), room = sizeof p->name - 4;
    unsigned same = 1;
    if (n > 3 && strcmp(name + n - 3, ".so") == 0) n -= 3;
    if (n > room) n = room;
    for (const struct plugin *o = p->all->at; o != p; o++)
        if (strncmp(o->name, name, n) == 0 && (o->name[n] == '\0' || o->name[n] == '#')) same++;
    if (same == 1)
        snprintf(p->name, sizeof p->name, "%.*s", (int)n, name);
    else
        snprintf(p->name, sizeof p->name, "%.*s#%hhu", (int)n, name, (unsigned char)same);
}

static enum err init_one(struct plugin *p, const struct plugin_conf *conf)
{
    lock_init(&p->lock, LOCK_RANK_PLUGIN);
    p->last = &p->first;
    list_init(&p->later);
    map_init(&p->known);
    p->call.kind = p->unvisited.kind = PLUGIN_MAIL_CALL;
    p->stop.kind = PLUGIN_MAIL_STOP;
    p->clean.kind = PLUGIN_MAIL_CLEAN;
    p->mailbox.event_fd = -1;
    p->path = strdup(conf->path);
    p->set_at = strdup(conf->set_at);
    p->opts = opts_new(conf);
    p->newest_opts = p->opts;
    if (p->path == NULL || p->set_at == NULL || p->opts == NULL) return ERR_NOMEM;
    set_name(p);
    return mailbox_open(&p->mailbox);
}

static void fini_one(struct plugin *p)
{
    plugin_ext_free(p);
    plugin_unload(p);
    for (int i = 0; i < PLUGIN_EVENTS_COUNT; i++) plugin_list_unref(&p->lists[i]);
    plugin_clients_fini(p);
    opts_free(p->opts);
    mailbox_close(&p->mailbox);
    lock_fini(&p->lock);
    free(p->path);
    free(p->set_at);
}

static void set_limits(struct plugins *all, const struct plugins_conf *conf)
{
    shared_word_set(&all->timeout_ms, conf->timeout_ms);
    shared_word_set(&all->queue_max, conf->queue_max);
}

enum err plugins_new(struct plugins **out, const struct plugins_conf *conf)
{
    CHECK(conf->count <= PLUGINS_MAX);
    struct plugins *all = calloc(1, sizeof *all);
    *out = all;
    if (all == NULL) return ERR_NOMEM;
    ref_init(&all->ref, 1);
    all->log = conf->log;
    all->watch_mailbox.event_fd = all->main_mailbox.event_fd = -1;
    set_limits(all, conf);
    all->at = calloc(conf->count + 1, sizeof *all->at);
    enum err rc = all->at == NULL ? ERR_NOMEM : mailbox_open(&all->watch_mailbox);
    if (rc == ERR_OK) rc = mailbox_open(&all->main_mailbox);
    for (size_t i = 0; i < conf->count && rc == ERR_OK; i++) {
        struct plugin *p = &all->at[all->count++];
        p->all = all;
        p->place = (unsigned)i;
        rc = init_one(p, &conf->at[i]);
    }
    if (rc != ERR_OK) plugins_free(out);
    return rc;
}

/* One that was left behind may use all of it for as long as the process lives. */
void plugins_unref(struct plugins *all)
{
    if (!ref_drop(&all->ref) || all->any_left) return;
    for (size_t i = 0; i < all->count; i++) fini_one(&all->at[i]);
    mailbox_close(&all->watch_mailbox);
    mailbox_close(&all->main_mailbox);
    free(all->at);
    free(all);
}

/* --- started */

/* Until this mail has come to main; false: not within wait_ms (-1: no limit). */
static bool wait_told(struct plugins *all, const struct mail *told, int wait_ms)
{
    uint64_t end_ns = plugin_clock_ns() + (uint64_t)(wait_ms < 0 ? 0 : wait_ms) * 1000000;
    for (;;) {
        struct mail *m = mailbox_wait_for(&all->main_mailbox, wait_ms);
        for (; m != NULL; m = m->next)
            if (m == told) return true;
        uint64_t now_ns = plugin_clock_ns();
        if (wait_ms < 0) continue;
        if (now_ns >= end_ns) return false;
        wait_ms = (int)((end_ns - now_ns) / 1000000) + 1;
    }
}

/* The next one begins when this one is ready. */
static enum err start_one(struct plugin *p)
{
    char name[16];
    snprintf(name, sizeof name, "plugin %hhu", (unsigned char)p->place);
    enum err rc = thread_start(&p->thread, name, plugin_run, p);
    if (rc != ERR_OK) return rc;
    p->runs = true;
    wait_told(p->all, &p->told, -1);
    return p->is_ready ? ERR_OK : ERR_SYS;
}

enum err plugins_start(struct plugins *all, const struct hook_broker *broker)
{
    all->broker = *broker;
    struct plugin_gate gate = { all, &all->broker, all->log };
    plugins_gate_open(&gate);
    enum err rc = thread_start(&all->watch, "plugin watch", plugins_watch, all);
    all->watches = rc == ERR_OK;
    for (size_t i = 0; i < all->count && rc == ERR_OK; i++) rc = start_one(&all->at[i]);
    return rc;
}

/* --- reloaded */

static bool has_opts(const struct plugin_opts *o, const struct plugin_conf *conf)
{
    bool same = (size_t)o->count == conf->opts_count;
    for (size_t i = 0; same && i < conf->opts_count; i++)
        same =
            strcmp(o->at[i].key, conf->opts[i].key) == 0 && strcmp(o->at[i].value, conf->opts[i].value) == 0;
    return same;
}

static void reload_one(struct plugin *p, const struct plugin_conf *conf)
{
    struct plugin_opts *opts = has_opts(p->newest_opts, conf) ? NULL : opts_new(conf);
    if (!plugin_send_reload(p, opts))
        opts_free(opts);
    else if (opts != NULL)
        p->newest_opts = opts;
}

void plugins_reload(struct plugins *all, const struct plugins_conf *conf)
{
    CHECK(conf->count == all->count);
    set_limits(all, conf);
    mailbox_send(&all->watch_mailbox, &all->watch_look); /* what is late may be so sooner */
    wait_told(all, &all->watch_looked, -1);
    for (size_t i = 0; i < all->count; i++) reload_one(&all->at[i], &conf->at[i]);
}

/* --- stopped */

static uint64_t left_ms(uint64_t end_ns)
{
    uint64_t now_ns = plugin_clock_ns();
    return now_ns < end_ns ? (end_ns - now_ns) / 1000000 : 0;
}

/* What waits is answered as far as there is time: a will may be among it. Who is asked behind another one is
 * waited for behind it. */
static void drain(struct plugins *all, uint64_t end_ns)
{
    for (size_t i = 0; i < all->count; i++) {
        struct plugin *p = &all->at[i];
        if (!p->runs || !p->is_ready) continue;
        mailbox_send(&p->mailbox, &p->stop);
        wait_told(all, &p->told_idle, (int)left_ms(end_ns));
    }
}

/* Nothing is asked any more, and what was goes home; but the plugin hears who is gone. */
static void cut_off(struct plugin *p)
{
    lock_take(&p->lock);
    p->stops = true;
    lock_release(&p->lock);
    plugin_queue_end(p, true);
    plugin_later_end(p, NULL);
    plugin_running_end(p);
}

/* False: it was left behind. */
static bool end_one(struct plugin *p, int wait_ms)
{
    if (!p->runs) return true;
    p->runs = false;
    if (p->is_ready) {
        mailbox_send(&p->mailbox, &p->clean);
        if (!wait_told(p->all, &p->told, wait_ms)) return false;
    }
    thread_join(&p->thread);
    if (p->is_ready) log_event(p->all->log, EVENT_PLUGIN_STOPPED, LOG_STR("plugin", p->name));
    return true;
}

static void end_all(struct plugins *all, uint64_t end_ns)
{
    const uint64_t least_ms = 50; /* for those behind one that hangs */
    for (size_t i = 0; i < all->count; i++) {
        uint64_t ms = left_ms(end_ns);
        if (end_one(&all->at[i], (int)(ms < least_ms ? least_ms : ms))) continue;
        all->any_left = left_any = true;
        log_event(all->log, EVENT_PLUGIN_LEFT, LOG_STR("plugin", all->at[i].name));
    }
}

void plugins_stop(struct plugins *all, uint32_t wait_ms)
{
    const uint64_t ns_a_ms = 1000000;
    uint64_t now_ns = plugin_clock_ns(), end_ns = now_ns + wait_ms * ns_a_ms;
    if (all->is_stopped) return;
    all->is_stopped = true;
    drain(all, now_ns + wait_ms * ns_a_ms / 2);
    for (size_t i = 0; i < all->count; i++) cut_off(&all->at[i]);
    end_all(all, end_ns);
    if (all->watches) {
        mailbox_send(&all->watch_mailbox, &all->watch_stop);
        thread_join(&all->watch);
    }
    plugins_gate_close();
}

void plugins_free(struct plugins **owner)
{
    struct plugins *all = *owner;
    *owner = NULL;
    if (all == NULL) return;
    plugins_stop(all, 0);
    plugins_unref(all);
}

/* --- figures */

struct figures {
    plugins_each_figure *each;
    void *ctx;
    const struct plugin *plugin;
};

static void figure(const struct figures *f, const char *what, int event, uint64_t value)
{
    struct plugin_figure made = { what, f->plugin->name, plugin_event_name(event), (int64_t)value };
    f->each(f->ctx, &made);
}

static void figures_of(const struct figures *f, int event)
{
    const struct plugin_count *c = &f->plugin->counts[event];
    if (tally_get(&c->calls) == 0) return;
    figure(f, "plugin_calls_total", event, tally_get(&c->calls));
    figure(f, "plugin_late_total", event, tally_get(&c->late));
    figure(f, "plugin_denied_total", event, tally_get(&c->denied));
    figure(f, "plugin_deferred_total", event, tally_get(&c->deferred));
    figure(f, "plugin_microseconds_total", event, tally_get(&c->nanoseconds) / 1000);
}

void plugins_figures(struct plugins *all, plugins_each_figure *each, void *ctx)
{
    for (size_t i = 0; i < all->count; i++) {
        struct plugin *p = &all->at[i];
        struct figures f = { each, ctx, p };
        lock_take(&p->lock);
        struct plugin_figure queue = { "plugin_queue", p->name, NULL, p->waiting };
        lock_release(&p->lock);
        each(ctx, &queue);
        for (int e = 1; e < PLUGIN_EVENTS_COUNT; e++) figures_of(&f, e);
        plugin_ext_figures(p, each, ctx);
    }
}
