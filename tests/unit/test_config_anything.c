/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a file holds, the parser answers with notes and never with a crash. Runs under sanitizers. */
#include "config/config.h"
#include "config/print.h"
#include "kit/test.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static const char *const names[] = {
#define OPTION(name, ...)      #name,
#define OPTION_WORD(name, ...) #name,
#define OPTION_TEXT(name, ...) #name,
#define DIRECTIVE(name, ...)   #name,
#include "config/options.def"
#define SECURITY_BOOL(name, ...) #name,
#define SECURITY_TEXT(name, ...) #name,
#define SECURITY_FILE(name, ...) #name,
#define SECURITY_LIST(name, ...) #name,
#include "config/security.def"
#define LISTENER_NUMBER(name, ...)          #name,
#define LISTENER_BOOL(name, ...)            #name,
#define LISTENER_WORD(name, ...)            #name,
#define LISTENER_TEXT(name, ...)            #name,
#define LISTENER_TEXT_AS(name, option, ...) option,
#define LISTENER_FILE(name, ...)            #name,
#define LISTENER_FOLDER(name, ...)          #name,
#define LISTENER_LIST(name, ...)            #name,
#include "config/listener.def"
#define ELSEWHERE(name, kind, same, why) name,
#define RENAMED(old, now)                old,
#include "config/options_mosquitto.def"
};
enum { NAMES_COUNT = sizeof names / sizeof names[0] };

/* Reads it and looks at all that it became. */
static void read_anything(const void *bytes, size_t n)
{
    struct config *c = malloc(sizeof *c);
    struct config_notes notes;
    char path[] = "/tmp/longlink-config-XXXXXX";
    assert_non_null(c);
    config_init(c);
    config_notes_init(&notes);

    int fd = mkstemp(path);
    CHECK_TRUE(fd >= 0);
    CHECK_INT(n, write(fd, bytes, n));
    close(fd);
    enum err rc = config_read_file(c, path, &notes);
    CHECK_INT(rc == ERR_OK, notes.errors == 0);
    config_finish(c, &notes);

    FILE *to = fopen("/dev/null", "w");
    assert_non_null(to);
    config_print_effective(c, to);
    fclose(to);
    unlink(path);
    config_notes_fini(&notes);
    free(c);
}

TEST(random_bytes_never_crash_the_parser)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    uint8_t bytes[2048];
    for (int round = 0; round < 300; round++) {
        size_t n = next_random(&state) % sizeof bytes;
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(next_random(&state) >> 20);
        read_anything(bytes, n);
    }
}

TEST(every_option_stands_any_value)
{
    static const char *const values[] = { "",      "0",    "-1",  "true",     "99999999999999999999",
                                          "1h",    "a b",  "/",   "\xff\x01", "1883 127.0.0.1",
                                          "file ", "none", "%s%n" };
    for (size_t i = 0; i < NAMES_COUNT; i++) {
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            char line[128];
            int n = snprintf(line, sizeof line, "%s %s\n", names[i], values[v]);
            read_anything(line, (size_t)n);
        }
    }
}

TEST(every_option_stands_a_value_of_a_whole_line)
{
    static char line[CONFIG_LINE_BYTES_MAX + 1];
    for (size_t i = 0; i < NAMES_COUNT; i++) {
        memset(line, '7', sizeof line);
        size_t n = strlen(names[i]);
        memcpy(line, names[i], n);
        line[n] = ' ';
        line[CONFIG_LINE_BYTES_MAX] = '\n';
        read_anything(line, sizeof line);
    }
}

TEST(no_name_is_in_two_tables)
{
    for (size_t i = 0; i < NAMES_COUNT; i++)
        for (size_t j = 0; j < i; j++) assert_string_not_equal(names[i], names[j]);
}
