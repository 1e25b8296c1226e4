/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard_int.h"

/*
 * What waits for a client, for another thread:
 *
 *   asker -> the session's shard (ids_mail_ask) -> store -> shard (ids_mail_read) -> asker's mailbox
 *
 * The shard knows which session a client id is, and what has been acknowledged and the store does not know.
 */

void shards_offline_ids(struct shards *s, struct shards_ids *q)
{
    q->mail.kind = MAIL_IDS_ASK;
    mailbox_send(&s->at[shard_of_client(s, q->client_id)]->mailbox, &q->mail);
}

static void answer(struct shards_ids *q, enum err rc)
{
    q->rc = rc;
    if (rc != ERR_OK) q->page.count = 0;
    q->mail.kind = q->kind;
    mailbox_send(q->to, &q->mail);
}

/* When the clients have gone the store goes next. */
static void ask_store(struct shard *sh, struct shards_ids *q)
{
    if (sh->closing) {
        answer(q, ERR_CLOSED);
        return;
    }
    q->page.answer.kind = MAIL_IDS_READ;
    store_ids(&sh->all->store, &q->page);
}

void ids_mail_ask(struct shard *sh, struct mail *m)
{
    struct shards_ids *q = CONTAINER(m, struct shards_ids, mail);
    const struct session *s = sessions_find(sh, q->client_id);
    if (s == NULL || !s->persistent) {
        answer(q, ERR_NOTFOUND);
        return;
    }
    q->page.shard = (uint16_t)sh->index;
    q->page.session_no = s->session_no;
    ask_store(sh, q);
}

static void drop_finished(const struct session *s, struct store_ids *p)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->count; i++)
        if (!session_has_finished(s, p->rows[i].seq)) p->rows[kept++] = p->rows[i];
    p->count = kept;
}

void ids_mail_read(struct shard *sh, struct mail *m)
{
    struct shards_ids *q = CONTAINER(m, struct shards_ids, page.answer);
    const struct session *s = sessions_find_no(sh, q->page.session_no);
    bool is_end = q->page.count == 0;
    uint64_t last_seq = is_end ? 0 : q->page.rows[q->page.count - 1].seq;
    if (s == NULL) {
        answer(q, ERR_NOTFOUND); /* it ended meanwhile */
        return;
    }
    drop_finished(s, &q->page);
    if (q->page.count > 0 || is_end) {
        answer(q, ERR_OK);
        return;
    }
    q->page.after = last_seq; /* all of them were finished, and there may be more */
    ask_store(sh, q);
}
