/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/route.h"
#include "shard/acks.h"
#include "shard/delayed.h"
#include "shard/hooked.h"
#include "shard/qos0.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * The publisher's shard looks the topic up once. Then:
 *
 *   persistent receivers, of all shards -> one ENQUEUE; each shard appends its own when that is durable
 *   direct receivers of this shard      -> now
 *   direct receivers of another shard   -> one mail, and that shard looks its own up again
 *
 * A retained publish, one with a mid, one with QoS 2 that goes through the journal, the will of a persistent
 * session, and all that a connection publishes behind one that is still on its way through the journal,
 * reaches direct receivers at completion too, so that nothing overtakes, and nothing that is refused was
 * delivered.
 */

/* Does a subscription of this kind get it through the journal? */
static bool is_durable(uint64_t durable_no, uint8_t qos)
{
    return durable_no != 0 && qos >= 1;
}

static uint8_t lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* upgrade_outgoing_qos. What the broker says of itself stays what it is: no journal has it. */
static bool upgrades(const struct shard *sh, struct bytes topic)
{
    return sh->config->upgrade_outgoing_qos && !sys_owns(topic);
}

/* Of a shared subscription each member has its own. */
static uint8_t qos_for(const struct sub_options *o, uint8_t qos, bool is_upgraded)
{
    return is_upgraded && !o->is_group ? o->qos : lower(o->qos, qos);
}

/* --- persistent receivers */

static bool add_target(struct shard *sh, const struct command_target *t)
{
    if (sh->targets_count == sh->targets_room) {
        size_t room = sh->targets_room == 0 ? 64 : sh->targets_room * 2;
        struct command_target *grown = realloc(sh->targets, room * sizeof *grown);
        if (grown == NULL) return false;
        sh->targets = grown;
        sh->targets_room = room;
    }
    sh->targets[sh->targets_count++] = *t;
    return true;
}

static bool add_targets_of(struct shard *sh, const struct subs_array *array, unsigned shard,
                           const struct route_in *in)
{
    uint32_t n;
    bool is_upgraded = upgrades(sh, in->topic);
    for (const struct subs_chunk *c = subs_first(array, &n); c != NULL; c = subs_next(c, &n)) {
        for (uint32_t i = 0; i < n; i++) {
            const struct subs_entry *e = &c->entries[i];
            uint64_t durable_no = subs_entry_durable_no(e);
            uint8_t qos = qos_for(&e->options, in->qos, is_upgraded);
            if (!is_durable(durable_no, qos)) continue;
            if (e->options.no_local && durable_no == in->from_session) continue;
            struct command_target t = {
                .session_no = durable_no,
                .shard = (uint16_t)shard,
                .qos = qos,
                .retain = in->retain && e->options.retain_as_published,
            };
            if (!add_target(sh, &t)) return false;
            if (e->options.is_group && !shares_note_target(sh, durable_no)) return false;
        }
    }
    return true;
}

static int by_session(const void *a, const void *b)
{
    const struct command_target *x = a, *y = b;
    return (x->session_no > y->session_no) - (x->session_no < y->session_no);
}

/* Overlapping filters of one session make one entry, of the highest QoS [MQTT-3.3.4-2]. */
static void merge_targets(struct shard *sh, size_t from)
{
    struct command_target *t = sh->targets;
    if (sh->targets_count - from < 2) return;
    qsort(t + from, sh->targets_count - from, sizeof *t, by_session);
    size_t kept = from;
    for (size_t i = from + 1; i < sh->targets_count; i++) {
        if (t[i].session_no != t[kept].session_no) {
            t[++kept] = t[i];
            continue;
        }
        if (t[i].qos > t[kept].qos) t[kept].qos = t[i].qos;
        t[kept].retain |= t[i].retain;
    }
    sh->targets_count = kept + 1;
}

static bool find_targets(struct shard *sh, const struct route_in *in)
{
    sh->targets_count = 0;
    sh->shares.hit_count = 0;
    if (in->qos == 0 && !upgrades(sh, in->topic)) return true;
    for (unsigned shard = 0; shard < sh->all->count; shard++) {
        size_t from = sh->targets_count;
        for (size_t i = 0; i < sh->found.count; i++) {
            const struct subs_array *a = subs_array_of(sh->found.filters[i], shard);
            if (subs_durable(a) == 0) continue;
            if (!add_targets_of(sh, a, shard, in)) return false;
        }
        if (sh->found.count > 1) merge_targets(sh, from);
    }
    return true;
}

