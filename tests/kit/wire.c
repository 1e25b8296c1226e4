/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/wire.h"
#include <openssl/ssl.h>
#include <string.h>

bool wire_init(struct wire *w, const struct wire_conf *conf)
{
    *w = (struct wire){ .random = conf->fragments, .has_fragments = conf->fragments != 0 };
    if (conf->preface.len > 0) out_add(&w->to_net, conf->preface.at, conf->preface.len);
    if (conf->is_tls && !wire_tls_start(w, conf)) return false;
    if (conf->is_websocket) wire_ws_start(w, conf);
    return true;
}

void wire_fini(struct wire *w)
{
    out_clear(&w->to_net);
    out_clear(&w->plain);
    out_clear(&w->ws_in);
    out_clear(&w->ws_waiting);
    out_clear(&w->tls_waiting);
    wire_tls_fini(w);
    *w = (struct wire){ 0 };
}

bool wire_is_open(const struct wire *w)
{
    bool has_tls = w->tls == NULL || SSL_is_init_finished(w->tls);
    return has_tls && w->ws != WIRE_WS_SHAKING;
}

void wire_drop(struct out *b, size_t n)
{
    b->len -= n;
    if (b->len > 0) memmove(b->at, b->at + n, b->len);
}

void wire_send_below(struct wire *w, const void *at, size_t len)
{
    if (w->tls != NULL)
        wire_tls_send(w, at, len);
    else
        out_add(&w->to_net, at, len);
}

void wire_send(struct wire *w, const void *at, size_t len)
{
    if (w->ws != WIRE_WS_NONE)
        wire_ws_send(w, at, len);
    else
        wire_send_below(w, at, len);
}

void wire_take_above_tls(struct wire *w, const void *at, size_t len)
{
    if (w->ws != WIRE_WS_NONE)
        wire_ws_take(w, at, len);
    else
        out_add(&w->plain, at, len);
}

void wire_take(struct wire *w, const void *at, size_t len)
{
    if (w->tls != NULL)
        wire_tls_take(w, at, len);
    else
        wire_take_above_tls(w, at, len);
}

void wire_finish(struct wire *w)
{
    if (w->ws != WIRE_WS_NONE) wire_ws_finish(w);
    if (w->tls != NULL) wire_tls_finish(w);
}
