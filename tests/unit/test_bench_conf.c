/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "cli/bench_conf.h"
#include "cli/bench_proc.h"
#include "kit/test.h"

static struct bench_conf conf;
static struct options_parsed parsed;

static enum err parse(int argc, const char *const *words)
{
    char *argv[16];
    CHECK_TRUE(argc <= 16);
    for (int i = 0; i < argc; i++) memcpy(&argv[i], &words[i], sizeof argv[i]);
    return bench_conf_parse(argc, argv, &conf, &parsed);
}

#define PARSE(...)                                                                                           \
    parse((int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)),                        \
          (const char *const[]){ __VA_ARGS__ })

static bool problem_has(const char *text)
{
    return strstr(parsed.problem, text) != NULL;
}

TEST(without_options_the_defaults_of_the_table_hold)
{
    CHECK_INT(ERR_OK, bench_conf_parse(0, NULL, &conf, &parsed));
    for (size_t i = 0; i < bench_options.count; i++) {
        const struct option_row *row = &bench_options.rows[i];
        const char *at = (const char *)&conf + row->offset;
        if (row->type == OPTION_TEXT)
            CHECK_INT(0, memcmp(at, &row->text_default, sizeof row->text_default));
        else
            CHECK_INT(0, memcmp(at, &row->number_default, sizeof row->number_default));
    }
}

TEST(a_value_may_follow_as_a_word_or_after_an_equals_sign)
{
    CHECK_INT(ERR_OK, PARSE("--clients", "12", "--port=1884", "--json", "--host", "broker.example"));
    CHECK_INT(12, conf.clients);
    CHECK_INT(1884, conf.port);
    CHECK_INT(1, conf.json);
    CHECK_INT(0, strcmp("broker.example", conf.host));
}

TEST(seconds_take_decimals_and_are_kept_in_milliseconds)
{
    CHECK_INT(ERR_OK, PARSE("--duration", "1.25"));
    CHECK_INT(1250, conf.duration);
    CHECK_INT(ERR_OK, PARSE("--duration", "0.5"));
    CHECK_INT(500, conf.duration);
    CHECK_INT(ERR_SYNTAX, PARSE("--duration", "1.2345"));
    CHECK_INT(ERR_SYNTAX, PARSE("--duration", "."));
    CHECK_INT(ERR_SYNTAX, PARSE("--duration", "5s"));
    CHECK_INT(ERR_SYNTAX, PARSE("--duration", "99999999999999999999"));
}

TEST(choices_are_taken_by_their_words)
{
    CHECK_INT(ERR_OK, PARSE("--scenario", "connect-hold", "--version", "5"));
    CHECK_INT(BENCH_HOLD, conf.scenario);
    CHECK_INT(1, conf.version);
    CHECK_INT(ERR_UNKNOWN, PARSE("--scenario", "pair"));
    CHECK_TRUE(problem_has("'pair'"));
    CHECK_TRUE(problem_has("pairs|fanout"));
    CHECK_INT(ERR_UNKNOWN, PARSE("--scenario", ""));
}

TEST(the_words_of_the_scenarios_are_in_the_order_of_their_enum)
{
    static const char *const names[] = { "pairs", "fanout", "fanin",    "connect-hold", "offline",
                                         "storm", "shared", "retained", "fleet" };
    for (uint64_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char word[32];
        conf.scenario = i;
        CHECK_INT(0, strcmp(names[i], bench_scenario_name(&conf, word, sizeof word)));
    }
}

TEST(an_unknown_option_is_named)
{
    CHECK_INT(ERR_UNKNOWN, PARSE("--clints", "3"));
    CHECK_TRUE(problem_has("--clints"));
    CHECK_INT(ERR_SYNTAX, PARSE("clients"));
    CHECK_TRUE(problem_has("'clients'"));
    CHECK_INT(ERR_UNKNOWN, PARSE("--drain_timeout", "3"));
}

TEST(a_missing_value_is_named)
{
    CHECK_INT(ERR_SYNTAX, PARSE("--port"));
    CHECK_TRUE(problem_has("--port"));
    CHECK_INT(ERR_SYNTAX, PARSE("--json=1"));
    CHECK_TRUE(problem_has("--json"));
}

TEST(a_number_must_be_one)
{
    static const char *const bad[] = {
        "", "x", "-1", "+1", "1e3", " 1", "1 ", "0x10", "99999999999999999999"
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(ERR_SYNTAX, PARSE("--clients", bad[i]));
        CHECK_TRUE(problem_has("--clients"));
    }
}

