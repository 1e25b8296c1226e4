/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   zab_step -> effects -> STORE, READ, SNAP_*: the node's jobs, in order, when its disk is not held
 *                          SEND, TELL, CLOSE:   mail, in order, for all nodes
 *                          DELIVER:             the node's state, a text
 */
#include "unit/zab_rig.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 * 1024, SHOWN_MAX = 24, CHUNK = 32, RECORDS_MAX = 16 * 1024, KINDS = 32, NOBODY = 0 };

struct mail {
    struct mail *next;
    uint16_t to, from;
    uint64_t session; /* 0: a note */
    bool is_link, is_up;
    struct zab_note note;
    struct zab_frame frame;
    struct zab_members members;
    struct zab_end ends[ZAB_ENDS_MAX];
    uint8_t *data;
};

struct job {
    struct job *next;
    struct zab_effect effect;
    struct zab_members members;
    uint8_t *data;
};

struct kept {
    struct zab_record record;
    struct zab_members *members;
    uint8_t *data;
};

struct image {
    uint64_t zxid;
    char text[TEXT_MAX];
    struct zab_members members;
};

struct node {
    struct zab *z;
    struct zab_conf conf;
    struct zab_effects out;
    bool is_cut, is_mute, is_apply_held;
    uint32_t disk_left; /* STOREs, READs, snapshots until it is held */
    struct job *jobs, **jobs_end;
    struct kept log[RECORDS_MAX];
    uint32_t log_count;
    struct image state, snap, older; /* older: before the last INSTALL */
    char incoming[TEXT_MAX];
    size_t incoming_len;
    uint64_t applied_told;
    const char *halted;
    uint32_t effects[KINDS], frames[KINDS];
    struct zab_effect last[KINDS];
};

struct rig {
    uint64_t now_ms, sessions;
    uint64_t session[RIG_NODES_MAX + 1][RIG_NODES_MAX + 1];
    struct mail *mail, **mail_end;
    struct node *nodes[RIG_NODES_MAX + 1];
    struct zab_conf conf;
};

static struct node *node_of(struct rig *r, uint16_t id)
{
    CHECK(id >= 1 && id <= RIG_NODES_MAX && r->nodes[id] != NULL);
    return r->nodes[id];
}

static void *made(size_t size)
{
    void *at = calloc(1, size);

    CHECK(at != NULL);
    return at;
}

static uint8_t *copy_of(struct bytes *b)
{
    uint8_t *data = made(b->len + 1);

    if (b->len > 0) memcpy(data, b->at, b->len);
    b->at = data;
    return data;
}

static struct mail *post(struct rig *r, uint16_t to, uint16_t from)
{
    struct mail *m = made(sizeof *m);

    m->to = to;
    m->from = from;
    *r->mail_end = m;
    r->mail_end = &m->next;
    return m;
}

static void tell_link(struct rig *r, uint16_t to, uint16_t from, uint64_t session, bool is_up)
{
    struct mail *m = post(r, to, from);

    m->is_link = true;
    m->is_up = is_up;
    m->session = session;
}

/* What was sent before it is still delivered: a socket that is closed, not one that breaks. */
static void end_session(struct rig *r, uint16_t a, uint16_t b)
{
    if (r->session[a][b] == 0) return;
    tell_link(r, b, a, r->session[a][b], false);
    r->session[a][b] = r->session[b][a] = 0;
}

static void send_frame(struct rig *r, uint16_t from, uint16_t to, uint64_t session, const struct zab_frame *f)
{
    struct mail *m;

    if (to > RIG_NODES_MAX || r->nodes[to] == NULL) return;
    r->nodes[to]->frames[f->type]++;
    if (r->session[from][to] != session || r->nodes[from]->is_mute || r->nodes[to]->is_mute) return;
    m = post(r, to, from);
    m->session = session;
    m->frame = *f;
    if (f->type == ZAB_PROPOSAL) m->data = copy_of(&m->frame.proposal.entry.payload);
    if (f->type == ZAB_SNAP_CHUNK) m->data = copy_of(&m->frame.chunk.data);
    if (f->type == ZAB_SNAP_BEGIN) {
        m->members = *f->snap.members;
        m->frame.snap.members = &m->members;
    }
    if (f->type == ZAB_ACKEPOCH) {
        memcpy(m->ends, f->ack_epoch.ends, f->ack_epoch.ends_count * sizeof m->ends[0]);
        m->frame.ack_epoch.ends = m->ends;
    }
}

