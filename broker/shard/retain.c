/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/hooked.h"
#include "shard/job.h"
#include "shard/subscribe.h"
#include "topic/topic.h"

/*
 * Retained messages for a new subscription (section 3.3.1.3). They are read after the fence: what is newer
 * than it was delivered live, and so was what the session noted while it waited; nor may an older one follow
 * what the session has noted of its topic. Read in pages, topic after topic: a million retained messages cost
 * a page of memory, and a slow client holds up only itself. A persistent session's job goes on when its
 * client is gone: SUBACK has promised these messages.
 */

/* --- the owner's side */

enum err retain_keep(struct shard *sh, struct msg *m, uint64_t version)
{
    uint32_t count = retained_count(sh->retained);
    uint64_t bytes = retained_bytes(sh->retained);
    enum err rc = retained_set(sh->retained, m, version);
    /* Unsigned, and so right when there are fewer now. */
    metrics_add(sh->metrics, METRIC_retained_messages, (uint64_t)retained_count(sh->retained) - count);
    metrics_add(sh->metrics, METRIC_retained_bytes, retained_bytes(sh->retained) - bytes);
    return rc;
}

static bool collect(const struct retained_value *v, void *arg)
{
    struct retained_ask *ask = arg;
    ask->values[ask->count] = *v;
    msg_ref(ask->values[ask->count++].msg);
    return ask->count < RETAINED_PAGE;
}

static void answer_ask(struct shard *sh, struct mail *m)
{
    struct retained_ask *ask = CONTAINER(m, struct retained_ask, mail);
    struct retained_query q = { ask->filter, ask->after, RETAINED_VISITS_MAX };
    ask->count = 0;
    struct msg *reached = retained_match(sh->retained, &q, collect, ask);
    ask->reached = reached == NULL ? NULL : msg_ref(reached);
    shard_post(sh, ask->from, m, MAIL_RETAINED_ANSWER);
}

void retain_mail_ask(struct shard *sh, struct mail *m)
{
    if (sh->asks == NULL) sh->asks_end = &sh->asks;
    m->next = NULL;
    *sh->asks_end = m;
    sh->asks_end = &m->next;
    if (sh->closing || sh->stopping) retain_turn(sh, SIZE_MAX);
}

void retain_turn(struct shard *sh, size_t most)
{
    for (size_t i = 0; i < most && sh->asks != NULL; i++) {
        struct mail *m = sh->asks;
        sh->asks = m->next;
        answer_ask(sh, m);
    }
}

/* --- the subscriber's side */

/* A copy that nobody will send. */
static void count_dropped(struct shard *sh)
{
    metrics_add(sh->metrics, METRIC_publish_dropped_queue_full_total, 1);
}

static struct command *new_copy(struct shard *sh, const struct session *s, const struct retained_value *v,
                                uint8_t qos)
{
    struct command_size size = { .targets = 1, .seats = 1 };
    struct command *c = command_new(COMMAND_RETAINED, &size);
    if (c == NULL) return NULL;
    c->msg = msg_ref(v->msg);
    c->version = v->version;
    c->session_no = s->session_no;
    c->targets[0] = (struct command_target){
        .session_no = s->session_no, .shard = (uint16_t)sh->index, .qos = qos, .retain = true
    };
    c->seats[0].shard = (uint16_t)sh->index;
    c->seats[0].count = 1;
    return c;
}

/* QoS 1 for a persistent session is durable before it is sent, like any other. On its way through the journal
 * a newer message may get there first: the session watches for that until it has come. */
static void put_retained(struct shard *sh, struct session *s, const struct retained_value *v, uint8_t qos)
{
    struct command *c = new_copy(sh, s, v, qos);
    if (c != NULL && session_copy_begin(s, subs_hash(sh->all->subs, msg_topic(v->msg))) == ERR_OK) {
        journal_put(sh, c);
        return;
    }
    command_unref(&c);
    count_dropped(sh);
}

/* Half of the room is free again, or all that there will be: for those who wait. */
void retain_copy_arrived(struct shard *sh, struct session *s)
{
    if (!session_has_jobs(s)) return;
    const struct session_fence *f = s->fence;
    bool is_room = f->copies_count == 0 || f->copies_count + f->voided_count == COPIES_MAX / 2;
    if (is_room) jobs_resume(sh, s);
}

static void deliver(struct shard *sh, struct subscribe_job *j, const struct retained_value *v)
{
    struct session *s = j->session;
    bool is_upgraded = sh->config->upgrade_outgoing_qos && !sys_owns(msg_topic(v->msg));
    uint8_t qos = v->msg->qos < j->at.qos && !is_upgraded ? v->msg->qos : j->at.qos;
    uint64_t topic = subs_hash(sh->all->subs, msg_topic(v->msg));
    if (v->version > j->position || session_fence_saw(s, topic, v->version, j->since)) return;
    if (j->at.no_local && v->msg->from_client == client_hash(sh, s)) return; /* [MQTT-3.8.3-3] */
    if (qos == 0) {
        struct conn_publish p = { .msg = v->msg, .retain = true };
        if (j->conn != NULL) conn_send_publish(sh, j->conn, &p);
        return;
    }
    if (s->persistent) {
        put_retained(sh, s, v, qos);
        return;
    }
    struct store_row row = { .msg = v->msg, .qos = qos, .retain = true };
    if (session_offer(s, &row) == ERR_OK)
        feed_pump(sh, s);
    else
        count_dropped(sh);
}

