/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_plan.h"
#include "base/limits.h"
#include "codec/codec.h"
#include "topic/topic.h"
#include <stdlib.h>

/* Reading. The file is walked twice: for sessions and messages, then for what names them, whatever the order
 * that they stand in. */

enum { MAP_SEED = 0 }; /* the file is the operator's own */

static void skip(struct import_plan *p, enum import_skip why)
{
    p->counts.skipped[why]++;
}

static bool is_text(struct bytes b)
{
    return b.len > 0 && (utf8_scan(b) & UTF8_ILL_FORMED) == 0;
}

static bool has_passed(const struct import_plan *p, int64_t at_s)
{
    return at_s != 0 && (at_s < 0 || (uint64_t)at_s <= p->now_s);
}

/* --- sessions */

static bool is_session(const void *item, const void *key)
{
    const struct import_session *s = item;
    return bytes_equal(s->id, *(const struct bytes *)key);
}

static struct import_session *find_session(const struct import_plan *p, struct bytes id)
{
    return map_get(&p->sessions_by_id, bytes_hash(id, MAP_SEED), is_session, &id);
}

/* What is left of its time counts from now on: who was connected has all of it. */
static uint32_t expiry_left(const struct import_plan *p, const struct mosquitto_client *c)
{
    if (c->expires_s == 0) return c->interval_s;
    uint64_t left = (uint64_t)c->expires_s - p->now_s;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX - 1;
}

/* Why not; IMPORT_SKIPS: it is taken over. */
static enum import_skip judge_session(const struct import_plan *p, const struct mosquitto_client *c)
{
    if (!is_text(c->id)) return IMPORT_SKIP_SESSION_NO_ID;
    if (c->interval_s == 0) return IMPORT_SKIP_SESSION_ENDED;
    if (has_passed(p, c->expires_s)) return IMPORT_SKIP_SESSION_EXPIRED;
    return find_session(p, c->id) != NULL ? IMPORT_SKIP_SESSION_TWICE : IMPORT_SKIPS;
}

static enum err add_session(struct import_plan *p, const struct mosquitto_client *c)
{
    enum import_skip why = judge_session(p, c);
    if (why != IMPORT_SKIPS) {
        skip(p, why);
        return ERR_OK;
    }
    struct import_session *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR_NOMEM;
    s->id = c->id;
    s->expiry_s = expiry_left(p, c);
    s->entries_end = &s->entries;
    *p->sessions_end = s;
    p->sessions_end = &s->next;
    p->counts.sessions++;
    p->counts.usernames += c->has_username;
    return map_put(&p->sessions_by_id, bytes_hash(s->id, MAP_SEED), s);
}

/* --- messages */

static bool is_message(const void *item, const void *key)
{
    const struct import_message *m = item;
    return m->is.id == *(const uint64_t *)key;
}

static struct import_message *find_message(const struct import_plan *p, uint64_t id)
{
    return map_get(&p->messages_by_id, map_hash_u64(id), is_message, &id);
}

static bool has_valid_props(const struct mosquitto_message *m)
{
    struct props unused;
    struct rd r = { m->props.at, m->props.len, false };
    return m->props.len == 0 || props_decode(&r, 1u << PACKET_PUBLISH, &unused) == MQTT_RC_OK;
}

/* Could a client have published it? Then it can be sent, too. */
static bool is_valid(const struct mosquitto_message *m)
{
    size_t head = 5 + 2 + m->topic.len + 2 + m->props.len;
    return topic_name_valid(m->topic) && is_text(m->topic) && m->payload.len <= PACKET_BYTES_MAX &&
           head + m->payload.len <= PACKET_BYTES_MAX && has_valid_props(m);
}

static enum err add_message(struct import_plan *p, const struct mosquitto_message *m)
{
    if (find_message(p, m->id) != NULL) {
        skip(p, IMPORT_SKIP_MESSAGE_TWICE);
        return ERR_OK;
    }
    struct import_message *made = calloc(1, sizeof *made);
    if (made == NULL) return ERR_NOMEM;
    made->is = *m;
    made->is_invalid = !is_valid(m);
    made->is_expired = has_passed(p, m->expires_s);
    made->next = p->messages;
    p->messages = made;
    return map_put(&p->messages_by_id, map_hash_u64(m->id), made);
}

