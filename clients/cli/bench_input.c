/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_int.h"

#include <inttypes.h>
#include <sys/epoll.h>

#include "base/check.h"

enum { PACKET_BYTES_MAX = 268435455 + 5, SUBACK_FAILED = 0x80 };

static struct subscriber *subscriber_of(struct worker *w, const struct conn *c)
{
    return &w->bench->subscribers[c->index];
}

static struct publisher *publisher_of(struct worker *w, const struct conn *c)
{
    return &w->bench->publishers[c->index];
}

static void client_is_ready(struct worker *w, struct conn *c)
{
    bool returns = w->publishing && !c->is_publisher;
    c->state = CONN_READY;
    c->retries = false;
    c->ready_ns = w->now_ns;
    w->connecting--;
    w->clients_ready++;
    w->last_ready_ns = w->now_ns;
    if (returns) w->counts.returns++;
    if (returns || bench_only_connects(&w->bench->conf)) hist_add(&w->connects, w->now_ns - c->opened_ns);
    if (c->is_publisher) send_list(w, publisher_of(w, c));
}

static const char *connack_words(uint8_t version, uint8_t code)
{
    static const char *const v3[] = {
        "accepted",           "unacceptable protocol version", "client id rejected",
        "server unavailable", "bad user name or password",     "not authorized"
    };
    if (version == MQTT_V5) return mqtt_rc_text(code);
    return code < sizeof v3 / sizeof v3[0] ? v3[code] : "unknown return code";
}

/* A refusal that says: not now. */
static bool wants_later(uint8_t version, uint8_t code)
{
    if (version != MQTT_V5) return code == 3;
    return code == MQTT_RC_SERVER_UNAVAILABLE || code == MQTT_RC_SERVER_BUSY ||
           code == MQTT_RC_QUOTA_EXCEEDED || code == MQTT_RC_CONNECTION_RATE_EXCEEDED;
}

static void on_connack(struct worker *w, struct conn *c, const struct frame *f)
{
    const struct bench *b = w->bench;
    struct connack ack;
    enum mqtt_rc rc = connack_decode(f->body, b->version, &ack);
    if (rc != MQTT_RC_OK || c->state != CONN_GREETING) {
        worker_fail(w, c, "the broker sent a CONNACK that is malformed or out of place");
        return;
    }
    if (wants_later(b->version, ack.code) && retry_later(w, c)) return;
    if (ack.code != 0) {
        worker_fail(w, c, "the broker refused the connection: %s (code 0x%02x); see its log and --username",
                    connack_words(b->version, ack.code), ack.code);
        return;
    }
    if (PROPS_HAS(&ack.props, server_keepalive)) c->keepalive_s = ack.props.server_keepalive;
    if (c->is_publisher && PROPS_HAS(&ack.props, receive_max))
        publisher_of(w, c)->flow.unacked_max = ack.props.receive_max;
    if (c->resumes && !ack.session_present) w->counts.sessions_lost++;
    bool later = b->plan.retains || (bench_only_connects(&b->conf) && b->conf.subscribe == 0);
    if (w->phase == PHASE_SUBSCRIBE && !later)
        client_subscribe(w, c);
    else
        client_is_ready(w, c);
}

static void on_suback(struct worker *w, struct conn *c, const struct frame *f)
{
    struct suback ack;
    enum mqtt_rc rc = suback_decode(f, w->bench->version, &ack);
    if (rc != MQTT_RC_OK || c->state != CONN_SUBSCRIBING || ack.codes.len != 1)
        worker_fail(w, c, "the broker sent a SUBACK that is malformed or out of place");
    else if (ack.codes.at[0] >= SUBACK_FAILED)
        worker_fail(w, c,
                    "the broker refused the subscription (code 0x%02x); may this user read longlink-bench/#?",
                    ack.codes.at[0]);
    else
        client_is_ready(w, c);
}

/* What was to be sent at since_ns, within the measured time, is here now. */
static void take_latency(const struct worker *w, struct hist *h, uint64_t since_ns)
{
    if (since_ns < w->measure_from_ns || since_ns >= w->measure_to_ns) return;
    hist_add(h, w->now_ns > since_ns ? w->now_ns - since_ns : 0);
}

/* PUBACK and PUBCOMP: the last word about a message. */
static void on_last_ack(struct worker *w, struct conn *c, const struct frame *f)
{
    struct ack ack;
    uint64_t since_ns;
    bool fits = c->is_publisher && (f->type == PACKET_PUBACK) == (w->bench->conf.qos == 1);
    if (!fits || ack_decode(f, w->bench->version, &ack) != MQTT_RC_OK ||
        !flow_ack(&publisher_of(w, c)->flow, ack.id, &since_ns)) {
        worker_fail(w, c, "the broker sent a %s that is malformed or that nothing waits for",
                    packet_name(f->type));
        return;
    }
    w->counts.acked++;
    take_latency(w, &w->pubacks, since_ns);
    if (ack.code >= SUBACK_FAILED) w->counts.refused++;
    if (w->publishing) send_list(w, publisher_of(w, c));
}

