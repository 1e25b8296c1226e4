/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "kit/test.h"
#include "log/escape.h"
#include "log/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { TEXT_BYTES = 256 * 1024 };

struct fake_time {
    uint64_t mono_ms, wall_ms;
};

static uint64_t fake_mono_ms(void *ctx)
{
    return ((struct fake_time *)ctx)->mono_ms;
}
static uint64_t fake_wall_ms(void *ctx)
{
    return ((struct fake_time *)ctx)->wall_ms;
}

/* A log into a file of its own, under a clock that stands still. */
struct bench {
    char folder[64], path[128];
    struct fake_time time;
    struct clock clock;
    struct log_dest dest;
    struct log_conf conf;
    struct log *log;
    char text[TEXT_BYTES]; /* what the file holds after bench_close */
};

static struct bench *bench_new(void)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    snprintf(b->folder, sizeof b->folder, "/tmp/longlink-log-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/log", b->folder);
    b->time = (struct fake_time){ .mono_ms = 5000, .wall_ms = 1700000000123u };
    b->clock = (struct clock){ fake_mono_ms, fake_wall_ms, &b->time };
    b->dest = (struct log_dest){ .sink = "file", .path = b->path };
    b->conf = (struct log_conf){
        .clock = &b->clock, .levels = LOG_LEVELS_ALL, .dests = &b->dest, .dests_count = 1
    };
    return b;
}

static struct bench *bench_open(void)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    return b;
}

static void read_file(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    fclose(f);
}

/* Closes the log and reads its file. */
static void bench_close(struct bench *b)
{
    log_close(&b->log);
    assert_null(b->log);
    read_file(b->path, b->text, sizeof b->text);
}

static void bench_free(struct bench *b)
{
    unlink(b->path);
    rmdir(b->folder);
    free(b);
}

static size_t lines_with(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) n++;
    return n;
}

static void check_escape(const char *want, const void *bytes, size_t n)
{
    char out[64];
    CHECK_TRUE(log_escape(out, sizeof out, bytes_of(bytes, n)));
    assert_string_equal(want, out);
}

/* --- escaping */

TEST(printable_text_stays_as_it_is)
{
    check_escape("phone-1/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80~ ",
                 "phone-1/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80~ ", 19);
    check_escape("", "", 0);
}

TEST(control_bytes_quotes_and_backslashes_are_escaped)
{
    check_escape("\\x00\\x09\\x0a\\x1b\\x7f\\x22\\x5c", "\0\t\n\x1b\x7f\"\\", 7);
}

TEST(what_is_not_utf8_is_escaped_byte_by_byte)
{
    check_escape("\\xff\\xc3", "\xff\xc3", 2);                   /* never valid; cut short */
    check_escape("\\xc0\\x80", "\xc0\x80", 2);                   /* overlong NUL */
    check_escape("\\xe0\\x80\\x80", "\xe0\x80\x80", 3);          /* overlong */
    check_escape("\\xed\\xa0\\x80", "\xed\xa0\x80", 3);          /* a surrogate */
    check_escape("\\xf4\\x90\\x80\\x80", "\xf4\x90\x80\x80", 4); /* beyond Unicode */
    check_escape("\\xe2\\x82"
                 "a",
                 "\xe2\x82"
                 "a",
                 3); /* broken by what follows */
}

TEST(a_c1_control_that_a_terminal_could_obey_is_escaped)
{
    check_escape("\\xc2\\x9b", "\xc2\x9b", 2);
    check_escape("\xc2\xa0", "\xc2\xa0", 2);
}

TEST(what_does_not_fit_is_cut_between_two_characters)
{
    char out[8];
    CHECK_TRUE(!log_escape(out, 3, bytes_of_text("\xe2\x82\xac")));
    assert_string_equal("", out);
    CHECK_TRUE(!log_escape(out, 5, bytes_of_text("a\x01")));
    assert_string_equal("a", out);
    CHECK_TRUE(log_escape(out, 6, bytes_of_text("a\x01")));
    assert_string_equal("a\\x01", out);
}

/* --- lines */

TEST(a_line_has_level_name_and_fields)
{
    struct bench *b = bench_open();
    log_event(b->log, EVENT_BROKER_START);
    log_event(b->log, EVENT_CLIENT_CONNECTED, LOG_TEXT("client", bytes_of("a\"b", 3)), LOG_NUM("port", -7));
    bench_close(b);
    assert_string_equal("notice broker-start\ninfo client-connected client=\"a\\x22b\" port=-7\n", b->text);
    bench_free(b);
}

