/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/db_kit.h"
#include <stdio.h>
#include <string.h>

/* What QoS 2, groups and delayed messages leave in the tables. */

enum { GROUP = 300 };

static struct command *received(uint64_t session_no, const uint64_t *seqs)
{
    struct command *c = make_ack(session_no, 0, seqs);
    c->kind = COMMAND_RECEIVED;
    return c;
}

static struct command *with_id(uint64_t position, uint64_t publisher, uint16_t id, const uint64_t *sessions)
{
    struct command *c = message(position, "m", sessions);
    c->session_no = publisher;
    c->in_id = id;
    return c;
}

static struct command *release(uint64_t publisher, uint16_t id)
{
    struct command *c = make_plain(COMMAND_RELEASE, publisher, bytes_of(NULL, 0));
    c->in_id = id;
    return c;
}

static struct command *group(uint64_t number, const char *text)
{
    return make_plain(COMMAND_GROUP, number, bytes_of_text(text));
}

static struct command *delayed(uint64_t position, const char *payload, uint64_t due_ms)
{
    struct command *c = message(position, payload, (uint64_t[]){ DELAYED_QUEUE, 0 });
    c->due_ms = due_ms;
    return c;
}

static struct command *move(uint64_t position, uint64_t from, uint64_t seq, const uint64_t *sessions)
{
    struct command *c = message(position, "moved", sessions);
    c->kind = COMMAND_MOVE;
    c->session_no = from;
    c->version = seq;
    return c;
}

static struct command *end(uint64_t number)
{
    return make_plain(COMMAND_END_SESSION, number, bytes_of(NULL, 0));
}

static int bodies(struct rig *r)
{
    return count(r, "SELECT count(*) FROM body");
}

/* --- PUBREC */

TEST(what_was_received_is_marked_and_nothing_else)
{
    struct rig *r = rig_open();
    for (uint64_t at = 11; at <= 14; at++) fold_alone(r, message(at, "m", (uint64_t[]){ 1, 2, 0 }), at);
    fold_alone(r, received(1, (uint64_t[]){ 12, 14, 99, 0 }), 15);
    assert_string_equal(page(r, 1, 0, 10), "11:m 12:m released 13:m 14:m released ");
    CHECK_INT(1, r->page.rows[1].qos);
    CHECK_TRUE(!r->page.rows[1].retain);
    assert_string_equal(page(r, 2, 0, 10), "11:m 12:m 13:m 14:m ");
    fold_alone(r, received(1, (uint64_t[]){ 11, 12, 0 }), 16);
    assert_string_equal(page(r, 1, 0, 10), "11:m released 12:m released 13:m 14:m released ");
    fold_alone(r, make_ack(1, 14, (uint64_t[]){ 12, 13, 0 }), 17);
    assert_string_equal(page(r, 1, 0, 10), "12:m released 13:m ");
    rig_free(r);
}

TEST(what_one_transaction_brings_it_marks_too)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    for (uint64_t at = 1; at <= 3; at++) fold(r, message(at, "m", (uint64_t[]){ 1, 0 }), NULL);
    fold(r, received(1, (uint64_t[]){ 2, 3, 0 }), NULL);
    fold(r, message(5, "m", (uint64_t[]){ 1, 0 }), NULL);
    commit(r, 5);
    assert_string_equal(page(r, 1, 0, 10), "1:m 2:m released 3:m released 5:m ");
    rig_free(r);
}

/* --- packet ids */

TEST(a_packet_id_stays_until_it_is_released)
{
    struct rig *r = rig_open();
    fold_alone(r, with_id(1, 5, 65535, (uint64_t[]){ 1, 0 }), 1);
    fold_alone(r, with_id(2, 5, 1, (uint64_t[]){ 0 }), 2);
    fold_alone(r, with_id(3, 6, 1, (uint64_t[]){ 0 }), 3);
    assert_string_equal(at_boot(r), "inbound 5:1;inbound 5:65535;inbound 6:1;");
    assert_string_equal(page(r, 1, 0, 10), "1:m ");
    fold_alone(r, release(5, 1), 4);
    fold_alone(r, release(5, 2), 5);
    assert_string_equal(at_boot(r), "inbound 5:65535;inbound 6:1;");
    fold_alone(r, end(5), 6);
    assert_string_equal(at_boot(r), "inbound 6:1;");
    rig_free(r);
}

TEST(a_packet_id_that_is_free_already_is_not_stored)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, with_id(1, 5, 7, (uint64_t[]){ 1, 0 }), (bool[]){ true, false });
    fold(r, with_id(2, 5, 8, (uint64_t[]){ 1, 0 }), (bool[]){ false, true });
    commit(r, 2);
    assert_string_equal(at_boot(r), "inbound 5:8;");
    assert_string_equal(page(r, 1, 0, 10), "1:m ");
    rig_free(r);
}

