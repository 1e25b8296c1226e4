/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"
#include "store_sqlite/disk_int.h"

/*
 * A page: older rows are in the tables, newer ones in RAM. The journal sends the question to the reader as
 * long as there may be folded rows after the position asked for; an empty answer whose snapshot is at or
 * above all that was folded means that there are none, and RAM has the rest. The tables may still have rows
 * of a session that has ended; a new one of its number begins after them.
 */

/* A question of either kind, seen as one. */
struct question {
    struct mail *request, *answer;
    uint32_t read_kind; /* of the request on its way to the reader and back */
    uint16_t shard;
    uint64_t session_no;
    uint64_t *after, *snapshot;
    uint32_t *count;
    struct store_page *page; /* it is this one, */
    struct store_ids *ids;   /* or this */
};

static struct question of_page(struct store_page *p)
{
    return (struct question){
        .request = &p->request,
        .answer = &p->answer,
        .read_kind = MAIL_PAGE_READ,
        .shard = p->shard,
        .session_no = p->session_no,
        .after = &p->after,
        .snapshot = &p->snapshot,
        .count = &p->count,
        .page = p,
    };
}

static struct question of_ids(struct store_ids *p)
{
    return (struct question){
        .request = &p->request,
        .answer = &p->answer,
        .read_kind = MAIL_IDS_READ,
        .shard = p->shard,
        .session_no = p->session_no,
        .after = &p->after,
        .snapshot = &p->snapshot,
        .count = &p->count,
        .ids = p,
    };
}

static void ask_reader(struct store_disk *s, const struct question *q)
{
    s->reading_count++;
    q->request->kind = q->read_kind;
    mailbox_send(&s->reader_box, q->request);
}

static void answer(struct store_disk *s, const struct question *q)
{
    *q->snapshot = s->position;
    s->conf.sink.post(s->conf.sink.ctx, q->shard, q->answer);
}

static void answer_from_ram(struct store_disk *s, const struct question *q)
{
    if (q->page != NULL)
        tables_page(s->tables, q->page);
    else
        tables_ids(s->tables, q->ids);
    answer(s, q);
}

static void forget_rows(const struct question *q)
{
    for (; q->page != NULL && *q->count > 0; --*q->count) msg_unref(&q->page->rows[*q->count - 1].msg);
    *q->count = 0;
}

static void begin(struct store_disk *s, const struct question *q)
{
    uint64_t since = tables_since(s->tables, q->session_no);
    if (since > *q->after) *q->after = since;
    if (tables_folded(s->tables, q->session_no) > *q->after)
        ask_reader(s, q);
    else
        answer_from_ram(s, q);
}

static void was_read(struct store_disk *s, const struct question *q)
{
    s->reading_count--;
    if (tables_since(s->tables, q->session_no) > *q->after) { /* it ended meanwhile */
        forget_rows(q);
        begin(s, q);
    } else if (*q->count > 0) {
        answer(s, q);
    } else if (tables_folded(s->tables, q->session_no) > *q->snapshot) {
        ask_reader(s, q); /* more was folded since */
    } else {
        answer_from_ram(s, q);
    }
}

void disk_page(struct store_disk *s, struct store_page *p)
{
    struct question q = of_page(p);
    begin(s, &q);
}

void disk_page_read(struct store_disk *s, struct store_page *p)
{
    struct question q = of_page(p);
    was_read(s, &q);
}

void disk_ids(struct store_disk *s, struct store_ids *p)
{
    struct question q = of_ids(p);
    begin(s, &q);
}

void disk_ids_read(struct store_disk *s, struct store_ids *p)
{
    struct question q = of_ids(p);
    was_read(s, &q);
}

/* --- the reader's thread */

static void read_one(struct store_disk *s, struct mail *m)
{
    bool is_ids = m->kind == MAIL_IDS_READ;
    enum err rc = is_ids ? db_ids(s->reader, CONTAINER(m, struct store_ids, request))
                         : db_page(s->reader, CONTAINER(m, struct store_page, request));
    if (rc != ERR_OK) disk_db_fail(s, is_ids ? "ids" : "page", s->reader, rc);
    mailbox_send(&s->mailbox, m);
}

void disk_reader_thread(void *arg)
{
    struct store_disk *s = arg;
    for (;;) {
        struct mail *next;
        for (struct mail *m = mailbox_wait(&s->reader_box); m != NULL; m = next) {
            next = m->next;
            if (m->kind == MAIL_STOP) return;
            read_one(s, m);
        }
    }
}
