/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"
#include "config/keep.h"
#include "kit/test.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A configuration with a folder for its files. */
struct bench {
    struct config config;
    struct config_notes notes;
    char folder[64], path[96];
};

static struct bench *bench_new(void)
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

static void bench_free(struct bench *b)
{
    config_notes_fini(&b->notes);
    unlink(b->path);
    rmdir(b->folder);
    free(b);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    CHECK_INT(n, fwrite(bytes, 1, n, f));
    fclose(f);
}

static enum err read_bytes(struct bench *b, const void *bytes, size_t n)
{
    write_file(b->path, bytes, n);
    return config_read_file(&b->config, b->path, &b->notes);
}

static enum err read_text(struct bench *b, const char *text)
{
    return read_bytes(b, text, strlen(text));
}

/* Reads a good file and finishes. */
static struct bench *bench_read(const char *text)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, text));
    CHECK_INT(ERR_OK, config_finish(&b->config, &b->notes));
    return b;
}

static bool is_noted(const struct bench *b, bool is_error, const char *text)
{
    for (size_t i = 0; i < b->notes.count; i++)
        if (b->notes.at[i].is_error == is_error && strstr(b->notes.at[i].text, text) != NULL) return true;
    return false;
}

static void check_noted(const struct bench *b, bool is_error, const char *text)
{
    if (is_noted(b, is_error, text)) return;
    for (size_t i = 0; i < b->notes.count; i++) print_error("noted: %s\n", b->notes.at[i].text);
    fail_msg("not noted: %s", text);
}

static size_t warnings(const struct bench *b)
{
    return b->notes.count - (b->notes.errors - (b->notes.missed < b->notes.errors ? b->notes.missed : 0));
}

/* A file of one line is refused with one error, which says "PATH:1: " and want. */
static void check_refused(const char *line, const char *want)
{
    char text[512];
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, read_text(b, line));
    CHECK_INT(1, b->notes.errors);
    snprintf(text, sizeof text, "%s:1: %s", b->path, want);
    assert_string_equal(text, b->notes.at[0].text);
    bench_free(b);
}

/* --- defaults */

TEST(without_a_listener_only_this_machine_is_served_and_anyone_may_connect)
{
    struct bench *b = bench_read("");
    CHECK_TRUE(b->config.local_only);
    CHECK_TRUE(b->config.listeners[0].security.allow_anonymous);
    CHECK_INT(2, b->config.listeners_count);
    assert_string_equal("127.0.0.1", b->config.listeners[0].address);
    assert_string_equal("::1", b->config.listeners[1].address);
    CHECK_INT(1883, b->config.listeners[0].port);
    CHECK_INT(1883, b->config.listeners[1].port);
    CHECK_INT(0, b->notes.count);
    bench_free(b);
}

TEST(with_a_listener_clients_must_say_who_they_are)
{
    struct bench *b = bench_read("listener 1884\n");
    CHECK_TRUE(!b->config.local_only);
    CHECK_TRUE(!b->config.listeners[0].security.allow_anonymous);
    check_noted(b, false, "allow_anonymous");
    bench_free(b);
}

TEST(allow_anonymous_means_what_it_says_wherever_it_stands)
{
    struct bench *b = bench_read("allow_anonymous true\nlistener 1884\n");
    CHECK_TRUE(b->config.listeners[0].security.allow_anonymous);
    bench_free(b);
    b = bench_read("allow_anonymous false\n");
    CHECK_TRUE(!b->config.listeners[0].security.allow_anonymous);
    bench_free(b);
}

