/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/options.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, FILE_, NUMBER, WORD, WORDS, LIST };
#define KIND_TEXT   TEXT
#define KIND_FILE   FILE_
#define KIND_NUMBER NUMBER
#define KIND_WORD   WORD
#define KIND_WORDS  WORDS
#define KIND_LIST   LIST

static const struct row {
    const char *name;
    enum kind kind;
    const char *def, *allowed, *doc;
    size_t offset;
} rows[] = {
#define OPTION(name, kind, def, allowed, doc)                                                                \
    { #name, KIND_##kind, def, allowed, doc, offsetof(struct options, name) },
#include "auth/options.def"
#undef OPTION
};

enum { ROWS = sizeof rows / sizeof rows[0], WORD_BYTES = 64 };

bool options_word(const char **rest, char *word, size_t room)
{
    *rest += strspn(*rest, " \t");
    size_t n = strcspn(*rest, " \t");
    if (n == 0 || n >= room) return false;
    memcpy(word, *rest, n);
    word[n] = '\0';
    *rest += n;
    return true;
}

/* The place of a word among those allowed; -1: it is none. */
static int place_of(const struct row *r, const char *word)
{
    const char *rest = r->allowed;
    char one[WORD_BYTES];
    for (int i = 0; options_word(&rest, one, sizeof one); i++)
        if (strcmp(one, word) == 0) return i;
    return -1;
}

static bool read_number(const struct row *r, const char *text, uint32_t *out)
{
    char *end;
    unsigned long least = strtoul(r->allowed, &end, 10), most = strtoul(end, NULL, 10);
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || n < least || n > most) return false;
    *out = (uint32_t)n;
    return true;
}

static bool are_words(const struct row *r, const char *text)
{
    char one[WORD_BYTES];
    while (options_word(&text, one, sizeof one))
        if (place_of(r, one) < 0) return false;
    return text[strspn(text, " \t")] == '\0';
}

static enum err set_text(char **to, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) return ERR_NOMEM;
    free(*to);
    *to = copy;
    return ERR_OK;
}

static enum err add_line(struct options_list *l, const char *text)
{
    if (l->count == OPTIONS_LIST_MAX) return ERR_SYNTAX;
    enum err rc = set_text(&l->at[l->count], text);
    if (rc == ERR_OK) l->count++;
    return rc;
}

static enum err set(struct options *o, const struct row *r, const char *text)
{
    void *at = (char *)o + r->offset;
    switch (r->kind) {
    case NUMBER: return read_number(r, text, at) ? ERR_OK : ERR_SYNTAX;
    case WORD: {
        int place = place_of(r, text);
        if (place >= 0) *(uint32_t *)at = (uint32_t)place;
        return place >= 0 ? ERR_OK : ERR_SYNTAX;
    }
    case WORDS: return are_words(r, text) ? set_text(at, text) : ERR_SYNTAX;
    case LIST: return add_line(at, text);
    default: return set_text(at, text);
    }
}

static enum err set_defaults(struct options *o)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; i < ROWS && rc == ERR_OK; i++)
        if (rows[i].kind != LIST) rc = set(o, &rows[i], rows[i].def);
    return rc;
}

static enum err set_given(struct options *o, const struct option_given *g, char note[OPTIONS_NOTE_BYTES])
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        if (strcmp(r->name, g->key) != 0) continue;
        enum err rc = set(o, r, g->value == NULL ? "" : g->value);
        if (rc == ERR_SYNTAX)
            snprintf(note, OPTIONS_NOTE_BYTES, "plugin_opt_%s '%.100s': %s%s", r->name,
                     g->value == NULL ? "" : g->value,
                     r->kind == LIST ? "too many" : "allowed: ", r->kind == LIST ? "" : r->allowed);
        return rc;
    }
    snprintf(note, OPTIONS_NOTE_BYTES, "plugin_opt_%.100s: there is no such option; see the manual", g->key);
    return ERR_SYNTAX;
}

enum err options_new(struct options **out, const struct option_given *given, size_t count,
                     char note[OPTIONS_NOTE_BYTES])
{
    struct options *o = calloc(1, sizeof *o);
    note[0] = '\0';
    enum err rc = o == NULL ? ERR_NOMEM : set_defaults(o);
    for (size_t i = 0; i < count && rc == ERR_OK; i++) rc = set_given(o, &given[i], note);
    if (rc == ERR_NOMEM) snprintf(note, OPTIONS_NOTE_BYTES, "out of memory");
    if (rc != ERR_OK) options_free(&o);
    *out = o;
    return rc;
}

static void free_text(char **owner)
{
    free(*owner);
}

static void free_list(struct options_list *l)
{
    for (size_t i = 0; i < l->count; i++) free(l->at[i]);
}

void options_free(struct options **owner)
{
    struct options *o = *owner;
    *owner = NULL;
    if (o == NULL) return;
    for (size_t i = 0; i < ROWS; i++) {
        void *at = (char *)o + rows[i].offset;
        if (rows[i].kind == LIST)
            free_list(at);
        else if (rows[i].kind != NUMBER && rows[i].kind != WORD)
            free_text(at);
    }
    free(o);
}

/* --- the manual */

static void print_allowed(FILE *to, const struct row *r)
{
    char word[WORD_BYTES];
    const char *rest = r->allowed;
    switch (r->kind) {
    case TEXT: fputs("a text", to); return;
    case FILE_: fputs("a file", to); return;
    case LIST: fputs("may come several times", to); return;
    case NUMBER: {
        char *end;
        unsigned long least = strtoul(r->allowed, &end, 10);
        fprintf(to, "%lu to %lu", least, strtoul(end, NULL, 10));
        return;
    }
    default:
        for (int i = 0; options_word(&rest, word, sizeof word); i++)
            fprintf(to, "%s`%s`", i == 0 ? "" : r->kind == WORDS ? " " : ", ", word);
        if (r->kind == WORDS) fputs(", any of them in any order", to);
    }
}

void options_print_reference(FILE *to)
{
    fputs("# Options of longlink_auth.so\n\n"
          "Made from `plugins/auth/options.def`. Each is a line `plugin_opt_NAME VALUE` below `plugin`; what "
          "they are\n"
          "for is in [auth.md](auth.md). A reload (SIGHUP) reads them again.\n",
          to);
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        fprintf(to, "\n### plugin_opt_%s\n\n", r->name);
        print_allowed(to, r);
        if (r->def[0] != '\0') fprintf(to, "; default `%s`", r->def);
        fprintf(to, "\n\n%s\n", r->doc);
    }
}
