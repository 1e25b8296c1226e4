/* SPDX-License-Identifier: Apache-2.0 */
#include "session/shared.h"
#include "base/check.h"
#include "base/limits.h"
#include "session/session_int.h"
#include <stdlib.h>

enum step { STEP_SENT, STEP_RELEASED };

static struct share_entry *entry_at(struct list *l)
{
    return CONTAINER(l, struct share_entry, of_session);
}

/* A ring of its own. Nobody adds to it. */
#define RING(l)                                                                                              \
    .l = { (struct list *)(uintptr_t)&session_shared_none.l,                                                 \
           (struct list *)(uintptr_t)&session_shared_none.l }
const struct session_shared session_shared_none = { RING(sent), RING(waiting), RING(moved), RING(home) };

enum err session_shared_open(struct session *s)
{
    if (s->shared != &session_shared_none) return ERR_OK;
    struct session_shared *h = calloc(1, sizeof *h);
    if (h == NULL) return ERR_NOMEM;
    map_init(&h->members);
    list_init(&h->sent);
    list_init(&h->waiting);
    list_init(&h->moved);
    list_init(&h->home);
    s->shared = h;
    return ERR_OK;
}

void session_shared_fini(struct session *s)
{
    const struct session_shared *h = s->shared;
    CHECK(h->members.count == 0);
    CHECK(list_empty(&h->sent) && list_empty(&h->waiting) && list_empty(&h->moved) && list_empty(&h->home));
    if (h == &session_shared_none) return;
    map_fini(&session_shared_own(h)->members);
    free(session_shared_own(h));
    s->shared = &session_shared_none;
}

bool session_shared_has_id(uint16_t id)
{
    return id >= ID_SHARED_FIRST && id <= ID_SHARED_MAX;
}

void session_shared_give(struct session *s, struct share_entry *e)
{
    DCHECK(s->conn != NULL);
    list_add(&session_shared_own(s->shared)->waiting, &e->of_session);
}

static void go_home(struct session *s, struct share_entry *e)
{
    list_remove(&e->of_session);
    list_add(&session_shared_own(s->shared)->home, &e->of_session);
}

void session_shared_moved(struct session *s, struct share_entry *e)
{
    list_add(&session_shared_own(s->shared)->moved, &e->of_session);
    if (session_has_finished(s, e->moved_seq)) go_home(s, e);
}

void session_shared_finished(struct session *s, uint64_t seq)
{
    const struct list *moved = &s->shared->moved;
    for (struct list *at = moved->next; at != moved; at = at->next) {
        if (entry_at(at)->moved_seq != seq) continue;
        go_home(s, entry_at(at));
        return;
    }
}

/* What is in RAM is finished when its turn comes; the others were to be read, and will not be found. */
void session_shared_dropped(struct session *s, uint64_t upto)
{
    struct list *next;
    const struct list *moved = &s->shared->moved;
    for (struct list *at = moved->next; at != moved; at = next) {
        struct share_entry *e = entry_at(at);
        next = at->next;
        if (e->moved_seq <= upto && session_find_seq(s, e->moved_seq) == NULL) go_home(s, e);
    }
}

/* Those who acknowledge mostly do so in order: the search is short. */
static struct share_entry *find(const struct session *s, uint16_t id)
{
    for (struct list *at = s->shared->sent.next; at != &s->shared->sent; at = at->next)
        if (entry_at(at)->id == id) return entry_at(at);
    return NULL;
}

uint64_t session_shared_inflight_bytes(const struct session *s)
{
    uint64_t sum = 0;
    for (struct list *at = s->shared->sent.next; at != &s->shared->sent; at = at->next)
        sum += entry_at(at)->msg->payload_bytes;
    return sum;
}

/* The range is far larger than what is under way: one that is taken is met only by who never answers. */
static uint16_t next_id(struct session *s)
{
    uint16_t id = s->shared->last_id;
    do {
        id = id < ID_SHARED_FIRST || id == ID_SHARED_MAX ? ID_SHARED_FIRST : (uint16_t)(id + 1);
    } while (find(s, id) != NULL);
    session_shared_own(s->shared)->last_id = id;
    return id;
}

struct share_entry *session_shared_next(struct session *s)
{
    enum { SENT_MAX = (ID_SHARED_MAX - ID_SHARED_FIRST) / 2 };
    if (s->foreign > 0) return NULL; /* their ids may be any */
    if (list_empty(&s->shared->waiting) || session_is_full(s) || s->shared->sent_count >= SENT_MAX)
        return NULL;
    struct share_entry *e = entry_at(s->shared->waiting.next);
    e->id = next_id(s);
    e->step = STEP_SENT;
    list_remove(&e->of_session);
    list_add(&session_shared_own(s->shared)->sent, &e->of_session);
    session_shared_own(s->shared)->sent_count++;
    s->unacked++;
    return e;
}

static void finish(struct session *s, struct share_entry *e)
{
    s->unacked--;
    session_shared_own(s->shared)->sent_count--;
    go_home(s, e);
}

void session_shared_skip(struct session *s, struct share_entry *e)
{
    finish(s, e);
}

struct share_entry *session_shared_sent(const struct session *s, uint16_t id, const struct msg *m)
{
    struct share_entry *e = find(s, id);
    return e == NULL || e->msg != m || e->step != STEP_SENT ? NULL : e;
}

void session_shared_refuse(struct session *s, struct share_entry *e)
{
    e->is_back = e->is_refused = e->qos == 1;
    finish(s, e);
}

bool session_shared_puback(struct session *s, uint16_t id)
{
    struct share_entry *e = find(s, id);
    if (e == NULL || e->qos != 1) return false;
    finish(s, e);
    return true;
}

enum shared_reply session_shared_pubrec(struct session *s, uint16_t id, bool refused)
{
    struct share_entry *e = find(s, id);
    if (e == NULL || e->qos != 2) return SHARED_UNKNOWN;
    if (refused && e->step == STEP_SENT) {
        finish(s, e);
        return SHARED_DONE;
    }
    e->step = STEP_RELEASED;
    return SHARED_RELEASE;
}

enum shared_reply session_shared_pubcomp(struct session *s, uint16_t id)
{
    struct share_entry *e = find(s, id);
    if (e == NULL || e->qos != 2 || e->step != STEP_RELEASED) return SHARED_UNKNOWN;
    finish(s, e);
    return SHARED_DONE;
}

static void send_home(struct session *s, const struct list *from, bool is_back)
{
    while (!list_empty(from)) {
        struct share_entry *e = entry_at(from->next);
        e->is_back = is_back && (e->qos < 2 || e->id == 0);
        go_home(s, e);
    }
}

void session_shared_detach(struct session *s)
{
    send_home(s, &s->shared->sent, true);
    send_home(s, &s->shared->waiting, true);
    send_home(s, &s->shared->moved, false);
    if (s->shared->sent_count > 0) session_shared_own(s->shared)->sent_count = 0;
}

struct share_entry *session_shared_home(struct session *s)
{
    if (list_empty(&s->shared->home)) return NULL;
    struct share_entry *e = entry_at(s->shared->home.next);
    list_remove(&e->of_session);
    return e;
}

void session_shared_leave(struct session *s, const void *to)
{
    struct list *next;
    for (struct list *at = s->shared->waiting.next; at != &s->shared->waiting; at = next) {
        struct share_entry *e = entry_at(at);
        next = at->next;
        if (e->to != to) continue;
        e->is_back = true;
        go_home(s, e);
    }
}