/* Is there no room for this message (NULL: for any)? Room comes by acknowledgements; while they are not read
 * because of all the SUBSCRIBEs, waiting for it would be for ever. */
static bool must_wait(const struct subscribe_job *j, const struct msg *m)
{
    const struct session *s = j->session;
    if (s->persistent && !session_copy_room(s)) return true;
    if (j->conn == NULL) return false;
    if (conn_output_bytes(j->conn) >= OUT_BYTES_QOS1_MAX) return true;
    if ((j->conn->paused & PAUSE_JOBS) != 0) return false;
    return s->tail - s->sent >= TAIL_ENTRIES_MAX || (!s->persistent && !session_has_room(s, m));
}

/* Until the output is flushed, or copies have come through the journal. Where only the client can make room,
 * by taking what stands before entries to be skipped, its acknowledgements are read in spite of all the jobs.
 */
static void park(struct subscribe_job *j)
{
    const struct session *s = j->session;
    j->is_parked = true;
    if (j->conn != NULL && s->fence->copies_count == 0 && !session_copy_room(s))
        conn_resume(j->shard, j->conn, PAUSE_JOBS);
}

/* What is read next comes after this message. Takes it. */
static void go_on_after(struct subscribe_job *j, struct msg *m)
{
    msg_unref(&j->last);
    j->last = m;
    j->ask.after = m == NULL ? bytes_of(NULL, 0) : msg_topic(m);
}

/* As far as there is room. False: what is left is asked for again, behind the last that was delivered. */
static bool deliver_page(struct shard *sh, struct subscribe_job *j)
{
    struct retained_ask *ask = &j->ask;
    uint32_t done = 0;
    while (done < ask->count && !must_wait(j, ask->values[done].msg)) deliver(sh, j, &ask->values[done++]);
    if (done < ask->count) {
        if (done > 0) go_on_after(j, msg_ref(ask->values[done - 1].msg));
        return false;
    }
    if (ask->reached == NULL) ask->owner++; /* this one is done */
    go_on_after(j, ask->reached);
    ask->reached = NULL;
    return true;
}

/* Has the session forgotten something that came live since this job's fence? */
static bool notes_are_lost(const struct subscribe_job *j)
{
    return j->session->fence->notes_lost > j->fenced;
}

/* False: there was no room for all of it. */
static bool take_page(struct shard *sh, struct subscribe_job *j)
{
    if (j->session == NULL || sh->closing || notes_are_lost(j)) return true; /* as if it had not been read */
    if (subscription_find(sh, j->session, j->at.filter) != NULL) return deliver_page(sh, j);
    j->ask.owner = (uint16_t)sh->all->count; /* unsubscribed: nothing more of it [MQTT-3.10.4-2] */
    return true;
}

void retain_mail_answer(struct shard *sh, struct mail *m)
{
    struct retained_ask *ask = CONTAINER(m, struct retained_ask, mail);
    struct subscribe_job *j = CONTAINER(ask, struct subscribe_job, ask);
    bool all = take_page(sh, j);
    for (uint32_t i = 0; i < ask->count; i++) msg_unref(&ask->values[i].msg);
    msg_unref(&ask->reached);
    if (all)
        retain_step(sh, j);
    else
        park(j);
}

/* The next filter whose retained messages are wanted. False: none is left. */
static bool next_filter(struct shard *sh, struct subscribe_job *j)
{
    while (subscribe_next(&j->walk, j->version, &j->at)) {
        uint8_t granted = j->codes[j->at_index];
        bool wanted = job_wants(j)[j->at_index++] != 0;
        if (!wanted) continue;
        if (granted < j->at.qos) j->at.qos = granted;
        j->ask.filter = j->at.filter;
        go_on_after(j, NULL);
        j->ask.owner = 0;
        if (topic_filter_is_exact(j->at.filter))
            j->ask.owner = (uint16_t)shard_of_topic(sh->all, subs_hash(sh->all->subs, j->at.filter));
        return true;
    }
    return false;
}

/* All owners of this filter have answered. */
static bool filter_done(const struct shard *sh, const struct subscribe_job *j)
{
    if (j->ask.filter.len == 0) return true;
    if (!topic_filter_is_exact(j->ask.filter)) return j->ask.owner >= sh->all->count;
    return j->ask.owner != shard_of_topic(sh->all, subs_hash(sh->all->subs, j->ask.filter));
}

/* At its completion, all that came live before is with its topic's owner: see session/fence.c. */
static void fence_again(struct shard *sh, struct subscribe_job *j)
{
    struct command *c = journal_fenced(j->session, COMMAND_FENCE, bytes_of(NULL, 0));
    if (c == NULL) {
        count_dropped(sh);
        job_free(j);
        return;
    }
    c->job = j;
    journal_put(sh, c);
}

void retain_step(struct shard *sh, struct subscribe_job *j)
{
    bool is_over = j->session == NULL || sh->closing;
    if (is_over || (filter_done(sh, j) && !next_filter(sh, j))) {
        job_free(j);
        return;
    }
    if (must_wait(j, NULL)) {
        park(j);
        return;
    }
    if (notes_are_lost(j)) {
        fence_again(sh, j);
        return;
    }
    j->ask.from = (uint16_t)sh->index;
    shard_post(sh, j->ask.owner, &j->ask.mail, MAIL_RETAINED_ASK);
}
