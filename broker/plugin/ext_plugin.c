/* SPDX-License-Identifier: Apache-2.0 */
/*
 * longlink_plugin.h: versions, events that may run anywhere, and the life of what is kept for a plugin.
 */
#include "plugin/ext_int.h"
#include <stdlib.h>

int longlink_plugin_api(void)
{
    return LONGLINK_PLUGIN_API;
}

struct plugin *plugin_ext_enter(const mosquitto_plugin_id_t *id, struct plugin_gate *gate)
{
    if (id == NULL || !plugins_enter(gate)) return NULL;
    struct plugin *p = plugin_of(id);
    if (p != NULL && p->ext != NULL) return p;
    plugins_leave();
    return NULL;
}

struct plugin *plugin_ext_own(const mosquitto_plugin_id_t *id)
{
    struct plugin_gate gate;
    const struct plugin_step *s = plugin_step_now();
    struct plugin *p = plugin_ext_enter(id, &gate);
    if (p == NULL) return NULL;
    plugins_leave();
    return p == plugin_now() && (s == NULL || s->is_own) ? p : NULL;
}

int longlink_plugin_concurrent(mosquitto_plugin_id_t *id, int event)
{
    struct plugin *p = plugin_ext_own(id);
    if (p == NULL) return MOSQ_ERR_INVAL;
    switch (event) {
    case MOSQ_EVT_ACL_CHECK:
    case MOSQ_EVT_BASIC_AUTH:
    case MOSQ_EVT_EXT_AUTH_START:
    case MOSQ_EVT_EXT_AUTH_CONTINUE:
    case MOSQ_EVT_CONTROL:
    case MOSQ_EVT_MESSAGE:
    case MOSQ_EVT_PSK_KEY: plugin_run_anywhere(p, event); return MOSQ_ERR_SUCCESS;
    default: return MOSQ_ERR_NOT_SUPPORTED;
    }
}

enum err plugin_ext_start(struct plugin *p)
{
    struct plugin_ext *e = calloc(1, sizeof *e);
    if (e == NULL) return ERR_NOMEM;
    lock_init(&e->lock, LOCK_RANK_PLUGIN_EXT);
    e->last = &e->first;
    e->wake.kind = PLUGIN_MAIL_EXT;
    p->ext = e;
    return ERR_OK;
}

void plugin_ext_mail(struct plugin *p, struct mail *mail)
{
    (void)mail;
    plugin_ext_tell_queries(p);
}

void plugin_ext_end(struct plugin *p)
{
    plugin_ext_queries_end(p);
    plugin_ext_verdicts_end(p);
    plugin_ext_data_end(p);
}

void plugin_ext_free(struct plugin *p)
{
    struct plugin_ext *e = p->ext;
    p->ext = NULL;
    if (e == NULL) return;
    plugin_ext_metrics_free(e);
    lock_fini(&e->lock);
    free(e);
}
