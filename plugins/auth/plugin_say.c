/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/plugin_int.h"

/* The host lets through one line a second of each kind, and says how many it left out. Secrets are in none.
 */

void plugin_say(struct plugin *p, int level, const char *what, const char *why)
{
    struct longlink_field fields[] = { { "why", why } };
    longlink_log(p->id, level, what, fields, 1);
}

void plugin_say_refused(struct plugin *p, const struct say_who *who, enum source source, const char *why)
{
    struct longlink_field fields[] = { { "username", who->username },
                                       { "client", who->client_id },
                                       { "address", who->address },
                                       { "source", source_name(source) },
                                       { "why", why } };
    longlink_log(p->id, MOSQ_LOG_NOTICE, "login-refused", fields, sizeof fields / sizeof fields[0]);
}

void plugin_say_denied(struct plugin *p, const struct say_who *who, const char *action, const char *topic)
{
    struct longlink_field fields[] = { { "username", who->username },
                                       { "client", who->client_id },
                                       { "address", who->address },
                                       { "action", action },
                                       { "topic", topic } };
    longlink_log(p->id, MOSQ_LOG_NOTICE, "access-denied", fields, sizeof fields / sizeof fields[0]);
}
