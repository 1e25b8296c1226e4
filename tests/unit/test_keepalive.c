/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/keepalive.h"
#include "kit/test.h"

static struct keepalive *open_learner(void)
{
    struct keepalive_conf conf = { ka_conf_default, 1000, 100 };
    struct keepalive *ka;
    CHECK_INT(ERR_OK, keepalive_new(&ka, &conf, 0));
    return ka;
}

static struct ka_who who_of(uint64_t client, uint8_t net, enum ka_mode mode)
{
    uint8_t address[4] = { 10, net, net, 1 };
    return (struct ka_who){ client, ka_net_of(bytes_of(address, 4), 0, bytes_of(NULL, 0)), 600,
                            (uint8_t)mode };
}

/* Its ping found nothing and it has come back: a takeover when the ping was due. Gives what it is granted
 * then. */
static uint16_t dies(struct keepalive *ka, const struct ka_who *who, uint16_t k_s, int64_t *now_s)
{
    *now_s += k_s + 1;
    struct ka_end end = {
        .how = KA_END_TAKEN_OVER, .keepalive_s = k_s, .packet_s = k_s + 1u, .silent_s = k_s + 1u
    };
    keepalive_ended(ka, who, &end, *now_s);
    return keepalive_connected(ka, who, *now_s);
}

static uint16_t pings(struct keepalive *ka, const struct ka_who *who, uint16_t k_s, int64_t *now_s)
{
    *now_s += k_s;
    return keepalive_heard(ka, who, KA_SIGN_PACKET, k_s, *now_s);
}

TEST(successes_raise_what_is_granted_next_and_renew_puts_it_in_force)
{
    struct keepalive *ka = open_learner();
    struct ka_who who = who_of(1, 1, KA_LEARN);
    int64_t now_s = 1000;
    uint16_t k_s = keepalive_connected(ka, &who, now_s), next_s = k_s;
    CHECK_INT(240, k_s);
    for (unsigned i = 0; i < 5; i++) next_s = pings(ka, &who, k_s, &now_s);
    CHECK_INT(300, next_s);
    for (unsigned i = 0; i < 9; i++) CHECK_INT(300, pings(ka, &who, k_s, &now_s)); /* 240 is still in force */
    CHECK_INT(300, keepalive_renew(ka, &who));
    for (unsigned i = 0; i < 5; i++) next_s = pings(ka, &who, 300, &now_s);
    CHECK_INT(360, next_s);
    keepalive_free(&ka);
}

TEST(the_second_death_counts_at_once_for_what_is_granted)
{
    struct keepalive *ka = open_learner();
    struct ka_who who = who_of(1, 1, KA_LEARN);
    int64_t now_s = 1000;
    uint16_t k_s = keepalive_connected(ka, &who, now_s);
    CHECK_INT(240, dies(ka, &who, k_s, &now_s));
    CHECK_INT(80, dies(ka, &who, k_s, &now_s));
    CHECK_INT(240,
              keepalive_first(ka, 1)->state.k_s); /* and for good when it is clear that it was no outage */
    pings(ka, &who, 80, &now_s);
    CHECK_INT(80, keepalive_first(ka, 1)->state.k_s);
    assert_non_null(keepalive_next_dirty(ka));
    assert_null(keepalive_next_dirty(ka));
    keepalive_free(&ka);
}

TEST(what_many_lose_at_once_is_nobodys_failure)
{
    struct keepalive *ka = open_learner();
    struct ka_who who[40];
    int64_t now_s = 1000;
    for (unsigned i = 0; i < 40; i++) {
        who[i] = who_of(i + 1, (uint8_t)i, KA_LEARN);
        keepalive_connected(ka, &who[i], now_s);
    }
    for (unsigned round = 0; round < 5; round++) {
        int64_t then_s = now_s;
        for (unsigned i = 0; i < 40; i++) {
            now_s = then_s;
            CHECK_TRUE(dies(ka, &who[i], 240, &now_s) <= 240);
        }
        now_s = then_s + 1000;
        for (unsigned i = 0; i < 40; i++) keepalive_connected(ka, &who[i], now_s);
    }
    for (unsigned i = 0; i < 40; i++) CHECK_INT(240, keepalive_first(ka, i + 1)->state.k_s);
    CHECK_INT(200, keepalive_counts(ka)->in_outage);
    CHECK_TRUE(keepalive_counts(ka)->outages >= 5);
    keepalive_free(&ka);
}

