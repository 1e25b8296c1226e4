/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_report.h"

#include <inttypes.h>
#include <stdio.h>

static const struct figure_row {
    const char *name, *unit, *doc;
    int decimals;
} rows[] = {
#define FIGURE(name_, unit_, decimals_, doc_) { #name_, unit_, doc_, decimals_ },
#include "cli/bench_figures.def"
#undef FIGURE
};

static void set(struct report *r, enum figure f, double value)
{
    r->has[f] = true;
    r->value[f] = value;
}

static double ratio(double a, double b)
{
    return b > 0.0 ? a / b : 0.0;
}

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

static double cpu_between(const struct run_result *result, int from)
{
    const struct proc_sample *a = &result->samples[from].broker, *b = &result->samples[from + 1].broker;
    return b->cpu_s - a->cpu_s;
}

/* What all workers counted between two of their marks, and from the first begin to the last end. */
struct interval {
    double seconds, sent, acked, delivered;
};

static void interval_add(struct interval *i, const struct mark *from, const struct mark *to)
{
    i->sent += (double)(to->counts.sent - from->counts.sent);
    i->acked += (double)(to->counts.acked - from->counts.acked);
    i->delivered += (double)(to->counts.delivered - from->counts.delivered);
    double seconds = (double)(to->at_ns - from->at_ns) / (double)BENCH_NS_PER_S;
    if (seconds > i->seconds) i->seconds = seconds;
}

static struct interval interval_of(const struct bench *b, bool of_return)
{
    struct interval sum = { 0 };
    for (uint32_t i = 0; i < b->worker_count; i++) {
        const struct worker *w = &b->workers[i];
        const struct mark *from = of_return ? &w->return_begin : &w->begin;
        const struct mark *to = of_return ? &w->return_end : &w->end;
        if (to->at_ns > from->at_ns) interval_add(&sum, from, to);
    }
    return sum;
}

static void take_latency(struct report *r, const struct hist *h)
{
    if (h->count == 0) return;
    set(r, FIG_latency_mean_us, hist_mean(h) / 1000.0);
    set(r, FIG_latency_p50_us, us(hist_quantile(h, 0.5)));
    set(r, FIG_latency_p90_us, us(hist_quantile(h, 0.9)));
    set(r, FIG_latency_p99_us, us(hist_quantile(h, 0.99)));
    set(r, FIG_latency_p999_us, us(hist_quantile(h, 0.999)));
    set(r, FIG_latency_p9999_us, us(hist_quantile(h, 0.9999)));
    set(r, FIG_latency_max_us, us(h->max));
}

static void take_pubacks(struct report *r, const struct hist *h)
{
    if (h->count == 0) return;
    set(r, FIG_puback_p50_us, us(hist_quantile(h, 0.5)));
    set(r, FIG_puback_p90_us, us(hist_quantile(h, 0.9)));
    set(r, FIG_puback_p99_us, us(hist_quantile(h, 0.99)));
    set(r, FIG_puback_p999_us, us(hist_quantile(h, 0.999)));
    set(r, FIG_puback_p9999_us, us(hist_quantile(h, 0.9999)));
    set(r, FIG_puback_max_us, us(h->max));
}

static double rate_of(double clients, const struct spent *s)
{
    return ratio(clients * (double)BENCH_NS_PER_S, (double)s->ns);
}

static void take_connects(struct report *r, const struct hist *h)
{
    if (h->count == 0) return;
    set(r, FIG_connect_p50_us, us(hist_quantile(h, 0.5)));
    set(r, FIG_connect_p90_us, us(hist_quantile(h, 0.9)));
    set(r, FIG_connect_p99_us, us(hist_quantile(h, 0.99)));
    set(r, FIG_connect_p999_us, us(hist_quantile(h, 0.999)));
    set(r, FIG_connect_p9999_us, us(hist_quantile(h, 0.9999)));
    set(r, FIG_connect_max_us, us(h->max));
}

