/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/scram.h"
#include "accounts/b64.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/*
 * client-first   n,,n=USER,r=CNONCE
 * server-first   r=CNONCE+SNONCE,s=SALT,i=ITERATIONS
 * client-final   c=BASE64("n,,"),r=CNONCE+SNONCE,p=PROOF
 * server-final   v=SIGNATURE
 */

enum { BINDING_TEXT_BYTES = B64_TEXT_BYTES(SCRAM_BINDING_BYTES) };

static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x21 || text.at[i] > 0x7e) return false;
    return text.len > 0;
}

/* The next attribute between commas, which begins with `name` and '='. */
static bool attribute(struct bytes *rest, char name, struct bytes *value)
{
    if (rest->len < 2 || rest->at[0] != (uint8_t)name || rest->at[1] != '=') return false;
    const uint8_t *comma = memchr(rest->at, ',', rest->len);
    size_t n = comma == NULL ? rest->len : (size_t)(comma - rest->at), skip = comma == NULL ? n : n + 1;
    *value = bytes_of(rest->at + 2, n - 2);
    *rest = bytes_of(rest->at + skip, rest->len - skip);
    return true;
}

static bool copy(char *to, size_t room, struct bytes from)
{
    if (from.len >= room) return false;
    if (from.len > 0) memcpy(to, from.at, from.len);
    to[from.len] = '\0';
    return true;
}

/* "=2C" is a comma and "=3D" an equals sign. */
static bool decode_name(struct bytes text, char to[SCRAM_NAME_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++, n++) {
        if (n + 1 >= SCRAM_NAME_BYTES || text.at[i] < 0x20 || text.at[i] == 0x7f) return false;
        to[n] = (char)text.at[i];
        if (text.at[i] != '=') continue;
        if (text.len - i < 3) return false;
        bool is_comma = memcmp(text.at + i, "=2C", 3) == 0, is_equals = memcmp(text.at + i, "=3D", 3) == 0;
        if (!is_comma && !is_equals) return false;
        to[n] = is_comma ? ',' : '=';
        i += 2;
    }
    to[n] = '\0';
    return n > 0;
}

const char *scram_first(struct scram *s, struct bytes message)
{
    struct bytes name, nonce, rest = message;
    *s = (struct scram){ .is_known = false };
    if (message.len >= SCRAM_MESSAGE_BYTES || message.len < 3)
        return "a message of SCRAM is too long or too short";
    if (message.at[0] == 'p') return "SCRAM with channel binding is not possible here";
    if ((message.at[0] != 'n' && message.at[0] != 'y') || message.at[1] != ',')
        return "a message of SCRAM cannot be read";
    if (message.at[2] != ',') return "SCRAM in the name of somebody else is not possible here";
    copy(s->binding, sizeof s->binding, bytes_of(message.at, 3));
    rest = bytes_of(message.at + 3, message.len - 3);
    copy(s->first, sizeof s->first, rest);
    if (!attribute(&rest, 'n', &name) || !attribute(&rest, 'r', &nonce) || !is_printable(nonce))
        return "a message of SCRAM cannot be read";
    copy(s->nonce, sizeof s->nonce, nonce);
    return decode_name(name, s->username) ? NULL : "a user name of SCRAM cannot be read";
}

const char *scram_challenge(struct scram *s, const struct scram_keys *keys, bool is_known, const char *nonce)
{
    char salt[B64_TEXT_BYTES(SCRAM_SALT_BYTES_MAX)];
    size_t n = strlen(s->nonce), more = strlen(nonce);
    s->keys = *keys;
    s->is_known = is_known;
    if (n + more >= sizeof s->nonce) return "a nonce of SCRAM is too long";
    memcpy(s->nonce + n, nonce, more + 1);
    b64_encode(bytes_of(keys->salt, keys->salt_bytes), salt);
    int bytes =
        snprintf(s->answer, sizeof s->answer, "r=%s,s=%s,i=%u", s->nonce, salt, (unsigned)keys->iterations);
    return bytes < (int)sizeof s->answer ? NULL : "a nonce of SCRAM is too long";
}

/* What both sign: the first two messages, and the last without its proof. */
static void auth_message(const struct scram *s, struct bytes last, char *to, size_t room)
{
    snprintf(to, room, "%s,%s,%.*s", s->first, s->answer, (int)last.len, (const char *)last.at);
}

/* RFC 5802 section 3: who has the ClientKey, whose hash we keep, made the proof. */
static bool is_proof(const struct scram *s, struct bytes signed_text, const uint8_t proof[SCRAM_KEY_BYTES])
{
    uint8_t key[SCRAM_KEY_BYTES], hash[SCRAM_KEY_BYTES];
    scram_hmac(s->keys.stored, signed_text, key);
    for (size_t i = 0; i < sizeof key; i++) key[i] ^= proof[i];
    scram_hash(key, hash);
    explicit_bzero(key, sizeof key);
    return CRYPTO_memcmp(hash, s->keys.stored, sizeof hash) == 0;
}

const char *scram_final(struct scram *s, struct bytes message, char answer[SCRAM_MESSAGE_BYTES])
{
    static const char wrong[] = "a message of SCRAM cannot be read";
    char text[3 * SCRAM_MESSAGE_BYTES + 2], binding[BINDING_TEXT_BYTES],
        signature[B64_TEXT_BYTES(SCRAM_KEY_BYTES)];
    uint8_t proof[SCRAM_KEY_BYTES], mine[SCRAM_KEY_BYTES];
    struct bytes channel, nonce, p, rest = message;
    size_t n;
    if (message.len >= SCRAM_MESSAGE_BYTES || s->answer[0] == '\0') return wrong;
    if (!attribute(&rest, 'c', &channel) || !attribute(&rest, 'r', &nonce)) return wrong;
    struct bytes last = bytes_of(message.at, rest.len == 0 ? message.len : message.len - rest.len - 1);
    if (!attribute(&rest, 'p', &p) || rest.len > 0) return wrong;
    if (!b64_decode(p, B64_STANDARD, proof, sizeof proof, &n) || n != sizeof proof) return wrong;
    b64_encode(bytes_of_text(s->binding), binding);
    if (!bytes_equal(channel, bytes_of_text(binding))) return "the header of SCRAM has changed on the way";
    if (!bytes_equal(nonce, bytes_of_text(s->nonce))) return "the nonce of SCRAM is another one";
    auth_message(s, last, text, sizeof text);
    bool is_good = is_proof(s, bytes_of_text(text), proof);
    if (!is_good || !s->is_known) return "the password is wrong, or there is no such account";
    scram_hmac(s->keys.server, bytes_of_text(text), mine);
    b64_encode(bytes_of(mine, sizeof mine), signature);
    snprintf(answer, SCRAM_MESSAGE_BYTES, "v=%s", signature);
    return NULL;
}

void scram_wipe(struct scram *s)
{
    explicit_bzero(s, sizeof *s);
}

void scram_pretend(struct scram_keys *k, const uint8_t seed[SCRAM_KEY_BYTES], uint32_t iterations,
                   struct bytes username)
{
    *k = (struct scram_keys){ .iterations = iterations, .salt_bytes = SCRAM_SALT_BYTES_USUAL };
    uint8_t mac[SCRAM_KEY_BYTES];
    scram_hmac(seed, username, mac);
    memcpy(k->salt, mac, k->salt_bytes);
    scram_hash(mac, k->stored); /* of what nobody knows */
}
