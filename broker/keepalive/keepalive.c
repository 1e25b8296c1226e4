/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/keepalive.h"
#include "base/map.h"
#include <stdlib.h>

enum {
    TRIAL_DAY_S = 24 * 3600, /* a client's turn to try what is above the prior ... */
    TRIAL_TURNS = 20,        /* ... comes every so many: so at most a twentieth tries at once */
};

struct keepalive {
    struct keepalive_conf conf;
    struct ka_outages outages;
    struct ka_table *table;
    struct ka_prior *prior;
    struct keepalive_counts counts;
};

enum err keepalive_new(struct keepalive **out, const struct keepalive_conf *conf, int64_t now_s)
{
    struct keepalive *ka = calloc(1, sizeof *ka);
    enum err rc = ka != NULL ? ERR_OK : ERR_NOMEM;
    if (rc == ERR_OK) {
        ka->conf = *conf;
        ka_outages_init(&ka->outages, now_s);
        rc = ka_table_new(&ka->table, conf->entries_max);
    }
    if (rc == ERR_OK) rc = ka_prior_new(&ka->prior, &conf->learn, conf->prefixes_max);
    if (rc != ERR_OK) keepalive_free(&ka);
    *out = ka;
    return rc;
}

void keepalive_free(struct keepalive **owner)
{
    struct keepalive *ka = *owner;
    *owner = NULL;
    if (ka == NULL) return;
    ka_prior_free(&ka->prior);
    ka_table_free(&ka->table);
    free(ka);
}

/* After each change of its state or terms: it is counted by what it has settled at. */
static void classify(struct keepalive *ka, struct ka_entry *e)
{
    uint16_t settled_s = keepalive_settled(ka, e);
    unsigned class = settled_s > 0 ? (settled_s - 1U) / KEEPALIVE_CLASS_S : 0;
    ka_table_put_into_class(ka->table, e, class < KEEPALIVE_CLASSES ? class : KEEPALIVE_CLASSES - 1);
}

void keepalive_reload(struct keepalive *ka, const struct ka_conf *learn)
{
    ka->conf.learn = *learn;
}

/* Bounds this client's trials by what its neighbours know, unless it is its turn, or it has no neighbours. */
static void set_terms(struct keepalive *ka, struct ka_entry *e, const struct ka_who *who, int64_t now_s)
{
    struct ka_terms t = { who->asked_s, who->mode, 0 };
    uint64_t turn = map_hash_u64(who->client) + (uint64_t)(now_s / TRIAL_DAY_S);
    if (turn % TRIAL_TURNS != 0) t.limit_s = ka_prior_limit(ka->prior, &who->net, now_s);
    e->terms = t;
    classify(ka, e);
}

static void learn(struct keepalive *ka, struct ka_entry *e, const struct ka_event *event)
{
    uint16_t before_s = e->state.k_s;
    if (ka_learn(&e->state, &ka->conf.learn, &e->terms, event)) ka_table_dirty(ka->table, e);
    classify(ka, e);
    ka->counts.raised += e->state.k_s > before_s;
    ka->counts.lowered += e->state.k_s < before_s;
}

static struct ka_event doubt_of(const struct ka_entry *e)
{
    return (struct ka_event){ e->doubt_kind, e->doubt_gap_s, e->doubt_in_force_s };
}

/* A failure of before is for good, or was an outage's. */
static void settle_doubt(struct keepalive *ka, struct ka_entry *e, const struct ka_who *who, int64_t now_s)
{
    if (e->doubt_kind == KA_NEUTRAL) return;
    enum ka_answer answer =
        ka_outages_ask(&ka->outages, &ka->conf.learn, e->doubt_lost_s, e->doubt_back_s, now_s);
    struct ka_event event = doubt_of(e);
    if (answer == KA_TOO_EARLY) return;
    e->doubt_kind = KA_NEUTRAL;
    if (answer == KA_YES) {
        ka->counts.in_outage++;
        return;
    }
    ka_prior_note(ka->prior, &who->net, who->client, &event, now_s);
    learn(ka, e, &event);
}

/* What is granted: as if the failure in doubt were one. */
static uint16_t grant(const struct keepalive *ka, const struct ka_entry *e)
{
    struct ka_state s = e->state;
    struct ka_event event = doubt_of(e);
    ka_learn(&s, &ka->conf.learn, &e->terms, &event);
    return ka_grant(&s, &ka->conf.learn, &e->terms);
}

