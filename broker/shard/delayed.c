/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/delayed.h"
#include "base/failpoint.h"
#include "shard/due.h"
#include "shard/route.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * The queue is in the order of publishing, and is read in the order of what is due: a page begins at the
 * first message that is due. What was published with the same delay lies there in the same order, and the
 * page is as long as that has been true of late: long pages for a stream of equal delays, short ones when
 * most of what a page brings would not be due yet.
 */

struct delayed {
    struct gauge count;  /* of all shards */
    struct gauge places; /* so many may be admitted: there is room in `due` for each of them */
    struct due due;      /* all but what is being read or moved; there is always room for these, too */
    struct due_entry asked;
    bool is_reading;
    uint32_t limit; /* of the next page */
    uint32_t moves_count;
    size_t moves_bytes;
    struct store_page page;
};

enum { AGAIN_MS = 1000 };

enum err delayed_new(struct delayed **out, uint32_t messages_max)
{
    struct delayed *d = calloc(1, sizeof *d);
    enum err rc = d == NULL ? ERR_NOMEM : due_reserve(&d->due, messages_max);
    *out = d;
    if (rc != ERR_OK) delayed_free(out);
    if (rc != ERR_OK) return rc;
    gauge_set(&d->places, messages_max);
    d->limit = 1;
    return ERR_OK;
}

void delayed_free(struct delayed **owner)
{
    struct delayed *d = *owner;
    *owner = NULL;
    if (d == NULL) return;
    due_fini(&d->due);
    free(d);
}

void delayed_reload(struct shard *sh)
{
    struct delayed *d = sh->delayed;
    uint32_t most = sh->config->max_delayed_messages;
    if (due_reserve(&d->due, most) == ERR_OK)
        gauge_set(&d->places, most);
    else
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_STR("for", "max_delayed_messages"));
}

/* Another shard may have heard of a new limit before shard 0 has made room for it. */
bool delayed_admit(struct shard *sh)
{
    struct delayed *d = sh->all->at[0]->delayed;
    uint32_t places = gauge_count(&d->places), most = sh->config->max_delayed_messages;
    if (!gauge_take(&d->count, most < places ? most : places)) return false;
    metrics_add(sh->metrics, METRIC_delayed_messages, 1);
    return true;
}

void delayed_dismiss(struct shard *sh)
{
    gauge_give(&sh->all->at[0]->delayed->count);
    metrics_sub(sh->metrics, METRIC_delayed_messages, 1);
}

static bool is_busy(const struct delayed *d)
{
    return d->is_reading || d->moves_count >= DELAYED_MOVES_MAX || d->moves_bytes >= DELAYED_MOVES_BYTES_MAX;
}

static void ask(struct shard *sh, struct delayed *d)
{
    struct store_page *p = &d->page;
    d->asked = due_take(&d->due);
    d->is_reading = true;
    p->answer.kind = MAIL_DELAYED_PAGE;
    p->shard = (uint16_t)sh->index;
    p->session_no = DELAYED_QUEUE;
    p->after = d->asked.seq - 1;
    p->limit = d->limit;
    p->count = 0;
    store_page(&sh->all->store, p);
}

/* Asks for what is due, or sets the alarm for what will be. */
static void go_on(struct shard *sh)
{
    struct delayed *d = sh->delayed;
    const struct due_entry *first = due_first(&d->due);
    sh->alarm_ms[ALARM_DELAYED] = 0;
    if (first == NULL || is_busy(d) || sh->closing) return; /* whatever it is, its end comes here */
    if (first->due > sh->wall_ms)
        sh->alarm_ms[ALARM_DELAYED] = sh->now_ms + (first->due - sh->wall_ms);
    else
        ask(sh, d);
}

void delayed_alarm(struct shard *sh)
{
    go_on(sh);
}

