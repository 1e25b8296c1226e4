/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/qos0.h"

/* A ticket of no connection: what marks them on their way. */
enum { KEPT = 1 };

bool qos0_waits(const struct shard *sh, const struct session *s, const struct msg *m)
{
    if (!sh->config->queue_qos0_messages || !s->persistent || sys_owns(msg_topic(m))) return false;
    bool is_behind = s->feed != FEED_LIVE || s->sent != s->tail || s->keeping > 0;
    return s->conn == NULL || is_behind;
}

static struct msg *not_retained(struct msg *m)
{
    struct msg *copy;
    struct msg_parts parts = {
        .topic = msg_topic(m),
        .block = msg_block(m),
        .payload = msg_payload(m),
        .qos = m->qos,
        .from_session = m->from_session,
        .expires_ms = m->expires_ms,
    };
    if (!m->retain) return msg_ref(m);
    return msg_new(&copy, &parts) == ERR_OK ? copy : NULL;
}

static struct command *new_command(struct shard *sh, const struct session *s, struct msg *m, bool retain)
{
    struct command_size size = { .targets = 1, .seats = 1 };
    struct command *c = command_new(COMMAND_ENQUEUE, &size);
    if (c == NULL) return NULL;
    c->msg = not_retained(m);
    if (c->msg == NULL) {
        command_unref(&c);
        return NULL;
    }
    c->ticket = KEPT;
    c->targets[0] = (struct command_target){ .session_no = s->session_no, .retain = retain };
    c->targets[0].shard = c->seats[0].shard = (uint16_t)sh->index;
    c->seats[0].count = 1;
    return c;
}

void qos0_keep(struct shard *sh, struct session *s, struct msg *m, bool retain)
{
    size_t bytes = msg_bytes(m);
    bool is_room = sh->keeping_bytes + bytes <= JOURNAL_BYTES_MAX && memory_grants(sh, bytes);
    struct command *c = is_room ? new_command(sh, s, m, retain) : NULL;
    if (c == NULL) {
        metrics_add(sh->metrics, METRIC_publish_dropped_qos0_total, 1);
        log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", "queue_qos0_messages"),
                  LOG_TEXT("client", session_client_id(s)), LOG_TEXT("topic", msg_topic(m)));
        return;
    }
    s->keeping++;
    sh->keeping_bytes += msg_bytes(c->msg);
    journal_put(sh, c);
}

bool qos0_is_kept(const struct command *cmd)
{
    return cmd->conn_id == 0 && cmd->ticket == KEPT;
}

void qos0_kept(struct shard *sh, const struct command *cmd)
{
    struct session *s = sessions_find_no(sh, cmd->targets[0].session_no);
    sh->keeping_bytes -= msg_bytes(cmd->msg);
    if (cmd->result != COMMAND_DURABLE) metrics_add(sh->metrics, METRIC_publish_dropped_qos0_total, 1);
    if (s != NULL) s->keeping--;
}