TEST(a_line_begins_with_the_time_in_utc_when_asked)
{
    struct bench *b = bench_new();
    b->conf.timestamps = true;
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    log_event(b->log, EVENT_BROKER_STOP);
    bench_close(b);
    assert_string_equal("2023-11-14T22:13:20.123Z notice broker-stop\n", b->text);
    bench_free(b);
}

TEST(an_error_ends_with_the_sentence_that_says_what_to_do)
{
    struct bench *b = bench_open();
    log_event(b->log, EVENT_LISTENER_FAILED, LOG_NUM("port", 80));
    bench_close(b);
    assert_string_equal("error listener-failed port=80 - A listener cannot be opened; the error says what is "
                        "wrong: its address or "
                        "port and who has them, or an option or file of the listener.\n",
                        b->text);
    bench_free(b);
}

TEST(a_long_value_is_cut_and_marked)
{
    static uint8_t id[65535];
    memset(id, 'x', sizeof id);
    struct bench *b = bench_open();
    log_event(b->log, EVENT_CLIENT_CONNECTED, LOG_TEXT("client", bytes_of(id, sizeof id)),
              LOG_NUM("port", 1));
    bench_close(b);
    assert_non_null(strstr(b->text, "xxx\"... port=1\n"));
    CHECK_TRUE(strlen(b->text) < 512);
    bench_free(b);
}

TEST(a_line_never_exceeds_its_limit_and_says_that_fields_are_missing)
{
    static uint8_t id[1000];
    memset(id, '\n', sizeof id);
    struct bytes v = bytes_of(id, sizeof id);
    struct bench *b = bench_open();
    log_event(b->log, EVENT_CLIENT_CONNECTED, LOG_TEXT("a", v), LOG_TEXT("b", v), LOG_TEXT("c", v),
              LOG_TEXT("d", v), LOG_TEXT("e", v));
    bench_close(b);
    size_t n = strlen(b->text);
    CHECK_TRUE(n <= LOG_LINE_BYTES_MAX);
    assert_string_equal(" ...\n", b->text + n - 5);
    CHECK_INT(1, lines_with(b->text, "\n"));
    bench_free(b);
}

TEST(a_level_that_is_not_wanted_is_not_written)
{
    struct bench *b = bench_new();
    b->conf.levels = 1u << LOG_LEVEL_ERROR | 1u << LOG_LEVEL_INFO;
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    CHECK_TRUE(log_wants(b->log, EVENT_CLIENT_CONNECTED));
    CHECK_TRUE(!log_wants(b->log, EVENT_BROKER_START));
    log_event(b->log, EVENT_BROKER_START);
    log_event(b->log, EVENT_CLIENT_CONNECTED);
    bench_close(b);
    assert_string_equal("info client-connected\n", b->text);
    bench_free(b);
}

TEST(no_log_takes_no_events)
{
    log_event(NULL, EVENT_BROKER_START, LOG_NUM("n", 1));
    CHECK_TRUE(!log_wants(NULL, EVENT_BROKER_START));
    log_reopen(NULL);
}

/* --- the rate */

TEST(a_peers_event_makes_one_line_a_second_and_the_next_line_counts_the_others)
{
    struct bench *b = bench_open();
    for (int i = 0; i < 50; i++) log_event(b->log, EVENT_PEER_MALFORMED, LOG_NUM("i", i));
    b->time.mono_ms += LOG_RATE_MS - 1;
    log_event(b->log, EVENT_PEER_MALFORMED, LOG_NUM("i", 50));
    b->time.mono_ms += 1;
    log_event(b->log, EVENT_PEER_MALFORMED, LOG_NUM("i", 51));
    bench_close(b);
    assert_string_equal("notice peer-malformed i=0\nnotice peer-malformed suppressed=50 i=51\n", b->text);
    bench_free(b);
}

TEST(events_of_two_kinds_do_not_suppress_each_other)
{
    struct bench *b = bench_open();
    log_event(b->log, EVENT_PEER_MALFORMED);
    log_event(b->log, EVENT_CLIENT_CLOSED);
    bench_close(b);
    CHECK_INT(2, lines_with(b->text, "\n"));
    bench_free(b);
}

TEST(what_no_peer_can_cause_is_not_limited)
{
    struct bench *b = bench_open();
    for (int i = 0; i < 20; i++) log_event(b->log, EVENT_LISTENER_OPEN, LOG_NUM("port", i));
    bench_close(b);
    CHECK_INT(20, lines_with(b->text, "listener-open"));
    bench_free(b);
}