TEST(defaults_are_those_of_the_manual)
{
    struct bench *b = bench_read("");
    const struct config *c = &b->config;
    CHECK_INT(20, c->max_inflight_messages);
    CHECK_INT(0, c->max_queued_messages);
    CHECK_INT(65535, c->max_keepalive);
    CHECK_INT(0, c->max_packet_size);
    CHECK_INT(30, c->connect_timeout_s);
    CHECK_INT(0, c->shards);
    CHECK_INT(UINT32_MAX, c->persistent_client_expiration);
    CHECK_TRUE(c->persistence && c->retain_available && c->set_tcp_nodelay && c->log_timestamp);
    CHECK_INT(0xf, c->log_types);
    CHECK_INT(1, c->log_dests_count);
    assert_string_equal("stderr", c->log_dests[0].sink);
    bench_free(b);
}

/* --- the format */

TEST(blanks_comments_and_crlf_are_no_part_of_a_value)
{
    struct bench *b =
        bench_read("# a comment\r\n\r\n \t \n  max_keepalive \t 60 \t\r\n\t#shards 9\npid_file /run/a b.pid");
    CHECK_INT(60, b->config.max_keepalive);
    CHECK_INT(0, b->config.shards);
    assert_string_equal("/run/a b.pid", b->config.pid_file);
    bench_free(b);
}

TEST(of_two_values_the_last_holds)
{
    struct bench *b = bench_read("shards 2\nshards 3\n");
    CHECK_INT(3, b->config.shards);
    bench_free(b);
}

TEST(every_type_takes_its_values)
{
    struct bench *b = bench_read("allow_anonymous 1\nset_tcp_nodelay 0\nretain_available false\n"
                                 "max_queued_bytes 18446744073709551615\nmax_packet_size 20\n"
                                 "message_size_limit 268435455\nmax_keepalive 0\nconnect_timeout_s 1\n");
    const struct config *c = &b->config;
    CHECK_TRUE(b->config.listeners[0].security.allow_anonymous && !c->set_tcp_nodelay &&
               !c->retain_available);
    CHECK_TRUE(c->max_queued_bytes == UINT64_MAX);
    CHECK_INT(20, c->max_packet_size);
    CHECK_INT(268435455, c->message_size_limit);
    CHECK_INT(0, c->max_keepalive);
    CHECK_INT(1, c->connect_timeout_s);
    bench_free(b);
}

TEST(an_expiration_is_counted_in_hours_days_weeks_months_or_years)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } cases[] = { { "1h", 3600 },     { "2d", 172800 },    { "3w", 1814400 },
                  { "4m", 10368000 }, { "5y", 157680000 }, { "never", UINT32_MAX } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench *b = bench_new();
        CHECK_INT(ERR_OK,
                  config_set(&b->config, "persistent_client_expiration", cases[i].text, "test", &b->notes));
        CHECK_INT(cases[i].seconds, b->config.persistent_client_expiration);
        bench_free(b);
    }
}

/* --- listeners */

TEST(a_listener_line_begins_a_section_of_its_own_options)
{
    struct bench *b = bench_read("listener 1884 10.0.0.1\nmax_connections 5\nlistener 0\nsocket_domain ipv6\n"
                                 "protocol mqtt\nmax_connections -1\nallow_anonymous true\n");
    const struct config *c = &b->config;
    CHECK_INT(2, c->listeners_count);
    CHECK_INT(1884, c->listeners[0].port);
    assert_string_equal("10.0.0.1", c->listeners[0].address);
    CHECK_INT(5, c->listeners[0].max_connections);
    CHECK_INT(CONFIG_DOMAIN_ANY, c->listeners[0].socket_domain);
    CHECK_INT(0, c->listeners[1].port);
    assert_string_equal("", c->listeners[1].address);
    CHECK_INT(CONFIG_DOMAIN_IPV6, c->listeners[1].socket_domain);
    CHECK_INT(CONFIG_PROTOCOL_MQTT, c->listeners[1].protocol);
    CHECK_INT(UINT32_MAX, c->listeners[1].max_connections);
    bench_free(b);
}

