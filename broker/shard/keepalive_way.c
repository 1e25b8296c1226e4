/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/keepalive_way.h"
#include "net/address.h"
#include "shard/conn_seldom.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/* Who a connection is for the learner, what it begins with, and how it ends. */

enum { PREFIXES_MAX = 16384 };

static int64_t now_s(const struct shard *sh)
{
    return (int64_t)(sh->now_ms / 1000);
}

/* --- the shard's */

static struct ka_conf conf_of(const struct config *config)
{
    struct ka_conf c = ka_conf_default;
    uint32_t third = config->keepalive_step / 3 > 0 ? config->keepalive_step / 3 : 1;
    uint32_t most = config->max_keepalive > 0 && config->max_keepalive < config->keepalive_max
                        ? config->max_keepalive
                        : config->keepalive_max;
    c.min_s = (uint16_t)(config->keepalive_min < most ? config->keepalive_min : most);
    c.max_s = (uint16_t)most;
    c.start_s = (uint16_t)config->keepalive_start;
    c.step_s = (uint16_t)config->keepalive_step;
    c.fine_s = c.margin_s = (uint16_t)third;
    return c;
}

enum err ways_open(struct shard *sh)
{
    uint32_t each = sh->config->keepalive_clients / sh->all->count;
    struct keepalive_conf conf = { .learn = conf_of(sh->config),
                                   .entries_max = each > 0 ? each : 1,
                                   .prefixes_max = PREFIXES_MAX };
    return keepalive_new(&sh->ways.learner, &conf, now_s(sh));
}

void ways_fini(struct shard *sh)
{
    keepalive_free(&sh->ways.learner);
    pushes_fini(&sh->ways);
    due_fini(&sh->ways.probes);
}

void ways_reload(struct shard *sh)
{
    struct ka_conf conf = conf_of(sh->config);
    keepalive_reload(sh->ways.learner, &conf);
}

/* --- a connection's */

struct way *way_of(const struct conn *c)
{
    return c->seldom->way;
}

struct way *way_make(struct conn *c)
{
    struct conn_seldom *s = conn_seldom(c);
    if (s == NULL || s->way != NULL) return s == NULL ? NULL : s->way;
    s->way = calloc(1, sizeof *s->way);
    if (s->way == NULL) conn_seldom_tidy(c);
    return c->seldom->way;
}

void way_drop(struct shard *sh, struct conn *c)
{
    struct way *w = way_of(c);
    if (w == NULL) return;
    if (w->is_lent) sh->ways.lent--;
    if (w->probe_s > 0) {
        sh->ways.probed--;
        metrics_sub(sh->metrics, METRIC_keepalive_probed, 1);
    }
    conn_seldom(c)->way = NULL;
    free(w);
    conn_seldom_tidy(c);
}

/* A PROXY header names the client, but TCP is the proxy's; so it is, perhaps, below a WebSocket that is not
 * in a TLS of ours. */
bool way_is_own(const struct shard *sh, const struct conn *c)
{
    const struct config_listener *l = conn_door(sh, c);
    bool may_be_proxied = l->protocol == CONFIG_PROTOCOL_WEBSOCKETS && l->certfile[0] == '\0';
    return l->path[0] == '\0' && l->enable_proxy_protocol == CONFIG_PROXY_OFF && !may_be_proxied;
}

bool way_facts(const struct conn *c, struct transport_facts *out)
{
    *out = (struct transport_facts){ 0 };
    return c->transport.ops->facts != NULL && c->transport.ops->facts(&c->transport, out);
}

static struct bytes user_property(const struct connect *p, const char *name)
{
    struct bytes at = p->version == MQTT_V5 ? p->props.block : bytes_of(NULL, 0), key, value;
    while (props_next_user(&at, &key, &value))
        if (bytes_equal(key, bytes_of_text(name))) return value;
    return bytes_of(NULL, 0);
}

static struct ka_net net_of(const struct conn *c, struct bytes name)
{
    struct net_address from;
    transport_address(&c->transport, &from);
    size_t bytes = from.kind == ADDRESS_V4 ? 4 : from.kind == ADDRESS_V6 ? 16 : 0;
    return ka_net_of(bytes_of(from.bytes, bytes), 0, name);
}

