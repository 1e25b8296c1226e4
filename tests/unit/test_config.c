/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/config_kit.h"

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

TEST(the_log_goes_to_syslog_and_to_topics)
{
    struct bench *b = bench_read("log_dest syslog\nlog_dest syslog /run/log\nlog_dest topic\nlog_facility 7\n"
                                 "log_type subscribe\nlog_type unsubscribe\n");
    const struct config_dest *d = b->config.log_dests;
    CHECK_INT(3, b->config.log_dests_count);
    assert_string_equal("syslog", d[0].sink);
    assert_string_equal("", d[0].path);
    assert_string_equal("/run/log", d[1].path);
    assert_string_equal("topic", d[2].sink);
    CHECK_INT(8, b->config.log_facility);
    CHECK_INT(1 << 5 | 1 << 6, b->config.log_types);
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

/* option: protocol */
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
    check_refused("bind_address a/b",
                  "option 'bind_address': value 'a/b' is not allowed; allowed: one host name or IP "
                  "address of at most 255 bytes");
    check_refused("bind_address",
                  "option 'bind_address' has no value; allowed: one host name or IP address of at "
                  "most 255 bytes");
    check_refused("max_connections many",
                  "option 'max_connections': value 'many' is not allowed; allowed: -1 for no "
                  "limit, or a number from 0 to 4294967295");
    check_refused("max_topic_alias -1",
                  "option 'max_topic_alias': value '-1' is not allowed; allowed: a number from 0 to 65535");
    check_refused("protocol http_api",
                  "option 'protocol': value 'http_api' is not built yet; allowed: mqtt, websockets");
    check_refused("protocol x", "option 'protocol': value 'x' is not allowed; allowed: mqtt, websockets");
    check_refused("socket_domain ipv9",
                  "option 'socket_domain': value 'ipv9' is not allowed; allowed: any, ipv4, ipv6");
}

TEST(an_error_of_the_log_names_what_is_allowed)
{
    check_refused(
        "log_dest dlt",
        "option 'log_dest': value 'dlt' is a logger of vehicles that hardly a server has; use syslog, "
        "or a file");
    check_refused("log_dest file",
                  "option 'log_dest': value 'file' is not allowed; allowed: stderr, stdout, file PATH, "
                  "syslog, syslog SOCKET, topic or none");
    check_refused("log_type errors",
                  "option 'log_type': value 'errors' is not allowed; allowed: error, warning, "
                  "notice, information, debug, subscribe, unsubscribe, all or none");
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
    check_refused("bridge_password secret",
                  "option 'bridge_password' is not built yet: bridges are not built");
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
    CHECK_INT(ERR_OK, read_text(b, "autosave_interval 30\nallow_duplicate_messages true\n"));
    check_noted(b, false, ":1: option 'autosave_interval' has no effect: ");
    check_noted(b, false, ":2: option 'allow_duplicate_messages' has no effect: ");
    CHECK_INT(2, warnings(b));
    bench_free(b);

    b = bench_new();
    CHECK_INT(ERR_OK,
              read_text(b, "per_listener_settings false\nallow_duplicate_messages false\nsys_interval 0\n"));
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
