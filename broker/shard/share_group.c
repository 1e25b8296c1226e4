/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "shard/shard_int.h"
#include "topic/topic.h"
#include <stdlib.h>

/*
 * A group begins with its first member and ends with its last. It is durable from its first persistent member
 * with QoS 1 or 2 on, until it ends:
 *
 *   JOIN -> volatile -> (a persistent member) GROUP submitted -> GROUP durable -> durable
 *    `---------------------------------------^
 *
 * Its entry in the index that says so may stand only when the queue is there, or messages would go to
 * nowhere. A group that was volatile before keeps its other entry: whoever publishes has seen either the old
 * state or the new one, and the message says which.
 */

void shares_init(struct shares *s)
{
    map_init(&s->by_text);
    map_init(&s->by_no);
    map_init(&s->members);
    list_init(&s->dirty);
    list_init(&s->ended);
}

static struct bytes text_of(const struct share_group *g)
{
    return bytes_of(g->text, g->text_bytes);
}

static bool is_text(const void *item, const void *key)
{
    return bytes_equal(text_of(item), *(const struct bytes *)key);
}

static bool is_no(const void *item, const void *key)
{
    const struct share_group *g = item;
    return g->group_no == *(const uint64_t *)key;
}

static bool is_member_of(const void *item, const void *key)
{
    const struct share_member *m = item;
    return m->who == key;
}

static struct share_group *group_of(struct share *s)
{
    return CONTAINER(s, struct share_group, share);
}

static uint64_t text_hash(const struct shard *sh, struct bytes text)
{
    return bytes_hash(text, sh->all->seed);
}

static uint64_t who_hash(const struct membership *ms)
{
    return map_hash_u64((uint64_t)(uintptr_t)ms);
}

struct share_group *group_find_no(struct shard *sh, uint64_t group_no)
{
    return map_get(&sh->shares.by_no, map_hash_u64(group_no), is_no, &group_no);
}

/* --- birth and death */

static struct share_group *group_new(struct shard *sh, struct bytes text)
{
    uint64_t bytes_max = sh->config->max_queued_bytes;
    struct share_conf conf = {
        .may = share_reader_may,
        .queue_messages_max = sh->config->max_queued_messages,
        .queue_bytes_max =
            bytes_max == 0 || bytes_max > CLEAN_QUEUE_BYTES_MAX ? CLEAN_QUEUE_BYTES_MAX : bytes_max,
    };
    struct share_group *g = calloc(1, sizeof *g + text.len);
    if (g == NULL) return NULL;
    share_init(&g->share, &conf);
    list_init(&g->pending);
    list_init(&g->of_dirty);
    g->shard = sh;
    g->text_bytes = (uint16_t)text.len;
    memcpy(g->text, text.at, text.len);
    g->direct.session = g->durable.session = g;
    if (map_put(&sh->shares.by_text, text_hash(sh, text), g) != ERR_OK) {
        free(g);
        return NULL;
    }
    log_event(sh->log, EVENT_SHARE_STARTED, LOG_TEXT("group", text));
    return g;
}

static void leave_index(struct shard *sh, struct share_group *g)
{
    if (g->is_direct) subs_remove(sh->all->subs, sh->index, &g->direct);
    if (g->is_indexed_durable) subs_remove(sh->all->subs, sh->index, &g->durable);
    g->is_direct = g->is_indexed_durable = false;
}

static void group_free(struct share_group *g)
{
    list_remove(&g->of_dirty);
    while (!list_empty(&g->pending)) {
        struct share_note *n = CONTAINER(g->pending.next, struct share_note, of_group);
        list_remove(&n->of_group);
        free(n);
    }
    share_fini(&g->share);
    free(g);
}

/* What was given comes home first, and commands that name it complete. */
void group_free_if_over(struct share_group *g)
{
    if (g->has_ended && g->share.out == 0 && g->commands == 0) group_free(g);
}

static void answer(struct shard *sh, struct share_note *n, enum mqtt_rc code)
{
    n->code = (uint8_t)code;
    shard_post(sh, n->from, &n->mail, MAIL_SHARE_ANSWER);
}

static void answer_pending(struct shard *sh, struct share_group *g, enum mqtt_rc code)
{
    while (!list_empty(&g->pending)) {
        struct share_note *n = CONTAINER(g->pending.next, struct share_note, of_group);
        list_remove(&n->of_group);
        answer(sh, n, code);
    }
}

static struct command *new_command(const struct share_group *g, enum command_kind kind, struct bytes data)
{
    struct command_size size = { .data = data };
    struct command *c = command_new(kind, &size);
    if (c != NULL) c->session_no = g->group_no;
    return c;
}

