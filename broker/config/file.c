/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is read whole and then cut into lines; an error in a line does not stop the next one from being
 * checked, so that an operator sees all of them at once.
 */
#include "config/config_int.h"
#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* line is ended by NUL and ours to cut. */
static void read_line(struct place *p, char *line)
{
    while (is_blank(*line)) line++;
    size_t n = strlen(line);
    while (n > 0 && is_blank(line[n - 1])) line[--n] = '\0';
    if (n == 0 || line[0] == '#') return;

    size_t name = 0;
    while (name < n && !is_blank(line[name])) name++;
    char *value = line + name;
    while (is_blank(*value)) value++;
    line[name] = '\0';
    option_apply(p, line, value);
}

/* text ends with a NUL that size does not count. */
static void read_lines(struct place *p, char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        char *newline = memchr(text + at, '\n', size - at);
        size_t len = newline != NULL ? (size_t)(newline - (text + at)) : size - at;
        text[at + len] = '\0';
        p->line++;
        if (len > CONFIG_LINE_BYTES_MAX)
            note_error(p, NULL, "the line has %zu bytes; allowed: %d", len, CONFIG_LINE_BYTES_MAX);
        else if (strlen(text + at) != len)
            note_error(p, NULL, "the line holds a zero byte; allowed: text");
        else
            read_line(p, text + at);
        at += len + 1;
    }
}

static void read_text(struct place *p, FILE *from)
{
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 2);
    if (text == NULL) {
        note_error(p, NULL, "cannot be read: %s", err_text(ERR_NOMEM));
        return;
    }
    errno = 0;
    size_t size = fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, from);
    if (ferror(from))
        note_error(p, NULL, "cannot be read: %s", strerror(errno));
    else if (size > CONFIG_FILE_BYTES_MAX)
        note_error(p, NULL, "the file is too large; allowed: %d bytes", CONFIG_FILE_BYTES_MAX);
    else
        read_lines(p, text, size);
    free(text);
}

void file_read(struct place *p)
{
    FILE *from = fopen(p->file, "re");
    if (from == NULL) {
        note_error(p, NULL, "cannot be opened: %s", strerror(errno));
        return;
    }
    read_text(p, from);
    fclose(from);
}

enum err config_read_file(struct config *c, const char *path, struct config_notes *notes)
{
    size_t before = notes->errors;
    struct place p = { .config = c, .notes = notes, .file = path, .listener = &c->default_listener };
    file_read(&p);
    return notes->errors == before ? ERR_OK : ERR_SYNTAX;
}

/* --- include_dir */

/* Without regard to case; of the same letter the capital first, as mosquitto sorts. */
static int compare_names(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    for (; *x != '\0' && *y != '\0'; x++, y++) {
        int order = toupper((unsigned char)*x) - toupper((unsigned char)*y);
        if (order == 0) order = *x - *y;
        if (order != 0) return order;
    }
    return *x - *y;
}

static bool is_conf(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".conf") == 0 && name[0] != '.';
}

struct names {
    char *at[CONFIG_FILES_MAX];
    size_t count;
};

static enum err names_read(const struct place *p, const char *folder, struct names *names)
{
    DIR *d = opendir(folder);
    if (d == NULL) {
        char why[160];
        snprintf(why, sizeof why, "cannot be opened: %s; allowed: a directory that can", strerror(errno));
        note_refusal(p, "include_dir", folder, why);
        return ERR_SYS;
    }
    enum err rc = ERR_OK;
    for (struct dirent *e = readdir(d); rc == ERR_OK && e != NULL; e = readdir(d)) {
        if (!is_conf(e->d_name)) continue;
        if (names->count == CONFIG_FILES_MAX) {
            note_refusal(p, "include_dir", folder, "holds too many files; allowed: 256");
            static_assert(CONFIG_FILES_MAX == 256, "the text above says so");
            rc = ERR_FULL;
        } else {
            names->at[names->count] = strdup(e->d_name);
            if (names->at[names->count] == NULL)
                rc = ERR_NOMEM;
            else
                names->count++;
        }
    }
    closedir(d);
    return rc;
}

static void read_included(const struct place *p, const char *folder, const char *name)
{
    char path[CONFIG_TEXT_BYTES + 260];
    size_t n = strlen(folder);
    snprintf(path, sizeof path, "%.*s%s%s", CONFIG_TEXT_BYTES, folder, folder[n - 1] == '/' ? "" : "/", name);
    struct place at = { .config = p->config,
                        .notes = p->notes,
                        .file = path,
                        .is_included = true,
                        .listener = &p->config->default_listener };
    file_read(&at);
}

enum err files_read_folder(const struct place *p, const char *folder)
{
    struct names names = { .count = 0 };
    enum err rc = names_read(p, folder, &names);
    if (names.count > 0) qsort(names.at, names.count, sizeof names.at[0], compare_names);
    for (size_t i = 0; i < names.count; i++) {
        if (rc == ERR_OK) read_included(p, folder, names.at[i]);
        free(names.at[i]);
    }
    return rc;
}
