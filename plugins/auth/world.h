/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - all that decides who may come in and what to, as it stood at one moment: options, files, keys, and
 * the accounts of the database.
 *
 * Thread:  made on one; then any, for nothing in it changes.
 * Memory:  counted. What a reload does not change is shared by the old one and the new one.
 * Limits:  those of its parts.
 * Errors:  with a note that names the file or option and what is wrong.
 * Tests:   tests/unit/test_auth_plugin_login.c
 */
#ifndef AUTH_WORLD_H
#define AUTH_WORLD_H

#include "access/access.h"
#include "accounts/accounts.h"
#include "auth/devices.h"
#include "auth/http.h"
#include "auth/jwt.h"
#include "auth/options.h"
#include "base/ref.h"

enum source { SOURCE_CERTIFICATE, SOURCE_FILE, SOURCE_SQLITE, SOURCE_JWT, SOURCE_HTTP, SOURCES };

const char *source_name(enum source s);

/* What options and files say. */
struct settings {
    struct ref ref;
    struct options *options;
    struct access *files; /* NULL: neither a password file nor an ACL file */
    struct jwt_keys *keys;
    struct jwt_rules jwt;
    enum source order[SOURCES];
    size_t order_count;
    struct device_class classes[OPTIONS_LIST_MAX];
    size_t class_count;
    char *http_header;     /* NULL: none */
    struct http_conf http; /* its url is empty: there is none */
};

struct world {
    struct ref ref;
    struct settings *settings;
    struct accounts *accounts; /* NULL: there is no database */
};

struct world_note {
    char text[ACCESS_TEXT_BYTES + 128];
    void (*warn)(void *ctx, const char *text); /* NULL: nobody listens */
    void *ctx;
};

/* Takes the options, also on failure. */
enum err settings_new(struct settings **out, struct options *options, struct world_note *note);
void settings_unref(struct settings **owner);

/* Shares both. */
enum err world_new(struct world **out, struct settings *settings, struct accounts *accounts);
struct world *world_ref(struct world *w);
void world_unref(struct world **owner);

/* The limit for an account's devices of a class. */
struct account_limit world_limit(const struct world *w, struct bytes account, const char *class);

/* The class that a client id tells; "" is none. */
const char *world_class(const struct world *w, const char *client_id);

#endif
