/* SPDX-License-Identifier: Apache-2.0 */
#include "hook/broker.h"
#include "shard/plugin.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * Kicks of plugins. One by connection or client id goes to the shard that has it. One by user name, or of
 * everybody, goes to all, and each looks at some connections a turn; those are done in the order in which
 * they came.
 */

struct kick_seat {
    struct mail mail;
    struct list of_shard; /* while it looks, with the next connection's place */
    uint32_t at;
    struct kick *kick;
};

struct kick {
    struct ref ref; /* a seat each */
    struct hook_kick k;
    size_t bytes;
    struct kick_seat *seats; /* the first one goes to shard 0, and on */
    uint8_t texts[];
};

static struct bytes copy(uint8_t **at, struct bytes b)
{
    struct bytes to = bytes_of(b.at == NULL ? NULL : *at, b.len);
    if (b.len > 0) memcpy(*at, b.at, b.len);
    *at += b.len;
    return to;
}

static bool is_for_all(const struct hook_kick *k)
{
    return k->conn_id == 0 && k->client_id.at == NULL;
}

static struct kick *kick_new(const struct shards *s, const struct hook_kick *k)
{
    unsigned seats = is_for_all(k) ? s->count : 1;
    size_t texts = k->client_id.len + k->username.len;
    struct kick *out = malloc(sizeof *out + texts);
    struct kick_seat *at = calloc(seats, sizeof *at);
    if (out == NULL || at == NULL) {
        free(out);
        free(at);
        return NULL;
    }
    *out = (struct kick){ .k = *k, .bytes = sizeof *out + texts + seats * sizeof *at, .seats = at };
    ref_init(&out->ref, seats);
    uint8_t *text = out->texts;
    out->k.client_id = copy(&text, k->client_id);
    out->k.username = copy(&text, k->username);
    for (unsigned i = 0; i < seats; i++) at[i].kick = out;
    return out;
}

static void kick_free(struct kick *k)
{
    free(k->seats);
    free(k);
}

enum err plugin_kick(void *shards, const struct hook_kick *k)
{
    struct shards *s = shards;
    if (k->conn_id != 0 && k->shard >= s->count) return ERR_NOTFOUND;
    struct kick *copy_of = kick_new(s, k);
    if (copy_of == NULL) return ERR_NOMEM;
    enum err rc = plugin_word_begin(s, copy_of->bytes);
    if (rc != ERR_OK) {
        kick_free(copy_of);
        return rc;
    }
    copy_of->seats[0].mail.kind = MAIL_PLUGIN_KICK;
    mailbox_send(&s->at[0]->mailbox, &copy_of->seats[0].mail);
    return ERR_OK;
}

/* --- a shard's */

static void seat_done(struct shard *sh, struct kick_seat *seat)
{
    struct kick *k = seat->kick;
    size_t bytes = k->bytes;
    if (!ref_drop(&k->ref)) return;
    kick_free(k);
    plugin_word_end(sh, bytes);
}

static void kick(struct shard *sh, struct conn *c, const struct hook_kick *k)
{
    if (c->state == CONN_CLOSED || c->state == CONN_ENDING) return;
    if (!k->with_will && c->session != NULL) session_drop_will(c->session);
    metrics_add(sh->metrics, METRIC_plugin_kicks_total, 1);
    conn_end(sh, c, k->code != 0 ? (enum mqtt_rc)k->code : MQTT_RC_ADMINISTRATIVE);
}

static bool is_meant(const struct conn *c, struct bytes name)
{
    if (c->state != CONN_OPEN && c->state != CONN_WAITING) return false;
    if (name.at == NULL) return true;
    return c->username == NULL ? name.len == 0 : bytes_equal(bytes_of_text(c->username), name);
}

/* False: there are more. */
static bool look(struct shard *sh, struct kick_seat *seat, uint32_t *looks)
{
    const struct hook_kick *k = &seat->kick->k;
    for (; seat->at < sh->slots_count; seat->at++) {
        if (*looks == 0) return false;
        --*looks;
        struct conn *c = sh->slots[seat->at].conn;
        if (c != NULL && is_meant(c, k->username)) kick(sh, c, k);
    }
    return true;
}

void plugin_kick_turn(struct shard *sh)
{
    uint32_t looks = KICK_LOOKS_A_TURN;
    while (!list_empty(&sh->kicks)) {
        struct kick_seat *seat = CONTAINER(sh->kicks.next, struct kick_seat, of_shard);
        if (!sh->closing && !look(sh, seat, &looks)) return;
        list_remove(&seat->of_shard);
        seat_done(sh, seat);
    }
}

static void kick_one(struct shard *sh, struct kick_seat *seat)
{
    const struct hook_kick *k = &seat->kick->k;
    unsigned to = k->conn_id != 0 ? k->shard : shard_of_client(sh->all, k->client_id);
    if (to != sh->index) {
        shard_post(sh, to, &seat->mail, MAIL_PLUGIN_KICK);
        return;
    }
    const struct session *s = k->conn_id != 0 ? NULL : sessions_find(sh, k->client_id);
    struct conn *c = k->conn_id != 0 ? conn_find(sh, k->conn_id) : s == NULL ? NULL : s->conn;
    if (c != NULL) kick(sh, c, k);
    seat_done(sh, seat);
}

void plugin_mail_kick(struct shard *sh, struct mail *m)
{
    struct kick_seat *seat = CONTAINER(m, struct kick_seat, mail);
    struct kick *k = seat->kick;
    plugin_forget(sh->all);
    if (!is_for_all(&k->k)) {
        kick_one(sh, seat);
        return;
    }
    for (unsigned i = 1; sh->index == 0 && i < sh->all->count; i++)
        shard_post(sh, i, &k->seats[i].mail, MAIL_PLUGIN_KICK);
    list_add(&sh->kicks, &seat->of_shard);
}

void plugin_kicks_fini(struct shard *sh)
{
    while (!list_empty(&sh->kicks)) {
        struct kick_seat *seat = CONTAINER(sh->kicks.next, struct kick_seat, of_shard);
        list_remove(&seat->of_shard);
        seat_done(sh, seat);
    }
}
