/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/tls_kit.h"
#include <openssl/err.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Peers that have much to say below MQTT: one read of them must not take all of it, for others wait. */

struct flood {
    struct kit_dir dir;
    struct kit_ca ca;
    struct tls *tls;
    struct kit_client c;
};

static void begin(struct flood *f)
{
    char text[TLS_TEXT_BYTES];
    kit_dir_init(&f->dir);
    kit_ca_init(&f->ca, "root");
    kit_issue_cn(&f->ca, &f->dir, "server", "localhost");
    struct tls_conf conf = { .certfile = kit_file(&f->dir, "server.crt"),
                             .keyfile = kit_file(&f->dir, "server.key") };
    CHECK_INT(ERR_OK, tls_new(&f->tls, &conf, NULL, text));
    kit_client_init(&f->c, f->tls, NULL);
}

static void end(struct flood *f)
{
    kit_client_fini(&f->c);
    tls_unref(&f->tls);
    kit_ca_fini(&f->ca);
    kit_dir_fini(&f->dir);
}

static int unread(const struct flood *f)
{
    int n = 0;
    CHECK_INT(0, ioctl(f->c.here.fd, FIONREAD, &n));
    return n;
}

/* Key updates into the socket, in one block: it would not hold so many small ones. */
static void update_keys(struct flood *f, int kind)
{
    enum { UPDATES = 4000 };
    char *block;
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set0_wbio(f->c.ssl, out);
    for (int i = 0; i < UPDATES; i++) {
        CHECK_INT(1, SSL_key_update(f->c.ssl, kind));
        CHECK_INT(1, SSL_do_handshake(f->c.ssl));
    }
    long n = BIO_get_mem_data(out, &block);
    CHECK_INT(n, send(f->c.fd, block, (size_t)n, 0));
}

static void check_key_updates(int kind)
{
    enum { READ_MOST = 20000 };
    struct flood f;
    char byte;
    size_t got;
    begin(&f);
    CHECK_INT(ERR_AGAIN, kit_shake(&f.c));
    update_keys(&f, kind);
    int before = unread(&f);
    CHECK_TRUE(before > 4 * READ_MOST);
    for (int reads = 0; before > 0 && reads < 10000; reads++) {
        CHECK_INT(ERR_AGAIN, kit_read(&f.c, &byte, 1, &got));
        CHECK_TRUE(before - unread(&f) <= READ_MOST);
        before = unread(&f);
        while (recv(f.c.fd, &byte, 1, MSG_DONTWAIT) == 1) continue; /* its answers */
    }
    CHECK_INT(0, before);
    end(&f);
}

TEST(a_flood_of_key_updates_is_read_a_little_at_a_time)
{
    check_key_updates(SSL_KEY_UPDATE_NOT_REQUESTED);
}

TEST(a_flood_of_key_updates_that_want_answers_is_read_a_little_at_a_time)
{
    check_key_updates(SSL_KEY_UPDATE_REQUESTED);
}

TEST(who_wants_answers_and_takes_none_is_not_read_on)
{
    struct flood f;
    char byte;
    size_t got;
    int small = 1;
    begin(&f);
    CHECK_INT(0, setsockopt(f.c.here.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    CHECK_INT(ERR_AGAIN, kit_shake(&f.c));
    update_keys(&f, SSL_KEY_UPDATE_REQUESTED);
    for (int i = 0; i < 1000 && (f.c.here.needs & TRANSPORT_WANTS_WRITE) == 0; i++)
        CHECK_INT(ERR_AGAIN, kit_read(&f.c, &byte, 1, &got));
    CHECK_TRUE((f.c.here.needs & TRANSPORT_WANTS_WRITE) != 0);
    CHECK_TRUE(unread(&f) > 0);
    end(&f);
}
