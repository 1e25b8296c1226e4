/* SPDX-License-Identifier: Apache-2.0 */
#include "config/print.h"
#include "unit/config_kit.h"
#include <sys/stat.h>

/* --- files */

TEST(a_file_that_is_not_there_is_an_error_with_the_systems_reason)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, config_read_file(&b->config, b->path, &b->notes));
    check_noted(b, true, "main.conf: cannot be opened: No such file or directory");
    CHECK_INT(ERR_SYNTAX, config_read_file(&b->config, b->folder, &b->notes));
    check_noted(b, true, ": cannot be read: Is a directory");
    bench_free(b);
}

TEST(a_line_longer_than_the_limit_is_an_error_and_the_next_line_counts)
{
    struct bench *b = bench_new();
    static char text[CONFIG_LINE_BYTES_MAX + 64];
    memset(text, 'x', sizeof text);
    size_t n = CONFIG_LINE_BYTES_MAX + 1;
    n += (size_t)snprintf(text + n, sizeof text - n, "\nshards 3\n");
    CHECK_INT(ERR_SYNTAX, read_bytes(b, text, n));
    CHECK_INT(1, b->notes.errors);
    check_noted(b, true, ":1: the line has 4097 bytes; allowed: 4096");
    CHECK_INT(3, b->config.shards);
    bench_free(b);
}

TEST(a_text_longer_than_its_field_is_an_error)
{
    struct bench *b = bench_new();
    char text[CONFIG_TEXT_BYTES + 32];
    size_t n = (size_t)snprintf(text, sizeof text, "pid_file ");
    memset(text + n, 'x', CONFIG_TEXT_BYTES);
    CHECK_INT(ERR_SYNTAX, read_bytes(b, text, n + CONFIG_TEXT_BYTES));
    assert_string_equal("", b->config.pid_file);
    CHECK_INT(ERR_OK, read_bytes(b, text, n + CONFIG_TEXT_BYTES - 1));
    CHECK_INT(CONFIG_TEXT_BYTES - 1, strlen(b->config.pid_file));
    bench_free(b);
}

TEST(a_zero_byte_in_a_line_is_an_error)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, read_bytes(b, "shards 2\0 3\nshards 4\n", 21));
    check_noted(b, true, ":1: the line holds a zero byte");
    CHECK_INT(4, b->config.shards);
    bench_free(b);
}

TEST(a_file_larger_than_the_limit_is_an_error)
{
    struct bench *b = bench_new();
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, '\n', CONFIG_FILE_BYTES_MAX + 1);
    CHECK_INT(ERR_OK, read_bytes(b, text, CONFIG_FILE_BYTES_MAX));
    CHECK_INT(ERR_SYNTAX, read_bytes(b, text, CONFIG_FILE_BYTES_MAX + 1));
    check_noted(b, true, "the file is too large; allowed: 1048576 bytes");
    free(text);
    bench_free(b);
}

/* --- include_dir */

enum { FILES_MAX = 8 };

struct included {
    char folder[96], names[FILES_MAX][32];
    size_t count;
};

static void include_open(struct included *d, const struct bench *b)
{
    *d = (struct included){ .count = 0 };
    snprintf(d->folder, sizeof d->folder, "%s/conf.d", b->folder);
    CHECK_INT(0, mkdir(d->folder, 0700));
}

static void include_add(struct included *d, const char *name, const char *text)
{
    char path[160];
    snprintf(d->names[d->count++], sizeof d->names[0], "%s", name);
    snprintf(path, sizeof path, "%s/%s", d->folder, name);
    write_file(path, text, strlen(text));
}

static enum err include_read(struct included *d, struct bench *b)
{
    char text[160];
    snprintf(text, sizeof text, "include_dir %s\n", d->folder);
    enum err rc = read_text(b, text);
    for (size_t i = 0; i < d->count; i++) {
        snprintf(text, sizeof text, "%s/%s", d->folder, d->names[i]);
        unlink(text);
    }
    rmdir(d->folder);
    return rc;
}

/* option: include_dir */
TEST(a_folder_is_read_in_the_order_of_names_without_regard_to_case)
{
    struct bench *b = bench_new();
    struct included d;
    include_open(&d, b);
    include_add(&d, "b.conf", "shards 4\nlistener 4\n");
    include_add(&d, "A.conf", "shards 2\nlistener 2\n");
    include_add(&d, "B.conf", "shards 3\nlistener 3\n");
    include_add(&d, "00.conf", "listener 1\n");
    include_add(&d, "z.txt", "shards 9\n");
    include_add(&d, ".conf", "shards 9\n");
    CHECK_INT(ERR_OK, include_read(&d, b));
    CHECK_INT(4, b->config.shards);
    CHECK_INT(4, b->config.listeners_count);
    for (unsigned i = 0; i < 4; i++) CHECK_INT(i + 1, b->config.listeners[i].port);
    bench_free(b);
}

