/* SPDX-License-Identifier: Apache-2.0 */
#include "node/conf.h"
#include "zab/zab.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBER_ID_MAX = 255, PORT_MAX = 65535 };

enum kind { KIND_NUMBER, KIND_PATH, KIND_WORD };

struct key {
    const char *word;
    enum kind kind;
    size_t offset;
    uint32_t def, min, max;
    const char *no, *yes;
};

static const struct key keys[] = {
#define KEY(word_, name, def_, min_, max_, doc)                                                              \
    { #word_, KIND_NUMBER, offsetof(struct conf, name), def_, min_, max_, NULL, NULL },
#define PATH(word_, name, doc) { #word_, KIND_PATH, offsetof(struct conf, name), 0, 0, 0, NULL, NULL },
#define WORD(word_, name, no_, yes_, doc)                                                                    \
    { #word_, KIND_WORD, offsetof(struct conf, name), 0, 0, 0, #no_, #yes_ },
#include "node/keys.def"
#undef KEY
#undef PATH
#undef WORD
    { "dataDir", KIND_PATH, offsetof(struct conf, data_dir), 0, 0, 0, NULL, NULL },
};

struct reading {
    struct conf *conf;
    const char *file;
    unsigned line;
    bool seen[sizeof keys / sizeof *keys];
    char *text;
};

static enum err complain(struct reading *r, enum err rc, const char *key, const char *value, const char *what)
{
    snprintf(r->text, CONF_TEXT_BYTES, "%s:%u: %.200s=%.200s: %s", r->file, r->line, key, value, what);
    return rc;
}

/* The whole text is a number from min to max. */
static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;

    if (!isdigit((unsigned char)text[0])) return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out >= min && *out <= max;
}

static enum err set_number(struct reading *r, const struct key *k, const char *value)
{
    char allowed[96];
    uint64_t n;

    if (!number(value, k->min, k->max, &n)) {
        snprintf(allowed, sizeof allowed, "a number from %u to %u is allowed", k->min, k->max);
        return complain(r, ERR_RANGE, k->word, value, allowed);
    }
    memcpy((char *)r->conf + k->offset, &(uint32_t){ (uint32_t)n }, sizeof(uint32_t));
    return ERR_OK;
}

static enum err set_path(struct reading *r, const struct key *k, const char *value)
{
    if (value[0] == '\0' || strlen(value) >= CONF_PATH_BYTES)
        return complain(r, ERR_RANGE, k->word, value, "a path of 1 to 511 bytes is allowed");
    memcpy((char *)r->conf + k->offset, value, strlen(value) + 1);
    return ERR_OK;
}

static enum err set_word(struct reading *r, const struct key *k, const char *value)
{
    char allowed[96];
    bool yes = strcmp(value, k->yes) == 0;

    if (!yes && strcmp(value, k->no) != 0) {
        snprintf(allowed, sizeof allowed, "%s or %s is allowed", k->no, k->yes);
        return complain(r, ERR_RANGE, k->word, value, allowed);
    }
    memcpy((char *)r->conf + k->offset, &yes, sizeof yes);
    return ERR_OK;
}

/* --- server.N=host:peerPort:electionPort[:observer] */

/* Cuts the last field off the text. */
static char *cut_last(char *text)
{
    char *colon = strrchr(text, ':');
    if (colon == NULL || strchr(colon, ']') != NULL) return NULL;
    *colon = '\0';
    return colon + 1;
}

static bool is_port(const char *text)
{
    uint64_t n;
    return text != NULL && number(text, 1, PORT_MAX, &n);
}

static bool parse_member(const char *value, struct zab_member *m)
{
    char rest[ZAB_ADDRESS_BYTES + 16];

    if (strlen(value) >= sizeof rest) return false;
    memcpy(rest, value, strlen(value) + 1);
    m->role = ZAB_VOTER;
    char *last = cut_last(rest);
    if (last != NULL && (strcmp(last, "observer") == 0 || strcmp(last, "participant") == 0)) {
        if (last[0] == 'o') m->role = ZAB_OBSERVER;
        last = cut_last(rest);
    }
    char *peer = last != NULL ? cut_last(rest) : NULL;
    if (!is_port(last) || !is_port(peer) || rest[0] == '\0') return false;
    int n = snprintf(m->address, sizeof m->address, "%s:%s:%s", rest, peer, last);
    return n > 0 && (size_t)n < sizeof m->address;
}

static enum err set_server(struct reading *r, const char *key, const char *value)
{
    struct zab_members *all = &r->conf->members;
    struct zab_member m = { 0 };
    uint64_t id;

    if (!number(key + strlen("server."), 1, MEMBER_ID_MAX, &id))
        return complain(r, ERR_SYNTAX, key, value, "server.1 to server.255 are allowed");
    m.id = (uint16_t)id;
    if (!parse_member(value, &m))
        return complain(r, ERR_SYNTAX, key, value, "host:peerPort:electionPort[:observer] is allowed");
    uint32_t at = 0;
    while (at < all->count && all->at[at].id < m.id) at++;
    if (at < all->count && all->at[at].id == m.id)
        return complain(r, ERR_SYNTAX, key, value, "this server is there already");
    if (all->count == ZAB_NODES_MAX) return complain(r, ERR_RANGE, key, value, "16 servers are allowed");
    for (uint32_t i = all->count++; i > at; i--) all->at[i] = all->at[i - 1];
    all->at[at] = m;
    return ERR_OK;
}

/* --- lines */

static enum err set(struct reading *r, const char *word, const char *value)
{
    if (strncmp(word, "server.", 7) == 0) return set_server(r, word, value);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct key *k = &keys[i];
        if (strcmp(word, k->word) != 0) continue;
        if (r->seen[i]) return complain(r, ERR_SYNTAX, word, value, "this key is there already");
        r->seen[i] = true;
        if (k->kind == KIND_NUMBER) return set_number(r, k, value);
        return k->kind == KIND_PATH ? set_path(r, k, value) : set_word(r, k, value);
    }
    return complain(r, ERR_UNKNOWN, word, value, "there is no such key");
}