TEST(of_a_duplicate_only_the_packet_id_is_stored)
{
    struct rig *r = rig_open();
    struct command *c = with_id(1, 5, 7, (uint64_t[]){ 1, 0 });
    c->result = COMMAND_DUPLICATE;
    c->targets[0].drop_upto = 1;
    fold_alone(r, message(1, "old", (uint64_t[]){ 1, 0 }), 1);
    fold_alone(r, c, 2);
    assert_string_equal(at_boot(r), "inbound 5:7;");
    assert_string_equal(page(r, 1, 0, 10), "1:old ");
    rig_free(r);
}

TEST(a_packet_id_that_is_used_again_is_known_again)
{
    for (int in_one = 0; in_one < 2; in_one++) {
        struct rig *r = rig_open();
        struct command *c[] = { with_id(1, 5, 7, (uint64_t[]){ 1, 0 }), release(5, 7),
                                with_id(3, 5, 7, (uint64_t[]){ 1, 0 }) };
        CHECK_INT(ERR_OK, db_begin(r->writer));
        for (uint64_t i = 0; i < 3; i++) {
            fold(r, c[i], NULL);
            if (in_one) continue;
            commit(r, i + 1);
            CHECK_INT(i == 1 ? 0 : 1, count(r, "SELECT count(*) FROM inbound"));
            CHECK_INT(ERR_OK, db_begin(r->writer));
        }
        commit(r, 4);
        assert_string_equal(at_boot(r), "inbound 5:7;");
        rig_free(r);
    }
}

/* --- groups */

TEST(a_group_is_shown_between_sessions_and_subscriptions_and_has_a_queue)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, group(GROUP, "$share/g/a/#"), 2);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "$share/g/a/#", 1), 3);
    fold_alone(r, group(GROUP, "$share/g/a/#"), 4); /* again: the same */
    fold_alone(r, message(5, "five", (uint64_t[]){ GROUP, 0 }), 5);
    assert_string_equal(all_at_boot(r), "session 1 phone claim 1001 expiry 3600;group 300 $share/g/a/#;"
                                        "sub 1 $share/g/a/# 1;entry 300:5 4;");
    fold_alone(r, end(GROUP), 6);
    assert_string_equal(all_at_boot(r), "session 1 phone claim 1001 expiry 3600;sub 1 $share/g/a/# 1;");
    fold_alone(r, group(GROUP + 1, "$share/g/a/#"), 7); /* its name is free */
    assert_string_equal(page(r, GROUP + 1, 0, 10), "");
    rig_free(r);
}

TEST(what_moves_leaves_one_queue_for_others)
{
    struct rig *r = rig_open();
    for (uint64_t at = 1; at <= 3; at++) fold_alone(r, message(at, "m", (uint64_t[]){ GROUP, 0 }), at);
    fold_alone(r, move(4, GROUP, 2, (uint64_t[]){ 1, 2, 0 }), 4);
    assert_string_equal(page(r, GROUP, 0, 10), "1:m 3:m ");
    assert_string_equal(page(r, 1, 0, 10), "4:moved ");
    assert_string_equal(page(r, 2, 0, 10), "4:moved ");
    fold_alone(r, move(4, GROUP, 2, (uint64_t[]){ 1, 2, 0 }), 4); /* again: the same */
    assert_string_equal(page(r, GROUP, 0, 10), "1:m 3:m ");
    assert_string_equal(page(r, 1, 0, 10), "4:moved ");
    fold_alone(r, move(5, GROUP, 1, (uint64_t[]){ 0 }), 5);
    assert_string_equal(page(r, GROUP, 0, 10), "3:m ");
    assert_string_equal(at_boot(r), "");
    rig_free(r);
}

TEST(what_moves_goes_though_its_targets_have_finished_it)
{
    struct rig *r = rig_open();
    fold_alone(r, message(1, "m", (uint64_t[]){ GROUP, 0 }), 1);
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, move(2, GROUP, 1, (uint64_t[]){ 1, 0 }), (bool[]){ false });
    commit(r, 2);
    assert_string_equal(page(r, GROUP, 0, 10), "");
    assert_string_equal(page(r, 1, 0, 10), "");
    rig_free(r);
}

TEST(what_one_transaction_brings_it_moves_too)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, message(1, "m", (uint64_t[]){ GROUP, 0 }), NULL);
    fold(r, delayed(2, "m", 7), NULL);
    fold(r, move(3, GROUP, 1, (uint64_t[]){ 1, 0 }), NULL);
    fold(r, move(4, DELAYED_QUEUE, 2, (uint64_t[]){ 1, 0 }), NULL);
    fold(r, received(1, (uint64_t[]){ 3, 0 }), NULL);
    commit(r, 5);
    assert_string_equal(page(r, 1, 0, 10), "3:moved released 4:moved ");
    CHECK_INT(2, count(r, "SELECT count(*) FROM queue"));
    assert_string_equal(at_boot(r), "");
    rig_free(r);
}