/* Walks the table: just inside both ends is taken, just outside is refused with the range. */
TEST(every_number_has_the_range_of_its_row)
{
    for (size_t i = 0; i < bench_options.count; i++) {
        const struct option_row *row = &bench_options.rows[i];
        struct options_table alone = { "bench", "", row, 1 };
        char arg[96], *argv[] = { arg };
        if (row->type != OPTION_NUMBER) continue;

        for (int side = 0; side < 4; side++) {
            uint64_t value = side < 2 ? row->min - (uint64_t)side : row->max + (uint64_t)side - 2;
            bool inside = value >= row->min && value <= row->max;
            if (side == 1 && row->min == 0) continue;
            snprintf(arg, sizeof arg, "--%s=%llu", row->name, (unsigned long long)value);
            for (char *at = arg; *at != '\0'; at++) *at = *at == '_' ? '-' : *at;
            CHECK_INT(inside ? ERR_OK : ERR_RANGE, options_parse(&alone, 1, argv, &conf, &parsed));
        }
    }
}

TEST(options_that_contradict_each_other_are_refused)
{
    CHECK_INT(ERR_RANGE, PARSE("--messages", "10", "--duration", "1"));
    CHECK_INT(ERR_RANGE, PARSE("--messages", "10", "--warmup", "1"));
    CHECK_INT(ERR_RANGE, PARSE("--password", "x"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "offline", "--qos", "0"));
    CHECK_INT(ERR_RANGE, PARSE("--publishers", "2"));
    CHECK_INT(ERR_RANGE, PARSE("--rate", "10", "--gather", "10"));
    CHECK_INT(ERR_RANGE, PARSE("--threads", "11", "--clients", "10"));
    CHECK_INT(ERR_RANGE, PARSE("--part", "enqueue", "--seed", "1", "--messages", "10"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "offline", "--qos", "1", "--part", "drain", "--seed", "1"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "offline", "--qos", "1", "--part", "drain", "--messages", "1"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "fleet"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "retained"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "retained", "--qos", "1", "--messages", "10"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "retained", "--qos", "1", "--topics", "3", "--publishers", "4"));
    CHECK_INT(ERR_RANGE, PARSE("--topics", "10"));
    CHECK_INT(ERR_RANGE, PARSE("--churn", "10"));
    CHECK_INT(ERR_RANGE, PARSE("--away", "10"));
    CHECK_INT(ERR_RANGE, PARSE("--insecure"));
    CHECK_INT(ERR_RANGE, PARSE("--cafile", "x"));
    CHECK_INT(ERR_RANGE, PARSE("--tls", "--cafile", "x", "--insecure"));
    CHECK_INT(ERR_RANGE, PARSE("--subscribe"));
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "connect-hold", "--waves", "2"));
    CHECK_INT(ERR_OK, PARSE("--scenario", "storm", "--subscribe", "--waves", "2"));
    CHECK_INT(ERR_OK, PARSE("--messages", "10"));
}

TEST(pairs_give_each_publisher_its_own_subscriber)
{
    CHECK_INT(ERR_OK, PARSE("--clients", "7"));
    struct bench_plan p = bench_plan_of(&conf);
    CHECK_INT(7, p.publishers);
    CHECK_INT(7, p.subscribers);
    CHECK_INT(7, p.streams);
    CHECK_INT(1, p.deliveries);
    CHECK_TRUE(!p.shared_topic);
}

TEST(fan_out_delivers_each_message_to_all)
{
    CHECK_INT(ERR_OK, PARSE("--scenario", "fanout", "--clients", "7"));
    struct bench_plan p = bench_plan_of(&conf);
    CHECK_INT(1, p.publishers);
    CHECK_INT(7, p.subscribers);
    CHECK_INT(7, p.deliveries);
    CHECK_TRUE(p.shared_topic);
}

TEST(a_group_gets_each_message_once)
{
    CHECK_INT(ERR_OK, PARSE("--scenario", "shared", "--clients", "7", "--publishers", "3"));
    struct bench_plan p = bench_plan_of(&conf);
    CHECK_TRUE(p.group);
    CHECK_TRUE(p.shared_topic);
    CHECK_INT(3, p.publishers);
    CHECK_INT(7, p.subscribers);
    CHECK_INT(1, p.deliveries);
}

