/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access_int - what the files of this module share: the snapshot, and reading files line by line.
 *
 * Thread:  one, while it is made.
 * Memory:  all of it is the snapshot's.
 * Limits:  see access.h.
 * Errors:  see access.h.
 * Tests:   see access.h.
 */
#ifndef ACCESS_ACCESS_INT_H
#define ACCESS_ACCESS_INT_H

#include "access/access.h"
#include "base/map.h"
#include "base/ref.h"

enum { DIGEST_BYTES = 64 };

/* $6$: one SHA-512 of password and salt; $7$: PBKDF2 with HMAC-SHA-512. */
struct hash_way {
    uint32_t iterations; /* 0: $6$ */
    uint8_t salt_bytes;
    uint8_t salt[ACCESS_SALT_BYTES_MAX];
};

struct account {
    struct hash_way way;
    uint8_t digest[DIGEST_BYTES];
    uint32_t name_bytes;
    char name[];
};

struct rule {
    uint8_t rights; /* of a grant: enum access_right */
    bool has_user;  /* a pattern with %u */
    bool is_fixed;  /* a pattern without %u and %c, or no pattern: stands as it is */
    uint32_t filter_bytes;
    char filter[];
};

struct rule_list {
    struct rule **at;
    size_t count, room;
};

/* A topic without wildcards, and all that is said of it. */
struct exact {
    bool is_denied;
    uint8_t rights;
    uint32_t topic_bytes;
    char topic[];
};

struct rules {
    struct map exact;
    struct rule_list denials, grants; /* with wildcards, or patterns */
};

struct role {
    struct rules rules;
    uint32_t name_bytes;
    char name[];
};

struct access {
    struct ref ref;
    uint64_t seed;
    bool has_accounts, has_rules;
    struct map accounts;   /* struct account by name */
    struct hash_way usual; /* what an unknown user's password is hashed with */
    struct rules nobody;   /* for clients without a user name */
    struct map roles;      /* struct role by user name */
    struct rules patterns; /* for all */
    size_t rules_count;
};

/* Where a parser stands, for what it says. */
struct place {
    const char *file;
    size_t line;
    struct access_notes *notes;
    size_t warnings;
};

__attribute__((format(printf, 2, 3))) void access_warn(struct place *p, const char *format, ...);
__attribute__((format(printf, 3, 4))) enum err access_error(struct place *p, enum err rc, const char *format,
                                                            ...);
/* That so many warnings were not given. */
void access_end(struct place *p);

/* The next line of *rest without its end and the blanks there. ERR_NOTFOUND at the end; ERR_FULL. */
enum err access_line(struct place *p, struct bytes *rest, struct bytes *line);
struct bytes access_trim(struct bytes b);
/* Splits off the first word at blanks; empty at the end. */
struct bytes access_word(struct bytes *rest);

/* A file into memory, which free() frees. */
enum err access_read_file(const char *path, struct bytes *out, struct access_notes *notes);

/* Base64 with its padding. False: it is none, or longer than room. */
bool base64_decode(struct bytes text, uint8_t *out, size_t room, size_t *bytes);
void hash_password(const struct hash_way *way, struct bytes password, uint8_t digest[DIGEST_BYTES]);
bool hash_equal(const uint8_t *a, const uint8_t *b);

enum err accounts_parse(struct access *a, const struct access_source *s, struct access_notes *notes);
void accounts_free(struct access *a);

void rules_init(struct access *a);
enum err rules_parse(struct access *a, const struct access_source *s, struct access_notes *notes);
void rules_free(struct access *a);

#endif