TEST(an_end_on_one_network_says_nothing_once_the_client_is_on_another)
{
    struct keepalive *ka = open_learner();
    struct ka_who here = who_of(1, 1, KA_LEARN), there = who_of(1, 2, KA_LEARN);
    int64_t now_s = 1000;
    for (unsigned i = 0; i < 10; i++) {
        keepalive_connected(ka, &here, now_s);
        now_s += 241;
        struct ka_end end = {
            .how = KA_END_TAKEN_OVER, .keepalive_s = 240, .packet_s = 241, .silent_s = 241
        };
        keepalive_ended(ka, &here, &end, now_s);
        keepalive_connected(ka, &there, now_s);
        struct ka_end bye = { .how = KA_END_DISCONNECT };
        keepalive_ended(ka, &there, &bye, now_s + 5);
        now_s += 6;
    }
    CHECK_INT(0, keepalive_counts(ka)->strong);
    CHECK_INT(240, keepalive_connected(ka, &here, now_s));
    keepalive_free(&ka);
}

/* As keepalive_count() has it, one by one. */
static void check_counted(struct keepalive *ka, uint64_t clients)
{
    struct keepalive_counts now;
    uint32_t entries = 0, settled[KEEPALIVE_CLASSES] = { 0 };
    for (uint64_t client = 1; client <= clients; client++)
        for (const struct ka_entry *e = keepalive_first(ka, client); e != NULL; e = e->next) {
            unsigned class = (keepalive_settled(ka, e) - 1u) / KEEPALIVE_CLASS_S;
            settled[class < KEEPALIVE_CLASSES ? class : KEEPALIVE_CLASSES - 1]++;
            entries++;
        }
    keepalive_count(ka, &now);
    CHECK_INT(entries, now.entries);
    for (unsigned i = 0; i < KEEPALIVE_CLASSES; i++) CHECK_INT(settled[i], now.settled[i]);
}

TEST(entries_are_counted_where_they_have_settled_through_all_that_they_do)
{
    enum { CLIENTS = 60 };
    struct keepalive_conf conf = { ka_conf_default, CLIENTS, 100 }; /* fewer than ways: some go */
    struct ka_conf shorter = ka_conf_default;
    struct ka_state old = { .k_s = 130, .proven_s = 150, .ceil_s = 170, .phase = KA_REST };
    struct keepalive *ka;
    uint64_t rng = 5;
    int64_t now_s = 1000;
    CHECK_INT(ERR_OK, keepalive_new(&ka, &conf, 0));
    for (unsigned i = 0; i < 20; i++) CHECK_TRUE(keepalive_restore(ka, i + 1, 77, &old));
    check_counted(ka, CLIENTS);
    for (unsigned i = 0; i < 4000; i++) {
        rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t client = (rng >> 40) % CLIENTS + 1;
        struct ka_who who = who_of(client, (uint8_t)((rng >> 36) % 2),
                                   client % 3 == 0   ? KA_CAP
                                   : client % 3 == 1 ? KA_LEARN
                                                     : KA_PROBE);
        uint16_t k_s = keepalive_connected(ka, &who, now_s);
        for (unsigned n = 0; n < (rng >> 33) % 7; n++) pings(ka, &who, k_s, &now_s);
        keepalive_renew(ka, &who);
        if (k_s > 200 + 10 * client) dies(ka, &who, k_s, &now_s);
        if (i % 100 == 0) check_counted(ka, CLIENTS);
    }
    shorter.max_s = 300;
    keepalive_reload(ka, &shorter);
    for (uint64_t client = 1; client <= CLIENTS; client++) { /* who has been here since is counted by that */
        struct ka_who who = who_of(client, 0, KA_LEARN);
        keepalive_connected(ka, &who, now_s);
    }
    check_counted(ka, CLIENTS);
    struct keepalive_counts now;
    keepalive_count(ka, &now);
    for (unsigned i = 300 / KEEPALIVE_CLASS_S; i < KEEPALIVE_CLASSES; i++) CHECK_INT(0, now.settled[i]);
    keepalive_free(&ka);
}

TEST(with_cap_there_is_no_entry_before_there_is_evidence)
{
    struct keepalive *ka = open_learner();
    struct ka_who who = who_of(1, 1, KA_CAP);
    int64_t now_s = 1000;
    struct ka_end bye = { .how = KA_END_DISCONNECT };
    struct keepalive_counts counts;
    CHECK_INT(600, keepalive_connected(ka, &who, now_s));
    CHECK_INT(600, pings(ka, &who, 600, &now_s));
    keepalive_ended(ka, &who, &bye, now_s);
    keepalive_count(ka, &counts);
    CHECK_INT(0, counts.entries);
    keepalive_connected(ka, &who, now_s);
    CHECK_INT(600, dies(ka, &who, 600, &now_s));
    CHECK_INT(200, dies(ka, &who, 600, &now_s));
    keepalive_count(ka, &counts);
    CHECK_INT(1, counts.entries);
    keepalive_free(&ka);
}

