/* SPDX-License-Identifier: Apache-2.0 */
/*
 * longlink_plugin - what longlinkd offers its plugins beyond mosquitto's ABI of version 5. Functions of ours
 * go together with those of mosquitto_broker.h and mosquitto_plugin.h; docs/plugin-authors.md is the guide.
 *
 * longlinkd exports these functions; there is no library to link. A plugin that is to load into mosquitto too
 * defines LONGLINK_PLUGIN_OPTIONAL before it includes this header. The functions are weak then: where nobody
 * has them their addresses are NULL, which `longlink_plugin_api != NULL` asks. dlsym(RTLD_DEFAULT,
 * "longlink_...") does as well, and needs no compiler that knows weak symbols.
 *
 * `id` is what mosquitto_plugin_init was given. Results are MOSQ_ERR_* of mosquitto.h; MOSQ_ERR_INVAL for
 * NULL, and for what is not from us: every pointer to a client is looked up before it is used.
 *
 * Thread:  any, callbacks included, but where a function says "in init": in mosquitto_plugin_init, or in a
 *          callback of the plugin's own thread. Our callbacks come on the plugin's thread, one at a time.
 *          Nothing here waits.
 * Memory:  texts and data that are given to us are copied; those that we give are valid until the callback
 *          returns, unless the function says more.
 * Limits:  LONGLINK_QUERIES_MAX, LONGLINK_METRICS_MAX and LONGLINK_VERDICTS_MAX of one plugin.
 * Errors:  MOSQ_ERR_NOMEM, and what the functions say.
 * Tests:   tests/e2e/test_plugin_ext.py, tests/e2e/test_plugin_guide.py
 */
#ifndef LONGLINK_PLUGIN_H
#define LONGLINK_PLUGIN_H

#include <mosquitto_broker.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef LONGLINK_PLUGIN_OPTIONAL
#define LONGLINK_API __attribute__((weak, visibility("default")))
#else
#define LONGLINK_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What this header describes. A broker that says a higher number has all of it too. */
#define LONGLINK_PLUGIN_API 1

/* The version that the broker has. */
LONGLINK_API int longlink_plugin_api(void);

enum {
    LONGLINK_QUERIES_MAX = 10000, /* under way */
    LONGLINK_METRICS_MAX = 1000,
    LONGLINK_VERDICTS_MAX = 100000, /* not answered */
    LONGLINK_QUEUED_MAX = 10000,    /* counted for a presence: so many or more */
    LONGLINK_FIELDS_MAX = 16
};

/* --- Threads */

/* In init. Callbacks of this event may be called on any thread, many at once: the plugin does its own
 * locking. They are called at once where the question arises, on an event loop that serves thousands of
 * others, and so may never block; plugin_timeout cannot cut them short. Those of BASIC_AUTH, EXT_AUTH_*,
 * ACL_CHECK, CONTROL, MESSAGE and PSK_KEY; others: MOSQ_ERR_NOT_SUPPORTED. Holds until the plugin is
 * unloaded. */
LONGLINK_API int longlink_plugin_concurrent(mosquitto_plugin_id_t *id, int event);

/* --- Verdicts that come later */

/* A callback returns this when longlink_verdict_later has given it a verdict to answer. */
#define LONGLINK_VERDICT_LATER 0x4C4C

struct longlink_verdict;

/* All but `size` may be zero. Only what fits the event is used. */
struct longlink_details {
    size_t size;           /* sizeof(struct longlink_details): later versions add to the end */
    const char *username;  /* BASIC_AUTH, EXT_AUTH_*: with MOSQ_ERR_SUCCESS it becomes the client's, as
                              mosquitto_set_username does; NULL: it stays */
    const void *auth_data; /* EXT_AUTH_*: for the client, with SUCCESS or AUTH_CONTINUE */
    size_t auth_data_len;  /* at most 65,535 */
    const char *psk_key;   /* PSK_KEY with SUCCESS: in hexadecimal */
    uint8_t reason_code;   /* of MQTT 5, of a refusal; 0: as the MOSQ_ERR_* stands for. One that the packet
                              cannot   carry is not sent. Versions 3 get what is nearest */
    const char *reason;    /* BASIC_AUTH, EXT_AUTH_*: text of the refusal, to version 5; NULL: none */
};

/* In a callback of BASIC_AUTH, EXT_AUTH_START, EXT_AUTH_CONTINUE, ACL_CHECK or PSK_KEY, once, with the
 * event_data that it was given. The callback returns LONGLINK_VERDICT_LATER. `event_data` and all that it
 * points to stay until the answer, however late that is; the client is known on any thread until it is gone.
 * The plugin's next callbacks go on meanwhile; what the client sends next waits. NULL: for another event,
 * outside of it, a second time, with LONGLINK_VERDICTS_MAX unanswered, or for want of memory; then the
 * callback decides itself. */
LONGLINK_API struct longlink_verdict *longlink_verdict_later(void *event_data);

/* Exactly once, from any thread, even before the callback has returned: what the callback would have returned
 * (MOSQ_ERR_PLUGIN_DEFER asks whoever comes next). `details` may be NULL. The verdict is not the caller's
 * afterwards, whatever the result. MOSQ_ERR_NOT_FOUND: nothing happens, for it is too late (plugin_timeout
 * has passed since the callback began, or the client is gone), or the second time. MOSQ_ERR_INVAL: `rc` or
 * details that cannot be; they count as MOSQ_ERR_UNKNOWN, as does MOSQ_ERR_NOMEM. */
