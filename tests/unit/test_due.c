/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "shard/due.h"
#include <stdlib.h>

enum { MANY = 4000 };

static struct due with_room(uint32_t room)
{
    struct due d = { 0 };
    CHECK_INT(ERR_OK, due_reserve(&d, room));
    return d;
}

static void check_take(struct due *d, uint64_t due, uint64_t seq)
{
    const struct due_entry *first = due_first(d);
    assert_non_null(first);
    CHECK_INT(due, first->due);
    CHECK_INT(seq, first->seq);
    struct due_entry taken = due_take(d);
    CHECK_INT(due, taken.due);
    CHECK_INT(seq, taken.seq);
}

TEST(an_empty_one_has_no_first)
{
    struct due d = { 0 };
    assert_null(due_first(&d));
    due_fini(&d);
}

TEST(the_earliest_is_first_and_of_the_same_time_the_first_that_came)
{
    struct due d = with_room(5);
    due_put(&d, (struct due_entry){ 300, 1 });
    due_put(&d, (struct due_entry){ 100, 4 });
    due_put(&d, (struct due_entry){ 200, 2 });
    due_put(&d, (struct due_entry){ 100, 3 });
    due_put(&d, (struct due_entry){ UINT64_MAX, 5 });
    check_take(&d, 100, 3);
    check_take(&d, 100, 4);
    due_put(&d, (struct due_entry){ 50, 6 });
    check_take(&d, 50, 6);
    check_take(&d, 200, 2);
    check_take(&d, 300, 1);
    check_take(&d, UINT64_MAX, 5);
    assert_null(due_first(&d));
    due_fini(&d);
}

TEST(what_was_put_stays_when_there_is_more_room)
{
    struct due d = with_room(1);
    due_put(&d, (struct due_entry){ 7, 1 });
    CHECK_INT(ERR_OK, due_reserve(&d, 2));
    CHECK_INT(ERR_OK, due_reserve(&d, 1)); /* there is */
    due_put(&d, (struct due_entry){ 6, 2 });
    check_take(&d, 6, 2);
    check_take(&d, 7, 1);
    due_fini(&d);
}

static int by_time(const void *a, const void *b)
{
    const struct due_entry *x = a, *y = b;
    if (x->due != y->due) return x->due < y->due ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* A third is taken while the others still come. */
TEST(many_come_out_sorted_whatever_their_order_was)
{
    struct due d = with_room(MANY);
    struct due_entry *all = calloc(MANY, sizeof *all);
    uint64_t random = 88172645463325252;
    uint32_t kept = 0;
    assert_non_null(all);
    for (uint32_t i = 0; i < MANY; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        all[kept] = (struct due_entry){ random % 500, i };
        due_put(&d, all[kept++]);
        if (i % 3 != 0) continue;
        qsort(all, kept, sizeof *all, by_time);
        check_take(&d, all[0].due, all[0].seq);
        all[0] = all[--kept];
    }
    CHECK_INT(kept, d.count);
    qsort(all, kept, sizeof *all, by_time);
    for (uint32_t i = 0; i < kept; i++) check_take(&d, all[i].due, all[i].seq);
    assert_null(due_first(&d));
    free(all);
    due_fini(&d);
}
