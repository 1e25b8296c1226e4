/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that uses longlink_plugin.h. Verdicts come from a thread of its own, one after the other; what it
 * has to say it publishes to "said".
 *
 *   user name "later":  its password says the verdict, see answer_login
 *   method "EXT":       its data says the verdict, the same
 *   topic "later/..":   allowed later; "never/..": nobody answers; "denied/..": denied later, with 0x97
 *   topic "mine":       left to the ACL file
 *   identity "lamp":    its key is 0123ab; "slow": nobody answers
 *   $CONTROL/ext/v1:    "presence ID", "keepalive ID", "end ID", "hold ID", "held", "let go", "log", "count"
 */
#pragma GCC visibility push(default)
#include <longlink_plugin.h>
#include <mosquitto.h>
#include <mosquitto_plugin.h>
#pragma GCC visibility pop
#include <openssl/x509.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct job *next;
    struct longlink_verdict *verdict;
    int event;
    union {
        struct mosquitto_evt_basic_auth *login;
        struct mosquitto_evt_extended_auth *auth;
        struct mosquitto_evt_acl_check *acl;
        struct mosquitto_evt_psk_key *psk;
        void *data;
    };
};

static mosquitto_plugin_id_t *self;
static struct longlink_metric *logins, *last;
static pthread_t thread;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct job *first, **end = &first;
static int is_over;
static struct mosquitto *held;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char text[400];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    mosquitto_broker_publish_copy(NULL, "said", n, text, 1, false, NULL);
}

/* --- the thread */

static int word(const void *data, size_t n, struct longlink_details *d)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)n, n > 0 ? (const char *)data : "");
    d->auth_data = text[0] == 'm' ? "who?" : "welcome";
    d->auth_data_len = strlen(d->auth_data);
    if (strcmp(text, "rename") == 0) d->username = "renamed";
    if (strcmp(text, "banned") == 0) d->reason_code = 0x8A;
    if (strcmp(text, "banned") == 0) d->reason = "go away";
    if (strcmp(text, "banned") == 0 || strcmp(text, "bad") == 0) return MOSQ_ERR_AUTH;
    if (strcmp(text, "defer") == 0) return MOSQ_ERR_PLUGIN_DEFER;
    if (strcmp(text, "more") == 0) return MOSQ_ERR_AUTH_CONTINUE;
    return MOSQ_ERR_SUCCESS;
}

static void answer(struct job *j)
{
    struct longlink_details d = { .size = sizeof d };
    int rc = MOSQ_ERR_SUCCESS;
    struct mosquitto *client = NULL;
    if (j->event == MOSQ_EVT_BASIC_AUTH) {
        rc = word(j->login->password, j->login->password == NULL ? 0 : strlen(j->login->password), &d);
        client = j->login->client;
        longlink_metric_add(logins, 1);
    } else if (j->event == MOSQ_EVT_ACL_CHECK) {
        rc = j->acl->topic[0] == 'd' ? MOSQ_ERR_ACL_DENIED : MOSQ_ERR_SUCCESS;
        d.reason_code = 0x97;
    } else if (j->event == MOSQ_EVT_PSK_KEY) {
        d.psk_key = "0123ab";
    } else {
        rc = word(j->auth->data_in, j->auth->data_in_len, &d);
        client = j->auth->client;
    }
    if (client != NULL) longlink_metric_set(last, longlink_client_port(client));
    if (client != NULL && mosquitto_client_id(client) == NULL) rc = MOSQ_ERR_UNKNOWN;
    int once = longlink_verdict(j->verdict, rc, &d), twice = longlink_verdict(j->verdict, rc, &d);
    if (once != MOSQ_ERR_SUCCESS || twice != MOSQ_ERR_NOT_FOUND) say("verdict %d %d", once, twice);
    free(j);
}

