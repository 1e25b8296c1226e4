/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/classify.h"
#include "kit/test.h"

/* A connection with 280 s in force, told to the client, that was silent for so long when it ended. */
static struct ka_end end_of(enum ka_how how, uint32_t silent_s)
{
    return (
        struct ka_end){ .how = (uint8_t)how, .keepalive_s = 280, .packet_s = silent_s, .silent_s = silent_s };
}

static int kind_of(const struct ka_end *end, uint32_t away_s)
{
    return ka_judge_return(end, 280, away_s).kind;
}

TEST(a_reset_that_answers_a_push_is_a_strong_failure_of_the_gap_before_it)
{
    struct ka_end end = end_of(KA_END_RESET, 250);
    CHECK_INT(KA_NEUTRAL, ka_judge_end(&end, 280).kind);
    end.has_unacked = true;
    end.sent_gap_s = 250;
    end.sent_ago_ms = 80;
    CHECK_INT(KA_FAIL_STRONG, ka_judge_end(&end, 280).kind);
    CHECK_INT(250, ka_judge_end(&end, 280).gap_s);
    end.sent_ago_ms = 5000;
    CHECK_INT(KA_NEUTRAL, ka_judge_end(&end, 280).kind);
    end.round_trip_ms = 2000; /* a slow path */
    CHECK_INT(KA_FAIL_STRONG, ka_judge_end(&end, 280).kind);
}

TEST(a_takeover_when_the_ping_was_due_is_a_strong_failure)
{
    static const struct {
        uint32_t silent_s;
        int kind;
    } cases[] = { { 0, KA_NEUTRAL },       { 100, KA_NEUTRAL },     { 274, KA_NEUTRAL },
                  { 275, KA_FAIL_STRONG }, { 280, KA_FAIL_STRONG }, { 310, KA_FAIL_STRONG },
                  { 311, KA_FAIL_WEAK },   { 590, KA_FAIL_WEAK },   { 591, KA_NEUTRAL } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ka_end end = end_of(KA_END_TAKEN_OVER, cases[i].silent_s);
        CHECK_INT(cases[i].kind, kind_of(&end, 0));
    }
}

TEST(what_was_acknowledged_meanwhile_shortens_the_gap_that_failed)
{
    struct ka_end end = end_of(KA_END_TAKEN_OVER, 281);
    CHECK_INT(280, ka_judge_return(&end, 280, 0).gap_s);
    end.silent_s = 90; /* TCP acknowledged a push 90 s ago */
    CHECK_INT(KA_FAIL_STRONG, kind_of(&end, 0));
    CHECK_INT(90, ka_judge_return(&end, 280, 0).gap_s);
}

TEST(a_push_that_was_never_acknowledged_counts_if_the_client_comes_back_soon)
{
    struct ka_end end = end_of(KA_END_TIMED_OUT, 200);
    CHECK_INT(KA_NEUTRAL, kind_of(&end, 10));
    end.has_unacked = true;
    end.sent_gap_s = 170;
    end.sent_ago_ms = 30000;
    CHECK_INT(KA_FAIL_STRONG, kind_of(&end, 60));
    CHECK_INT(170, ka_judge_return(&end, 280, 60).gap_s);
    CHECK_INT(KA_FAIL_STRONG, kind_of(&end, 100)); /* at its own ping: it noticed nothing before */
    CHECK_INT(KA_FAIL_WEAK, kind_of(&end, 200));
    CHECK_INT(KA_NEUTRAL, kind_of(&end, 5000));
}

TEST(silence_until_the_broker_closes_is_a_weak_failure_if_the_client_is_there)
{
    struct ka_end end = end_of(KA_END_SILENT, 420);
    CHECK_INT(KA_FAIL_WEAK, kind_of(&end, 5));
    CHECK_INT(KA_FAIL_WEAK, kind_of(&end, 60));
    CHECK_INT(KA_FAIL_WEAK, kind_of(&end, 141)); /* it waited a whole interval for the answer */
    CHECK_INT(KA_NEUTRAL, kind_of(&end, 1000));
}

TEST(a_probe_without_an_answer_counts_for_the_interval_of_the_probe)
{
    struct ka_end end = end_of(KA_END_TAKEN_OVER, 1200);
    end.keepalive_s = 1200;
    end.silent_s = 500;
    end.has_unacked = true;
    end.sent_gap_s = 280;
    end.sent_ago_ms = 110000;
    CHECK_INT(KA_FAIL_STRONG, kind_of(&end, 0));
    CHECK_INT(280, ka_judge_return(&end, 280, 0).gap_s);
    end.sent_ago_ms = 220000; /* its own ping may have met what an outage has left of the way since */
    CHECK_INT(KA_FAIL_WEAK, kind_of(&end, 0));
    end.packet_s = 700; /* not its time: something else brought it here */
    CHECK_INT(KA_FAIL_WEAK, kind_of(&end, 0));
}