TEST(a_listener_with_a_path_is_a_unix_socket_and_has_no_port)
{
    struct bench *b = bench_read("listener 0 /run/mqtt a.sock\nallow_anonymous true\n");
    assert_string_equal("/run/mqtt a.sock", b->config.listeners[0].path);
    CHECK_INT(0, b->config.listeners[0].port);
    bench_free(b);
}

TEST(the_same_path_twice_is_an_error)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, "listener 0 /run/a\nlistener 0 /run/a\n"));
    CHECK_INT(ERR_SYNTAX, config_finish(&b->config, &b->notes));
    check_noted(b, true, ":2: option 'listener': value '0 /run/a' was given before at ");
    bench_free(b);
}

/* --- per_listener_settings */

TEST(who_may_connect_is_everyones_wherever_it_stands)
{
    struct bench *b = bench_read("listener 1884\nallow_anonymous true\nlistener 1885\n");
    CHECK_TRUE(b->config.listeners[0].security.allow_anonymous);
    CHECK_TRUE(b->config.listeners[1].security.allow_anonymous);
    bench_free(b);
}

TEST(with_per_listener_settings_who_may_connect_is_each_listeners_own)
{
    struct bench *b = bench_read("per_listener_settings true\nlistener 1884\nallow_anonymous true\n"
                                 "listener 1885\nlistener 1886\nallow_anonymous true\n");
    CHECK_TRUE(b->config.listeners[0].security.allow_anonymous);
    CHECK_TRUE(!b->config.listeners[1].security.allow_anonymous);
    CHECK_TRUE(b->config.listeners[2].security.allow_anonymous);
    bench_free(b);
}

TEST(per_listener_settings_after_who_may_connect_is_an_error)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, read_text(b, "allow_anonymous true\nper_listener_settings true\n"));
    check_noted(b, true,
                ":2: option 'per_listener_settings': value 'true' comes too late; allowed: before "
                "every option about who may connect");
    CHECK_TRUE(!b->config.per_listener_settings);
    bench_free(b);
}

TEST(the_old_options_make_a_default_listener_beside_the_others)
{
    struct bench *b = bench_read("listener 1885\nport 1884\nbind_address localhost\nallow_anonymous true\n");
    CHECK_INT(2, b->config.listeners_count);
    CHECK_INT(1885, b->config.listeners[0].port);
    CHECK_INT(1884, b->config.listeners[1].port);
    assert_string_equal("localhost", b->config.listeners[1].address);
    bench_free(b);
}

TEST(an_option_before_any_listener_line_is_the_default_listeners)
{
    struct bench *b = bench_read("max_connections 7\nallow_anonymous true\n");
    CHECK_INT(1, b->config.listeners_count);
    CHECK_INT(1883, b->config.listeners[0].port);
    CHECK_INT(7, b->config.listeners[0].max_connections);
    bench_free(b);
}

TEST(the_same_listener_twice_is_an_error_that_names_both_places)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, "listener 1884 ::1\n\nlistener 1884 ::1\n"));
    CHECK_INT(ERR_SYNTAX, config_finish(&b->config, &b->notes));
    char want[256];
    snprintf(want, sizeof want, "%s:3: option 'listener': value '1884 ::1' was given before at %s:1", b->path,
             b->path);
    check_noted(b, true, want);
    bench_free(b);
}

TEST(one_port_on_two_addresses_is_no_error)
{
    struct bench *b = bench_read("listener 1884 ::1\nlistener 1884 127.0.0.1\nlistener 0\nlistener 0\n");
    CHECK_INT(4, b->config.listeners_count);
    bench_free(b);
}

TEST(one_listener_more_than_the_limit_is_an_error)
{
    struct bench *b = bench_new();
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    for (int i = 0; i <= CONFIG_LISTENERS_MAX; i++) fprintf(to, "listener %d\n", 2000 + i);
    fclose(to);
    CHECK_INT(ERR_SYNTAX, read_text(b, text));
    CHECK_INT(1, b->notes.errors);
    check_noted(b, true, ":65: option 'listener' is one too many; allowed: 64 listeners");
    free(text);
    bench_free(b);
}