static void group_end(struct shard *sh, struct share_group *g)
{
    struct bytes text = text_of(g);
    uint64_t group_no = g->group_no;
    log_event(sh->log, EVENT_SHARE_ENDED, LOG_TEXT("group", text));
    leave_index(sh, g);
    map_take(&sh->shares.by_text, text_hash(sh, text), is_text, &text);
    if (group_no != 0) map_take(&sh->shares.by_no, map_hash_u64(group_no), is_no, &group_no);
    if (group_no != 0 && !sh->closing) {
        struct command *end = new_command(g, COMMAND_END_SESSION, bytes_of(NULL, 0));
        CHECK(end != NULL); /* small and fixed; without it the store would keep what nobody can reach */
        journal_put(sh, end);
    }
    answer_pending(sh, g, MQTT_RC_QUOTA_EXCEEDED); /* their members have left: nobody listens */
    g->has_ended = true;
    list_remove(&g->of_dirty);
    list_add(&sh->shares.ended, &g->of_dirty);
    group_free_if_over(g);
}

void shares_fini(struct shard *sh)
{
    struct shares *s = &sh->shares;
    size_t at = 0;
    for (struct share_member *m = map_next(&s->members, &at); m != NULL; m = map_next(&s->members, &at))
        share_member_set_reader(m, &(struct share_reader *){ NULL });
    at = 0;
    for (struct share_group *g = map_next(&s->by_text, &at); g != NULL; g = map_next(&s->by_text, &at)) {
        leave_index(sh, g);
        group_free(g);
    }
    while (!list_empty(&s->ended)) group_free(CONTAINER(s->ended.next, struct share_group, of_dirty));
    map_fini(&s->by_text);
    map_fini(&s->by_no);
    map_fini(&s->members);
    free(s->hit);
}

/* --- the index */

static enum err index_entry(struct shard *sh, struct share_group *g, struct sub *sub, bool *is_there)
{
    struct bytes name, filter;
    struct sub_options options = { .qos = share_qos(&g->share),
                                   .retain_as_published = true,
                                   .is_group = true };
    if (*is_there && sub->options.qos == options.qos) return ERR_OK;
    if (*is_there) return subs_change(sh->all->subs, sh->index, sub, options);
    topic_share_split(text_of(g), &name, &filter);
    sub->options = options;
    enum err rc = subs_add(sh->all->subs, sh->index, filter, sub);
    *is_there = rc == ERR_OK;
    return rc;
}

/* What stands there says the highest QoS of the members, and where messages go. */
static enum err index_group(struct shard *sh, struct share_group *g)
{
    enum err rc = ERR_OK;
    if (g->share.is_durable) {
        g->durable.durable_no = g->group_no;
        rc = index_entry(sh, g, &g->durable, &g->is_indexed_durable);
    }
    if (rc == ERR_OK && (!g->share.is_durable || g->is_direct))
        rc = index_entry(sh, g, &g->direct, &g->is_direct);
    return rc;
}

/* --- volatile to durable */

static bool make_durable(struct shard *sh, struct share_group *g)
{
    uint64_t group_no = ++sh->sessions_minted * SHARDS_MAX + sh->index;
    g->group_no = group_no;
    struct command *c = new_command(g, COMMAND_GROUP, text_of(g));
    enum err rc = c == NULL ? ERR_NOMEM : map_put(&sh->shares.by_no, map_hash_u64(group_no), g);
    if (rc != ERR_OK) {
        command_unref(&c);
        g->group_no = 0;
        return false;
    }
    c->job = g;
    g->commands++;
    g->is_making = true;
    journal_put(sh, c);
    return true;
}

void group_made(struct shard *sh, struct command *c)
{
    struct share_group *g = c->job;
    enum mqtt_rc code = MQTT_RC_OK;
    g->commands--;
    if (g->has_ended) {
        group_free_if_over(g);
        return;
    }
    g->is_making = false;
    if (c->result == COMMAND_DURABLE) {
        share_make_durable(&g->share);
        if (index_group(sh, g) != ERR_OK) code = MQTT_RC_QUOTA_EXCEEDED;
    } else {
        map_take(&sh->shares.by_no, map_hash_u64(g->group_no), is_no, &g->group_no);
        g->group_no = 0;
        code = MQTT_RC_QUOTA_EXCEEDED;
    }
    answer_pending(sh, g, code); /* those who are refused leave */
    group_mark(sh, g);
}

/* --- members */

static struct share_group *find_or_make(struct shard *sh, struct bytes text)
{
    struct share_group *g = map_get(&sh->shares.by_text, text_hash(sh, text), is_text, &text);
    return g != NULL ? g : group_new(sh, text);
}

static enum err enter(struct shard *sh, struct share_group *g, struct membership *ms,
                      const struct share_terms *terms, struct share_member **out)
{
    *out = map_get(&sh->shares.members, who_hash(ms), is_member_of, ms);
    if (*out != NULL) {
        share_change(*out, terms);
        return ERR_OK;
    }
    enum err rc = share_join(&g->share, out, ms, terms);
    if (rc == ERR_OK) rc = map_put(&sh->shares.members, who_hash(ms), *out);
    if (rc != ERR_OK && *out != NULL) share_leave(*out);
    return rc;
}