TEST(an_error_in_an_included_file_names_that_file)
{
    struct bench *b = bench_new();
    struct included d;
    include_open(&d, b);
    include_add(&d, "a.conf", "\nshards x\ninclude_dir /tmp\n");
    CHECK_INT(ERR_SYNTAX, include_read(&d, b));
    check_noted(b, true, "conf.d/a.conf:2: option 'shards': value 'x'");
    check_noted(b, true, "conf.d/a.conf:3: option 'include_dir' is not allowed in an included file");
    bench_free(b);
}

TEST(a_folder_that_is_not_there_is_an_error)
{
    check_refused("include_dir /nonexistent-folder",
                  "option 'include_dir': value '/nonexistent-folder' cannot be "
                  "opened: No such file or directory; allowed: a directory that can");
}

/* --- files that options name */

TEST(a_file_of_a_listener_that_cannot_be_read_is_an_error_of_its_line)
{
    struct bench *b = bench_new();
    char text[400];
    snprintf(text, sizeof text, "listener 1884\ncertfile %s/none\n\nkeyfile %s\ncapath %s\ncafile %s\n",
             b->folder, b->folder, b->path, b->path);
    CHECK_INT(ERR_OK, read_text(b, text));
    CHECK_INT(ERR_SYNTAX, config_finish(&b->config, &b->notes));
    CHECK_INT(3, b->notes.errors);
    check_noted(b, true, ":2: option 'certfile': value '/tmp/");
    check_noted(b, true, "/none' cannot be read: No such file or directory; allowed: a file that can");
    check_noted(b, true, ":4: option 'keyfile': value '/tmp/");
    check_noted(b, true, "cannot be read: Is a directory; allowed: a file that can");
    check_noted(b, true, ":5: option 'capath': value '/tmp/");
    check_noted(b, true, "cannot be read: Not a directory; allowed: a directory that can");
    bench_free(b);
}

TEST(everyones_file_that_cannot_be_read_is_one_error_however_many_listeners_there_are)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, "listener 1884\nlistener 1885\npsk_file /nonexistent\n"));
    CHECK_INT(ERR_SYNTAX, config_finish(&b->config, &b->notes));
    CHECK_INT(1, b->notes.errors);
    check_noted(b, true, ":3: option 'psk_file': value '/nonexistent' cannot be read: ");
    bench_free(b);
}

/* --- where values come from */

TEST(what_holds_is_printed_with_its_origin)
{
    struct bench *b = bench_read("shards 2\nlistener 1884 ::1\nmax_qos 1\n");
    CHECK_INT(ERR_OK, config_set(&b->config, "max_keepalive", "60", "--keepalive", &b->notes));
    char *text = NULL, want[160];
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    config_print_effective(&b->config, to);
    fclose(to);

    snprintf(want, sizeof want, "shards 2  # %s:1\n", b->path);
    assert_non_null(strstr(text, want));
    snprintf(want, sizeof want, "listener 1884 ::1  # %s:2\n", b->path);
    assert_non_null(strstr(text, want));
    assert_non_null(strstr(text, "max_keepalive 60  # --keepalive\n"));
    assert_non_null(strstr(text, "max_inflight_messages 20  # default\n"));
    snprintf(want, sizeof want, "max_qos 1  # %s:3\nmax_topic_alias 10  # default\n", b->path);
    assert_non_null(strstr(text, want));
    assert_non_null(strstr(text, "#pid_file  # default\n"));
    free(text);
    bench_free(b);
}

/* Sets each line NAME VALUE  # ORIGIN of a print in another configuration. */
static void set_again(struct bench *b, char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '#') continue;
        char *origin = strstr(line, "  # ");
        if (origin != NULL) *origin = '\0';
        char *value = strchr(line, ' ');
        assert_non_null(value);
        *value++ = '\0';
        CHECK_INT(ERR_OK, config_set(&b->config, line, value, "again", &b->notes));
    }
}

TEST(what_is_printed_can_be_set_again)
{
    struct bench *b = bench_read("max_queued_policy drop-oldest\npersistent_client_expiration 36h\nlog_dest "
                                 "none\nmax_queued_bytes 12345678901\n"
                                 "listener 1884 ::1\nmax_connections 3\n");
    struct bench *again = bench_new();
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    config_print_effective(&b->config, to);
    fclose(to);
    set_again(again, text);
    CHECK_INT(36 * 3600, again->config.persistent_client_expiration);
    CHECK_TRUE(again->config.max_queued_bytes == 12345678901u);
    CHECK_INT(0, again->config.log_dests_count);
    CHECK_INT(1, again->config.listeners_count);
    free(text);
    bench_free(again);
    bench_free(b);
}

TEST(a_long_path_keeps_its_end_in_an_origin)
{
    struct bench *b = bench_new();
    char origin[CONFIG_ORIGIN_BYTES + 40];
    memset(origin, 'a', sizeof origin - 1);
    snprintf(origin + sizeof origin - 9, 9, "end.conf");
    CHECK_INT(ERR_SYNTAX, config_set(&b->config, "shards", "x", origin, &b->notes));
    check_noted(b, true, "end.conf: option 'shards'");
    bench_free(b);
}