TEST(ends_that_say_something_else_are_neutral)
{
    static const enum ka_how hows[] = { KA_END_NONE, KA_END_DISCONNECT, KA_END_FIN, KA_END_OURS,
                                        KA_END_RESET };
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        struct ka_end end = end_of(hows[i], 281);
        CHECK_INT(KA_NEUTRAL, kind_of(&end, 0));
        CHECK_INT(KA_NEUTRAL, ka_judge_end(&end, 280).kind);
    }
    struct ka_end end = end_of(KA_END_TAKEN_OVER, 281);
    CHECK_INT(KA_NEUTRAL, ka_judge_return(&end, 0, 0).kind); /* there was no keepalive */
}

TEST(a_sign_of_life_is_a_success_unless_it_came_late)
{
    CHECK_INT(KA_SUCCESS, ka_judge_sign(KA_SIGN_PACKET, 280, 280).kind);
    CHECK_INT(KA_SUCCESS, ka_judge_sign(KA_SIGN_ACK, 280, 280).kind);
    CHECK_INT(KA_NEUTRAL, ka_judge_sign(KA_SIGN_LATE, 280, 280).kind);
    CHECK_INT(UINT16_MAX, ka_judge_sign(KA_SIGN_PACKET, 100000, 280).gap_s);
}

static struct ka_outages with_connections(unsigned count)
{
    struct ka_outages o;
    ka_outages_init(&o, 1000);
    for (unsigned i = 0; i < count; i++) ka_outages_connected(&o);
    return o;
}

static unsigned lose(struct ka_outages *o, unsigned count, int64_t from_s, int64_t to_s)
{
    unsigned begun = 0;
    for (unsigned i = 0; i < count; i++)
        begun += ka_outages_ended(o, &ka_conf_default, KA_END_RESET, from_s + (to_s - from_s) * i / count);
    return begun;
}

TEST(a_twentieth_of_all_connections_within_ten_seconds_is_an_outage)
{
    struct ka_outages o = with_connections(1000);
    CHECK_INT(1, lose(&o, 60, 2000, 2009));
    CHECK_INT(KA_YES, ka_outages_ask(&o, &ka_conf_default, 2003, 2003, 2005));
    CHECK_INT(KA_YES, ka_outages_ask(&o, &ka_conf_default, 2003, 2003, 9000));
    CHECK_INT(KA_YES, ka_outages_ask(&o, &ka_conf_default, 1500, 2003, 9000)); /* back with all the others */
    CHECK_INT(KA_NO, ka_outages_ask(&o, &ka_conf_default, 1500, 1500, 9000));
    CHECK_INT(KA_NO, ka_outages_ask(&o, &ka_conf_default, 3000, 3000, 9000));
}

TEST(the_same_losses_over_a_minute_are_none)
{
    struct ka_outages o = with_connections(1000);
    CHECK_INT(0, lose(&o, 60, 2000, 2060));
    CHECK_INT(KA_NO, ka_outages_ask(&o, &ka_conf_default, 2030, 2030, 3000));
}

TEST(a_few_of_few_connections_are_no_outage)
{
    struct ka_outages o = with_connections(4);
    CHECK_INT(0, lose(&o, 4, 2000, 2001));
}

TEST(who_says_goodbye_is_not_lost)
{
    struct ka_outages o = with_connections(100);
    for (unsigned i = 0; i < 50; i++)
        CHECK_TRUE(
            !ka_outages_ended(&o, &ka_conf_default, i % 2 == 0 ? KA_END_DISCONNECT : KA_END_OURS, 2000));
}

TEST(nothing_is_said_while_the_window_is_open_or_the_clock_went_back)
{
    struct ka_outages o = with_connections(100);
    CHECK_INT(KA_TOO_EARLY, ka_outages_ask(&o, &ka_conf_default, 2000, 2000, 2009));
    CHECK_INT(KA_NO, ka_outages_ask(&o, &ka_conf_default, 2000, 2000, 2010));
    CHECK_INT(KA_YES, ka_outages_ask(&o, &ka_conf_default, 2000, 2000, 1000));
}

TEST(outages_that_may_have_been_forgotten_are_taken_for_some)
{
    struct ka_outages o = with_connections(1000);
    for (unsigned i = 0; i <= KA_OUTAGES_MAX; i++) {
        CHECK_INT(1, lose(&o, 60, 2000 + 1000 * i, 2009 + 1000 * i));
        for (unsigned j = 0; j < 60; j++) ka_outages_connected(&o);
    }
    CHECK_INT(KA_YES, ka_outages_ask(&o, &ka_conf_default, 1500, 1500, 90000));
    CHECK_INT(KA_NO, ka_outages_ask(&o, &ka_conf_default, 50000, 50000, 90000));
}