static void join(struct shard *sh, struct share_note *n)
{
    struct share_member *m;
    struct share_group *g = find_or_make(sh, membership_text(n->membership));
    enum err rc = g == NULL ? ERR_NOMEM : enter(sh, g, n->membership, &n->terms, &m);
    bool must_make = rc == ERR_OK && share_wants_durable(&g->share) && g->group_no == 0;
    if (must_make && (sh->closing || !make_durable(sh, g))) rc = ERR_FULL;
    if (rc == ERR_OK && n->reader != NULL) share_member_set_reader(m, &n->reader);
    if (rc == ERR_OK) share_credit(m, n->credit);
    share_reader_unref(&n->reader);
    if (rc == ERR_OK && g->is_making) {
        list_add(&g->pending, &n->of_group);
        return;
    }
    if (rc == ERR_OK) rc = index_group(sh, g);
    if (rc == ERR_OK) group_mark(sh, g);
    if (rc != ERR_OK && g != NULL && g->share.members_count == 0) group_end(sh, g);
    answer(sh, n, rc == ERR_OK ? MQTT_RC_OK : MQTT_RC_QUOTA_EXCEEDED);
}

/* Its own JOINs first: it frees the membership when it hears that it has left. */
static void answer_leaver(struct shard *sh, struct share_group *g, const struct membership *ms)
{
    struct list *next;
    for (struct list *at = g->pending.next; at != &g->pending; at = next) {
        struct share_note *n = CONTAINER(at, struct share_note, of_group);
        next = at->next;
        if (n->membership != ms) continue;
        list_remove(&n->of_group);
        answer(sh, n, MQTT_RC_OK);
    }
}

static void leave(struct shard *sh, struct share_note *n)
{
    struct membership *ms = n->membership;
    struct share_member *m = map_take(&sh->shares.members, who_hash(ms), is_member_of, ms);
    struct share_group *g = m == NULL ? NULL : group_of(m->share);
    if (g != NULL) answer_leaver(sh, g, ms);
    if (m != NULL) share_member_set_reader(m, &(struct share_reader *){ NULL });
    if (m != NULL) share_leave(m);
    answer(sh, n, MQTT_RC_OK); /* behind all that was given to it */
    if (g == NULL) return;
    if (g->share.members_count == 0) {
        group_end(sh, g);
        return;
    }
    index_group(sh, g); /* without memory it goes on saying a QoS that nobody has: no harm */
    group_mark(sh, g);  /* what has waited for it alone waits no more */
}

static void set_credit(struct shard *sh, struct share_note *n)
{
    struct membership *ms = n->membership;
    struct share_member *m = map_get(&sh->shares.members, who_hash(ms), is_member_of, ms);
    uint32_t credit = n->credit;
    /* Of one that goes away it is kept: what only that one may read waits. */
    if (m != NULL && n->reader != NULL) share_member_set_reader(m, &n->reader);
    share_reader_unref(&n->reader);
    free(n);
    if (m == NULL) return; /* its JOIN was refused */
    share_credit(m, credit);
    group_mark(sh, group_of(m->share));
}

void share_mail_note(struct shard *sh, struct mail *mail)
{
    struct share_note *n = CONTAINER(mail, struct share_note, mail);
    switch (n->kind) {
    case NOTE_JOIN: join(sh, n); break;
    case NOTE_CREDIT: set_credit(sh, n); break;
    case NOTE_LEAVE: leave(sh, n); break;
    }
}

/* --- boot */

enum err group_restore(struct shard *sh, uint64_t group_no, struct bytes text)
{
    struct share_group *g = find_or_make(sh, text);
    if (g == NULL) return ERR_NOMEM;
    g->group_no = group_no;
    g->share.was_before = true;
    share_make_durable(&g->share);
    return map_put(&sh->shares.by_no, map_hash_u64(group_no), g);
}

enum err group_restore_member(struct shard *sh, struct membership *ms, const struct share_terms *terms)
{
    struct share_member *m;
    struct share_group *g = find_or_make(sh, membership_text(ms));
    enum err rc = g == NULL ? ERR_NOMEM : enter(sh, g, ms, terms, &m);
    if (rc != ERR_OK) return rc;
    epoch_online(sh->all->epoch, sh->index);
    rc = index_group(sh, g);
    epoch_offline(sh->all->epoch, sh->index);
    return rc;
}

static struct share_group *next_empty(struct shard *sh)
{
    size_t at = 0;
    struct map *groups = &sh->shares.by_text;
    for (struct share_group *g = map_next(groups, &at); g != NULL; g = map_next(groups, &at))
        if (g->share.members_count == 0) return g;
    return NULL;
}

void groups_start(struct shard *sh)
{
    struct map *groups = &sh->shares.by_text;
    size_t at = 0;
    for (struct share_group *g = next_empty(sh); g != NULL; g = next_empty(sh)) group_end(sh, g);
    for (struct share_group *g = map_next(groups, &at); g != NULL; g = map_next(groups, &at)) {
        bool is_made = g->group_no != 0 || !share_wants_durable(&g->share) || make_durable(sh, g);
        CHECK(is_made); /* start-up */
    }
}
