/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "kit/test.h"
#include "shard/out.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAKEN_MAX = 64 * 1024 };

/* A peer that takes so many bytes at each write, and then no more until the next. */
struct fake {
    struct transport transport;
    uint8_t taken[TAKEN_MAX];
    size_t taken_bytes;
    size_t a_write;  /* bytes it takes of each; 0: none, ERR_AGAIN */
    enum err broken; /* or this, always */
    unsigned writes, parts_most;
};

static enum err fake_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    struct fake *f = (struct fake *)(void *)((char *)t - offsetof(struct fake, transport));
    size_t left = f->a_write;
    *wrote = 0;
    f->writes++;
    if ((unsigned)count > f->parts_most) f->parts_most = (unsigned)count;
    if (f->broken != ERR_OK) return f->broken;
    if (left == 0) return ERR_AGAIN;
    for (int i = 0; i < count && left > 0; i++) {
        CHECK_TRUE(parts[i].iov_len > 0);
        size_t n = parts[i].iov_len < left ? parts[i].iov_len : left;
        CHECK_TRUE(f->taken_bytes + n <= TAKEN_MAX);
        memcpy(f->taken + f->taken_bytes, parts[i].iov_base, n);
        f->taken_bytes += n;
        *wrote += n;
        left -= n;
    }
    return ERR_OK;
}

static const struct transport_ops fake_ops = { .name = "fake", .write = fake_write };

static struct fake *fake_peer(size_t a_write)
{
    static struct fake f;
    f = (struct fake){ .transport = { .ops = &fake_ops, .fd = -1 }, .a_write = a_write };
    return &f;
}

static void append(struct out *o, struct out_pool *pool, const char *text)
{
    uint8_t *at = out_reserve(o, pool, strlen(text));
    CHECK_TRUE(at != NULL);
    memcpy(at, text, strlen(text));
    out_commit(o, strlen(text));
}

static struct msg *message(const char *payload)
{
    struct msg *m;
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text(payload) };
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    return m;
}

/* Some of each kind; gives what must come out. */
static const char *fill(struct out *o, struct out_pool *pool, struct msg *m)
{
    append(o, pool, "one");
    append(o, pool, "two");
    CHECK_INT(ERR_OK, out_share(o, m, msg_payload(m)));
    append(o, pool, "three");
    CHECK_INT(ERR_OK, out_share(o, m, msg_payload(m)));
    CHECK_INT(ERR_OK, out_share(o, m, msg_topic(m)));
    append(o, pool, "4");
    return "onetwo<shared>three<shared>t4";
}

static bool has_taken(const struct fake *f, const char *text)
{
    return f->taken_bytes == strlen(text) && memcmp(f->taken, text, f->taken_bytes) == 0;
}

TEST(what_goes_in_comes_out_in_order_in_one_write)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(SIZE_MAX);
    struct msg *m = message("<shared>");
    const char *want = fill(&o, &pool, m);
    size_t wrote;
    CHECK_INT(strlen(want), o.bytes);
    CHECK_INT(ERR_OK, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_INT(strlen(want), wrote);
    CHECK_INT(1, f->writes);
    CHECK_TRUE(has_taken(f, want));
    CHECK_TRUE(out_empty(&o) && o.first == NULL && o.last == NULL);
    CHECK_INT(1, atomic_load(&m->ref.count)); /* given back */
    msg_unref(&m);
    out_pool_fini(&pool);
}

TEST(a_peer_that_takes_any_number_of_bytes_at_once_gets_the_same_bytes)
{
    for (size_t a_write = 1; a_write <= 40; a_write++) {
        struct out_pool pool = { 0 };
        struct out o = { 0 };
        struct fake *f = fake_peer(a_write);
        struct msg *m = message("<shared>");
        const char *want = fill(&o, &pool, m);
        size_t wrote, total = 0;
        enum err rc;
        do {
            size_t before = o.bytes;
            rc = out_flush(&o, &pool, &f->transport, &wrote);
            CHECK_TRUE(rc == ERR_OK || rc == ERR_AGAIN);
            CHECK_TRUE(wrote > 0);
            CHECK_INT(before - wrote, o.bytes);
            total += wrote;
        } while (rc == ERR_AGAIN);
        CHECK_INT(strlen(want), total);
        CHECK_TRUE(has_taken(f, want));
        CHECK_INT(1, atomic_load(&m->ref.count));
        msg_unref(&m);
        out_pool_fini(&pool);
    }
}

