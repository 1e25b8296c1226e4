/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/mtc_line.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_name_char(char c)
{
    return islower((unsigned char)c) || isdigit((unsigned char)c) || c == '_';
}

/* After a backslash: xHH is a byte, anything else itself. Returns what follows. */
static const char *add_escape(struct out *value, const char *at)
{
    if (at[0] == 'x' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2])) {
        char hex[3] = { at[1], at[2], '\0' };
        out_u8(value, strtoul(hex, NULL, 16));
        return at + 3;
    }
    if (*at == '\0') return at;
    out_add(value, at, 1);
    return at + 1;
}

/* After a dollar: a second one is a dollar, anything else names a variable. NULL when there is none. */
static const char *add_variable(struct out *value, const char *at, const struct fields *vars)
{
    char name[MTC_NAME_MAX] = "";
    size_t len = 0;

    if (*at == '$') {
        out_add(value, at, 1);
        return at + 1;
    }
    while (len < sizeof name - 1 && is_name_char(at[len])) len++;
    memcpy(name, at, len);
    const struct field *f = fields_find(vars, name, 0);
    if (f == NULL) return NULL;
    out_add(value, f->at, f->len);
    return at + len;
}

static const char *add_value(struct out *value, const char *at, const struct fields *vars)
{
    bool is_quoted = false;

    while (at != NULL && *at != '\0' && (is_quoted || !isspace((unsigned char)*at))) {
        if (*at == '\\') {
            at = add_escape(value, at + 1);
        } else if (*at == '$') {
            at = add_variable(value, at + 1, vars);
        } else if (*at == '"') {
            is_quoted = !is_quoted;
            at++;
        } else {
            out_add(value, at++, 1);
        }
    }
    return at;
}

/* 300000*x means 300000 times x. Returns how often, and where what is repeated starts. */
static size_t repetition(const char **at)
{
    char *end = NULL;

    if (!isdigit((unsigned char)**at)) return 1;
    size_t times = strtoul(*at, &end, 10);
    if (*end != '*') return 1;
    *at = end + 1;
    return times;
}

static const char *parse_word(struct fields *out, const char **text, const struct fields *vars)
{
    struct out once = { 0 }, all = { 0 };
    const char *at = *text, *wrong = NULL;
    char name[MTC_NAME_MAX] = "";
    size_t len = 0, times = 1;

    while (is_name_char(at[len]) || at[len] == '.') len++;
    if (len > 0 && len < sizeof name && at[len] == '=') {
        memcpy(name, at, len);
        at += len + 1;
        times = repetition(&at);
    }
    at = add_value(&once, at, vars);
    if (at == NULL)
        wrong = "a variable has no value ($$ is a dollar)";
    else if (once.len > 0 && times > LINE_REPEAT_MAX / once.len)
        wrong = "a repetition is too long";
    for (size_t i = 0; wrong == NULL && i < times; i++) out_add(&all, once.at, once.len);
    fields_add(out, name, all.at, all.len);
    out_clear(&once);
    out_clear(&all);
    *text = at;
    return wrong;
}

const char *line_parse(struct fields *out, const char *text, const struct fields *vars)
{
    const char *wrong = NULL;

    while (wrong == NULL) {
        while (isspace((unsigned char)*text)) text++;
        if (*text == '\0') break;
        wrong = parse_word(out, &text, vars);
    }
    return wrong;
}
