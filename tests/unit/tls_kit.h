/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_kit - throw-away certificates as files, and a client of TLS, for tests.
 *
 * Thread:  the test's.
 * Memory:  kit_pki_fini removes the files; kit_client_fini frees.
 * Limits:  TLS_KIT_PATH_BYTES.
 * Errors:  CHECK.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_TLS_KIT_H
#define UNIT_TLS_KIT_H

#include "net/tls.h"
#include <openssl/ssl.h>

enum { TLS_KIT_PATH_BYTES = 256 };

/* A CA, of EC keys. */
struct kit_ca {
    X509 *own;
    EVP_PKEY *key;
    X509_CRL *crl;
    int issued;
    unsigned rsa_bits; /* of the keys of what it issues; 0: EC keys */
    int valid_s;       /* how long what it issues is good; 0: a day */
};

void kit_ca_init(struct kit_ca *ca, const char *name);
void kit_ca_fini(struct kit_ca *ca);

/* A folder for files, and its end with all that is in it. */
struct kit_dir {
    char path[TLS_KIT_PATH_BYTES];
};
void kit_dir_init(struct kit_dir *d);
void kit_dir_fini(struct kit_dir *d);
/* The path of a file in it; the text is good until the eighth call after this one. */
const char *kit_file(const struct kit_dir *d, const char *name);
void kit_write(const char *path, const char *content);

/* A certificate and its key as NAME.crt and NAME.key in the folder. subject: fields "CN" "alice" ... NULL. */
void kit_issue(struct kit_ca *ca, const struct kit_dir *d, const char *name, const char *const *subject);
void kit_issue_cn(struct kit_ca *ca, const struct kit_dir *d, const char *name, const char *common_name);
/* The CA's own certificate, and its list of revoked ones, as files. */
void kit_write_ca(const struct kit_ca *ca, const char *path);
void kit_write_crl(struct kit_ca *ca, const char *path, const char *revoked_crt);

/* A client, on one end of a pair of sockets; the transport is on the other. */
struct kit_client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    struct transport here;
};

/* pair: a certificate's path without its ending, or NULL. */
void kit_client_init(struct kit_client *c, struct tls *tls, const char *pair);
void kit_client_fini(struct kit_client *c);
/* Both sides until they are done or one fails; gives what the transport said last: ERR_AGAIN when done. */
enum err kit_shake(struct kit_client *c);
/* Reads all there is of the transport: ERR_AGAIN at its end. */
enum err kit_read(struct kit_client *c, char *at, size_t size, size_t *got);

#endif
