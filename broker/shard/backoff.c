/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/backoff.h"
#include "base/check.h"
#include "shard/shard_int.h"
#include <stdio.h>

enum { NUMBER_BYTES = 24 };

static void add(struct wr *w, const char *key, const char *value)
{
    props_user_encode(w, bytes_of_text(key), bytes_of_text(value));
}

static void add_number(struct wr *w, const char *key, uint32_t n)
{
    char text[NUMBER_BYTES];
    snprintf(text, sizeof text, "%u", n);
    add(w, key, text);
}

/* As a decimal fraction without zeros at its end: 180 is 1.8. */
static void add_hundredths(struct wr *w, const char *key, uint32_t n)
{
    char text[NUMBER_BYTES];
    if (n % 100 == 0)
        snprintf(text, sizeof text, "%u", n / 100);
    else if (n % 10 == 0)
        snprintf(text, sizeof text, "%u.%u", n / 100, n / 10 % 10);
    else
        snprintf(text, sizeof text, "%u.%02u", n / 100, n % 100);
    add(w, key, text);
}

void backoff_learn(struct shard *sh)
{
    const struct config *config = sh->config;
    struct wr w = { .at = sh->backoff.at, .left = sizeof sh->backoff.at };
    add_number(&w, "ll-backoff-base", config->backoff_base);
    add_number(&w, "ll-backoff-max", config->backoff_max);
    add_hundredths(&w, "ll-backoff-factor", config->backoff_factor);
    add_hundredths(&w, "ll-backoff-jitter", config->backoff_jitter);
    CHECK(!w.bad);
    sh->backoff.bytes = (uint16_t)(w.at - sh->backoff.at);
}

/* Is it good for the client to come again by itself? Who is taken over is not, nor who did what it may not.
 */
static bool is_for_now(enum mqtt_rc why)
{
    switch (why) {
    case MQTT_RC_SERVER_UNAVAILABLE:
    case MQTT_RC_SERVER_BUSY:
    case MQTT_RC_SHUTTING_DOWN:
    case MQTT_RC_USE_ANOTHER_SERVER:
    case MQTT_RC_QUOTA_EXCEEDED:
    case MQTT_RC_CONNECTION_RATE_EXCEEDED: return true;
    default: return false;
    }
}

void backoff_tell(const struct shard *sh, const struct conn *c, enum mqtt_rc why, struct props *props)
{
    conf_word hints = sh->config->backoff_hints;
    if (c->version != MQTT_V5 || !c->wants_reasons || hints == CONFIG_HINTS_OFF) return;
    bool is_in = why == MQTT_RC_OK;
    if (is_in ? hints == CONFIG_HINTS_REFUSED : !is_for_now(why)) return;
    props->user = bytes_of(sh->backoff.at, sh->backoff.bytes);
}
