/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/mtc_fields.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { PRINT_MAX = 60 };

void out_add(struct out *o, const void *at, size_t len)
{
    if (len > o->room - o->len) {
        o->room = (o->len + len) * 2;
        o->at = realloc(o->at, o->room);
        CHECK(o->at != NULL);
    }
    if (len > 0) memcpy(o->at + o->len, at, len);
    o->len += len;
}

void out_u8(struct out *o, unsigned long n)
{
    uint8_t byte = (uint8_t)n;
    out_add(o, &byte, 1);
}

void out_u16(struct out *o, unsigned long n)
{
    out_u8(o, n >> 8);
    out_u8(o, n);
}

void out_clear(struct out *o)
{
    free(o->at);
    *o = (struct out){ 0 };
}

void fields_add(struct fields *f, const char *name, const void *at, size_t len)
{
    f->all = realloc(f->all, (f->count + 1) * sizeof *f->all);
    CHECK(f->all != NULL);

    struct field *new = &f->all[f->count++];
    *new = (struct field){ .at = malloc(len + 1), .len = len };
    CHECK(new->at != NULL);
    (void)snprintf(new->name, sizeof new->name, "%s", name);
    if (len > 0) memcpy(new->at, at, len);
    new->at[len] = '\0';
}

void fields_add_number(struct fields *f, const char *name, unsigned long n)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lu", n);

    fields_add(f, name, text, (size_t)len);
    f->all[f->count - 1].is_number = true;
}

struct field *fields_find(const struct fields *f, const char *name, size_t nth)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->all[i].name, name) == 0 && nth-- == 0) return &f->all[i];
    return NULL;
}

void field_print(const struct field *f, FILE *to)
{
    unsigned long n = 0;

    if (strcmp(f->name, "code") == 0 && field_number(f, &n)) {
        fprintf(to, "0x%02lx", n);
        return;
    }
    for (size_t i = 0; i < f->len && i < PRINT_MAX; i++) {
        if (isprint((unsigned char)f->at[i]))
            fputc(f->at[i], to);
        else
            fprintf(to, "\\x%02x", (unsigned char)f->at[i]);
    }
    if (f->len > PRINT_MAX) fprintf(to, "... (%zu bytes)", f->len);
}

void fields_print(const struct fields *f, FILE *to)
{
    for (size_t i = 0; i < f->count; i++) {
        fprintf(to, " %s=", f->all[i].name);
        field_print(&f->all[i], to);
    }
}

void fields_clear(struct fields *f)
{
    for (size_t i = 0; i < f->count; i++) free(f->all[i].at);
    free(f->all);
    *f = (struct fields){ 0 };
}

bool field_number(const struct field *f, unsigned long *out)
{
    char *end = NULL;

    if (f->len == 0 || !isdigit((unsigned char)f->at[0])) return false;
    *out = strtoul(f->at, &end, 0);
    return end == f->at + f->len;
}
