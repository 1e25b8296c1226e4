/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/failpoint.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/* Messages of groups: from the index and the journal into them, from their queues in pages, out to their
 * members once a turn, and acknowledgements back to the journal. */

void group_mark(struct shard *sh, struct share_group *g)
{
    if (list_empty(&g->of_dirty)) list_add(&sh->shares.dirty, &g->of_dirty);
}

static struct bytes text_of(const struct share_group *g)
{
    return bytes_of(g->text, g->text_bytes);
}

/* --- in */

bool shares_note_target(struct shard *sh, uint64_t group_no)
{
    struct shares *s = &sh->shares;
    if (s->hit_count == s->hit_room) {
        uint32_t room = s->hit_room == 0 ? 16 : s->hit_room * 2;
        uint64_t *grown = realloc(s->hit, room * sizeof *grown);
        if (grown == NULL) return false;
        s->hit = grown;
        s->hit_room = room;
    }
    s->hit[s->hit_count++] = group_no;
    return true;
}

/* Has its publisher seen that the group is durable, so that the message goes into its queue? */
static bool is_queued(const struct share_group *g, const struct msg *m, const struct command_seat *seat)
{
    if (g->group_no == 0) return false;
    if (seat == NULL) return msg_has_group(m, g->group_no);
    const struct command_target *t = seat->command->targets + seat->first;
    for (uint32_t i = 0; i < seat->count; i++)
        if (t[i].session_no == g->group_no) return true;
    return false;
}

static void note_dropped(struct shard *sh, struct share_group *g, uint32_t count)
{
    g->dropped += count;
    metrics_add(sh->metrics, METRIC_publish_dropped_queue_full_total, count);
    log_event(sh->log, EVENT_SESSION_QUEUE_FULL, LOG_TEXT("group", text_of(g)),
              LOG_NUM("dropped", g->dropped));
}

/* Nobody of its members who is on line may read them. */
static void note_denied(struct shard *sh, uint64_t count)
{
    if (count > 0) metrics_add(sh->metrics, METRIC_deliveries_denied_total, count);
}

static void give(struct shard *sh, struct share_entry *e)
{
    e->home = (uint16_t)sh->index;
    shard_post(sh, e->member->terms.shard, &e->mail, MAIL_SHARE_GIVE);
}

static void give_qos0(struct shard *sh, struct share_group *g, const struct share_row *row)
{
    uint64_t denied = g->share.denied;
    struct share_entry *e = share_next_qos0(&g->share, row);
    if (e != NULL)
        give(sh, e);
    else if (g->share.denied > denied)
        note_denied(sh, 1);
    else if (g->share.online_count > 0)
        metrics_add(sh->metrics, METRIC_publish_dropped_qos0_total, 1);
}

void shares_hit(struct shard *sh, struct share_group *g, struct msg *m, const struct command_seat *seat)
{
    struct share_row row = { m, 0, m->retain };
    if (g->matched == sh->matches) return; /* by its other entry */
    g->matched = sh->matches;
    if (m->qos > 0 && is_queued(g, m, seat)) return;
    if (m->qos == 0 || share_qos(&g->share) == 0) {
        give_qos0(sh, g, &row);
        return;
    }
    if (share_offer(&g->share, &row) != ERR_OK) note_dropped(sh, g, 1);
    group_mark(sh, g);
}

void shares_apply(struct shard *sh, const struct command *c, const struct command_target *t)
{
    struct share_group *g = group_find_no(sh, t->session_no);
    if (g == NULL) return;
    if (t->dropped > 0) note_dropped(sh, g, t->dropped);
    if (t->drop_upto > 0) share_drop_upto(&g->share, t->drop_upto);
    struct share_row row = { c->msg, c->position, t->retain };
    if (!t->is_skipped) share_offer(&g->share, &row);
    group_mark(sh, g); /* also when it is left to the store: somebody must ask for it */
}

/* --- out of the queue */

/* QoS 2 that must be nobody else's any more: into the member's own queue, or into none. */
static bool submit_move(struct shard *sh, struct share_group *g, struct share_entry *e)
{
    bool is_move = e->how == SHARE_MOVE;
    struct command_size size = { .targets = is_move, .seats = is_move };
    struct command *c = command_new(e->seq != 0 ? COMMAND_MOVE : COMMAND_ENQUEUE, &size);
    if (c == NULL) return false;
    c->session_no = e->seq != 0 ? g->group_no : 0;
    c->version = e->seq;
    c->is_kept = e->seq == 0;
    c->msg = msg_ref(e->msg);
    c->job = e;
    if (is_move) {
        const struct share_terms *to = &e->member->terms;
        c->targets[0] = (struct command_target){
            .session_no = to->session_no, .shard = to->shard, .qos = e->qos, .retain = e->retain
        };
        c->seats[0].shard = to->shard;
        c->seats[0].count = 1;
    }
    g->commands++;
    journal_put(sh, c);
    return true;
}

/* Its member has gone before it was sent: the group's queue has it again, as a new entry. */
static void submit_again(struct shard *sh, struct share_group *g, struct share_entry *e)
{
    struct command_size size = { .targets = 1, .seats = 1 };
    struct command *c = sh->is_settled || g->has_ended ? NULL : command_new(COMMAND_ENQUEUE, &size);
    if (c == NULL) {
        share_back(e); /* in RAM only */
        return;
    }
    e->how = SHARE_AGAIN;
    c->is_kept = true;
    c->job = e;
    c->msg = msg_ref(e->msg);
    c->targets[0] = (struct command_target){
        .session_no = g->group_no, .shard = (uint16_t)sh->index, .qos = e->msg->qos, .retain = e->is_retained
    };
    c->seats[0].shard = (uint16_t)sh->index;
    c->seats[0].count = 1;
    g->commands++;
    journal_put(sh, c);
}

