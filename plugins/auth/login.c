/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/login.h"
#include "auth/scram.h"
#include "codec/rd.h"
#include <stdlib.h>

/* What an unknown name's password is compared with where nobody has one: as slow as what longlink passwd
 * makes. */
static const char nobodys[] = "SCRAM-SHA-256$20000:bG9uZ2xpbmstbm9ib2R5IQ==$"
                              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
                              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

static struct bytes text_of(const char *text)
{
    return text == NULL ? (struct bytes){ 0 } : bytes_of_text(text);
}

static void deny(struct login_answer *a, enum source source, const char *why)
{
    a->is = LOGIN_DENY;
    a->why = why;
    a->source = source;
}

static void allow(struct login_answer *a, enum source source, const char *username)
{
    a->is = LOGIN_ALLOW;
    a->source = source;
    a->username = username == NULL ? NULL : strdup(username);
    if (username != NULL && a->username == NULL) deny(a, source, "out of memory");
}

const char *login_barred(const struct world *w, const char *username)
{
    const struct account *c = accounts_find(w->accounts, text_of(username));
    return c != NULL && !account_is_enabled(c) ? "the account is disabled" : NULL;
}

bool login_lives(const struct login_answer *a, uint64_t now_s, uint64_t *left_s)
{
    *left_s = a->expires_s > now_s ? a->expires_s - now_s : 0;
    return a->expires_s == 0 || *left_s > 0;
}

static bool has_source(const struct world *w, enum source which)
{
    const struct settings *s = w->settings;
    for (size_t i = 0; i < s->order_count; i++)
        if (s->order[i] == which) return true;
    return false;
}

bool login_has_scram(const struct world *w)
{
    return w->settings->options->scram != 0 && w->accounts != NULL && has_source(w, SOURCE_SQLITE);
}

bool login_scram_keys(const struct world *w, const char *username, struct scram_keys *out)
{
    struct scram_keys usual;
    struct bytes name = text_of(username);
    const struct account *c = accounts_find(w->accounts, name);
    bool has_usual = secret_keys(accounts_usual_secret(w->accounts), &usual);
    bool is_known = c != NULL && secret_keys(account_secret(c), out);
    if (!is_known)
        scram_pretend(out, accounts_seed(w->accounts), has_usual ? usual.iterations : SECRET_ITERATIONS_USUAL,
                      name);
    explicit_bzero(&usual, sizeof usual);
    return is_known;
}

bool login_still(const struct world *w, enum source source, const char *username)
{
    struct bytes name = text_of(username);
    if (login_barred(w, username) != NULL) return false;
    if (source == SOURCE_SQLITE) return accounts_find(w->accounts, name) != NULL;
    if (source == SOURCE_FILE)
        return access_has_accounts(w->settings->files) && access_knows(w->settings->files, name);
    return true;
}

/* --- the sources: each decides and is true, or knows nothing of it */

static bool ask_certificate(const struct world *w, const struct login_ask *ask, struct login_answer *a)
{
    (void)w;
    if (ask->identity == NULL) return false;
    allow(a, SOURCE_CERTIFICATE, ask->identity);
    return true;
}

/* What looks like a token is one, and no password: who has an account may come with either. */
static bool is_for_jwt(const struct world *w, const struct login_ask *ask)
{
    return has_source(w, SOURCE_JWT) && jwt_is_token(text_of(ask->password));
}

static bool ask_file(const struct world *w, const struct login_ask *ask, struct login_answer *a)
{
    struct bytes name = text_of(ask->username);
    if (name.at == NULL || is_for_jwt(w, ask) || !access_knows(w->settings->files, name)) return false;
    a->has_hashed = true;
    if (access_verify(w->settings->files, name, text_of(ask->password)))
        allow(a, SOURCE_FILE, ask->username);
    else
        deny(a, SOURCE_FILE, "the password is wrong");
    return true;
}

static bool ask_sqlite(const struct world *w, const struct login_ask *ask, struct login_answer *a)
{
    const struct account *c = accounts_find(w->accounts, text_of(ask->username));
    if (c == NULL || account_secret(c).at == NULL || is_for_jwt(w, ask)) return false;
    a->has_hashed = true;
    if (secret_check(account_secret(c), text_of(ask->password)))
        allow(a, SOURCE_SQLITE, ask->username);
    else
        deny(a, SOURCE_SQLITE, "the password is wrong");
    return true;
}

