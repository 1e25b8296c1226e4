/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_plugin_kit - a host with rigged plugins (tests/plugins/rigged.c), and a shard's side of it.
 *
 * Thread:  the test's; on_call on the plugins' threads.
 * Memory:  rig_fini.
 * Limits:  what the arrays hold.
 * Errors:  the test fails.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_TEST_PLUGIN_KIT_H
#define UNIT_TEST_PLUGIN_KIT_H

#include "base/check.h"
#include "base/lock.h"
#include "kit/test.h"
#include "plugin/plugin_int.h"
#include "plugins/rigged.h"

enum { RIG_PLUGINS_MAX = 4, RIG_OPTS_MAX = 16, RIG_HOME = 7, RIG_LONG_MS = 60000 };

struct rig {
    struct rigged rigged;
    /* What a callback does; NULL: defers. */
    int (*on_call)(struct rig *r, const char *name, int event, void *data);

    struct lock lock; /* guards the transcript */
    char said[2048];  /* "a:basic_auth b:basic_auth ": who was called with what */

    struct mailbox home, entered, release;
    struct mail has_entered, may_go;

    struct plugins *plugins;
    struct hooks *hooks;
    struct hook_client *client;
    struct plugin_conf at[RIG_PLUGINS_MAX];
    struct plugin_opt opts[RIG_PLUGINS_MAX][RIG_OPTS_MAX];
    struct plugins_conf conf;
    char address[32];
};

/* In a callback: until the test lets it go. */
void rig_hang(struct rig *r);
void rig_check_said(struct rig *r, const char *want);
void rig_add_opt(struct rig *r, const char *key, const char *value);

/* One more plugin; `events`: numbers as texts, NULL at the end. */
void rig_add(struct rig *r, const char *name, const char *const *events);
void rig_init(struct rig *r);

/* All plugins at one door. */
enum err rig_start(struct rig *r);
void rig_stop(struct rig *r);
void rig_fini(struct rig *r);
void rig_ask_set(struct rig *r, struct hook_ask *a, enum hook_about about);
void rig_free_gone(struct hook_ask *a);
struct hook_ask *rig_login(struct rig *r, const char *username);
struct hook_publish *rig_message(struct rig *r, const char *topic);

/* Takes it. */
void rig_say_gone(struct rig *r);

/* The next answer. */
struct hook_ask *rig_answer(struct rig *r);

/* Asks, and waits for the answer if it does not come at once. */
void rig_ask(struct rig *r, struct hook_ask *a);

/* The verdict of a login; forgets it. */
void rig_check_login(struct rig *r, const char *username, enum hook_verdict want);

#endif