/* --- direct receivers */

static bool wants_direct(const struct shard *sh, unsigned shard, uint8_t qos)
{
    for (size_t i = 0; i < sh->found.count; i++) {
        const struct subs_array *a = subs_array_of(sh->found.filters[i], shard);
        if (subs_direct(a) > 0) return true;
        if (qos == 0 && subs_durable(a) > 0) return true;
    }
    return false;
}

/* Looked at once for each message: the counters move, and the shards that are counted must be those served.
 */
static void find_direct(struct shard *sh, uint8_t qos)
{
    for (unsigned shard = 0; shard < sh->all->count; shard++)
        sh->direct[shard] = wants_direct(sh, shard, qos);
}

static bool add_hit(struct shard *sh, struct session *s, const struct hit *h)
{
    if (s->matched == sh->matches) { /* an overlapping filter had it */
        struct hit *had = &sh->hits[s->match_index];
        if (h->qos > had->qos) had->qos = h->qos;
        had->retain |= h->retain;
        return true;
    }
    if (sh->hits_count == sh->hits_room) {
        size_t room = sh->hits_room == 0 ? 64 : sh->hits_room * 2;
        struct hit *grown = realloc(sh->hits, room * sizeof *grown);
        if (grown == NULL) return false;
        sh->hits = grown;
        sh->hits_room = room;
    }
    s->matched = sh->matches;
    s->match_index = (uint32_t)sh->hits_count;
    sh->hits[sh->hits_count++] = *h;
    return true;
}

static bool add_hits_of(struct shard *sh, const struct subs_array *array, struct msg *m,
                        const struct command_seat *seat)
{
    uint32_t n;
    bool is_upgraded = upgrades(sh, msg_topic(m));
    for (const struct subs_chunk *c = subs_first(array, &n); c != NULL; c = subs_next(c, &n)) {
        for (uint32_t i = 0; i < n; i++) {
            const struct subs_entry *e = &c->entries[i];
            const struct sub *sub = subs_entry_sub(e);
            if (sub == NULL) continue; /* blanked */
            if (e->options.is_group) {
                shares_hit(sh, sub->session, m, seat);
                continue;
            }
            struct session *s = sub->session;
            struct hit h = { s, qos_for(&e->options, m->qos, is_upgraded),
                             m->retain && e->options.retain_as_published };
            if (is_durable(sub->durable_no, h.qos)) continue;
            if (e->options.no_local && s->session_no == m->from_session) continue;
            if (!add_hit(sh, s, &h)) return false;
        }
    }
    return true;
}

static void deliver_qos0(struct shard *sh, struct session *s, struct msg *m, bool retain)
{
    struct conn *c = s->conn;
    if (qos0_waits(sh, s, m)) {
        qos0_keep(sh, s, m, retain);
        return;
    }
    if (c == NULL || c->state != CONN_OPEN) return;
    if (conn_output_bytes(c) > OUT_BYTES_QOS0_MAX) {
        metrics_add(sh->metrics, METRIC_publish_dropped_qos0_total, 1);
        log_event(sh->log, EVENT_CLIENT_SLOW, LOG_TEXT("client", session_client_id(s)));
        return;
    }
    conn_fan_send(sh, c, retain);
}

/* The queue was at its limit. */
static void note_dropped(struct shard *sh, struct session *s, const struct command_target *t)
{
    metrics_add(sh->metrics, METRIC_publish_dropped_queue_full_total, t->dropped);
    s->dropped += t->dropped;
    log_event(sh->log, EVENT_SESSION_QUEUE_FULL, LOG_TEXT("client", session_client_id(s)),
              LOG_NUM("dropped", s->dropped));
    if (t->drop_upto > 0) session_drop_upto(s, t->drop_upto);
}

static void deliver(struct shard *sh, const struct hit *h, struct msg *m)
{
    if (h->qos == 0) {
        deliver_qos0(sh, h->session, m, h->retain);
        return;
    }
    struct store_row row = { .msg = m, .qos = h->qos, .retain = h->retain };
    if (session_offer(h->session, &row) == ERR_OK) {
        feed_pump(sh, h->session);
        return;
    }
    struct command_target dropped = { .dropped = 1 };
    note_dropped(sh, h->session, &dropped);
}

