/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard_int.h"
#include <stdlib.h>

/* Whether every loop still turns: a question that each answers in its next turn. */

struct beat {
    struct mail mail;
    struct mailbox *to;
};

struct shards_pulse {
    struct shards *shards;
    struct mailbox box;
    unsigned away; /* questions that have not come back */
    struct beat beats[];
};

void pulse_mail_ask(struct shard *sh, struct mail *m)
{
    (void)sh;
    mailbox_send(CONTAINER(m, struct beat, mail)->to, m);
}

enum err shards_pulse_new(struct shards_pulse **out, struct shards *s)
{
    struct shards_pulse *p = calloc(1, sizeof *p + s->count * sizeof p->beats[0]);
    *out = NULL;
    if (p == NULL) return ERR_NOMEM;
    p->shards = s;
    enum err rc = mailbox_open(&p->box);
    if (rc == ERR_OK)
        *out = p;
    else
        free(p);
    return rc;
}

void shards_pulse_free(struct shards_pulse **owner)
{
    struct shards_pulse *p = *owner;
    *owner = NULL;
    if (p == NULL) return;
    mailbox_close(&p->box);
    free(p);
}

bool shards_pulse(struct shards_pulse *p)
{
    for (struct mail *m = mailbox_take(&p->box); m != NULL; m = m->next) p->away--;
    if (p->away > 0) return false;
    p->away = p->shards->count;
    for (unsigned i = 0; i < p->shards->count; i++) {
        p->beats[i] = (struct beat){ .mail.kind = MAIL_PULSE, .to = &p->box };
        mailbox_send(&p->shards->at[i]->mailbox, &p->beats[i].mail);
    }
    return true;
}
