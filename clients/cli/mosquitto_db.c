/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mosquitto_db.h"
#include "codec/rd.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { VERSION_OLDEST = 5, VERSION_NEWEST = 6, ID_BYTES = 8, CHUNK_HEAD_BYTES = 8 };

static const char magic[] = "\0\xb5\0mosquitto db";

__attribute__((format(printf, 3, 4))) static enum err say(struct mosquitto_db *db, enum err rc,
                                                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(db->text, sizeof db->text, format, args);
    va_end(args);
    return rc;
}

#define ADVICE "stop mosquitto with SIGTERM, so that it writes the file anew, or use an older copy of it"

static enum err damaged(struct mosquitto_db *db, size_t offset, const char *what)
{
    return say(db, ERR_SYNTAX, "offset %zu: %s; " ADVICE, offset, what);
}

/* In the byte order of the machine. */
static uint64_t rd_id(struct rd *r)
{
    uint64_t v = 0;
    struct bytes b = rd_take(r, sizeof v);
    if (b.len == sizeof v) memcpy(&v, b.at, sizeof v);
    return v;
}

static int64_t rd_time(struct rd *r)
{
    return (int64_t)rd_id(r);
}

static void read_config(struct mosquitto_db *db, struct rd *r, struct mosquitto_chunk *c)
{
    rd_id(r); /* the last id */
    c->is_clean_end = rd_u8(r) != 0;
    uint8_t id_bytes = rd_u8(r);
    if (!r->bad && id_bytes != ID_BYTES) {
        say(db, ERR_SYNTAX, "offset %zu: ids of messages have %u bytes, not %d; " ADVICE, c->offset,
            (unsigned)id_bytes, ID_BYTES);
        r->bad = true;
    }
    rd_take(r, r->left); /* padding */
}

static void read_message(struct rd *r, struct mosquitto_message *m)
{
    m->id = rd_id(r);
    m->expires_s = rd_time(r);
    uint32_t payload_bytes = rd_u32(r);
    rd_u16(r); /* the source's packet id */
    uint16_t source_bytes = rd_u16(r), username_bytes = rd_u16(r), topic_bytes = rd_u16(r);
    rd_u16(r); /* the port */
    m->qos = rd_u8(r);
    m->retain = rd_u8(r) != 0;
    m->source_id = rd_take(r, source_bytes);
    rd_take(r, username_bytes);
    m->topic = rd_take(r, topic_bytes);
    m->payload = rd_take(r, payload_bytes);
    m->props = rd_take(r, r->left);
    if (m->qos > 2) r->bad = true;
}

static void read_entry(struct rd *r, struct mosquitto_entry *e)
{
    e->message_id = rd_id(r);
    e->packet_id = rd_u16(r);
    uint16_t client_bytes = rd_u16(r);
    e->qos = rd_u8(r);
    e->state = rd_u8(r);
    uint8_t flags = rd_u8(r);
    uint8_t direction = rd_u8(r);
    e->retain = (flags & 0xf0) != 0;
    e->dup = (flags & 0x0f) != 0;
    e->is_out = direction == 1;
    e->client_id = rd_take(r, client_bytes);
    uint32_t props_bytes = r->left > 0 ? rd_varint(r) : 0;
    rd_take(r, props_bytes); /* subscription identifiers: ours are those of the subscriptions */
    if (e->qos > 2 || direction > 1) r->bad = true;
}

static void read_subscription(struct rd *r, struct mosquitto_subscription *s)
{
    s->id = rd_u32(r);
    uint16_t client_bytes = rd_u16(r), filter_bytes = rd_u16(r);
    uint8_t qos = rd_u8(r), options = rd_u8(r);
    rd_u16(r);
    s->client_id = rd_take(r, client_bytes);
    s->filter = rd_take(r, filter_bytes);
    s->options = (uint8_t)(qos | (options & 0x3c));
    if (qos > 2) r->bad = true;
}

static void read_client(const struct mosquitto_db *db, struct rd *r, struct mosquitto_client *c)
{
    uint16_t username_bytes = 0;
    c->expires_s = rd_time(r);
    c->interval_s = rd_u32(r);
    rd_u16(r); /* the last packet id */
    uint16_t id_bytes = rd_u16(r);
    if (db->version >= 6) {
        rd_u16(r); /* the port */
        username_bytes = rd_u16(r);
        rd_u32(r);
    }
    c->id = rd_take(r, id_bytes);
    c->has_username = username_bytes > 0;
    rd_take(r, username_bytes);
}

/* What a kind has more than is known here belongs to a later form of it: it is not looked at. */
static enum err read_chunk(struct mosquitto_db *db, struct rd body, struct mosquitto_chunk *out)
{
    switch (out->number) {
    case MOSQUITTO_CFG: read_config(db, &body, out); break;
    case MOSQUITTO_MESSAGE: read_message(&body, &out->message); break;
    case MOSQUITTO_ENTRY: read_entry(&body, &out->entry); break;
    case MOSQUITTO_RETAIN: out->retain = rd_id(&body); break;
    case MOSQUITTO_SUBSCRIPTION: read_subscription(&body, &out->subscription); break;
    case MOSQUITTO_CLIENT: read_client(db, &body, &out->client); break;
    default: return ERR_OK;
    }
    out->kind = (enum mosquitto_kind)out->number;
    if (!body.bad) return ERR_OK;
    if (db->text[0] != '\0') return ERR_SYNTAX;
    return say(db, ERR_SYNTAX,
               "offset %zu: what this chunk of kind %" PRIu32 " says does not fit into it; " ADVICE,
               out->offset, out->number);
}

enum err mosquitto_db_next(struct mosquitto_db *db, struct mosquitto_chunk *out)
{
    struct rd r = { db->file.at + db->at, db->file.len - db->at, false };
    *out = (struct mosquitto_chunk){ .offset = db->at };
    if (r.left == 0) return ERR_NOTFOUND;
    if (r.left < CHUNK_HEAD_BYTES) return damaged(db, db->at, "the file ends within the head of a chunk");
    out->number = rd_u32(&r);
    uint32_t bytes = rd_u32(&r);
    if (bytes > r.left)
        return say(db, ERR_SYNTAX,
                   "offset %zu: a chunk of kind %" PRIu32 " has %" PRIu32
                   " bytes, and the file ends after %zu; " ADVICE,
                   db->at, out->number, bytes, r.left);
    db->at += CHUNK_HEAD_BYTES + bytes;
    return read_chunk(db, rd_sub(&r, bytes), out);
}

enum err mosquitto_db_open(struct mosquitto_db *db, struct bytes file)
{
    struct rd r = { file.at, file.len, false };
    *db = (struct mosquitto_db){ .file = file };
    struct bytes begin = rd_take(&r, sizeof magic - 1);
    if (!bytes_equal(begin, bytes_of(magic, sizeof magic - 1)))
        return say(db, ERR_SYNTAX,
                   "offset 0: it does not begin as a mosquitto.db does; name the file that mosquitto keeps "
                   "in its persistence_location");
    rd_u32(&r); /* a checksum that was never written */
    db->version = rd_u32(&r);
    if (r.bad) return damaged(db, sizeof magic - 1, "the file ends within its head");
    if (db->version < VERSION_OLDEST || db->version > VERSION_NEWEST)
        return say(db, ERR_UNKNOWN,
                   "offset 19: its format has version %" PRIu32
                   ", and %d and %d are known; let mosquitto 2.0 "
                   "read it and write it anew",
                   db->version, VERSION_OLDEST, VERSION_NEWEST);
    db->at = file.len - r.left;
    return ERR_OK;
}
