/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script - an input of fuzz_connection as steps: packets of chosen fields, mutations of them, time, turns.
 *
 * Eight bytes choose the configuration, and each eight that follow are a step: what to do, which of the
 * clients does it and what is turned after it, and six bytes of choices. So every sequence of bytes is a
 * script, and one that loses or gains a step is the same script but for that.
 *
 * Thread:  one.
 * Memory:  static.
 * Limits:  SCRIPT_STEPS_MAX steps; what follows is ignored.
 * Errors:  aborts when the broker breaks a promise, see client.h and shard_rig.h.
 * Tests:   tests/fuzz/fuzz_connection.c uses it.
 */
#ifndef FUZZ_SCRIPT_H
#define FUZZ_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

enum { STEP_BYTES = 8, SCRIPT_STEPS_MAX = 64, SCRIPT_CLIENTS = 6 };

enum step_kind {
    STEP_CONNECT,
    STEP_PUBLISH,
    STEP_SUBSCRIBE,
    STEP_ACK,
    STEP_UNSUBSCRIBE,
    STEP_DISCONNECT,
    STEP_PING,
    STEP_AUTH,
    STEP_LEAVE,
    STEP_CLOCK,
    STEP_TURN,
    STEP_JOURNAL,
    STEP_ROOM,
    STEP_MUTATE, /* the next packet of this client */
    STEP_RAW,
    STEP_SPLIT,  /* the next packet of this client comes in two parts */
    STEP_REPEAT, /* the next step is done so many times */
    STEP_ACKS_ALL,
    STEP_RESEND, /* the last PUBLISH, with DUP */
    STEP_ASKS,   /* what plugins do: asks.h */
    STEPS_COUNT
};

/* What the first byte of a step means. */
enum step_kind script_kind(uint8_t first);

void script_run(const uint8_t *data, size_t size);

#endif