/* --- what names them */

static enum import_skip judge_entry(const struct import_plan *p, const struct mosquitto_entry *e)
{
    const struct import_message *m = find_message(p, e->message_id);
    bool is_known = e->is_out || (e->qos == 2 && e->packet_id != 0);
    if (find_session(p, e->client_id) == NULL) return IMPORT_SKIP_ENTRY_NO_SESSION;
    if (m == NULL) return IMPORT_SKIP_ENTRY_NO_MESSAGE;
    if (!is_known) return IMPORT_SKIP_ENTRY_BAD_ID;
    if (m->is_invalid) return IMPORT_SKIP_ENTRY_INVALID;
    /* What a client may have of QoS 2 is to be finished with it. */
    bool is_needed = e->qos == 2 && (!e->is_out || e->state != MOSQUITTO_QUEUED);
    return m->is_expired && !is_needed ? IMPORT_SKIP_ENTRY_EXPIRED : IMPORT_SKIPS;
}

static bool is_released(const struct mosquitto_entry *e)
{
    return e->qos == 2 && (e->state == MOSQUITTO_RESEND_PUBREL || e->state == MOSQUITTO_WAITS_FOR_PUBCOMP);
}

static void put_into_queue(struct import_plan *p, struct import_entry *e)
{
    struct import_session *s = e->session;
    struct import_message *m = e->message;
    *s->entries_end = e;
    s->entries_end = &e->next;
    if (m->is.id <= s->newest_id && s->newest_id > 0) s->is_mixed = true;
    s->newest_id = m->is.id;
    s->released_count += e->is_released;
    p->counts.queued++;
    p->counts.sent_again += e->was_sent && !e->is_released;
    p->counts.released += e->is_released;
}

static enum err add_entry(struct import_plan *p, const struct mosquitto_entry *e)
{
    enum import_skip why = judge_entry(p, e);
    if (why != IMPORT_SKIPS) {
        skip(p, why);
        return ERR_OK;
    }
    struct import_entry *made = calloc(1, sizeof *made);
    if (made == NULL) return ERR_NOMEM;
    *made = (struct import_entry){
        .session = find_session(p, e->client_id),
        .message = find_message(p, e->message_id),
        .packet_id = e->packet_id,
        .qos = e->qos,
        .retain = e->retain,
        .was_sent = e->dup || e->state != MOSQUITTO_QUEUED,
        .is_released = e->is_out && is_released(e),
    };
    if (e->is_out) {
        put_into_queue(p, made);
        return ERR_OK;
    }
    *p->inbound_end = made;
    p->inbound_end = &made->next;
    p->counts.inbound++;
    return ERR_OK;
}

static void add_retained(struct import_plan *p, uint64_t id)
{
    static const char sys[] = "$SYS/";
    struct import_message *m = find_message(p, id);
    bool is_sys =
        m != NULL && m->is.topic.len >= sizeof sys - 1 && memcmp(m->is.topic.at, sys, sizeof sys - 1) == 0;
    if (m == NULL)
        skip(p, IMPORT_SKIP_RETAINED_NO_MESSAGE);
    else if (is_sys)
        skip(p, IMPORT_SKIP_RETAINED_SYS);
    else if (m->is.payload.len == 0)
        skip(p, IMPORT_SKIP_RETAINED_EMPTY);
    else if (m->is_expired)
        skip(p, IMPORT_SKIP_RETAINED_EXPIRED);
    else if (m->is_invalid)
        skip(p, IMPORT_SKIP_RETAINED_INVALID);
    else if (!m->is_retained) {
        m->is_retained = true;
        p->counts.retained++;
    }
}

