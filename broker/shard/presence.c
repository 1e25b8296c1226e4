/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * Who is there, for plugins. The shard of the client id knows; how much waits for a session that outlives its
 * connection is counted in the store, a page after the other.
 *
 *   plugin_presence -> presence_mail_ask -> pages of ids.c (presence_mail_page) -> done
 */

struct presence {
    struct mail mail;
    struct hook_presence *asked;
    struct shards_ids ids;
};

enum err plugin_presence(void *shards, struct hook_presence *q)
{
    struct shards *s = shards;
    if (shared_word_get(&s->plugins.is_closed) != 0) return ERR_CLOSED;
    struct presence *p = calloc(1, sizeof *p);
    if (p == NULL) return ERR_NOMEM;
    p->asked = q;
    p->mail.kind = MAIL_PRESENCE;
    mailbox_send(&s->at[shard_of_client(s, q->client_id)]->mailbox, &p->mail);
    return ERR_OK;
}

static void done(struct presence *p)
{
    struct hook_presence *q = p->asked;
    if (q->queued > HOOK_QUEUED_MAX) q->queued = HOOK_QUEUED_MAX;
    free(p);
    q->done(q);
}

void presence_mail_ask(struct shard *sh, struct mail *m)
{
    struct presence *p = CONTAINER(m, struct presence, mail);
    struct hook_presence *q = p->asked;
    const struct session *s = sessions_find(sh, q->client_id);
    q->is_connected = s != NULL && s->conn != NULL;
    q->has_session = s != NULL;
    const struct conn *c = q->is_connected ? s->conn : NULL;
    q->keepalive_s = c != NULL ? c->keepalive_s : 0;
    q->found_s = way_found(sh, bytes_hash(q->client_id, sh->all->client_key));
    q->queued = s == NULL ? 0 : s->tail - s->head;
    if (s == NULL || !s->persistent || sh->closing) {
        done(p);
        return;
    }
    q->queued = 0;
    p->ids.client_id = q->client_id;
    p->ids.to = &sh->mailbox;
    p->ids.kind = MAIL_PRESENCE_PAGE;
    p->ids.page.limit = IDS_ENTRIES_MAX;
    shards_offline_ids(sh->all, &p->ids);
}

void presence_mail_page(struct shard *sh, struct mail *m)
{
    struct presence *p = CONTAINER(CONTAINER(m, struct shards_ids, mail), struct presence, ids);
    const struct store_ids *page = &p->ids.page;
    p->asked->queued += page->count;
    if (p->ids.rc != ERR_OK || page->count == 0 || sh->closing || p->asked->queued >= HOOK_QUEUED_MAX) {
        done(p);
        return;
    }
    p->ids.page.after = page->rows[page->count - 1].seq;
    shards_offline_ids(sh->all, &p->ids);
}
