/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keep.h"
#include "config/print.h"
#include "unit/config_kit.h"

/* option: plugin plugin_opt_KEY plugin_timeout plugin_queue */

static void check_opt(const struct config_plugin *p, size_t index, const char *key, const char *value)
{
    const char *at = p->opts, *k = NULL, *v = NULL;
    for (size_t i = 0; i <= index; i++) assert_true(config_plugin_next(p, &at, &k, &v));
    assert_string_equal(key, k);
    assert_string_equal(value, v);
}

TEST(options_belong_to_the_plugin_before_them)
{
    struct bench *b = bench_read("listener 1884\nplugin /a.so\nplugin_opt_name  one two # three\n"
                                 "plugin_opt_x y\nauth_plugin /a.so\nauth_opt_name second\nplugin b.so\n");
    const struct config_plugin *p = b->config.plugins;
    const char *at = p[2].opts, *key, *value;
    CHECK_INT(3, b->config.plugins_count);
    assert_string_equal("/a.so", p[0].path);
    assert_non_null(strstr(p[0].origin, "main.conf:2"));
    check_opt(&p[0], 0, "name", "one two # three");
    check_opt(&p[0], 1, "x", "y");
    CHECK_INT(2, p[0].opts_count);
    assert_string_equal("/a.so", p[1].path);
    check_opt(&p[1], 0, "name", "second");
    assert_string_equal("b.so", p[2].path);
    assert_false(config_plugin_next(&p[2], &at, &key, &value));
    CHECK_INT(0, b->notes.count); /* that nobody comes in is the plugin's business */
    bench_free(b);
}

TEST(what_is_wrong_with_a_plugin_is_said_without_its_values)
{
    check_refused("plugin_opt_password secret", "option 'plugin_opt_password' belongs to no plugin; allowed: "
                                                "after a plugin line, in the same file");
    check_refused("auth_opt_x secret",
                  "option 'auth_opt_x' belongs to no plugin; allowed: after a plugin line, in the same file");
    check_refused("plugin",
                  "option 'plugin' has no value; allowed: the path of a plugin, of at most 1023 bytes");
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, read_text(b, "plugin /a.so\nplugin_opt_x\nplugin_opt_ x\n"));
    check_noted(b, true, ":2: option 'plugin_opt_x' is not whole; allowed: plugin_opt_KEY VALUE");
    check_noted(b, true, ":3: option 'plugin_opt_' is not whole; allowed: plugin_opt_KEY VALUE");
    bench_free(b);
}

TEST(there_may_be_32_plugins_with_16_kib_of_options_each)
{
    struct bench *b = bench_new();
    char value[4000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 33; i++)
        CHECK_INT(i < 32 ? ERR_OK : ERR_SYNTAX, config_set(&b->config, "plugin", "/a.so", "test", &b->notes));
    check_noted(b, true, "option 'plugin' is one too many; allowed: 32 plugins");
    char text[5 * 4100] = "plugin /a.so\n";
    for (int i = 0; i < 5; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "plugin_opt_x %s\n", value);
    struct bench *full = bench_new();
    CHECK_INT(ERR_SYNTAX, read_text(full, text));
    check_noted(
        full, true,
        ":6: option 'plugin_opt_x' is too much for one plugin; allowed: 16384 bytes of keys and values");
    CHECK_INT(4, full->config.plugins[0].opts_count);
    bench_free(full);
    bench_free(b);
}

TEST(a_plugin_is_for_all_listeners_or_for_its_own)
{
    struct bench *b = bench_read("listener 1884\nlistener 1885\nplugin /a.so\n");
    assert_true(config_plugin_serves(&b->config.plugins[0], 0));
    assert_true(config_plugin_serves(&b->config.plugins[0], 1));
    bench_free(b);

    b = bench_read("per_listener_settings true\nplugin /first.so\nlistener 1884\nplugin /a.so\n"
                   "listener 1885\nplugin /b.so\n");
    CHECK_INT(3, b->config.listeners_count); /* the first line calls the default one, as in mosquitto */
    CHECK_INT(1883, b->config.listeners[2].port);
    for (size_t i = 0; i < 3; i++) {
        CHECK_INT(i == 2, config_plugin_serves(&b->config.plugins[0], i));
        CHECK_INT(i == 0, config_plugin_serves(&b->config.plugins[1], i));
        CHECK_INT(i == 1, config_plugin_serves(&b->config.plugins[2], i));
    }
    bench_free(b);
}

TEST(whom_plugins_are_for_is_said_before_them)
{
    struct bench *b = bench_new();
    CHECK_INT(ERR_SYNTAX, read_text(b, "plugin /a.so\nper_listener_settings true\n"));
    check_noted(b, true, ":2: option 'per_listener_settings': value 'true' comes too late");
    bench_free(b);
}

TEST(time_and_queue_of_plugins_are_numbers)
{
    struct bench *b = bench_read("listener 1884\nallow_anonymous true\n");
    CHECK_INT(5, b->config.plugin_timeout);
    CHECK_INT(10000, b->config.plugin_queue);
    CHECK_INT(ERR_OK, read_text(b, "plugin_timeout 0\nplugin_queue 7\n"));
    CHECK_INT(0, b->config.plugin_timeout);
    CHECK_INT(7, b->config.plugin_queue);
    bench_free(b);
    check_refused("plugin_queue 0",
                  "option 'plugin_queue': value '0' is not allowed; allowed: a number from 1 to 10000000");
}

static void print_to(const struct config *c, char *out, size_t size)
{
    FILE *f = fmemopen(out, size, "w");
    assert_non_null(f);
    config_print_effective(c, f);
    fclose(f);
}

