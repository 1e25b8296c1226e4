/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/plugin_int.h"
#include <stdio.h>
#include <stdlib.h>

/* --- looking at it */

/* Each thread that asks gets the next slot, and keeps it. */
static unsigned my_slot(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards next */
    static unsigned next;
    static _Thread_local unsigned mine; /* 0: none yet */
    if (mine == 0) {
        pthread_mutex_lock(&lock);
        mine = 1 + next++ % WORLD_SLOTS;
        pthread_mutex_unlock(&lock);
    }
    return mine - 1;
}

struct world_slot *plugin_look(struct plugin *p)
{
    struct world_slot *slot = &p->slots[my_slot()];
    pthread_mutex_lock(&slot->lock);
    return slot;
}

void plugin_look_end(struct world_slot *slot)
{
    pthread_mutex_unlock(&slot->lock);
}

struct world *plugin_world(struct plugin *p)
{
    struct world_slot *slot = plugin_look(p);
    struct world *w = world_ref(slot->world);
    plugin_look_end(slot);
    return w;
}

static void set_slot(struct world_slot *slot, struct world *w)
{
    struct world *old = slot->world;
    pthread_mutex_lock(&slot->lock);
    slot->world = w == NULL ? NULL : world_ref(w);
    pthread_mutex_unlock(&slot->lock);
    world_unref(&old);
}

static bool set_world(struct plugin *p, struct settings *settings, struct accounts *accounts)
{
    struct world *w;
    if (world_new(&w, settings, accounts) != ERR_OK) return false;
    for (unsigned i = 0; i < WORLD_SLOTS; i++) set_slot(&p->slots[i], w);
    world_unref(&w);
    return true;
}

/* --- making it */

static void warn(void *ctx, const char *text)
{
    plugin_say(ctx, MOSQ_LOG_WARNING, "file-warning", text);
}

static struct settings *read_settings(struct plugin *p, const struct mosquitto_opt *options, int count)
{
    struct world_note note = { .warn = warn, .ctx = p };
    char why[OPTIONS_NOTE_BYTES];
    struct options *read = NULL;
    struct settings *s = NULL;
    struct option_given *given = calloc((size_t)count + 1, sizeof *given);
    if (given == NULL) return NULL;
    for (int i = 0; i < count; i++) given[i] = (struct option_given){ options[i].key, options[i].value };
    enum err rc = options_new(&read, given, (size_t)count, why);
    free(given);
    if (rc != ERR_OK) {
        plugin_say(p, MOSQ_LOG_ERR, "options-wrong", why);
        return NULL;
    }
    if (settings_new(&s, read, &note) != ERR_OK) plugin_say(p, MOSQ_LOG_ERR, "options-wrong", note.text);
    return s;
}

static void say_db(struct plugin *p, const char *path, const struct accounts_db *db)
{
    char text[ACCOUNTS_NOTE_BYTES + 400];
    snprintf(text, sizeof text, "%.300s: %s", path, accounts_db_error(db));
    plugin_say(p, MOSQ_LOG_ERR, "accounts-unreadable", text);
}

/* A database, and what is in it. */
struct read_db {
    struct accounts_db *db; /* NULL: none */
    struct accounts *accounts;
};

static void read_db_fini(struct read_db *r)
{
    accounts_unref(&r->accounts);
    accounts_db_close(&r->db);
}

static bool open_db(struct plugin *p, const char *path, enum accounts_db_mode mode, struct read_db *out)
{
    *out = (struct read_db){ 0 };
    if (path[0] == '\0') return true;
    enum err rc = accounts_db_open(&out->db, path, mode);
    if (rc == ERR_OK) {
        accounts_db_changed(out->db); /* before it is read: so no change goes by */
        rc = accounts_db_load(out->db, &out->accounts);
    }
    if (rc == ERR_OK) {
        accounts_db_hurry(out->db); /* logins wait for this thread */
        return true;
    }
    say_db(p, path, out->db);
    read_db_fini(out);
    return false;
}

/* Takes it, if all is well. */
static bool use_db(struct plugin *p, struct settings *settings, struct read_db *r)
{
    if (!set_world(p, settings, r->accounts)) return false;
    accounts_unref(&p->here.accounts);
    accounts_db_close(&p->here.db);
    p->here.accounts = r->accounts;
    p->here.db = r->db;
    return true;
}

static bool use_http(struct plugin *p, const struct http_conf *conf)
{
    if (p->http != NULL) return http_change(p->http, conf) == ERR_OK;
    return conf->url[0] == '\0' || http_start(&p->http, conf) == ERR_OK;
}

/* The back end is there before a login can know of it. */
bool plugin_load(struct plugin *p, const struct mosquitto_opt *options, int count)
{
    struct read_db r = { 0 };
    struct settings *s = read_settings(p, options, count);
    if (s == NULL) return false;
    bool is_good = open_db(p, s->options->accounts_db, ACCOUNTS_DB_CREATE, &r) && use_http(p, &s->http) &&
                   use_db(p, s, &r);
    if (!is_good) {
        read_db_fini(&r);
        settings_unref(&s);
        return false;
    }
    settings_unref(&p->here.settings);
    p->here.settings = s;
    return true;
}

void plugin_review(struct plugin *p)
{
    struct world *w = plugin_world(p);
    char text[64];
    size_t count = people_review(p->people, w);
    world_unref(&w);
    if (count == 0) return;
    snprintf(text, sizeof text, "%zu clients are no longer allowed", count);
    plugin_say(p, MOSQ_LOG_NOTICE, "clients-ended", text);
}

static void read_again(struct plugin *p)
{
    struct accounts *accounts;
    if (accounts_db_load(p->here.db, &accounts) != ERR_OK) {
        say_db(p, p->here.settings->options->accounts_db, p->here.db);
        return;
    }
    if (set_world(p, p->here.settings, accounts)) {
        struct accounts *old = p->here.accounts;
        p->here.accounts = accounts;
        accounts = old;
        plugin_review(p);
    }
    accounts_unref(&accounts);
}

static void open_again(struct plugin *p)
{
    struct read_db r;
    if (!open_db(p, p->here.settings->options->accounts_db, ACCOUNTS_DB_OPEN, &r)) return;
    if (use_db(p, p->here.settings, &r))
        plugin_review(p);
    else
        read_db_fini(&r);
}

/* The first second in which it is asked, and each later one. */
void plugin_look_at_db(struct plugin *p, time_t now_s)
{
    if (p->here.db == NULL || p->here.looked_s == now_s) return;
    p->here.looked_s = now_s;
    if (accounts_db_is_replaced(p->here.db))
        open_again(p);
    else if (accounts_db_changed(p->here.db))
        read_again(p);
}

void plugin_unload(struct plugin *p)
{
    for (unsigned i = 0; i < WORLD_SLOTS; i++) set_slot(&p->slots[i], NULL);
    accounts_unref(&p->here.accounts);
    accounts_db_close(&p->here.db);
    settings_unref(&p->here.settings);
}
