/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules that were thought out to break the core: late ticks, lists of members that differ, old epochs. */
#include "kit/test.h"
#include "unit/zab_rig.h"

static void tick(struct rig *r, uint16_t id, uint64_t now_ms)
{
    struct zab_event e = { .kind = ZAB_TICK, .now_ms = now_ms };

    rig_event(r, id, &e);
    rig_settle(r);
}

/* Nobody loses patience. */
static const struct zab_conf patient = { .sync_ticks = 1000, .init_ticks = 1000 };

TEST(a_leader_whose_tick_is_late_still_waits_for_the_leases_of_the_one_before)
{
    struct rig *r = rig_new(3, &patient);

    rig_hold_disk(r, 3, true);
    rig_run_ms(r, 400);
    CHECK_INT(ZAB_LEADING, rig_state(r, 3).role);
    rig_hold_disk(r, 3, false);
    rig_settle(r); /* five seconds go by here, and nobody tells it */
    CHECK_TRUE(rig_state(r, 3).is_established);
    tick(r, 3, rig_now_ms(r) + 5000);
    tick(r, 3, rig_now_ms(r) + 5900);
    CHECK_INT(0, rig_state(r, 3).settled);
    tick(r, 3, rig_now_ms(r) + 6200);
    CHECK_INT(zab_zxid(1, 0), rig_state(r, 3).settled);
    rig_free(&r);
}
