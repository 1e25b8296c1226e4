/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/tls_world.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Pre-shared keys that are known elsewhere: the handshake stands still until it is told. */

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static const uint8_t key_of_lamp[] = { 0x01, 0x23, 0xab };

static unsigned give_key(SSL *ssl, const char *hint, char *identity, unsigned identity_max,
                         unsigned char *key, unsigned key_max)
{
    (void)hint, (void)key_max;
    snprintf(identity, identity_max, "%s", (const char *)SSL_get_app_data(ssl));
    memcpy(key, key_of_lamp, sizeof key_of_lamp);
    return sizeof key_of_lamp;
}

static struct tls *make_asking(struct world *w)
{
    w->conf = (struct tls_conf){ .psk_hint = "hint", .asks_for_keys = true, .psk_file = w->conf.psk_file };
    return make(w, NULL);
}

static void come(struct kit_client *c, struct tls *tls, const char *identity, int version)
{
    kit_client_init(c, tls, NULL);
    SSL_set_app_data(c->ssl, (void *)(uintptr_t)identity);
    SSL_set_psk_client_callback(c->ssl, give_key);
    SSL_set_max_proto_version(c->ssl, version);
}

/* It stands still, and says for whose key. */
static struct transport_ask *shake_until_asked(struct kit_client *c, const char *identity)
{
    CHECK_INT(ERR_AGAIN, kit_shake(c));
    CHECK_INT(TRANSPORT_ASKS, c->here.needs & TRANSPORT_ASKS);
    struct transport_ask *a = c->here.ops->ask(&c->here);
    CHECK_TRUE(a != NULL);
    assert_string_equal(identity, a->identity);
    assert_string_equal("hint", a->hint);
    return a;
}

static void answer_key(struct transport_ask *a, const uint8_t *key, uint16_t bytes)
{
    memcpy(a->key, key, bytes);
    a->key_bytes = bytes;
    a->answer = TRANSPORT_ASK_KEY;
}

static void check_is_in(struct kit_client *c, const char *identity)
{
    char text[128];
    CHECK_INT(ERR_AGAIN, kit_shake(c));
    CHECK_INT(0, c->here.needs);
    CHECK_TRUE(c->here.ops->ask(&c->here) == NULL);
    CHECK_INT(ERR_OK, c->here.ops->identity(&c->here, TRANSPORT_PSK, text, sizeof text));
    assert_string_equal(identity, text);
}

static void check_is_refused(struct kit_client *c)
{
    CHECK_INT(ERR_SYNTAX, kit_shake(c));
    assert_string_equal("no pre-shared key has the identity that it named", c->here.why);
}

TEST(a_handshake_goes_on_with_the_key_that_it_is_told)
{
    struct world w;
    begin(&w);
    struct tls *tls = make_asking(&w);
    for (size_t i = 0; i < 2; i++) {
        struct kit_client c;
        char got[8];
        size_t n;
        come(&c, tls, "lamp", versions[i]);
        struct transport_ask *a = shake_until_asked(&c, "lamp");
        shake_until_asked(&c, "lamp"); /* however often it is read */
        answer_key(a, key_of_lamp, sizeof key_of_lamp);
        check_is_in(&c, "lamp");
        CHECK_INT(5, SSL_write(c.ssl, "hello", 5));
        CHECK_INT(ERR_OK, kit_read(&c, got, sizeof got, &n));
        CHECK_INT(5, n);
        kit_client_fini(&c);
    }
    tls_unref(&tls);
    end(&w);
}

TEST(a_key_that_is_wrong_or_that_nobody_has_ends_it)
{
    struct world w;
    begin(&w);
    struct tls *tls = make_asking(&w);
    for (size_t i = 0; i < 2; i++) {
        struct kit_client c;
        come(&c, tls, "lamp", versions[i]);
        answer_key(shake_until_asked(&c, "lamp"), (const uint8_t *)"x", 1);
        CHECK_INT(ERR_SYNTAX, kit_shake(&c));
        kit_client_fini(&c);
        come(&c, tls, "lamp", versions[i]);
        shake_until_asked(&c, "lamp")->answer = TRANSPORT_ASK_REFUSE;
        check_is_refused(&c);
        kit_client_fini(&c);
        come(&c, tls, "lamp", versions[i]);
        shake_until_asked(&c, "lamp")->answer = TRANSPORT_ASK_OWN; /* there is no psk_file */
        check_is_refused(&c);
        kit_client_fini(&c);
    }
    tls_unref(&tls);
    end(&w);
}