static void take_storm(struct report *r, const struct bench *b, const struct run_result *result,
                       const struct hist *h)
{
    double connected = (double)h->count;
    bool leaves = b->conf.scenario == BENCH_STORM;
    set(r, FIG_connected, connected);
    set(r, FIG_connects_per_s, rate_of(connected, &result->connect));
    set(r, FIG_bench_cpu_us_per_connect, ratio(result->connect.own_cpu_s * 1e6, connected));
    if (leaves) set(r, FIG_leaves_per_s, rate_of(connected, &result->leave));
    if (b->conf.pid == 0) return;
    set(r, FIG_broker_cpu_us_per_connect, ratio(result->connect.broker_cpu_s * 1e6, connected));
    if (leaves) set(r, FIG_broker_cpu_us_per_leave, ratio(result->leave.broker_cpu_s * 1e6, connected));
    if (leaves || result->samples[SAMPLE_HOLD_END].broker.rss_bytes == 0) return;
    double grown = (double)result->samples[SAMPLE_HOLD_END].broker.rss_bytes -
                   (double)result->samples[SAMPLE_START].broker.rss_bytes;
    set(r, FIG_rss_per_client_bytes, ratio(grown, connected));
}

static void take_memory(struct report *r, const struct run_result *result, int after)
{
    const struct proc_sample *first = &result->samples[SAMPLE_START].broker;
    set(r, FIG_rss_before_bytes, (double)first->rss_bytes);
    set(r, FIG_anon_before_bytes, (double)first->anon_bytes);
    set(r, FIG_rss_after_bytes, (double)result->samples[after].broker.rss_bytes);
    set(r, FIG_anon_after_bytes, (double)result->samples[after].broker.anon_bytes);
    set(r, FIG_rss_peak_bytes, (double)result->samples[after].broker.peak_bytes);
}

static void take_cpu(struct report *r, const struct bench *b, const struct run_result *result,
                     const struct interval *i)
{
    int from = b->conf.scenario == BENCH_HOLD ? SAMPLE_HOLD : SAMPLE_RUN;
    double work = b->plan.measures_latency ? i->delivered : i->acked;
    double own = result->samples[from + 1].own_cpu_s - result->samples[from].own_cpu_s;
    set(r, FIG_bench_cpu_s, own);
    if (work > 0) set(r, FIG_bench_cpu_us_per_delivery, own * 1e6 / work);
    if (b->conf.pid == 0) return;
    double cpu = cpu_between(result, from);
    set(r, FIG_broker_cpu_s, cpu);
    if (i->seconds > 0) set(r, FIG_broker_cpu_cores, cpu / i->seconds);
    if (work > 0) set(r, FIG_broker_cpu_us_per_delivery, cpu * 1e6 / work);
}

static void take_run(struct report *r, const struct bench *b, const struct interval *i)
{
    set(r, FIG_seconds, i->seconds);
    set(r, FIG_measured_sent, i->sent);
    if (b->conf.qos > 0) set(r, FIG_measured_acked, i->acked);
    if (b->plan.measures_latency) set(r, FIG_measured_delivered, i->delivered);
    set(r, FIG_sent_per_s, ratio(i->sent, i->seconds));
    if (b->plan.measures_latency) set(r, FIG_delivered_per_s, ratio(i->delivered, i->seconds));
}

static void take_enqueue(struct report *r, const struct bench *b, const struct run_result *result,
                         const struct interval *enqueue)
{
    set(r, FIG_enqueue_per_s, ratio(enqueue->acked, enqueue->seconds));
    if (b->conf.pid == 0) return;
    double empty = (double)result->samples[SAMPLE_START].broker.rss_bytes;
    double full = (double)result->samples[SAMPLE_RETURN].broker.rss_bytes;
    set(r, FIG_rss_full_bytes, full);
    set(r, FIG_rss_per_message_bytes, ratio(full - empty, r->value[FIG_acked]));
}

