/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"

enum { MS_PER_S = 1000, HELP_WIDTH = 92, HELP_INDENT = 6 };

struct word {
    const char *at;
    size_t len;
};

static uint64_t *number_at(void *conf, const struct option_row *row)
{
    return (uint64_t *)(void *)((char *)conf + row->offset);
}

static const char **text_at(void *conf, const struct option_row *row)
{
    return (const char **)(void *)((char *)conf + row->offset);
}

void options_default(const struct options_table *t, void *conf)
{
    CHECK(t->count <= OPTIONS_MAX);
    for (size_t i = 0; i < t->count; i++) {
        const struct option_row *row = &t->rows[i];
        if (row->type == OPTION_TEXT)
            *text_at(conf, row) = row->text_default;
        else
            *number_at(conf, row) = row->number_default;
    }
}

__attribute__((format(printf, 3, 4))) static enum err say(struct options_parsed *out, enum err rc,
                                                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out->problem, sizeof out->problem, format, args);
    va_end(args);
    return rc;
}

/* "drain_timeout" in the table is "drain-timeout" on the command line. */
static bool name_matches(const char *row_name, struct word given)
{
    if (strlen(row_name) != given.len) return false;
    for (size_t i = 0; i < given.len; i++) {
        char want = row_name[i] == '_' ? '-' : row_name[i];
        if (want != given.at[i]) return false;
    }
    return true;
}

static const struct option_row *find_row(const struct options_table *t, struct word name)
{
    for (size_t i = 0; i < t->count; i++)
        if (name_matches(t->rows[i].name, name)) return &t->rows[i];
    return NULL;
}

