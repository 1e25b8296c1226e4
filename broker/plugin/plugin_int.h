/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_int - a plugin: its code, its thread, what waits for it, and the clients that it knows.
 *
 * Thread:  said at each; "any" includes threads that a plugin has started.
 * Memory:  a plugin's, until the last hooks have gone; for ever when it was left behind.
 * Limits:  see plugin.h.
 * Errors:  as said.
 * Tests:   tests/unit/test_plugin_host.c
 */
#ifndef PLUGIN_PLUGIN_INT_H
#define PLUGIN_PLUGIN_INT_H

#include "base/lock.h"
#include "base/map.h"
#include "base/tally.h"
#include "base/thread.h"
#include "plugin/plugin.h"
#include "plugin/step_int.h"

struct plugin_count {
    struct tally calls, late, denied, deferred, nanoseconds;
};

/* Options that a plugin was given: it may keep pointers to them. */
struct plugin_opts {
    struct plugin_opts *before;
    int count;
    struct mosquitto_opt at[];
};

struct plugin {
    struct plugins *all;
    unsigned place; /* in the configuration */
    char *path, *set_at;
    char name[64]; /* of its file; unlike any other's */
    void *handle;  /* of dlopen */
    int (*init)(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *opts, int count);
    int (*cleanup)(void *userdata, struct mosquitto_opt *opts, int count);
    void *userdata;
    struct plugin_opts *opts;        /* its own thread's */
    struct plugin_opts *newest_opts; /* main's: it may not have heard of them yet */
    struct shared_word registered;   /* 1 << MOSQ_EVT_* */
    struct shared_word wants;        /* the same as bits of enum hook_event */
    struct shared_word inlined;      /* 1 << MOSQ_EVT_*: its callbacks may run on any thread */
    struct shared_word wants_thread; /* bits of `wants` whose callbacks may not */

    struct thread thread;
    struct mailbox mailbox;
    struct mail call, unvisited, stop, clean; /* there is a question; `visits` have ended; ... */
    struct mail told_idle, told;              /* to main */
    struct plugin_count counts[PLUGIN_EVENTS_COUNT];
    void *ext; /* of longlink_plugin.h's functions */

    struct lock lock;           /* guards from here ... */
    uint64_t shares_doors_with; /* 1 << place of each */
    uint32_t said;              /* 1 << enum plugin_wrong: complained of already */
    struct plugin_list *lists[PLUGIN_EVENTS_COUNT];
    struct mail *first, **last; /* questions that wait */
    uint32_t waiting, visits;   /* the latter: other threads in callbacks that may run anywhere */
    bool is_called, is_stuck, stops, is_ended;
    struct hook_ask *visitor;    /* whose steps its thread makes; NULL: taken away */
    struct plugin_step *running; /* on its thread */
    struct list later;           /* steps that are parked */
    struct map known;            /* ... to here: struct plugin_known */
    bool says_idle;              /* its own thread's */
    bool runs, is_ready;         /* main's; the latter when it has been told */
};

/* The plugin whose init, callback or cleanup runs on this thread; NULL: none. */
struct plugin *plugin_now(void);
void plugin_now_set(struct plugin *p, struct plugin_step *s);

/* Is it one of ours? NULL if not. Any thread, between plugins_enter and plugins_leave. */
struct plugin *plugin_of(const void *id);

/* Callbacks of this event may run on any thread from now on. */
void plugin_run_anywhere(struct plugin *p, int event);

/* Does it only tell, and no answer goes home? */
static inline bool plugin_is_news(const struct hook_ask *a)
{
    return a->about == HOOK_GONE || a->about == HOOK_CONNECTED;
}

/* --- gate.c: between the two the broker and the log may be used, on any thread. False: not any more. */

struct plugin_gate {
    struct plugins *plugins;
    const struct hook_broker *broker;
    struct log *log;
};
bool plugins_enter(struct plugin_gate *out);
void plugins_leave(void);
void plugins_gate_open(const struct plugin_gate *gate);
void plugins_gate_close(void); /* when the last has left */

/* --- clients.c: those that a plugin has been shown */

struct plugin_known {
    struct hook_client *client; /* a reference */
    bool is_gone;               /* its connection has ended, and the plugin knows */
    struct list parked;         /* steps about it */
    void *ext;                  /* of longlink_plugin.h's functions */
};