/* A retained message goes to a session live: one that has just subscribed must not get older ones after it.
 */
static void note_retained(struct shard *sh, struct session *s, const struct msg *m, uint64_t position)
{
    if (s->fence != NULL) session_fence_note(s, subs_hash(sh->all->subs, msg_topic(m)), position);
}

/* To the direct receivers among sh->found. All are gathered first: delivering never changes the index, but
 * overlapping filters must be merged before anything is sent. seat: of the command that brings it; NULL, as
 * for the broker's own: none does. */
static void deliver_direct(struct shard *sh, struct msg *m, const struct command_seat *seat)
{
    uint64_t position = seat != NULL ? seat->command->position : 0;
    sh->matches++;
    sh->hits_count = 0;
    for (size_t i = 0; i < sh->found.count; i++) {
        if (add_hits_of(sh, subs_array_of(sh->found.filters[i], sh->index), m, seat)) continue;
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_STR("for", "matching subscribers"));
        break;
    }
    sh->work += sh->hits_count / DELIVERIES_OF_WORK + sh->found.count;
    conn_fan_begin(sh, m, sh->hits_count);
    for (size_t i = 0; i < sh->hits_count; i++) {
        if (m->retain) note_retained(sh, sh->hits[i].session, m, position);
        deliver(sh, &sh->hits[i], m);
    }
    conn_fan_end(sh);
}

/* What is retained without the journal is the broker's own, older than all that passes the journal. */
static void keep_own(struct shard *sh, struct msg *m)
{
    if (shard_of_topic(sh->all, subs_hash(sh->all->subs, msg_topic(m))) != sh->index) return;
    if (retained_set(sh->retained, m, 0) != ERR_OK)
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_TEXT("topic", msg_topic(m)));
}

static void give_credit(struct shard *sh, unsigned to, size_t bytes)
{
    struct credit *credit = &sh->all->at[to]->credit[sh->index];
    if (credit_give(credit, bytes)) shard_post(sh, to, &credit->mail, MAIL_CREDIT);
}

void route_mail_publish(struct shard *sh, struct mail *mail)
{
    struct msg_ride *ride = CONTAINER(mail, struct msg_ride, mail);
    struct msg *m = ride->msg;
    unsigned from = m->from_shard;

    sh->has_fanned_out = false;
    if (m->retain) keep_own(sh, m);
    if (subs_find(sh->all->subs, msg_topic(m), &sh->found) == ERR_OK) deliver_direct(sh, m, NULL);
    if (sh->has_fanned_out && sh->late.is_full)
        sh->late.credit[from] += ride->credit_bytes;
    else
        give_credit(sh, from, ride->credit_bytes);
    msg_unref(&m);
}

void route_late_gone(struct shard *sh)
{
    for (unsigned from = 0; from < sh->all->count; from++) {
        size_t bytes = sh->late.credit[from];
        sh->late.credit[from] = 0;
        if (bytes > 0) give_credit(sh, from, bytes);
    }
}

void route_mail_credit(struct shard *sh, struct mail *mail)
{
    credit_heard(CONTAINER(mail, struct credit, mail));
    while (!list_empty(&sh->credit_waiters)) {
        struct conn *c = CONTAINER(sh->credit_waiters.next, struct conn, credit_waiter);
        list_remove(&c->credit_waiter);
        conn_resume(sh, c, PAUSE_CREDIT);
    }
}

static void wait_for_credit(struct shard *sh, struct conn *c)
{
    if (c == NULL || (c->paused & PAUSE_CREDIT) != 0) return;
    metrics_add(sh->metrics, METRIC_credit_pauses_total, 1);
    list_add(&sh->credit_waiters, &c->credit_waiter);
    conn_pause(sh, c, PAUSE_CREDIT);
}

/* Its bytes, and the receivers' work. */
static size_t credit_for(const struct shard *sh, const struct msg *m, unsigned to)
{
    size_t receivers = 0;
    for (size_t i = 0; i < sh->found.count; i++)
        receivers += subs_direct(subs_array_of(sh->found.filters[i], to));
    return msg_bytes(m) + receivers * CREDIT_BYTES_A_DELIVERY;
}

