/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "hook/hook.h"
#include "shard/connect.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * A pre-shared key that a plugin knows. The handshake stands still while it is asked; connect_timeout does
 * not, so that who never gets an answer is gone in time.
 *
 *   read says TRANSPORT_ASKS -> psk_ask     HOOK_PSK
 *   answer                   -> psk_answer  the next read goes on
 */

struct question {
    struct hook_psk psk;
    uint64_t conn_id;
    char identity[TRANSPORT_NAME_BYTES_MAX + 1];
    char hint[]; /* a copy too: a slow callback may read it when the listener has gone */
};

static void question_free(struct hook_ask *a)
{
    struct question *q = CONTAINER(CONTAINER(a, struct hook_psk, ask), struct question, psk);
    explicit_bzero(q->psk.key, sizeof q->psk.key);
    free(q);
}

static struct question *question_new(struct shard *sh, const struct conn *c,
                                     const struct transport_ask *asked)
{
    size_t hint_bytes = strlen(asked->hint) + 1;
    struct question *q = calloc(1, sizeof *q + hint_bytes);
    if (q == NULL) return NULL;
    hook_ask_init(&q->psk.ask, HOOK_PSK, sh->view->doors[c->listener->door].hooks, NULL);
    q->psk.ask.destroy = question_free;
    q->psk.ask.to = &sh->mailbox;
    q->psk.ask.kind = MAIL_PSK_ANSWER;
    memcpy(q->identity, asked->identity, sizeof q->identity);
    memcpy(q->hint, asked->hint, hint_bytes);
    q->psk.hint = q->hint;
    q->psk.identity = q->identity;
    q->conn_id = c->id;
    return q;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* False: not whole bytes in hexadecimal. */
static bool read_key(struct transport_ask *to, const char *hex)
{
    size_t n = strnlen(hex, sizeof(((struct hook_psk *)NULL)->key));
    if (n == 0 || n % 2 != 0 || n / 2 > sizeof to->key) return false;
    for (size_t i = 0; i < n; i += 2) {
        int high = digit(hex[i]), low = digit(hex[i + 1]);
        if (high < 0 || low < 0) return false;
        to->key[i / 2] = (uint8_t)(high << 4 | low);
    }
    to->key_bytes = (uint16_t)(n / 2);
    return true;
}

static void answer(struct conn *c, struct transport_ask *to, const struct hook_psk *q)
{
    to->answer = TRANSPORT_ASK_REFUSE;
    if (q->ask.verdict == HOOK_DEFER) to->answer = TRANSPORT_ASK_OWN;
    if (q->ask.verdict == HOOK_ALLOW && read_key(to, q->key)) to->answer = TRANSPORT_ASK_KEY;
    c->transport.needs |= TRANSPORT_HAS_INPUT; /* the read that goes on */
}

/* It is refused as if nobody had the key. */
static void refuse(struct conn *c, struct transport_ask *to)
{
    to->answer = TRANSPORT_ASK_REFUSE;
    c->transport.needs |= TRANSPORT_HAS_INPUT;
}

void psk_ask(struct shard *sh, struct conn *c)
{
    struct transport_ask *to = c->transport.ops->ask(&c->transport);
    if (to == NULL || (c->paused & PAUSE_HOOKS) != 0) return;
    if (!hooks_want(sh->view->doors[c->listener->door].hooks, HOOK_EVENT_PSK)) {
        to->answer = TRANSPORT_ASK_OWN;
        c->transport.needs |= TRANSPORT_HAS_INPUT;
        return;
    }
    struct question *q = sh->psk_waiting < PSK_WAITING_MAX ? question_new(sh, c, to) : NULL;
    if (q == NULL) {
        refuse(c, to);
        return;
    }
    struct hook_ask *ask = &q->psk.ask;
    if (hooks_ask(ask)) {
        answer(c, to, &q->psk);
        hook_ask_unref(&ask);
        return;
    }
    sh->psk_waiting++;
    conn_pause(sh, c, PAUSE_HOOKS);
}

void psk_mail_answer(struct shard *sh, struct mail *m)
{
    struct hook_ask *ask = CONTAINER(m, struct hook_ask, mail);
    struct question *q = CONTAINER(CONTAINER(ask, struct hook_psk, ask), struct question, psk);
    struct conn *c = conn_find(sh, q->conn_id);
    struct transport_ask *to =
        c == NULL || c->state != CONN_NEW ? NULL : c->transport.ops->ask(&c->transport);
    sh->psk_waiting--;
    if (to != NULL) {
        answer(c, to, &q->psk);
        conn_resume(sh, c, PAUSE_HOOKS);
    }
    hook_ask_unref(&ask);
}
