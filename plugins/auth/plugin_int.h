/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_int - longlink_auth.so: what its callbacks share.
 *
 * Thread:  struct plugin is made in init. Its `here` is the plugin's own thread's; the slots are any
 *          thread's.
 * Memory:  lives from init to cleanup.
 * Limits:  WORLD_SLOTS threads read the world without waiting for each other.
 * Errors:  in the log.
 * Tests:   tests/e2e/test_auth_plugin.py
 */
#ifndef AUTH_PLUGIN_INT_H
#define AUTH_PLUGIN_INT_H

#include "accounts/accounts_db.h"
#include "accounts/secret.h"
#include "auth/login.h"
#include "auth/people.h"
#include "auth/pool.h"
#include "include/longlink_plugin.h"
#include <mosquitto.h>
#include <mosquitto_plugin.h>
#include <pthread.h>

enum { WORLD_SLOTS = 16 };

/* Each has a reference to the same world. A thread looks at it with the lock of its slot. */
struct world_slot {
    _Alignas(64) pthread_mutex_t lock;
    struct world *world;
};

struct plugin {
    mosquitto_plugin_id_t *id;
    struct world_slot slots[WORLD_SLOTS];
    struct people *people;
    struct pool *pool;
    struct http *http; /* NULL: there has been no http_url yet */
    struct longlink_metric *logins, *refused;

    struct {
        struct accounts_db *db; /* NULL: none */
        struct accounts *accounts;
        struct settings *settings;
        time_t looked_s; /* when the database was last asked whether it has changed */
    } here;
};

/* --- plugin_world.c */

/* The slot of this thread, locked. */
struct world_slot *plugin_look(struct plugin *p);
void plugin_look_end(struct world_slot *slot);
struct world *plugin_world(struct plugin *p); /* a reference */

/* What the options and the database say becomes the world. False: nothing has changed, and the log says why.
 */
bool plugin_load(struct plugin *p, const struct mosquitto_opt *options, int count);
/* Reads the database again if somebody has changed it, or put another one in its place. */
void plugin_look_at_db(struct plugin *p, time_t now_s);
/* Ends who is allowed no longer. */
void plugin_review(struct plugin *p);
void plugin_unload(struct plugin *p);

/* --- plugin_login.c */

int plugin_basic_auth(int event, void *event_data, void *userdata);
int plugin_auth_start(int event, void *event_data, void *userdata);
int plugin_auth_continue(int event, void *event_data, void *userdata);

/* --- plugin_say.c */

struct say_who {
    const char *username, *client_id, *address;
};
void plugin_say(struct plugin *p, int level, const char *what, const char *why);
void plugin_say_refused(struct plugin *p, const struct say_who *who, enum source source, const char *why);
void plugin_say_denied(struct plugin *p, const struct say_who *who, const char *action, const char *topic);

#endif