static void pass_on(struct shard *sh, struct msg *m, struct conn *c)
{
    uint16_t ride = 0;
    bool in_credit = true;
    for (unsigned to = 0; to < sh->all->count; to++) {
        if (to == sh->index || !sh->direct[to]) continue;
        struct msg_ride *r = &m->rides[ride++];
        r->msg = msg_ref(m);
        r->credit_bytes = credit_for(sh, m, to);
        shard_post(sh, to, &r->mail, MAIL_PUBLISH);
        in_credit &= credit_take(&sh->credit[to], r->credit_bytes);
    }
    if (!in_credit) wait_for_credit(sh, c);
}

/* --- the journal */

/* What each shard has to do once the command is applied. */
static uint32_t fill_seats(struct shard *sh, struct command *c, const struct route_in *in, bool deferred)
{
    unsigned owner = in->retain ? shard_of_topic(sh->all, subs_hash(sh->all->subs, in->topic)) : 0;
    uint32_t seats = 0;
    size_t first = 0;
    for (unsigned shard = 0; shard < sh->all->count; shard++) {
        size_t end = first;
        while (end < sh->targets_count && sh->targets[end].shard == shard) end++;
        bool direct = deferred && sh->direct[shard];
        bool owns = in->retain && in->due_ms == 0 && owner == shard;
        if (end > first || direct || owns) {
            if (c != NULL) {
                struct command_seat *seat = &c->seats[seats];
                seat->shard = (uint16_t)shard;
                seat->direct = direct;
                seat->owns_topic = owns;
                seat->first = (uint32_t)first;
                seat->count = (uint32_t)(end - first);
            }
            seats++;
        }
        first = end;
    }
    return seats;
}

/* Its connection will hear of it; with QoS 2 of a persistent session, the one that session has by then. */
static enum err wait_for_journal(struct shard *sh, struct command *c, const struct route_in *in)
{
    uint32_t ticket = 0;
    enum packet_type type = in->qos == 2 ? PACKET_PUBREC : PACKET_PUBACK;
    if (in->id != 0 && conn_ack_wait(sh, in->conn, type, in->id, &ticket) != ERR_OK) return ERR_NOMEM;
    if (in->id != 0 && in->in_id == 0) c->ticket = (uint64_t)ticket + 1;
    if (in->qos == 2) session_inbound_await(in->conn->session, in->id, ticket);
    c->conn_id = in->conn->id;
    if (c->deferred) conn_defer(sh, in->conn);
    conn_journal_take(sh, in->conn, c);
    return ERR_OK;
}

static enum err enqueue(struct shard *sh, struct msg *m, const struct route_in *in, bool deferred)
{
    struct command_mid mid = { .mid = in->mid, .window_s = sh->config->duplicate_window };
    struct command_size size = {
        .targets = (uint32_t)sh->targets_count,
        .seats = fill_seats(sh, NULL, in, deferred),
    };
    if (in->mid.len > 0) {
        mid.client_id = session_client_id(in->conn->session);
        size.mid = &mid;
    }
    struct command *c = command_new(in->will_of != NULL ? COMMAND_FIRE_WILL : COMMAND_ENQUEUE, &size);
    if (c == NULL) return ERR_NOMEM;
    c->msg = msg_ref(m);
    if (sh->targets_count > 0) memcpy(c->targets, sh->targets, sh->targets_count * sizeof *c->targets);
    fill_seats(sh, c, in, deferred);
    c->deferred = deferred;
    c->due_ms = in->due_ms;
    c->ticket = in->ticket;
    if (in->will_of != NULL) {
        c->session_no = in->will_of->session_no;
        c->claim_no = in->will_of->claim_no;
    }
    if (in->in_id != 0) {
        c->in_id = in->in_id;
        c->session_no = in->conn->session->session_no;
        c->claim_no = in->conn->session->claim_no;
    }
    enum err rc = ERR_OK;
    if (in->conn != NULL)
        rc = wait_for_journal(sh, c, in);
    else if (deferred)
        sh->orphans++;
    if (rc == ERR_OK)
        journal_put(sh, c);
    else
        command_unref(&c);
    return rc;
}

