/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/identity.h"
#include "auth/plugin_int.h"
#include "auth/scram.h"
#include "base/clock.h"
#include "base/rng.h"
#include <stdlib.h>

/*
 * The plugin's thread makes a job of a login and goes on; a thread of the pool looks who it is, counts his
 * devices and tells the host. Where nothing is to be hashed, as with SCRAM, it is done at once.
 */

enum { RC_UNAVAILABLE = 0x88, RC_BUSY = 0x89, RC_QUOTA = 0x97 };

struct job {
    struct pool_job pool;
    struct http_ask http;
    struct world *world; /* that it was begun with; NULL: not begun */
    size_t next;         /* the source that is asked next */
    struct plugin *plugin;
    struct person *person;
    struct longlink_verdict *verdict;
    struct mosquitto *client;
    char *username, *password, *identity; /* NULL: none */
    char *address;
};

static void free_secret(char *secret)
{
    if (secret != NULL) explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void job_free(struct job *j)
{
    person_unref(&j->person);
    world_unref(&j->world);
    free(j->username);
    free_secret(j->password);
    free(j->identity);
    free(j->address);
    free(j);
}

/* --- who a client is to us */

static void gone(void *data)
{
    struct person *q = data;
    people_gone(q);
    person_unref(&q);
}

static void person_end(struct person *q)
{
    people_gone(q);
    person_unref(&q);
}

/* The person of a client, made at its first question; the client's data has the reference. NULL: no memory,
 * or it is gone. */
static struct person *person_of(struct plugin *p, struct mosquitto *client)
{
    struct person *q = longlink_client_data(p->id, client);
    if (q != NULL) return q;
    struct mosquitto *held = longlink_client_ref(client);
    const char *id = mosquitto_client_id(client);
    if (held == NULL || person_new(&q, p->people, held, id == NULL ? "" : id) != ERR_OK) return NULL;
    if (longlink_client_data_set(p->id, client, q, gone) == MOSQ_ERR_SUCCESS) return q;
    person_end(q);
    return NULL;
}

/* --- an answer becomes a verdict */

struct outcome {
    int rc;
    uint8_t code;
    const char *why;
};

static struct outcome refused(const char *why, uint8_t code)
{
    return (struct outcome){ MOSQ_ERR_AUTH, code, why };
}

/* Who was looked up before a reload, and came in after it, is judged by what holds now. */
static bool still(struct plugin *p, enum source source, const char *username)
{
    struct world_slot *slot = plugin_look(p);
    bool is_so = login_still(slot->world, source, username);
    plugin_look_end(slot);
    return is_so;
}

static struct outcome let_in(struct plugin *p, const struct world *w, struct person *q,
                             struct login_answer *a, uint64_t now_s)
{
    const char *class = a->device != NULL ? a->device : world_class(w, q->client_id);
    struct person_entry e = {
        .source = a->source, .account = a->username, .class = class, .grants = &a->grants
    };
    uint64_t left_s;
    if (a->username != NULL) e.limit = world_limit(w, bytes_of_text(a->username), class);
    if (!login_lives(a, now_s, &left_s)) return refused("it has expired meanwhile", 0);
    if (left_s > 0) e.expires_ms = clock_mono_ms(&clock_system) + left_s * 1000;
    switch (people_enter(q, &e)) {
    case ERR_OK:
        return still(p, a->source, a->username) ? (struct outcome){ .rc = MOSQ_ERR_SUCCESS }
                                                : refused("the account is gone", 0);
    case ERR_FULL: return refused("the account has as many devices of this class as it may", RC_QUOTA);
    case ERR_CLOSED: return refused("the client has gone", 0);
    default: return refused("out of memory", RC_BUSY);
    }
}

/* Somebody else may let it in under this name. It is looked after then, but takes nobody's place: it has not
 * shown us that the name is its own. */
static struct outcome defer(struct plugin *p, struct person *q, const char *username)
{
    struct person_entry e = { .source = SOURCES, .account = username };
    if (username != NULL && people_enter(q, &e) == ERR_NOMEM) return refused("out of memory", RC_BUSY);
    return still(p, SOURCES, username) ? (struct outcome){ .rc = MOSQ_ERR_PLUGIN_DEFER }
                                       : refused("the account is disabled", 0);
}

static struct outcome outcome_of(struct job *j, struct login_answer *a, uint64_t now_s)
{
    switch (a->is) {
    case LOGIN_ALLOW: return let_in(j->plugin, j->world, j->person, a, now_s);
    case LOGIN_DENY: return refused(a->why, 0);
    default: return defer(j->plugin, j->person, j->username);
    }
}

static void answer(struct job *j, const struct outcome *o, const struct login_answer *a)
{
    struct plugin *p = j->plugin;
    struct longlink_details d = { .size = sizeof d, .reason_code = o->code };
    struct say_who who = { j->username, j->person->client_id, j->address };
    if (o->rc == MOSQ_ERR_SUCCESS) {
        d.username = a->username;
        longlink_metric_add(p->logins, 1);
    } else if (o->rc != MOSQ_ERR_PLUGIN_DEFER) {
        longlink_metric_add(p->refused, 1);
        plugin_say_refused(p, &who, a->source, o->why);
    }
    longlink_verdict(j->verdict, o->rc, &d);
}

/* --- BASIC_AUTH */

static void give_up(struct job *j, const char *why)
{
    struct login_answer a = { .source = SOURCES };
    struct outcome o = refused(why, RC_BUSY);
    answer(j, &o, &a);
    job_free(j);
}

static uint64_t now_s(void)
{
    return clock_wall_ms(&clock_system) / 1000;
}

/* With an answer that decides; both are done with. */
static void finish(struct job *j, struct login_answer *a, uint8_t code)
{
    struct outcome o = outcome_of(j, a, now_s());
    if (code != 0) o.code = code;
    answer(j, &o, a);
    login_answer_fini(a);
    job_free(j);
}

/* --- the HTTP back end */

static void http_allows(struct job *j, struct http_answer *h)
{
    struct login_answer a = {
        .is = LOGIN_ALLOW, .source = SOURCE_HTTP, .device = h->device, .grants = h->grants
    };
    a.username = h->username;
    if (a.username == NULL && j->username != NULL) {
        a.username = strdup(j->username);
        if (a.username == NULL) a = (struct login_answer){ .why = "out of memory", .source = SOURCE_HTTP };
    }
    if (h->expires_in_s > 0) a.expires_s = now_s() + h->expires_in_s;
    *h = (struct http_answer){ .is = HTTP_ALLOWS }; /* its parts are the answer's */
    const char *why = login_barred(j->world, a.username);
    if (why != NULL) {
        a.is = LOGIN_DENY;
        a.why = why;
    }
    finish(j, &a, 0);
}

static void http_done(struct http_ask *q, struct http_answer *h)
{
    struct job *j = CONTAINER(q, struct job, http);
    struct login_answer a = { .is = LOGIN_DENY, .why = h->why, .source = SOURCE_HTTP };
    bool has_next = h->is == HTTP_FAILED && j->world->settings->options->http_on_failure != 0;
    if (h->is == HTTP_ALLOWS)
        http_allows(j, h);
    else if (!has_next)
        finish(j, &a, h->is == HTTP_FAILED ? RC_UNAVAILABLE : 0);
    else if (pool_put(j->plugin->pool, &j->pool) != ERR_OK)
        give_up(j, "too many logins wait");
}

static void ask_http(struct job *j)
{
    j->http = (struct http_ask){ .username = j->username,
                                 .password = j->password,
                                 .client_id = j->person->client_id,
                                 .address = j->address,
                                 .done = http_done };
    if (j->plugin->http == NULL || http_put(j->plugin->http, &j->http) != ERR_OK)
        give_up(j, "too many questions wait for the HTTP back end");
}

/* --- on a thread of the pool */

static void run(struct pool_job *pool)
{
    struct job *j = CONTAINER(pool, struct job, pool);
    struct login_answer a = { .source = SOURCES };
    /* plugin_timeout has refused it, say: what it would cost is for who comes next. */
    if (!longlink_client_is_here(j->person->client)) {
        plugin_say(j->plugin, MOSQ_LOG_NOTICE, "login-abandoned",
                   "the client has gone, or plugin_timeout has passed");
        longlink_verdict(j->verdict, MOSQ_ERR_AUTH, NULL);
        job_free(j);
        return;
    }
    if (j->world == NULL) j->world = plugin_world(j->plugin);
    struct login_ask ask = { .username = j->username,
                             .password = j->password,
                             .client_id = j->person->client_id,
                             .identity = j->identity,
                             .now_s = now_s() };
    login_check(j->world, &ask, j->next, &a);
    j->next = a.next;
    if (a.is != LOGIN_HTTP)
        finish(j, &a, 0);
    else
        ask_http(j);
}

static void drop(struct pool_job *pool)
{
    give_up(CONTAINER(pool, struct job, pool), "the plugin stops");
}

static bool copy_text(char **to, const char *text)
{
    *to = text == NULL ? NULL : strdup(text);
    return text == NULL || *to != NULL;
}

static char *identity(struct plugin *p, struct mosquitto *client)
{
    X509 *x = mosquitto_client_certificate(client);
    if (x == NULL) return NULL;
    struct world_slot *slot = plugin_look(p);
    enum identity_kind kind = (enum identity_kind)slot->world->settings->options->certificate_name;
    plugin_look_end(slot);
    char *name = identity_of(x, kind);
    X509_free(x);
    return name;
}

static struct job *job_new(struct plugin *p, const struct mosquitto_evt_basic_auth *e)
{
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL) return NULL;
    j->pool = (struct pool_job){ .run = run, .drop = drop };
    j->plugin = p;
    j->client = e->client;
    j->person = person_of(p, e->client);
    j->identity = identity(p, e->client);
    if (j->person != NULL) person_ref(j->person);
    bool is_whole = j->person != NULL && copy_text(&j->username, e->username) &&
                    copy_text(&j->password, e->password) &&
                    copy_text(&j->address, mosquitto_client_address(e->client));
    if (is_whole) return j;
    job_free(j);
    return NULL;
}