LONGLINK_API int longlink_verdict(struct longlink_verdict *v, int rc, const struct longlink_details *details);

/* --- Clients */

/* The same client beyond its callback: until the unref, which is due once for each, the pointer stays good
 * for all mosquitto_client_* and longlink_client_* functions, on any thread, even when the connection has
 * ended. Gives `client`; NULL: we do not know it, or memory is short. */
LONGLINK_API struct mosquitto *longlink_client_ref(struct mosquitto *client);
LONGLINK_API void longlink_client_unref(struct mosquitto *client);

/* Has its connection not ended? What is true may have changed when the caller reads it. */
LONGLINK_API bool longlink_client_is_here(const struct mosquitto *client);

/* Port of the listener that it came by; 0: unknown, or a Unix socket. */
LONGLINK_API int longlink_client_port(const struct mosquitto *client);

/* A pointer of this plugin's, one for each client. `done` (may be NULL) is called with it when it is
 * replaced, in the call; and when the client is gone, on the plugin's thread after the DISCONNECT callbacks,
 * or for what is left after mosquitto_plugin_cleanup. MOSQ_ERR_NO_CONN: the client has gone; `done` is not
 * called. */
LONGLINK_API int longlink_client_data_set(mosquitto_plugin_id_t *id, struct mosquitto *client, void *data,
                                          void (*done)(void *data));
LONGLINK_API void *longlink_client_data(mosquitto_plugin_id_t *id, const struct mosquitto *client);

/* Ends its connection, soon; asynchronous, and harmless when it has ended. Version 5 gets DISCONNECT with
 * `reason_code`, of 0x80 to 0xA2 (0: 0x98, administrative action); before CONNACK it is refused. Without
 * `with_will` its will is not published. By id: whoever is connected by that name when the call arrives. */
LONGLINK_API int longlink_client_end(struct mosquitto *client, uint8_t reason_code, bool with_will);
LONGLINK_API int longlink_client_end_id(const char *client_id, uint8_t reason_code, bool with_will);

/* --- Who is there */

struct longlink_presence {
    size_t size;
    const char *client_id;
    bool is_connected;
    bool has_session;
    uint64_t queued; /* messages that wait for it, those on their way included; at most LONGLINK_QUEUED_MAX */
    /* Seconds. What its connection has, as it was told; 0: none, or it is not connected. And what
     * keepalive_mode has found that the network where it was last permits; 0: nothing. Look at `size` before.
     */
    uint16_t keepalive_s, keepalive_found_s;
};

struct longlink_connected {
    size_t size;
    struct mosquitto *client;
    bool session_present;
};
typedef void longlink_connected_fn(void *userdata, const struct longlink_connected *connected);

/* In init. Each client of whose BASIC_AUTH or EXT_AUTH_* the plugin's callbacks could know, when it is let
 * in: once, as its CONNACK is sent, before its DISCONNECT, and before what comes later on the plugin's
 * thread, unless plugins in front of it hold this up and not that. `fn` NULL: no longer. */
LONGLINK_API int longlink_on_connected(mosquitto_plugin_id_t *id, longlink_connected_fn *fn, void *userdata);

/* Calls `fn` once. MOSQ_ERR_OVERSIZE_PACKET: LONGLINK_QUERIES_MAX are under way. When the broker stops, those
 * under way are answered with nothing known (`has_session` and `is_connected` false), or not at all once
 * mosquitto_plugin_cleanup has been called. */
typedef void longlink_presence_fn(void *userdata, const struct longlink_presence *presence);
LONGLINK_API int longlink_presence(mosquitto_plugin_id_t *id, const char *client_id, longlink_presence_fn *fn,
                                   void *userdata);

/* --- Metrics and the log */

enum longlink_metric_kind { LONGLINK_COUNTER = 0, LONGLINK_GAUGE = 1 };
struct longlink_metric;

/* In init. Printed with the broker's as longlink_plugin_NAME{plugin="..."}: `name` of [a-z0-9_], that of a
 * counter ends in _total; `unit` as "messages", `help` one sentence: both are in the log, at debug. The same
 * name again gives the same metric; with another kind, or above LONGLINK_METRICS_MAX: NULL. It lives as long
 * as the plugin. */
LONGLINK_API struct longlink_metric *longlink_metric_new(mosquitto_plugin_id_t *id, const char *name,
                                                         enum longlink_metric_kind kind, const char *unit,
                                                         const char *help);
LONGLINK_API void longlink_metric_add(struct longlink_metric *metric, int64_t n);
LONGLINK_API void longlink_metric_set(struct longlink_metric *metric, int64_t to); /* gauges */

struct longlink_field {
    const char *key, *value; /* the value may hold anything: it is escaped, and cut at 200 bytes; NULL: "" */
};

/* One line: the event plugin-error, -warning, -notice, -info or -debug, as `level` (MOSQ_LOG_*) says, with
 * plugin=, says=`what`, then the fields, whose keys are of [a-z0-9_]. Of each `what` (the first 64 of a
 * plugin; the others share one) at most one line a second; the next says how many were left out, suppressed=.
 * Never log a secret. */
LONGLINK_API void longlink_log(mosquitto_plugin_id_t *id, int level, const char *what,
                               const struct longlink_field *fields, size_t count);

#ifdef __cplusplus
}
#endif

#endif