/* --- the flags */

TEST(the_flag_p_moves_local_only_mode_to_its_ports)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, config_override_port(&b->config, "2000", &b->notes));
    CHECK_INT(ERR_OK, config_override_port(&b->config, "2001", &b->notes));
    CHECK_INT(ERR_OK, config_override_port(&b->config, "2000", &b->notes));
    CHECK_INT(ERR_OK, config_finish(&b->config, &b->notes));
    CHECK_INT(4, b->config.listeners_count); /* each port on both addresses, none twice */
    CHECK_INT(2000, b->config.listeners[1].port);
    CHECK_INT(2001, b->config.listeners[2].port);
    CHECK_TRUE(b->config.local_only && b->config.listeners[0].security.allow_anonymous);
    bench_free(b);
}

TEST(a_free_port_is_chosen_on_one_address_only)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, config_override_port(&b->config, "0", &b->notes));
    CHECK_INT(ERR_OK, config_finish(&b->config, &b->notes));
    CHECK_INT(1, b->config.listeners_count);
    CHECK_INT(0, b->config.listeners[0].port);
    assert_string_equal("127.0.0.1", b->config.listeners[0].address);
    bench_free(b);
}

TEST(the_same_port_in_file_and_flag_is_bound_once_without_a_word)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, "listener 2000 127.0.0.1\nallow_anonymous true\n"));
    CHECK_INT(ERR_OK, config_override_port(&b->config, "2000", &b->notes));
    CHECK_INT(ERR_OK, config_finish(&b->config, &b->notes));
    CHECK_INT(1, b->config.listeners_count);
    CHECK_INT(0, b->notes.count);
    bench_free(b);
}

TEST(a_files_listeners_go_before_another_port_of_the_flag_with_a_warning)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, "port 2000\nallow_anonymous true\n"));
    CHECK_INT(ERR_OK, config_override_port(&b->config, "2001", &b->notes));
    CHECK_INT(ERR_OK, config_finish(&b->config, &b->notes));
    CHECK_INT(1, b->config.listeners_count);
    CHECK_INT(2000, b->config.listeners[0].port);
    check_noted(b, false, "-p: option 'port': value '2001' has no effect");
    bench_free(b);
}

TEST(a_wrong_port_of_the_flag_is_an_error)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, config_override_port(&b->config, "65536", &b->notes));
    check_noted(b, true, "-p: option 'port': value '65536' is not allowed; allowed: a port from 0 to 65535");
    for (int i = 0; i < CONFIG_PORTS_MAX; i++)
        CHECK_INT(ERR_OK, config_override_port(&b->config, "1", &b->notes));
    CHECK_INT(ERR_SYNTAX, config_override_port(&b->config, "1", &b->notes));
    bench_free(b);
}

/* --- the log's options */

TEST(the_first_log_type_and_log_dest_replace_the_default_and_the_others_add)
{
    struct bench *b =
        bench_read("log_type error\nlog_type debug\nlog_dest stdout\nlog_dest file /var/log/a b\n");
    CHECK_INT(1 << 0 | 1 << 4, b->config.log_types);
    CHECK_INT(2, b->config.log_dests_count);
    assert_string_equal("stdout", b->config.log_dests[0].sink);
    assert_string_equal("file", b->config.log_dests[1].sink);
    assert_string_equal("/var/log/a b", b->config.log_dests[1].path);
    bench_free(b);
}

TEST(none_silences_the_log_and_all_opens_it)
{
    struct bench *b = bench_read("log_type none\nlog_dest none\n");
    CHECK_INT(0, b->config.log_types);
    CHECK_INT(0, b->config.log_dests_count);
    CHECK_INT(ERR_OK, config_set(&b->config, "log_type", "all", "-v", &b->notes));
    CHECK_INT(0x1f, b->config.log_types);
    bench_free(b);
}