static void send_note(struct rig *r, uint16_t from, uint16_t to, const struct zab_note *note)
{
    struct node *n = to <= RIG_NODES_MAX ? r->nodes[to] : NULL;

    if (n == NULL || n->is_cut || r->nodes[from]->is_cut || n->is_mute || r->nodes[from]->is_mute) return;
    post(r, to, from)->note = *note;
}

static void add_job(struct node *n, const struct zab_effect *e)
{
    struct job *j = made(sizeof *j);

    j->effect = *e;
    if (e->kind == ZAB_STORE && e->record.kind == ZAB_RECORD_ENTRY)
        j->data = copy_of(&j->effect.record.entry.payload);
    const struct zab_members *m = e->kind == ZAB_STORE          ? e->record.members
                                  : e->kind == ZAB_SNAP_INSTALL ? e->members
                                                                : NULL;
    if (m != NULL) j->members = *m;
    *n->jobs_end = j;
    n->jobs_end = &j->next;
}

static void deliver(struct node *n, const struct zab_entry *e)
{
    size_t len = strlen(n->state.text), more = e->payload.len < SHOWN_MAX ? e->payload.len : SHOWN_MAX;

    CHECK(e->prev == n->state.zxid && len + more + 2 < TEXT_MAX);
    n->state.zxid = e->last;
    if (e->kind == ZAB_CONFIG) {
        CHECK(zab_members_decode(e->payload, &n->state.members));
        n->state.members.version = e->last;
    }
    if (e->kind != ZAB_DATA) return;
    if (len > 0) n->state.text[len++] = ',';
    if (more > 0) memcpy(n->state.text + len, e->payload.at, more);
    n->state.text[len + more] = 0;
}

static void carry_out(struct rig *r, uint16_t id, const struct zab_effect *e)
{
    struct node *n = r->nodes[id];

    n->effects[e->kind]++;
    n->last[e->kind] = *e;
    switch (e->kind) {
    case ZAB_STORE:
    case ZAB_READ:
    case ZAB_SNAP_SEND:
    case ZAB_SNAP_INSTALL: add_job(n, e); break;
    case ZAB_SEND: send_frame(r, id, e->peer, e->session, &e->frame); break;
    case ZAB_TELL: send_note(r, id, e->peer, &e->note); break;
    case ZAB_CLOSE:
        if (e->peer <= RIG_NODES_MAX && r->session[id][e->peer] == e->session) end_session(r, id, e->peer);
        break;
    case ZAB_SNAP_OPEN: n->incoming_len = 0; break;
    case ZAB_SNAP_WRITE:
        CHECK(n->incoming_len + e->data.len < TEXT_MAX);
        memcpy(n->incoming + n->incoming_len, e->data.at, e->data.len);
        n->incoming_len += e->data.len;
        break;
    case ZAB_DELIVER: deliver(n, &e->entry); break;
    case ZAB_HALT: n->halted = e->text; break;
    default: break;
    }
}

static void carry_out_all(struct rig *r, uint16_t id)
{
    struct node *n = r->nodes[id];
    static const struct zab_event more = { .kind = ZAB_MORE };

    for (uint32_t i = 0; i < n->out.count; i++) carry_out(r, id, &n->out.at[i]);
    while (n->out.more) {
        zab_step(n->z, &more, &n->out);
        for (uint32_t i = 0; i < n->out.count; i++) carry_out(r, id, &n->out.at[i]);
    }
}

void rig_event(struct rig *r, uint16_t id, const struct zab_event *event)
{
    struct node *n = node_of(r, id);

    CHECK(n->z != NULL);
    zab_step(n->z, event, &n->out);
    carry_out_all(r, id);
}

/* --- mail */

static void deliver_mail(struct rig *r, struct mail *m)
{
    struct zab_event e = { .kind = ZAB_NOTE };

    if (m->is_link) {
        e.kind = ZAB_LINK;
        e.link.peer = m->from;
        e.link.session = m->session;
        e.link.is_up = m->is_up;
    } else if (m->session != 0) {
        e.kind = ZAB_FRAME;
        e.frame.peer = m->from;
        e.frame.session = m->session;
        e.frame.frame = &m->frame;
    } else {
        e.note.from = m->from;
        e.note.note = &m->note;
    }
    if (r->nodes[m->to]->z != NULL) rig_event(r, m->to, &e);
    free(m->data);
    free(m);
}

