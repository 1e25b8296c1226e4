/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access_int.h"
#include "base/rng.h"
#include <stdlib.h>

/* The password file. A line that nobody could log in by is left out with a warning, as mosquitto does: one
 * bad line must not shut everybody out. */

struct name_key {
    struct bytes name;
};

static struct bytes name_of(const struct account *c)
{
    return bytes_of(c->name, c->name_bytes);
}

static bool is_named(const void *item, const void *key)
{
    return bytes_equal(name_of(item), ((const struct name_key *)key)->name);
}

static const struct account *find(const struct access *a, struct bytes name)
{
    struct name_key key = { name };
    return map_get(&a->accounts, bytes_hash(name, a->seed), is_named, &key);
}

/* --- a line */

/* The next field between '$'. */
static struct bytes field_next(struct bytes *rest)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->at, '$', rest->len);
    size_t n = end == NULL ? rest->len : (size_t)(end - rest->at);
    struct bytes field = bytes_of(rest->at, n);
    size_t skip = end == NULL ? n : n + 1;
    *rest = bytes_of(rest->at + skip, rest->len - skip);
    return field;
}

static bool number(struct bytes text, uint32_t *out)
{
    uint32_t v = 0;
    if (text.len == 0 || text.len > 9) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') return false;
        v = v * 10 + (uint32_t)(text.at[i] - '0');
    }
    *out = v;
    return true;
}

/* NULL, or why it cannot be. */
static const char *parse_hash(struct bytes hash, struct hash_way *way, uint8_t digest[DIGEST_BYTES])
{
    size_t bytes;
    struct bytes rest = hash;
    struct bytes before = field_next(&rest), type = field_next(&rest);
    bool is_6 = bytes_equal(type, bytes_of_text("6")), is_7 = bytes_equal(type, bytes_of_text("7"));
    if (hash.len == 0 || hash.at[0] != '$' || before.len > 0)
        return "the password is no hash; allowed: what mosquitto_passwd writes (mosquitto_passwd -U FILE "
               "replaces passwords by their hashes)";
    if (!is_6 && !is_7)
        return "this kind of hash is not known; allowed: $6$ and $7$ (mosquitto_passwd -H sha512-pbkdf2)";
    if (is_7 && (!number(field_next(&rest), &way->iterations) || way->iterations == 0 ||
                 way->iterations > ACCESS_ITERATIONS_MAX))
        return "a wrong number of iterations; allowed: 1 to 2000000";
    if (!base64_decode(field_next(&rest), way->salt, sizeof way->salt, &bytes))
        return "the salt cannot be read; allowed: 1 to 64 bytes in base64";
    way->salt_bytes = (uint8_t)bytes;
    if (!base64_decode(field_next(&rest), digest, DIGEST_BYTES, &bytes) || bytes != DIGEST_BYTES)
        return "the hash cannot be read; allowed: 64 bytes in base64";
    return rest.len > 0 ? "something follows the hash; allowed: nothing" : NULL;
}

const char *access_hash_wrong(struct bytes text)
{
    struct hash_way way = { 0 };
    uint8_t digest[DIGEST_BYTES];
    return parse_hash(text, &way, digest);
}

bool access_hash_check(struct bytes text, struct bytes password)
{
    struct hash_way way = { 0 };
    uint8_t want[DIGEST_BYTES], digest[DIGEST_BYTES];
    if (parse_hash(text, &way, want) != NULL || password.len == 0) return false;
    hash_password(&way, password, digest);
    return hash_equal(digest, want);
}

static enum err add(struct access *a, struct bytes name, const struct account *parsed)
{
    struct account *c = malloc(sizeof *c + name.len);
    if (c == NULL) return ERR_NOMEM;
    *c = *parsed;
    c->name_bytes = (uint32_t)name.len;
    memcpy(c->name, name.at, name.len);
    enum err rc = map_put(&a->accounts, bytes_hash(name, a->seed), c);
    if (rc != ERR_OK) free(c);
    return rc;
}

static enum err parse_line(struct access *a, struct place *p, struct bytes line)
{
    const uint8_t *colon = line.len == 0 ? NULL : memchr(line.at, ':', line.len);
    struct account parsed = { 0 };
    if (line.len == 0 || line.at[0] == '#') return ERR_OK;
    if (colon == NULL) {
        access_warn(p, "a line without ':' is left out; allowed: USER:HASH"); /* it may be a password */
        return ERR_OK;
    }
    struct bytes name = access_trim(bytes_of(line.at, (size_t)(colon - line.at)));
    struct bytes hash = access_trim(bytes_of(colon + 1, line.len - (size_t)(colon + 1 - line.at)));
    int shown = name.len > 100 ? 100 : (int)name.len;
    const char *why = name.len == 0 || name.len > UINT16_MAX
                          ? "the user name is wrong; allowed: 1 to 65535 bytes"
                      : find(a, name) != NULL ? "the user has a line already, which holds; allowed: one"
                                              : parse_hash(hash, &parsed.way, parsed.digest);
    if (why != NULL) {
        access_warn(p, "user '%.*s' is left out: %s", shown, (const char *)name.at, why);
        return ERR_OK;
    }
    if (a->accounts.count >= ACCESS_ENTRIES_MAX)
        return access_error(p, ERR_FULL, "too many users; allowed: at most %d", ACCESS_ENTRIES_MAX);
    return add(a, name, &parsed);
}

/* The number of iterations that most have, if more than half of them have one: the vote needs no table. */
static void find_usual(struct access *a)
{
    size_t at = 0, votes = 0;
    uint32_t most = 101; /* of mosquitto_passwd */
    for (const struct account *c = map_next(&a->accounts, &at); c != NULL; c = map_next(&a->accounts, &at)) {
        if (votes == 0) most = c->way.iterations;
        votes = c->way.iterations == most ? votes + 1 : votes - 1;
    }
    a->usual = (struct hash_way){ .iterations = most, .salt_bytes = 12 };
    rng_fill(a->usual.salt, a->usual.salt_bytes);
}

enum err accounts_parse(struct access *a, const struct access_source *s, struct access_notes *notes)
{
    struct place p = { .file = s->name, .notes = notes };
    struct bytes rest = s->bytes, line;
    enum err rc;
    a->has_accounts = true;
    while ((rc = access_line(&p, &rest, &line)) == ERR_OK) {
        rc = parse_line(a, &p, line);
        if (rc != ERR_OK) return rc;
    }
    access_end(&p);
    find_usual(a);
    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

void accounts_free(struct access *a)
{
    size_t at = 0;
    for (struct account *c = map_next(&a->accounts, &at); c != NULL; c = map_next(&a->accounts, &at)) free(c);
    map_fini(&a->accounts);
}

/* --- questions */

bool access_has_accounts(const struct access *a)
{
    return a != NULL && a->has_accounts;
}

bool access_knows(const struct access *a, struct bytes username)
{
    return find(a, username) != NULL;
}

bool access_verify(const struct access *a, struct bytes username, struct bytes password)
{
    uint8_t digest[DIGEST_BYTES];
    static const uint8_t none[DIGEST_BYTES];
    const struct account *c = find(a, username);
    hash_password(c != NULL ? &c->way : &a->usual, password, digest);
    bool is_equal = hash_equal(digest, c != NULL ? c->digest : none);
    return is_equal && c != NULL && password.len > 0;
}
