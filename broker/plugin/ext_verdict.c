/* SPDX-License-Identifier: Apache-2.0 */
/*
 * longlink_plugin.h: verdicts that come later. What a plugin is given is a number, which is looked up: so one
 * that answers twice finds nothing.
 *
 *   longlink_verdict_later -> promise -> longlink_verdict: the step goes on, on the plugin's thread, with
 *                                        plugin_ext_step_take for the details
 */
#include "plugin/ext_int.h"
#include <stdlib.h>
#include <string.h>

struct promise {
    uint64_t number;
    struct plugin_step *step; /* a reference, plugin_step_later's */
};

/* What else the verdict says. Copies. */
struct details {
    char *username, *key, *reason; /* NULL: none */
    struct bytes data;
    uint8_t code;
};

static struct lock lock = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_RANK_PLUGIN_EXT };
static struct map promises; /* these two: guarded by the lock */
static uint64_t last_number;

static bool is_number(const void *item, const void *key)
{
    return ((const struct promise *)item)->number == *(const uint64_t *)key;
}

static struct promise *take(uint64_t number)
{
    lock_take(&lock);
    struct promise *promise = map_take(&promises, map_hash_u64(number), is_number, &number);
    lock_release(&lock);
    return promise;
}

/* False: the plugin has too many that are not answered. */
static bool count(struct plugin *p, int by)
{
    struct plugin_ext *e = plugin_ext_of(p);
    lock_take(&e->lock);
    bool may = by < 0 || e->verdicts_count < LONGLINK_VERDICTS_MAX;
    if (may) e->verdicts_count += (unsigned)by;
    lock_release(&e->lock);
    return may;
}

static enum err put(struct promise *promise)
{
    lock_take(&lock);
    promise->number = ++last_number;
    enum err rc = map_put(&promises, map_hash_u64(promise->number), promise);
    lock_release(&lock);
    return rc;
}

/* So that other threads may ask about it. False: for want of memory, or it has gone. */
static bool show_client(struct plugin_step *s)
{
    if (s->client == NULL) return true;
    lock_take(&s->plugin->lock);
    enum err rc = plugin_client_show_locked(s->plugin, s->client);
    lock_release(&s->plugin->lock);
    return rc == ERR_OK;
}

struct longlink_verdict *longlink_verdict_later(void *event_data)
{
    struct plugin_step *s = plugin_step_now();
    if (s == NULL || event_data != &s->event_data || !show_client(s) || !count(s->plugin, 1)) return NULL;
    struct promise *promise = calloc(1, sizeof *promise);
    if (promise != NULL) promise->step = s;
    if (promise == NULL || put(promise) != ERR_OK) {
        free(promise);
        count(s->plugin, -1);
        return NULL;
    }
    uint64_t number = promise->number;
    if (plugin_step_later(s)) return (struct longlink_verdict *)(uintptr_t)number;
    free(take(number));
    count(s->plugin, -1);
    return NULL;
}

/* --- details */

static void details_free(struct details *d)
{
    if (d == NULL) return;
    if (d->key != NULL) explicit_bzero(d->key, strlen(d->key));
    free(d->key);
    free(d->username);
    free(d->reason);
    free((void *)(uintptr_t)d->data.at);
    free(d);
}

/* False: for want of memory. */
static bool copy_text(char **out, const char *text)
{
    if (text == NULL || text[0] == '\0') return true;
    *out = strdup(text);
    return *out != NULL;
}

static bool copy_data(struct bytes *out, const struct longlink_details *from)
{
    if (from->auth_data == NULL || from->auth_data_len == 0) return true;
    void *at = malloc(from->auth_data_len);
    if (at == NULL) return false;
    memcpy(at, from->auth_data, from->auth_data_len);
    *out = bytes_of(at, from->auth_data_len);
    return true;
}