/* It is of this machine, or nobody knows. */
static bool is_nowhere(const struct ka_net *net)
{
    return net->prefix[0] == 0;
}

struct ka_who way_who(struct shard *sh, const struct conn *c)
{
    const struct way *w = way_of(c);
    if (w != NULL) return w->who;
    return (struct ka_who){ .client = client_hash(sh, c->session),
                            .net = net_of(c, bytes_of(NULL, 0)),
                            .asked_s = c->keepalive_s,
                            .mode = KA_CAP };
}

/* --- the beginning */

static bool may_raise(const struct shard *sh, const struct conn *c, const struct connect *p)
{
    if (conn_door(sh, c)->keepalive_raise == CONFIG_RAISE_ALL) return true;
    return bytes_equal(user_property(p, "ll-keepalive"), bytes_of_text("learn"));
}

static enum ka_mode mode_of(const struct shard *sh, const struct conn *c, const struct connect *p)
{
    conf_word word = conn_door(sh, c)->keepalive_mode;
    bool is_local = conn_door(sh, c)->path[0] != '\0';
    if (word == CONFIG_KEEPALIVE_OFF || c->keepalive_s == 0 || is_local) return KA_OFF;
    if (c->version != MQTT_V5)
        return word == CONFIG_KEEPALIVE_LEARN && way_may_probe(sh, c) ? KA_PROBE : KA_OFF;
    return word == CONFIG_KEEPALIVE_LEARN && may_raise(sh, c, p) ? KA_LEARN : KA_CAP;
}

bool way_may_tell(const struct shard *sh, const struct conn *c)
{
    return c->version == MQTT_V5 && conn_door(sh, c)->keepalive_mode != CONFIG_KEEPALIVE_OFF;
}

/* While a limit is looked for: the client's own packets come some time after the interval under trial, which
 * the kernel's probes have, so that it can grow without a new connection, and a way that is lost is noticed
 * soon. */
static uint16_t told_for_trial(const struct shard *sh, const struct conn *c, const struct ka_who *who,
                               uint16_t k_s)
{
    const struct ka_entry *e = keepalive_first(sh->ways.learner, who->client);
    while (e != NULL && e->net != who->net.key) e = e->next;
    bool tries = e != NULL && e->state.phase != KA_REST && way_may_probe(sh, c);
    uint32_t most = sh->config->max_keepalive > 0 ? sh->config->max_keepalive : UINT16_MAX;
    uint32_t told_s = (uint32_t)k_s + sh->config->keepalive_step + sh->config->keepalive_step / 2;
    if (!tries || k_s >= sh->config->keepalive_max) return k_s;
    return (uint16_t)(told_s < most ? told_s : most);
}

static uint16_t told(const struct shard *sh, const struct conn *c, const struct ka_who *who, uint16_t k_s)
{
    if (who->mode == KA_PROBE) return who->asked_s;
    return who->mode == KA_LEARN ? told_for_trial(sh, c, who, k_s) : k_s;
}

/* What it has from now on. False: no memory, and it has what it asked for. */
static bool begin(struct shard *sh, struct conn *c, const struct ka_who *who, uint16_t k_s)
{
    struct way *w = way_make(c);
    if (w == NULL) return false;
    w->who = *who;
    c->keepalive_s = told(sh, c, who, k_s);
    if (k_s < c->keepalive_s && !way_probe(sh, c, w, k_s)) {
        if (who->mode == KA_PROBE) return false;
        c->keepalive_s = k_s;
    }
    return true;
}

void way_connected(struct shard *sh, struct conn *c, const struct connect *p)
{
    struct bytes name = user_property(p, "net");
    struct ka_who who = { .client = client_hash(sh, c->session),
                          .asked_s = c->keepalive_s,
                          .mode = (uint8_t)mode_of(sh, c, p) };
    if (who.mode == KA_OFF) return;
    ways_remember(sh, who.client);
    bool is_unknown = keepalive_first(sh->ways.learner, who.client) == NULL;
    if (who.mode != KA_CAP || !is_unknown || name.len > 0) {
        who.net = net_of(c, name);
        if (is_nowhere(&who.net)) return;
    }
    uint16_t k_s = keepalive_connected(sh->ways.learner, &who, now_s(sh));
    ways_note(sh);
    c->is_way = true;
    bool is_plain = who.mode == KA_CAP && k_s == who.asked_s && name.len == 0;
    if (is_plain || begin(sh, c, &who, k_s)) return;
    way_ended(sh, c, KA_END_OURS);
}