static char *trimmed(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1])) text[--n] = '\0';
    return text;
}

static enum err read_line(struct reading *r, char *line)
{
    size_t n = strlen(line);

    if (n + 1 >= CONF_LINE_BYTES && line[n - 1] != '\n')
        return complain(r, ERR_SYNTAX, "(line)", "...", "a line of up to 1022 bytes is allowed");
    char *key = trimmed(line);
    if (key[0] == '\0' || key[0] == '#') return ERR_OK;
    char *equals = strchr(key, '=');
    if (equals == NULL) return complain(r, ERR_SYNTAX, key, "", "key=value is allowed");
    *equals = '\0';
    return set(r, trimmed(key), trimmed(equals + 1));
}

static enum err read_lines(struct reading *r)
{
    char line[CONF_LINE_BYTES];
    enum err rc = ERR_OK;
    FILE *f = fopen(r->file, "re");

    if (f == NULL) {
        snprintf(r->text, CONF_TEXT_BYTES, "cannot open %s: %s", r->file, strerror(errno));
        return ERR_SYS;
    }
    while (rc == ERR_OK && fgets(line, sizeof line, f) != NULL) {
        r->line++;
        rc = read_line(r, line);
    }
    fclose(f);
    return rc;
}

static enum err read_myid(struct reading *r)
{
    char path[CONF_PATH_BYTES + 8], line[32] = "";
    uint64_t id;

    snprintf(path, sizeof path, "%s/myid", r->conf->data_dir);
    FILE *f = fopen(path, "re");
    bool is_read = f != NULL && fgets(line, sizeof line, f) != NULL;
    if (f != NULL) fclose(f);
    if (is_read && number(trimmed(line), 1, MEMBER_ID_MAX, &id)) {
        r->conf->id = (uint16_t)id;
        return ERR_OK;
    }
    snprintf(r->text, CONF_TEXT_BYTES, "%s: it must have this node's number, 1 to 255, as of server.N", path);
    return ERR_SYNTAX;
}

static enum err refuse(struct reading *r, const char *what)
{
    snprintf(r->text, CONF_TEXT_BYTES, "%s: %s", r->file, what);
    return ERR_RANGE;
}

static enum err check(struct reading *r)
{
    const struct conf *c = r->conf;

    if (c->members.count == 0) return refuse(r, "there must be a server.N=host:peerPort:electionPort");
    if ((c->window_entries & (c->window_entries - 1)) != 0)
        return refuse(r, "logWindow: a power of two is allowed");
    if ((c->cert_file[0] == '\0') != (c->key_file[0] == '\0'))
        return refuse(r, "sslQuorum.certFile and sslQuorum.keyFile go together");
    if (!zab_members_are_valid(&c->members)) return refuse(r, "at least one server must be no observer");
    return ERR_OK;
}

enum err conf_read(struct conf *out, const char *file, char text[CONF_TEXT_BYTES])
{
    struct reading r = { .conf = out, .file = file, .text = text };

    *out = (struct conf){ 0 };
    text[0] = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].kind == KIND_NUMBER)
            memcpy((char *)out + keys[i].offset, &keys[i].def, sizeof keys[i].def);
    enum err rc = read_lines(&r);
    if (rc == ERR_OK && out->data_dir[0] == '\0') rc = refuse(&r, "dataDir must be there");
    if (rc == ERR_OK) rc = check(&r);
    if (rc == ERR_OK) rc = read_myid(&r);
    return rc;
}
