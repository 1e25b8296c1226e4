/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/transport_rig.h"
#include "kit/test.h"
#include "net/address.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define EACH_KIND(k) for (const struct rig_kind *k = rig_kinds(); k->name != NULL; k++)

static void fill(struct out *b, size_t n)
{
    for (size_t i = 0; i < n; i++) out_u8(b, rig_draw(256));
}

static void check_same(const struct rig *r, const struct out *want, const struct out *got)
{
    if (want->len != got->len) fail_msg("%s: %zu bytes, not %zu", r->kind->name, got->len, want->len);
    CHECK_TRUE(want->len == 0 || memcmp(want->at, got->at, want->len) == 0);
}

/* What is_done asks for. */
static size_t want_here, want_there;

static bool all_came(const struct rig *r)
{
    return r->got.len >= want_here && r->wire.plain.len >= want_there;
}

static bool has_ended(const struct rig *r)
{
    return r->ended != ERR_OK;
}

static bool client_saw_end(const struct rig *r)
{
    return r->client_eof;
}

/* Both ends say n bytes, in several pieces of the client's. */
static void check_both_ways(struct rig *r, size_t n)
{
    struct out up = { 0 }, down = { 0 };
    fill(&up, n);
    fill(&down, n);
    out_add(&r->to_send, down.at, down.len);
    for (size_t at = 0; at < n;) {
        size_t some = 1 + rig_draw(40000);
        if (some > n - at) some = n - at;
        wire_send(&r->wire, up.at + at, some);
        at += some;
    }
    want_here = want_there = n;
    rig_run(r, all_came);
    check_same(r, &up, &r->got);
    check_same(r, &down, &r->wire.plain);
    CHECK_INT(ERR_OK, r->ended);
    out_clear(&up);
    out_clear(&down);
}

TEST(bytes_go_both_ways_exactly_however_they_are_cut)
{
    static const size_t most[] = { 1, 7, 300, 5000, 60000 };
    EACH_KIND(k)
    {
        for (unsigned seed = 1; seed <= 10; seed++) {
            struct rig r;
            rig_seed(seed);
            rig_open(&r, k, seed % 3);
            rig_run_open(&r);
            r.read_max = most[rig_draw(5)];
            r.write_max = most[rig_draw(5)];
            r.net_max = most[rig_draw(5)];
            bool is_slow = r.read_max < 100 || r.write_max < 100 || r.net_max < 100;
            check_both_ways(&r, is_slow ? 3000 : 150000);
            rig_close(&r);
        }
    }
}

TEST(a_handshake_may_come_a_byte_at_a_time)
{
    EACH_KIND(k)
    {
        struct rig r;
        rig_seed(1);
        rig_open(&r, k, 0);
        r.net_max = r.read_max = 1;
        rig_run_open(&r);
        check_both_ways(&r, 100);
        rig_close(&r);
    }
}

TEST(what_comes_behind_a_handshake_in_the_same_read_is_not_lost)
{
    EACH_KIND(k)
    {
        struct rig r;
        struct out want = { 0 };
        rig_seed(1);
        rig_open(&r, k, 0);
        r.read_max = 3;
        fill(&want, 500);
        if (k->client.is_websocket && !k->client.is_tls) { /* it need not wait for the answer */
            r.wire.ws = WIRE_WS_OPEN;
            wire_send(&r.wire, want.at, want.len);
            r.wire.ws = WIRE_WS_SHAKING;
        } else {
            wire_send(&r.wire, want.at, want.len);
        }
        want_here = want.len;
        want_there = 0;
        rig_run(&r, all_came);
        check_same(&r, &want, &r.got);
        out_clear(&want);
        rig_close(&r);
    }
}

TEST(whom_a_proxy_speaks_for_is_known_above_all_layers)
{
    EACH_KIND(k)
    {
        struct rig r;
        char text[ADDRESS_TEXT_BYTES];
        rig_seed(1);
        rig_open(&r, k, 0);
        rig_run_open(&r);
        check_both_ways(&r, 100);
        transport_peer(&r.here, text);
        if (k->client.preface.len > 0)
            CHECK_TRUE(strcmp(text, "192.0.2.1:4000") == 0);
        else
            CHECK_TRUE(strncmp(text, k->is_unix ? "local:" : "127.0.0.1:", 6) == 0);
        rig_close(&r);
    }
}