uint16_t way_found(const struct shard *sh, uint64_t client)
{
    const struct ka_entry *last = keepalive_first(sh->ways.learner, client);
    for (const struct ka_entry *e = last; e != NULL; e = e->next)
        if (e->used_at_s > last->used_at_s) last = e;
    return last == NULL ? 0 : keepalive_settled(sh->ways.learner, last);
}

/* --- signs of life */

/* PINGREQs that its own interval would have cost since its last packet, whoever else kept the way open. */
static void count_saved(struct shard *sh, const struct conn *c, const struct way *w, uint64_t silent_ms)
{
    uint64_t asked_ms = (uint64_t)w->who.asked_s * 1000;
    bool is_longer = w->who.mode == KA_LEARN && c->keepalive_s > w->who.asked_s;
    if (!is_longer || asked_ms == 0 || silent_ms <= asked_ms) return;
    metrics_add(sh->metrics, METRIC_keepalive_pings_saved_total, (silent_ms - 1) / asked_ms);
}

/* What the learner would grant now is in force at once where the kernel's probes are. The client's own
 * packets are a bound for them. */
static void grow(struct shard *sh, struct conn *c, struct way *w, uint16_t k_s)
{
    if (w == NULL || w->probe_s == 0 || k_s == w->probe_s || k_s > c->keepalive_s) return;
    if (k_s == c->keepalive_s && w->who.mode != KA_PROBE) return;
    keepalive_renew(sh->ways.learner, &w->who);
    way_probe(sh, c, w, k_s < c->keepalive_s ? k_s : 0);
}

void way_sign(struct shard *sh, struct conn *c, enum ka_sign sign, uint64_t gap_ms)
{
    uint64_t gap_s = gap_ms / 1000;
    if (gap_s < keepalive_gap_min_s(sh->ways.learner)) return;
    struct ka_who who = way_who(sh, c);
    if (is_nowhere(&who.net)) return;
    uint32_t gap = gap_s < UINT32_MAX ? (uint32_t)gap_s : UINT32_MAX;
    uint16_t k_s = keepalive_heard(sh->ways.learner, &who, sign, gap, now_s(sh));
    ways_note(sh);
    grow(sh, c, way_of(c), k_s);
}

/* Since the last sign of life: what was sent meanwhile, or a probe, has kept the way open. Where that is not
 * known it is no evidence. */
void way_heard(struct shard *sh, struct conn *c, uint64_t silent_ms)
{
    struct way *w = way_of(c);
    struct transport_facts f;
    uint64_t gap_ms = silent_ms;
    if (w != NULL) count_saved(sh, c, w, silent_ms);
    if (w != NULL && w->ack_ms > c->seen_ms) gap_ms = sh->now_ms - w->ack_ms;
    if (c->is_spoiled || c->is_pushed) {
        if (!way_facts(c, &f)) return;
        if (f.sent_ms < gap_ms) gap_ms = f.sent_ms;
    }
    bool is_probed = w != NULL && w->probe_s > 0;
    enum ka_sign sign = is_probed && w->is_late ? KA_SIGN_LATE : KA_SIGN_PACKET;
    if (is_probed) w->is_late = false;
    if (is_probed && gap_ms > (uint64_t)w->probe_s * 1000 + 1000 && sign == KA_SIGN_PACKET) return;
    way_sign(sh, c, sign, gap_ms);
}

/* --- the end */

enum { AT_ONCE_MS = 5000 };