/* --- errors */

TEST(an_error_names_file_line_option_value_and_what_is_allowed)
{
    check_refused(
        "max_inflight_messages 65536",
        "option 'max_inflight_messages': value '65536' is not allowed; allowed: a number from 0 to 65535");
    check_refused(
        "max_inflight_messages -1",
        "option 'max_inflight_messages': value '-1' is not allowed; allowed: a number from 0 to 65535");
    check_refused(
        "max_inflight_messages 10 20",
        "option 'max_inflight_messages': value '10 20' is not allowed; allowed: a number from 0 to 65535");
    check_refused(
        "max_inflight_messages 0x10",
        "option 'max_inflight_messages': value '0x10' is not allowed; allowed: a number from 0 to 65535");
    check_refused("max_queued_bytes 18446744073709551616",
                  "option 'max_queued_bytes': value '18446744073709551616' is "
                  "not allowed; allowed: a number from 0 to "
                  "18446744073709551615");
    check_refused("max_packet_size 19",
                  "option 'max_packet_size': value '19' is not allowed; allowed: 0, or 20 to 268435460");
    check_refused("max_keepalive 9",
                  "option 'max_keepalive': value '9' is not allowed; allowed: 0, or 10 to 65535");
    check_refused("allow_anonymous maybe",
                  "option 'allow_anonymous': value 'maybe' is not allowed; allowed: true or false");
    check_refused("connect_timeout_s 0",
                  "option 'connect_timeout_s': value '0' is not allowed; allowed: 1 to 3600 seconds");
    check_refused("persistent_client_expiration 5",
                  "option 'persistent_client_expiration': value '5' is not allowed; "
                  "allowed: never, or a number with h, d, w, m or y, as 14d");
    check_refused("persistent_client_expiration 999y",
                  "option 'persistent_client_expiration': value '999y' is not "
                  "allowed; allowed: never, or a number with h, d, w, m or y, "
                  "as 14d");
    check_refused("shards", "option 'shards' has no value; allowed: a number from 0 to 256");
    check_refused("pid_file", "option 'pid_file' has no value; allowed: 1 to 1023 bytes");
}

TEST(an_error_of_a_listener_names_what_is_allowed)
{
    check_refused("listener",
                  "option 'listener' has no value; allowed: a port from 0 to 65535, then an address or "
                  "nothing; or 0 and a path");
    check_refused("listener 65536",
                  "option 'listener': value '65536' is not allowed; allowed: a port from 0 to 65535, "
                  "then an address or nothing; or 0 and a path");
    check_refused("listener 1883 a b",
                  "option 'listener': value 'a b' is not allowed; allowed: one host name or IP "
                  "address of at most 255 bytes");
    check_refused("listener 1883 /run/mqtt",
                  "option 'listener': value '/run/mqtt' is a path, which has no port; allowed: listener 0 "
                  "PATH");
    check_refused("listener 0 run/mqtt",
                  "option 'listener': value 'run/mqtt' is not allowed; allowed: an absolute path of at "
                  "most 107 bytes");
    check_refused("port x", "option 'port': value 'x' is not allowed; allowed: a port from 0 to 65535");
    check_refused("bind_address",
                  "option 'bind_address' has no value; allowed: one host name or IP address of at "
                  "most 255 bytes");
    check_refused("max_connections many",
                  "option 'max_connections': value 'many' is not allowed; allowed: -1 for no "
                  "limit, or a number from 0 to 4294967295");
    check_refused("max_topic_alias -1",
                  "option 'max_topic_alias': value '-1' is not allowed; allowed: a number from 0 to 65535");
    check_refused("protocol websockets",
                  "option 'protocol': value 'websockets' is not built yet; allowed: mqtt");
    check_refused("protocol x", "option 'protocol': value 'x' is not allowed; allowed: mqtt");
    check_refused("socket_domain ipv9",
                  "option 'socket_domain': value 'ipv9' is not allowed; allowed: any, ipv4, ipv6");
}

