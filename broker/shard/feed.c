/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/hooked.h"
#include "shard/qos2.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/* From a session to its client as fast as the window allows, from the store to the session as fast as the
 * client acknowledges, and what it has acknowledged or received back to the journal once a turn. */

enum { PAGE_ENTRIES_HIGH = 16 }; /* above memory_limit */

static void ask_page(struct shard *sh, struct session *s)
{
    struct store_page *p = malloc(sizeof *p);
    if (p == NULL) return; /* the next acknowledgement or message asks again */
    p->answer.kind = MAIL_PAGE;
    p->shard = (uint16_t)sh->index;
    p->session_no = s->session_no;
    p->claim_no = s->claim_no;
    p->after = session_kept(s)->fed;
    p->limit = sh->memory.is_high ? PAGE_ENTRIES_HIGH : PAGE_ENTRIES_MAX;
    session_reading(s);
    store_page(&sh->all->store, p);
}

/* From its own queue. False: nothing is there to be sent now. */
static bool send_next(struct shard *sh, struct session *s, bool *skipped)
{
    struct session_send n;
    if (!session_next(s, &n)) return false;
    if (n.is_release) {
        conn_send_ack(sh, s->conn, PACKET_PUBREL, n.id, MQTT_RC_OK);
        return true;
    }
    struct conn_publish p = { .msg = n.msg, .id = n.id, .qos = n.qos, .dup = n.dup, .retain = n.retain };
    bool is_sent = !n.is_void && conn_send_publish(sh, s->conn, &p);
    const struct conn *c = s->conn;
    bool is_done = n.qos == 0 && !c->doomed; /* no answer will come */
    if (!is_sent || is_done) session_skip(s, &n);
    *skipped |= !is_sent;
    return true;
}

/* Is there anything that session_next, or session_shared_next, might give? */
static bool has_output(const struct session *s)
{
    return s->sent != s->tail || s->exact != NULL || !list_empty(&s->shared->waiting);
}

/* In turn, so that neither its own queue nor its groups keep the window for themselves. */
static void pump(struct shard *sh, struct session *s)
{
    struct conn *c = s->conn;
    bool skipped = false;
    for (bool more = true; more && has_output(s) && conn_output_bytes(c) < memory_window_max(sh);) {
        more = shares_send(sh, s);
        more |= send_next(sh, s, &skipped);
    }
    if (skipped && session_has_jobs(s)) conn_mark_dirty(sh, c); /* there is room, and the flush tells them */
    if (conn_output_bytes(c) >= memory_window_max(sh)) c->blocked = true; /* flushed first, then on */
}

/* Each message comes by here when it is offered and when it is acknowledged: mostly there is one to send, or
 * none. */
void feed_pump(struct shard *sh, struct session *s)
{
    const struct conn *c = s->conn;
    if (c == NULL || c->state != CONN_OPEN) return;
    if (has_output(s)) pump(sh, s);
    shares_send_home(sh, s);
    if (!s->persistent) return;
    feed_note(sh, s);
    bool has_enough = sh->memory.is_high && s->tail != s->sent;
    if (session_wants_page(s) && !has_enough) ask_page(sh, s);
}

void feed_mail_page(struct shard *sh, struct mail *m)
{
    struct store_page *p = CONTAINER(m, struct store_page, answer);
    struct session *s = sessions_find_no(sh, p->session_no);
    /* Asked for by an earlier connection: the present one has asked for its own. */
    if (s != NULL && s->conn != NULL && s->claim_no == p->claim_no) {
        session_page(s, p);
        feed_pump(sh, s);
    }
    for (uint32_t i = 0; i < p->count; i++) msg_unref(&p->rows[i].msg);
    free(p);
}

void feed_note(struct shard *sh, struct session *s)
{
    bool has_word = s->acks_dirty || session_unrecorded(s) > 0 || session_wants_settled(s);
    if (!has_word || s->acking) return;
    s->acking = true;
    session_kept_own(s)->next_acking = sh->acking;
    sh->acking = s;
}

static void put_acks(struct shard *sh, struct session *s)
{
    uint64_t cursor;
    /* Counted, not s->unacked: what an earlier connection left open is still to be sent again. */
    struct command_size size = { .open = session_ack_state(s, &cursor, NULL, 0) };
    struct command *c = command_new(COMMAND_ACK, &size);
    if (c == NULL) {
        s->acks_dirty = true; /* lazy: after a crash it is sent again */
        return;
    }
    c->ack.open_count = session_ack_state(s, &c->ack.cursor, c->ack.open, size.open);
    c->session_no = s->session_no;
    c->claim_no = s->claim_no;
    journal_put(sh, c);
}

void feed_turn(struct shard *sh)
{
    while (sh->acking != NULL) {
        struct session *s = sh->acking;
        sh->acking = session_kept(s)->next_acking;
        s->acking = false;
        if (s->acks_dirty) put_acks(sh, s);
        qos2_put_received(sh, s);
    }
}