static bool run_mail(struct rig *r)
{
    bool any = r->mail != NULL;

    while (r->mail != NULL) {
        struct mail *m = r->mail;
        r->mail = m->next;
        if (r->mail == NULL) r->mail_end = &r->mail;
        deliver_mail(r, m);
    }
    return any;
}

/* --- the disk */

static void keep(struct node *n, struct job *j)
{
    struct kept *k = &n->log[n->log_count++];

    CHECK(n->log_count < RECORDS_MAX);
    k->record = j->effect.record;
    k->data = j->data;
    j->data = NULL;
    k->members = NULL;
    if (k->record.members == NULL) return;
    k->members = made(sizeof *k->members);
    *k->members = j->members;
    k->record.members = k->members;
}

static void forget(struct kept *k)
{
    free(k->data);
    free(k->members);
}

/* The entries that are in the history, TRUNC and INSTALL honoured. The list is the caller's. */
static const struct zab_entry **history_of(const struct node *n, uint32_t *count, uint64_t *begin)
{
    const struct zab_entry **list = made(RECORDS_MAX * sizeof(struct zab_entry *));
    uint32_t k = 0;

    *begin = 0;
    for (uint32_t i = 0; i < n->log_count; i++) {
        const struct zab_record *rec = &n->log[i].record;
        if (rec->kind == ZAB_RECORD_INSTALL || (rec->kind == ZAB_RECORD_CHECKPOINT && k == 0)) {
            k = 0;
            *begin = rec->zxid;
        }
        if (rec->kind == ZAB_RECORD_ENTRY && k == 0) *begin = rec->entry.prev;
        if (rec->kind == ZAB_RECORD_TRUNC)
            while (k > 0 && list[k - 1]->last > rec->zxid) k--;
        if (rec->kind == ZAB_RECORD_ENTRY) list[k++] = &rec->entry;
    }
    *count = k;
    return list;
}

static void read_log(struct rig *r, uint16_t id, const struct zab_effect *e)
{
    struct node *n = r->nodes[id];
    struct zab_entry found[ZAB_READ_ENTRIES_MAX];
    struct zab_event done = { .kind = ZAB_READ_DONE };
    uint32_t count, bytes = 0;
    uint64_t begin;
    const struct zab_entry **list = history_of(n, &count, &begin);

    for (uint32_t i = 0; i < count && done.read.count < ZAB_READ_ENTRIES_MAX; i++) {
        if (list[i]->prev < e->zxid || (done.read.count == 0 && list[i]->prev != e->zxid)) continue;
        bytes += (uint32_t)list[i]->payload.len;
        if (done.read.count > 0 && bytes > e->bytes) break;
        found[done.read.count++] = *list[i];
    }
    free(list);
    done.read.at = e->at;
    done.read.entries = found;
    rig_event(r, id, &done);
}

static void send_snapshot(struct rig *r, uint16_t id, const struct zab_effect *e)
{
    struct node *n = r->nodes[id];
    struct zab_event sent = { .kind = ZAB_SNAP_SENT };
    struct zab_frame f = { .type = ZAB_SNAP_BEGIN, .group = n->conf.group, .epoch = e->epoch };
    size_t len, at = 0;

    sent.snap.at = e->at;
    if ((n->snap.zxid == 0 || n->snap.zxid < e->zxid) && n->state.zxid >= e->zxid) n->snap = n->state;
    if (n->snap.zxid >= e->zxid && n->snap.zxid > 0) {
        sent.snap.zxid = f.snap.zxid = n->snap.zxid;
        f.snap.members = &n->snap.members;
        send_frame(r, id, e->peer, e->session, &f);
        for (len = strlen(n->snap.text); at < len; at += f.chunk.data.len) {
            f.type = ZAB_SNAP_CHUNK;
            f.chunk.offset = at;
            f.chunk.data = bytes_of(n->snap.text + at, len - at < CHUNK ? len - at : CHUNK);
            send_frame(r, id, e->peer, e->session, &f);
        }
        f.type = ZAB_SNAP_END;
        f.chunk.offset = len;
        f.chunk.data = bytes_of(NULL, 0);
        send_frame(r, id, e->peer, e->session, &f);
    }
    rig_event(r, id, &sent);
}

static void install(struct rig *r, uint16_t id, const struct job *j)
{
    struct node *n = r->nodes[id];
    struct zab_event saved = { .kind = ZAB_SNAP_SAVED };

    n->older = n->snap;
    n->snap = (struct image){ .zxid = j->effect.zxid, .members = j->members };
    memcpy(n->snap.text, n->incoming, n->incoming_len);
    n->state = n->snap;
    n->applied_told = n->state.zxid;
    saved.snap.at = j->effect.at;
    saved.snap.zxid = j->effect.zxid;
    rig_event(r, id, &saved);
}

