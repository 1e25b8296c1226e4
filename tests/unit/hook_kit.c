/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/hook_kit.h"
#include <stdio.h>
#include <stdlib.h>

/* --- plugins */

struct kit_plugins plugins;

static void kit_note(const char *text)
{
    size_t n = strlen(plugins.said);
    CHECK(n + strlen(text) + 2 < sizeof plugins.said);
    snprintf(plugins.said + n, sizeof plugins.said - n, "%s\n", text);
}

static const char *kit_or_none(const char *text)
{
    return text != NULL ? text : "-";
}

static void kit_note_filters(const struct hook_filters *q, char *text, size_t room)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < q->count && n < room; i++)
        n += (size_t)snprintf(text + n, room - n, " %.*s", (int)q->at[i].filter.len,
                              (const char *)q->at[i].filter.at);
}

static void kit_note_ask(struct hook_ask *a)
{
    char text[512];
    const char *id = a->client != NULL ? hook_client_id(a->client) : "-";
    if (a->about == HOOK_LOGIN) {
        const struct hook_login *q = (const struct hook_login *)(void *)a;
        snprintf(text, sizeof text, "%s login %s %s", id, kit_or_none(q->username), kit_or_none(q->password));
    } else if (a->about == HOOK_PUBLISH || a->about == HOOK_WILL) {
        const struct hook_publish *q = (const struct hook_publish *)(void *)a;
        snprintf(text, sizeof text, "%s %s %.*s %.*s", id, a->about == HOOK_WILL ? "will" : "publish",
                 (int)q->topic.len, (const char *)q->topic.at, q->payload.len < 64 ? (int)q->payload.len : 0,
                 q->payload.len > 0 ? (const char *)q->payload.at : "");
    } else if (a->about == HOOK_SUBSCRIBE || a->about == HOOK_UNSUBSCRIBE) {
        snprintf(text, sizeof text, "%s %s", id, a->about == HOOK_SUBSCRIBE ? "subscribe" : "unsubscribe");
        kit_note_filters((const struct hook_filters *)(void *)a, text, sizeof text);
    } else {
        const struct hook_gone *q = (const struct hook_gone *)(void *)a;
        snprintf(text, sizeof text, "%s gone %d%s%s", id, q->reason, q->was_in ? "" : " never in",
                 q->session_stays ? " for now" : "");
    }
    kit_note(text);
}

static void kit_give(struct hook_ask *a, uint8_t verdict)
{
    a->verdict = verdict;
    if (a->about == HOOK_SUBSCRIBE || a->about == HOOK_UNSUBSCRIBE) {
        struct hook_filters *q = (struct hook_filters *)(void *)a;
        for (size_t i = 0; i < q->count; i++)
            if (q->at[i].verdict == HOOK_DEFER)
                q->at[i].verdict = verdict == HOOK_DEFER ? (uint8_t)q->fallback : verdict;
    }
    if (a->about == HOOK_PUBLISH && plugins.topic != NULL) {
        struct hook_publish *q = (struct hook_publish *)(void *)a;
        size_t bytes = strlen(plugins.topic) + 1;
        q->changed[0] = malloc(bytes); /* the rig counts it, as it would not by strdup */
        CHECK(q->changed[0] != NULL);
        memcpy(q->changed[0], plugins.topic, bytes);
        q->topic = bytes_of_text(q->changed[0]);
    }
    if (verdict == HOOK_DEFER && (a->about == HOOK_PUBLISH || a->about == HOOK_WILL))
        a->verdict = (uint8_t)((struct hook_publish *)(void *)a)->fallback;
}

/* Deliveries are another test's. */
static bool kit_let_read(struct hook_ask *a)
{
    struct hook_reads *q = (struct hook_reads *)(void *)a;
    for (size_t i = 0; i < q->count; i++) q->item(q, i)->verdict = HOOK_ALLOW;
    a->verdict = HOOK_ALLOW;
    return true;
}

static bool kit_ask(struct hooks *h, struct hook_ask *a)
{
    CHECK(h == &plugins.hooks);
    if (a->about == HOOK_READ) return kit_let_read(a);
    kit_note_ask(a);
    if (a->about == HOOK_GONE) {
        hook_ask_unref(&a);
        return false;
    }
    if (plugins.at_once) {
        kit_give(a, plugins.answer);
        return true;
    }
    CHECK(plugins.count < KIT_ASKS);
    plugins.asked[plugins.count++] = a;
    return false;
}

