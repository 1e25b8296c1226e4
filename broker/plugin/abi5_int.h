/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi5_int - what the files of mosquitto's ABI share: properties on the wire and as a plugin sees them, and
 * complaints about a plugin.
 *
 * Thread:  any.
 * Memory:  of malloc, the caller's.
 * Limits:  a block is as long as a packet may be.
 * Errors:  ERR_NOMEM; ERR_SYNTAX for what is no block of a PUBLISH.
 * Tests:   tests/unit/test_plugin_properties.c, tests/e2e/test_plugin_transcript.py
 */
#ifndef PLUGIN_ABI5_INT_H
#define PLUGIN_ABI5_INT_H

#include "plugin/plugin_int.h"

/* The properties of a PUBLISH, without their length -> a list for libmosquitto, NULL for none. As mosquitto
 * does, it leaves out what is the connection's or the broker's: topic alias, subscription identifiers and
 * message expiry. Gives. */
enum err plugin_properties_read(mosquitto_property **out, struct bytes block);

/* The way back: what a PUBLISH may have, but for topic alias and subscription identifiers; the first of what
 * may stand there once only. *left_out: how many are not in it. out->at is of malloc, NULL for none. */
enum err plugin_properties_write(struct bytes *out, const mosquitto_property *list, unsigned *left_out);

/* The same, with the message expiry of `block` when the list has none. */
enum err plugin_properties_change(struct bytes *out, const mosquitto_property *list, struct bytes block,
                                  unsigned *left_out);

/* Are both the same properties, but for message expiry, alias and subscription identifiers? */
bool plugin_properties_same(const mosquitto_property *list, struct bytes block);

/* What a plugin does wrong. Each is said once for a plugin, PLUGIN_WRONG_RESULT once for each event. */
enum plugin_wrong {
    PLUGIN_WRONG_THREAD, /* a function that only callbacks may call */
    PLUGIN_WRONG_TOPIC,  /* MESSAGE: made a topic that is none */
    PLUGIN_WRONG_LENGTH,
    PLUGIN_WRONG_PROPERTY, /* one that a PUBLISH may not have */
    PLUGIN_WRONG_EVENT,    /* registers for one that is not known */
    PLUGIN_WRONG_RESULT    /* the last: + the event */
};
/* `number`: what was wrong, for the log. */
void plugin_complain(struct plugin *p, unsigned wrong, const char *what, int64_t number);

#endif