static void run_job(struct rig *r, uint16_t id, const struct job *j)
{
    if (j->effect.kind == ZAB_READ)
        read_log(r, id, &j->effect);
    else if (j->effect.kind == ZAB_SNAP_SEND)
        send_snapshot(r, id, &j->effect);
    else
        install(r, id, j);
}

/* One completion for all STOREs that wait. */
static bool run_disk(struct rig *r, uint16_t id)
{
    struct node *n = r->nodes[id];
    struct zab_event stored = { .kind = ZAB_STORED };
    bool any = false;

    if (n->z == NULL || n->disk_left == 0 || n->jobs == NULL) return false;
    while (n->jobs != NULL && n->disk_left > 0 && (!any || n->jobs->effect.kind == ZAB_STORE)) {
        struct job *j = n->jobs;
        bool is_store = j->effect.kind == ZAB_STORE;
        n->jobs = j->next;
        if (n->jobs == NULL) n->jobs_end = &n->jobs;
        if (n->disk_left != UINT32_MAX) n->disk_left--;
        if (is_store) {
            any = true;
            stored.at = j->effect.at;
            keep(n, j);
        } else {
            run_job(r, id, j);
        }
        free(j->data);
        free(j);
        if (!is_store) return true;
    }
    rig_event(r, id, &stored);
    return true;
}

static bool run_apply(struct rig *r, uint16_t id)
{
    struct node *n = r->nodes[id];
    struct zab_event applied = { .kind = ZAB_APPLIED, .zxid = n->state.zxid };

    if (n->z == NULL || n->is_apply_held || n->applied_told >= n->state.zxid) return false;
    n->applied_told = n->state.zxid;
    rig_event(r, id, &applied);
    return true;
}

void rig_settle(struct rig *r)
{
    bool any = true;

    for (uint32_t rounds = 0; any; rounds++) {
        CHECK(rounds < 100 * 1000);
        any = run_mail(r);
        for (uint16_t id = 1; id <= RIG_NODES_MAX; id++) {
            if (r->nodes[id] == NULL) continue;
            any |= run_disk(r, id);
            any |= run_apply(r, id);
        }
    }
}

/* --- time, and who reaches whom */

static bool is_reachable(const struct rig *r, uint16_t id)
{
    return r->nodes[id] != NULL && r->nodes[id]->z != NULL && !r->nodes[id]->is_cut;
}

static void connect_all(struct rig *r)
{
    for (uint16_t a = 1; a <= RIG_NODES_MAX; a++) {
        for (uint16_t b = 1; b < a; b++) {
            if (!is_reachable(r, a) || !is_reachable(r, b) || r->session[a][b] != 0) continue;
            r->session[a][b] = r->session[b][a] = ++r->sessions;
            tell_link(r, a, b, r->sessions, true);
            tell_link(r, b, a, r->sessions, true);
        }
    }
}

static void disconnect(struct rig *r, uint16_t id)
{
    for (uint16_t other = 1; other <= RIG_NODES_MAX; other++) {
        uint64_t session = r->session[id][other];
        end_session(r, id, other);
        if (session != 0 && r->nodes[id]->z != NULL) tell_link(r, id, other, session, false);
    }
}

void rig_run_ms(struct rig *r, uint64_t ms)
{
    for (uint64_t end = r->now_ms + ms; r->now_ms < end;) {
        struct zab_event tick = { .kind = ZAB_TICK, .now_ms = r->now_ms += RIG_TICK_MS };
        connect_all(r);
        rig_settle(r);
        for (uint16_t id = 1; id <= RIG_NODES_MAX; id++)
            if (r->nodes[id] != NULL && r->nodes[id]->z != NULL) rig_event(r, id, &tick);
        rig_settle(r);
    }
}

static bool all_follow(struct rig *r, uint16_t leader)
{
    for (uint16_t id = 1; id <= RIG_NODES_MAX; id++) {
        if (!is_reachable(r, id) || r->nodes[id]->is_mute || r->nodes[id]->disk_left == 0 ||
            r->nodes[id]->halted)
            continue;
        struct zab_state s = rig_state(r, id);
        if (s.leader != leader || !s.is_established) return false;
    }
    return true;
}

