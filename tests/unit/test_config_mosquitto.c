/* SPDX-License-Identifier: Apache-2.0 */
/* What a file that was written for mosquitto finds here. */
#include "unit/config_kit.h"

/* Every option that mosquitto 2.0 reads. */
static const char *const names[] = {
    "acl_file",
    "address",
    "addresses",
    "allow_anonymous",
    "allow_duplicate_messages",
    "allow_zero_length_clientid",
    "auth_opt_x",
    "auth_plugin",
    "auth_plugin_deny_special_chars",
    "auto_id_prefix",
    "autosave_interval",
    "autosave_on_changes",
    "bind_address",
    "bind_interface",
    "bridge_alpn",
    "bridge_attempt_unsubscribe",
    "bridge_bind_address",
    "bridge_cafile",
    "bridge_capath",
    "bridge_certfile",
    "bridge_identity",
    "bridge_insecure",
    "bridge_keyfile",
    "bridge_max_packet_size",
    "bridge_max_topic_alias",
    "bridge_outgoing_retain",
    "bridge_protocol_version",
    "bridge_psk",
    "bridge_reload_type",
    "bridge_require_ocsp",
    "bridge_tls_version",
    "cafile",
    "capath",
    "certfile",
    "check_retain_source",
    "ciphers",
    "ciphers_tls1.3",
    "cleansession",
    "clientid",
    "clientid_prefixes",
    "connection",
    "connection_messages",
    "crlfile",
    "dhparamfile",
    "http_dir",
    "idle_timeout",
    "include_dir",
    "keepalive_interval",
    "keyfile",
    "listener",
    "local_cleansession",
    "local_clientid",
    "local_password",
    "local_username",
    "log_dest",
    "log_facility",
    "log_timestamp",
    "log_timestamp_format",
    "log_type",
    "max_connections",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_qos",
    "max_queued_bytes",
    "max_queued_messages",
    "max_topic_alias",
    "maximum_qos",
    "memory_limit",
    "message_size_limit",
    "mount_point",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "password_file",
    "per_listener_settings",
    "persistence",
    "persistence_file",
    "persistence_location",
    "persistent_client_expiration",
    "pid_file",
    "plugin",
    "plugin_opt_x",
    "port",
    "protocol",
    "psk_file",
    "psk_hint",
    "queue_qos0_messages",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "require_certificate",
    "restart_timeout",
    "retain_available",
    "retained_persistence",
    "retry_interval",
    "round_robin",
    "set_tcp_nodelay",
    "socket_domain",
    "start_type",
    "sys_interval",
    "threshold",
    "tls_engine",
    "tls_engine_kpass_sha1",
    "tls_keyform",
    "tls_version",
    "topic",
    "try_private",
    "upgrade_outgoing_qos",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    "user",
    "username",
    "websockets_headers_size",
    "websockets_log_level",
};

TEST(every_option_of_mosquitto_is_known)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bench *b = bench_new();
        config_set(&b->config, names[i], "x", "test", &b->notes);
        if (is_noted(b, true, "is not known")) fail_msg("%s is not known", names[i]);
        bench_free(b);
    }
}

TEST(an_old_name_means_the_new_one)
{
    struct bench *b = bench_read("allow_anonymous true\nlistener 1884\nmaximum_qos 1\n");
    CHECK_INT(1, b->config.listeners[0].max_qos);
    CHECK_INT(0, b->notes.count);
    bench_free(b);
}

TEST(what_will_never_be_is_refused_with_its_reason)
{
    check_refused("tls_engine x",
                  "option 'tls_engine' is not supported: OpenSSL 3 is giving up engines; give "
                  "keyfile the key in a file");
    check_refused("tls_keyform engine", "option 'tls_keyform' is not supported: OpenSSL 3 is giving up "
                                        "engines; give keyfile the key in a file; allowed: pem");
}