TEST(a_read_with_nothing_there_says_so)
{
    EACH_KIND(k)
    {
        struct rig r;
        char block[16];
        size_t got = 99;
        rig_open(&r, k, 0);
        CHECK_INT(ERR_AGAIN, r.here.ops->read(&r.here, block, sizeof block, &got));
        CHECK_INT(0, got);
        rig_run_open(&r);
        while (rig_turn(&r)) {}
        got = 99;
        CHECK_INT(ERR_AGAIN, r.here.ops->read(&r.here, block, sizeof block, &got));
        CHECK_INT(0, got);
        rig_close(&r);
    }
}

/* read_max 1 takes one byte of what is there: the rest must be announced again and again. */
TEST(what_a_read_has_left_is_announced)
{
    EACH_KIND(k)
    {
        struct rig r;
        rig_seed(3);
        rig_open(&r, k, 0);
        rig_run_open(&r);
        r.read_max = 1;
        check_both_ways(&r, 2000);
        rig_close(&r);
    }
}

TEST(a_write_of_many_parts_keeps_their_order)
{
    EACH_KIND(k)
    {
        struct rig r;
        struct out want = { 0 };
        struct iovec parts[TRANSPORT_PARTS_MAX];
        size_t wrote;
        rig_seed(4);
        rig_open(&r, k, 0);
        rig_run_open(&r);
        fill(&want, TRANSPORT_PARTS_MAX * 10);
        for (size_t i = 0; i < TRANSPORT_PARTS_MAX; i++)
            parts[i] = (struct iovec){ want.at + 10 * i, i % 7 == 0 ? 0 : 10 };
        struct out sent = { 0 };
        for (size_t i = 0; i < TRANSPORT_PARTS_MAX; i++) out_add(&sent, parts[i].iov_base, parts[i].iov_len);
        CHECK_INT(ERR_OK, r.here.ops->write(&r.here, parts, TRANSPORT_PARTS_MAX, &wrote));
        CHECK_INT(sent.len, wrote);
        want_here = 0;
        want_there = sent.len;
        rig_run(&r, all_came);
        check_same(&r, &sent, &r.wire.plain);
        out_clear(&sent);
        out_clear(&want);
        rig_close(&r);
    }
}

TEST(a_write_without_parts_writes_nothing_and_is_no_mistake)
{
    EACH_KIND(k)
    {
        struct rig r;
        size_t wrote = 99;
        rig_open(&r, k, 0);
        rig_run_open(&r);
        if (!k->is_plain) { /* whoever has no output of its own is not asked */
            CHECK_INT(ERR_OK, r.here.ops->write(&r.here, NULL, 0, &wrote));
            CHECK_INT(0, wrote);
            CHECK_INT(0, r.here.needs & TRANSPORT_HAS_OUTPUT);
        }
        check_both_ways(&r, 100);
        rig_close(&r);
    }
}

TEST(a_peer_that_does_not_read_makes_a_write_stop_and_gets_all_when_it_does)
{
    EACH_KIND(k)
    {
        struct rig r;
        struct out want = { 0 };
        rig_seed(5);
        rig_open(&r, k, 0);
        rig_run_open(&r);
        fill(&want, 1000000);
        size_t at = 0, wrote;
        enum err rc = ERR_OK;
        while (rc == ERR_OK && at < want.len) {
            struct iovec part = { want.at + at, want.len - at };
            rc = r.here.ops->write(&r.here, &part, 1, &wrote);
            at += wrote;
        }
        CHECK_INT(ERR_AGAIN, rc);
        out_add(&r.to_send, want.at + at, want.len - at);
        r.offered = want.len - at;
        want_here = 0;
        want_there = want.len;
        rig_run(&r, all_came);
        check_same(&r, &want, &r.wire.plain);
        out_clear(&want);
        rig_close(&r);
    }
}

TEST(an_end_by_us_lets_through_what_was_written)
{
    EACH_KIND(k)
    {
        for (size_t n = 0; n <= 300000; n += 150000) {
            struct rig r;
            struct out want = { 0 };
            rig_seed(6);
            rig_open(&r, k, 0);
            rig_run_open(&r);
            fill(&want, n);
            if (n > 0) out_add(&r.to_send, want.at, want.len);
            r.ends = true;
            rig_run(&r, client_saw_end);
            check_same(&r, &want, &r.wire.plain);
            if (k->client.is_tls || k->client.is_websocket) CHECK_TRUE(r.wire.has_end);
            if (k->client.is_websocket) CHECK_INT(1000, r.wire.ws_status);
            out_clear(&want);
            rig_close(&r);
        }
    }
}