TEST(more_may_be_added_whatever_has_been_written)
{
    /* Cut at every byte, then add, then write the rest. */
    for (size_t cut = 0; cut <= 29; cut++) {
        struct out_pool pool = { 0 };
        struct out o = { 0 };
        struct fake *f = fake_peer(cut);
        struct msg *m = message("<shared>");
        const char *want = fill(&o, &pool, m);
        size_t wrote;
        char all[64];
        CHECK_INT(cut == strlen(want) ? ERR_OK : ERR_AGAIN, out_flush(&o, &pool, &f->transport, &wrote));
        CHECK_INT(cut, wrote);
        append(&o, &pool, "five");
        CHECK_INT(ERR_OK, out_share(&o, m, msg_payload(m)));
        f->a_write = SIZE_MAX;
        CHECK_INT(ERR_OK, out_flush(&o, &pool, &f->transport, &wrote));
        snprintf(all, sizeof all, "%sfive<shared>", want);
        CHECK_TRUE(has_taken(f, all));
        msg_unref(&m);
        out_pool_fini(&pool);
    }
}

TEST(a_peer_that_takes_nothing_costs_one_try)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(0);
    size_t wrote = 99;
    append(&o, &pool, "waits");
    CHECK_INT(ERR_AGAIN, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_INT(0, wrote);
    CHECK_INT(1, f->writes);
    CHECK_INT(5, o.bytes);
    out_clear(&o, &pool);
    CHECK_TRUE(out_empty(&o) && o.first == NULL);
    out_pool_fini(&pool);
}

TEST(nothing_to_say_is_not_written)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(0);
    size_t wrote;
    CHECK_INT(ERR_OK, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_TRUE(out_reserve(&o, &pool, 10) != NULL); /* and never filled */
    CHECK_INT(ERR_OK, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_INT(0, f->writes);
    CHECK_TRUE(o.first == NULL);
    out_pool_fini(&pool);
}

TEST(a_broken_peer_is_told_and_what_waits_can_be_thrown_away)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(0);
    struct msg *m = message("<shared>");
    size_t wrote;
    fill(&o, &pool, m);
    f->broken = ERR_CLOSED;
    CHECK_INT(ERR_CLOSED, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_INT(0, wrote);
    out_clear(&o, &pool);
    CHECK_INT(1, atomic_load(&m->ref.count));
    msg_unref(&m);
    out_pool_fini(&pool);
}

TEST(more_parts_than_a_write_takes_go_in_several)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(SIZE_MAX);
    struct msg *m = message("<shared>");
    size_t wrote;
    for (int i = 0; i < 3 * TRANSPORT_PARTS_MAX + 1; i++) CHECK_INT(ERR_OK, out_share(&o, m, msg_topic(m)));
    CHECK_INT(ERR_OK, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_INT(3 * TRANSPORT_PARTS_MAX + 1, f->taken_bytes);
    CHECK_INT(4, f->writes);
    CHECK_INT(TRANSPORT_PARTS_MAX, f->parts_most);
    msg_unref(&m);
    out_pool_fini(&pool);
}

TEST(fewer_bytes_than_reserved_may_be_committed)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(SIZE_MAX);
    size_t wrote;
    memcpy(out_reserve(&o, &pool, 100), "abc", 3);
    out_commit(&o, 3);
    append(&o, &pool, "def");
    CHECK_INT(ERR_OK, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_TRUE(has_taken(f, "abcdef"));
    out_pool_fini(&pool);
}

TEST(a_run_that_no_chunk_holds_is_whole_all_the_same)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(1000);
    size_t wrote, size = 3 * OUT_CHUNK_BYTES;
    append(&o, &pool, "before");
    uint8_t *at = out_reserve(&o, &pool, size);
    CHECK_TRUE(at != NULL);
    for (size_t i = 0; i < size; i++) at[i] = (uint8_t)i;
    out_commit(&o, size);
    append(&o, &pool, "after");
    while (out_flush(&o, &pool, &f->transport, &wrote) == ERR_AGAIN) continue;
    CHECK_INT(6 + size + 5, f->taken_bytes);
    for (size_t i = 0; i < size; i++) CHECK_TRUE(f->taken[6 + i] == (uint8_t)i);
    CHECK_TRUE(memcmp(f->taken + 6 + size, "after", 5) == 0);
    CHECK_TRUE(pool.small.count + pool.large.count <= 2); /* that of its own is not kept */
    out_pool_fini(&pool);
}

