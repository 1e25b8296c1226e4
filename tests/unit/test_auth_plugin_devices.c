/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/devices.h"
#include "kit/test.h"
#include <string.h>

enum { GONE_MAX = 8 };
static struct device *gone[GONE_MAX];
static size_t gone_count;

static void go(struct device *dev)
{
    CHECK_TRUE(gone_count < GONE_MAX);
    gone[gone_count++] = dev;
}

static struct devices *made(void)
{
    struct devices *d;
    CHECK_INT(ERR_OK, devices_new(&d));
    gone_count = 0;
    return d;
}

static enum err enter(struct devices *d, struct device *dev, const char *who, uint32_t most,
                      enum limit_policy policy)
{
    /* "ACCOUNT CLASS ID" */
    static char words[GONE_MAX][3][32];
    static size_t next;
    char(*w)[32] = words[next++ % GONE_MAX];
    CHECK_INT(3, sscanf(who, "%31s %31s %31s", w[0], w[1], w[2]));
    struct device_place p = { bytes_of_text(w[0]), w[1], w[2], most, policy };
    return devices_enter(d, dev, &p, go);
}

TEST(the_oldest_goes_when_there_is_one_too_many)
{
    struct devices *d = made();
    struct device a = { 0 }, b = { 0 }, c = { 0 }, e = { 0 };
    CHECK_INT(ERR_OK, enter(d, &a, "anna phone p1", 2, LIMIT_KICK_OLDER));
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p2", 2, LIMIT_KICK_OLDER));
    CHECK_INT(0, gone_count);
    CHECK_INT(ERR_OK, enter(d, &c, "anna phone p3", 2, LIMIT_KICK_OLDER));
    CHECK_TRUE(gone_count == 1 && gone[0] == &a);
    CHECK_INT(ERR_OK, enter(d, &e, "anna phone p4", 2, LIMIT_KICK_OLDER));
    CHECK_TRUE(gone_count == 2 && gone[1] == &b);
    struct device *all[] = { &a, &b, &c, &e };
    for (int i = 0; i < 4; i++) devices_leave(d, all[i]);
    devices_free(&d);
}

TEST(a_lower_limit_sends_away_as_many_as_are_too_many)
{
    struct devices *d = made();
    struct device a = { 0 }, b = { 0 }, c = { 0 };
    CHECK_INT(ERR_OK, enter(d, &a, "anna phone p1", 0, LIMIT_KICK_OLDER));
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p2", 0, LIMIT_KICK_OLDER));
    CHECK_INT(ERR_OK, enter(d, &c, "anna phone p3", 1, LIMIT_KICK_OLDER));
    CHECK_INT(2, gone_count);
    devices_leave(d, &a);
    devices_leave(d, &b);
    devices_leave(d, &c);
    devices_free(&d);
}

