/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"
#include "hook/broker.h"
#include "shard/hooked.h"
#include "shard/plugin.h"
#include "shard/route.h"
#include "shard/shard_int.h"
#include "topic/topic.h"
#include <stdlib.h>

/* Messages of plugins: see plugin.h. */

/* A ticket of no connection: what marks their commands. Another one than shard/qos0.c's. */
enum { PUBLISHED = 2 };

struct message {
    struct mail mail;
    struct hook_message m; /* its texts are in data */
    uint32_t expiry_s;
    bool has_expiry;
    size_t bytes;
    uint8_t data[];
};

/* --- any thread */

enum err plugin_word_begin(struct shards *s, size_t bytes)
{
    struct plugin_words *w = &s->plugins;
    if (shared_word_get(&w->is_closed) != 0) return ERR_CLOSED;
    bool has_room = bytes <= PLUGIN_PUBLISH_BYTES_MAX &&
                    tally_get(&w->bytes) <= PLUGIN_PUBLISH_BYTES_MAX - bytes &&
                    !heap_gate_is_high(&s->heap) && gauge_take(&w->count, PLUGIN_PUBLISHES_MAX);
    if (!has_room) {
        tally_add(&w->refused, 1);
        return ERR_FULL;
    }
    tally_add(&w->bytes, bytes);
    return ERR_OK;
}

/* In memory, nearly; the same for what the journal has. */
static size_t cost(struct bytes topic, struct bytes block, struct bytes payload)
{
    enum { MORE = 256 };
    return topic.len + block.len + payload.len + MORE;
}

enum { LENGTH_BYTES = 4 };

/* The properties that go to receivers, without what counts down. They are decoded behind them, with their
 * length. */
static bool take_block(struct message *m, struct bytes block, uint8_t *at)
{
    struct props props;
    uint8_t *behind = at + block.len;
    struct wr head = { .at = behind, .left = block.len + LENGTH_BYTES }, w = { .at = at, .left = block.len };
    wr_varint(&head, (uint32_t)block.len);
    wr_bytes(&head, block);
    struct rd r = { .at = behind, .left = (size_t)(head.at - behind) };
    if (head.bad || props_decode(&r, 1u << PACKET_PUBLISH, &props) != MQTT_RC_OK) return false;
    m->has_expiry = PROPS_HAS(&props, message_expiry);
    if (m->has_expiry) m->expiry_s = props.message_expiry;
    publish_forward_props(&w, block);
    m->m.block = bytes_of(at, (size_t)(w.at - at));
    return !w.bad;
}

static struct bytes copy(uint8_t **at, struct bytes b)
{
    struct bytes to = bytes_of(b.at == NULL ? NULL : *at, b.len);
    if (b.len > 0) memcpy(*at, b.at, b.len);
    *at += b.len;
    return to;
}

/* data: topic, payload, client id, properties, and room to decode these. */
static enum err message_new(struct message **out, const struct hook_message *from)
{
    size_t texts = from->topic.len + from->payload.len + from->client_id.len;
    struct message *m = malloc(sizeof *m + texts + 2 * from->block.len + LENGTH_BYTES);
    *out = m;
    if (m == NULL) return ERR_NOMEM;
    *m = (struct message){ .m = *from };
    uint8_t *at = m->data;
    m->m.topic = copy(&at, from->topic);
    m->m.payload = copy(&at, from->payload);
    m->m.client_id = copy(&at, from->client_id);
    m->m.block = bytes_of(at, 0);
    bool is_good = from->block.len == 0 || take_block(m, from->block, at);
    m->bytes = cost(m->m.topic, m->m.block, m->m.payload);
    if (is_good) return ERR_OK;
    free(m);
    *out = NULL;
    return ERR_SYNTAX;
}

enum err plugin_publish(void *shards, const struct hook_message *from)
{
    struct shards *s = shards;
    struct message *m;
    size_t most = (size_t)PACKET_BYTES_MAX - PUBLISH_HEAD_MAX;
    if (from->payload.len > most || from->block.len > most - from->payload.len) return ERR_RANGE;
    if (!topic_name_valid(from->topic) || from->qos > 2) return ERR_SYNTAX;
    enum err rc = message_new(&m, from);
    if (rc == ERR_OK) rc = plugin_word_begin(s, m->bytes);
    if (rc != ERR_OK) {
        free(m);
        return rc;
    }
    m->mail.kind = MAIL_PLUGIN_MESSAGE;
    mailbox_send(&s->at[0]->mailbox, &m->mail);
    return ERR_OK;
}

void plugin_forget(void *shards)
{
    struct shards *s = shards;
    tally_add(&s->plugins.forgotten, 1);
}

struct hook_broker shards_hook_broker(struct shards *s)
{
    return (struct hook_broker){ s, plugin_publish, plugin_kick, plugin_forget, plugin_presence };
}

/* --- a shard's */