TEST(a_comment_may_stand_behind_a_word_or_a_number_but_not_behind_a_text)
{
    struct bench *b = bench_read("allow_anonymous true # all\nlistener 1884 ::1 # here\nmax_qos 1\t# one\n"
                                 "socket_domain ipv6 #\nlog_type debug # more\npid_file /run/a # b\n");
    CHECK_INT(1, b->config.listeners[0].max_qos);
    CHECK_INT(CONFIG_DOMAIN_IPV6, b->config.listeners[0].socket_domain);
    CHECK_INT(1 << 4, b->config.log_types);
    assert_string_equal("::1", b->config.listeners[0].address);
    assert_string_equal("/run/a # b", b->config.pid_file);
    bench_free(b);
    check_refused("shards 1#2",
                  "option 'shards': value '1#2' is not allowed; allowed: a number from 0 to 256");
    check_refused("shards # 2", "option 'shards' has no value; allowed: a number from 0 to 256");
}

TEST(the_options_that_make_a_default_listener_are_mosquittos)
{
    struct bench *b = bench_read("max_qos 1\nallow_anonymous true\nlistener 1884\n");
    CHECK_INT(2, b->config.listeners_count);
    CHECK_INT(1883, b->config.listeners[1].port);
    CHECK_INT(0, b->notes.count);
    bench_free(b);

    b = bench_read("allow_anonymous true\nmax_topic_alias 5\nlistener 1884\n");
    CHECK_INT(1, b->config.listeners_count);
    CHECK_INT(10, b->config.listeners[0].max_topic_alias);
    check_noted(b, false,
                ":2: option 'max_topic_alias' has no effect: it stands before the first listener "
                "line");
    bench_free(b);
}

TEST(a_mount_point_before_any_listener_is_an_error)
{
    check_refused("mount_point a/", "option 'mount_point': value 'a/' stands before the first listener line; "
                                    "allowed: after one");
}

TEST(a_mount_point_that_does_not_end_a_level_is_warned_of)
{
    struct bench *b = bench_read("listener 1884\nmount_point a\n");
    check_noted(
        b, false,
        ":2: option 'mount_point' 'a' does not end with '/': a filter that begins with + or # is none "
        "behind it, and its client is disconnected");
    bench_free(b);
    b = bench_read("allow_anonymous true\nlistener 1884\nmount_point a/\n");
    CHECK_INT(0, b->notes.count);
    bench_free(b);
}

TEST(in_local_only_mode_the_options_before_any_listener_hold)
{
    struct bench *b = bench_read("max_topic_alias 5\n");
    CHECK_TRUE(b->config.local_only);
    CHECK_INT(5, b->config.listeners[0].max_topic_alias);
    CHECK_INT(5, b->config.listeners[1].max_topic_alias);
    CHECK_INT(0, b->notes.count);
    bench_free(b);
}

TEST(with_per_listener_settings_who_may_connect_before_any_listener_is_the_default_listeners)
{
    struct bench *b = bench_read("per_listener_settings true\nallow_anonymous true\nlistener 1884\n");
    CHECK_INT(1, b->config.listeners_count);
    CHECK_TRUE(!b->config.listeners[0].security.allow_anonymous);
    check_noted(b, false, ":2: option 'allow_anonymous' has no effect: ");
    bench_free(b);

    b = bench_read("per_listener_settings true\nallow_anonymous true\nport 1885\nlistener 1884\n");
    CHECK_INT(1885, b->config.listeners[1].port);
    CHECK_TRUE(b->config.listeners[1].security.allow_anonymous);
    CHECK_TRUE(!b->config.listeners[0].security.allow_anonymous);
    bench_free(b);
}

TEST(with_per_listener_settings_a_password_file_before_any_listener_makes_the_default_one)
{
    struct bench *b = bench_read("per_listener_settings true\npassword_file /dev/null\nlistener 1884\n");
    CHECK_INT(2, b->config.listeners_count);
    assert_string_equal("/dev/null", b->config.listeners[1].security.password_file);
    assert_string_equal("", b->config.listeners[0].security.password_file);
    bench_free(b);

    b = bench_read("password_file /dev/null\nlistener 1884\n");
    CHECK_INT(1, b->config.listeners_count);
    assert_string_equal("/dev/null", b->config.listeners[0].security.password_file);
    CHECK_INT(0, b->notes.count);
    bench_free(b);
}