static void apply_targets(struct shard *sh, const struct command_seat *seat)
{
    const struct command *c = seat->command;
    sh->work += seat->count / DELIVERIES_OF_WORK;
    sh->fans_out = seat->count > RECEIVERS_AT_ONCE;
    for (uint32_t i = seat->first; i < seat->first + seat->count; i++) {
        const struct command_target *t = &c->targets[i];
        struct session *s = sessions_find_no(sh, t->session_no);
        if (s == NULL) {
            shares_apply(sh, c, t); /* a group's, perhaps */
            continue;
        }
        if (t->dropped > 0) note_dropped(sh, s, t);
        if (t->is_skipped) continue;
        if (c->msg->retain) note_retained(sh, s, c->msg, c->position);
        struct store_row row = { .seq = c->position, .msg = c->msg, .qos = t->qos, .retain = t->retain };
        session_offer(s, &row);
        feed_pump(sh, s); /* also when it is left to the store: somebody must ask for it */
    }
    sh->fans_out = false;
}

/* The retained message that put_retained() sent through the journal: void if a newer one has come before it.
 */
static void apply_copy(struct shard *sh, struct command *c)
{
    struct session *s = sessions_find_no(sh, c->session_no);
    if (s == NULL) return;
    uint64_t topic = subs_hash(sh->all->subs, msg_topic(c->msg));
    const struct command_target *t = &c->targets[0];
    struct store_row row = { .seq = c->position, .msg = c->msg, .qos = t->qos, .retain = t->retain };
    bool comes = c->result == COMMAND_DURABLE && !t->is_skipped;
    if (t->dropped > 0) note_dropped(sh, s, t);
    if (c->result == COMMAND_REFUSED)
        log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", "no room"), LOG_STR("kind", "retained"),
                  LOG_TEXT("client", session_client_id(s)), LOG_TEXT("topic", msg_topic(c->msg)));
    session_copy_end(s, topic, c->version, comes ? c->position : 0);
    if (comes) {
        session_offer(s, &row);
        feed_pump(sh, s);
    }
    retain_copy_arrived(sh, s);
}

static void apply_retained(struct shard *sh, const struct command *c)
{
    sh->work += WORK_OF_RETAINED;
    enum err rc = retain_keep(sh, c->msg, c->position);
    if (rc != ERR_OK)
        log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", err_text(rc)), LOG_STR("kind", "retained"),
                  LOG_TEXT("topic", msg_topic(c->msg)));
}

static void apply_publish(struct shard *sh, const struct command_seat *seat)
{
    struct command *c = seat->command;
    if (c->due_ms != 0) {
        delayed_add(sh, c->position, c->due_ms);
        return;
    }
    apply_targets(sh, seat);
    if (seat->direct && subs_find(sh->all->subs, msg_topic(c->msg), &sh->found) == ERR_OK)
        deliver_direct(sh, c->msg, seat);
    if (seat->owns_topic) apply_retained(sh, c);
}

void route_mail_seat(struct shard *sh, struct mail *mail)
{
    struct command_seat *seat = CONTAINER(mail, struct command_seat, mail);
    struct command *c = seat->command;
    if (c->kind == COMMAND_RETAINED)
        apply_copy(sh, c);
    else if (c->result == COMMAND_DURABLE)
        apply_publish(sh, seat);
    command_unref(&c);
}

/* --- the whole */

static uint16_t rides_needed(const struct shard *sh)
{
    uint16_t rides = 0;
    for (unsigned to = 0; to < sh->all->count; to++)
        if (to != sh->index && sh->direct[to]) rides++;
    return rides;
}

static struct msg *make_msg(struct shard *sh, const struct route_in *in, uint16_t rides)
{
    struct msg *m;
    struct msg_parts parts = {
        .topic = in->topic,
        .block = in->block,
        .payload = in->payload,
        .qos = in->qos,
        .retain = in->retain,
        .rides_count = rides,
        .from_shard = (uint16_t)sh->index,
        .from_session = in->from_session,
        .from_client = in->from_client,
        .expires_ms = in->expires_ms,
        .groups = sh->shares.hit,
        .groups_count = sh->shares.hit_count,
    };
    return msg_new(&m, &parts) == ERR_OK ? m : NULL;
}

static bool must_defer(const struct shard *sh, const struct route_in *in)
{
    if (in->retain || in->mid.len > 0 || in->will_of != NULL || sh->orphans > 0) return true;
    if (in->qos == 2 && (in->in_id != 0 || sh->targets_count > 0)) return true;
    return in->conn != NULL && in->conn->deferred > 0;
}