static uint32_t kit_wants(const struct hooks *h)
{
    (void)h;
    return plugins.wants;
}

static bool kit_is_inline(const struct hooks *h, enum hook_event e)
{
    (void)h, (void)e;
    return plugins.at_once;
}

static void kit_destroy(struct hooks *h)
{
    (void)h;
    CHECK(false); /* the test has a reference */
}

static const struct hooks_ops kit_ops = { kit_wants, kit_ask, kit_is_inline, kit_destroy };

/* What they have been asked since the last time. */
void expect_asked(const char *want)
{
    assert_string_equal(want, plugins.said);
    plugins.said[0] = '\0';
}

/* Question number i, from 0, is answered, and the shard has heard it. */
void say(unsigned i, uint8_t code, const char *why)
{
    char *text = why == NULL ? NULL : malloc(strlen(why) + 1); /* what the rig counts */
    if (text != NULL) memcpy(text, why, strlen(why) + 1);
    plugins.asked[i]->code = code;
    plugins.asked[i]->reason = text;
}

void answer_unheard(unsigned i, enum hook_verdict verdict)
{
    CHECK(i < plugins.count && plugins.asked[i] != NULL);
    struct hook_ask *a = plugins.asked[i];
    plugins.asked[i] = NULL;
    kit_give(a, (uint8_t)verdict);
    a->mail.kind = a->kind;
    mailbox_send(a->to, &a->mail);
}

void answer(unsigned i, enum hook_verdict verdict)
{
    answer_unheard(i, verdict);
    rig_settle();
}

/* --- clients */

struct kit_client kit_clients[RIG_LINKS];

static void kit_hear(unsigned link, struct bytes b)
{
    struct kit_client *c = &kit_clients[link];
    CHECK(b.len <= sizeof c->in - c->end);
    memcpy(c->in + c->end, b.at, b.len);
    c->end += b.len;
}

static void kit_hear_end(unsigned link)
{
    kit_clients[link].is_ended = true;
}

static void kit_hear_close(unsigned link)
{
    (void)link;
}

void kit_begin_two(void (*options)(struct config *c, void *ctx))
{
    struct rig_conf conf = { .shards = 2,
                             .ears = { kit_hear, kit_hear_end, kit_hear_close },
                             .options = options };
    rig_begin(&conf);
}

void kit_begin(uint32_t wants, struct access *access, void (*options)(struct config *c, void *ctx))
{
    plugins = (struct kit_plugins){ .hooks.ops = &kit_ops, .wants = wants };
    ref_init(&plugins.hooks.ref, 1);
    struct rig_conf conf = { .shards = 1,
                             .ears = { kit_hear, kit_hear_end, kit_hear_close },
                             .options = options,
                             .hooks = &plugins.hooks,
                             .access = access };
    rig_begin(&conf);
}

unsigned open_link(void)
{
    int link = rig_open(0);
    CHECK(link >= 0);
    memset(&kit_clients[link], 0, sizeof kit_clients[link]);
    return (unsigned)link;
}

void send_bytes(unsigned link, const void *at, size_t n)
{
    CHECK(rig_send(link, bytes_of(at, n)));
    rig_settle();
}

static void send_wr(unsigned link, const uint8_t *packet, const struct wr *w)
{
    CHECK(!w->bad);
    send_bytes(link, packet, (size_t)(w->at - packet));
}

unsigned try_connect(const struct connect *p)
{
    uint8_t packet[KIT_PACKET];
    struct wr w = { .at = packet, .left = sizeof packet };
    unsigned link = open_link();
    connect_encode(&w, p);
    send_wr(link, packet, &w);
    return link;
}

bool hears_nothing(unsigned link)
{
    return kit_clients[link].at == kit_clients[link].end;
}

struct frame next(unsigned link, enum packet_type type)
{
    struct frame f;
    struct kit_client *c = &kit_clients[link];
    CHECK_INT(MQTT_RC_OK, frame_split(bytes_of(c->in + c->at, c->end - c->at), KIT_BYTES, &f));
    CHECK_TRUE(f.total > 0);
    CHECK_INT(type, f.type);
    c->at += f.total;
    return f;
}