static void *work(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex);
    while (!is_over) {
        struct job *j = first;
        if (j == NULL) {
            pthread_cond_wait(&changed, &mutex);
            continue;
        }
        first = j->next;
        if (first == NULL) end = &first;
        pthread_mutex_unlock(&mutex);
        answer(j);
        pthread_mutex_lock(&mutex);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static int later(int event, void *data)
{
    struct job *j = calloc(1, sizeof *j);
    j->verdict = longlink_verdict_later(data);
    if (j->verdict == NULL || longlink_verdict_later(data) != NULL) say("no verdict, or two");
    j->event = event;
    j->data = data;
    pthread_mutex_lock(&mutex);
    *end = j;
    end = &j->next;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    return LONGLINK_VERDICT_LATER;
}

/* Nobody ever answers. */
static int never(void *data)
{
    return longlink_verdict_later(data) != NULL ? LONGLINK_VERDICT_LATER : MOSQ_ERR_UNKNOWN;
}

/* --- events */

static int on_login(int event, void *data, void *userdata)
{
    struct mosquitto_evt_basic_auth *e = data;
    (void)userdata;
    if (e->username == NULL || strcmp(e->username, "later") != 0) return MOSQ_ERR_PLUGIN_DEFER;
    if (e->password != NULL && strcmp(e->password, "never") == 0) return never(data);
    return later(event, data);
}

static int on_auth(int event, void *data, void *userdata)
{
    struct mosquitto_evt_extended_auth *e = data;
    (void)userdata;
    return strcmp(e->auth_method, "EXT") == 0 ? later(event, data) : MOSQ_ERR_PLUGIN_DEFER;
}

static int on_acl(int event, void *data, void *userdata)
{
    struct mosquitto_evt_acl_check *e = data;
    (void)userdata;
    if (strncmp(e->topic, "never/", 6) == 0 && e->access == MOSQ_ACL_WRITE) return never(data);
    if (strcmp(e->topic, "mine") == 0) return MOSQ_ERR_PLUGIN_DEFER;
    bool waits = strncmp(e->topic, "later/", 6) == 0 || strncmp(e->topic, "denied/", 7) == 0;
    return waits ? later(event, data) : MOSQ_ERR_SUCCESS;
}

static int on_psk(int event, void *data, void *userdata)
{
    struct mosquitto_evt_psk_key *e = data;
    (void)userdata;
    if (strcmp(e->identity, "slow") == 0) return never(data);
    return strcmp(e->identity, "lamp") == 0 ? later(event, data) : MOSQ_ERR_PLUGIN_DEFER;
}

static void on_data_done(void *data)
{
    say("done %s", (const char *)data);
    free(data);
}

static void say_certificate(const char *id, const struct mosquitto *client)
{
    char name[100] = "";
    X509 *own = mosquitto_client_certificate(client);
    if (own == NULL) return;
    X509_NAME_oneline(X509_get_subject_name(own), name, sizeof name);
    X509_free(own);
    say("certificate %s %s", id, name);
}

static void on_connected(void *userdata, const struct longlink_connected *c)
{
    const char *id = mosquitto_client_id(c->client), *name = mosquitto_client_username(c->client);
    (void)userdata;
    longlink_client_data_set(self, c->client, strdup("replaced"), on_data_done);
    longlink_client_data_set(self, c->client, strdup(id), on_data_done);
    const char *kept = longlink_client_data(self, c->client);
    say("connected %s %s present=%d here=%d data=%s", id, name == NULL ? "-" : name, c->session_present,
        longlink_client_is_here(c->client), kept);
    say_certificate(id, c->client);
    if (strncmp(id, "held", 4) == 0) held = longlink_client_ref(c->client);
}

static int on_disconnect(int event, void *data, void *userdata)
{
    struct mosquitto_evt_disconnect *e = data;
    (void)event, (void)userdata;
    if (longlink_client_data(self, e->client) != NULL)
        say("disconnected %s", (const char *)longlink_client_data(self, e->client));
    return MOSQ_ERR_SUCCESS;
}

static void on_presence(void *userdata, const struct longlink_presence *p)
{
    (void)userdata;
    say("presence %s connected=%d session=%d queued=%d", p->client_id, p->is_connected, p->has_session,
        (int)p->queued);
}

static void on_keepalive(void *userdata, const struct longlink_presence *p)
{
    (void)userdata;
    say("keepalive %s has=%d found=%d", p->client_id, p->keepalive_s, p->keepalive_found_s);
}

static void say_held(void)
{
    const char *id = mosquitto_client_id(held);
    int is_here = longlink_client_is_here(held), has_data = longlink_client_data(self, held) != NULL;
    int result = longlink_client_end(held, 0, false); /* after which it may be gone at any moment */
    say("held %s here=%d data=%d end=%d", id == NULL ? "-" : id, is_here, has_data, result);
}

static void log_lines(void)
{
    const struct longlink_field fields[] = { { "who", "a \"peer\"\n" }, { "No key", "x" } };
    for (int i = 0; i < 3; i++) longlink_log(self, MOSQ_LOG_NOTICE, "greeting", fields, 2);
}

static int on_control(int event, void *data, void *userdata)
{
    struct mosquitto_evt_control *e = data;
    char text[200], *id;
    (void)event, (void)userdata;
    snprintf(text, sizeof text, "%.*s", (int)e->payloadlen, (const char *)e->payload);
    id = strchr(text, ' ') == NULL ? text : strchr(text, ' ') + 1;
    if (strncmp(text, "keepalive ", 10) == 0) longlink_presence(self, text + 10, on_keepalive, NULL);
    if (strncmp(text, "presence ", 9) == 0) longlink_presence(self, id, on_presence, NULL);
    if (strncmp(text, "end ", 4) == 0) longlink_client_end_id(id, 0x97, true);
    if (strcmp(text, "held") == 0) say_held();
    if (strcmp(text, "let go") == 0) longlink_client_unref(held);
    if (strcmp(text, "log") == 0) log_lines();
    return MOSQ_ERR_SUCCESS;
}

/* --- its life */

int mosquitto_plugin_version(int count, const int *versions)
{
    return count > 0 && versions[0] == 5 && longlink_plugin_api() >= 1 ? 5 : -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *opts, int count)
{
    static const struct {
        int event;
        MOSQ_FUNC_generic_callback run;
        const char *topic;
    } rows[] = { { MOSQ_EVT_BASIC_AUTH, on_login, NULL },
                 { MOSQ_EVT_EXT_AUTH_START, on_auth, NULL },
                 { MOSQ_EVT_EXT_AUTH_CONTINUE, on_auth, NULL },
                 { MOSQ_EVT_ACL_CHECK, on_acl, NULL },
                 { MOSQ_EVT_PSK_KEY, on_psk, NULL },
                 { MOSQ_EVT_DISCONNECT, on_disconnect, NULL },
                 { MOSQ_EVT_CONTROL, on_control, "$CONTROL/ext/v1" } };
    (void)userdata;
    self = id;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mosquitto_callback_register(id, rows[i].event, rows[i].run, rows[i].topic, NULL) !=
            MOSQ_ERR_SUCCESS)
            return MOSQ_ERR_UNKNOWN;
    for (int i = 0; i < count; i++)
        if (strcmp(opts[i].key, "concurrent") == 0 &&
            longlink_plugin_concurrent(id, atoi(opts[i].value)) != MOSQ_ERR_SUCCESS)
            return MOSQ_ERR_UNKNOWN;
    if (longlink_plugin_concurrent(id, MOSQ_EVT_TICK) != MOSQ_ERR_NOT_SUPPORTED) return MOSQ_ERR_UNKNOWN;
    longlink_on_connected(id, on_connected, NULL);
    logins = longlink_metric_new(id, "logins_total", LONGLINK_COUNTER, "logins", "Logins that came later.");
    last = longlink_metric_new(id, "last_port", LONGLINK_GAUGE, "port", "Where the last one came.");
    if (logins == NULL || last == NULL || longlink_metric_new(id, "logins", LONGLINK_COUNTER, "", "") != NULL)
        return MOSQ_ERR_UNKNOWN;
    return pthread_create(&thread, NULL, work, NULL) == 0 ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts, int count)
{
    (void)userdata, (void)opts, (void)count;
    pthread_mutex_lock(&mutex);
    is_over = 1;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    while (first != NULL) {
        struct job *j = first;
        first = j->next;
        free(j);
    }
    return MOSQ_ERR_SUCCESS;
}
