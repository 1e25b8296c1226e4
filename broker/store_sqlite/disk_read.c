/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"
#include "store_sqlite/disk_int.h"

/*
 * A page: older rows are in the tables, newer ones in RAM. The journal sends the question to the reader as
 * long as there may be folded rows after the position asked for; an empty answer whose snapshot is at or
 * above all that was folded means that there are none, and RAM has the rest. The tables may still have rows
 * of a session that has ended; a new one of its number begins after them.
 */

static void answer(struct store_disk *s, struct store_page *p)
{
    p->snapshot = s->position;
    s->conf.sink.post(s->conf.sink.ctx, p->shard, &p->answer);
}

static void ask_reader(struct store_disk *s, struct store_page *p)
{
    s->reading_count++;
    p->request.kind = MAIL_PAGE_READ;
    mailbox_send(&s->reader_box, &p->request);
}

void disk_page(struct store_disk *s, struct store_page *p)
{
    uint64_t since = tables_since(s->tables, p->session_no);
    if (since > p->after) p->after = since;
    if (tables_folded(s->tables, p->session_no) > p->after) {
        ask_reader(s, p);
        return;
    }
    tables_page(s->tables, p);
    answer(s, p);
}

static void forget_rows(struct store_page *p)
{
    while (p->count > 0) msg_unref(&p->rows[--p->count].msg);
}

void disk_page_read(struct store_disk *s, struct store_page *p)
{
    s->reading_count--;
    if (tables_since(s->tables, p->session_no) > p->after) { /* it ended meanwhile */
        forget_rows(p);
        disk_page(s, p);
        return;
    }
    if (p->count > 0) {
        answer(s, p);
        return;
    }
    if (tables_folded(s->tables, p->session_no) > p->snapshot) {
        ask_reader(s, p); /* more was folded since */
        return;
    }
    tables_page(s->tables, p);
    answer(s, p);
}

void disk_reader_thread(void *arg)
{
    struct store_disk *s = arg;
    for (;;) {
        struct mail *next;
        for (struct mail *m = mailbox_wait(&s->reader_box); m != NULL; m = next) {
            next = m->next;
            if (m->kind == MAIL_STOP) return;
            struct store_page *p = CONTAINER(m, struct store_page, request);
            enum err rc = db_page(s->reader, p);
            if (rc != ERR_OK) disk_db_fail(s, "page", s->reader, rc);
            mailbox_send(&s->mailbox, m);
        }
    }
}
