/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err - how our own calls fail. What a peer did wrong is enum mqtt_rc (codec/codec.h), never this.
 *
 * Thread:  any.
 * Memory:  texts are static.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
#define ERR(name, value, text) ERR_##name = (value),
#include "base/err.def"
#undef ERR
};

const char *err_text(enum err e);

#endif