TEST(closing_tells_what_was_suppressed_last)
{
    struct bench *b = bench_open();
    for (int i = 0; i < 4; i++) log_event(b->log, EVENT_CLIENT_CLOSED);
    bench_close(b);
    assert_non_null(strstr(b->text, "notice log-suppressed event=\"client-closed\" suppressed=3\n"));
    bench_free(b);
}

/* --- the queue */

TEST(a_line_that_finds_no_room_is_lost_counted_and_told)
{
    static const uint8_t large[250] = { 'x' };
    struct bench *b = bench_new();
    b->conf.queue_bytes = 128;
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    log_event(b->log, EVENT_CLIENT_CONNECTED, LOG_TEXT("client", bytes_of(large, sizeof large)));
    CHECK_INT(1, log_lost(b->log));
    bench_close(b);
    assert_non_null(strstr(b->text, "warning log-lost lines=1 - "));
    bench_free(b);
}

/* Fills the pipe so that the log's thread blocks at its first write. */
static void fill(int fd)
{
    char page[4096];
    memset(page, '.', sizeof page);
    while (write(fd, page, sizeof page) > 0) continue;
    CHECK_INT(EAGAIN, errno);
    while (write(fd, page, 1) > 0) continue;
}

static size_t drain(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t got;
    while (n < size - 1 && (got = read(fd, out + n, size - 1 - n)) > 0) n += (size_t)got;
    return n;
}

/* The sum over all log-lost lines: the thread tells what was lost up to each of its rounds. */
static size_t lost_told(const char *text)
{
    static const char mark[] = "log-lost lines=";
    size_t sum = 0;
    for (const char *at = strstr(text, mark); at != NULL; at = strstr(at + 1, mark))
        sum += strtoul(at + sizeof mark - 1, NULL, 10);
    return sum;
}

TEST(a_destination_that_blocks_stops_nobody_and_every_line_is_written_or_counted)
{
    enum { EVENTS = 400 };
    struct bench *b = bench_new();
    b->conf.queue_bytes = 2048;
    CHECK_INT(0, mkfifo(b->path, 0600));
    int fd = open(b->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK_TRUE(fd >= 0);
    fill(fd);
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));

    for (int i = 0; i < EVENTS; i++) log_event(b->log, EVENT_LISTENER_OPEN, LOG_NUM("port", i));
    size_t lost = (size_t)log_lost(b->log);
    CHECK_TRUE(lost > 0);
    CHECK_TRUE(lost < EVENTS);

    size_t n = drain(fd, b->text, sizeof b->text);
    log_close(&b->log);
    n += drain(fd, b->text + n, sizeof b->text - n);
    b->text[n] = '\0';
    CHECK_INT(EVENTS, lines_with(b->text, "listener-open") + lost);
    CHECK_INT(lost, lost_told(b->text));
    close(fd);
    bench_free(b);
}

enum { THREADS = 4, EVENTS_EACH = 200 };

static void write_events(void *arg)
{
    for (int i = 0; i < EVENTS_EACH; i++) log_event(arg, EVENT_LISTENER_OPEN, LOG_NUM("port", i));
}