TEST(off_and_a_client_without_keepalive_are_left_alone)
{
    struct keepalive *ka = open_learner();
    struct ka_who off = who_of(1, 1, KA_OFF), none = who_of(2, 1, KA_LEARN);
    int64_t now_s = 1000;
    none.asked_s = 0;
    CHECK_INT(600, keepalive_connected(ka, &off, now_s));
    CHECK_INT(0, keepalive_connected(ka, &none, now_s));
    for (unsigned i = 0; i < 9; i++) CHECK_INT(600, dies(ka, &off, 600, &now_s));
    assert_null(keepalive_first(ka, 1));
    assert_null(keepalive_first(ka, 2));
    keepalive_free(&ka);
}

TEST(what_was_stored_is_there_again_and_is_not_stored_again)
{
    struct keepalive *ka = open_learner();
    struct ka_who who = who_of(1, 1, KA_LEARN);
    struct ka_state state = { .k_s = 260, .proven_s = 280, .ceil_s = 300, .phase = KA_REST, .wait_s = 86400 };
    CHECK_TRUE(keepalive_restore(ka, 1, who.net.key, &state));
    CHECK_TRUE(!keepalive_restore(ka, 1, who.net.key, &state));
    assert_null(keepalive_next_dirty(ka));
    CHECK_INT(260, keepalive_connected(ka, &who, 1000));
    CHECK_INT(260, keepalive_settled(ka, keepalive_first(ka, 1)));
    keepalive_free(&ka);
}

TEST(what_was_stored_of_a_client_that_is_back_takes_the_place_of_who_was_here_longest_ago)
{
    struct keepalive *ka = open_learner();
    struct ka_who who = who_of(5000, 1, KA_LEARN);
    struct ka_state state = { .k_s = 260, .proven_s = 280, .ceil_s = 300, .phase = KA_REST, .wait_s = 86400 };
    for (unsigned i = 0; i < 1000; i++) {
        struct ka_who other = who_of(i + 1, 1, KA_LEARN);
        keepalive_connected(ka, &other, 1000 + i);
    }
    CHECK_TRUE(keepalive_restore(ka, 5000, who.net.key, &state));
    CHECK_INT(260, keepalive_connected(ka, &who, 3000));
    assert_null(keepalive_first(ka, 1));
    keepalive_free(&ka);
}

TEST(of_an_interval_that_cannot_become_shorter_nothing_is_remembered)
{
    struct keepalive *ka = open_learner();
    struct ka_who cap = who_of(1, 1, KA_CAP), probe = who_of(2, 1, KA_PROBE);
    int64_t now_s = 1000;
    cap.asked_s = 2;
    probe.asked_s = 60;
    for (unsigned i = 0; i < 9; i++) {
        CHECK_INT(2, keepalive_connected(ka, &cap, now_s));
        CHECK_INT(60, keepalive_connected(ka, &probe, now_s));
        CHECK_INT(2, dies(ka, &cap, 2, &now_s));
        CHECK_INT(60, dies(ka, &probe, 60, &now_s));
    }
    assert_null(keepalive_first(ka, 1));
    assert_null(keepalive_first(ka, 2));
    assert_null(keepalive_next_dirty(ka));
    keepalive_free(&ka);
}

TEST(a_clock_that_jumps_costs_no_more_than_a_piece_of_evidence)
{
    struct keepalive *ka = open_learner();
    struct ka_who who = who_of(1, 1, KA_LEARN);
    int64_t now_s = 1000;
    uint16_t k_s = keepalive_connected(ka, &who, now_s);
    for (unsigned i = 0; i < 20; i++) {
        pings(ka, &who, k_s, &now_s);
        k_s = dies(ka, &who, k_s, &now_s); /* a failure for each success */
        now_s += i % 2 == 0 ? INT64_C(100000000) : -INT64_C(99999999);
        k_s = keepalive_connected(ka, &who, now_s);
        CHECK_TRUE(k_s >= 240);
    }
    CHECK_TRUE(keepalive_first(ka, 1)->state.k_s >= 240);
    keepalive_free(&ka);
}