static void take_drain(struct report *r, const struct bench *b, const struct run_result *result)
{
    struct interval drain = interval_of(b, true);
    double own = result->samples[SAMPLE_RETURN_END].own_cpu_s - result->samples[SAMPLE_RETURN].own_cpu_s;
    set(r, FIG_drain_seconds, drain.seconds);
    set(r, FIG_drain_per_s, ratio(drain.delivered, drain.seconds));
    set(r, FIG_drain_bench_cpu_us_per_delivery, ratio(own * 1e6, drain.delivered));
    if (b->conf.pid != 0)
        set(r, FIG_drain_cpu_us_per_delivery,
            ratio(cpu_between(result, SAMPLE_RETURN) * 1e6, drain.delivered));
}

struct seen {
    uint64_t expected, lost, repeats, late;
};

static void add_track(struct seen *sum, const struct track *t, uint64_t sent)
{
    sum->expected += sent;
    sum->lost += track_lost(t, sent);
    sum->repeats += t->repeats;
    sum->late += t->late;
}

static struct seen seen_by_each(const struct bench *b)
{
    struct seen sum = { 0 };
    uint32_t tracks = b->plan.shared_topic ? b->plan.streams : 1;
    for (uint32_t i = 0; i < b->plan.subscribers; i++)
        for (uint32_t k = 0; k < tracks; k++)
            add_track(&sum, &b->subscribers[i].tracks[k], b->stream_sent[b->plan.shared_topic ? k : i]);
    return sum;
}

/* Loss and repeats are the group's, order is a member's. */
static struct seen seen_by_group(struct report *r, const struct bench *b)
{
    struct seen sum = { 0 };
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t k = 0; k < b->plan.streams; k++) add_track(&sum, &b->group_tracks[k], b->stream_sent[k]);
    sum.late = 0;
    for (uint32_t i = 0; i < b->plan.subscribers; i++) {
        const struct subscriber *s = &b->subscribers[i];
        for (uint32_t k = 0; k < b->plan.streams; k++) sum.late += s->tracks[k].late;
        if (s->got < least) least = s->got;
        if (s->got > most) most = s->got;
    }
    set(r, FIG_member_least, (double)least);
    set(r, FIG_member_most, (double)most);
    return sum;
}

static struct seen seen_retained(const struct report *r, const struct bench *b)
{
    struct seen sum = { .expected = (uint64_t)r->value[FIG_sent] * b->plan.subscribers };
    sum.lost = sum.expected;
    for (uint32_t i = 0; i < b->plan.subscribers; i++) {
        sum.lost -= b->subscribers[i].got;
        sum.repeats += b->subscribers[i].tracks[0].repeats;
    }
    return sum;
}

static void take_trackers(struct report *r, const struct bench *b)
{
    struct seen seen = b->plan.group     ? seen_by_group(r, b)
                       : b->plan.retains ? seen_retained(r, b)
                                         : seen_by_each(b);
    set(r, FIG_expected, (double)seen.expected);
    set(r, FIG_lost, (double)seen.lost);
    set(r, FIG_duplicates, (double)seen.repeats);
    set(r, FIG_reordered, (double)seen.late);
}

/* Nothing is delivered yet: what has no PUBACK is what the other part could miss. */
static void take_unacknowledged(struct report *r, const struct bench *b)
{
    set(r, FIG_expected, (double)b->conf.messages);
    set(r, FIG_lost, (double)b->conf.messages - r->value[FIG_acked]);
}

/* Sessions come back to what waits for them. */
static bool returns(const struct bench *b)
{
    return b->conf.scenario == BENCH_OFFLINE || b->conf.scenario == BENCH_FLEET;
}