TEST(an_error_of_the_log_names_what_is_allowed)
{
    check_refused("log_dest syslog",
                  "option 'log_dest': value 'syslog' is not built yet; allowed: stderr, stdout, "
                  "file PATH or none");
    check_refused("log_dest file",
                  "option 'log_dest': value 'file' is not allowed; allowed: stderr, stdout, file PATH "
                  "or none");
    check_refused("log_type errors",
                  "option 'log_type': value 'errors' is not allowed; allowed: error, warning, "
                  "notice, information, debug, all or none");
}

TEST(what_clients_are_told_is_ascii_and_an_error_names_its_line)
{
    static const char *const names[] = { "response_information", "server_reference" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bench *b = bench_new();
        char line[80], want[160];
        snprintf(line, sizeof line, "\n%s caf\xc3\xa9.example\n", names[i]);
        CHECK_INT(ERR_OK, read_text(b, line));
        CHECK_INT(ERR_SYNTAX, config_finish(&b->config, &b->notes));
        snprintf(want, sizeof want, "main.conf:2: option '%s': value 'caf", names[i]);
        CHECK_TRUE(is_noted(b, true, want));
        CHECK_TRUE(is_noted(b, true, "allowed: printable ASCII"));
        bench_free(b);
    }
}

TEST(an_unknown_option_is_an_error_with_the_nearest_name)
{
    check_refused("listner 1883", "option 'listner' is not known; did you mean 'listener'?");
    check_refused("Max_Keepalive 60", "option 'Max_Keepalive' is not known; did you mean 'max_keepalive'?");
    check_refused("max_conections 60",
                  "option 'max_conections' is not known; did you mean 'max_connections'?");
    check_refused("pasword_file x", "option 'pasword_file' is not known; did you mean 'password_file'?");
    check_refused("xyzzy", "option 'xyzzy' is not known; longlinkd.conf(5) lists what is");
}

TEST(what_mosquitto_has_and_we_do_not_is_refused_by_name_without_its_value)
{
    check_refused("remote_password secret",
                  "option 'remote_password' is not built yet: bridges are not built");
    check_refused(
        "plugin_opt_db_password secret",
        "option 'plugin_opt_db_password' is not built yet: plugins cannot be loaded yet; remove it");
}

TEST(durability_is_one_of_three_words)
{
    struct bench *b = bench_new();
    CHECK_INT(CONFIG_DURABILITY_DISK, b->config.durability);
    CHECK_INT(ERR_OK, read_text(b, "durability memory\n"));
    CHECK_INT(CONFIG_DURABILITY_MEMORY, b->config.durability);
    CHECK_INT(ERR_OK, read_text(b, "durability os\n"));
    CHECK_INT(CONFIG_DURABILITY_OS, b->config.durability);
    CHECK_INT(ERR_SYNTAX, read_text(b, "durability always\n"));
    check_noted(b, true, ":1: option 'durability': value 'always'");
    CHECK_INT(CONFIG_DURABILITY_OS, b->config.durability);
    bench_free(b);
}

TEST(what_has_no_effect_gives_a_warning_unless_it_says_what_we_do)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, "autosave_interval 30\nqueue_qos0_messages true\n"));
    check_noted(b, false, ":1: option 'autosave_interval' has no effect: ");
    check_noted(b, false, ":2: option 'queue_qos0_messages' has no effect: ");
    CHECK_INT(2, warnings(b));
    bench_free(b);

    b = bench_new();
    CHECK_INT(ERR_OK,
              read_text(b, "per_listener_settings false\nqueue_qos0_messages false\nsys_interval 0\n"));
    CHECK_INT(0, b->notes.count);
    bench_free(b);
}

