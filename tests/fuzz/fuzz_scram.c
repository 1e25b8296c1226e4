/* SPDX-License-Identifier: Apache-2.0 */
/* Two messages of a client, one a line, to the server's side of SCRAM. Without the password nobody comes in.
 */
#include "auth/scram.h"
#include "base/check.h"
#include "fuzz/fuzz.h"

static struct bytes line(struct bytes *rest)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->at, '\n', rest->len);
    size_t n = at == NULL ? rest->len : (size_t)(at - rest->at), skip = at == NULL ? n : n + 1;
    struct bytes b = bytes_of(rest->at, n);
    *rest = bytes_of(rest->at + skip, rest->len - skip);
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[SCRAM_KEY_BYTES] = { 7 };
    struct scram s;
    struct scram_keys keys;
    char answer[SCRAM_MESSAGE_BYTES];
    struct bytes rest = bytes_of(data, size);
    const char *why = scram_first(&s, line(&rest));
    if (why != NULL) return 0;
    CHECK(s.username[0] != '\0' && strlen(s.username) < sizeof s.username);
    scram_pretend(&keys, seed, SECRET_ITERATIONS_USUAL, bytes_of_text(s.username));
    if (scram_challenge(&s, &keys, true, "0123456789abcdef01234567") != NULL) return 0;
    CHECK(scram_final(&s, line(&rest), answer) != NULL);
    scram_wipe(&s);
    return 0;
}
