/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mosquitto_db.h"
#include "codec/wr.h"
#include "kit/test.h"
#include <stdlib.h>

/* A file with one chunk of each kind, built field by field. */

enum { ROOM = 1024, HEAD_BYTES = 23 };

struct file {
    uint8_t at[ROOM];
    size_t len;
};

static void native(struct wr *w, uint64_t v)
{
    wr_bytes(w, bytes_of(&v, sizeof v));
}

static void text(struct wr *w, const char *t)
{
    wr_bytes(w, bytes_of_text(t));
}

static struct wr begin(struct file *f, uint32_t version)
{
    struct wr w = { f->at, sizeof f->at, false };
    wr_bytes(&w, bytes_of("\0\xb5\0mosquitto db", 15));
    wr_u32(&w, 0);
    wr_u32(&w, version);
    return w;
}

static void end(struct file *f, const struct wr *w)
{
    CHECK_TRUE(!w->bad);
    f->len = sizeof f->at - w->left;
}

static void put_head(struct wr *w, uint32_t kind, uint32_t bytes)
{
    wr_u32(w, kind);
    wr_u32(w, bytes);
}

static void put_config(struct wr *w)
{
    put_head(w, 1, 16);
    native(w, 77);
    wr_u8(w, 1);
    wr_u8(w, 8);
    text(w, "123456");
}

static void put_message(struct wr *w)
{
    put_head(w, 2, 32 + 3 + 4 + 5 + 7 + 3);
    native(w, 9);
    native(w, 1234);
    wr_u32(w, 7);
    wr_u16(w, 55);
    wr_u16(w, 3);
    wr_u16(w, 4);
    wr_u16(w, 5);
    wr_u16(w, 1883);
    wr_u8(w, 2);
    wr_u8(w, 1);
    text(w, "srcusera/b/cpayload\x02\x01\x01");
}

static void put_entry(struct wr *w)
{
    put_head(w, 3, 16 + 2);
    native(w, 9);
    wr_u16(w, 12);
    wr_u16(w, 2);
    wr_u8(w, 2);
    wr_u8(w, MOSQUITTO_WAITS_FOR_PUBCOMP);
    wr_u8(w, 0x11);
    wr_u8(w, 1);
    text(w, "me");
}

static void put_subscription(struct wr *w)
{
    put_head(w, 5, 12 + 2 + 3);
    wr_u32(w, 321);
    wr_u16(w, 2);
    wr_u16(w, 3);
    wr_u8(w, 1);
    wr_u8(w, 0x0c);
    wr_u16(w, 0);
    text(w, "mea/#");
}

static void put_client(struct wr *w, uint32_t version)
{
    put_head(w, 6, 16 + 2 + (version >= 6 ? 8 + 4 : 0));
    native(w, 5678);
    wr_u32(w, 3600);
    wr_u16(w, 12);
    wr_u16(w, 2);
    if (version >= 6) {
        wr_u16(w, 1883);
        wr_u16(w, 4);
        wr_u32(w, 0);
    }
    text(w, version >= 6 ? "meuser" : "me");
}

static void make_all(struct file *f, uint32_t version)
{
    struct wr w = begin(f, version);
    put_config(&w);
    put_message(&w);
    put_client(&w, version);
    put_entry(&w);
    put_subscription(&w);
    put_head(&w, 4, 8);
    native(&w, 9);
    end(f, &w);
}

static struct mosquitto_chunk next(struct mosquitto_db *db, enum mosquitto_kind kind)
{
    struct mosquitto_chunk c;
    CHECK_INT(ERR_OK, mosquitto_db_next(db, &c));
    CHECK_INT(kind, c.kind);
    return c;
}

static bool says(struct bytes b, const char *t)
{
    return bytes_equal(b, bytes_of_text(t));
}

static void check_client(struct mosquitto_db *db, bool has_username)
{
    struct mosquitto_client c = next(db, MOSQUITTO_CLIENT).client;
    CHECK_TRUE(says(c.id, "me"));
    CHECK_INT(5678, c.expires_s);
    CHECK_INT(3600, c.interval_s);
    CHECK_INT(has_username, c.has_username);
}