/* What had been sent and was not answered. */
static void note_unanswered(const struct shard *sh, const struct conn *c, const struct transport_facts *f,
                            struct ka_end *end)
{
    const struct way *w = way_of(c);
    uint64_t last_ms = w != NULL && w->ack_ms > c->seen_ms ? w->ack_ms : c->seen_ms;
    bool is_open = f->is_over || f->unanswered_bytes > 0;
    if (w == NULL) return;
    if (c->is_pushed && w->push_gap_s > 0 && is_open) {
        end->has_unacked = true;
        end->sent_gap_s = w->push_gap_s;
        end->sent_ago_ms = (uint32_t)(sh->now_ms - w->push_ms);
        return;
    }
    uint64_t probe_ms = last_ms + (uint64_t)w->probe_s * 1000;
    bool is_probed = w->probe_s > 0 && probe_ms <= sh->now_ms && (f->probes > 0 || f->is_over);
    if (!is_probed) return;
    end->has_unacked = true;
    end->sent_gap_s = w->probe_s;
    end->sent_ago_ms = (uint32_t)(sh->now_ms - probe_ms);
}

/* Does the learner know more of its client than that there is a connection? Of the others it is not asked
 * where they are, which is a call of the system. */
static bool is_met(const struct shard *sh, const struct conn *c)
{
    return way_of(c) != NULL || keepalive_first(sh->ways.learner, client_hash(sh, c->session)) != NULL;
}

/* A silent one is told the end, and lingers: it may yet show that its way is there. */
static void wait_for_close(struct conn *c, const struct ka_who *who)
{
    struct way *w = way_make(c);
    if (w == NULL) return;
    w->who = *who;
    w->is_silent = true;
}

/* It is closed now, and not by us. A reset that nobody's acknowledgement came before may be anybody's. */
static void note_close(struct shard *sh, struct conn *c)
{
    struct way *w = way_of(c);
    struct transport_facts f;
    if (w == NULL || !w->is_silent) return;
    bool is_there = way_is_own(sh, c) && way_facts(c, &f) && f.ack_ms <= AT_ONCE_MS;
    if (is_there) keepalive_excused(sh->ways.learner, &w->who);
    way_drop(sh, c);
}

static void end_with(struct shard *sh, struct conn *c, enum ka_how how, const struct transport_facts *f)
{
    bool tells = how != KA_END_DISCONNECT && how != KA_END_OURS && how != KA_END_FIN;
    struct ka_who who = tells || is_met(sh, c) ? way_who(sh, c) : (struct ka_who){ .mode = KA_CAP };
    if (is_nowhere(&who.net)) how = KA_END_OURS;
    uint64_t silent_ms = sh->now_ms - c->seen_ms;
    struct ka_end end = { .how = (uint8_t)how,
                          .keepalive_s = c->keepalive_s,
                          .packet_s = (uint32_t)(silent_ms / 1000),
                          .round_trip_ms = f->round_trip_ms };
    bool is_known = f->ack_ms > 0 && !f->is_over && way_is_own(sh, c);
    if (is_known && f->ack_ms < silent_ms) silent_ms = f->ack_ms;
    end.silent_s = (uint32_t)(silent_ms / 1000);
    if (way_is_own(sh, c)) note_unanswered(sh, c, f, &end);
    if (how == KA_END_RESET && end.has_unacked && end.sent_ago_ms > AT_ONCE_MS) end.how = KA_END_TIMED_OUT;
    keepalive_ended(sh->ways.learner, &who, &end, now_s(sh));
    ways_note(sh);
    c->is_way = false;
    way_drop(sh, c);
    if (end.how == KA_END_SILENT) wait_for_close(c, &who);
}

void way_ended(struct shard *sh, struct conn *c, enum ka_how how)
{
    struct transport_facts f = { 0 };
    bool matters = how == KA_END_TAKEN_OVER || how == KA_END_SILENT;
    if (!c->is_way || c->session == NULL) return;
    if (matters) (void)way_facts(c, &f);
    end_with(sh, c, how, &f);
}

void way_lost(struct shard *sh, struct conn *c)
{
    struct transport_facts f;
    note_close(sh, c);
    if (!c->is_way && !c->is_pushed) return;
    bool is_known = way_facts(c, &f);
    if (is_known && f.is_over && c->is_pushed && c->is_patient)
        metrics_add(sh->metrics, METRIC_push_timeouts_total, 1);
    if (!c->is_way || c->session == NULL) return;
    enum ka_how how = f.is_over ? KA_END_RESET : f.has_finished || !is_known ? KA_END_FIN : KA_END_OURS;
    end_with(sh, c, how, &f);
}