void plugin_word_end(struct shard *sh, size_t bytes)
{
    struct plugin_words *w = &sh->all->plugins;
    gauge_give(&w->count);
    tally_add(&w->bytes, (uint64_t)0 - bytes);
    if (sh->index != 0 || tally_get(&w->refused) == tally_get(&w->counted)) return;
    uint64_t more = tally_get(&w->refused) - tally_get(&w->counted);
    tally_add(&w->counted, more);
    metrics_add(sh->metrics, METRIC_plugin_refused_total, more);
}

bool plugin_has_published(const struct command *cmd)
{
    return cmd->conn_id == 0 && cmd->ticket == PUBLISHED;
}

void plugin_published(struct shard *sh, const struct command *cmd)
{
    const struct msg *m = cmd->msg;
    plugin_word_end(sh, cost(msg_topic(m), msg_block(m), msg_payload(m)));
}

static uint64_t expires_ms(const struct shard *sh, const struct message *m)
{
    return m->has_expiry ? sh->wall_ms + (uint64_t)m->expiry_s * 1000 : 0;
}

/* As a PUBLISH of nobody. True: the journal has it. */
static bool publish(struct shard *sh, const struct message *m)
{
    struct route_in in = {
        .topic = m->m.topic,
        .block = m->m.block,
        .payload = m->m.payload,
        .qos = m->m.qos,
        .retain = m->m.retain && sh->config->retain_available,
        .expires_ms = expires_ms(sh, m),
        .ticket = PUBLISHED,
    };
    if (sys_owns(in.topic)) {
        in.qos = 0; /* as what the broker says of itself: no journal has it */
        route_own(sh, &in);
        return false;
    }
    enum route_result result = route_publish(sh, &in);
    if (result == ROUTE_FAILED) log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_TEXT("topic", in.topic));
    return result == ROUTE_PENDING;
}

static struct msg *new_msg(struct shard *sh, const struct message *m)
{
    struct msg *out;
    struct msg_parts parts = {
        .topic = m->m.topic,
        .block = m->m.block,
        .payload = m->m.payload,
        .qos = m->m.qos,
        .expires_ms = expires_ms(sh, m),
        .is_for_one = true,
    };
    return msg_new(&out, &parts) == ERR_OK ? out : NULL;
}

/* Of a kept session: durable, before it is sent. True: the journal has it. */
static bool put(struct shard *sh, const struct session *s, struct msg *m, bool retain)
{
    struct command_size size = { .targets = 1, .seats = 1 };
    struct command *c = command_new(COMMAND_ENQUEUE, &size);
    if (c == NULL) return false;
    c->msg = msg_ref(m);
    c->ticket = PUBLISHED;
    c->targets[0] = (struct command_target){
        .session_no = s->session_no, .shard = (uint16_t)sh->index, .qos = m->qos, .retain = retain
    };
    c->seats[0].shard = (uint16_t)sh->index;
    c->seats[0].count = 1;
    journal_put(sh, c);
    return true;
}

static void dropped(struct shard *sh, const struct session *s)
{
    metrics_add(sh->metrics, METRIC_publish_dropped_queue_full_total, 1);
    log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", "no room"), LOG_STR("kind", "of a plugin"),
              LOG_TEXT("client", session_client_id(s)));
}

/* True: the journal has it. */
static bool send(struct shard *sh, struct session *s, struct msg *m, bool retain)
{
    struct conn_publish p = { .msg = m, .retain = retain };
    struct store_row row = { .msg = m, .qos = m->qos, .retain = retain };
    if (m->qos == 0 && conn_output_bytes(s->conn) > OUT_BYTES_QOS0_MAX) {
        dropped(sh, s);
    } else if (m->qos == 0) {
        conn_send_publish(sh, s->conn, &p);
    } else if (s->persistent) {
        if (put(sh, s, m, retain)) return true;
        dropped(sh, s);
    } else if (session_offer(s, &row) == ERR_OK) {
        feed_pump(sh, s);
    } else {
        dropped(sh, s);
    }
    return false;
}

/* To a client that is connected, whatever it subscribes to. */
static bool send_to_one(struct shard *sh, const struct message *m)
{
    struct session *s = sessions_find(sh, m->m.client_id);
    const struct conn *c = s == NULL ? NULL : s->conn;
    if (c == NULL || c->state != CONN_OPEN) return false;
    struct msg *msg = new_msg(sh, m);
    if (msg == NULL) {
        dropped(sh, s);
        return false;
    }
    bool is_journals = send(sh, s, msg, m->m.retain);
    msg_unref(&msg);
    return is_journals;
}

void plugin_mail_message(struct shard *sh, struct mail *mail)
{
    struct message *m = CONTAINER(mail, struct message, mail);
    bool is_for_one = m->m.client_id.at != NULL;
    unsigned to = is_for_one ? shard_of_client(sh->all, m->m.client_id) : sh->index;
    if (to != sh->index) {
        shard_post(sh, to, mail, MAIL_PLUGIN_MESSAGE);
        return;
    }
    bool is_journals = !sh->closing && (is_for_one ? send_to_one(sh, m) : publish(sh, m));
    if (!is_journals) plugin_word_end(sh, m->bytes);
    free(m);
}
