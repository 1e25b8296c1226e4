/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/hooked.h"
#include "shard/keepalive_way.h"
#include "shard/shard_int.h"

/* DISCONNECT from a client (section 3.14). */

/* A session that would have ended with its connection cannot be made to last now [MQTT-3.14.2-2]. */
static enum mqtt_rc change_expiry(struct shard *sh, struct session *s, const struct props *props)
{
    if (!PROPS_HAS(props, session_expiry)) return MQTT_RC_OK;
    if (s->expiry_s == 0 && props->session_expiry != 0) return MQTT_RC_PROTOCOL;
    uint32_t most = sh->config->persistent_client_expiration;
    s->expiry_s = props->session_expiry < most ? props->session_expiry : most;
    if (!s->persistent || s->expiry_s == 0) return MQTT_RC_OK; /* ends now */
    struct command *c = journal_fenced(s, COMMAND_EXPIRY, bytes_of(NULL, 0));
    if (c == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    journal_put(sh, c);
    return MQTT_RC_OK;
}

enum mqtt_rc on_disconnect(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct session_end e;
    enum mqtt_rc rc = session_end_decode(f, c->version, &e);
    if (rc == MQTT_RC_OK && c->version == MQTT_V5) rc = change_expiry(sh, c->session, &e.props);
    if (rc != MQTT_RC_OK) return rc;
    if (e.code == MQTT_RC_OK) session_drop_will(c->session); /* [MQTT-3.1.2-10] */
    hooked_reason(c, e.code);
    way_ended(sh, c, KA_END_DISCONNECT);
    conn_end_as_asked(sh, c);
    return MQTT_RC_OK;
}
