/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/route.h"
#include "shard/shard_int.h"
#include <stdio.h>
#include <stdlib.h>

/* Lines of the log as messages: from the log's thread to shard 0, which publishes them. */

enum { LINES_MAX = 1024, TOPIC_BYTES = 64 };

struct log_message {
    struct mail mail;
    char topic[TOPIC_BYTES];
    size_t bytes;
    uint8_t text[];
};

void shards_log_line(void *shards, const char *topic_end, const char *text, size_t n)
{
    struct shards *s = shards;
    if (!gauge_take(&s->log_lines, LINES_MAX)) return;
    struct log_message *m = malloc(sizeof *m + n);
    if (m == NULL) {
        gauge_give(&s->log_lines);
        return;
    }
    snprintf(m->topic, sizeof m->topic, "$SYS/broker/log/%s", topic_end);
    m->mail.kind = MAIL_LOG_LINE;
    m->bytes = n;
    memcpy(m->text, text, n);
    mailbox_send(&s->at[0]->mailbox, &m->mail);
}

void log_mail_line(struct shard *sh, struct mail *m)
{
    struct log_message *l = CONTAINER(m, struct log_message, mail);
    struct route_in in = { .topic = bytes_of_text(l->topic), .payload = bytes_of(l->text, l->bytes) };
    if (!sh->closing) route_own(sh, &in);
    gauge_give(&sh->all->log_lines);
    free(l);
}
