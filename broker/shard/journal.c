/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/acks.h"
#include "shard/connect.h"
#include "shard/delayed.h"
#include "shard/qos0.h"
#include "shard/qos2.h"
#include "shard/shard_int.h"

/* Commands out, completions in; and on the journal's own thread, what it delivers. */

enum { NO_ACK = 0 }; /* a command's ticket */

void journal_put(struct shard *sh, struct command *c)
{
    c->from_shard = (uint16_t)sh->index;
    c->completion.kind = MAIL_DONE;
    for (uint16_t i = 0; i < c->seats_count; i++) c->seats[i].mail.kind = MAIL_SEAT;
    command_put(&sh->to_journal, c);
    metrics_add(sh->metrics, METRIC_journal_commands_total, 1);
}

struct command *journal_fenced(const struct session *s, enum command_kind kind, struct bytes data)
{
    struct command_size size = { .data = data };
    struct command *c = command_new(kind, &size);
    if (c == NULL) return NULL;
    c->session_no = s->session_no;
    c->claim_no = s->claim_no;
    c->expiry_s = s->expiry_s;
    return c;
}

/* The connection a completion is for, if it is still the one that asked. */
static struct conn *waiting_conn(struct shard *sh, const struct command *cmd)
{
    return cmd->conn_id == 0 ? NULL : conn_find(sh, cmd->conn_id);
}

static void note_refused(struct shard *sh, const struct session *s, const struct command *cmd)
{
    metrics_add(sh->metrics, METRIC_publish_refused_total, 1);
    log_event(sh->log, EVENT_PUBLISH_REFUSED,
              LOG_TEXT("client", s == NULL ? bytes_of_text("") : session_client_id(s)),
              LOG_TEXT("topic", msg_topic(cmd->msg)));
}

static uint8_t publish_code(const struct command *cmd)
{
    if (cmd->result == COMMAND_REFUSED) return MQTT_RC_QUOTA_EXCEEDED;
    bool to_nobody = cmd->result == COMMAND_DURABLE && cmd->seats_count == 0;
    return to_nobody ? MQTT_RC_NO_MATCHING_SUBSCRIBERS : MQTT_RC_OK;
}

/* No room for it: version 5 is told to try later; before it had no word for that, so the answer stays away,
 * and the connection ends [MQTT-4.13]. */
static void publish_answer(struct shard *sh, struct conn *c, const struct command *cmd)
{
    uint32_t ticket = (uint32_t)(cmd->ticket - 1), unused;
    const struct acks_slot *slot = conn_ack_slot(c, ticket);
    bool refused = cmd->result == COMMAND_REFUSED;
    if (slot->type == PACKET_PUBREC) session_inbound_kept(c->session, slot->id, !refused, &unused);
    if (refused && c->version != MQTT_V5)
        conn_end(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    else
        conn_ack_done(sh, c, ticket, publish_code(cmd));
}

static void publish_done(struct shard *sh, const struct command *cmd)
{
    struct conn *c = waiting_conn(sh, cmd);
    bool is_open = c != NULL && c->state == CONN_OPEN;
    if (qos0_is_kept(cmd)) {
        qos0_kept(sh, cmd);
        return;
    }
    if (plugin_has_published(cmd)) plugin_published(sh, cmd);
    if (cmd->due_ms != 0 && cmd->result != COMMAND_DURABLE) delayed_dismiss(sh);
    if (cmd->result == COMMAND_DUPLICATE) metrics_add(sh->metrics, METRIC_publish_duplicates_total, 1);
    if (cmd->result == COMMAND_REFUSED)
        note_refused(sh, is_open ? c->session : sessions_find_no(sh, cmd->session_no), cmd);
    if (cmd->deferred && !is_open) sh->orphans--;
    if (is_open) conn_journal_give(sh, c, cmd);
    if (is_open && cmd->deferred) conn_deferred_done(sh, c);
    if (cmd->in_id != 0)
        qos2_published(sh, cmd, publish_code(cmd));
    else if (is_open && cmd->ticket != NO_ACK) /* else QoS 0: nothing was promised */
        publish_answer(sh, c, cmd);
}

static void connect_done(struct shard *sh, const struct command *cmd)
{
    struct conn *c = waiting_conn(sh, cmd);
    if (c == NULL || c->state != CONN_WAITING) return;
    connack_send(sh, c);
    conn_resume(sh, c, PAUSE_CONNACK);
}

/* Stale: the connection lost its session. Refused: only a publish has a word for that; what a client asked
 * for otherwise it will ask for again, when it has got no answer. The same for both: the connection ends. */
static bool is_lost(const struct command *cmd)
{
    return cmd->result == COMMAND_STALE ||
           (cmd->result == COMMAND_REFUSED && !command_has_targets(cmd->kind));
}

void journal_mail_done(struct shard *sh, struct mail *m)
{
    struct command *cmd = CONTAINER(m, struct command, completion);
    struct conn *loser = is_lost(cmd) ? waiting_conn(sh, cmd) : NULL;
    if (loser != NULL) conn_drop(sh, loser);
    switch (cmd->kind) {
    case COMMAND_MOVE:
        if (cmd->session_no == DELAYED_QUEUE)
            delayed_moved(sh, cmd);
        else
            shares_done(sh, cmd);
        break;
    case COMMAND_GROUP: group_made(sh, cmd); break;
    case COMMAND_ENQUEUE:
        if (cmd->job != NULL) {
            shares_done(sh, cmd);
            break;
        }
        publish_done(sh, cmd);
        break;
    case COMMAND_FIRE_WILL: publish_done(sh, cmd); break;
    case COMMAND_CLAIM: connect_done(sh, cmd); break;
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE: job_done(sh, cmd); break;
    case COMMAND_FENCE:
        if (cmd->job != NULL)
            job_done(sh, cmd);
        else
            connect_done(sh, cmd);
        break;
    case COMMAND_RECEIVED: qos2_received(sh, cmd); break;
    case COMMAND_RELEASE: qos2_released(sh, cmd); break;
    case COMMAND_KEEPALIVE:
    case COMMAND_SENT_AS: /* an import's */
    case COMMAND_END_SESSION:
    case COMMAND_EXPIRY:
    case COMMAND_OFFLINE:
    case COMMAND_ACK:
    case COMMAND_RETAINED: break; /* nobody waits: the connection is gone, or a later one says more */
    }
    command_unref(&cmd);
}

/* --- the journal's thread */

static void sink_post(void *ctx, unsigned shard, struct mail *mail)
{
    struct shards *all = ctx;
    outbox_put(&all->posted[shard], mail);
}

static void sink_complete(void *ctx, unsigned shard, struct mail *mail)
{
    struct shards *all = ctx;
    outbox_put(&all->completed[shard], mail);
}

static void sink_flush(void *ctx)
{
    struct shards *all = ctx;
    metrics_add(metrics_shard(all->conf.metrics, all->count), METRIC_journal_batches_total, 1);
    for (unsigned i = 0; i < all->count; i++) mailbox_hand_over(&all->at[i]->mailbox, &all->posted[i]);
    for (unsigned i = 0; i < all->count; i++) mailbox_hand_over(&all->at[i]->mailbox, &all->completed[i]);
}

struct journal_sink shards_sink(struct shards *s)
{
    return (struct journal_sink){ sink_post, sink_complete, sink_flush, s };
}
