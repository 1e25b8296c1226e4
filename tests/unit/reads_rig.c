/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/reads_rig.h"
#include "base/limits.h"
#include "base/list.h"
#include "kit/test.h"
#include <stdio.h>
#include <string.h>

enum { PACKET_BYTES = 64 * 1024, INPUT_BYTES = 512 * 1024 };

struct heard {
    uint8_t version;
    char text[TRANSCRIPT_BYTES], said[TRANSCRIPT_BYTES];
    size_t text_bytes, in_bytes;
    uint16_t ids[IDS_MAX];
    uint8_t qos[IDS_MAX];
    unsigned count, acked, releases;
    uint8_t in[INPUT_BYTES];
};

struct reads_host reads_host;
static struct heard heard[RIG_LINKS];

/* --- plugins */

static uint32_t wants(const struct hooks *h)
{
    (void)h;
    return reads_host.wants;
}

static bool is_inline(const struct hooks *h, enum hook_event e)
{
    (void)h, (void)e;
    return reads_host.at_once != NULL;
}

static void destroy(struct hooks *h)
{
    (void)h;
}

static void look_at(struct hook_reads *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const char *id = hook_client_id(r->item(r, i)->client);
        CHECK_TRUE(reads_host.gone == NULL || strcmp(id, reads_host.gone) != 0);
        CHECK_INT(HOOK_DEFER, r->item(r, i)->verdict);
    }
    reads_host.items += (unsigned)r->count;
    if (r->count > reads_host.most_items) reads_host.most_items = (unsigned)r->count;
}

static void decide(struct hook_reads *r, reads_verdict *verdict)
{
    for (size_t i = 0; i < r->count; i++) r->item(r, i)->verdict = (uint8_t)verdict(r->item(r, i));
}

/* Who subscribes is let do so: another test's concern. */
static bool allow(struct hook_ask *a)
{
    a->verdict = HOOK_ALLOW;
    if (a->about == HOOK_PUBLISH) {
        a->verdict = (uint8_t)reads_host.write;
        reads_host.writes++;
    }
    if (a->about == HOOK_SUBSCRIBE || a->about == HOOK_UNSUBSCRIBE) {
        struct hook_filters *f = CONTAINER(a, struct hook_filters, ask);
        for (size_t i = 0; i < f->count; i++) f->at[i].verdict = HOOK_ALLOW;
    }
    return true;
}

static bool ask(struct hooks *h, struct hook_ask *a)
{
    (void)h;
    if (a->about == HOOK_GONE) {
        hook_ask_unref(&a);
        return true;
    }
    if (a->about != HOOK_READ) return allow(a);
    struct hook_reads *r = CONTAINER(a, struct hook_reads, ask);
    look_at(r);
    if (reads_host.at_once != NULL) {
        decide(r, reads_host.at_once);
        return true;
    }
    CHECK_TRUE(reads_host.asked_count < READS_ASKED_MAX);
    reads_host.asked[reads_host.asked_count++] = r;
    return false;
}

static const struct hooks_ops ops = { wants, ask, is_inline, destroy };

void reads_answer_nth(unsigned nth, reads_verdict *verdict)
{
    CHECK_TRUE(nth < reads_host.asked_count);
    struct hook_reads *r = reads_host.asked[nth];
    reads_host.asked_count--;
    memmove(&reads_host.asked[nth], &reads_host.asked[nth + 1],
            (reads_host.asked_count - nth) * sizeof reads_host.asked[0]);
    decide(r, verdict);
    r->ask.mail.kind = r->ask.kind;
    mailbox_send(r->ask.to, &r->ask.mail);
    rig_settle();
}

void reads_answer(reads_verdict *verdict)
{
    reads_answer_nth(0, verdict);
}

void reads_answer_all(reads_verdict *verdict)
{
    while (reads_host.asked_count > 0) reads_answer(verdict);
}

enum hook_verdict reads_allow(const struct hook_read *r)
{
    (void)r;
    return HOOK_ALLOW;
}

enum hook_verdict reads_deny(const struct hook_read *r)
{
    (void)r;
    return HOOK_DENY;
}

