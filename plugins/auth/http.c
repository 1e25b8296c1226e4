/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/http.h"
#include "auth/breaker.h"
#include "auth/http_cache.h"
#include "auth/json.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/thread.h"
#include <curl/curl.h>
#include <stdlib.h>

/* One thread with curl's multi interface: questions come in by a list under a lock, and a wake-up. */

struct http {
    pthread_mutex_t lock; /* guards first, last, waiting, is_stopping, next */
    struct http_ask *first, **last;
    uint32_t waiting, waiting_max;
    bool is_stopping;
    struct settled *next; /* the configuration that is to come; NULL: none */

    struct thread thread;
    CURLM *multi;

    /* The thread's. */
    struct settled *conf;
    struct http_cache *cache;
    struct breaker breaker;
    struct list calls;
    uint32_t active;
};

/* A copy of a configuration. */
struct settled {
    struct http_conf conf;
    struct curl_slist *headers;
    char *texts[5];
};

/* A request under way. */
struct call {
    struct list link; /* of the calls under way */
    struct http *http;
    struct http_ask *ask;
    CURL *easy;
    struct http_key key;
    char *request; /* with the password */
    char *body;
    size_t bytes;
};

static uint64_t now_ms(void)
{
    return clock_mono_ms(&clock_system);
}

/* --- a configuration */

static void settled_free(struct settled **owner)
{
    struct settled *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    for (struct curl_slist *l = s->headers; l != NULL; l = l->next) explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(s->headers);
    for (size_t i = 0; i < sizeof s->texts / sizeof s->texts[0]; i++) {
        if (s->texts[i] != NULL) explicit_bzero(s->texts[i], strlen(s->texts[i]));
        free(s->texts[i]);
    }
    free(s);
}

static bool add_header(struct settled *s, const char *line)
{
    struct curl_slist *longer = curl_slist_append(s->headers, line);
    if (longer != NULL) s->headers = longer;
    return longer != NULL;
}

static struct settled *settled_new(const struct http_conf *conf)
{
    struct settled *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->conf = *conf;
    const char **fields[] = { &s->conf.url, &s->conf.ca_file, &s->conf.cert_file, &s->conf.key_file,
                              &s->conf.header };
    bool is_whole = true;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        s->texts[i] = strdup(*fields[i]);
        *fields[i] = s->texts[i];
        if (s->texts[i] == NULL) is_whole = false;
    }
    is_whole = is_whole && add_header(s, "Content-Type: application/json") && add_header(s, "Expect:");
    if (is_whole && s->conf.header[0] != '\0') is_whole = add_header(s, s->conf.header);
    if (!is_whole) settled_free(&s);
    return s;
}

/* --- answers */

void http_answer_fini(struct http_answer *a)
{
    free(a->username);
    free(a->device);
    grants_free(&a->grants);
}

static bool take_name(const cJSON *o, const char *name, char **out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    if (v == NULL || cJSON_IsNull(v)) return true;
    if (!cJSON_IsString(v) || !json_is_name(v->valuestring)) return false;
    *out = strdup(v->valuestring);
    return *out != NULL;
}

static bool read_object(const cJSON *o, struct http_answer *a)
{
    const cJSON *acl = cJSON_GetObjectItemCaseSensitive(o, "acl");
    const cJSON *expires = cJSON_GetObjectItemCaseSensitive(o, "expires_in");
    if (!take_name(o, "username", &a->username) || !take_name(o, "device", &a->device)) return false;
    if (acl != NULL && json_rules(acl, &a->grants) != ERR_OK) return false;
    if (expires == NULL) return true;
    if (!cJSON_IsNumber(expires) || !(expires->valuedouble >= 1 && expires->valuedouble < 1e10)) return false;
    a->expires_in_s = (uint64_t)expires->valuedouble;
    return true;
}

bool http_read_body(const char *body, struct http_answer *a)
{
    if (body == NULL || body[strspn(body, " \t\r\n")] == '\0') return true;
    cJSON *o = json_object(bytes_of_text(body));
    bool is_good = o != NULL && read_object(o, a);
    cJSON_Delete(o);
    return is_good;
}

/* Takes the answer. */
static void done(struct http_ask *q, struct http_answer *a)
{
    q->done(q, a);
    http_answer_fini(a);
}

static void fail(struct http_ask *q, const char *why)
{
    struct http_answer a = { .is = HTTP_FAILED, .why = why };
    done(q, &a);
}

static const char refuses[] = "the HTTP back end refuses it";

/* From what is remembered: it ends when it would have ended. */
static void answer_again(struct http_ask *q, const struct http_said *said, uint64_t now)
{
    struct http_answer a = { .is = said->allows ? HTTP_ALLOWS : HTTP_DENIES, .why = refuses };
    uint64_t age_s = (now - said->since_ms) / 1000;
    if (said->allows && !http_read_body(said->body, &a)) {
        http_answer_fini(&a);
        a = (struct http_answer){ .is = HTTP_FAILED, .why = "out of memory" };
    }
    if (a.expires_in_s > 0) a.expires_in_s -= age_s < a.expires_in_s ? age_s : a.expires_in_s - 1;
    done(q, &a);
}