TEST(chunks_go_back_to_the_pool_and_come_again)
{
    struct out_pool pool = { 0 };
    struct out a = { 0 }, b = { 0 };
    struct fake *f = fake_peer(SIZE_MAX);
    size_t wrote;
    append(&a, &pool, "a");
    struct out_part *chunk = a.first;
    CHECK_INT(0, pool.small.count);
    CHECK_INT(ERR_OK, out_flush(&a, &pool, &f->transport, &wrote));
    CHECK_INT(1, pool.small.count);
    append(&b, &pool, "b");
    CHECK_TRUE(b.first == chunk);
    CHECK_INT(0, pool.small.count);
    out_clear(&b, &pool);
    CHECK_INT(1, pool.small.count);
    append(&b, &pool, "c"); /* with nothing left of what it held */
    CHECK_INT(ERR_OK, out_flush(&b, &pool, &f->transport, &wrote));
    CHECK_TRUE(has_taken(f, "ac"));
    out_pool_fini(&pool);
    CHECK_TRUE(pool.small.count == 0 && pool.small.free == NULL);
}

TEST(acknowledgements_go_into_small_chunks_and_what_is_more_into_large_ones)
{
    struct out_pool pool = { 0 };
    struct out acks = { 0 }, much = { 0 };
    for (int i = 0; i < 5; i++) append(&acks, &pool, "1234");
    CHECK_TRUE(acks.first == acks.last && acks.first->room < OUT_SMALL_BYTES);
    for (size_t i = 0; i < OUT_CHUNK_BYTES / 8; i++) append(&much, &pool, "12345678");
    CHECK_TRUE(much.first != much.last && much.last->room > OUT_CHUNK_BYTES / 2);
    out_clear(&acks, &pool);
    out_clear(&much, &pool);
    CHECK_INT(2, pool.small.count);
    CHECK_INT(1, pool.large.count);
    out_pool_fini(&pool);
    CHECK_TRUE(pool.large.count == 0 && pool.large.free == NULL);
}

TEST(the_pool_keeps_no_more_than_its_limit)
{
    struct out_pool pool = { 0 };
    struct out *outs = calloc(OUT_CHUNKS_KEPT + 50, sizeof *outs);
    CHECK_TRUE(outs != NULL);
    for (size_t i = 0; i < OUT_CHUNKS_KEPT + 50; i++) append(&outs[i], &pool, "x");
    for (size_t i = 0; i < OUT_CHUNKS_KEPT + 50; i++) out_clear(&outs[i], &pool);
    CHECK_INT(OUT_CHUNKS_KEPT, pool.small.count);
    out_pool_fini(&pool);
    free(outs);
}

TEST(an_idle_connection_holds_nothing)
{
    struct out_pool pool = { 0 };
    struct out o = { 0 };
    struct fake *f = fake_peer(1);
    size_t wrote;
    append(&o, &pool, "x");
    CHECK_INT(ERR_OK, out_flush(&o, &pool, &f->transport, &wrote));
    CHECK_TRUE(o.first == NULL && o.last == NULL && o.bytes == 0);
    out_pool_fini(&pool);
}