enum hook_verdict reads_defer(const struct hook_read *r)
{
    (void)r;
    return HOOK_DEFER;
}

enum hook_verdict reads_late(const struct hook_read *r)
{
    (void)r;
    return HOOK_LATE;
}

bool reads_is(const struct hook_read *r, const char *payload)
{
    return bytes_equal(msg_payload(r->msg), bytes_of_text(payload));
}

/* --- what comes */

static void hear_publish(struct heard *h, const struct frame *f)
{
    struct publish p;
    CHECK_INT(MQTT_RC_OK, publish_decode(f, h->version, &p));
    CHECK_TRUE(h->count < IDS_MAX || p.qos == 0);
    if (p.qos > 0) {
        h->ids[h->count] = p.id;
        h->qos[h->count++] = p.qos;
    }
    char *at = h->text + h->text_bytes;
    size_t left = sizeof h->text - h->text_bytes;
    int n = snprintf(at, left, "%s%.*s", h->text_bytes > 0 ? " " : "",
                     p.payload.len > 8 ? 8 : (int)p.payload.len, (const char *)p.payload.at);
    CHECK_TRUE(n > 0 && (size_t)n + 8 < left);
    char *end = at + n;
    if (p.qos > 0) *end++ = (char)('0' + p.qos);
    if (p.dup) *end++ = 'd';
    if (p.retain) *end++ = 'r';
    if (PROPS_HAS(&p.props, subscription_id)) {
        *end++ = '#';
        *end++ = (char)('0' + p.props.subscription_id);
    }
    *end = '\0';
    h->text_bytes += (size_t)(end - at);
}

static void hear_end(struct heard *h, const struct frame *f)
{
    struct session_end e;
    CHECK_INT(MQTT_RC_OK, session_end_decode(f, h->version, &e));
    h->text_bytes += (size_t)snprintf(h->text + h->text_bytes, sizeof h->text - h->text_bytes, "%s!%x",
                                      h->text_bytes > 0 ? " " : "", e.code);
}

static void got(unsigned link, struct bytes b)
{
    struct heard *h = &heard[link];
    CHECK_TRUE(b.len <= sizeof h->in - h->in_bytes);
    memcpy(h->in + h->in_bytes, b.at, b.len);
    h->in_bytes += b.len;
    size_t done = 0;
    struct frame f;
    while (done < h->in_bytes) {
        CHECK_INT(MQTT_RC_OK, frame_split(bytes_of(h->in + done, h->in_bytes - done), PACKET_BYTES_MAX, &f));
        if (f.total == 0) break;
        if (f.type == PACKET_PUBLISH) hear_publish(h, &f);
        if (f.type == PACKET_PUBREL) h->releases++;
        if (f.type == PACKET_DISCONNECT) hear_end(h, &f);
        done += f.total;
    }
    h->in_bytes -= done;
    memmove(h->in, h->in + done, h->in_bytes);
}

static void nothing(unsigned link)
{
    (void)link;
}

const char *reads_heard(unsigned link)
{
    struct heard *h = &heard[link];
    memcpy(h->said, h->text, h->text_bytes);
    h->said[h->text_bytes] = '\0';
    h->text_bytes = 0;
    return h->said;
}

uint16_t reads_id(unsigned link, unsigned which)
{
    CHECK_TRUE(which < heard[link].count);
    return heard[link].ids[which];
}

unsigned reads_releases(unsigned link)
{
    return heard[link].releases;
}

/* --- what clients say */

static uint8_t packet[PACKET_BYTES];

static struct wr begin_packet(void)
{
    return (struct wr){ .at = packet, .left = sizeof packet };
}

static void send(unsigned link, const struct wr *w)
{
    CHECK_TRUE(!w->bad);
    CHECK_TRUE(rig_send(link, bytes_of(packet, (size_t)(w->at - packet))));
    rig_settle();
}

