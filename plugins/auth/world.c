/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/world.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[SOURCES] = { "certificate", "file", "sqlite", "jwt", "http" };

const char *source_name(enum source s)
{
    return s < SOURCES ? names[s] : "none";
}

/* --- files */

enum { KEY_FILE_BYTES_MAX = 1024 * 1024 };

static enum err failed(struct world_note *note, const char *path, enum err rc, const char *why)
{
    snprintf(note->text, sizeof note->text, "%.400s: %s", path, why);
    return rc;
}

static enum err read_open(int fd, const char *path, struct bytes *out, struct world_note *note)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return failed(note, path, ERR_SYS, strerror(errno));
    if (!S_ISREG(st.st_mode)) return failed(note, path, ERR_SYS, "it is no file");
    if (st.st_size > KEY_FILE_BYTES_MAX) return failed(note, path, ERR_FULL, "too long; allowed: 1 MiB");
    uint8_t *at = malloc((size_t)st.st_size + 1);
    if (at == NULL) return failed(note, path, ERR_NOMEM, "out of memory");
    ssize_t n = read(fd, at, (size_t)st.st_size);
    *out = bytes_of(at, n < 0 ? 0 : (size_t)n);
    return n < 0 ? failed(note, path, ERR_SYS, strerror(errno)) : ERR_OK;
}

static void wipe(struct bytes b)
{
    uint8_t *at = (uint8_t *)(uintptr_t)b.at;
    if (at != NULL) explicit_bzero(at, b.len);
    free(at);
}