TEST(a_newer_one_is_refused_until_there_is_room)
{
    struct devices *d = made();
    struct device a = { 0 }, b = { 0 };
    CHECK_INT(ERR_OK, enter(d, &a, "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_FULL, enter(d, &b, "anna phone p2", 1, LIMIT_REFUSE_NEWER));
    CHECK_TRUE(gone_count == 0 && b.group == NULL);
    devices_leave(d, &a);
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p2", 1, LIMIT_REFUSE_NEWER));
    devices_leave(d, &b);
    devices_leave(d, &b);
    devices_free(&d);
}

TEST(accounts_and_classes_are_counted_apart)
{
    struct devices *d = made();
    struct device dev[4] = { 0 };
    CHECK_INT(ERR_OK, enter(d, &dev[0], "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_OK, enter(d, &dev[1], "anna desk p2", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_OK, enter(d, &dev[2], "bob phone p3", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_FULL, enter(d, &dev[3], "bob phone p4", 1, LIMIT_REFUSE_NEWER));
    for (int i = 0; i < 3; i++) devices_leave(d, &dev[i]);
    devices_free(&d);
}

TEST(the_same_client_id_is_a_takeover_and_not_one_more)
{
    struct devices *d = made();
    struct device a = { 0 }, b = { 0 };
    CHECK_INT(ERR_OK, enter(d, &a, "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(0, gone_count);
    devices_leave(d, &a);
    struct device c = { 0 };
    CHECK_INT(ERR_FULL, enter(d, &c, "anna phone p2", 1, LIMIT_REFUSE_NEWER));
    devices_leave(d, &b);
    devices_free(&d);
}

/* Who logs in, and is gone before he takes over, has not made room for others. */
TEST(a_takeover_that_comes_to_nothing_leaves_the_one_that_is_there_counted)
{
    struct devices *d = made();
    struct device a = { 0 }, b = { 0 }, c = { 0 }, e = { 0 };
    CHECK_INT(ERR_OK, enter(d, &a, "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_OK, enter(d, &c, "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    devices_leave(d, &b);
    devices_leave(d, &c);
    CHECK_INT(ERR_FULL, enter(d, &e, "anna phone p2", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p2", 1, LIMIT_KICK_OLDER));
    CHECK_TRUE(gone_count == 1 && gone[0] == &a);
    devices_leave(d, &a);
    CHECK_INT(ERR_FULL, enter(d, &e, "anna phone p3", 1, LIMIT_REFUSE_NEWER));
    devices_leave(d, &b);
    devices_free(&d);
}

TEST(one_that_is_refused_takes_over_from_nobody)
{
    struct devices *d = made();
    struct device a = { 0 }, b = { 0 }, c = { 0 };
    CHECK_INT(ERR_OK, enter(d, &a, "anna phone p1", 0, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p2", 0, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_FULL, enter(d, &c, "anna phone p1", 1, LIMIT_REFUSE_NEWER));
    CHECK_INT(ERR_FULL, enter(d, &c, "anna phone p2", 1, LIMIT_REFUSE_NEWER));
    devices_leave(d, &a);
    devices_leave(d, &b);
    devices_free(&d);
}

TEST(one_that_goes_and_took_over_before_leaves_the_other_one_counted)
{
    struct devices *d = made();
    struct device a = { 0 }, b = { 0 }, c = { 0 }, e = { 0 };
    CHECK_INT(ERR_OK, enter(d, &a, "anna phone p1", 2, LIMIT_KICK_OLDER));
    CHECK_INT(ERR_OK, enter(d, &b, "anna phone p1", 2, LIMIT_KICK_OLDER));
    CHECK_INT(ERR_OK, enter(d, &c, "anna phone p2", 1, LIMIT_KICK_OLDER));
    CHECK_TRUE(gone_count == 1 && gone[0] == &b);
    devices_leave(d, &b);
    CHECK_INT(ERR_FULL, enter(d, &e, "anna phone p3", 2, LIMIT_REFUSE_NEWER));
    devices_leave(d, &a);
    CHECK_INT(ERR_OK, enter(d, &e, "anna phone p3", 2, LIMIT_REFUSE_NEWER));
    devices_leave(d, &c);
    devices_leave(d, &e);
    devices_free(&d);
}

TEST(a_class_is_read_of_four_words)
{
    struct device_class c;
    CHECK_TRUE(device_class_read(&c, "phone 2 refuse-newer  phone-*"));
    CHECK_TRUE(strcmp(c.limit.class, "phone") == 0 && strcmp(c.pattern, "phone-*") == 0);
    CHECK_TRUE(c.limit.connections == 2 && c.limit.policy == LIMIT_REFUSE_NEWER);
    CHECK_TRUE(device_class_read(&c, "desk 0 kick-older *") && c.limit.policy == LIMIT_KICK_OLDER);
    static const char *const wrong[] = { "",
                                         "phone",
                                         "phone 2",
                                         "phone 2 kick-older",
                                         "phone x kick-older *",
                                         "phone 2 kick *",
                                         "phone 2 kick-older * more",
                                         "phone -1 kick-older *",
                                         "phone 1000001 kick-older *" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) CHECK_TRUE(!device_class_read(&c, wrong[i]));
}

TEST(a_pattern_fits_by_stars_and_question_marks)
{
    CHECK_TRUE(device_pattern_fits("phone-*", "phone-1") && device_pattern_fits("phone-*", "phone-"));
    CHECK_TRUE(device_pattern_fits("*", "") && device_pattern_fits("a?c", "abc"));
    CHECK_TRUE(device_pattern_fits("*-*-x", "a-b-c-x") && device_pattern_fits("**a", "bba"));
    CHECK_TRUE(!device_pattern_fits("phone-*", "phone") && !device_pattern_fits("a?c", "ac"));
    CHECK_TRUE(!device_pattern_fits("", "a") && !device_pattern_fits("*a", "ab"));
}