uint16_t rig_leader(struct rig *r)
{
    rig_settle(r);
    for (uint64_t end = r->now_ms + 60 * 1000; r->now_ms < end; rig_run_ms(r, RIG_TICK_MS)) {
        for (uint16_t id = 1; id <= RIG_NODES_MAX; id++)
            if (is_reachable(r, id) && rig_state(r, id).role == ZAB_LEADING && all_follow(r, id)) return id;
    }
    return NOBODY;
}

uint64_t rig_now_ms(const struct rig *r)
{
    return r->now_ms;
}

/* --- nodes come and go */

static void start(struct rig *r, uint16_t id)
{
    struct node *n = r->nodes[id];
    uint32_t count;
    uint64_t begin;
    const struct zab_entry **list = history_of(n, &count, &begin);
    bool in_log = n->snap.zxid == begin;

    for (uint32_t i = 0; i < count; i++) in_log |= list[i]->last == n->snap.zxid;
    free(list);
    if (!in_log) n->snap = n->older; /* its INSTALL is not in the log */
    n->state = n->snap;
    n->applied_told = n->state.zxid;
    n->conf.applied = n->snap.zxid;
    if (n->snap.zxid > 0) n->conf.members = n->snap.members;
    CHECK(zab_new(&n->z, &n->conf) == ERR_OK);
    for (uint32_t i = 0; i < n->log_count; i++) CHECK(zab_restore(n->z, &n->log[i].record) == ERR_OK);
    CHECK(zab_start(n->z, r->now_ms, &n->out) == ERR_OK);
    carry_out_all(r, id);
}

void rig_join(struct rig *r, uint16_t id)
{
    struct node *n = made(sizeof *n);

    CHECK(id <= RIG_NODES_MAX && r->nodes[id] == NULL);
    n->jobs_end = &n->jobs;
    n->disk_left = UINT32_MAX;
    n->conf = r->conf;
    n->conf.id = id;
    n->conf.seed = id;
    n->snap.members = n->older.members = r->conf.members;
    r->nodes[id] = n;
    start(r, id);
}

struct rig *rig_new(uint32_t nodes, const struct zab_conf *conf)
{
    struct rig *r = made(sizeof *r);

    r->mail_end = &r->mail;
    r->now_ms = 1000;
    if (conf != NULL) r->conf = *conf;
    for (uint32_t i = 0; i < nodes && (conf == NULL || conf->members.count == 0); i++) {
        struct zab_member *m = &r->conf.members.at[r->conf.members.count = i];
        m->id = (uint16_t)(i + 1);
        m->role = ZAB_VOTER;
        m->address[0] = 'n';
    }
    if (conf == NULL || conf->members.count == 0) r->conf.members.count = nodes;
    for (uint16_t id = 1; id <= nodes; id++) rig_join(r, id);
    connect_all(r);
    return r;
}

static void drop_jobs(struct node *n)
{
    while (n->jobs != NULL) {
        struct job *j = n->jobs;
        n->jobs = j->next;
        free(j->data);
        free(j);
    }
    n->jobs_end = &n->jobs;
}

void rig_free(struct rig **owner)
{
    struct rig *r = *owner;

    *owner = NULL;
    while (r->mail != NULL) {
        struct mail *m = r->mail;
        r->mail = m->next;
        free(m->data);
        free(m);
    }
    for (uint16_t id = 1; id <= RIG_NODES_MAX; id++) {
        struct node *n = r->nodes[id];
        if (n == NULL) continue;
        zab_free(&n->z);
        drop_jobs(n);
        for (uint32_t i = 0; i < n->log_count; i++) forget(&n->log[i]);
        free(n);
    }
    free(r);
}

void rig_cut(struct rig *r, uint16_t id, bool is_cut)
{
    node_of(r, id)->is_cut = is_cut;
    if (is_cut)
        disconnect(r, id);
    else
        connect_all(r);
}

void rig_mute(struct rig *r, uint16_t id, bool is_mute)
{
    node_of(r, id)->is_mute = is_mute;
}

void rig_hold_disk(struct rig *r, uint16_t id, bool is_held)
{
    node_of(r, id)->disk_left = is_held ? 0 : UINT32_MAX;
}

void rig_hold_disk_after(struct rig *r, uint16_t id, uint32_t count)
{
    node_of(r, id)->disk_left = count;
}

void rig_hold_apply(struct rig *r, uint16_t id, bool is_held)
{
    node_of(r, id)->is_apply_held = is_held;
}

