/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_mem.h"
#include "base/check.h"
#include "base/list.h"
#include "base/thread.h"
#include "store/tables.h"
#include <stdlib.h>

enum { MAIL_COMMAND = JOURNAL_MAIL_COMMAND, MAIL_PAGE, MAIL_IDS, MAIL_STOP };

struct store_mem {
    struct mailbox mailbox;
    struct thread thread;
    struct mail stop;
    struct journal_sink sink;
    struct tables *tables; /* the journal's thread alone */
    const struct clock *clock;
    uint64_t position, stamp_ms;
    bool stopping;
};

static enum command_result admit(struct store_mem *s, struct command *c)
{
    uint64_t now_ms = clock_wall_ms(s->clock);
    if (now_ms > s->stamp_ms) s->stamp_ms = now_ms;
    c->stamp_ms = s->stamp_ms;
    if (!tables_has_mid(s->tables, c)) return tables_admit(s->tables, c);
    return c->in_id == 0 ? COMMAND_DUPLICATE : COMMAND_DURABLE;
}

static void run_command(struct store_mem *s, struct command *c)
{
    c->result = admit(s, c);
    if (c->result == COMMAND_DURABLE) {
        c->position = ++s->position;
        c->result = tables_apply(s->tables, c);
    } else {
        c->position = s->position;
    }
    for (uint32_t i = 0; i < c->seats_count; i++)
        s->sink.post(s->sink.ctx, c->seats[i].shard, &c->seats[i].mail);
    s->sink.complete(s->sink.ctx, c->from_shard, &c->completion);
}

static void run_page(struct store_mem *s, struct store_page *p)
{
    tables_page(s->tables, p);
    p->snapshot = s->position;
    s->sink.post(s->sink.ctx, p->shard, &p->answer);
}

static void run_ids(struct store_mem *s, struct store_ids *p)
{
    tables_ids(s->tables, p);
    p->snapshot = s->position;
    s->sink.post(s->sink.ctx, p->shard, &p->answer);
}

static void run_mail(struct store_mem *s, struct mail *m)
{
    switch (m->kind) {
    case MAIL_COMMAND: run_command(s, CONTAINER(m, struct command, mail)); break;
    case MAIL_PAGE: run_page(s, CONTAINER(m, struct store_page, request)); break;
    case MAIL_IDS: run_ids(s, CONTAINER(m, struct store_ids, request)); break;
    case MAIL_STOP: s->stopping = true; break;
    default: check_failed("unknown mail to the journal", __FILE__, __LINE__);
    }
}

static void run_all(struct store_mem *s, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next; /* the next rides on, so read it before m is anybody else's */
        run_mail(s, m);
        m = next;
    }
    s->sink.flush(s->sink.ctx);
}

static void run(void *arg)
{
    struct store_mem *s = arg;
    while (!s->stopping) run_all(s, mailbox_wait(&s->mailbox));
}

bool store_mem_step(struct store_mem *s)
{
    struct mail *m = mailbox_take(&s->mailbox);
    if (m != NULL) run_all(s, m);
    return m != NULL;
}

static void submit(void *impl, struct outbox *commands)
{
    struct store_mem *s = impl;
    mailbox_hand_over(&s->mailbox, commands);
}

static void ask_page(void *impl, struct store_page *p)
{
    struct store_mem *s = impl;
    p->request.kind = MAIL_PAGE;
    mailbox_send(&s->mailbox, &p->request);
}

static void ask_ids(void *impl, struct store_ids *p)
{
    struct store_mem *s = impl;
    p->request.kind = MAIL_IDS;
    mailbox_send(&s->mailbox, &p->request);
}

static void destroy(struct store_mem *s)
{
    tables_free(&s->tables);
    mailbox_close(&s->mailbox);
    free(s);
}

enum err store_mem_new(struct store_mem **out, const struct store_mem_conf *conf)
{
    struct tables_conf tables = { conf->limits };
    struct store_mem *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) return ERR_NOMEM;
    s->sink = conf->sink;
    s->clock = conf->clock;
    s->mailbox.event_fd = -1;
    enum err rc = tables_new(&s->tables, &tables);
    if (rc == ERR_OK) rc = mailbox_open(&s->mailbox);
    if (rc == ERR_OK)
        *out = s;
    else
        destroy(s);
    return rc;
}

void store_mem_free(struct store_mem **owner)
{
    struct store_mem *s = *owner;
    *owner = NULL;
    if (s != NULL) destroy(s);
}

size_t store_mem_queues(const struct store_mem *s)
{
    return tables_count(s->tables);
}

enum err store_mem_start(struct store_mem **out, const struct store_mem_conf *conf)
{
    struct store_mem *s;
    enum err rc = store_mem_new(&s, conf);
    if (rc == ERR_OK) rc = thread_start(&s->thread, "journal", run, s);
    if (rc != ERR_OK) store_mem_free(&s);
    *out = s;
    return rc;
}

void store_mem_stop(struct store_mem **owner)
{
    struct store_mem *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    s->stop.kind = MAIL_STOP;
    mailbox_send(&s->mailbox, &s->stop);
    thread_join(&s->thread);
    destroy(s);
}

static const struct journal_ops journal_mem_ops = { .name = "memory", .submit = submit };
static const struct store_ops store_mem_ops = { .name = "memory", .page = ask_page, .ids = ask_ids };

struct journal store_mem_journal(struct store_mem *s)
{
    return (struct journal){ &journal_mem_ops, s };
}
struct store store_mem_store(struct store_mem *s)
{
    return (struct store){ &store_mem_ops, s };
}