int plugin_basic_auth(int event, void *event_data, void *userdata)
{
    struct plugin *p = userdata;
    struct job *j = job_new(p, event_data);
    (void)event;
    if (j == NULL) return MOSQ_ERR_AUTH;
    j->verdict = longlink_verdict_later(event_data);
    if (j->verdict == NULL) {
        job_free(j);
        return MOSQ_ERR_AUTH;
    }
    if (pool_put(p->pool, &j->pool) != ERR_OK) give_up(j, "too many logins wait");
    return LONGLINK_VERDICT_LATER;
}

/* --- EXT_AUTH */

static const char method[] = "SCRAM-SHA-256";

static void nonce_make(char text[SCRAM_NONCE_BYTES + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[SCRAM_NONCE_BYTES];
    rng_fill(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) text[i] = digits[random[i] & 63];
    text[SCRAM_NONCE_BYTES] = '\0';
}

static void scram_end(struct person *q)
{
    if (q->scram != NULL) scram_wipe(q->scram);
    free(q->scram);
    q->scram = NULL;
}

static int auth_refuse(struct plugin *p, struct person *q, struct mosquitto_evt_extended_auth *e,
                       const struct outcome *o)
{
    struct say_who who = { q->scram == NULL ? NULL : q->scram->username, q->client_id,
                           mosquitto_client_address(e->client) };
    struct longlink_details d = { .size = sizeof d, .reason_code = o->code };
    longlink_metric_add(p->refused, 1);
    plugin_say_refused(p, &who, SOURCE_SQLITE, o->why);
    scram_end(q);
    struct longlink_verdict *v = o->code == 0 ? NULL : longlink_verdict_later(e);
    if (v == NULL) return MOSQ_ERR_AUTH;
    longlink_verdict(v, MOSQ_ERR_AUTH, &d);
    return LONGLINK_VERDICT_LATER;
}

static int auth_wrong(struct plugin *p, struct person *q, struct mosquitto_evt_extended_auth *e,
                      const char *why)
{
    struct outcome o = refused(why, 0);
    return auth_refuse(p, q, e, &o);
}

static bool auth_say(struct mosquitto_evt_extended_auth *e, const char *text)
{
    size_t n = strlen(text);
    e->data_out = mosquitto_malloc(n);
    if (e->data_out == NULL) return false;
    memcpy(e->data_out, text, n);
    e->data_out_len = (uint16_t)n;
    return true;
}

/* The keys of the name that the client has said, or what looks like some. */
static bool find_keys(struct plugin *p, const char *username, struct scram_keys *keys)
{
    struct world_slot *slot = plugin_look(p);
    bool is_known = login_scram_keys(slot->world, username, keys);
    plugin_look_end(slot);
    return is_known;
}

static bool is_ours(struct plugin *p, const char *wanted)
{
    struct world_slot *slot = plugin_look(p);
    bool is_on = login_has_scram(slot->world);
    plugin_look_end(slot);
    return is_on && wanted != NULL && strcmp(wanted, method) == 0;
}

int plugin_auth_start(int event, void *event_data, void *userdata)
{
    struct plugin *p = userdata;
    struct mosquitto_evt_extended_auth *e = event_data;
    char nonce[SCRAM_NONCE_BYTES + 1];
    struct scram_keys keys;
    (void)event;
    if (!is_ours(p, e->auth_method)) return MOSQ_ERR_PLUGIN_DEFER;
    struct person *q = person_of(p, e->client);
    if (q == NULL) return MOSQ_ERR_NOMEM;
    scram_end(q);
    q->scram = calloc(1, sizeof *q->scram);
    if (q->scram == NULL) return MOSQ_ERR_NOMEM;
    const char *why = scram_first(q->scram, bytes_of(e->data_in, e->data_in_len));
    if (why != NULL) return auth_wrong(p, q, e, why);
    bool is_known = find_keys(p, q->scram->username, &keys);
    nonce_make(nonce);
    why = scram_challenge(q->scram, &keys, is_known, nonce);
    explicit_bzero(&keys, sizeof keys);
    if (why != NULL) return auth_wrong(p, q, e, why);
    return auth_say(e, q->scram->answer) ? MOSQ_ERR_AUTH_CONTINUE : MOSQ_ERR_NOMEM;
}

/* Who has proved to know the password comes in by the same rules as everybody. */
static struct outcome auth_enter(struct plugin *p, struct person *q)
{
    struct login_answer a = { .is = LOGIN_ALLOW, .source = SOURCE_SQLITE };
    struct world *w = plugin_world(p);
    const char *why = login_barred(w, q->scram->username);
    if (why == NULL && q->is_in && (q->account == NULL || strcmp(q->account, q->scram->username) != 0))
        why = "the client is in by another name";
    a.username = strdup(q->scram->username);
    if (why == NULL && a.username == NULL) why = "out of memory";
    struct outcome o = why == NULL ? let_in(p, w, q, &a, 0) : refused(why, 0);
    login_answer_fini(&a);
    world_unref(&w);
    return o;
}

int plugin_auth_continue(int event, void *event_data, void *userdata)
{
    struct plugin *p = userdata;
    struct mosquitto_evt_extended_auth *e = event_data;
    char text[SCRAM_MESSAGE_BYTES];
    (void)event;
    struct person *q = longlink_client_data(p->id, e->client);
    if (q == NULL || q->scram == NULL) return MOSQ_ERR_PLUGIN_DEFER;
    const char *why = scram_final(q->scram, bytes_of(e->data_in, e->data_in_len), text);
    if (why != NULL) return auth_wrong(p, q, e, why);
    struct outcome o = auth_enter(p, q);
    if (o.rc != MOSQ_ERR_SUCCESS) return auth_refuse(p, q, e, &o);
    if (!auth_say(e, text)) return MOSQ_ERR_NOMEM;
    int rc = mosquitto_set_username(e->client, q->scram->username);
    scram_end(q);
    longlink_metric_add(p->logins, 1);
    return rc;
}