void expect_connack(unsigned link, uint8_t version, uint8_t code)
{
    struct connack a;
    CHECK_INT(MQTT_RC_OK, connack_decode(next(link, PACKET_CONNACK).body, version, &a));
    CHECK_INT(code, a.code);
    CHECK_INT(code != 0, kit_clients[link].is_ended);
}

void expect_ack(unsigned link, uint8_t version, enum packet_type type, uint16_t id, uint8_t code)
{
    struct ack a;
    struct frame f = next(link, type);
    CHECK_INT(MQTT_RC_OK, ack_decode(&f, version, &a));
    CHECK_INT(id, a.id);
    CHECK_INT(code, a.code);
}

static void expect_text(const struct props *props, const char *text)
{
    CHECK_INT(text != NULL, PROPS_HAS(props, reason_string));
    if (text != NULL) CHECK_TRUE(bytes_equal(bytes_of_text(text), props->reason_string));
}

void expect_ack_text(unsigned link, enum packet_type type, uint16_t id, const char *text)
{
    struct ack a;
    struct frame f = next(link, type);
    CHECK_INT(MQTT_RC_OK, ack_decode(&f, MQTT_V5, &a));
    CHECK_INT(id, a.id);
    expect_text(&a.props, text);
}

void expect_connack_text(unsigned link, const char *text)
{
    struct connack a;
    CHECK_INT(MQTT_RC_OK, connack_decode(next(link, PACKET_CONNACK).body, MQTT_V5, &a));
    expect_text(&a.props, text);
}

void expect_publish(unsigned link, uint8_t version, const char *topic, const char *payload)
{
    struct publish p;
    struct frame f = next(link, PACKET_PUBLISH);
    CHECK_INT(MQTT_RC_OK, publish_decode(&f, version, &p));
    CHECK_TRUE(bytes_equal(bytes_of_text(topic), p.topic));
    CHECK_TRUE(bytes_equal(bytes_of_text(payload), p.payload));
}

void expect_disconnect(unsigned link, enum mqtt_rc code)
{
    struct session_end e;
    struct frame f = next(link, PACKET_DISCONNECT);
    CHECK_INT(MQTT_RC_OK, session_end_decode(&f, MQTT_V5, &e));
    CHECK_INT(code, e.code);
    CHECK_TRUE(kit_clients[link].is_ended);
}

void send_publish(unsigned link, uint8_t version, const struct publish *p)
{
    uint8_t packet[KIT_PACKET];
    struct wr w = { .at = packet, .left = sizeof packet };
    publish_encode(&w, version, p);
    send_wr(link, packet, &w);
}

void publish_text(unsigned link, uint8_t version, const char *topic, uint8_t qos, uint16_t id)
{
    struct publish p = { .topic = bytes_of_text(topic), .payload = bytes_of_text("x"), .qos = qos, .id = id };
    send_publish(link, version, &p);
}

void send_subscribe(unsigned link, uint8_t version, uint16_t id, const char *first, const char *second)
{
    uint8_t packet[KIT_PACKET];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct subscribe_filter f[2] = { { .filter = bytes_of_text(first) } };
    if (second != NULL) f[1].filter = bytes_of_text(second);
    subscribe_encode(&w, version, id, f, second != NULL ? 2 : 1);
    send_wr(link, packet, &w);
}

void send_unsubscribe(unsigned link, uint8_t version, uint16_t id, const char *filter)
{
    uint8_t packet[KIT_PACKET];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct bytes f = bytes_of_text(filter);
    unsubscribe_encode(&w, version, id, &f, 1);
    send_wr(link, packet, &w);
}

/* codes: so many. */
void expect_suback(unsigned link, uint8_t version, enum packet_type type, const char *codes, size_t count)
{
    struct suback s;
    struct frame f = next(link, type);
    CHECK_INT(MQTT_RC_OK, suback_decode(&f, version, &s));
    CHECK_TRUE(bytes_equal(bytes_of(codes, count), s.codes));
}

void send_disconnect(unsigned link)
{
    send_bytes(link, "\xe0\x00", 2);
}

void ping(unsigned link)
{
    send_bytes(link, "\xc0\x00", 2);
    next(link, PACKET_PINGRESP);
}