/* What a pointer of a plugin's stands for: the client that the callback on this thread is about, or one that
 * was shown. Any thread. Gives a reference; NULL: nobody. */
struct hook_client *plugin_client_hold(const struct mosquitto *client);

/* Any thread. Its entry; with the plugin's lock held. NULL: none. */
struct plugin_known *plugin_known_locked(struct plugin *p, const struct hook_client *client);

/* Before a step; keeps it until it is gone, or not at all when it is. Any thread. */
enum err plugin_client_show(struct plugin *p, struct hook_client *client);
/* The same for one that was shown on another thread; with the plugin's lock held. ERR_CLOSED: it is gone. */
enum err plugin_client_show_locked(struct plugin *p, struct hook_client *client);
/* Its connection has ended, and nothing more is asked about it. */
void plugin_client_gone(struct plugin *p, struct hook_client *client);
void plugin_clients_fini(struct plugin *p);

/* --- ext_*.c, for longlink_plugin.h */

enum err plugin_ext_start(struct plugin *p);                    /* before init */
void plugin_ext_step_take(struct plugin_step *s);               /* s->ext goes into its result */
void plugin_ext_step_end(struct plugin_step *s);                /* before a step is freed */
void plugin_ext_gone(struct plugin *p, struct plugin_known *k); /* after DISCONNECT, before it is forgotten */
void plugin_ext_end(struct plugin *p);                          /* after cleanup, on its thread */
void plugin_ext_free(struct plugin *p);                         /* with the plugin */
void plugin_ext_figures(struct plugin *p, plugins_each_figure *each, void *ctx);
/* A client that a plugin holds a reference to; gives another one. Any thread. NULL: it is none. */
struct hook_client *plugin_ext_hold(const void *client);
/* Mail of a kind above PLUGIN_MAIL_EXT that ext_*.c sends to p->mailbox comes back here, on its thread. */
void plugin_ext_mail(struct plugin *p, struct mail *mail);

/* --- host */

enum plugin_mail {
    PLUGIN_MAIL_CALL,
    PLUGIN_MAIL_STEP,
    PLUGIN_MAIL_RELOAD,
    PLUGIN_MAIL_STOP,
    PLUGIN_MAIL_CLEAN,
    PLUGIN_MAIL_EXT
};

/* The plugins of a door. */
struct plugin_chain {
    struct hooks hooks;
    struct plugins *all;
    size_t count;
    struct plugin *at[];
};

struct plugins {
    struct ref ref; /* main, and each chain */
    struct log *log;
    struct hook_broker broker;
    struct shared_word timeout_ms, queue_max;
    struct plugin *at;
    size_t count;
    struct thread watch;
    struct mailbox watch_mailbox, main_mailbox;
    struct mail watch_stop, watch_look, watch_looked;
    bool watches, is_stopped, any_left;
};

uint64_t plugin_clock_ns(void);
void plugins_unref(struct plugins *all);

/* executor.c */
void plugin_run(void *plugin); /* its thread */
/* `is_new`: it comes from a shard, and may be told that there is too much. False: it is answered, not put. */
bool plugin_queue_put(struct plugin *p, struct hook_ask *a, bool is_new);

/* Takes the options if that is true; NULL: as before. */
bool plugin_send_reload(struct plugin *p, struct plugin_opts *opts);

/* load.c, on its thread: what is wrong is in the log. */
enum err plugin_load(struct plugin *p);
void plugin_unload(struct plugin *p);
const char *plugin_event_name(int event);

/* ask.c: goes on with a question. `here`: whose thread this is; NULL: a shard's. True: it is answered; false:
 * somebody else has it. */
bool plugin_ask_on(struct hook_ask *a, struct plugin *here);
void plugin_ask_home(struct hook_ask *a);
void plugin_ask_late(struct hook_ask *a);      /* what is not decided is HOOK_LATE */
void plugin_step_go_on(struct plugin_step *s); /* its verdict has come; on the plugin's thread; takes it */

/* watch.c */
void plugins_watch(void *plugins); /* its thread */
/* Questions that wait for a verdict which comes later, about this client (NULL: any), go home unanswered. */
void plugin_later_end(struct plugin *p, const struct hook_client *client);
/* The same for those that wait in the queue, but for HOOK_GONE, and for HOOK_READ unless `all`. */
void plugin_queue_end(struct plugin *p, bool all);
/* The same for the one that it is at. */
void plugin_running_end(struct plugin *p);

#endif