/* A plugin that was built with an earlier version has fewer of them. */
static int read_details(struct details **out, const struct longlink_details *given)
{
    struct longlink_details from = { 0 };
    if (given->size < sizeof given->size) return MOSQ_ERR_INVAL;
    memcpy(&from, given, given->size < sizeof from ? given->size : sizeof from);
    if (from.auth_data_len > UINT16_MAX) return MOSQ_ERR_INVAL;
    struct details *d = calloc(1, sizeof *d);
    bool is_whole = d != NULL && copy_text(&d->username, from.username) && copy_text(&d->key, from.psk_key) &&
                    copy_text(&d->reason, from.reason) && copy_data(&d->data, &from);
    if (is_whole) d->code = from.reason_code;
    if (!is_whole) details_free(d);
    *out = is_whole ? d : NULL;
    return is_whole ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
}

static void swap(char **a, char **b)
{
    char *was = *a;
    *a = *b;
    *b = was;
}

/* The step's own thread: nobody has seen the result yet. */
void plugin_ext_step_take(struct plugin_step *s)
{
    struct details *d = s->ext;
    struct plugin_result *r = &s->result;
    bool is_auth = s->event == MOSQ_EVT_EXT_AUTH_START || s->event == MOSQ_EVT_EXT_AUTH_CONTINUE;
    bool is_login = is_auth || s->event == MOSQ_EVT_BASIC_AUTH;
    s->ext = NULL;
    if (is_login && r->verdict == HOOK_ALLOW && d->username != NULL && s->client != NULL &&
        hook_client_set_username(s->client, d->username) != ERR_OK) {
        r->verdict = HOOK_DENY; /* not by another name than it has been given */
        r->code = 0x97;
    }
    if (is_auth && (r->verdict == HOOK_ALLOW || r->verdict == HOOK_MORE) && d->data.at != NULL) {
        free((void *)(uintptr_t)r->answer.at);
        r->answer = d->data;
        d->data = (struct bytes){ 0 };
    }
    if (s->event == MOSQ_EVT_PSK_KEY && r->verdict == HOOK_ALLOW && d->key != NULL)
        snprintf(r->key, sizeof r->key, "%s", d->key);
    if (r->verdict == HOOK_DENY) {
        if (d->code >= 0x80) r->code = d->code;
        swap(&r->reason, &d->reason);
    }
    details_free(d);
}

void plugin_ext_step_end(struct plugin_step *s)
{
    details_free(s->ext);
    s->ext = NULL;
}

/* --- the verdict */

int longlink_verdict(struct longlink_verdict *v, int rc, const struct longlink_details *given)
{
    struct details *d = NULL;
    struct promise *promise = take((uint64_t)(uintptr_t)v);
    if (promise == NULL) return MOSQ_ERR_NOT_FOUND;
    int result = rc == LONGLINK_VERDICT_LATER ? MOSQ_ERR_INVAL : MOSQ_ERR_SUCCESS;
    if (result == MOSQ_ERR_SUCCESS && given != NULL) result = read_details(&d, given);
    count(promise->step->plugin, -1);
    if (!plugin_step_answer(promise->step, result == MOSQ_ERR_SUCCESS ? rc : MOSQ_ERR_UNKNOWN, d)) {
        details_free(d);
        result = MOSQ_ERR_NOT_FOUND;
    }
    free(promise);
    return result;
}

/* One of this plugin's, from *at; NULL: none from there. */
static struct promise *take_any(const struct plugin *p, size_t *at)
{
    struct promise *found = NULL;
    lock_take(&lock);
    for (struct promise *each; found == NULL && (each = map_next(&promises, at)) != NULL;)
        if (each->step->plugin == p) found = each;
    if (found != NULL) map_take(&promises, map_hash_u64(found->number), is_number, &found->number);
    lock_release(&lock);
    return found;
}

void plugin_ext_verdicts_end(struct plugin *p)
{
    bool any;
    do { /* what is taken out makes others move */
        size_t at = 0;
        any = false;
        for (struct promise *promise; (promise = take_any(p, &at)) != NULL; free(promise)) {
            any = true;
            plugin_step_answer(promise->step, MOSQ_ERR_UNKNOWN, NULL);
        }
    } while (any);
}