static void take_totals(struct report *r, const struct bench *b)
{
    struct counts sum = { 0 };
    uint64_t unsent = 0;
    for (uint32_t i = 0; i < b->worker_count; i++) {
        const struct counts *c = &b->workers[i].counts;
        sum.sent += c->sent;
        sum.acked += c->acked;
        sum.delivered += c->delivered;
        sum.refused += c->refused;
        sum.foreign += c->foreign;
        sum.sessions_lost += c->sessions_lost;
        sum.redelivered += c->redelivered;
        sum.returns += c->returns;
    }
    for (uint32_t i = 0; i < b->plan.publishers; i++) {
        const struct publisher *p = &b->publishers[i];
        uint64_t left = p->quota - p->sent;
        unsent += p->due < left ? p->due : left;
    }
    set(r, FIG_sent, (double)sum.sent);
    if (b->conf.qos > 0) set(r, FIG_acked, (double)sum.acked);
    set(r, FIG_delivered, (double)sum.delivered);
    set(r, FIG_refused, (double)sum.refused);
    set(r, FIG_foreign, (double)sum.foreign);
    if (b->conf.rate > 0) set(r, FIG_unsent, (double)unsent);
    if (returns(b)) set(r, FIG_sessions_lost, (double)sum.sessions_lost);
    if (b->conf.scenario != BENCH_FLEET) return;
    set(r, FIG_redelivered, (double)sum.redelivered);
    set(r, FIG_returns, (double)sum.returns);
}

/* Where the conductor looked at the broker's memory last. */
static int last_sample(const struct bench *b)
{
    if (bench_only_connects(&b->conf)) return SAMPLE_HOLD_END;
    if (!returns(b) && !b->plan.retains) return SAMPLE_RUN_END;
    return b->conf.part == BENCH_ENQUEUE ? SAMPLE_RETURN : SAMPLE_RETURN_END;
}

static void take_complete(struct report *r, const struct hist *h)
{
    if (h->count == 0) return;
    set(r, FIG_complete_p50_us, us(hist_quantile(h, 0.5)));
    set(r, FIG_complete_p90_us, us(hist_quantile(h, 0.9)));
    set(r, FIG_complete_p99_us, us(hist_quantile(h, 0.99)));
    set(r, FIG_complete_max_us, us(h->max));
}

/* Of all workers. */
struct hists {
    struct hist deliveries, pubacks, connects;
};

static void take_turned_away(struct report *r, const struct bench *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->worker_count; i++) sum += b->workers[i].counts.turned_away;
    if (b->conf.retry > 0) set(r, FIG_turned_away, (double)sum);
}

static const struct hists *merge_hists(const struct bench *b)
{
    static struct hists all; /* 58 KiB each, and there is one report in a program */
    all = (struct hists){ 0 };
    for (uint32_t i = 0; i < b->worker_count; i++) {
        hist_merge(&all.deliveries, &b->workers[i].hist);
        hist_merge(&all.pubacks, &b->workers[i].pubacks);
        hist_merge(&all.connects, &b->workers[i].connects);
    }
    return &all;
}

static void take_messages(struct report *r, const struct bench *b, const struct run_result *result,
                          const struct hists *h)
{
    struct interval run = interval_of(b, false);
    if (b->plan.retains)
        take_complete(r, &h->deliveries);
    else
        take_latency(r, &h->deliveries);
    take_pubacks(r, &h->pubacks);
    take_totals(r, b);
    if (b->conf.part == BENCH_ENQUEUE)
        take_unacknowledged(r, b);
    else
        take_trackers(r, b);
    if (b->conf.part != BENCH_DRAIN) {
        take_run(r, b, &run);
        take_cpu(r, b, result, &run);
    }
    if (b->conf.scenario == BENCH_OFFLINE && b->conf.part != BENCH_DRAIN) take_enqueue(r, b, result, &run);
    if ((returns(b) || b->plan.retains) && b->conf.part != BENCH_ENQUEUE) take_drain(r, b, result);
}

void report_make(struct report *r, const struct bench *b, const struct run_result *result)
{
    const struct hists *h = merge_hists(b);
    struct interval none = { 0 };
    *r = (struct report){ 0 };
    take_connects(r, &h->connects);
    take_turned_away(r, b);
    if (bench_only_connects(&b->conf))
        take_storm(r, b, result, &h->connects);
    else
        take_messages(r, b, result, h);
    if (b->conf.scenario == BENCH_HOLD) take_cpu(r, b, result, &none);
    if (b->conf.pid != 0) take_memory(r, result, last_sample(b));
}