TEST(all_errors_of_a_file_are_reported_with_their_lines)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX,
              read_text(b, "shards 257\n# fine\nshards 2\nnonsense\nlistener x\nmax_keepalive 5\n"));
    CHECK_INT(4, b->notes.errors);
    check_noted(b, true, ":1: option 'shards'");
    check_noted(b, true, ":4: option 'nonsense'");
    check_noted(b, true, ":5: option 'listener'");
    check_noted(b, true, ":6: option 'max_keepalive'");
    CHECK_INT(2, b->config.shards);
    bench_free(b);
}

TEST(errors_beyond_the_limit_are_counted)
{
    struct bench *b = bench_new();
    for (int i = 0; i < CONFIG_NOTES_MAX + 20; i++) config_set(&b->config, "shards", "x", "test", &b->notes);
    CHECK_INT(CONFIG_NOTES_MAX, b->notes.count);
    CHECK_INT(CONFIG_NOTES_MAX + 20, b->notes.errors);
    CHECK_INT(20, b->notes.missed);
    bench_free(b);
}

TEST(control_bytes_of_a_file_do_not_reach_the_operators_terminal)
{
    check_refused("shards 1\x1b[31m",
                  "option 'shards': value '1\\x1b[31m' is not allowed; allowed: a number from 0 to "
                  "256");
    check_refused("\x1b[31m", "option '\\x1b[31m' is not known; longlinkd.conf(5) lists what is");
}

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
                  "opened: No such file or directory");
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

/* --- reload */

struct changes {
    char text[512];
};

static void add_change(void *ctx, const struct config_change *change)
{
    struct changes *c = ctx;
    size_t n = strlen(c->text);
    const char *line = strrchr(change->set_at, ':');
    snprintf(c->text + n, sizeof c->text - n, "%s%s %s -> %s;", change->option, line != NULL ? line : "",
             change->before, change->after);
}

TEST(a_reload_keeps_what_is_read_at_start_and_tells_it)
{
    struct bench *before = bench_read("shards 2\nserver_reference a.example\nallow_anonymous true\n");
    struct bench *now = bench_read("server_reference b.example\nshards 3\nallow_anonymous true\n");
    struct changes c = { "" };
    config_keep(&now->config, &before->config, add_change, &c);
    assert_non_null(strstr(c.text, "shards:2 2 -> 3;"));
    CHECK_INT(2, now->config.shards);
    bench_free(now);
    bench_free(before);
}

TEST(a_reload_compares_a_listener_with_the_one_at_the_same_address)
{
    struct bench *before = bench_read("allow_anonymous true\nlistener 1884\nlistener 1885\nsocket_domain "
                                      "ipv4\nlistener 0 /run/a\n");
    struct bench *now = bench_read("allow_anonymous true\nlistener 0 /run/a\nlistener 1886\nlistener 1885\n"
                                   "socket_domain ipv4\n");
    CHECK_INT(2, config_find_listener(&before->config, &now->config, 0));
    CHECK_INT(3, config_find_listener(&before->config, &now->config, 1)); /* new */
    CHECK_INT(1, config_find_listener(&before->config, &now->config, 2));
    CHECK_INT(3, config_find_listener(&now->config, &before->config, 0)); /* gone */
    bench_free(now);
    bench_free(before);
}

TEST(listeners_at_free_ports_go_with_each_other_in_their_order)
{
    struct bench *before = bench_read("allow_anonymous true\nlistener 0\nlistener 0 127.0.0.1\nlistener 0\n");
    struct bench *now = bench_read("allow_anonymous true\nlistener 0\nlistener 0\nlistener 0\n");
    CHECK_INT(0, config_find_listener(&before->config, &now->config, 0));
    CHECK_INT(2, config_find_listener(&before->config, &now->config, 1));
    CHECK_INT(3, config_find_listener(&before->config, &now->config, 2));
    bench_free(now);
    bench_free(before);
}