static enum err read_file(const char *path, struct bytes *out, struct world_note *note)
{
    *out = (struct bytes){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (fd < 0) return failed(note, path, ERR_SYS, strerror(errno));
    enum err rc = read_open(fd, path, out, note);
    close(fd);
    return rc;
}

static enum err read_keys(struct jwt_keys *k, const char *path, struct world_note *note,
                          enum err (*add)(struct jwt_keys *k, struct bytes b, struct jwt_note *note))
{
    struct bytes text = { 0 };
    struct jwt_note why = { "" };
    if (path[0] == '\0') return ERR_OK;
    enum err rc = read_file(path, &text, note);
    if (rc == ERR_OK) {
        rc = add(k, text, &why);
        if (rc != ERR_OK) failed(note, path, rc, why.text);
    }
    wipe(text);
    return rc;
}

/* An editor puts a line end behind a secret. */
static enum err add_secret(struct jwt_keys *k, struct bytes text, struct jwt_note *note)
{
    while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r')) text.len--;
    return jwt_keys_add_secret(k, text, note);
}

/* One line; another one would be a header of its own. */
static enum err read_header(struct settings *s, const char *path, struct world_note *note)
{
    struct bytes text;
    if (path[0] == '\0') return ERR_OK;
    enum err rc = read_file(path, &text, note);
    size_t n = text.len;
    while (n > 0 && (text.at[n - 1] == '\n' || text.at[n - 1] == '\r')) n--;
    bool is_line = n > 0 && memchr(text.at, '\n', n) == NULL && memchr(text.at, '\r', n) == NULL &&
                   memchr(text.at, '\0', n) == NULL;
    if (rc == ERR_OK && !is_line)
        rc = failed(note, path, ERR_SYNTAX, "it is not one line; allowed: NAME: VALUE");
    if (rc == ERR_OK) {
        s->http_header = strndup((const char *)text.at, n);
        if (s->http_header == NULL) rc = failed(note, path, ERR_NOMEM, "out of memory");
    }
    wipe(text);
    return rc;
}

static enum err load_files(struct settings *s, struct world_note *note)
{
    const struct options *o = s->options;
    struct access_conf conf = { o->password_file, o->acl_file };
    struct access_notes notes = { .warn = note->warn, .ctx = note->ctx };
    enum err rc = ERR_OK;
    if (o->password_file[0] != '\0' || o->acl_file[0] != '\0') {
        rc = access_new(&s->files, &conf, &notes);
        if (rc != ERR_OK) snprintf(note->text, sizeof note->text, "%s", notes.error);
    }
    if (rc == ERR_OK) rc = jwt_keys_new(&s->keys);
    if (rc == ERR_OK) rc = read_keys(s->keys, o->jwt_key_file, note, jwt_keys_add_pem);
    if (rc == ERR_OK) rc = read_keys(s->keys, o->jwt_jwks_file, note, jwt_keys_add_jwks);
    if (rc == ERR_OK) rc = read_keys(s->keys, o->jwt_secret_file, note, add_secret);
    if (rc == ERR_OK) rc = read_header(s, o->http_header_file, note);
    return rc;
}

/* --- settings */

static bool is_configured(const struct settings *s, enum source which)
{
    switch (which) {
    case SOURCE_CERTIFICATE: return true;
    case SOURCE_FILE: return access_has_accounts(s->files);
    case SOURCE_SQLITE: return s->options->accounts_db[0] != '\0';
    case SOURCE_JWT: return jwt_keys_count(s->keys) > 0;
    default: return s->options->http_url[0] != '\0';
    }
}

static void read_order(struct settings *s)
{
    const char *rest = s->options->sources;
    char word[32];
    while (options_word(&rest, word, sizeof word) && s->order_count < SOURCES)
        for (unsigned i = 0; i < SOURCES; i++)
            if (strcmp(word, names[i]) == 0 && is_configured(s, (enum source)i))
                s->order[s->order_count++] = (enum source)i;
}

static void read_jwt(struct settings *s)
{
    const struct options *o = s->options;
    const char *rest = o->jwt_algorithms;
    char word[32];
    s->jwt = (struct jwt_rules){ .issuer = o->jwt_issuer,
                                 .audience = o->jwt_audience,
                                 .username = o->jwt_claim_username,
                                 .acl = o->jwt_claim_acl,
                                 .client_id = o->jwt_claim_client_id,
                                 .device = o->jwt_claim_device,
                                 .leeway_s = o->jwt_leeway_seconds,
                                 .needs_exp = o->jwt_needs_exp != 0 };
    while (options_word(&rest, word, sizeof word))
        s->jwt.algorithms |= (unsigned)jwt_algorithm_of(bytes_of_text(word));
}

static void read_http(struct settings *s)
{
    const struct options *o = s->options;
    s->http = (struct http_conf){ .url = o->http_url,
                                  .ca_file = o->http_ca_file,
                                  .cert_file = o->http_cert_file,
                                  .key_file = o->http_key_file,
                                  .header = s->http_header == NULL ? "" : s->http_header,
                                  .timeout_ms = o->http_timeout_ms,
                                  .connections = o->http_connections,
                                  .waiting = o->http_waiting,
                                  .cache_s = o->http_cache_seconds,
                                  .cache_denied_s = o->http_cache_denied_seconds,
                                  .cache_entries = o->http_cache_entries,
                                  .failures = o->http_failures,
                                  .open_s = o->http_open_seconds };
}

static enum err read_classes(struct settings *s, struct world_note *note)
{
    const struct options_list *l = &s->options->device_class;
    for (; s->class_count < l->count; s->class_count++) {
        if (device_class_read(&s->classes[s->class_count], l->at[s->class_count])) continue;
        snprintf(
            note->text, sizeof note->text,
            "plugin_opt_device_class '%.100s': allowed: NAME CONNECTIONS kick-older|refuse-newer PATTERN",
            l->at[s->class_count]);
        return ERR_SYNTAX;
    }
    return ERR_OK;
}

enum err settings_new(struct settings **out, struct options *options, struct world_note *note)
{
    struct settings *s = calloc(1, sizeof *s);
    *out = s;
    note->text[0] = '\0';
    if (s == NULL) {
        options_free(&options);
        return ERR_NOMEM;
    }
    ref_init(&s->ref, 1);
    s->options = options;
    enum err rc = load_files(s, note);
    if (rc == ERR_OK) rc = read_classes(s, note);
    if (rc != ERR_OK) {
        if (note->text[0] == '\0') snprintf(note->text, sizeof note->text, "%s", err_text(rc));
        settings_unref(out);
        return rc;
    }
    read_order(s);
    read_jwt(s);
    read_http(s);
    return ERR_OK;
}

void settings_unref(struct settings **owner)
{
    struct settings *s = *owner;
    *owner = NULL;
    if (s == NULL || !ref_drop(&s->ref)) return;
    options_free(&s->options);
    access_unref(&s->files);
    jwt_keys_free(&s->keys);
    if (s->http_header != NULL) explicit_bzero(s->http_header, strlen(s->http_header));
    free(s->http_header);
    free(s);
}

/* --- the world */

enum err world_new(struct world **out, struct settings *settings, struct accounts *accounts)
{
    struct world *w = calloc(1, sizeof *w);
    *out = w;
    if (w == NULL) return ERR_NOMEM;
    ref_init(&w->ref, 1);
    ref_add(&settings->ref, 1);
    w->settings = settings;
    w->accounts = accounts_ref(accounts);
    return ERR_OK;
}

struct world *world_ref(struct world *w)
{
    ref_add(&w->ref, 1);
    return w;
}

void world_unref(struct world **owner)
{
    struct world *w = *owner;
    *owner = NULL;
    if (w == NULL || !ref_drop(&w->ref)) return;
    settings_unref(&w->settings);
    accounts_unref(&w->accounts);
    free(w);
}

struct account_limit world_limit(const struct world *w, struct bytes account, const char *class)
{
    const struct settings *s = w->settings;
    const struct account *c = accounts_find(w->accounts, account);
    const struct account_limit *own = c == NULL ? NULL : account_limit(c, class);
    if (own != NULL) return *own;
    for (size_t i = 0; i < s->class_count; i++)
        if (strcmp(s->classes[i].limit.class, class) == 0) return s->classes[i].limit;
    return (struct account_limit){ .connections = s->options->connections,
                                   .policy = (enum limit_policy)s->options->connections_policy };
}

const char *world_class(const struct world *w, const char *client_id)
{
    const struct settings *s = w->settings;
    for (size_t i = 0; i < s->class_count; i++)
        if (device_pattern_fits(s->classes[i].pattern, client_id)) return s->classes[i].limit.class;
    return "";
}