TEST(each_chunk_says_what_stands_in_it)
{
    for (uint32_t version = 5; version <= 6; version++) {
        struct file f;
        struct mosquitto_db db;
        struct mosquitto_chunk end;
        make_all(&f, version);
        CHECK_INT(ERR_OK, mosquitto_db_open(&db, bytes_of(f.at, f.len)));
        CHECK_TRUE(next(&db, MOSQUITTO_CFG).is_clean_end);

        struct mosquitto_message m = next(&db, MOSQUITTO_MESSAGE).message;
        CHECK_INT(9, m.id);
        CHECK_INT(1234, m.expires_s);
        CHECK_TRUE(says(m.source_id, "src") && says(m.topic, "a/b/c") && says(m.payload, "payload"));
        CHECK_TRUE(says(m.props, "\x02\x01\x01"));
        CHECK_TRUE(m.qos == 2 && m.retain);
        check_client(&db, version == 6);

        struct mosquitto_entry e = next(&db, MOSQUITTO_ENTRY).entry;
        CHECK_INT(9, e.message_id);
        CHECK_INT(12, e.packet_id);
        CHECK_INT(MOSQUITTO_WAITS_FOR_PUBCOMP, e.state);
        CHECK_TRUE(says(e.client_id, "me") && e.qos == 2 && e.retain && e.dup && e.is_out);

        struct mosquitto_subscription s = next(&db, MOSQUITTO_SUBSCRIPTION).subscription;
        CHECK_TRUE(says(s.client_id, "me") && says(s.filter, "a/#"));
        CHECK_INT(321, s.id);
        CHECK_INT(0x0d, s.options);
        CHECK_INT(9, next(&db, MOSQUITTO_RETAIN).retain);
        CHECK_INT(ERR_NOTFOUND, mosquitto_db_next(&db, &end));
    }
}

/* How many chunks there are before the end, or the error. */
static int walk(struct bytes file, enum err *rc)
{
    struct mosquitto_db db;
    struct mosquitto_chunk c;
    int count = 0;
    *rc = mosquitto_db_open(&db, file);
    while (*rc == ERR_OK) {
        *rc = mosquitto_db_next(&db, &c);
        count += *rc == ERR_OK;
    }
    CHECK_INT(*rc == ERR_NOTFOUND, db.text[0] == '\0');
    return count;
}

TEST(a_file_cut_anywhere_is_refused_but_between_two_chunks)
{
    struct file f;
    enum err rc;
    int whole = 0;
    make_all(&f, 6);
    for (size_t n = 0; n <= f.len; n++) {
        uint8_t *exact = malloc(n + (n == 0)); /* so that a sanitizer sees the first byte too many */
        CHECK_TRUE(exact != NULL);
        memcpy(exact, f.at, n);
        int count = walk(bytes_of(exact, n), &rc);
        if (rc == ERR_NOTFOUND) {
            CHECK_INT(whole, count);
            whole++;
        } else {
            CHECK_INT(ERR_SYNTAX, rc);
        }
        free(exact);
    }
    CHECK_INT(7, whole); /* no chunk to six */
}

/* The file with the four bytes at an offset replaced. */
static enum err walk_with(size_t offset, uint32_t value)
{
    struct file f;
    enum err rc;
    make_all(&f, 6);
    struct wr w = { f.at + offset, 4, false };
    wr_u32(&w, value);
    walk(bytes_of(f.at, f.len), &rc);
    return rc;
}

TEST(a_length_beyond_the_file_or_the_chunk_is_refused)
{
    size_t message = HEAD_BYTES + 8 + 16;
    CHECK_INT(ERR_SYNTAX, walk_with(HEAD_BYTES + 4, UINT32_MAX));
    CHECK_INT(ERR_SYNTAX, walk_with(message + 4, UINT32_MAX - 8));
    CHECK_INT(ERR_SYNTAX, walk_with(message + 4, 40));              /* shorter than what stands in it */
    CHECK_INT(ERR_SYNTAX, walk_with(message + 8 + 16, UINT32_MAX)); /* the payload */
    CHECK_INT(ERR_SYNTAX, walk_with(message + 8 + 22, 0xffff0004)); /* the source's client id */
}

TEST(a_kind_that_is_not_known_is_passed_over)
{
    struct file f;
    struct mosquitto_db db;
    struct wr w = begin(&f, 6);
    put_head(&w, 4000, 5);
    text(&w, "later");
    put_config(&w);
    end(&f, &w);
    CHECK_INT(ERR_OK, mosquitto_db_open(&db, bytes_of(f.at, f.len)));
    CHECK_INT(4000, next(&db, MOSQUITTO_UNKNOWN).number);
    next(&db, MOSQUITTO_CFG);
}

TEST(another_version_or_another_file_is_refused)
{
    struct file f;
    enum err rc;
    for (uint32_t version = 0; version < 10; version++) {
        make_all(&f, version);
        walk(bytes_of(f.at, f.len), &rc);
        CHECK_INT(version == 5 || version == 6 ? ERR_NOTFOUND : ERR_UNKNOWN, rc);
    }
    make_all(&f, 6);
    f.at[1] ^= 1;
    walk(bytes_of(f.at, f.len), &rc);
    CHECK_INT(ERR_SYNTAX, rc);
}