TEST(lines_of_many_threads_are_all_there_and_whole)
{
    struct bench *b = bench_open();
    struct thread t[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK_INT(ERR_OK, thread_start(&t[i], "writes", write_events, b->log));
    for (int i = 0; i < THREADS; i++) thread_join(&t[i]);
    CHECK_INT(0, log_lost(b->log));
    bench_close(b);
    CHECK_INT(THREADS * EVENTS_EACH, lines_with(b->text, "notice listener-open port="));
    CHECK_INT(THREADS * EVENTS_EACH, lines_with(b->text, "\n"));
    bench_free(b);
}

/* --- destinations */

TEST(a_file_that_cannot_be_opened_is_an_error_at_open)
{
    struct bench *b = bench_new();
    b->dest.path = "/nonexistent-folder/log";
    CHECK_INT(ERR_SYS, log_open(&b->log, &b->conf));
    CHECK_INT(ENOENT, errno);
    assert_null(b->log);
    bench_free(b);
}

TEST(a_destination_of_unknown_name_is_an_error_at_open)
{
    struct bench *b = bench_new();
    b->dest.sink = "carrier-pigeon";
    CHECK_INT(ERR_UNKNOWN, log_open(&b->log, &b->conf));
    bench_free(b);
}

TEST(without_destinations_events_go_nowhere)
{
    struct bench *b = bench_new();
    b->conf.dests_count = 0;
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    log_event(b->log, EVENT_BROKER_START);
    log_close(&b->log);
    bench_free(b);
}

TEST(a_log_file_is_not_for_everybody_and_is_appended_to)
{
    struct bench *b = bench_open();
    log_event(b->log, EVENT_BROKER_START);
    log_close(&b->log);
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    log_event(b->log, EVENT_BROKER_STOP);
    bench_close(b);
    assert_string_equal("notice broker-start\nnotice broker-stop\n", b->text);
    struct stat s;
    CHECK_INT(0, stat(b->path, &s));
    CHECK_INT(0, s.st_mode & 07);
    bench_free(b);
}

TEST(after_a_reopen_lines_go_to_the_new_file)
{
    struct bench *b = bench_open();
    char moved[160];
    snprintf(moved, sizeof moved, "%s.1", b->path);
    log_event(b->log, EVENT_BROKER_START);
    CHECK_INT(0, rename(b->path, moved));
    log_reopen(b->log);
    log_event(b->log, EVENT_BROKER_STOP);
    bench_close(b);
    assert_non_null(strstr(b->text, "notice broker-stop\n"));
    unlink(moved);
    bench_free(b);
}

TEST(a_file_that_cannot_be_opened_again_goes_on_where_it_was)
{
    struct bench *b = bench_open();
    char away[160];
    snprintf(away, sizeof away, "%s.away", b->path);
    CHECK_INT(0, rename(b->path, away));
    CHECK_INT(0, mkdir(b->path, 0700)); /* whoever runs this, root too, cannot open it as a file */
    log_reopen(b->log);
    log_event(b->log, EVENT_BROKER_READY);
    log_close(&b->log);
    CHECK_INT(0, rmdir(b->path));
    CHECK_INT(0, rename(away, b->path));
    read_file(b->path, b->text, sizeof b->text);
    assert_non_null(strstr(b->text, "log-not-reopened"));
    assert_non_null(strstr(b->text, "broker-ready"));
    bench_free(b);
}

static void change(struct bench *b)
{
    struct log_plan *plan;
    size_t bad;
    CHECK_INT(ERR_OK, log_plan_new(&plan, &b->conf, &bad));
    log_change(b->log, &plan);
    assert_null(plan);
}

TEST(a_change_holds_for_the_lines_that_follow)
{
    struct bench *b = bench_open();
    char other[160], text[4096];
    log_event(b->log, EVENT_BROKER_START);
    snprintf(other, sizeof other, "%s/other", b->folder);
    b->dest.path = other;
    b->conf.levels = 1u << LOG_LEVEL_NOTICE;
    b->conf.timestamps = true;
    b->conf.stamp = "at %Y";
    change(b);
    log_event(b->log, EVENT_BROKER_READY);
    log_event(b->log, EVENT_CLIENT_CONNECTED);
    bench_close(b);
    read_file(other, text, sizeof text);
    assert_string_equal("notice broker-start\n", b->text);
    assert_string_equal("at 2023: notice broker-ready\n", text);
    CHECK_INT(0, unlink(other));
    bench_free(b);
}

TEST(a_change_to_what_cannot_be_opened_is_an_error_and_changes_nothing)
{
    struct bench *b = bench_open();
    struct log_plan *plan;
    size_t bad;
    struct log_dest dests[] = { b->dest, { .sink = "file", .path = "/no/such/folder/log" } };
    b->conf.dests = dests;
    b->conf.dests_count = 2;
    CHECK_INT(ERR_SYS, log_plan_new(&plan, &b->conf, &bad));
    CHECK_INT(ENOENT, errno);
    CHECK_INT(1, bad);
    assert_null(plan);
    log_event(b->log, EVENT_BROKER_READY);
    bench_close(b);
    assert_string_equal("notice broker-ready\n", b->text);
    bench_free(b);
}

TEST(a_destination_that_stays_and_cannot_be_opened_again_is_no_error)
{
    struct bench *b = bench_open();
    char away[160];
    snprintf(away, sizeof away, "%s.away", b->path);
    CHECK_INT(0, rename(b->path, away));
    CHECK_INT(0, mkdir(b->path, 0700));
    b->dest.is_open = true;
    change(b);
    log_event(b->log, EVENT_BROKER_READY);
    log_close(&b->log);
    CHECK_INT(0, rmdir(b->path));
    CHECK_INT(0, rename(away, b->path));
    read_file(b->path, b->text, sizeof b->text);
    assert_non_null(strstr(b->text, "broker-ready"));
    bench_free(b);
}

TEST(single_kinds_of_events_are_wanted_or_not_whatever_their_level)
{
    struct bench *b = bench_new();
    b->conf.levels = 1u << LOG_LEVEL_NOTICE | LOG_WANTS_SUBSCRIBE;
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    CHECK_INT(true, log_wants(b->log, EVENT_CLIENT_SUBSCRIBED));
    CHECK_INT(false, log_wants(b->log, EVENT_CLIENT_UNSUBSCRIBED));
    CHECK_INT(false, log_wants(b->log, EVENT_CLIENT_CONNECTED));
    b->conf.levels = LOG_LEVELS_ALL | LOG_WANTS_NO_CONNECTIONS;
    change(b);
    CHECK_INT(true, log_wants(b->log, EVENT_CLIENT_UNSUBSCRIBED));
    CHECK_INT(false, log_wants(b->log, EVENT_CLIENT_CONNECTED));
    CHECK_INT(true, log_wants(b->log, EVENT_BROKER_READY));
    log_close(&b->log);
    bench_free(b);
}

/* A socket as the system's logger has it. */
static int logger_open(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    CHECK_INT(0, bind(fd, (struct sockaddr *)&a, sizeof a));
    return fd;
}

static void expect_datagram(int fd, const char *begin, const char *end)
{
    char got[2048];
    ssize_t n = recv(fd, got, sizeof got - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    CHECK_INT(0, strncmp(got, begin, strlen(begin)));
    assert_non_null(strstr(got, end));
    assert_string_equal(end, strstr(got, end)); /* nothing behind it, no newline */
    assert_null(strstr(got, "2023"));           /* the logger has a time of its own */
}

TEST(syslog_gets_datagrams_with_facility_and_severity_also_after_it_has_started_again)
{
    struct bench *b = bench_new();
    char path[160];
    snprintf(path, sizeof path, "%s/syslog", b->folder);
    b->dest = (struct log_dest){ .sink = "syslog", .path = path };
    b->conf.timestamps = true;
    int fd = logger_open(path);
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    log_event(b->log, EVENT_BROKER_READY);
    expect_datagram(fd, "<29>", "]: notice broker-ready");

    close(fd);
    CHECK_INT(0, unlink(path));
    fd = logger_open(path);
    b->conf.facility = 6;
    change(b);
    log_event(b->log, EVENT_CLIENT_CONNECTED, LOG_STR("client", "c"));
    expect_datagram(fd, "<174>", "]: info client-connected client=\"c\"");
    log_close(&b->log);
    close(fd);
    CHECK_INT(0, unlink(path));
    CHECK_INT(0, rmdir(b->folder));
    free(b);
}

struct heard {
    char text[1024];
};

static void hear(void *arg, const char *topic_end, const char *text, size_t n)
{
    struct heard *h = arg;
    size_t used = strlen(h->text);
    snprintf(h->text + used, sizeof h->text - used, "%s %.*s|", topic_end, (int)n, text);
}

TEST(a_publisher_gets_lines_by_their_kind_but_none_that_a_delivery_causes)
{
    struct bench *b = bench_new();
    struct heard heard = { "" };
    b->dest.sink = "topic";
    CHECK_INT(ERR_OK, log_open(&b->log, &b->conf));
    log_publish(b->log, hear, &heard);
    log_event(b->log, EVENT_BROKER_READY);
    log_event(b->log, EVENT_CLIENT_SUBSCRIBED, LOG_STR("filter", "a"));
    log_event(b->log, EVENT_MESSAGE_DROPPED);
    log_finish(b->log);
    log_publish(b->log, NULL, NULL);
    assert_string_equal("N notice broker-ready|M/subscribe debug client-subscribed filter=\"a\"|",
                        heard.text);
    log_close(&b->log);
    CHECK_INT(0, rmdir(b->folder));
    free(b);
}

TEST(every_event_has_a_name_of_its_own_and_a_whole_sentence)
{
    static const struct {
        const char *name, *doc;
    } rows[] = {
#define EVENT(constant, name, level, rate, doc) { name, doc },
#include "log/events.def"
#undef EVENT
    };
    for (size_t i = 0; i < EVENTS_COUNT; i++) {
        CHECK_INT('.', rows[i].doc[strlen(rows[i].doc) - 1]);
        CHECK_INT(strlen(rows[i].name), strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz0123456789-"));
        for (size_t j = 0; j < i; j++) assert_string_not_equal(rows[i].name, rows[j].name);
    }
}