/* Whatever its QoS: it waits in the journal's care until it is due. */
static enum route_result route_later(struct shard *sh, const struct route_in *in)
{
    struct command_target t = { .session_no = DELAYED_QUEUE, .qos = in->qos, .retain = in->retain };
    sh->targets_count = 0;
    sh->shares.hit_count = 0;
    memset(sh->direct, 0, sh->all->count * sizeof *sh->direct);
    if (!delayed_admit(sh)) return ROUTE_REFUSED;
    struct msg *m = make_msg(sh, in, 0);
    enum err rc = m != NULL && add_target(sh, &t) ? enqueue(sh, m, in, false) : ERR_NOMEM;
    msg_unref(&m);
    if (rc == ERR_OK) return ROUTE_PENDING;
    delayed_dismiss(sh);
    return ROUTE_FAILED;
}

static struct command *new_move(struct shard *sh, struct msg *m, const struct route_in *in)
{
    struct command_size size = {
        .targets = (uint32_t)sh->targets_count,
        .seats = fill_seats(sh, NULL, in, true),
    };
    struct command *c = command_new(COMMAND_MOVE, &size);
    if (c == NULL) return NULL;
    c->msg = msg_ref(m);
    if (sh->targets_count > 0) memcpy(c->targets, sh->targets, sh->targets_count * sizeof *c->targets);
    fill_seats(sh, c, in, true);
    c->retains = in->retain;
    c->deferred = true;
    return c;
}

bool route_delayed(struct shard *sh, struct msg *m, uint64_t seq, bool is_wanted)
{
    struct route_in in = { .topic = msg_topic(m), .qos = m->qos, .from_session = m->from_session };
    in.retain = m->retain && is_wanted;
    sh->targets_count = 0;
    memset(sh->direct, 0, sh->all->count * sizeof *sh->direct);
    if (is_wanted) {
        if (subs_find(sh->all->subs, in.topic, &sh->found) != ERR_OK || !find_targets(sh, &in)) return false;
        find_direct(sh, in.qos);
    }
    struct command *c = new_move(sh, m, &in);
    if (c == NULL) return false;
    c->session_no = DELAYED_QUEUE;
    c->version = seq;
    journal_put(sh, c);
    return true;
}

enum route_result route_publish(struct shard *sh, const struct route_in *in)
{
    if (in->due_ms != 0) return route_later(sh, in);
    if (subs_find(sh->all->subs, in->topic, &sh->found) != ERR_OK || !find_targets(sh, in))
        return ROUTE_FAILED;
    bool deferred = must_defer(sh, in);
    bool journaled = deferred || sh->targets_count > 0;
    sh->work += sh->targets_count;
    find_direct(sh, in->qos);
    uint16_t rides = deferred ? 0 : rides_needed(sh);
    bool here = !deferred && sh->direct[sh->index];
    if (!journaled && !here && rides == 0) return ROUTE_NOBODY;

    struct msg *m = make_msg(sh, in, rides);
    if (m == NULL) return ROUTE_FAILED;
    /* Before anything is delivered: a failure here must leave no trace. */
    enum err rc = journaled ? enqueue(sh, m, in, deferred) : ERR_OK;
    if (rc == ERR_OK && rides > 0) pass_on(sh, m, in->conn);
    if (rc == ERR_OK && here) deliver_direct(sh, m, NULL);
    if (here && in->conn != NULL && sh->has_fanned_out) late_hold(sh, in->conn);
    msg_unref(&m);
    if (rc != ERR_OK) return ROUTE_FAILED;
    return journaled ? ROUTE_PENDING : ROUTE_DONE;
}

/* Whoever is connected gets it now, and its topic's owner keeps it. */
void route_own(struct shard *sh, const struct route_in *in)
{
    if (subs_find(sh->all->subs, in->topic, &sh->found) != ERR_OK) return; /* the next one says more */
    find_direct(sh, in->qos);
    sh->shares.hit_count = 0;
    bool here = sh->direct[sh->index];
    if (in->retain) sh->direct[shard_of_topic(sh->all, subs_hash(sh->all->subs, in->topic))] = true;
    struct msg *m = make_msg(sh, in, rides_needed(sh));
    if (m == NULL) return;
    pass_on(sh, m, NULL);
    if (m->retain) keep_own(sh, m);
    if (here) deliver_direct(sh, m, NULL);
    msg_unref(&m);
}
