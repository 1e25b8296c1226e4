/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/hooked.h"
#include "net/address.h"
#include <stdlib.h>

static enum err client_new(const struct shard *sh, const struct conn *c, const struct connect *p,
                           struct hook_client **out)
{
    struct net_address from;
    char address[ADDRESS_TEXT_BYTES];
    transport_address(&c->transport, &from);
    address_print_host(&from, address);
    struct hook_client_conf conf = {
        .id = c->assigned_id != NULL ? bytes_of_text(c->assigned_id) : p->client_id,
        .address = address,
        .conn_id = c->id,
        .shard = (uint16_t)sh->index,
        .port = c->listener->port,
        .keepalive_s = p->keepalive_s,
        .version = p->version,
        .clean_start = p->clean_start,
        .is_websocket = conn_door(sh, c)->protocol == CONFIG_PROTOCOL_WEBSOCKETS,
    };
    if (p->has_username) conf.username = p->username;
    return hook_client_new(out, &conf);
}

static void gone_free(struct hook_ask *a)
{
    free(CONTAINER(a, struct hook_gone, ask));
}

/* Made before it is needed: the end must not fail for want of memory. */
static bool gone_new(struct hooked *h, struct hooks *hooks)
{
    h->gone = calloc(1, sizeof *h->gone);
    if (h->gone == NULL) return false;
    hook_ask_init(&h->gone->ask, HOOK_GONE, hooks, h->client);
    h->gone->ask.destroy = gone_free;
    h->gone->reason = HOOK_REASON_LOST;
    return true;
}

bool hooked_begin(const struct shard *sh, struct conn *c, const struct connect *p)
{
    struct hooks *hooks = sh->view->doors[c->listener->door].hooks;
    if (hooks == NULL) return true;
    struct hooked *h = calloc(1, sizeof *h);
    if (h == NULL) return false;
    if (client_new(sh, c, p, &h->client) == ERR_OK && gone_new(h, hooks)) {
        c->hooked = h;
        return true;
    }
    hook_client_unref(&h->client);
    free(h);
    return false;
}

void hooked_reason(struct conn *c, uint8_t reason)
{
    struct hooked *h = c->hooked;
    if (h != NULL && h->gone != NULL && h->gone->reason == HOOK_REASON_LOST) h->gone->reason = reason;
}

void hooked_gone(struct conn *c)
{
    struct hooked *h = c->hooked;
    if (h == NULL || h->gone == NULL) return;
    struct hook_gone *gone = h->gone;
    h->gone = NULL;
    gone->was_in = h->was_in;
    hooks_ask(&gone->ask);
}

void hooked_free(struct conn *c)
{
    struct hooked *h = c->hooked;
    c->hooked = NULL;
    if (h == NULL) return;
    hook_client_unref(&h->client);
    reads_conn_gone(&h->reads);
    free(h);
}

void hooked_count_subs(const struct conn *c)
{
    if (c->hooked == NULL) return;
    const struct session *s = c->session;
    gauge_set(hook_client_subs(c->hooked->client), (uint32_t)(s->subs.count + s->shared.members.count));
}
