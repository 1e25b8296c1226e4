/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access - who may come in, and what to: a password file and an ACL file, as mosquitto 2.0 has them.
 *
 * A password file has lines "USER:$7$ITERATIONS$SALT$HASH" or "USER:$6$SALT$HASH", as mosquitto_passwd writes
 * them. An ACL file has lines "user NAME", "topic [read|write|readwrite|deny] FILTER", and the same with
 * "pattern", where %u is the user's name and %c the client id. What stands before the first "user" is for
 * clients without a user name, and patterns are for all. What is denied goes before what is allowed, the
 * user's own rules before patterns, and what no rule allows is not.
 *
 * Thread:  made on one; then any, for nothing in it changes. access_verify costs milliseconds to seconds, so
 *          it is the workers' (worker/worker.h).
 * Memory:  counted.
 * Limits:  ACCESS_*_MAX.
 * Errors:  "FILE:LINE: ...: what is allowed" in notes.error, with ERR_SYNTAX; ERR_SYS: a file that cannot be
 *          read; ERR_FULL: a limit; ERR_NOMEM. A line of a password file that nobody could log in by is left
 *          out with a warning, as in mosquitto.
 * Tests:   tests/unit/test_access.c, tests/fuzz/fuzz_password_file.c, tests/fuzz/fuzz_acl_file.c,
 *          tests/e2e/test_access.py
 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

#include "base/bytes.h"
#include "base/err.h"

struct access;

enum {
    ACCESS_LINE_BYTES_MAX = 65536 + 512, /* the longest user name, and what follows it */
    ACCESS_FILE_BYTES_MAX = 256 * 1024 * 1024,
    ACCESS_ENTRIES_MAX = 1000 * 1000,        /* accounts, and rules */
    ACCESS_ITERATIONS_MAX = 2 * 1000 * 1000, /* a second of a worker; mosquitto_passwd writes 101 */
    ACCESS_SALT_BYTES_MAX = 64,
    ACCESS_WARNINGS_MAX = 100, /* of one file; the others are counted */
    ACCESS_TEXT_BYTES = 1024,
};

/* What an operator is to know. */
struct access_notes {
    char error[ACCESS_TEXT_BYTES];
    void (*warn)(void *ctx, const char *text); /* NULL: nobody listens */
    void *ctx;
};

struct access_conf {
    const char *password_file, *acl_file; /* NULL or empty: none */
};

enum err access_new(struct access **out, const struct access_conf *conf, struct access_notes *notes);

/* The same, of files that are in memory. at is NULL when there is no such file. */
struct access_source {
    const char *name;
    struct bytes bytes;
};
enum err access_parse(struct access **out, const struct access_source *passwords,
                      const struct access_source *rules, struct access_notes *notes);

/* NULL stays NULL. */
struct access *access_ref(struct access *a);
void access_unref(struct access **owner);

/* Is there a password file? Has it this user? */
bool access_has_accounts(const struct access *a);
bool access_knows(const struct access *a, struct bytes username);

/* Is it this user's password? The time it takes does not say whether there is such a user. */
bool access_verify(const struct access *a, struct bytes username, struct bytes password);

/* What stands for it in a password file, with a salt of its own. iterations: of $7$; 0: $6$. */
enum { ACCESS_HASH_BYTES = 160 };
void access_make_hash(struct bytes password, uint32_t iterations, char text[ACCESS_HASH_BYTES]);

/* Such a text that is kept elsewhere: NULL, or what is allowed; and is it this password's? */
const char *access_hash_wrong(struct bytes text);
bool access_hash_check(struct bytes text, struct bytes password);

/* Is there an ACL file? Without one everything is allowed. */
bool access_has_rules(const struct access *a);

enum access_right { ACCESS_READ = 1, ACCESS_WRITE = 2 };

struct access_who {
    struct bytes username; /* at is NULL: none */
    struct bytes client_id;
};

/* May they read, or write, what has this (valid) topic name? */
bool access_may(const struct access *a, const struct access_who *who, struct bytes topic,
                enum access_right right);

#endif
