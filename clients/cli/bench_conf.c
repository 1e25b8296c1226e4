/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_conf.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum {
    INBOX_PUBLISHERS = 20,
    OPEN_LOOP_WINDOW = 4096, /* a broker that falls behind by more than this holds its publisher back */
};

static const struct option_row rows[] = {
#define OPTION(name_, type_, default_, min_, max_, form_, doc_)                                              \
    { .name = #name_,                                                                                        \
      .form = form_,                                                                                         \
      .doc = doc_,                                                                                           \
      .type = OPTION_##type_,                                                                                \
      .number_default = default_,                                                                            \
      .min = min_,                                                                                           \
      .max = max_,                                                                                           \
      .offset = offsetof(struct bench_conf, name_) },
#define TEXT(name_, default_, form_, doc_)                                                                   \
    { .name = #name_,                                                                                        \
      .form = form_,                                                                                         \
      .doc = doc_,                                                                                           \
      .text_default = default_,                                                                              \
      .type = OPTION_TEXT,                                                                                   \
      .offset = offsetof(struct bench_conf, name_) },
#include "cli/bench_options.def"
#undef OPTION
#undef TEXT
};

#define OPTION(name_, type_, default_, min_, max_, form_, doc_)                                              \
    _Static_assert((default_) + UINT64_C(0) >= (min_) && (default_) <= (max_),                               \
                   #name_ ": default out of range");
#define TEXT(name_, default_, form_, doc_)
#include "cli/bench_options.def"
#undef OPTION
#undef TEXT

enum row_place {
#define OPTION(name_, type_, default_, min_, max_, form_, doc_) ROW_##name_,
#define TEXT(name_, default_, form_, doc_)                      ROW_##name_,
#include "cli/bench_options.def"
#undef OPTION
#undef TEXT
    ROWS
};

_Static_assert((int)ROWS <= (int)OPTIONS_MAX, "more options than the set of given ones can hold");

const struct options_table bench_options = {
    .command = "bench",
    .purpose =
        "Loads an MQTT broker and says what it did: messages a second, latency, loss, repeats, wrong order, "
        "and with --pid the broker's CPU time and memory. Every broker can be measured; nothing but MQTT is "
        "asked of it. Ctrl-C ends a run early and prints what there is.",
    .rows = rows,
    .count = ROWS,
};

static bool was_given(const struct options_parsed *parsed, enum row_place place)
{
    return (parsed->given >> place & 1) != 0;
}

static bool has_publishers(const struct bench_conf *c)
{
    switch ((enum bench_scenario)c->scenario) {
    case BENCH_FANOUT:
    case BENCH_OFFLINE:
    case BENCH_SHARED:
    case BENCH_RETAINED:
    case BENCH_FLEET: return true;
    case BENCH_PAIRS:
    case BENCH_FANIN:
    case BENCH_HOLD:
    case BENCH_STORM: return false;
    }
    return false;
}

/* Their publishers have inboxes to write to in turn. */
static bool has_inboxes(const struct bench_conf *c)
{
    return c->scenario == BENCH_OFFLINE || c->scenario == BENCH_FLEET;
}

/* What contradicts what, in the operator's words; NULL when all is well. */
static const char *contradiction_of_load(const struct bench_conf *c, const struct options_parsed *parsed)
{
    if (c->messages > 0 && was_given(parsed, ROW_duration))
        return "--messages and --duration: give one of them; each says when to stop";
    if (c->messages > 0 && c->warmup > 0)
        return "--messages and --warmup: with a number of messages all of them are measured; leave out "
               "--warmup";
    if ((has_inboxes(c) || c->scenario == BENCH_RETAINED) && c->qos == 0)
        return "--scenario offline, fleet and retained need --qos 1 or 2: a broker may drop QoS 0, and "
               "nothing "
               "says that it has stored it";
    if ((c->scenario == BENCH_OFFLINE || c->scenario == BENCH_RETAINED) && c->warmup > 0)
        return "--scenario offline and retained have no --warmup: what is published is there to be fetched";
    if (c->scenario == BENCH_RETAINED && c->messages > 0)
        return "--messages: --scenario retained has one for each of --topics";
    if (c->publishers > 0 && !has_publishers(c))
        return "--publishers is for fanout, shared, retained, offline and fleet; the other scenarios take "
               "theirs "
               "from --clients";
    if (has_inboxes(c) && c->publishers > c->clients)
        return "--publishers: offline and fleet need at least as many --clients (sessions), one for each "
               "publisher "
               "to write to";
    if (c->scenario == BENCH_RETAINED && c->publishers > c->topics)
        return "--publishers: retained needs at least as many --topics, one for each publisher to write to";
    if (c->rate > 0 && c->gather > 0)
        return "--gather and --rate: the sleep would be counted as the broker's latency; leave out --gather";
    return NULL;
}

static const char *contradiction(const struct bench_conf *c, const struct options_parsed *parsed)
{
    const char *of_load = contradiction_of_load(c, parsed);
    if (of_load != NULL) return of_load;
    if (c->password[0] != '\0' && c->username[0] == '\0')
        return "--password needs --username: MQTT 3.1.1 has no password without a user name";
    if (c->tls == 0 && (c->insecure != 0 || c->cafile[0] != '\0'))
        return "--cafile and --insecure need --tls: without it there is no certificate";
    if (c->insecure != 0 && c->cafile[0] != '\0')
        return "--cafile and --insecure: give one of them; either the certificate is checked or it is not";
    if (c->subscribe != 0 && !bench_only_connects(c))
        return "--subscribe is for connect-hold and storm; the subscribers of the other scenarios always do";
    if (c->waves > 1 && c->scenario != BENCH_STORM) return "--waves is for --scenario storm";
    if (was_given(parsed, ROW_topics) && c->scenario != BENCH_RETAINED)
        return "--topics is for --scenario retained";
    if ((was_given(parsed, ROW_churn) || was_given(parsed, ROW_away)) && c->scenario != BENCH_FLEET)
        return "--churn and --away are for --scenario fleet";
    if (c->part != BENCH_ALL && c->scenario != BENCH_OFFLINE)
        return "--part is for --scenario offline; the others have one part";
    if (c->part != BENCH_ALL && (c->seed == 0 || c->messages == 0))
        return "--part needs --seed and --messages, the same for both parts: they name what was enqueued";
    if (c->threads > c->clients) return "--threads: more than --clients; a thread would have nothing to do";
    return NULL;
}

enum err bench_conf_parse(int argc, char *const *argv, struct bench_conf *conf, struct options_parsed *out)
{
    enum err rc = options_parse(&bench_options, argc, argv, conf, out);
    const char *problem = rc == ERR_OK ? contradiction(conf, out) : NULL;
    if (problem == NULL) return rc;
    snprintf(out->problem, sizeof out->problem, "%s", problem);
    return ERR_RANGE;
}

const char *bench_scenario_name(const struct bench_conf *conf, char *buffer, size_t buffer_bytes)
{
    return options_word(&rows[ROW_scenario], conf->scenario, buffer, buffer_bytes);
}

static uint32_t publishers_of(const struct bench_conf *c)
{
    if (c->publishers > 0) return (uint32_t)c->publishers;
    if (!has_inboxes(c)) return 1;
    return (uint32_t)(c->clients < INBOX_PUBLISHERS ? c->clients : INBOX_PUBLISHERS);
}

/* Publishers and topics, and who gets what. */
static void plan_streams(struct bench_plan *p, const struct bench_conf *c)
{
    uint32_t n = (uint32_t)c->clients;
    p->subscribers = n;
    p->deliveries = 1;
    switch ((enum bench_scenario)c->scenario) {
    case BENCH_PAIRS: p->publishers = p->streams = n; break;
    case BENCH_FANOUT:
        p->deliveries = n;
        p->publishers = p->streams = publishers_of(c);
        break;
    case BENCH_SHARED: p->publishers = p->streams = publishers_of(c); break;
    case BENCH_FANIN:
        p->publishers = p->streams = n;
        p->subscribers = 1;
        break;
    case BENCH_HOLD:
    case BENCH_STORM: break;
    case BENCH_OFFLINE:
    case BENCH_FLEET:
        p->publishers = publishers_of(c);
        p->streams = n;
        break;
    case BENCH_RETAINED:
        p->publishers = publishers_of(c);
        p->streams = (uint32_t)c->topics;
        p->deliveries = n;
        break;
    }
}

struct bench_plan bench_plan_of(const struct bench_conf *c)
{
    struct bench_plan p = { .messages = c->messages, .counts_delivery = true, .measures_latency = true };
    p.window = c->rate > 0 ? OPEN_LOOP_WINDOW : (uint32_t)c->window;
    p.group = c->scenario == BENCH_SHARED;
    p.retains = c->scenario == BENCH_RETAINED;
    p.shared_topic = p.group || c->scenario == BENCH_FANOUT || c->scenario == BENCH_FANIN;
    p.persistent = has_inboxes(c) || c->persistent != 0;
    if (has_inboxes(c) || p.retains) p.counts_delivery = false; /* it may be a long time until then */
    if (c->scenario == BENCH_OFFLINE || p.retains) p.measures_latency = false;
    if (p.retains) p.messages = c->topics;
    plan_streams(&p, c);
    return p;
}

/* Of total dealt out to so many, one each in turn: how many the n-th gets. */
static uint64_t dealt(uint64_t total, uint32_t among, uint32_t n)
{
    return total / among + (n < total % among ? 1 : 0);
}

uint64_t bench_quota_of(const struct bench_plan *plan, uint32_t publisher)
{
    return plan->messages == 0 ? UINT64_MAX : dealt(plan->messages, plan->publishers, publisher);
}

uint64_t bench_share_of(const struct bench_plan *plan, uint32_t stream)
{
    uint32_t publisher = stream % plan->publishers;
    uint32_t streams = (uint32_t)dealt(plan->streams, plan->publishers, publisher);
    return dealt(bench_quota_of(plan, publisher), streams, stream / plan->publishers);
}