static void count(struct keepalive *ka, const struct ka_event *event)
{
    switch ((enum ka_kind)event->kind) {
    case KA_NEUTRAL: ka->counts.neutral++; break;
    case KA_SUCCESS: ka->counts.successes++; break;
    case KA_FAIL_WEAK: ka->counts.weak++; break;
    case KA_FAIL_STRONG: ka->counts.strong++; break;
    }
}

/* What others may rely on: no more than where this client would rest, once it knows its limit. */
static void note_success(struct keepalive *ka, const struct ka_entry *e, const struct ka_who *who,
                         const struct ka_event *event, int64_t now_s)
{
    struct ka_event shown = *event;
    uint16_t settled_s = keepalive_settled(ka, e);
    if (e->state.ceil_s > 0 && shown.gap_s > settled_s) shown.gap_s = settled_s;
    ka_prior_note(ka->prior, &who->net, who->client, &shown, now_s);
}

static void take(struct keepalive *ka, struct ka_entry *e, const struct ka_who *who,
                 const struct ka_event *event, int64_t now_s)
{
    count(ka, event);
    if (event->kind == KA_NEUTRAL) return;
    if (event->kind == KA_SUCCESS) {
        note_success(ka, e, who, event, now_s);
        learn(ka, e, event);
        return;
    }
    e->doubt_kind = event->kind;
    e->doubt_gap_s = event->gap_s;
    e->doubt_in_force_s = event->in_force_s;
    e->doubt_lost_s = e->ended_at_s;
    e->doubt_back_s = now_s;
}

static struct ka_entry *get(struct keepalive *ka, const struct ka_who *who, int64_t now_s)
{
    bool is_new;
    struct ka_entry *e = ka_table_get(ka->table, who->client, who->net.key, &is_new);
    if (e == NULL) return NULL;
    if (is_new) {
        ka_state_init(&e->state, &ka->conf.learn, ka_prior_get(ka->prior, &who->net, now_s));
        e->in_force_s = who->asked_s;
    }
    ka_state_mend(&e->state, &ka->conf.learn); /* it may be of before a reload */
    e->used_at_s = now_s;
    return e;
}

/* Where nothing is ever raised, an interval that is as short as any stays what it is. */
static bool learns(const struct keepalive *ka, const struct ka_who *who)
{
    if (who->mode == KA_LEARN) return who->asked_s > 0;
    return who->mode != KA_OFF && who->asked_s > ka->conf.learn.min_s;
}

/* Elsewhere now: what ended there is no evidence any more. */
static void forget_elsewhere(struct keepalive *ka, const struct ka_who *who)
{
    for (struct ka_entry *e = ka_table_first(ka->table, who->client); e != NULL; e = e->next) {
        if (e->net == who->net.key) continue;
        e->end.how = KA_END_NONE;
        e->is_connected = false;
    }
}

static void judge_return(struct keepalive *ka, struct ka_entry *e, const struct ka_who *who, int64_t now_s)
{
    int64_t away_s = now_s - e->ended_at_s;
    struct ka_end end = e->end;
    e->end.how = KA_END_NONE;
    if (end.how == KA_END_NONE || away_s < 0 || away_s > UINT32_MAX) return;
    struct ka_event event = ka_judge_return(&end, e->in_force_s, (uint32_t)away_s);
    take(ka, e, who, &event, now_s);
}

uint16_t keepalive_connected(struct keepalive *ka, const struct ka_who *who, int64_t now_s)
{
    ka_outages_connected(&ka->outages);
    if (!learns(ka, who)) return who->asked_s;

    struct ka_entry *e =
        who->mode == KA_CAP ? ka_table_find(ka->table, who->client, who->net.key) : get(ka, who, now_s);
    forget_elsewhere(ka, who);
    if (e == NULL) return who->asked_s;
    if (who->mode == KA_CAP) e = get(ka, who, now_s);
    settle_doubt(ka, e, who, now_s);
    judge_return(ka, e, who, now_s);
    set_terms(ka, e, who, now_s);
    e->is_connected = true;
    e->in_force_s = grant(ka, e);
    return e->in_force_s;
}

uint16_t keepalive_gap_min_s(const struct keepalive *ka)
{
    return (uint16_t)(ka->conf.learn.min_s * 9 / 10);
}

