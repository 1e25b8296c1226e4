/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work - how much of what there is to do a turn of a shard's loop does, and each connection of it.
 *
 * Work is what packets, deliveries and writes make of it (shard.work): one is about a microsecond. Counted
 * and not measured, it is the same on every machine and in every test.
 *
 * Thread:  none; constants.
 * Memory:  none.
 * Limits:  a turn ends behind what has exceeded it: one packet at most.
 * Errors:  none.
 * Tests:   tests/unit/test_share_of_turn.c
 */
#ifndef SHARD_WORK_H
#define SHARD_WORK_H

enum {
    /* A turn, and what each stage of it (mail, input, output to many) does at least. */
    WORK_A_TURN = 384,
    WORK_OF_STAGE = 192,

    /* Of input one connection has a share, the smaller the more there are; then who will have had least is
     * the next. A newcomer is believed to want so much. */
    WORK_OF_ONE_MIN = 48,
    WORK_OF_ONE_MAX = 192,
    WORK_OF_NEWCOMER = 32,

    /* Who asked for nothing for a while comes so far before those who always ask, and a new one half of it.
     * Those are not all alike: with less, many who have had less than the others would come before him. */
    WORK_OF_CLAIM = 1024,

    WORK_OF_ACCEPT = 16,
    WORK_OF_CLOSE = 32,     /* with the kernel's */
    WORK_OF_READ = 4,       /* of a cold connection: its state and its socket's come from memory */
    WORK_READ_BYTES = 4096, /* that are one, whether packets are whole or not; also of those that are moved */
    WORK_OF_WRITE = 8,
    WORK_OF_RETAINED = 4, /* to keep one: its place in the tree, what was there before */
    WORK_BYTES = 512,     /* that are one: of packets, or of output */

    DELIVERIES_OF_WORK = 4, /* that are one */

    /* A message to more than so many is written when the others' output has gone: see late.h. */
    RECEIVERS_AT_ONCE = 4,
};

#endif
