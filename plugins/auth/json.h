/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json - JSON from outside, and the rules in it: {"publish": [FILTER...], "subscribe": [...], "both": [...],
 * "deny_publish": [...], "deny_subscribe": [...], "deny_both": [...]}. Instead of a list one text does.
 *
 * Thread:  any; no state.
 * Memory:  cJSON's.
 * Limits:  the text's length, which the caller has bounded; JSON_GRANTS_MAX filters.
 * Errors:  NULL: no JSON, an object in which a name comes twice, or a text with a NUL in it, which C would
 *          cut.
 * Tests:   tests/unit/test_auth_plugin_json.c
 */
#ifndef AUTH_JSON_H
#define AUTH_JSON_H

#include "accounts/grants.h"
#include "base/bytes.h"
#include <cjson/cJSON.h>

enum { JSON_GRANTS_MAX = 1000, JSON_DEPTH_MAX = 8 };

/* An object; cJSON_Delete frees it. */
cJSON *json_object(struct bytes text);

/* NULL: it has none of that name, or something else than a text. */
const char *json_text(const cJSON *object, const char *name);

/* A text that may be a user name or a client id: UTF-8 without control characters, 1 to 65,535 bytes. */
bool json_is_name(const char *text);

/* ERR_SYNTAX: something in it is not known or no filter, and so not all that it means would hold. */
enum err json_rules(const cJSON *object, struct grants **out);

#endif