TEST(retained_values_are_one_message_each)
{
    CHECK_INT(ERR_OK, PARSE("--scenario", "retained", "--clients", "7", "--qos", "1", "--topics", "50",
                            "--publishers", "3"));
    struct bench_plan p = bench_plan_of(&conf);
    CHECK_TRUE(p.retains);
    CHECK_TRUE(!p.counts_delivery);
    CHECK_INT(50, p.streams);
    CHECK_INT(50, p.messages);
    for (uint32_t i = 0; i < p.streams; i++) CHECK_INT(1, bench_share_of(&p, i));
    CHECK_INT(17, bench_quota_of(&p, 0));
    CHECK_INT(16, bench_quota_of(&p, 2));
}

TEST(a_fleet_has_inboxes_that_outlive_connections)
{
    CHECK_INT(ERR_OK, PARSE("--scenario", "fleet", "--clients", "100", "--qos", "1"));
    struct bench_plan p = bench_plan_of(&conf);
    CHECK_TRUE(p.persistent);
    CHECK_TRUE(p.measures_latency);
    CHECK_TRUE(!p.counts_delivery);
    CHECK_INT(20, p.publishers);
    CHECK_INT(100, p.streams);
}

TEST(offline_has_twenty_publishers_or_as_many_as_sessions)
{
    CHECK_INT(ERR_OK, PARSE("--scenario", "offline", "--qos", "1", "--clients", "200"));
    CHECK_INT(20, bench_plan_of(&conf).publishers);
    CHECK_INT(ERR_OK, PARSE("--scenario", "offline", "--qos", "1", "--clients", "3"));
    CHECK_INT(3, bench_plan_of(&conf).publishers);
    CHECK_INT(ERR_RANGE, PARSE("--scenario", "offline", "--qos", "1", "--clients", "3", "--publishers", "4"));
}

TEST(subscribers_keep_their_sessions_when_asked_to_or_to_go_offline)
{
    CHECK_INT(ERR_OK, PARSE("--qos", "1"));
    CHECK_TRUE(!bench_plan_of(&conf).persistent);
    CHECK_INT(ERR_OK, PARSE("--qos", "1", "--persistent"));
    CHECK_TRUE(bench_plan_of(&conf).persistent);
    CHECK_TRUE(bench_plan_of(&conf).counts_delivery);
    CHECK_INT(ERR_OK, PARSE("--scenario", "offline", "--qos", "1"));
    CHECK_TRUE(bench_plan_of(&conf).persistent);
}

/* Publishers take their streams in turn until their messages are sent: what a stream got is what is drained.
 */
TEST(what_each_stream_has_to_drain_is_what_its_publisher_dealt_it)
{
    CHECK_INT(ERR_OK, PARSE("--scenario", "offline", "--qos", "1", "--clients", "11", "--publishers", "4",
                            "--messages", "103", "--seed", "7", "--part", "drain"));
    struct bench_plan plan = bench_plan_of(&conf);
    uint64_t sent[11] = { 0 };
    for (uint32_t p = 0; p < plan.publishers; p++) {
        uint32_t stream = p;
        for (uint64_t i = 0; i < bench_quota_of(&plan, p); i++) {
            sent[stream]++;
            stream = stream + plan.publishers < plan.streams ? stream + plan.publishers : p;
        }
    }
    uint64_t sum = 0;
    for (uint32_t s = 0; s < plan.streams; s++) {
        CHECK_INT(sent[s], bench_share_of(&plan, s));
        sum += sent[s];
    }
    CHECK_INT(103, sum);
}

TEST(the_help_names_every_option)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    options_help(&bench_options, to);
    fclose(to);
    for (size_t i = 0; i < bench_options.count; i++) {
        char name[64];
        snprintf(name, sizeof name, "  --%s", bench_options.rows[i].name);
        for (char *at = name; *at != '\0'; at++) *at = *at == '_' ? '-' : *at;
        CHECK_TRUE(strstr(text, name) != NULL);
    }
    free(text);
}

TEST(our_own_process_can_be_read_and_one_that_is_not_there_cannot)
{
    struct proc_sample s;
    CHECK_INT(ERR_OK, proc_read((uint64_t)getpid(), &s));
    CHECK_TRUE(s.rss_bytes > 0);
    CHECK_TRUE(s.rss_bytes >= s.anon_bytes);
    CHECK_INT(ERR_NOTFOUND, proc_read(4194304, &s));
}
