/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mosquitto_callback_register and its like, and complaints about plugins.
 */
#include "plugin/abi5_int.h"
#include "topic/topic.h"
#include <string.h>

/* Events that mosquitto has had since 2.1. */
static const char *const newer_events[] = { "CONNECT",
                                            "SUBSCRIBE",
                                            "UNSUBSCRIBE",
                                            "PERSIST_RESTORE",
                                            "PERSIST_BASE_MSG_ADD",
                                            "PERSIST_BASE_MSG_DELETE",
                                            "PERSIST_RETAIN_MSG_SET",
                                            "PERSIST_RETAIN_MSG_DELETE",
                                            "PERSIST_CLIENT_ADD",
                                            "PERSIST_CLIENT_DELETE",
                                            "PERSIST_CLIENT_UPDATE",
                                            "PERSIST_SUBSCRIPTION_ADD",
                                            "PERSIST_SUBSCRIPTION_DELETE",
                                            "PERSIST_CLIENT_MSG_ADD",
                                            "PERSIST_CLIENT_MSG_DELETE",
                                            "PERSIST_CLIENT_MSG_UPDATE",
                                            "MESSAGE_OUT",
                                            "CLIENT_OFFLINE",
                                            "PERSIST_WILL_ADD",
                                            "PERSIST_WILL_DELETE" };
enum { NEWER_FIRST = MOSQ_EVT_DISCONNECT + 1, NEWER_COUNT = sizeof newer_events / sizeof newer_events[0] };

static bool is_first(struct plugin *p, unsigned wrong)
{
    uint32_t bit = (uint32_t)1 << wrong;
    lock_take(&p->lock);
    bool is = (p->said & bit) == 0;
    p->said |= bit;
    lock_release(&p->lock);
    return is;
}

void plugin_complain(struct plugin *p, unsigned wrong, const char *what, int64_t number)
{
    struct plugin_gate gate;
    if (!is_first(p, wrong) || !plugins_enter(&gate)) return;
    log_event(gate.log, EVENT_PLUGIN_WRONG, LOG_STR("plugin", p->name), LOG_STR("what", what),
              LOG_NUM("number", number));
    plugins_leave();
}

static void refuse_newer(struct plugin *p, int event)
{
    struct plugin_gate gate;
    const char *name = "unknown";
    if (event >= NEWER_FIRST && event - NEWER_FIRST < NEWER_COUNT) name = newer_events[event - NEWER_FIRST];
    if (!plugins_enter(&gate)) return;
    log_event(gate.log, EVENT_PLUGIN_EVENT_UNKNOWN, LOG_STR("plugin", p->name), LOG_NUM("event", event),
              LOG_STR("name", name));
    plugins_leave();
}

/* The plugin that calls, on its own thread; NULL: it may not. Its callbacks may run elsewhere, too. */
static struct plugin *caller(const mosquitto_plugin_id_t *id)
{
    struct plugin_gate gate;
    const struct plugin_step *s = plugin_step_now();
    if (id == NULL || !plugins_enter(&gate)) return NULL;
    struct plugin *p = plugin_of(id);
    bool is_own = p == plugin_now() && (s == NULL || s->is_own);
    if (p != NULL && !is_own)
        plugin_complain(p, PLUGIN_WRONG_THREAD,
                        "callbacks can be registered on the plugin's own thread only; refused", 0);
    plugins_leave();
    return is_own ? p : NULL;
}

static bool is_supported(int event)
{
    return (event > 0 && event <= MOSQ_EVT_DISCONNECT) || event == PLUGIN_EVT_CONNECT ||
           event == PLUGIN_EVT_CLIENT_OFFLINE;
}

/* MOSQ_ERR_SUCCESS: *conf is filled in. */
static int look(struct plugin_callback_conf *conf, int event, const void *event_data)
{
    enum { CONTROL_BYTES_MIN = 13 }; /* "$CONTROL/A/v1" */
    conf->event = event;
    if (!is_supported(event)) return MOSQ_ERR_NOT_SUPPORTED;
    if (event != MOSQ_EVT_CONTROL) return MOSQ_ERR_SUCCESS;
    conf->topic = event_data;
    if (conf->topic == NULL || !topic_is_control(bytes_of_text(conf->topic))) return MOSQ_ERR_INVAL;
    size_t size = strlen(conf->topic);
    return size < CONTROL_BYTES_MIN || size > UINT16_MAX ? MOSQ_ERR_INVAL : MOSQ_ERR_SUCCESS;
}

int mosquitto_callback_register(mosquitto_plugin_id_t *identifier, int event,
                                MOSQ_FUNC_generic_callback cb_func, const void *event_data, void *userdata)
{
    struct plugin_callback_conf conf = { .run = cb_func, .userdata = userdata };
    struct plugin *p = caller(identifier);
    if (p == NULL || cb_func == NULL) return MOSQ_ERR_INVAL;
    int rc = look(&conf, event, event_data);
    if (rc == MOSQ_ERR_NOT_SUPPORTED) refuse_newer(p, event);
    return rc == MOSQ_ERR_SUCCESS ? plugin_callback_add(p, &conf) : rc;
}

int mosquitto_callback_unregister(mosquitto_plugin_id_t *identifier, int event,
                                  MOSQ_FUNC_generic_callback cb_func, const void *event_data)
{
    struct plugin_callback_conf conf = { .run = cb_func };
    struct plugin *p = caller(identifier);
    if (p == NULL || cb_func == NULL) return MOSQ_ERR_INVAL;
    conf.event = event;
    if (!is_supported(event)) return MOSQ_ERR_NOT_SUPPORTED;
    if (event == MOSQ_EVT_CONTROL && (event_data == NULL || !topic_is_control(bytes_of_text(event_data))))
        return MOSQ_ERR_INVAL;
    if (event == MOSQ_EVT_CONTROL) conf.topic = event_data;
    return plugin_callback_remove(p, &conf);
}
