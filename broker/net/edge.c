/* SPDX-License-Identifier: Apache-2.0 */
#include "net/edge.h"
#include "base/ref.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct edge {
    struct ref ref;
    struct edge_conf conf;
};

enum err edge_new(struct edge **out, const struct edge_conf *conf, char text[EDGE_TEXT_BYTES])
{
    struct edge *e = calloc(1, sizeof *e);
    *out = e;
    if (e == NULL) {
        snprintf(text, EDGE_TEXT_BYTES, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    ref_init(&e->ref, 1);
    e->conf = *conf;
    return ERR_OK;
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
    if (e != NULL && ref_drop(&e->ref)) free(e);
}

enum err edge_open(struct edge *e, int fd, struct transport *out)
{
    (void)e;
    *out = (struct transport){ .ops = &transport_tcp, .fd = fd };
    return ERR_OK;
}