/* Success, in both versions: without reason and properties. */
static void say_ack(struct worker *w, struct conn *c, enum packet_type type, uint16_t id)
{
    if (c->state == CONN_LEAVING) return; /* the last word is said: it will come again */
    uint8_t *at = conn_reserve(c, 4);
    at[0] = (uint8_t)(type << 4 | (type == PACKET_PUBREL ? 2 : 0));
    at[1] = 2;
    at[2] = (uint8_t)(id >> 8);
    at[3] = (uint8_t)id;
    send_flush_later(w, c);
}

static void on_pubrec(struct worker *w, struct conn *c, const struct frame *f)
{
    struct ack ack;
    uint64_t since_ns;
    if (!c->is_publisher || ack_decode(f, w->bench->version, &ack) != MQTT_RC_OK ||
        !flow_receive(&publisher_of(w, c)->flow, ack.id)) {
        worker_fail(w, c, "the broker sent a PUBREC that is malformed or that nothing waits for");
        return;
    }
    if (ack.code < SUBACK_FAILED) {
        say_ack(w, c, PACKET_PUBREL, ack.id);
        return;
    }
    w->counts.refused++; /* this was the last word */
    flow_ack(&publisher_of(w, c)->flow, ack.id, &since_ns);
    if (w->publishing) send_list(w, publisher_of(w, c));
}

/* Sets a bit. True when it was not set. */
static bool bit_set(uint64_t *bits, uint32_t n)
{
    uint64_t bit = UINT64_C(1) << (n & 63);
    bool is_new = (bits[n >> 6] & bit) == 0;
    bits[n >> 6] |= bit;
    return is_new;
}

static void on_pubrel(struct worker *w, struct conn *c, const struct frame *f)
{
    struct ack ack;
    if (c->is_publisher || ack_decode(f, w->bench->version, &ack) != MQTT_RC_OK) {
        worker_fail(w, c, "the broker sent a PUBREL that is malformed or out of place");
        return;
    }
    uint64_t *open_ids = subscriber_of(w, c)->open_ids;
    if (open_ids != NULL) open_ids[ack.id >> 6] &= ~(UINT64_C(1) << (ack.id & 63));
    say_ack(w, c, PACKET_PUBCOMP, ack.id);
}

/* Acknowledges. False: of QoS 2, and here already. */
static bool acknowledge(struct worker *w, struct conn *c, const struct publish *p)
{
    uint64_t *open_ids = subscriber_of(w, c)->open_ids;
    if (p->qos == 0) return true;
    say_ack(w, c, p->qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, p->id);
    return p->qos == 1 || open_ids == NULL || bit_set(open_ids, p->id);
}

/* Message seq is here for the first time; `skipped` before it are given up by the window, not yet by the
 * count. */
static void take_delivery(struct worker *w, const struct conn *c, const struct payload_head *head,
                          uint64_t skipped)
{
    const struct bench_plan *plan = &w->bench->plan;
    w->counts.delivered++;
    if (plan->counts_delivery) send_credit(w, head->stream, head->seq - skipped, skipped + 1);
    /* What a client has missed was as late as the client. */
    if (plan->measures_latency && head->intended_ns >= c->ready_ns)
        take_latency(w, &w->hist, head->intended_ns);
}

/* One of a group, or a retained one. */
static void take_special(struct worker *w, struct conn *c, const struct payload_head *head)
{
    struct subscriber *s = subscriber_of(w, c);
    if (w->bench->plan.group) {
        struct track *order = &s->tracks[head->stream];
        if (head->seq + 1 < order->next) order->late++;
        if (head->seq >= order->next) order->next = head->seq + 1;
        s->got++;
        send_credit(w, head->stream, head->seq, 1);
        take_latency(w, &w->hist, head->intended_ns);
        return;
    }
    if (!bit_set(s->seen, head->stream)) {
        s->tracks[0].repeats++;
        return;
    }
    w->counts.delivered++;
    if (++s->got == w->bench->plan.streams) hist_add(&w->hist, w->now_ns - c->opened_ns);
}

/* Whose message is it? False when it is not one that this subscriber is to get in this run. */
static bool head_of(const struct worker *w, const struct conn *c, struct bytes payload,
                    struct payload_head *head)
{
    const struct bench *b = w->bench;
    if (payload.len < sizeof *head) return false;
    memcpy(head, payload.at, sizeof *head);
    if (head->run != b->run || head->stream >= b->plan.streams) return false;
    return b->plan.shared_topic || b->plan.retains || head->stream == c->index;
}

