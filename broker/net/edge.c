/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ref.h"
#include "net/edge_int.h"
#include "net/proxy.h"
#include "net/sources.h"
#include "net/ws.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct edge {
    struct ref ref;
    unsigned proxy_versions; /* 0: no header */
    struct sources trusted;  /* who may send one */
    struct tls *tls;         /* NULL: none */
    struct ws_rules *ws;     /* NULL: no WebSocket */
};

static enum err trust(struct edge *e, const struct edge_conf *conf, char *text)
{
    struct bytes wrong;
    e->proxy_versions = conf->proxy_versions;
    if (conf->proxy_versions == 0) return ERR_OK;
    enum err rc = sources_parse(&e->trusted, conf->proxy_trusted, &wrong);
    if (rc == ERR_SYNTAX)
        snprintf(
            text, EDGE_TEXT_BYTES,
            "proxy_trusted: '%.*s' is no source; allowed: an address, a network as 10.0.0.0/8 with no bits "
            "behind its prefix, or local",
            (int)(wrong.len < 100 ? wrong.len : 100), (const char *)wrong.at);
    if (rc == ERR_FULL) snprintf(text, EDGE_TEXT_BYTES, "proxy_trusted: more than %d sources", SOURCES_MAX);
    if (rc != ERR_OK || e->trusted.count > 0) return rc;
    snprintf(text, EDGE_TEXT_BYTES,
             "enable_proxy_protocol: needs proxy_trusted, the addresses of the proxies; whoever else could "
             "claim any address");
    return ERR_SYNTAX;
}

static enum err make_websocket(struct edge *e, const struct ws_rules_conf *conf, char *text)
{
    struct bytes wrong;
    enum err rc = ws_rules_new(&e->ws, conf, &wrong);
    if (rc == ERR_NOMEM) snprintf(text, EDGE_TEXT_BYTES, "%s", err_text(rc));
    if (rc == ERR_SYNTAX)
        snprintf(text, EDGE_TEXT_BYTES,
                 "websockets_origin: '%.*s' is no origin; allowed: as https://example.com or "
                 "http://localhost:8080, without a path",
                 (int)(wrong.len < 100 ? wrong.len : 100), (const char *)wrong.at);
    return rc;
}

static enum err make_layers(struct edge *e, const struct edge_conf *conf, char *text)
{
    const struct tls *before = conf->before == NULL ? NULL : conf->before->tls;
    enum err rc = trust(e, conf, text);
    struct tls_conf tls = conf->tls;
    tls.is_websocket = conf->is_websocket;
    if (rc == ERR_OK && tls_is_wanted(&tls)) rc = tls_new(&e->tls, &tls, before, text);
    if (rc == ERR_OK && conf->is_websocket) rc = make_websocket(e, &conf->ws, text);
    return rc;
}

enum err edge_new(struct edge **out, const struct edge_conf *conf, char text[EDGE_TEXT_BYTES])
{
    struct edge *e = calloc(1, sizeof *e);
    *out = NULL;
    if (e == NULL) {
        snprintf(text, EDGE_TEXT_BYTES, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    ref_init(&e->ref, 1);
    enum err rc = make_layers(e, conf, text);
    if (rc != ERR_OK) edge_unref(&e);
    *out = e;
    return rc;
}

struct edge *edge_ref(struct edge *e)
{
    ref_add(&e->ref, 1);
    return e;
}

void edge_unref(struct edge **owner)
{
    struct edge *e = *owner;
    *owner = NULL;
    if (e == NULL || !ref_drop(&e->ref)) return;
    tls_unref(&e->tls);
    ws_rules_unref(&e->ws);
    free(e);
}

enum err edge_climb(struct edge *e, struct transport *t)
{
    enum err rc = ERR_OK;
    if (e->tls != NULL) rc = tls_open(e->tls, t);
    if (rc == ERR_OK && e->ws != NULL) rc = ws_open(e->ws, t);
    return rc;
}

bool edge_has_tls(const struct edge *e)
{
    return e->tls != NULL;
}

/* Who has connected is asked for only where it matters. */
static bool is_trusted(const struct edge *e, const struct transport *t)
{
    struct net_address from;
    transport_address(t, &from);
    return sources_have(&e->trusted, &from);
}

enum err edge_open(struct edge *e, int fd, struct transport *out)
{
    enum err rc = ERR_OK;
    *out = (struct transport){ .ops = &transport_tcp, .fd = fd };
    if (e->proxy_versions == 0)
        rc = edge_climb(e, out);
    else
        rc = is_trusted(e, out) ? proxy_open(e, e->proxy_versions, out) : ERR_NOTFOUND;
    if (rc != ERR_OK) out->ops->close(out);
    return rc;
}
