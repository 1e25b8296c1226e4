/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of certificates and keys, and what to say of those that are wrong. */

enum err tls_say(struct tls_text *text, enum err rc, const char *format, ...)
{
    va_list args;
    if (text->at[0] != '\0') return rc;
    va_start(args, format);
    vsnprintf(text->at, TLS_TEXT_BYTES, format, args);
    va_end(args);
    return rc;
}

enum err tls_say_file(struct tls_text *text, const char *option, const char *path)
{
    unsigned long e = ERR_peek_error();
    const char *why = ERR_reason_error_string(e);
    ERR_clear_error();
    if (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE)
        why = "has no PEM block of the kind that is needed";
    return tls_say(text, ERR_SYNTAX, "%s %s: %s", option, path, why == NULL ? "cannot be used" : why);
}

static enum err say_errno(struct tls_text *text, const char *option, const char *path)
{
    int why = errno;
    if (why == EACCES)
        return tls_say(text, ERR_SYS, "%s %s: %s for user id %u: let that user read it, and its folder",
                       option, path, strerror(why), (unsigned)geteuid());
    return tls_say(text, ERR_SYS, "%s %s: %s", option, path, strerror(why));
}

static enum err copy(BIO *to, int fd, const char *option, const char *path, struct tls_text *text)
{
    char block[4096];
    ssize_t n;
    while ((n = read(fd, block, sizeof block)) > 0)
        if (BIO_write(to, block, (int)n) != (int)n) return tls_say(text, ERR_NOMEM, "out of memory");
    OPENSSL_cleanse(block, sizeof block);
    return n == 0 ? ERR_OK : say_errno(text, option, path);
}

static enum err check_kind(int fd, const char *option, const char *path, struct tls_text *text)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return say_errno(text, option, path);
    if (!S_ISREG(st.st_mode)) return tls_say(text, ERR_SYS, "%s %s: is no regular file", option, path);
    if (st.st_size <= TLS_FILE_BYTES_MAX) return ERR_OK;
    return tls_say(text, ERR_FULL, "%s %s: has %lld bytes; allowed: %d", option, path, (long long)st.st_size,
                   TLS_FILE_BYTES_MAX);
}

enum err tls_load(BIO **out, const char *option, const char *path, struct tls_text *text)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would make it wait */
    if (fd < 0) return say_errno(text, option, path);
    enum err rc = check_kind(fd, option, path, text);
    BIO *b = rc == ERR_OK ? BIO_new(BIO_s_secmem()) : NULL; /* wiped when it is freed */
    if (rc == ERR_OK && b == NULL) rc = tls_say(text, ERR_NOMEM, "out of memory");
    if (rc == ERR_OK) rc = copy(b, fd, option, path, text);
    close(fd);
    if (rc != ERR_OK) {
        BIO_free(b);
        return rc;
    }
    BIO_set_mem_eof_return(b, 0);
    *out = b;
    return ERR_OK;
}

/* --- a certificate with its key */

static enum err read_chain(struct tls_pair *out, BIO *from, const struct tls_pair_files *files,
                           struct tls_text *text)
{
    X509 *x;
    out->own = PEM_read_bio_X509_AUX(from, NULL, NULL, NULL);
    if (out->own == NULL) return tls_say_file(text, files->cert_option, files->cert_path);
    out->chain = sk_X509_new_null();
    if (out->chain == NULL) return tls_say(text, ERR_NOMEM, "out of memory");
    while ((x = PEM_read_bio_X509(from, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(out->chain, x) == 0) {
            X509_free(x);
            return tls_say(text, ERR_NOMEM, "out of memory");
        }
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (!is_end) return tls_say_file(text, files->cert_option, files->cert_path);
    ERR_clear_error();
    return ERR_OK;
}

/* OpenSSL would ask on a terminal that nobody may be sitting at. */
static int refuse_passphrase(char *out, int size, int writes, void *was_asked)
{
    (void)out, (void)size, (void)writes;
    *(bool *)was_asked = true;
    return -1;
}

static enum err read_key(struct tls_pair *out, BIO *from, const struct tls_pair_files *files,
                         struct tls_text *text)
{
    bool is_locked = false;
    out->key = PEM_read_bio_PrivateKey(from, NULL, refuse_passphrase, &is_locked);
    if (out->key != NULL) return ERR_OK;
    if (is_locked) {
        ERR_clear_error();
        return tls_say(
            text, ERR_SYNTAX,
            "%s %s: is locked with a passphrase, for which the broker does not ask; unlock it with "
            "'openssl pkey -in %s -out NEW' and protect NEW by its permissions",
            files->key_option, files->key_path, files->key_path);
    }
    return tls_say_file(text, files->key_option, files->key_path);
}

enum err tls_pair_read(struct tls_pair *out, const struct tls_pair_files *files, struct tls_text *text)
{
    BIO *cert = NULL, *key = NULL;
    *out = (struct tls_pair){ 0 };
    enum err rc = tls_load(&cert, files->cert_option, files->cert_path, text);
    if (rc == ERR_OK) rc = read_chain(out, cert, files, text);
    if (rc == ERR_OK) rc = tls_load(&key, files->key_option, files->key_path, text);
    if (rc == ERR_OK) rc = read_key(out, key, files, text);
    if (rc == ERR_OK && X509_check_private_key(out->own, out->key) != 1)
        rc = tls_say(text, ERR_SYNTAX, "%s %s: is not the key of %s %s; both must be of one pair",
                     files->key_option, files->key_path, files->cert_option, files->cert_path);
    ERR_clear_error();
    BIO_free(cert);
    BIO_free(key);
    if (rc != ERR_OK) tls_pair_fini(out);
    return rc;
}

void tls_pair_fini(struct tls_pair *p)
{
    X509_free(p->own);
    sk_X509_pop_free(p->chain, X509_free);
    EVP_PKEY_free(p->key);
    *p = (struct tls_pair){ 0 };
}
