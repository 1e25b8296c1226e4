/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keep.h"
#include "unit/config_kit.h"

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

TEST(a_listener_where_nobody_can_come_in_has_a_warning_with_its_line)
{
    struct bench *b = bench_read("per_listener_settings true\nlistener 1884\nlistener 1885\n"
                                 "allow_anonymous false\nlistener 1886\npassword_file /dev/null\n");
    CHECK_INT(2, warnings(b));
    check_noted(b, false,
                ":2: option 'allow_anonymous' is false, and there is no password_file: every client "
                "will be refused");
    check_noted(b, false, ":4: option 'allow_anonymous' is false");
    bench_free(b);
}

TEST(names_of_certificates_where_no_client_can_have_one_have_a_warning)
{
    struct bench *b = bench_read("allow_anonymous true\nlistener 1884\nuse_identity_as_username true\n"
                                 "listener 1885\nuse_subject_as_username true\nenable_proxy_protocol 1\n"
                                 "listener 1886\nuse_identity_as_username true\nenable_proxy_protocol any\n"
                                 "listener 1887\nuse_identity_as_username true\npsk_hint home\n"
                                 "listener 1888\nuse_subject_as_username true\ncafile /dev/null\n");
    check_noted(b, false,
                ":3: option 'use_identity_as_username' is true, and no client can have a certificate");
    check_noted(b, false,
                ":5: option 'use_subject_as_username' is true, and no client can have a certificate");
    CHECK_INT(2, warnings(b));
    bench_free(b);
}

TEST(an_option_of_a_listener_that_lacks_the_one_it_belongs_to_has_a_warning)
{
    struct bench *b = bench_read("allow_anonymous true\nlistener 1884\nproxy_trusted 127.0.0.1\n"
                                 "websockets_origin https://example.com\n"
                                 "listener 1885\nprotocol websockets\nwebsockets_origin https://example.com\n"
                                 "enable_proxy_protocol 1\nproxy_trusted 127.0.0.1\n");
    check_noted(b, false, ":3: option 'proxy_trusted' has no effect without enable_proxy_protocol");
    check_noted(b, false, ":4: option 'websockets_origin' has no effect without protocol websockets");
    CHECK_INT(2, warnings(b));
    bench_free(b);
}

TEST(how_tls_is_to_be_has_a_warning_where_none_is_spoken)
{
    struct bench *b = bench_read("allow_anonymous true\nlistener 1884\ntls_version tlsv1.3\nciphers HIGH\n"
                                 "ciphers_tls1.3 TLS_AES_128_GCM_SHA256\ndhparamfile /dev/null\n"
                                 "listener 1885\ntls_version tlsv1.3\npsk_hint home\n");
    check_noted(b, false, ":3: option 'tls_version' has no effect without certfile and keyfile, or psk_hint");
    check_noted(b, false, ":4: option 'ciphers' has no effect without certfile");
    check_noted(b, false, ":5: option 'ciphers_tls1.3' has no effect without certfile");
    check_noted(b, false, ":6: option 'dhparamfile' has no effect without certfile");
    CHECK_INT(4, warnings(b));
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

TEST(a_port_alone_that_is_given_twice_is_named_as_it_was_written)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK, read_text(b, "listener 1884\nlistener 1884\n"));
    CHECK_INT(ERR_SYNTAX, config_finish(&b->config, &b->notes));
    check_noted(b, true, ":2: option 'listener': value '1884' was given before at ");
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

TEST(an_interface_that_is_not_there_is_an_error_with_its_line)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_OK,
              read_text(b, "listener 1884\nbind_interface lo\nlistener 1884\nbind_interface no-such\n"));
    CHECK_INT(ERR_SYNTAX, config_finish(&b->config, &b->notes));
    CHECK_INT(1, b->notes.errors);
    check_noted(b, true,
                ":4: option 'bind_interface': value 'no-such' is no interface of this machine; "
                "allowed: one of ip(8) link");
    bench_free(b);
}

TEST(one_port_on_two_interfaces_is_no_error)
{
    struct bench *b = bench_read("allow_anonymous true\nlistener 1884\nlistener 1884\nbind_interface lo\n");
    CHECK_INT(2, b->config.listeners_count);
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
