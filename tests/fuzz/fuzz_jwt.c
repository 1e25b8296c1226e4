/* SPDX-License-Identifier: Apache-2.0 */
/* A token as it comes; and claims, which are signed as they must be, so that what is behind the signature is
 * reached. Whatever comes in was signed, has a name, and has not expired. */
#include "auth/json.h"
#include "auth/jwt.h"
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "unit/auth_plugin_tokens.h"
#include <stdlib.h>

enum { NOW = 1800000000, CLAIMS_MAX = 2000 };

static const struct jwt_rules rules = { .algorithms = JWT_ALL,
                                        .issuer = "",
                                        .audience = "",
                                        .username = "sub",
                                        .acl = "acl",
                                        .client_id = "cid",
                                        .device = "dev",
                                        .needs_exp = true };

static void verify(const struct jwt_keys *k, struct bytes token, bool may_be_good)
{
    struct jwt_claims c;
    const char *why = jwt_verify(k, &rules, token, NOW, &c);
    CHECK((why == NULL) == (c.username != NULL));
    if (why == NULL) CHECK(may_be_good && json_is_name(c.username) && c.expires_s > NOW);
    jwt_claims_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwt_keys *k;
    struct jwt_note note;
    char claims[CLAIMS_MAX + 1], token[TOKEN_ROOM];
    if (k == NULL) {
        CHECK(jwt_keys_new(&k) == ERR_OK);
        CHECK(jwt_keys_add_secret(k, bytes_of_text(TOKEN_SECRET), &note) == ERR_OK);
    }
    verify(k, bytes_of(data, size), false);
    if (size > CLAIMS_MAX || (size > 0 && memchr(data, '\0', size) != NULL)) return 0;
    if (size > 0) memcpy(claims, data, size);
    claims[size] = '\0';
    token_hs256("{\"alg\":\"HS256\"}", claims, token);
    verify(k, bytes_of_text(token), true);
    return 0;
}