/* What of a PUBLISH is looked at; whether its text is good is not asked a million times a second. */
static bool message_of(const struct frame *f, uint8_t version, struct publish *out)
{
    struct rd r = { f->body.at, f->body.len, false };
    out->qos = f->flags >> 1 & 3;
    out->dup = (f->flags & 8) != 0;
    rd_str(&r);
    out->id = out->qos > 0 ? rd_u16(&r) : 0;
    if (version == MQTT_V5) rd_take(&r, rd_varint(&r));
    out->payload = bytes_of(r.at, r.left);
    return !r.bad && out->qos < 3 && (out->qos == 0 || out->id != 0);
}

static void on_publish(struct worker *w, struct conn *c, const struct frame *f)
{
    const struct bench_plan *plan = &w->bench->plan;
    struct publish p;
    struct payload_head head;
    uint64_t skipped;
    if (!message_of(f, w->bench->version, &p) || c->is_publisher) {
        worker_fail(w, c, "the broker sent a PUBLISH that is malformed or out of place");
        return;
    }
    if (!acknowledge(w, c, &p)) {
        w->counts.redelivered++;
        return;
    }
    if (!head_of(w, c, p.payload, &head)) {
        w->counts.foreign++;
        return;
    }
    if (plan->group || plan->retains) {
        take_special(w, c, &head);
        return;
    }
    struct track *track = &subscriber_of(w, c)->tracks[plan->shared_topic ? head.stream : 0];
    switch (track_see(track, head.seq, &skipped)) {
    case TRACK_NEXT:
    case TRACK_AHEAD: take_delivery(w, c, &head, skipped); break;
    case TRACK_LATE: w->counts.delivered++; break; /* the window gave it up before */
    case TRACK_REPEAT:
        if (!p.dup || !c->resumes || w->bench->conf.scenario != BENCH_FLEET) break;
        track->repeats--; /* our acknowledgement may not have come */
        w->counts.redelivered++;
        break;
    }
}

static void on_disconnect(struct worker *w, struct conn *c, const struct frame *f)
{
    struct session_end end;
    if (session_end_decode(f, w->bench->version, &end) == MQTT_RC_OK)
        worker_fail(w, c, "the broker said DISCONNECT: %s (0x%02x)", mqtt_rc_text(end.code), end.code);
    else
        worker_fail(w, c, "the broker sent a malformed DISCONNECT");
}

static void on_packet(struct worker *w, struct conn *c, const struct frame *f)
{
    switch (f->type) {
    case PACKET_PUBLISH: on_publish(w, c, f); break;
    case PACKET_PUBACK:
    case PACKET_PUBCOMP: on_last_ack(w, c, f); break;
    case PACKET_PUBREC: on_pubrec(w, c, f); break;
    case PACKET_PUBREL: on_pubrel(w, c, f); break;
    case PACKET_CONNACK: on_connack(w, c, f); break;
    case PACKET_SUBACK: on_suback(w, c, f); break;
    case PACKET_PINGRESP: break;
    case PACKET_DISCONNECT: on_disconnect(w, c, f); break;
    default: worker_fail(w, c, "the broker sent %s, which no client is to get", packet_name(f->type)); break;
    }
}

static void on_packets(struct worker *w, struct conn *c, struct bytes in)
{
    struct frame f;
    while (in.len > 0) {
        if (frame_split(in, PACKET_BYTES_MAX, &f) != MQTT_RC_OK) {
            worker_fail(w, c, "the broker sent bytes that are no MQTT packet");
            return;
        }
        if (f.total == 0) break;
        on_packet(w, c, &f);
        if (c->wire.fd < 0) return;
        in = bytes_of(in.at + f.total, in.len - f.total);
    }
    conn_keep(c, in);
}

static void on_readable(struct worker *w, struct conn *c)
{
    struct bytes in;
    enum err rc = conn_read(c, w->scratch, w->scratch_bytes, &in);
    w->now_ns = bench_now_ns();
    if (rc == ERR_OK) {
        w->progress_ns = w->now_ns;
        on_packets(w, c, in);
    } else if (rc == ERR_CLOSED && c->state == CONN_LEAVING) {
        conn_close(c);
        w->clients_ready--;
        w->last_ready_ns = w->now_ns;
        w->progress_ns = w->now_ns;
    } else if (rc != ERR_AGAIN && (c->state != CONN_GREETING || !retry_later(w, c))) {
        worker_fail(w, c, "the broker closed the connection (%s); see its log",
                    rc == ERR_CLOSED ? "without a word" : bench_wire_problem());
    }
}

void input_event(struct worker *w, struct conn *c, uint32_t events)
{
    if (c->wire.fd < 0) return;                          /* closed by an event before this one */
    bool shakes = c->wire.tls != NULL && c->out.len > 0; /* a write may have waited for what is read now */
    if (((events & EPOLLOUT) != 0 && c->write_blocked) || shakes) {
        if (!send_flush(w, c)) return;
        if (c->is_publisher && w->publishing) send_list(w, publisher_of(w, c));
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable(w, c);
    if (shakes && c->wire.fd >= 0 && c->out.len > 0) send_flush_later(w, c);
}
