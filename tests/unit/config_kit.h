/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_kit - a configuration read from a file that a test wrote, and what was noted about it.
 *
 * Thread:  the test's.
 * Memory:  bench_free.
 * Limits:  none.
 * Errors:  the test fails.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_CONFIG_KIT_H
#define UNIT_CONFIG_KIT_H

#include "config/config.h"
#include "kit/test.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A configuration with a folder for its files. */
struct bench {
    struct config config;
    struct config_notes notes;
    char folder[64], path[96];
};

static inline struct bench *bench_new(void)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    config_init(&b->config);
    config_notes_init(&b->notes);
    snprintf(b->folder, sizeof b->folder, "/tmp/longlink-config-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/main.conf", b->folder);
    return b;
}

static inline void bench_free(struct bench *b)
{
    config_notes_fini(&b->notes);
    unlink(b->path);
    rmdir(b->folder);
    free(b);
}

static inline void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    CHECK_INT(n, fwrite(bytes, 1, n, f));
    fclose(f);
}

static inline enum err read_bytes(struct bench *b, const void *bytes, size_t n)
{
    write_file(b->path, bytes, n);
    return config_read_file(&b->config, b->path, &b->notes);
}

static inline enum err read_text(struct bench *b, const char *text)
{
    return read_bytes(b, text, strlen(text));
}

/* Reads a good file and finishes. */
static inline struct bench *bench_read(const char *text)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, text));
    CHECK_INT(ERR_OK, config_finish(&b->config, &b->notes));
    return b;
}

static inline bool is_noted(const struct bench *b, bool is_error, const char *text)
{
    for (size_t i = 0; i < b->notes.count; i++)
        if (b->notes.at[i].is_error == is_error && strstr(b->notes.at[i].text, text) != NULL) return true;
    return false;
}

static inline void check_noted(const struct bench *b, bool is_error, const char *text)
{
    if (is_noted(b, is_error, text)) return;
    for (size_t i = 0; i < b->notes.count; i++) print_error("noted: %s\n", b->notes.at[i].text);
    fail_msg("not noted: %s", text);
}

static inline size_t warnings(const struct bench *b)
{
    return b->notes.count - (b->notes.errors - (b->notes.missed < b->notes.errors ? b->notes.missed : 0));
}

/* A file of one line is refused with one error, which says "PATH:1: " and want. */
static inline void check_refused(const char *line, const char *want)
{
    char text[512];
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, read_text(b, line));
    CHECK_INT(1, b->notes.errors);
    snprintf(text, sizeof text, "%s:1: %s", b->path, want);
    assert_string_equal(text, b->notes.at[0].text);
    bench_free(b);
}

#endif