static void moved(struct shard *sh, struct share_entry *e, const struct command *cmd)
{
    failpoint(FAIL_share_moved);
    if (cmd->targets[0].is_skipped) /* it had been in RAM only, and its member's session has ended */
        share_back(e);
    else if (share_moved(e, cmd->position))
        give(sh, e);
    else
        share_done(e);
}

static void taken(struct shard *sh, struct share_group *g, struct share_entry *e)
{
    if (share_taken(e))
        give(sh, e);
    else
        submit_again(sh, g, e);
}

/* It is not in the queue any more: a limit dropped it. Or its member's session is not there: it has ended, or
 * its CLAIM is still to come, for the JOIN may be faster than the journal. */
static void stale(struct share_entry *e, const struct command *cmd)
{
    if (cmd->targets_count > 0 && cmd->targets[0].is_skipped)
        share_back(e);
    else
        share_done(e);
}

void shares_done(struct shard *sh, struct command *cmd)
{
    struct share_entry *e = cmd->job;
    struct share_group *g = CONTAINER(e->member->share, struct share_group, share);
    g->commands--;
    switch (cmd->result) {
    case COMMAND_REFUSED: share_back(e); break;
    case COMMAND_STALE: stale(e, cmd); break;
    case COMMAND_DURABLE:
    case COMMAND_DUPLICATE:
        if (e->how == SHARE_MOVE)
            moved(sh, e, cmd);
        else if (e->how == SHARE_TAKE)
            taken(sh, g, e);
        else
            share_done(e);
        break;
    }
    if (g->has_ended)
        group_free_if_over(g);
    else if (cmd->result != COMMAND_REFUSED) /* else what comes next tries again */
        group_mark(sh, g);
}

/* --- pages and acknowledgements */

static void ask_page(struct shard *sh, struct share_group *g)
{
    struct store_page *p = malloc(sizeof *p);
    if (p == NULL) return; /* the next one that comes home asks again */
    p->answer.kind = MAIL_SHARE_PAGE;
    p->shard = (uint16_t)sh->index;
    p->session_no = g->group_no;
    p->claim_no = 0;
    p->after = g->share.fed;
    p->limit = PAGE_ENTRIES_MAX;
    share_reading(&g->share);
    store_page(&sh->all->store, p);
}

void share_mail_page(struct shard *sh, struct mail *mail)
{
    struct store_page *p = CONTAINER(mail, struct store_page, answer);
    struct share_group *g = group_find_no(sh, p->session_no);
    struct share_row rows[PAGE_ENTRIES_MAX];
    for (uint32_t i = 0; i < p->count; i++)
        rows[i] = (struct share_row){ p->rows[i].msg, p->rows[i].seq, p->rows[i].retain };
    if (g != NULL) {
        share_page(&g->share, rows, p->count, p->snapshot);
        group_mark(sh, g);
    }
    for (uint32_t i = 0; i < p->count; i++) msg_unref(&p->rows[i].msg);
    free(p);
}

static void put_acks(struct shard *sh, struct share_group *g)
{
    uint64_t cursor;
    struct command_size size = { .open = share_ack_state(&g->share, &cursor, NULL, 0) };
    struct command *c = command_new(COMMAND_ACK, &size);
    if (c == NULL) {
        g->share.acks_dirty = true; /* lazy: after a crash it is given again */
        return;
    }
    c->ack.open_count = share_ack_state(&g->share, &c->ack.cursor, c->ack.open, size.open);
    c->session_no = g->group_no;
    journal_put(sh, c);
}

static void refused(struct shard *sh, struct share_group *g, struct share_entry *e)
{
    uint64_t denied = g->share.denied;
    share_refused(e);
    note_denied(sh, g->share.denied - denied);
}

void share_mail_home(struct shard *sh, struct mail *mail)
{
    struct share_entry *e = CONTAINER(mail, struct share_entry, mail);
    struct share_group *g = CONTAINER(e->member->share, struct share_group, share);
    if (e->is_back && e->seq == 0 && g->share.is_durable && e->qos == 2) {
        submit_again(sh, g, e); /* it was taken out of the queue, and not sent */
    } else if (e->is_refused) {
        refused(sh, g, e);
    } else if (e->is_back) {
        share_back(e);
    } else {
        share_done(e);
    }
    if (g->has_ended)
        group_free_if_over(g);
    else
        group_mark(sh, g);
}

/* --- out */

static void hand_out(struct shard *sh, struct share_group *g)
{
    uint64_t denied = g->share.denied;
    for (struct share_entry *e = share_next(&g->share); e != NULL; e = share_next(&g->share)) {
        if (e->how == SHARE_GIVE) {
            give(sh, e);
        } else if (!submit_move(sh, g, e)) {
            share_back(e); /* something that comes later tries again */
            break;
        }
    }
    note_denied(sh, g->share.denied - denied);
    if (share_wants_page(&g->share)) ask_page(sh, g);
}

void shares_turn(struct shard *sh)
{
    struct list *dirty = &sh->shares.dirty;
    while (!list_empty(dirty)) {
        struct share_group *g = CONTAINER(dirty->next, struct share_group, of_dirty);
        list_remove(&g->of_dirty);
        if (!sh->closing) hand_out(sh, g);
        if (g->share.acks_dirty && !sh->is_settled) put_acks(sh, g);
    }
}

bool shares_are_home(const struct shard *sh)
{
    size_t at = 0;
    const struct map *groups = &sh->shares.by_text;
    if (!list_empty(&sh->shares.ended)) return false;
    for (const struct share_group *g = map_next(groups, &at); g != NULL; g = map_next(groups, &at))
        if (g->share.out > 0 || g->commands > 0) return false;
    return true;
}