void rig_crash(struct rig *r, uint16_t id)
{
    struct node *n = node_of(r, id);

    zab_free(&n->z);
    disconnect(r, id);
    drop_jobs(n);
    n->incoming_len = 0;
    n->halted = NULL;
}

void rig_restart(struct rig *r, uint16_t id)
{
    struct node *n = node_of(r, id);

    n->conf.is_damaged = false;
    start(r, id);
    connect_all(r);
}

void rig_restart_damaged(struct rig *r, uint16_t id, uint32_t records)
{
    struct node *n = node_of(r, id);

    while (n->log_count > records) forget(&n->log[--n->log_count]);
    n->conf.is_damaged = true;
    start(r, id);
    connect_all(r);
}

/* --- what tests ask for */

struct zab *rig_zab(struct rig *r, uint16_t id)
{
    return node_of(r, id)->z;
}

struct zab_state rig_state(struct rig *r, uint16_t id)
{
    struct zab_state s;

    zab_state(node_of(r, id)->z, &s);
    return s;
}

enum zab_why rig_propose(struct rig *r, uint16_t id, const char *text)
{
    struct zab_event e = { .kind = ZAB_PROPOSE };

    e.propose.token = 7;
    e.propose.commands = 1;
    e.propose.payload = bytes_of_text(text);
    rig_event(r, id, &e);
    CHECK(node_of(r, id)->last[ZAB_ACCEPTED].token == 7);
    return (enum zab_why)node_of(r, id)->last[ZAB_ACCEPTED].why;
}

enum zab_why rig_reconfig(struct rig *r, uint16_t id, uint8_t change, uint16_t member, uint8_t role)
{
    struct zab_event e = { .kind = ZAB_RECONFIG };

    e.reconfig.token = 8;
    e.reconfig.change = change;
    e.reconfig.member = (struct zab_member){ .id = member, .role = role, .address = "n" };
    rig_event(r, id, &e);
    CHECK(node_of(r, id)->last[ZAB_ACCEPTED].token == 8);
    return (enum zab_why)node_of(r, id)->last[ZAB_ACCEPTED].why;
}

const char *rig_delivered(struct rig *r, uint16_t id)
{
    return node_of(r, id)->state.text;
}

/* Everything before the CHECKPOINT goes, but for what begins with the first entry behind the snapshot. */
static void purge(struct node *n, uint64_t zxid)
{
    uint32_t gone = 0, last = n->log_count;

    while (last > 0 && n->log[last - 1].record.kind != ZAB_RECORD_CHECKPOINT) last--;
    while (gone + 1 < last &&
           !(n->log[gone].record.kind == ZAB_RECORD_ENTRY && n->log[gone].record.entry.last > zxid))
        forget(&n->log[gone++]);
    n->log_count -= gone;
    memmove(n->log, n->log + gone, n->log_count * sizeof n->log[0]);
}

void rig_snapshot(struct rig *r, uint16_t id)
{
    struct node *n = node_of(r, id);
    struct zab_event checkpoint = { .kind = ZAB_CHECKPOINT, .zxid = n->state.zxid };
    struct zab_event purged = { .kind = ZAB_PURGED, .zxid = n->state.zxid };

    n->snap = n->older = n->state;
    rig_event(r, id, &checkpoint);
    rig_settle(r);
    purge(n, n->snap.zxid);
    rig_event(r, id, &purged);
}

uint32_t rig_records(struct rig *r, uint16_t id, uint8_t kind)
{
    struct node *n = node_of(r, id);
    uint32_t count = 0;

    for (uint32_t i = 0; i < n->log_count; i++) count += kind == 0 || n->log[i].record.kind == kind;
    return count;
}

uint32_t rig_frames(struct rig *r, uint16_t to, uint8_t type)
{
    uint32_t *at = &node_of(r, to)->frames[type], count = *at;

    *at = 0;
    return count;
}

uint32_t rig_effects(struct rig *r, uint16_t id, uint8_t kind)
{
    uint32_t *at = &node_of(r, id)->effects[kind], count = *at;

    *at = 0;
    return count;
}

const struct zab_effect *rig_last(struct rig *r, uint16_t id, uint8_t kind)
{
    return &node_of(r, id)->last[kind];
}

uint64_t rig_session(struct rig *r, uint16_t a, uint16_t b)
{
    return r->session[a][b];
}

const char *rig_halted(struct rig *r, uint16_t id)
{
    return node_of(r, id)->halted;
}