bool report_is_bad(const struct report *r, const struct bench_conf *conf, char text[BENCH_PROBLEM_MAX])
{
    text[0] = '\0';
    if (conf->qos == 0 || bench_only_connects(conf)) return false;
    double wrong = r->value[FIG_lost] + r->value[FIG_duplicates] + r->value[FIG_reordered] +
                   r->value[FIG_refused] + r->value[FIG_sessions_lost];
    if (!(wrong > 0)) return false;
    snprintf(text, BENCH_PROBLEM_MAX,
             "QoS %d was not kept: %.0f lost, %.0f repeated, %.0f out of order, %.0f refused, %.0f sessions "
             "gone; see "
             "the broker's limits on queues, or give --allow-loss",
             (int)conf->qos, r->value[FIG_lost], r->value[FIG_duplicates], r->value[FIG_reordered],
             r->value[FIG_refused], r->value[FIG_sessions_lost]);
    return true;
}

void report_print(const struct report *r, const struct bench *b, const struct run_result *result, FILE *to)
{
    char scenario[32];
    fprintf(to, "%s: %" PRIu32 " publishers, %" PRIu32 " subscribers, QoS %" PRIu64 ", %" PRIu64 " B, ",
            bench_scenario_name(&b->conf, scenario, sizeof scenario), b->plan.publishers, b->plan.subscribers,
            b->conf.qos, b->conf.size);
    if (b->conf.rate > 0)
        fprintf(to, "open loop, %" PRIu64 "/s\n", b->conf.rate);
    else
        fprintf(to, "window %" PRIu64 "\n", b->conf.window);
    for (int i = 0; i < FIGURES; i++)
        if (r->has[i])
            fprintf(to, "  %-28s %14.*f %s\n", rows[i].name, rows[i].decimals, r->value[i], rows[i].unit);
    if (result->interrupted) fprintf(to, "  interrupted: these are the figures up to then\n");
}

/* Only our own words and what the system says go through here, but a quote in them must not break the JSON.
 */
static void print_json_text(const char *text, FILE *to)
{
    fputc('"', to);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') fputc('\\', to);
        if (c < 0x20)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

void report_print_json(const struct report *r, const struct bench *b, const struct run_result *result,
                       FILE *to)
{
    static const char *const transports[] = { "tcp", "ws", "tls", "wss" };
    const struct bench_conf *c = &b->conf;
    char scenario[32];
    fprintf(to, "{\"scenario\":\"%s\",\"version\":\"%s\",\"clients\":%" PRIu64 ",\"publishers\":%" PRIu32,
            bench_scenario_name(c, scenario, sizeof scenario), c->version == 0 ? "3.1.1" : "5", c->clients,
            b->plan.publishers);
    fprintf(to, ",\"transport\":\"%s\"", transports[c->tls * 2 + c->websockets]);
    fprintf(to, ",\"subscribers\":%" PRIu32 ",\"qos\":%" PRIu64 ",\"size\":%" PRIu64 ",\"window\":%" PRIu64,
            b->plan.subscribers, c->qos, c->size, c->window);
    fprintf(to, ",\"rate\":%" PRIu64 ",\"threads\":%" PRIu64 ",\"interrupted\":%s,\"problem\":", c->rate,
            c->threads, result->interrupted ? "true" : "false");
    print_json_text(result->problem, to);
    for (int i = 0; i < FIGURES; i++)
        if (r->has[i]) fprintf(to, ",\"%s\":%.*f", rows[i].name, rows[i].decimals, r->value[i]);
    fprintf(to, "}\n");
}

void report_help(FILE *to)
{
    fprintf(to, "\nfigures:\n");
    for (int i = 0; i < FIGURES; i++) fprintf(to, "  %-28s %s\n", rows[i].name, rows[i].doc);
    fprintf(to, "\nexit code: 0 all is well; 1 loss, repeats or wrong order with QoS 1; 2 wrong usage; 3 the "
                "run failed\n");
}