unsigned reads_connect_as(const struct connect *c)
{
    int link = rig_open(0);
    CHECK_TRUE(link >= 0);
    memset(&heard[link], 0, sizeof heard[link]);
    heard[link].version = c->version;
    struct wr w = begin_packet();
    connect_encode(&w, c);
    send((unsigned)link, &w);
    return (unsigned)link;
}

unsigned reads_connect(const char *who, uint16_t window)
{
    bool clean = who[2] == '-';
    struct connect c = { .version = (uint8_t)(who[0] - '0'),
                         .clean_start = clean,
                         .client_id = bytes_of_text(who + 2 + clean) };
    if (!clean && c.version == MQTT_V5) PROPS_SET(&c.props, session_expiry, 1000);
    if (window > 0) PROPS_SET(&c.props, receive_max, window);
    return reads_connect_as(&c);
}

void reads_subscribe(unsigned link, const char *filter, uint8_t qos)
{
    struct subscribe_filter f = { .filter = bytes_of_text(filter), .qos = qos };
    struct wr w = begin_packet();
    subscribe_encode(&w, heard[link].version, 1, &f, 1);
    send(link, &w);
}

void reads_subscribe_as(unsigned link, const char *filter, uint8_t id)
{
    struct bytes f = bytes_of_text(filter);
    const uint8_t head[] = { 0x82, (uint8_t)(8 + f.len), 0, 1, 2, 0x0B, id, 0, (uint8_t)f.len };
    struct wr w = begin_packet();
    wr_bytes(&w, bytes_of(head, sizeof head));
    wr_bytes(&w, f);
    wr_bytes(&w, bytes_of("", 1));
    send(link, &w);
}

static void publish(unsigned link, const struct publish *p)
{
    struct wr w = begin_packet();
    publish_encode(&w, heard[link].version, p);
    send(link, &w);
}

void reads_publish(unsigned link, const char *topic, const char *payload, uint8_t qos)
{
    static uint16_t id;
    struct publish p = { .topic = bytes_of_text(topic), .payload = bytes_of_text(payload), .qos = qos };
    if (qos > 0) p.id = id = id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
    publish(link, &p);
    if (qos == 2) reads_ack(link, PACKET_PUBREL, p.id);
}

void reads_retain(unsigned link, const char *topic, const char *payload)
{
    struct publish p = { .topic = bytes_of_text(topic), .payload = bytes_of_text(payload), .retain = true };
    publish(link, &p);
}

void reads_ack(unsigned link, enum packet_type type, uint16_t id)
{
    struct ack a = { .id = id };
    struct wr w = begin_packet();
    ack_encode(&w, heard[link].version, type, &a);
    send(link, &w);
}

unsigned reads_ack_all(unsigned link)
{
    struct heard *h = &heard[link];
    unsigned before = h->acked;
    while (h->acked < h->count) {
        uint16_t id = h->ids[h->acked];
        if (h->qos[h->acked++] == 1) {
            reads_ack(link, PACKET_PUBACK, id);
            continue;
        }
        reads_ack(link, PACKET_PUBREC, id);
        reads_ack(link, PACKET_PUBCOMP, id);
    }
    return h->acked - before;
}

/* --- birth and end */

static void options(struct config *c, void *ctx)
{
    c->sys_interval = 0;
    c->acl_cache_seconds = *(uint32_t *)ctx;
    c->default_listener.security.allow_anonymous = true;
}

void reads_begin(unsigned shards, uint32_t acl_cache_seconds)
{
    reads_host =
        (struct reads_host){ .hooks = { .ops = &ops }, .wants = HOOK_EVENT_ACL, .write = HOOK_ALLOW };
    ref_init(&reads_host.hooks.ref, 1);
    struct rig_conf conf = { .shards = shards,
                             .ears = { got, nothing, nothing },
                             .options = options,
                             .ctx = &acl_cache_seconds,
                             .hooks = &reads_host.hooks };
    rig_begin(&conf);
}

void reads_end(void)
{
    for (unsigned i = 0; i < RIG_LINKS; i++)
        if (rig_is_open(i)) rig_break(i);
    rig_settle();
    reads_answer_all(reads_allow);
    rig_end();
}
