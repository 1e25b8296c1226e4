/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scram - the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: two messages in,
 * two out. A name that is not known is answered like one that is, and fails at the end.
 *
 *   scram_first -> (who is it?) -> scram_challenge -> scram_final
 *
 * Thread:  one at a time.
 * Memory:  the caller's struct; scram_wipe when it is over.
 * Limits:  SCRAM_MESSAGE_BYTES a message. Names and passwords are taken as they are, in UTF-8: without the
 *          normalisation of SASLprep.
 * Errors:  a text, fit for a log.
 * Tests:   tests/unit/test_auth_plugin_scram.c (the vector of RFC 7677)
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "accounts/secret.h"
#include "base/bytes.h"

enum { SCRAM_MESSAGE_BYTES = 1024, SCRAM_NAME_BYTES = 256, SCRAM_NONCE_BYTES = 24, SCRAM_BINDING_BYTES = 16 };

struct scram {
    char username[SCRAM_NAME_BYTES];
    char binding[SCRAM_BINDING_BYTES];                            /* the header of the first message */
    char first[SCRAM_MESSAGE_BYTES], answer[SCRAM_MESSAGE_BYTES]; /* the first bare, and ours to it */
    char nonce[SCRAM_MESSAGE_BYTES];                              /* the client's, then both */
    struct scram_keys keys;
    bool is_known;
};

/* NULL, and username is set; or why not. */
const char *scram_first(struct scram *s, struct bytes message);

/* The answer is in s->answer. nonce: of printable characters but ',', ours. */
const char *scram_challenge(struct scram *s, const struct scram_keys *keys, bool is_known, const char *nonce);

/* NULL: it is who it says, and answer is for the client. */
const char *scram_final(struct scram *s, struct bytes message, char answer[SCRAM_MESSAGE_BYTES]);

void scram_wipe(struct scram *s);

/* Keys that look like an account's, always the same for one name, seed, and number of iterations. */
void scram_pretend(struct scram_keys *k, const uint8_t seed[SCRAM_KEY_BYTES], uint32_t iterations,
                   struct bytes username);

#endif