TEST(an_end_by_the_peer_comes_after_what_it_said)
{
    EACH_KIND(k)
    {
        struct rig r;
        struct out want = { 0 };
        rig_seed(7);
        rig_open(&r, k, 7);
        rig_run_open(&r);
        fill(&want, 50000);
        wire_send(&r.wire, want.at, want.len);
        wire_finish(&r.wire);
        while (r.wire.to_net.len > 0 && r.ended == ERR_OK) rig_turn(&r);
        shutdown(r.there, SHUT_WR);
        rig_run(&r, has_ended);
        CHECK_INT(ERR_CLOSED, r.ended);
        check_same(&r, &want, &r.got);
        out_clear(&want);
        rig_close(&r);
    }
}

/* Of the client's bytes, handshake and all, only the first n arrive. False: there were no more. */
static bool check_cut_at(const struct rig_kind *k, size_t n)
{
    struct rig r;
    size_t sent = 0;
    rig_seed(8);
    rig_open(&r, k, 0);
    wire_send(&r.wire, "a few bytes", 11);
    bool is_whole = false;
    while (sent < n && !is_whole) {
        size_t some = r.wire.to_net.len < n - sent ? r.wire.to_net.len : n - sent;
        rig_client_send_raw(&r, some);
        sent += some;
        is_whole = r.got.len == 11;
        if (sent < n && !is_whole && r.wire.to_net.len == 0) rig_turn(&r);
    }
    rig_client_hang_up(&r);
    rig_run(&r, has_ended);
    bool in_handshake = k->client.is_tls && r.got.len == 0; /* that is a mistake, and said so */
    CHECK_TRUE(r.ended == ERR_CLOSED || (in_handshake && r.ended == ERR_SYNTAX));
    rig_close(&r);
    return !is_whole;
}

TEST(a_peer_that_vanishes_anywhere_is_closed)
{
    EACH_KIND(k)
    {
        size_t n = 0;
        while (check_cut_at(k, n)) n += n < 40 || !k->client.is_tls ? 1 : 17;
    }
}

TEST(a_connection_may_be_closed_by_us_anywhere)
{
    EACH_KIND(k)
    {
        for (unsigned turns = 0; turns < 60; turns++) {
            struct rig r;
            rig_seed(turns);
            rig_open(&r, k, 1);
            r.net_max = 25;
            r.read_max = 10;
            wire_send(&r.wire, "a few bytes", 11);
            fill(&r.to_send, turns % 2 * 1000);
            for (unsigned i = 0; i < turns; i++) rig_turn(&r);
            rig_close(&r); /* what leaks is the sanitizer's to say */
        }
    }
}

static bool is_over(const struct rig *r)
{
    return r->ended != ERR_OK || (r->client_eof && r->here.needs == 0);
}

static void check_garbage(const struct rig_kind *k, bool is_open)
{
    struct rig r;
    rig_open(&r, k, 0);
    if (is_open)
        rig_run_open(&r);
    else
        out_clear(&r.wire.to_net);
    struct out junk = { 0 };
    fill(&junk, 200);
    if (is_open)
        wire_send_below(&r.wire, junk.at, junk.len);
    else
        out_add(&r.wire.to_net, junk.at, junk.len);
    r.wire.trouble = "the rest is not looked at";
    while (r.wire.to_net.len > 0 && r.ended == ERR_OK) rig_turn(&r);
    shutdown(r.there, SHUT_WR);
    rig_run(&r, is_over);
    CHECK_TRUE(r.ended == ERR_CLOSED || r.ended == ERR_SYNTAX);
    CHECK_TRUE(r.ended != ERR_SYNTAX || r.here.why != NULL);
    out_clear(&junk);
    rig_close(&r);
}

TEST(garbage_ends_a_connection_and_nothing_else)
{
    EACH_KIND(k)
    {
        for (unsigned seed = 0; seed < 50; seed++) {
            rig_seed(seed);
            check_garbage(k, seed % 2 == 1);
        }
    }
}
