/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "store/mids.h"
#include "store/tables.h"
#include "unit/store_kit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the ids themselves */

static struct mids *open_mids(void)
{
    struct mids *m;
    CHECK_INT(ERR_OK, mids_new(&m));
    return m;
}

static bool has(const struct mids *m, const char *client, const char *mid, uint64_t now_ms)
{
    return mids_has(m, bytes_of_text(client), bytes_of_text(mid), now_ms);
}

static void put(struct mids *m, const char *client, const char *mid, uint64_t until_ms)
{
    CHECK_INT(ERR_OK, mids_put(m, bytes_of_text(client), bytes_of_text(mid), until_ms));
}

static void put_number(struct mids *m, const char *client, unsigned number)
{
    char mid[16];
    snprintf(mid, sizeof mid, "%u", number);
    put(m, client, mid, 1000);
}

static bool has_number(const struct mids *m, const char *client, unsigned number)
{
    char mid[16];
    snprintf(mid, sizeof mid, "%u", number);
    return has(m, client, mid, 0);
}

TEST(an_id_is_known_of_its_client_until_its_time_is_over)
{
    struct mids *m = open_mids();
    CHECK_TRUE(!has(m, "a", "x", 0));
    put(m, "a", "x", 100);
    CHECK_TRUE(has(m, "a", "x", 99));
    CHECK_TRUE(!has(m, "a", "x", 100));
    CHECK_TRUE(!has(m, "a", "y", 99));
    CHECK_TRUE(!has(m, "b", "x", 99));
    mids_free(&m);
    CHECK_TRUE(m == NULL);
}

TEST(client_and_id_are_not_one_text)
{
    struct mids *m = open_mids();
    put(m, "ab", "c", 100);
    CHECK_TRUE(!has(m, "a", "bc", 0));
    CHECK_TRUE(!has(m, "abc", "", 0));
    mids_free(&m);
}

TEST(an_id_put_again_is_known_until_the_later_time_and_is_the_newest)
{
    struct mids *m = open_mids();
    put(m, "a", "x", 10);
    put(m, "a", "y", 20);
    put(m, "a", "x", 30);
    mids_forget(m, 10); /* its first time */
    CHECK_TRUE(has(m, "a", "x", 29) && has(m, "a", "y", 19));
    mids_forget(m, 20);
    CHECK_TRUE(has(m, "a", "x", 0) && !has(m, "a", "y", 0));
    mids_free(&m);
}

TEST(forgetting_changes_nothing_that_anybody_could_ask)
{
    struct mids *m = open_mids();
    put(m, "a", "long", 100); /* stands before the next, whose time is over first */
    put(m, "a", "short", 50);
    put(m, "b", "x", 200);
    for (uint64_t now = 0; now <= 200; now += 10) {
        mids_forget(m, now);
        CHECK_INT(now < 100, has(m, "a", "long", now));
        CHECK_INT(now < 50, has(m, "a", "short", now));
        CHECK_INT(now < 200, has(m, "b", "x", now));
    }
    put(m, "a", "long", 300); /* the client is gone by now, and comes again */
    CHECK_TRUE(has(m, "a", "long", 299));
    mids_free(&m);
}

TEST(of_one_client_the_newest_are_kept)
{
    struct mids *m = open_mids();
    put(m, "b", "other", 1000);
    for (unsigned i = 0; i < MIDS_OF_CLIENT_MAX + 10; i++) put_number(m, "a", i);
    for (unsigned i = 0; i < MIDS_OF_CLIENT_MAX + 10; i++) CHECK_INT(i >= 10, has_number(m, "a", i));
    CHECK_TRUE(has(m, "b", "other", 0));
    mids_free(&m);
}