void delayed_add(struct shard *sh, uint64_t seq, uint64_t due_ms)
{
    due_put(&sh->delayed->due, (struct due_entry){ due_ms, seq });
    go_on(sh);
}

enum err delayed_restore(struct shards *all, uint64_t seq, uint64_t due_ms)
{
    struct shard *sh = all->at[0];
    struct due *due = &sh->delayed->due;
    enum err rc = due->count < due->room ? ERR_OK : due_reserve(due, due->room + due->room / 2 + 64);
    if (rc != ERR_OK) return rc;
    due_put(due, (struct due_entry){ due_ms, seq });
    gauge_take(&sh->delayed->count, UINT32_MAX);
    metrics_add(sh->metrics, METRIC_delayed_messages, 1);
    sh->alarm_ms[ALARM_DELAYED] = 1; /* the first turn */
    return ERR_OK;
}

/* --- what is due */

static void lost(struct shard *sh)
{
    log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", "not in the store"), LOG_STR("kind", "delayed"));
    delayed_dismiss(sh);
}

static void move(struct shard *sh, struct due_entry e, struct msg *m)
{
    struct delayed *d = sh->delayed;
    bool is_expired = m->expires_ms != 0 && m->expires_ms <= sh->wall_ms;
    if (!route_delayed(sh, m, e.seq, !is_expired)) {
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_STR("for", "a delayed message"));
        due_put(&d->due, (struct due_entry){ sh->wall_ms + AGAIN_MS, e.seq });
        return;
    }
    if (is_expired) metrics_add(sh->metrics, METRIC_publish_expired_total, 1);
    d->moves_count++;
    d->moves_bytes += msg_bytes(m);
}

/* In the order of what is due; rows that are not due are left. Gives how many were. */
static uint32_t move_rows(struct shard *sh, struct delayed *d)
{
    const struct store_page *p = &d->page;
    bool is_there = p->count > 0 && p->rows[0].seq == d->asked.seq;
    uint32_t moved = is_there;
    failpoint(FAIL_delayed_read);
    if (is_there)
        move(sh, d->asked, p->rows[0].msg);
    else
        lost(sh);
    for (uint32_t i = moved; i < p->count && !is_busy(d); i++) {
        const struct due_entry *first = due_first(&d->due);
        if (first == NULL || first->due > sh->wall_ms) break;
        if (first->seq != p->rows[i].seq) continue;
        move(sh, due_take(&d->due), p->rows[i].msg);
        moved++;
    }
    return moved;
}

static void choose_limit(struct delayed *d, uint32_t moved)
{
    if (moved == d->limit)
        d->limit = d->limit * 2 < PAGE_ENTRIES_MAX ? d->limit * 2 : PAGE_ENTRIES_MAX;
    else if (moved < d->limit / 2)
        d->limit /= 2;
}

void delayed_mail_page(struct shard *sh, struct mail *m)
{
    struct delayed *d = sh->delayed;
    struct store_page *p = CONTAINER(m, struct store_page, answer);
    d->is_reading = false;
    if (sh->closing) /* the next process will do it */
        due_put(&d->due, d->asked);
    else
        choose_limit(d, move_rows(sh, d));
    for (uint32_t i = 0; i < p->count; i++) msg_unref(&p->rows[i].msg);
    p->count = 0;
    go_on(sh);
}

void delayed_moved(struct shard *sh, const struct command *cmd)
{
    struct delayed *d = sh->delayed;
    d->moves_count--;
    d->moves_bytes -= msg_bytes(cmd->msg);
    if (cmd->result == COMMAND_DURABLE) {
        delayed_dismiss(sh);
    } else {
        /* Stale: all who should have had it are gone, and others may want it. Refused: no room. */
        uint64_t wait_ms = cmd->result == COMMAND_REFUSED ? AGAIN_MS : 0;
        due_put(&d->due, (struct due_entry){ sh->wall_ms + wait_ms, cmd->version });
    }
    go_on(sh);
}