static enum err add_filter(struct import_plan *p, const struct mosquitto_subscription *f)
{
    struct import_session *s = find_session(p, f->client_id);
    bool is_too_many = s != NULL && s->filters_count == SUBSCRIPTIONS_MAX;
    bool is_valid_filter = topic_filter_valid(f->filter) && is_text(f->filter);
    if (s == NULL || is_too_many || !is_valid_filter) {
        skip(p, s == NULL     ? IMPORT_SKIP_FILTER_NO_SESSION
                : is_too_many ? IMPORT_SKIP_FILTER_TOO_MANY
                              : IMPORT_SKIP_FILTER_INVALID);
        return ERR_OK;
    }
    struct import_filter *made = calloc(1, sizeof *made);
    if (made == NULL) return ERR_NOMEM;
    *made = (struct import_filter){ .session = s, .filter = f->filter, .options = f->options };
    if (f->id <= 268435455) made->id = f->id; /* a variable byte integer */
    s->filters_count++;
    *p->filters_end = made;
    p->filters_end = &made->next;
    p->counts.subscriptions++;
    return ERR_OK;
}

/* --- the file */

static enum err read_things(struct import_plan *p, const struct mosquitto_chunk *c)
{
    switch (c->kind) {
    case MOSQUITTO_CFG: p->is_clean_end = c->is_clean_end; break;
    case MOSQUITTO_MESSAGE: return add_message(p, &c->message);
    case MOSQUITTO_CLIENT: return add_session(p, &c->client);
    case MOSQUITTO_UNKNOWN: skip(p, IMPORT_SKIP_CHUNK_UNKNOWN); break;
    case MOSQUITTO_ENTRY:
    case MOSQUITTO_RETAIN:
    case MOSQUITTO_SUBSCRIPTION: break;
    }
    return ERR_OK;
}

static enum err read_references(struct import_plan *p, const struct mosquitto_chunk *c)
{
    if (c->kind == MOSQUITTO_ENTRY) return add_entry(p, &c->entry);
    if (c->kind == MOSQUITTO_SUBSCRIPTION) return add_filter(p, &c->subscription);
    if (c->kind == MOSQUITTO_RETAIN) add_retained(p, c->retain);
    return ERR_OK;
}

static enum err walk(struct import_plan *p, struct bytes file,
                     enum err (*each)(struct import_plan *p, const struct mosquitto_chunk *c))
{
    struct mosquitto_chunk c;
    enum err rc = mosquitto_db_open(&p->db, file);
    while (rc == ERR_OK) {
        rc = mosquitto_db_next(&p->db, &c);
        if (rc == ERR_OK) rc = each(p, &c);
    }
    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

/* What several queues have in order goes into all of them at once. */
static void gather_entries(struct import_plan *p)
{
    for (struct import_session *s = p->sessions; s != NULL; s = s->next) {
        for (struct import_entry *e = s->is_mixed ? NULL : s->entries; e != NULL; e = e->next) {
            e->next_of_message = e->message->entries;
            e->message->entries = e;
            e->message->entries_count++;
        }
    }
}

enum err import_read(struct import_plan *p, struct bytes file, uint64_t now_s)
{
    *p = (struct import_plan){ .now_s = now_s };
    map_init(&p->sessions_by_id);
    map_init(&p->messages_by_id);
    p->sessions_end = &p->sessions;
    p->filters_end = &p->filters;
    p->inbound_end = &p->inbound;
    enum err rc = walk(p, file, read_things);
    if (rc == ERR_OK) rc = walk(p, file, read_references);
    if (rc == ERR_OK) gather_entries(p);
    return rc;
}

static void free_entries(struct import_entry *e)
{
    while (e != NULL) {
        struct import_entry *next = e->next;
        free(e);
        e = next;
    }
}

void import_fini(struct import_plan *p)
{
    while (p->sessions != NULL) {
        struct import_session *s = p->sessions;
        p->sessions = s->next;
        free_entries(s->entries);
        free(s);
    }
    while (p->messages != NULL) {
        struct import_message *m = p->messages;
        p->messages = m->next;
        free(m);
    }
    while (p->filters != NULL) {
        struct import_filter *f = p->filters;
        p->filters = f->next;
        free(f);
    }
    free_entries(p->inbound);
    map_fini(&p->sessions_by_id);
    map_fini(&p->messages_by_id);
}