/* --- a request */

static size_t write_body(char *data, size_t one, size_t count, void *arg)
{
    struct call *c = arg;
    size_t n = one * count;
    /* A NUL would hide what follows. */
    if (n > HTTP_BODY_BYTES_MAX - c->bytes || (n > 0 && memchr(data, '\0', n) != NULL)) return 0;
    char *grown = realloc(c->body, c->bytes + n + 1);
    if (grown == NULL) return 0;
    memcpy(grown + c->bytes, data, n);
    c->body = grown;
    c->bytes += n;
    grown[c->bytes] = '\0';
    return n;
}

static bool add(cJSON *o, const char *name, const char *text)
{
    cJSON *v = text == NULL ? cJSON_CreateNull() : cJSON_CreateStringReference(text);
    return cJSON_AddItemToObject(o, name, v) != 0;
}

static char *request_of(const struct http_ask *q)
{
    cJSON *o = cJSON_CreateObject();
    char *text = NULL;
    if (add(o, "username", q->username) && add(o, "password", q->password) &&
        add(o, "client_id", q->client_id) && add(o, "address", q->address))
        text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

static void set_security(CURL *e, const struct http_conf *conf)
{
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (conf->ca_file[0] != '\0') curl_easy_setopt(e, CURLOPT_CAINFO, conf->ca_file);
    if (conf->cert_file[0] != '\0') curl_easy_setopt(e, CURLOPT_SSLCERT, conf->cert_file);
    if (conf->key_file[0] != '\0') curl_easy_setopt(e, CURLOPT_SSLKEY, conf->key_file);
}

static bool call_start(struct call *c)
{
    const struct http_conf *conf = &c->http->conf->conf;
    c->request = request_of(c->ask);
    c->easy = c->request == NULL ? NULL : curl_easy_init();
    if (c->easy == NULL) return false;
    curl_easy_setopt(c->easy, CURLOPT_URL, conf->url);
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->http->conf->headers);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(c->request));
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->request);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)conf->timeout_ms);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, write_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    set_security(c->easy, conf);
    return curl_multi_add_handle(c->http->multi, c->easy) == CURLM_OK;
}

static void call_free(struct call *c)
{
    if (c->easy != NULL) curl_multi_remove_handle(c->http->multi, c->easy);
    curl_easy_cleanup(c->easy);
    if (c->request != NULL) explicit_bzero(c->request, strlen(c->request));
    cJSON_free(c->request);
    free(c->body);
    free(c);
}

static enum http_is verdict_of(CURL *easy, CURLcode rc)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK) return HTTP_FAILED;
    if (status == 200 || status == 204) return HTTP_ALLOWS;
    bool is_refusal = status >= 400 && status < 500 && status != 408 && status != 429;
    return is_refusal ? HTTP_DENIES : HTTP_FAILED;
}

static void remember(struct call *c, const struct http_answer *a)
{
    const struct http_conf *conf = &c->http->conf->conf;
    bool allows = a->is == HTTP_ALLOWS;
    struct http_said said = { .allows = allows, .body = allows ? c->body : NULL, .since_ms = now_ms() };
    uint64_t seconds = allows ? conf->cache_s : conf->cache_denied_s;
    if (a->expires_in_s > 0 && a->expires_in_s < seconds) seconds = a->expires_in_s;
    if (a->is != HTTP_FAILED && seconds > 0)
        http_cache_put(c->http->cache, &c->key, &said, said.since_ms + seconds * 1000);
}

static void call_end(struct call *c, CURLcode rc)
{
    struct http *h = c->http;
    struct http_answer a = { .is = verdict_of(c->easy, rc) };
    if (a.is == HTTP_ALLOWS && !http_read_body(c->body, &a)) {
        http_answer_fini(&a);
        a = (struct http_answer){ .is = HTTP_FAILED };
    }
    a.why = a.is == HTTP_DENIES ? refuses : "the HTTP back end does not answer as it should";
    breaker_done(&h->breaker, a.is != HTTP_FAILED, now_ms());
    remember(c, &a);
    list_remove(&c->link);
    h->active--;
    done(c->ask, &a);
    call_free(c);
}

/* --- the thread */

static void begin(struct http *h, struct http_ask *q)
{
    /* All that it is told: it may think of any of it. */
    const char *const texts[] = { q->username, q->password, q->client_id, q->address };
    uint64_t now = now_ms();
    struct http_key key = http_cache_key(h->cache, texts, sizeof texts / sizeof texts[0]);
    const struct http_said *said = http_cache_get(h->cache, &key, now);
    if (said != NULL) {
        answer_again(q, said, now);
        return;
    }
    if (!breaker_may(&h->breaker, now)) {
        fail(q, "the HTTP back end has failed too often, and is not asked for a while");
        return;
    }
    struct call *c = calloc(1, sizeof *c);
    if (c != NULL) *c = (struct call){ .http = h, .ask = q, .key = key };
    if (c != NULL && call_start(c)) {
        list_add(&h->calls, &c->link);
        h->active++;
        return;
    }
    if (c != NULL) call_free(c);
    breaker_done(&h->breaker, false, now_ms());
    fail(q, "out of memory");
}

