/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_int.h"

#include <errno.h>
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
    c->state = CONN_READY;
    w->connecting--;
    w->clients_ready++;
    w->last_ready_ns = w->now_ns;
    if (bench_only_connects(&w->bench->conf)) hist_add(&w->hist, w->now_ns - c->opened_ns);
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

static void on_connack(struct worker *w, struct conn *c, const struct frame *f)
{
    const struct bench *b = w->bench;
    struct connack ack;
    enum mqtt_rc rc = connack_decode(f->body, b->version, &ack);
    if (rc != MQTT_RC_OK || c->state != CONN_GREETING) {
        worker_fail(w, c, "the broker sent a CONNACK that is malformed or out of place");
        return;
    }
    if (ack.code != 0) {
        worker_fail(w, c, "the broker refused the connection: %s (code 0x%02x); see its log and --username",
                    connack_words(b->version, ack.code), ack.code);
        return;
    }
    if (PROPS_HAS(&ack.props, server_keepalive)) c->keepalive_s = ack.props.server_keepalive;
    if (c->is_publisher && PROPS_HAS(&ack.props, receive_max))
        publisher_of(w, c)->flow.unacked_max = ack.props.receive_max;
    if (w->phase == PHASE_RETURN && !ack.session_present) w->counts.sessions_lost++;
    bool subscribes = !bench_only_connects(&b->conf) || b->conf.subscribe != 0;
    if (w->phase == PHASE_SUBSCRIBE && subscribes)
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

static void on_puback(struct worker *w, struct conn *c, const struct frame *f)
{
    struct ack ack;
    uint64_t since_ns;
    enum mqtt_rc rc = ack_decode(f, w->bench->version, &ack);
    if (rc != MQTT_RC_OK || !c->is_publisher || !flow_ack(&publisher_of(w, c)->flow, ack.id, &since_ns)) {
        worker_fail(w, c, "the broker sent a PUBACK that is malformed or that nothing waits for");
        return;
    }
    w->counts.acked++;
    take_latency(w, &w->pubacks, since_ns);
    if (ack.code >= SUBACK_FAILED) w->counts.refused++;
    if (w->publishing) send_list(w, publisher_of(w, c));
}

/* Message seq is here for the first time; `skipped` before it are given up by the window, not yet by the
 * count. */
static void take_delivery(struct worker *w, const struct payload_head *head, uint64_t skipped)
{
    w->counts.delivered++;
    if (!w->bench->plan.counts_delivery) return;
    send_credit(w, head->stream, head->seq - skipped, skipped + 1);
    take_latency(w, &w->hist, head->intended_ns);
}

static void acknowledge(struct worker *w, struct conn *c, uint16_t id)
{
    uint8_t *at = conn_reserve(c, 4);
    at[0] = PACKET_PUBACK << 4;
    at[1] = 2; /* without reason and properties: success in both versions */
    at[2] = (uint8_t)(id >> 8);
    at[3] = (uint8_t)id;
    send_flush_later(w, c);
}

/* The tracker of the message's stream; NULL when it is not one that this subscriber is to get in this run. */
static struct track *track_of(struct worker *w, struct conn *c, struct bytes payload,
                              struct payload_head *head)
{
    const struct bench *b = w->bench;
    if (payload.len < sizeof *head || c->is_publisher) return NULL;
    memcpy(head, payload.at, sizeof *head);
    if (head->run != b->run || head->stream >= b->plan.streams) return NULL;
    if (b->plan.shared_topic) return &subscriber_of(w, c)->tracks[head->stream];
    return head->stream == c->index ? &subscriber_of(w, c)->tracks[0] : NULL;
}

static void on_publish(struct worker *w, struct conn *c, const struct frame *f)
{
    struct publish p;
    struct payload_head head;
    uint64_t skipped;
    if (publish_decode(f, w->bench->version, &p) != MQTT_RC_OK) {
        worker_fail(w, c, "the broker sent a malformed PUBLISH");
        return;
    }
    if (p.qos == 1) acknowledge(w, c, p.id);
    struct track *track = track_of(w, c, p.payload, &head);
    if (track == NULL) {
        w->counts.foreign++;
        return;
    }
    switch (track_see(track, head.seq, &skipped)) {
    case TRACK_NEXT:
    case TRACK_AHEAD: take_delivery(w, &head, skipped); break;
    case TRACK_LATE: w->counts.delivered++; break; /* the window gave it up before */
    case TRACK_REPEAT: break;
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
    case PACKET_PUBACK: on_puback(w, c, f); break;
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
        if (c->fd < 0) return;
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
    } else if (rc != ERR_AGAIN) {
        worker_fail(w, c, "the broker closed the connection (%s); see its log",
                    rc == ERR_CLOSED ? "without a word" : strerror(errno));
    }
}

void input_event(struct worker *w, struct conn *c, uint32_t events)
{
    if (c->fd < 0) return; /* closed by an event before this one */
    if ((events & EPOLLOUT) != 0 && c->write_blocked) {
        if (!send_flush(w, c)) return;
        if (c->is_publisher && w->publishing) send_list(w, publisher_of(w, c));
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable(w, c);
}