TEST(when_nobody_else_decides_the_file_does)
{
    struct world w;
    begin(&w);
    w.conf.psk_file = kit_file(&w.dir, "psk");
    kit_write(w.conf.psk_file, "lamp:0123ab\n");
    struct tls *tls = make_asking(&w);
    for (size_t i = 0; i < 2; i++) {
        struct kit_client c;
        come(&c, tls, "lamp", versions[i]);
        shake_until_asked(&c, "lamp")->answer = TRANSPORT_ASK_OWN;
        check_is_in(&c, "lamp");
        kit_client_fini(&c);
        come(&c, tls, "lamp", versions[i]);
        shake_until_asked(&c, "lamp")->answer = TRANSPORT_ASK_REFUSE; /* whatever the file says */
        check_is_refused(&c);
        kit_client_fini(&c);
    }
    tls_unref(&tls);
    end(&w);
}

TEST(a_client_may_go_while_its_key_is_asked_for)
{
    struct world w;
    begin(&w);
    struct tls *tls = make_asking(&w);
    for (size_t i = 0; i < 2; i++) {
        struct kit_client c;
        come(&c, tls, "lamp", versions[i]);
        shake_until_asked(&c, "lamp");
        kit_client_fini(&c);
    }
    tls_unref(&tls);
    end(&w);
}

TEST(who_comes_with_no_key_is_not_asked_about)
{
    struct world w;
    begin(&w);
    w.conf.psk_hint = "hint";
    w.conf.asks_for_keys = true;
    struct tls *tls = make(&w, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct kit_client c;
        kit_client_init(&c, tls, NULL);
        SSL_set_max_proto_version(c.ssl, versions[i]);
        CHECK_INT(ERR_AGAIN, kit_shake(&c));
        CHECK_TRUE(SSL_is_init_finished(c.ssl));
        kit_client_fini(&c);
    }
    tls_unref(&tls);
    end(&w);
}

/* What the client has written goes to the transport byte by byte. */
static enum err trickle(struct kit_client *c, BIO *out)
{
    char flight[1 << 14], byte;
    size_t got;
    enum err rc = ERR_AGAIN;
    SSL_do_handshake(c->ssl);
    ERR_clear_error();
    int n = BIO_read(out, flight, sizeof flight);
    for (int i = 0; i < n; i++) {
        CHECK_INT(1, send(c->fd, flight + i, 1, 0));
        rc = kit_read(c, &byte, 1, &got);
    }
    return rc;
}

TEST(a_handshake_that_comes_byte_by_byte_is_asked_about_once)
{
    struct world w;
    begin(&w);
    struct tls *tls = make_asking(&w);
    for (size_t i = 0; i < 2; i++) {
        struct kit_client c;
        come(&c, tls, "lamp", versions[i]);
        BIO *out = BIO_new(BIO_s_mem());
        SSL_set0_wbio(c.ssl, out);
        unsigned asked = 0;
        for (int turn = 0; turn < 5; turn++) {
            CHECK_INT(ERR_AGAIN, trickle(&c, out));
            struct transport_ask *a = c.here.ops->ask(&c.here);
            if (a == NULL) continue;
            asked++;
            answer_key(a, key_of_lamp, sizeof key_of_lamp);
            char byte;
            size_t got;
            CHECK_INT(ERR_AGAIN, kit_read(&c, &byte, 1, &got));
        }
        CHECK_INT(1, asked);
        CHECK_TRUE(SSL_is_init_finished(c.ssl));
        CHECK_INT(0, c.here.needs);
        kit_client_fini(&c);
    }
    tls_unref(&tls);
    end(&w);
}

/* Whoever knows the key may have forgotten it meanwhile. */
TEST(a_session_of_such_a_key_is_not_taken_up_again)
{
    struct world w;
    struct kit_client c;
    begin(&w);
    struct tls *tls = make_asking(&w);
    come(&c, tls, "lamp", TLS1_2_VERSION);
    answer_key(shake_until_asked(&c, "lamp"), key_of_lamp, sizeof key_of_lamp);
    check_is_in(&c, "lamp");
    SSL_SESSION *session = SSL_get1_session(c.ssl);
    CHECK_TRUE(SSL_SESSION_has_ticket(session) == 1);
    kit_client_fini(&c);
    come(&c, tls, "lamp", TLS1_2_VERSION);
    CHECK_INT(1, SSL_set_session(c.ssl, session));
    shake_until_asked(&c, "lamp");
    kit_client_fini(&c);
    SSL_SESSION_free(session);
    tls_unref(&tls);
    end(&w);
}