TEST(the_body_of_what_has_moved_is_swept)
{
    struct rig *r = rig_open();
    fold_alone(r, message(1, "m", (uint64_t[]){ GROUP, GROUP + 1, 0 }), 1);
    fold_alone(r, move(2, GROUP, 1, (uint64_t[]){ 1, 2, 0 }), 2);
    tidy(r);
    CHECK_INT(2, bodies(r)); /* the other group has the first still */
    fold_alone(r, move(3, GROUP + 1, 1, (uint64_t[]){ 0 }), 3);
    tidy(r);
    CHECK_INT(1, bodies(r));
    assert_string_equal(page(r, 2, 0, 10), "2:moved ");
    rig_free(r);
}

TEST(a_full_queue_drops_for_what_moves_into_it)
{
    struct rig *r = rig_open();
    struct command *c = move(3, GROUP, 1, (uint64_t[]){ 1, 0 });
    c->targets[0].drop_upto = 2;
    fold_alone(r, message(1, "m", (uint64_t[]){ GROUP, 0 }), 1);
    fold_alone(r, message(2, "old", (uint64_t[]){ 1, 0 }), 2);
    fold_alone(r, c, 3);
    assert_string_equal(page(r, 1, 0, 10), "3:moved ");
    assert_string_equal(page(r, GROUP, 0, 10), "");
    rig_free(r);
}

/* --- delayed */

TEST(what_is_not_due_is_shown_by_time_until_it_moves)
{
    struct rig *r = rig_open();
    fold_alone(r, delayed(1, "late", 900), 1);
    fold_alone(r, delayed(2, "soon", 500), 2);
    assert_string_equal(at_boot(r), "delayed 2 at 500;delayed 1 at 900;");
    assert_string_equal(page(r, DELAYED_QUEUE, 0, 10), "1:late 2:soon ");
    fold_alone(r, move(3, DELAYED_QUEUE, 2, (uint64_t[]){ 1, 0 }), 3);
    assert_string_equal(at_boot(r), "delayed 1 at 900;");
    assert_string_equal(page(r, 1, 0, 10), "3:moved ");
    fold_alone(r, move(4, DELAYED_QUEUE, 1, (uint64_t[]){ 0 }), 4);
    assert_string_equal(at_boot(r), "");
    CHECK_INT(1, count(r, "SELECT count(*) FROM queue"));
    rig_free(r);
}

TEST(what_went_out_before_the_fold_is_not_delayed_any_more)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, delayed(1, "m", 500), (bool[]){ false });
    commit(r, 2);
    assert_string_equal(at_boot(r), "");
    rig_free(r);
}

TEST(what_is_to_be_retained_is_so_when_it_is_due)
{
    struct rig *r = rig_open();
    struct a_message m = { .topic = "t", .payload = "kept", .retain = true };
    struct command *late = make_enqueue(1, &m, (uint64_t[]){ DELAYED_QUEUE, 0 }), *due;
    late->due_ms = 500;
    fold_alone(r, late, 1);
    assert_string_equal(at_boot(r), "delayed 1 at 500;");
    due = make_enqueue(2, &m, (uint64_t[]){ 0 });
    due->kind = COMMAND_MOVE;
    due->session_no = DELAYED_QUEUE;
    due->version = 1;
    due->retains = true;
    fold_alone(r, due, 2);
    assert_string_equal(at_boot(r), "retained t=kept 2;");
    rig_free(r);
}

TEST(a_group_retains_nothing)
{
    struct rig *r = rig_open();
    struct a_message m = { .topic = "t", .payload = "kept", .retain = true };
    struct command *c = make_enqueue(2, &m, (uint64_t[]){ 1, 0 });
    c->kind = COMMAND_MOVE;
    c->session_no = GROUP;
    c->version = 1;
    fold_alone(r, c, 2);
    assert_string_equal(at_boot(r), "");
    rig_free(r);
}

/* --- subscription identifiers */

TEST(a_subscription_has_the_identifier_of_its_last_packet)
{
    struct rig *r = rig_open();
    struct command *c = filters(COMMAND_SUBSCRIBE, 1, "a", 1);
    c->sub_id = 268435455;
    fold_alone(r, c, 1);
    assert_string_equal(at_boot(r), "sub 1 a 1 id 268435455;");
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "a", 2), 2);
    assert_string_equal(at_boot(r), "sub 1 a 2;");
    rig_free(r);
}
