/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reason - MQTT reason codes (MQTT 5.0 section 2.4), from reasons.def.
 *
 * Thread:  any.
 * Memory:  texts are static.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_codec_reason.c
 */
#ifndef CODEC_REASON_H
#define CODEC_REASON_H

#include <stdint.h>

enum mqtt_rc {
#define REASON(name, value, text, advice) MQTT_RC_##name = (value),
#include "codec/reasons.def"
#undef REASON
};

/* The standard's name of a code, "unknown reason" for a number that is none. */
const char *mqtt_rc_text(uint8_t code);

/* What to tell a client beside the code: a Reason String. "" when there is nothing to say. */
enum { ADVICE_BYTES_MAX = 80 };
const char *mqtt_rc_advice(uint8_t code);

#endif