/* Long client ids: the limit is reached with few. */
TEST(all_together_have_a_limit_in_bytes_and_the_oldest_go)
{
    enum { LONG = 65535, FIT = MIDS_BYTES_MAX / (LONG + 1 + 2 * MID_COST_BYTES) };
    struct mids *m = open_mids();
    char *client = malloc(LONG);
    CHECK_TRUE(client != NULL);
    memset(client, 'c', LONG);
    struct bytes id = bytes_of(client, LONG), mid = bytes_of("x", 1);
    for (unsigned i = 0; i < FIT + 3; i++) {
        memcpy(client, &i, sizeof i);
        CHECK_INT(ERR_OK, mids_put(m, id, mid, 1000));
    }
    for (unsigned i = 0; i < FIT + 3; i++) {
        memcpy(client, &i, sizeof i);
        CHECK_INT(i >= 3, mids_has(m, id, mid, 0));
    }
    free(client);
    mids_free(&m);
}

/* --- what commands do with them, by the stamps of their records alone */

enum { WINDOW_S = 600, WINDOW_MS = WINDOW_S * 1000, RECEIVER = 5 };

static struct tables *open_tables(void)
{
    struct tables *t;
    struct command *claim = make_plain(COMMAND_CLAIM, RECEIVER, bytes_of_text("receiver"));
    CHECK_INT(ERR_OK, tables_new(&t, &(struct tables_conf){ 0 }));
    CHECK_INT(COMMAND_DURABLE, tables_apply(t, claim));
    command_unref(&claim);
    return t;
}

/* A publish with the mid "x", as the log has it. */
static enum command_result publish(struct tables *t, uint64_t stamp_ms, uint32_t window_s)
{
    static uint64_t position = 100;
    struct command_mid mid = { bytes_of_text("client"), bytes_of_text("x"), window_s };
    struct command_size size = { .targets = 1, .mid = &mid };
    struct command *c = make_command(COMMAND_ENQUEUE, ++position, &size);
    c->msg = make_msg(&(struct a_message){ .topic = "t", .payload = "p" });
    c->targets[0] = (struct command_target){ .session_no = RECEIVER, .qos = 1 };
    c->stamp_ms = stamp_ms;
    enum command_result result = tables_apply(t, c);
    CHECK_INT(result == COMMAND_DURABLE, tables_has(t, RECEIVER, c->position));
    command_unref(&c);
    return result;
}

TEST(a_repeat_has_no_effect_within_the_window_from_the_first_on)
{
    struct tables *t = open_tables();
    CHECK_INT(COMMAND_DURABLE, publish(t, 1000, WINDOW_S));
    CHECK_INT(COMMAND_DUPLICATE, publish(t, 1000, WINDOW_S));
    CHECK_INT(COMMAND_DUPLICATE, publish(t, 1000 + WINDOW_MS - 1, WINDOW_S)); /* and does not prolong it */
    CHECK_INT(COMMAND_DURABLE, publish(t, 1000 + WINDOW_MS, WINDOW_S));
    CHECK_INT(COMMAND_DUPLICATE, publish(t, 1000 + WINDOW_MS, WINDOW_S));
    tables_free(&t);
}

TEST(the_window_that_counts_is_that_of_the_first)
{
    struct tables *t = open_tables();
    CHECK_INT(COMMAND_DURABLE, publish(t, 1000, WINDOW_S));
    CHECK_INT(COMMAND_DUPLICATE, publish(t, 1000 + WINDOW_MS - 1, 1));
    CHECK_INT(COMMAND_DURABLE, publish(t, 1000 + WINDOW_MS, 1));
    CHECK_INT(COMMAND_DURABLE, publish(t, 1000 + WINDOW_MS + 1000, WINDOW_S));
    tables_free(&t);
}

TEST(what_was_known_before_a_start_is_known_after_it)
{
    struct tables *t = open_tables();
    struct bytes client = bytes_of_text("client"), mid = bytes_of_text("x");
    CHECK_INT(ERR_OK, tables_restore_mid(t, client, mid, 5000));
    CHECK_INT(COMMAND_DUPLICATE, publish(t, 4999, WINDOW_S));
    CHECK_INT(COMMAND_DURABLE, publish(t, 5000, WINDOW_S));
    tables_free(&t);
}
