/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_world - a CA with a certificate for the server and one for a client, as files, and what a listener has
 * of them.
 *
 * Thread:  the test's.
 * Memory:  the caller's struct; end before it goes.
 * Limits:  tls_kit's.
 * Errors:  the test fails.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_TLS_WORLD_H
#define UNIT_TLS_WORLD_H

#include "kit/test.h"
#include "unit/tls_kit.h"
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

struct world {
    struct kit_dir dir;
    struct kit_ca ca;
    struct tls_conf conf;
    char crt[TLS_KIT_PATH_BYTES * 2], key[TLS_KIT_PATH_BYTES * 2], ca_crt[TLS_KIT_PATH_BYTES * 2];
    char crl[TLS_KIT_PATH_BYTES * 2], alice[TLS_KIT_PATH_BYTES * 2];
};

static inline void copy(char to[TLS_KIT_PATH_BYTES * 2], const char *from)
{
    snprintf(to, TLS_KIT_PATH_BYTES * 2, "%s", from);
}

static inline void begin(struct world *w)
{
    kit_dir_init(&w->dir);
    kit_ca_init(&w->ca, "root");
    kit_issue_cn(&w->ca, &w->dir, "server", "localhost");
    kit_issue_cn(&w->ca, &w->dir, "alice", "alice");
    copy(w->crt, kit_file(&w->dir, "server.crt"));
    copy(w->key, kit_file(&w->dir, "server.key"));
    copy(w->ca_crt, kit_file(&w->dir, "ca.crt"));
    copy(w->crl, kit_file(&w->dir, "crl.pem"));
    copy(w->alice, kit_file(&w->dir, "alice"));
    kit_write_ca(&w->ca, w->ca_crt);
    w->conf = (struct tls_conf){ .certfile = w->crt, .keyfile = w->key };
}

static inline void end(struct world *w)
{
    kit_ca_fini(&w->ca);
    kit_dir_fini(&w->dir);
}

static inline void require_certificate(struct world *w)
{
    w->conf.cafile = w->ca_crt;
    w->conf.require_certificate = true;
}

static inline struct tls *make(const struct world *w, const struct tls *before)
{
    char text[TLS_TEXT_BYTES];
    struct tls *tls;
    enum err rc = tls_new(&tls, &w->conf, before, text);
    if (rc != ERR_OK) printf("%s\n", text);
    CHECK_INT(ERR_OK, rc);
    CHECK_INT(0, ERR_peek_error());
    return tls;
}

/* It must fail, and say all of these words. */
static inline void refuse(const struct world *w, const char *word, const char *other)
{
    char text[TLS_TEXT_BYTES];
    struct tls *tls;
    CHECK_TRUE(tls_new(&tls, &w->conf, NULL, text) != ERR_OK);
    CHECK_TRUE(tls == NULL);
    CHECK_INT(0, ERR_peek_error());
    if (strstr(text, word) == NULL || strstr(text, other) == NULL)
        fail_msg("'%s' or '%s' is not in: %s", word, other, text);
}

#endif