uint16_t keepalive_heard(struct keepalive *ka, const struct ka_who *who, enum ka_sign sign, uint32_t gap_s,
                         int64_t now_s)
{
    if (!learns(ka, who)) return who->asked_s;
    struct ka_entry *e = ka_table_find(ka->table, who->client, who->net.key);
    struct ka_event event = ka_judge_sign(sign, gap_s, e != NULL ? e->in_force_s : who->asked_s);

    if (e == NULL || !e->is_connected) {
        count(ka, &event);
        ka_prior_note(ka->prior, &who->net, who->client, &event, now_s);
        return who->asked_s;
    }
    settle_doubt(ka, e, who, now_s);
    set_terms(ka, e, who, now_s);
    take(ka, e, who, &event, now_s);
    return grant(ka, e);
}

uint16_t keepalive_renew(struct keepalive *ka, const struct ka_who *who)
{
    struct ka_entry *e = learns(ka, who) ? ka_table_find(ka->table, who->client, who->net.key) : NULL;
    if (e == NULL || !e->is_connected) return who->asked_s;
    e->in_force_s = grant(ka, e);
    return e->in_force_s;
}

/* Can this end be evidence, once the client is back? Else, with KA_CAP, nothing is remembered of it. */
static bool may_tell(const struct ka_who *who, const struct ka_end *end)
{
    if (end->how == KA_END_TAKEN_OVER) return ka_judge_return(end, who->asked_s, 0).kind != KA_NEUTRAL;
    return end->how == KA_END_TIMED_OUT || end->how == KA_END_SILENT ||
           ka_judge_end(end, who->asked_s).kind != KA_NEUTRAL;
}

void keepalive_ended(struct keepalive *ka, const struct ka_who *who, const struct ka_end *end, int64_t now_s)
{
    ka->counts.outages += ka_outages_ended(&ka->outages, &ka->conf.learn, end->how, now_s);
    if (!learns(ka, who)) return;
    struct ka_entry *e = ka_table_find(ka->table, who->client, who->net.key);
    if (e == NULL && who->mode == KA_CAP && may_tell(who, end)) {
        e = get(ka, who, now_s);
        if (e != NULL) set_terms(ka, e, who, now_s);
    }
    if (e == NULL) return;

    settle_doubt(ka, e, who, now_s);
    struct ka_event event = ka_judge_end(end, e->in_force_s);
    e->is_connected = false;
    e->ended_at_s = now_s;
    e->end = *end;
    if (event.kind == KA_NEUTRAL) return;
    e->end.how = KA_END_NONE;
    take(ka, e, who, &event, now_s);
}

void keepalive_excused(struct keepalive *ka, const struct ka_who *who)
{
    struct ka_entry *e = ka_table_find(ka->table, who->client, who->net.key);
    if (e != NULL && !e->is_connected && e->end.how == KA_END_SILENT) e->end.how = KA_END_OURS;
}

bool keepalive_restore(struct keepalive *ka, uint64_t client, uint64_t net, const struct ka_state *state)
{
    bool is_new;
    struct ka_entry *e = ka_table_get(ka->table, client, net, &is_new);
    if (e == NULL || !is_new) return false;
    e->state = *state;
    e->terms = (struct ka_terms){ UINT16_MAX, KA_LEARN, 0 };
    ka_state_mend(&e->state, &ka->conf.learn);
    classify(ka, e);
    return true;
}

const struct ka_entry *keepalive_next_dirty(struct keepalive *ka)
{
    return ka_table_next_dirty(ka->table);
}

const struct ka_entry *keepalive_first(struct keepalive *ka, uint64_t client)
{
    return ka_table_first(ka->table, client);
}

uint16_t keepalive_settled(const struct keepalive *ka, const struct ka_entry *e)
{
    return ka_settled(&e->state, &ka->conf.learn, &e->terms);
}

const struct keepalive_counts *keepalive_counts(const struct keepalive *ka)
{
    return &ka->counts;
}

void keepalive_count(const struct keepalive *ka, struct keepalive_counts *out)
{
    *out = ka->counts;
    out->entries = ka_table_count(ka->table);
    for (unsigned i = 0; i < KEEPALIVE_CLASSES; i++) out->settled[i] = ka_table_count_of_class(ka->table, i);
}