static struct http_ask *take(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    struct http_ask *q = h->first;
    if (q != NULL) {
        h->first = q->next;
        if (h->first == NULL) h->last = &h->first;
        h->waiting--;
    }
    pthread_mutex_unlock(&h->lock);
    return q;
}

static void use(struct http *h, struct settled *s)
{
    settled_free(&h->conf);
    h->conf = s;
    h->breaker = (struct breaker){ .failures_max = s->conf.failures, .open_ms = s->conf.open_s * 1000 };
    http_cache_clear(h->cache);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)s->conf.connections);
}

/* False: it is to stop. Another configuration waits until nothing of the old one is under way. */
static bool look_around(struct http *h)
{
    struct settled *next = NULL;
    pthread_mutex_lock(&h->lock);
    if (h->active == 0) {
        next = h->next;
        h->next = NULL;
    }
    bool is_waiting = h->next != NULL, is_going_on = !h->is_stopping;
    pthread_mutex_unlock(&h->lock);
    if (next != NULL) use(h, next);
    struct http_ask *q;
    while (is_going_on && !is_waiting && h->active < h->conf->conf.connections && (q = take(h)) != NULL)
        begin(h, q);
    return is_going_on;
}

static void collect(struct http *h)
{
    int left;
    for (CURLMsg *m = curl_multi_info_read(h->multi, &left); m != NULL;
         m = curl_multi_info_read(h->multi, &left)) {
        struct call *c = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&c);
        call_end(c, rc);
    }
}

static void run(void *arg)
{
    struct http *h = arg;
    enum { WAIT_MS = 1000 };
    int running = 0;
    while (look_around(h)) {
        curl_multi_perform(h->multi, &running);
        collect(h);
        bool has_room = h->active < h->conf->conf.connections;
        pthread_mutex_lock(&h->lock);
        bool is_more = has_room && h->first != NULL && h->next == NULL && !h->is_stopping;
        pthread_mutex_unlock(&h->lock);
        if (!is_more) curl_multi_poll(h->multi, NULL, 0, WAIT_MS, NULL);
    }
    while (!list_empty(&h->calls))
        call_end(CONTAINER(h->calls.next, struct call, link), CURLE_ABORTED_BY_CALLBACK);
    for (struct http_ask *q = take(h); q != NULL; q = take(h)) fail(q, "the plugin stops");
}

/* --- from outside */

enum err http_start(struct http **out, const struct http_conf *conf)
{
    struct http *h = calloc(1, sizeof *h);
    *out = NULL;
    if (h == NULL) return ERR_NOMEM;
    pthread_mutex_init(&h->lock, NULL);
    h->last = &h->first;
    h->waiting_max = conf->waiting;
    list_init(&h->calls);
    struct settled *s = settled_new(conf);
    enum err rc = s == NULL ? ERR_NOMEM : http_cache_new(&h->cache, conf->cache_entries);
    if (rc == ERR_OK && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) rc = ERR_SYS;
    h->multi = rc == ERR_OK ? curl_multi_init() : NULL;
    if (rc == ERR_OK && h->multi == NULL) rc = ERR_NOMEM;
    if (rc == ERR_OK) {
        use(h, s);
        s = NULL;
        rc = thread_start(&h->thread, "auth http", run, h);
    }
    settled_free(&s);
    if (rc == ERR_OK) {
        *out = h;
        return rc;
    }
    http_free(&h);
    return rc;
}

enum err http_put(struct http *h, struct http_ask *q)
{
    enum err rc = ERR_OK;
    q->next = NULL;
    pthread_mutex_lock(&h->lock);
    if (h->waiting >= h->waiting_max || h->is_stopping) {
        rc = ERR_FULL;
    } else {
        *h->last = q;
        h->last = &q->next;
        h->waiting++;
    }
    pthread_mutex_unlock(&h->lock);
    if (rc == ERR_OK) curl_multi_wakeup(h->multi);
    return rc;
}

enum err http_change(struct http *h, const struct http_conf *conf)
{
    struct settled *s = settled_new(conf), *old;
    if (s == NULL) return ERR_NOMEM;
    pthread_mutex_lock(&h->lock);
    old = h->next;
    h->next = s;
    h->waiting_max = conf->waiting;
    pthread_mutex_unlock(&h->lock);
    settled_free(&old);
    curl_multi_wakeup(h->multi);
    return ERR_OK;
}

void http_stop(struct http *h)
{
    if (h == NULL) return;
    pthread_mutex_lock(&h->lock);
    h->is_stopping = true;
    pthread_mutex_unlock(&h->lock);
    curl_multi_wakeup(h->multi);
    thread_join(&h->thread);
}

void http_free(struct http **owner)
{
    struct http *h = *owner;
    *owner = NULL;
    if (h == NULL) return;
    curl_multi_cleanup(h->multi);
    http_cache_free(&h->cache);
    settled_free(&h->conf);
    settled_free(&h->next);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
