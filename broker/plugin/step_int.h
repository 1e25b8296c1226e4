/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step_int - one thing that callbacks of one event decide, and who is registered for it.
 *
 *   question (hook/hook.h) -> steps (ask.c) -> event_data of the ABI (events.c) -> callbacks, in order
 * (step.c)
 *                                           -> result -> plugin_step_commit -> question
 *
 * The watch takes a question away whose callback is too slow: the callback goes on, and its result is
 * dropped. So a callback works on the step's own memory, or on what the step has a reference to, and nobody
 * but plugin_step_commit writes to the question.
 *
 * Thread:  the plugin's, or where a callback may run anywhere the shard's; else "any" is said.
 * Memory:  a step is of malloc: it outlives its callback when the verdict comes later.
 * Limits:  PLUGIN_CALLBACKS_MAX callbacks of one event and plugin.
 * Errors:  MOSQ_ERR_* where a plugin is told.
 * Tests:   tests/unit/test_plugin_host.c
 */
#ifndef PLUGIN_STEP_INT_H
#define PLUGIN_STEP_INT_H

#include "base/list.h"
#include "base/mailbox.h"
#include "base/ref.h"
#include "base/word.h"
#include "hook/hook.h"
#pragma GCC visibility push(default)
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#pragma GCC visibility pop

struct plugin;

enum {
    PLUGIN_EVT_CONNECT = 11, /* these two: of mosquitto 2.1; the first is longlink_on_connected's, too */
    PLUGIN_EVT_CLIENT_OFFLINE = 28,
    PLUGIN_EVENTS_COUNT, /* by number; 0 is none, and so are some others */
    PLUGIN_CALLBACKS_MAX = 1000,
    PLUGIN_LATER = 0x4C4C, /* LONGLINK_VERDICT_LATER */
};

/* --- callbacks.c: who is registered for what */

struct plugin_callback {
    struct ref ref;
    MOSQ_FUNC_generic_callback run;
    void *userdata;
    char *topic;                /* CONTROL: a copy of the event_data that was registered */
    struct shared_word is_gone; /* unregistered, though somebody may be about to call it */
};

/* Never changed: registering makes another one. */
struct plugin_list {
    struct ref ref;
    size_t count;
    struct plugin_callback *at[];
};

struct plugin_callback_conf {
    int event;
    MOSQ_FUNC_generic_callback run;
    const char *topic; /* CONTROL; else NULL */
    void *userdata;
};

/* On the plugin's thread. MOSQ_ERR_SUCCESS, _NOMEM, _ALREADY_EXISTS: this function, or for CONTROL this topic
 * in any plugin that shares a door. _NOT_FOUND. */
int plugin_callback_add(struct plugin *p, const struct plugin_callback_conf *conf);
int plugin_callback_remove(struct plugin *p, const struct plugin_callback_conf *conf);

/* Any thread. NULL: none. */
struct plugin_list *plugin_list_hold(struct plugin *p, int event);
void plugin_list_unref(struct plugin_list **owner);
bool plugin_is_registered(const struct plugin *p, int event);

/* --- a step */

/* As mosquitto 2.1 has it; CLIENT_OFFLINE is like DISCONNECT. */
struct plugin_evt_connect {
    void *future;
    struct mosquitto *client;
    void *future2[4];
};

union plugin_event_data {
    struct mosquitto_evt_reload reload;
    struct mosquitto_evt_acl_check acl_check;
    struct mosquitto_evt_basic_auth basic_auth;
    struct mosquitto_evt_extended_auth extended_auth;
    struct mosquitto_evt_control control;
    struct mosquitto_evt_message message;
    struct mosquitto_evt_psk_key psk_key;
    struct mosquitto_evt_tick tick;
    struct mosquitto_evt_disconnect disconnect;
    struct plugin_evt_connect connect;
};

/* What callbacks have decided. Memory is of malloc: the result's, until the question has it. */
struct plugin_result {
    uint8_t verdict; /* enum hook_verdict; HOOK_DEFER at first */
    uint8_t code;    /* of HOOK_DENY; 0: 0x87 */
    char *reason;
    /* MESSAGE: topic, payload, properties where `has` them: another one than before, at of malloc or NULL. */
    struct bytes changed[3];
    bool has[3];
    struct bytes answer; /* EXT_AUTH_*; of malloc */
    char key[512];       /* PSK_KEY */
    bool retain;         /* MESSAGE: what it is now */
};

/* What event_data had before a callback: events.c's. */
struct plugin_before {
    char *topic;
    void *payload;
    uint32_t payload_len;
    mosquitto_property *list;
};

struct plugin_step {
    struct ref ref; /* who runs it, or where it is parked; and a verdict that has been promised */
    struct plugin *plugin;
    struct hook_ask *ask; /* a reference; NULL: RELOAD, TICK */
    int event;            /* MOSQ_EVT_* */
    size_t item;          /* of HOOK_READ and of filters: which */

    /* What it is about; held by the step. */
    struct hook_client *client; /* a reference; NULL: none */
    struct msg *msg;            /* a reference; of HOOK_READ */
    struct bytes topic, payload, block;
    int access; /* MOSQ_ACL_* */
    uint8_t qos;
    bool retain, is_again;           /* the latter: EXT_AUTH_START of a client that is in */
    const char *username, *password; /* BASIC_AUTH */
    const char *method;              /* EXT_AUTH_* */
    struct bytes data;
    const char *hint, *identity; /* PSK_KEY */
    int reason;                  /* DISCONNECT */

    union plugin_event_data event_data;
    struct plugin_before before;
    struct plugin_result result;
    void *ext;   /* of longlink_plugin.h's functions */
    bool is_own; /* on the plugin's thread, so that the watch has an eye on it */

    struct plugin_list *callbacks; /* NULL: not begun */
    size_t at;                     /* which of them runs, or decides later */
    struct mail mail;              /* of a verdict that has come later */
    uint64_t began_ns;
    /* The plugin's lock guards from here ... */
    struct list link, of_client; /* where it is parked: in the plugin's list, and in what is known of it */
    bool is_later;               /* the callback has promised a verdict */
    bool is_open;                /* the question counts it */
    bool is_parked;              /* ... and has returned */
    bool has_rc;                 /* ... and the verdict is here */
    bool is_taken;               /* by the watch: too late */
    int rc;                      /* ... to here */
};

/* events.c: event_data of a step, which is zero before. False: for want of memory, which denies. */
bool plugin_event_make(struct plugin_step *s);
/* A callback has returned rc. True: no other one is asked. s->result has the verdict so far. */
bool plugin_event_take(struct plugin_step *s, int rc);
/* After the last callback: what counts in event_data goes into the result, the rest is freed. */
void plugin_event_end(struct plugin_step *s);

/* The step whose callback runs on this thread; NULL: none. */
struct plugin_step *plugin_step_now(void);

/* The callback that runs will return PLUGIN_LATER. True, once: the promise has a reference to the step. */
bool plugin_step_later(struct plugin_step *s);

/* Any thread, once for each promise, whose reference it takes: what the callback would have returned, and the
 * step's `ext`, which is taken when this is in time. False: too late, somebody else has decided. */
bool plugin_step_answer(struct plugin_step *s, int rc, void *ext);

/* --- step.c */

struct plugin_step *plugin_step_new(struct plugin *p, struct hook_ask *a, int event);
/* The callbacks, from where it is. False: its verdict comes later; whoever has it goes on. */
bool plugin_step_run(struct plugin_step *s);
void plugin_step_unref(struct plugin_step **owner);

#endif