TEST(the_effective_configuration_shows_plugins_where_they_are)
{
    static char text[64 * 1024];
    struct bench *b = bench_read("listener 1884\nplugin /a.so\nplugin_opt_x y z\n");
    print_to(&b->config, text, sizeof text);
    assert_non_null(strstr(text, "plugin /a.so  # "));
    assert_non_null(strstr(text, "\nplugin_opt_x y z\n"));
    bench_free(b);
    b = bench_read("per_listener_settings true\nlistener 1884\nlistener 1885\nplugin /b.so\n");
    print_to(&b->config, text, sizeof text);
    assert_true(strstr(text, "plugin /b.so") > strstr(text, "listener 1885"));
    bench_free(b);
}

TEST(what_is_printed_has_no_secrets_of_plugins)
{
    static char text[64 * 1024];
    struct bench *b = bench_read("listener 1884\nplugin /a.so\nplugin_opt_db_password hidden1\n"
                                 "plugin_opt_API-Key hidden2\nplugin_opt_token hidden3\n"
                                 "plugin_opt_redis_url redis://me:hidden4@host:1/\n"
                                 "plugin_opt_password_file /p\nplugin_opt_tls_keyfile /k\n"
                                 "plugin_opt_http_url http://host:80/a@b:c\nplugin_opt_mail a:b@c\n");
    print_to(&b->config, text, sizeof text);
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "\n#plugin_opt_db_password  # is set, and not shown\n"));
    assert_non_null(strstr(text, "\n#plugin_opt_API-Key  # "));
    assert_non_null(strstr(text, "\n#plugin_opt_token  # "));
    assert_non_null(strstr(text, "\n#plugin_opt_redis_url  # "));
    assert_non_null(strstr(text, "\nplugin_opt_password_file /p\nplugin_opt_tls_keyfile /k\n"));
    assert_non_null(strstr(text, "\nplugin_opt_http_url http://host:80/a@b:c\nplugin_opt_mail a:b@c\n"));
    bench_free(b);
}

/* --- a reload */

struct told {
    unsigned count;
    char option[64], before[256], after[256];
};

static void tell(void *ctx, const struct config_change *change)
{
    struct told *t = ctx;
    t->count++;
    snprintf(t->option, sizeof t->option, "%s", change->option);
    snprintf(t->before, sizeof t->before, "%s", change->before);
    snprintf(t->after, sizeof t->after, "%s", change->after);
}

static struct bench *reload(const char *before, const char *now, struct told *told)
{
    struct bench *b = bench_read(before), *n = bench_read(now);
    *told = (struct told){ 0 };
    config_keep(&n->config, &b->config, tell, told);
    bench_free(b);
    return n;
}

TEST(a_reload_changes_options_of_plugins)
{
    struct told told;
    struct bench *b = reload("listener 1884\nplugin /a.so\nplugin_opt_x y\n",
                             "listener 1885\nlistener 1884\nplugin /a.so\nplugin_opt_x z\n", &told);
    CHECK_INT(0, told.count);
    check_opt(&b->config.plugins[0], 0, "x", "z");
    bench_free(b);
}

TEST(a_reload_keeps_the_plugins_that_are_loaded_and_tells_it)
{
    struct told told;
    struct bench *b = reload("listener 1884\nplugin /a.so\nplugin_opt_x y\nplugin /b.so\n",
                             "listener 1884\nplugin /c.so\nplugin /a.so\nplugin_opt_x z\n", &told);
    CHECK_INT(1, told.count);
    assert_string_equal("plugin", told.option);
    assert_string_equal("/a.so /b.so", told.before);
    assert_string_equal("/c.so /a.so", told.after);
    CHECK_INT(2, b->config.plugins_count);
    assert_string_equal("/a.so", b->config.plugins[0].path);
    check_opt(&b->config.plugins[0], 0, "x", "z"); /* one that stays has its new options all the same */
    assert_string_equal("/b.so", b->config.plugins[1].path);
    bench_free(b);
}

TEST(a_plugin_follows_its_listener_and_is_nobodys_when_that_is_gone)
{
    static const char per[] = "per_listener_settings true\n";
    char before[256], now[256];
    struct told told;
    snprintf(before, sizeof before, "%slistener 1884\nplugin /a.so\nlistener 1885\nplugin /b.so\n", per);
    snprintf(now, sizeof now, "%slistener 1886\nallow_anonymous true\nlistener 1885\nplugin /b.so\n", per);
    struct bench *b = reload(before, now, &told);
    CHECK_INT(1, told.count);
    CHECK_INT(CONFIG_PLUGIN_OF_NOBODY, b->config.plugins[0].of);
    assert_true(config_plugin_serves(&b->config.plugins[1], 1));
    assert_false(config_plugin_serves(&b->config.plugins[1], 0));
    bench_free(b);
}

TEST(a_new_listener_with_a_plugin_of_its_own_lacks_it)
{
    struct told told;
    struct bench *b = reload("per_listener_settings true\nlistener 1884\nplugin /a.so\n",
                             "per_listener_settings true\nlistener 1884\nplugin /a.so\nlistener 1885\n"
                             "plugin /b.so\nlistener 1886\nallow_anonymous true\n",
                             &told);
    CHECK_INT(1, told.count);
    assert_false(b->config.listeners[0].lacks_plugin);
    assert_true(b->config.listeners[1].lacks_plugin);
    assert_false(b->config.listeners[2].lacks_plugin);
    bench_free(b);
}