/* Digits only, and nothing that does not fit: "-1", "1e3" and "" are refused. */
static bool parse_digits(struct word digits, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9') return false;
        uint64_t digit = (uint64_t)(digits.at[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return digits.len > 0;
}

/* "2", "0.5", "1.25": milliseconds; more than three decimals would be silently lost, so they are refused. */
static bool parse_seconds(const char *text, uint64_t *out)
{
    const char *point = strchr(text, '.');
    size_t whole_len = point != NULL ? (size_t)(point - text) : strlen(text);
    uint64_t whole = 0, thousandths = 0;

    if (!parse_digits((struct word){ text, whole_len }, &whole) || whole > UINT64_MAX / MS_PER_S - 1)
        return false;
    if (point != NULL) {
        struct word decimals = { point + 1, strlen(point + 1) };
        if (decimals.len > 3 || !parse_digits(decimals, &thousandths)) return false;
        for (size_t i = decimals.len; i < 3; i++) thousandths *= 10;
    }
    *out = whole * MS_PER_S + thousandths;
    return true;
}

static struct word nth_word(const char *words, uint64_t n)
{
    for (; n > 0; n--) {
        words = strchr(words, '|');
        if (words == NULL) return (struct word){ "", 0 };
        words++;
    }
    return (struct word){ words, strcspn(words, "|") };
}

const char *options_word(const struct option_row *row, uint64_t n, char *buffer, size_t buffer_bytes)
{
    struct word w = nth_word(row->form, n);
    snprintf(buffer, buffer_bytes, "%.*s", (int)w.len, w.at);
    return buffer;
}

static bool parse_choice(const struct option_row *row, const char *text, uint64_t *out)
{
    for (uint64_t n = 0; n <= row->max; n++) {
        struct word w = nth_word(row->form, n);
        if (w.len != strlen(text) || memcmp(w.at, text, w.len) != 0) continue;
        *out = n;
        return true;
    }
    return false;
}

static void format_number(const struct option_row *row, uint64_t value, char *buffer, size_t buffer_bytes)
{
    if (row->type != OPTION_SECONDS || value % MS_PER_S == 0)
        snprintf(buffer, buffer_bytes, "%" PRIu64, row->type == OPTION_SECONDS ? value / MS_PER_S : value);
    else
        snprintf(buffer, buffer_bytes, "%" PRIu64 ".%03" PRIu64, value / MS_PER_S, value % MS_PER_S);
}

static void print_name(const struct option_row *row, char *buffer, size_t buffer_bytes)
{
    snprintf(buffer, buffer_bytes, "--%s", row->name);
    for (char *at = buffer; *at != '\0'; at++)
        if (*at == '_') *at = '-';
}

static enum err set_value(const struct option_row *row, const char *text, void *conf,
                          struct options_parsed *out)
{
    char name[64], min[32], max[32];
    uint64_t value = 0;
    print_name(row, name, sizeof name);

    if (row->type == OPTION_TEXT) {
        *text_at(conf, row) = text;
        return ERR_OK;
    }
    if (row->type == OPTION_CHOICE) {
        if (!parse_choice(row, text, &value))
            return say(out, ERR_UNKNOWN, "%s: '%s' is none of %s", name, text, row->form);
        *number_at(conf, row) = value;
        return ERR_OK;
    }
    bool ok = row->type == OPTION_SECONDS ? parse_seconds(text, &value)
                                          : parse_digits((struct word){ text, strlen(text) }, &value);
    if (!ok)
        return say(out, ERR_SYNTAX, "%s: '%s' is not %s", name, text,
                   row->type == OPTION_SECONDS ? "a number of seconds such as 5 or 0.25" : "a whole number");
    format_number(row, row->min, min, sizeof min);
    format_number(row, row->max, max, sizeof max);
    if (value < row->min || value > row->max)
        return say(out, ERR_RANGE, "%s: %s is out of range; allowed are %s to %s", name, text, min, max);
    *number_at(conf, row) = value;
    return ERR_OK;
}

/* Reads one option; *used is how many words of argv it took. */
static enum err parse_one(const struct options_table *t, char *const *argv, int left, void *conf,
                          struct options_parsed *out)
{
    const char *arg = argv[0];
    if (strncmp(arg, "--", 2) != 0)
        return say(out, ERR_SYNTAX, "'%s' is not an option; see 'longlink help %s'", arg, t->command);

    struct word name = { arg + 2, strcspn(arg + 2, "=") };
    const char *value = name.at[name.len] == '=' ? name.at + name.len + 1 : NULL;
    const struct option_row *row = find_row(t, name);
    if (row == NULL)
        return say(out, ERR_UNKNOWN, "there is no option '--%.*s'; see 'longlink help %s'", (int)name.len,
                   name.at, t->command);
    out->given |= UINT64_C(1) << (row - t->rows);
    if (row->type == OPTION_FLAG) {
        *number_at(conf, row) = 1;
        return value == NULL ? ERR_OK : say(out, ERR_SYNTAX, "--%.*s takes no value", (int)name.len, name.at);
    }
    if (value == NULL && left < 2)
        return say(out, ERR_SYNTAX, "--%.*s needs a value: %s", (int)name.len, name.at, row->form);
    return set_value(row, value != NULL ? value : argv[1], conf, out);
}

/* "--name VALUE" takes two words of argv; "--name=VALUE" and "--flag" take one. */
static int words_used(const struct options_table *t, const char *arg)
{
    struct word name = { arg + 2, strcspn(arg + 2, "=") };
    const struct option_row *row = find_row(t, name);
    return name.at[name.len] == '=' || row->type == OPTION_FLAG ? 1 : 2;
}

enum err options_parse(const struct options_table *t, int argc, char *const *argv, void *conf,
                       struct options_parsed *out)
{
    *out = (struct options_parsed){ 0 };
    options_default(t, conf);
    for (int i = 0; i < argc; i += words_used(t, argv[i])) {
        enum err rc = parse_one(t, argv + i, argc - i, conf, out);
        if (rc != ERR_OK) return rc;
    }
    return ERR_OK;
}

/* Breaks at spaces, so that the help reads well in a terminal of 100 columns. */
static void print_wrapped(const char *text, int indent, FILE *to)
{
    int column = 0;
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + len > HELP_WIDTH - indent) {
            fputc('\n', to);
            column = 0;
        }
        fprintf(to, "%*s%.*s", column == 0 ? indent : 1, "", len, text);
        column += len + (column > 0 ? 1 : 0);
        text += len;
        while (*text == ' ') text++;
    }
    fputc('\n', to);
}

static void help_row(const struct option_row *row, FILE *to)
{
    char name[64], def[64], min[32], max[32];
    print_name(row, name, sizeof name);
    format_number(row, row->min, min, sizeof min);
    format_number(row, row->max, max, sizeof max);
    format_number(row, row->number_default, def, sizeof def);

    fprintf(to, "  %s", name);
    switch (row->type) {
    case OPTION_FLAG: fputc('\n', to); break;
    case OPTION_TEXT:
        fprintf(to, " %s   (default %s)\n", row->form,
                row->text_default[0] != '\0' ? row->text_default : "none");
        break;
    case OPTION_CHOICE:
        fprintf(to, " %s   (default %s)\n", row->form,
                options_word(row, row->number_default, def, sizeof def));
        break;
    case OPTION_NUMBER:
    case OPTION_SECONDS: fprintf(to, " %s   (default %s; %s to %s)\n", row->form, def, min, max); break;
    }
    print_wrapped(row->doc, HELP_INDENT, to);
}

void options_help(const struct options_table *t, FILE *to)
{
    fprintf(to, "usage: longlink %s [OPTION...]\n\n", t->command);
    print_wrapped(t->purpose, 0, to);
    fprintf(to, "\noptions:\n");
    for (size_t i = 0; i < t->count; i++) help_row(&t->rows[i], to);
}