static bool ask_jwt(const struct world *w, const struct login_ask *ask, struct login_answer *a)
{
    struct jwt_claims c;
    struct bytes token = text_of(ask->password);
    if (!jwt_is_token(token)) return false;
    const char *why = jwt_verify(w->settings->keys, &w->settings->jwt, token, ask->now_s, &c);
    if (why == NULL && c.client_id != NULL && strcmp(c.client_id, ask->client_id) != 0)
        why = "the token is for another client id";
    if (why != NULL) {
        deny(a, SOURCE_JWT, why);
    } else {
        allow(a, SOURCE_JWT, c.username);
        a->grants = c.grants;
        a->device = c.device;
        a->expires_s = c.expires_s == 0 ? 0 : c.expires_s + w->settings->jwt.leeway_s;
        c.grants = NULL;
        c.device = NULL;
    }
    jwt_claims_fini(&c);
    return true;
}

static bool ask_http(const struct world *w, const struct login_ask *ask, struct login_answer *a)
{
    (void)w;
    if (ask->username == NULL && ask->password == NULL) return false;
    if ((utf8_scan(text_of(ask->password)) & UTF8_ILL_FORMED) != 0) { /* JSON has no bytes, only texts */
        deny(a, SOURCE_HTTP, "the password is no text, which the HTTP back end could not be told");
        return true;
    }
    a->is = LOGIN_HTTP;
    a->source = SOURCE_HTTP;
    return true;
}

static bool (*const sources[SOURCES])(const struct world *, const struct login_ask *,
                                      struct login_answer *) = {
    ask_certificate, ask_file, ask_sqlite, ask_jwt, ask_http,
};

/* --- all of them */

/* Takes as long as it would with a name that somebody has. */
static void compare_with_nobodys(const struct world *w, const struct login_ask *ask)
{
    struct bytes password = text_of(ask->password),
                 usual = w->accounts == NULL ? (struct bytes){ 0 } : accounts_usual_secret(w->accounts);
    if (usual.at == NULL && access_has_accounts(w->settings->files))
        access_verify(w->settings->files, bytes_of_text(""), password);
    else if (usual.at != NULL || w->accounts != NULL)
        secret_check(usual.at != NULL ? usual : text_of(nobodys), password);
}

static void nobody_knows(const struct world *w, const struct login_ask *ask, struct login_answer *a)
{
    const struct options *o = w->settings->options;
    a->source = SOURCES;
    if (ask->username == NULL) {
        a->is = o->anonymous == ALLOWS ? LOGIN_ALLOW : o->anonymous == DENIES ? LOGIN_DENY : LOGIN_DEFER;
        a->why = "a client without a user name is not allowed";
        return;
    }
    if (!a->has_hashed) compare_with_nobodys(w, ask);
    const char *barred = login_barred(w, ask->username);
    a->is = barred != NULL || o->unknown == UNKNOWN_DENIES ? LOGIN_DENY : LOGIN_DEFER;
    a->why = barred != NULL ? barred : "nobody knows this user name";
}

void login_check(const struct world *w, const struct login_ask *ask, size_t from, struct login_answer *a)
{
    const struct settings *s = w->settings;
    bool is_known = false;
    for (a->next = from; a->next < s->order_count && !is_known; a->next++)
        is_known = sources[s->order[a->next]](w, ask, a);
    if (!is_known) nobody_knows(w, ask, a);
    const char *why = a->is == LOGIN_ALLOW ? login_barred(w, a->username) : NULL;
    if (why != NULL) deny(a, a->source, why);
}

void login_answer_fini(struct login_answer *a)
{
    free(a->username);
    free(a->device);
    grants_free(&a->grants);
    *a = (struct login_answer){ .is = LOGIN_DENY };
}

/* --- rules */

static enum rule_answer ask_acl_file(const struct world *w, const struct rule_who *who,
                                     enum rule_question question, struct bytes topic)
{
    struct access_who a = { who->username, who->client_id };
    if (!access_has_rules(w->settings->files)) return RULE_SILENT;
    if (question == RULE_MAY_SUBSCRIBE)
        return RULE_ALLOWED; /* as in mosquitto: judged when it is delivered */
    enum access_right right = question == RULE_MAY_PUBLISH ? ACCESS_WRITE : ACCESS_READ;
    return access_may(w->settings->files, &a, topic, right) ? RULE_ALLOWED : RULE_DENIED;
}

enum rule_answer login_may(const struct world *w, const struct grants *grants, const struct rule_who *who,
                           enum rule_question question, struct bytes topic)
{
    enum rule_answer is = accounts_ask(w->accounts, who, question, topic);
    if (is == RULE_DENIED) return is;
    if (grants != NULL) {
        enum rule_answer granted = grants_ask(grants, who, question, topic).answer;
        return granted == RULE_SILENT ? RULE_DENIED : granted;
    }
    if (is == RULE_SILENT) is = ask_acl_file(w, who, question, topic);
    if (is != RULE_SILENT) return is;
    uint32_t otherwise = w->settings->options->acl_default;
    return otherwise == ALLOWS ? RULE_ALLOWED : otherwise == DENIES ? RULE_DENIED : RULE_SILENT;
}
