/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - the plugin_opt_* of longlink_auth.so, read and checked.
 *
 * Thread:  any; made on one and then not changed.
 * Memory:  owns copies.
 * Limits:  OPTIONS_LIST_MAX lines of a list.
 * Errors:  ERR_SYNTAX with a note that names the option, its value and what is allowed; ERR_NOMEM.
 * Tests:   tests/unit/test_auth_plugin_options.c
 */
#ifndef AUTH_OPTIONS_H
#define AUTH_OPTIONS_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { OPTIONS_LIST_MAX = 64, OPTIONS_NOTE_BYTES = 512 };

struct options_list {
    char *at[OPTIONS_LIST_MAX];
    size_t count;
};

/* A FILE, a TEXT and WORDS are texts, never NULL; a WORD is its place among those allowed. */
struct options {
#define FIELD_TEXT                            char *
#define FIELD_FILE                            char *
#define FIELD_WORDS                           char *
#define FIELD_NUMBER                          uint32_t
#define FIELD_WORD                            uint32_t
#define FIELD_LIST                            struct options_list
#define OPTION(name, kind, def, allowed, doc) FIELD_##kind name;
#include "auth/options.def"
#undef OPTION
};

enum { DEFERS, DENIES, ALLOWS }; /* places of acl_default and anonymous */
enum { UNKNOWN_DENIES, UNKNOWN_DEFERS };

struct option_given {
    const char *key, *value;
};

enum err options_new(struct options **out, const struct option_given *given, size_t count,
                     char note[OPTIONS_NOTE_BYTES]);
void options_free(struct options **owner);

/* The manual. */
void options_print_reference(FILE *to);

/* The words of a text, one after the other. False at the end. */
bool options_word(const char **rest, char *word, size_t room);

#endif
