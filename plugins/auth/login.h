/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login - who is it? Asks the sources in their order until one knows; and what may he? Asks the rules.
 *
 * Thread:  any; login_check hashes, so it is a worker's.
 * Memory:  borrows the question; the answer owns its texts until login_answer_fini.
 * Limits:  none of its own.
 * Errors:  a denial says why, in a text fit for a log.
 * Tests:   tests/unit/test_auth_plugin_login.c
 */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include "accounts/secret.h"
#include "auth/world.h"

struct login_ask {
    const char *username, *password; /* NULL: none */
    const char *client_id;
    const char *identity; /* what the certificate says; NULL: there is none, or it says nothing */
    uint64_t now_s;
};

enum login_is {
    LOGIN_DENY, /* with why */
    LOGIN_ALLOW,
    LOGIN_DEFER, /* somebody else is to decide */
    LOGIN_HTTP   /* the HTTP back end is to be asked, and then login_check from `next` on, if it does not know
                  */
};

struct login_answer {
    enum login_is is;
    const char *why;
    enum source source;    /* who has decided; SOURCES: nobody */
    char *username;        /* of who was allowed; NULL: nobody's name */
    char *device;          /* the class that it says; NULL: the client id tells */
    struct grants *grants; /* what it allows; NULL: it says nothing */
    uint64_t expires_s;    /* 0: never */
    size_t next;
    bool has_hashed; /* a password was: who has none to compare with must take as long */
};

/* From source `from` of the order on; 0: from the start. answer is fresh, or what LOGIN_HTTP left. */
void login_check(const struct world *w, const struct login_ask *ask, size_t from,
                 struct login_answer *answer);
void login_answer_fini(struct login_answer *answer);

/* NULL: the account may log in, or there is none of that name. */
const char *login_barred(const struct world *w, const char *username);

/* How much longer that holds what allowed somebody in; 0: for ever. False: no longer. */
bool login_lives(const struct login_answer *answer, uint64_t now_s, uint64_t *left_s);

/* May accounts of the database log in by SCRAM? */
bool login_has_scram(const struct world *w);

/* If they may: the keys of that name. False: nobody has it, and these only look like some. */
bool login_scram_keys(const struct world *w, const char *username, struct scram_keys *out);

/* Is who was let in by this source under this name still allowed? */
bool login_still(const struct world *w, enum source source, const char *username);

/* The rules: those of the database, then what the login brought along, then the ACL file, then the default.
 * RULE_SILENT: somebody else is to decide. */
enum rule_answer login_may(const struct world *w, const struct grants *grants, const struct rule_who *who,
                           enum rule_question question, struct bytes topic);

#endif
