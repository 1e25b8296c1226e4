/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/tls_world.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- handshakes */

TEST(bytes_go_both_ways_after_a_handshake)
{
    struct world w;
    struct kit_client c;
    char got[16], hello[] = "hel", rest[] = "lo";
    size_t n;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    kit_client_init(&c, tls, NULL);
    CHECK_INT(TRANSPORT_SHAKES, c.here.needs);
    CHECK_INT(ERR_AGAIN, kit_shake(&c));
    CHECK_INT(0, c.here.needs);
    CHECK_INT(5, SSL_write(c.ssl, "hello", 5));
    CHECK_INT(ERR_OK, kit_read(&c, got, 2, &n));
    CHECK_INT(2, n);
    CHECK_INT(TRANSPORT_HAS_INPUT, c.here.needs); /* the rest is in OpenSSL's buffer: no event will tell */
    CHECK_INT(ERR_OK, kit_read(&c, got + 2, sizeof got - 2, &n));
    CHECK_INT(3, n);
    CHECK_INT(0, c.here.needs);
    CHECK_TRUE(memcmp(got, "hello", 5) == 0);
    CHECK_INT(ERR_AGAIN, kit_read(&c, got, sizeof got, &n));

    struct iovec parts[] = { { hello, 3 }, { NULL, 0 }, { rest, 2 } };
    CHECK_INT(ERR_OK, c.here.ops->write(&c.here, parts, 3, &n));
    CHECK_INT(5, n);
    CHECK_INT(5, SSL_read(c.ssl, got, sizeof got)); /* one record */
    CHECK_TRUE(memcmp(got, "hello", 5) == 0);
    kit_client_fini(&c);
    tls_unref(&tls);
    end(&w);
}

/* Moves bytes from the client's buffer to the transport one by one. */
TEST(a_handshake_that_comes_byte_by_byte_succeeds)
{
    struct world w;
    struct kit_client c;
    char flight[1 << 14], byte;
    size_t got;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    kit_client_init(&c, tls, NULL);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set0_wbio(c.ssl, out);
    enum err rc = ERR_AGAIN;
    for (int turn = 0; turn < 4; turn++) {
        SSL_do_handshake(c.ssl);
        ERR_clear_error();
        int n = BIO_read(out, flight, sizeof flight);
        for (int i = 0; i < n; i++) {
            CHECK_INT(1, send(c.fd, flight + i, 1, 0));
            rc = kit_read(&c, &byte, 1, &got);
            CHECK_INT(ERR_AGAIN, rc);
        }
    }
    CHECK_INT(0, c.here.needs);
    CHECK_TRUE(SSL_is_init_finished(c.ssl) == 1);
    kit_client_fini(&c);
    tls_unref(&tls);
    end(&w);
}

TEST(a_socket_that_takes_little_loses_and_repeats_nothing)
{
    enum { BYTES = 300000 };
    struct world w;
    struct kit_client c;
    int small = 4096;
    static uint8_t sent[BYTES], moved[BYTES], came[BYTES];
    size_t done = 0, have = 0, n;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    kit_client_init(&c, tls, NULL);
    CHECK_INT(0, setsockopt(c.here.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    CHECK_INT(ERR_AGAIN, kit_shake(&c));
    for (size_t i = 0; i < BYTES; i++) sent[i] = (uint8_t)(i * 7 + i / 251);
    unsigned refusals = 0;
    while (have < BYTES) {
        /* Each time from another address and cut in other places, as the shard's output is. */
        memcpy(moved, sent + done, BYTES - done);
        size_t cut = (done * 31 + 17) % 20000 < BYTES - done ? (done * 31 + 17) % 20000 : BYTES - done;
        struct iovec parts[] = { { moved, cut }, { sent + done + cut, BYTES - done - cut } };
        enum err rc = c.here.ops->write(&c.here, parts, 2, &n);
        CHECK_TRUE(rc == ERR_OK || rc == ERR_AGAIN);
        refusals += rc == ERR_AGAIN;
        done += n;
        int got = SSL_read(c.ssl, came + have, rand() % 5000 + 1);
        if (got > 0) have += (size_t)got;
        ERR_clear_error();
    }
    CHECK_INT(BYTES, done);
    CHECK_TRUE(refusals > 0);
    CHECK_TRUE(memcmp(sent, came, BYTES) == 0);
    kit_client_fini(&c);
    tls_unref(&tls);
    end(&w);
}

/* Gives how many bytes the transport has answered. */
static long answer_to(struct tls *tls, const char *bytes, size_t count)
{
    struct kit_client c;
    char got[64];
    size_t n;
    kit_client_init(&c, tls, NULL);
    CHECK_INT(count, send(c.fd, bytes, count, 0));
    CHECK_INT(ERR_SYNTAX, kit_read(&c, got, sizeof got, &n));
    CHECK_TRUE(c.here.why != NULL);
    CHECK_INT(TRANSPORT_HAS_OUTPUT, c.here.needs);
    CHECK_INT(0, ERR_peek_error());
    CHECK_INT(ERR_OK, c.here.ops->write(&c.here, NULL, 0, &n));
    CHECK_INT(0, c.here.needs);
    c.here.ops->end(&c.here);
    long answer = recv(c.fd, got, sizeof got, 0);
    if (answer > 0) CHECK_INT(0, recv(c.fd, got, sizeof got, 0));
    CHECK_INT(4, send(c.fd, "more", 4, 0));
    CHECK_INT(ERR_AGAIN, kit_read(&c, got, sizeof got, &n)); /* thrown away */
    shutdown(c.fd, SHUT_WR);
    CHECK_INT(ERR_CLOSED, kit_read(&c, got, sizeof got, &n));
    kit_client_fini(&c);
    return answer;
}

TEST(what_is_no_tls_is_told_in_words_and_ended_in_good_order)
{
    struct world w;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    CHECK_INT(0, answer_to(tls, "\x10\x0c\0\4MQTT\4\2\0\0\0\0", 14)); /* a CONNECT in the clear */
    CHECK_INT(7, answer_to(tls, "\x16\3\1\0\4\1\0\0\0", 9));          /* a ClientHello of nothing: an alert */
    tls_unref(&tls);
    end(&w);
}

TEST(who_only_looks_is_no_fault_and_who_leaves_in_the_middle_is_one)
{
    struct world w;
    struct kit_client c;
    char got[64];
    size_t n;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    kit_client_init(&c, tls, NULL);
    shutdown(c.fd, SHUT_WR);
    CHECK_INT(ERR_CLOSED, kit_read(&c, got, sizeof got, &n));
    kit_client_fini(&c);
    kit_client_init(&c, tls, NULL);
    SSL_do_handshake(c.ssl);
    CHECK_INT(ERR_AGAIN, kit_read(&c, got, sizeof got, &n));
    shutdown(c.fd, SHUT_WR);
    CHECK_INT(ERR_SYNTAX, kit_read(&c, got, sizeof got, &n));
    CHECK_TRUE(strstr(c.here.why, "middle") != NULL);
    kit_client_fini(&c);
    tls_unref(&tls);
    end(&w);
}

TEST(data_comes_before_the_end_behind_it)
{
    struct world w;
    struct kit_client c;
    char got[64];
    size_t n;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    kit_client_init(&c, tls, NULL);
    CHECK_INT(ERR_AGAIN, kit_shake(&c));
    CHECK_INT(3, SSL_write(c.ssl, "bye", 3));
    SSL_shutdown(c.ssl);
    CHECK_INT(ERR_OK, kit_read(&c, got, sizeof got, &n));
    CHECK_INT(3, n);
    CHECK_TRUE((c.here.needs & TRANSPORT_HAS_INPUT) != 0);
    CHECK_INT(ERR_CLOSED, kit_read(&c, got, sizeof got, &n));
    kit_client_fini(&c);

    kit_client_init(&c, tls, NULL);
    CHECK_INT(ERR_AGAIN, kit_shake(&c));
    CHECK_INT(3, SSL_write(c.ssl, "bye", 3));
    CHECK_INT(8, send(c.fd, "\x17\3\3\0\3abc", 8, 0)); /* no record of this session */
    CHECK_INT(ERR_OK, kit_read(&c, got, sizeof got, &n));
    CHECK_INT(3, n);
    CHECK_INT(ERR_SYNTAX, kit_read(&c, got, sizeof got, &n));
    CHECK_TRUE(c.here.why != NULL);
    kit_client_fini(&c);
    tls_unref(&tls);
    end(&w);
}

TEST(an_end_says_that_it_is_one)
{
    struct world w;
    struct kit_client c;
    char got[8];
    begin(&w);
    struct tls *tls = make(&w, NULL);
    kit_client_init(&c, tls, NULL);
    CHECK_INT(ERR_AGAIN, kit_shake(&c));
    c.here.ops->end(&c.here);
    c.here.ops->end(&c.here);
    int n = SSL_read(c.ssl, got, sizeof got);
    CHECK_INT(SSL_ERROR_ZERO_RETURN, SSL_get_error(c.ssl, n)); /* close_notify, not a torn stream */
    kit_client_fini(&c);
    tls_unref(&tls);
    end(&w);
}

/* --- who comes in */

static enum err come(struct tls *tls, const char *pair, char *name, size_t size)
{
    struct kit_client c;
    kit_client_init(&c, tls, pair);
    enum err rc = kit_shake(&c);
    name[0] = '\0';
    if (rc == ERR_AGAIN) c.here.ops->identity(&c.here, TRANSPORT_COMMON_NAME, name, size);
    if (rc == ERR_SYNTAX) snprintf(name, size, "%s", c.here.why);
    kit_client_fini(&c);
    return rc;
}

TEST(a_certificate_of_a_trusted_ca_names_its_client)
{
    static const char *const subject[] = { "C",  "DE",           "O", "Home, Ltd", "OU", "Lamps",
                                           "CN", "b\xc3\xb6rge", NULL };
    struct world w;
    struct kit_client c;
    char text[128];
    begin(&w);
    require_certificate(&w);
    kit_issue(&w.ca, &w.dir, "boerge", subject);
    struct tls *tls = make(&w, NULL);
    CHECK_INT(ERR_AGAIN, come(tls, w.alice, text, sizeof text));
    assert_string_equal("alice", text);
    kit_client_init(&c, tls, kit_file(&w.dir, "boerge"));
    CHECK_INT(ERR_AGAIN, kit_shake(&c));
    CHECK_INT(ERR_OK, c.here.ops->identity(&c.here, TRANSPORT_COMMON_NAME, text, sizeof text));
    assert_string_equal("b\xc3\xb6rge", text);
    CHECK_INT(ERR_SYNTAX, c.here.ops->identity(&c.here, TRANSPORT_COMMON_NAME, text, 6));
    CHECK_INT(ERR_OK, c.here.ops->identity(&c.here, TRANSPORT_SUBJECT, text, sizeof text));
    assert_string_equal("CN=b\\C3\\B6rge,OU=Lamps,O=Home\\, Ltd,C=DE", text);
    CHECK_INT(ERR_NOTFOUND, c.here.ops->identity(&c.here, TRANSPORT_PSK, text, sizeof text));
    kit_client_fini(&c);
    tls_unref(&tls);
    end(&w);
}

TEST(no_certificate_a_strangers_and_a_revoked_one_are_refused_with_the_reason)
{
    struct world w;
    struct kit_ca stranger;
    char text[128], path[TLS_KIT_PATH_BYTES * 2 + 8];
    begin(&w);
    require_certificate(&w);
    kit_ca_init(&stranger, "stranger");
    kit_issue_cn(&stranger, &w.dir, "mallory", "alice");
    kit_issue_cn(&w.ca, &w.dir, "bob", "bob");
    snprintf(path, sizeof path, "%s.crt", w.alice);
    kit_write_crl(&w.ca, w.crl, path);
    w.conf.crlfile = w.crl;
    struct tls *tls = make(&w, NULL);
    CHECK_INT(ERR_SYNTAX, come(tls, NULL, text, sizeof text));
    assert_string_equal("peer did not return a certificate", text);
    CHECK_INT(ERR_SYNTAX, come(tls, kit_file(&w.dir, "mallory"), text, sizeof text));
    assert_string_equal("unable to get local issuer certificate", text);
    CHECK_INT(ERR_SYNTAX, come(tls, w.alice, text, sizeof text));
    assert_string_equal("certificate revoked", text);
    CHECK_INT(ERR_AGAIN, come(tls, kit_file(&w.dir, "bob"), text, sizeof text));
    assert_string_equal("bob", text);
    kit_ca_fini(&stranger);
    tls_unref(&tls);
    end(&w);
}

static unsigned give_key(SSL *ssl, const char *hint, char *identity, unsigned identity_max,
                         unsigned char *key, unsigned key_max)
{
    (void)hint, (void)key_max;
    snprintf(identity, identity_max, "%s", (const char *)SSL_get_app_data(ssl));
    memcpy(key, "\x01\x23\xab", 3);
    return 3;
}

static enum err come_with_key(struct tls *tls, const char *identity, int version, char *text, size_t size)
{
    struct kit_client c;
    kit_client_init(&c, tls, NULL);
    SSL_set_app_data(c.ssl, (void *)(uintptr_t)identity);
    SSL_set_psk_client_callback(c.ssl, give_key);
    SSL_set_max_proto_version(c.ssl, version);
    enum err rc = kit_shake(&c);
    text[0] = '\0';
    if (rc == ERR_AGAIN) CHECK_INT(ERR_OK, c.here.ops->identity(&c.here, TRANSPORT_PSK, text, size));
    if (rc == ERR_SYNTAX) snprintf(text, size, "%s", c.here.why);
    kit_client_fini(&c);
    return rc;
}

TEST(a_pre_shared_key_names_its_client_in_both_versions)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct world w;
    char text[128];
    begin(&w);
    const char *path = kit_file(&w.dir, "psk");
    kit_write(path, "# keys\nlamp:0123AB\r\nlamp2:ff\n");
    w.conf = (struct tls_conf){ .psk_hint = "hint", .psk_file = path };
    struct tls *tls = make(&w, NULL);
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(ERR_AGAIN, come_with_key(tls, "lamp", versions[i], text, sizeof text));
        assert_string_equal("lamp", text);
        CHECK_INT(ERR_SYNTAX, come_with_key(tls, "lamp2", versions[i], text, sizeof text)); /* another key */
        CHECK_INT(ERR_SYNTAX, come_with_key(tls, "nobody", versions[i], text, sizeof text));
        assert_string_equal("no pre-shared key has the identity that it named", text);
    }
    tls_unref(&tls);
    end(&w);
}

/* Comes without a key that fits and says what it is known as: *knows is what identity has given. */
static enum err come_past_key(struct tls *tls, const char *suites, enum err *knows)
{
    struct kit_client c;
    char text[128];
    kit_client_init(&c, tls, NULL);
    SSL_set_app_data(c.ssl, (void *)(uintptr_t) "other");
    SSL_set_psk_client_callback(c.ssl, give_key);
    CHECK_INT(1, SSL_set_ciphersuites(c.ssl, suites));
    enum err rc = kit_shake(&c);
    *knows = c.here.ops->identity(&c.here, TRANSPORT_PSK, text, sizeof text);
    kit_client_fini(&c);
    return rc;
}

TEST(who_names_a_key_and_shakes_hands_without_it_is_not_known_by_it)
{
    struct world w;
    enum err knows;
    begin(&w);
    const char *path = kit_file(&w.dir, "psk");
    kit_write(path, "other:ff\n"); /* and the client has another key */
    w.conf.psk_hint = "hint";
    w.conf.psk_file = path;
    struct tls *tls = make(&w, NULL);
    /* A key has the hash SHA-256: with this cipher OpenSSL passes it over, and uses the certificate. */
    CHECK_INT(ERR_AGAIN, come_past_key(tls, "TLS_AES_256_GCM_SHA384", &knows));
    CHECK_INT(ERR_NOTFOUND, knows);
    /* With all of them it is taken, and found wrong. */
    CHECK_INT(ERR_SYNTAX, come_past_key(tls, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", &knows));
    CHECK_INT(ERR_NOTFOUND, knows);
    tls_unref(&tls);
    end(&w);
}

/* --- what is chosen by what the client says */

static void served(struct tls *tls, const char *name, char *common_name, size_t size)
{
    struct kit_client c;
    kit_client_init(&c, tls, NULL);
    /* What SSL_set_tlsext_host_name is, but for a cast that clang does not like. */
    void *shown = (void *)(uintptr_t)name;
    if (name != NULL) SSL_ctrl(c.ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, shown);
    CHECK_INT(ERR_AGAIN, kit_shake(&c));
    X509 *own = SSL_get1_peer_certificate(c.ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(own), NID_commonName, common_name, (int)size);
    X509_free(own);
    kit_client_fini(&c);
}

TEST(a_name_has_its_own_certificate_or_its_domains_or_the_listeners)
{
    static const char *const rows[][2] = {
        { "a.example", "a" },           { "A.Example", "a" },
        { "b.dom.example", "star" },    { "x.y.dom.example", "localhost" },
        { "dom.example", "localhost" }, { "c.w.example", "under" },
        { "strange", "localhost" },     { NULL, "localhost" },
    };
    struct world w;
    struct kit_dir names;
    char got[64];
    begin(&w);
    kit_dir_init(&names);
    kit_issue_cn(&w.ca, &names, "a.example", "a");
    kit_issue_cn(&w.ca, &names, "*.dom.example", "star");
    kit_issue_cn(&w.ca, &names, "_.w.example", "under");
    kit_write(kit_file(&names, "readme.txt"), "no certificate");
    w.conf.sni_dir = names.path;
    struct tls *tls = make(&w, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        served(tls, rows[i][0], got, sizeof got);
        assert_string_equal(rows[i][1], got);
    }
    tls_unref(&tls);
    unlink(kit_file(&names, "a.example.key"));
    refuse(&w, "sni_dir", "a.example.key");
    kit_dir_fini(&names);
    end(&w);
}

/* What was chosen of a list in the form of ALPN; NULL: nothing. */
static enum err choose(struct tls *tls, const char *list, char chosen[16])
{
    struct kit_client c;
    const unsigned char *at;
    unsigned n;
    kit_client_init(&c, tls, NULL);
    if (list != NULL) SSL_set_alpn_protos(c.ssl, (const unsigned char *)list, (unsigned)strlen(list));
    enum err rc = kit_shake(&c);
    SSL_get0_alpn_selected(c.ssl, &at, &n);
    snprintf(chosen, 16, "%.*s", (int)n, (const char *)at);
    kit_client_fini(&c);
    return rc;
}

TEST(mqtt_is_chosen_among_protocols_and_without_it_a_client_is_refused)
{
    struct world w;
    char got[16];
    begin(&w);
    struct tls *tls = make(&w, NULL);
    CHECK_INT(ERR_AGAIN, choose(tls, NULL, got));
    assert_string_equal("", got);
    CHECK_INT(ERR_AGAIN, choose(tls, "\x02h2\x04mqtt", got));
    assert_string_equal("mqtt", got);
    CHECK_INT(ERR_SYNTAX, choose(tls, "\x02h2\x05mqtt5", got));
    CHECK_INT(ERR_SYNTAX, choose(tls, "\x08http/1.1", got));
    tls_unref(&tls);
    w.conf.is_websocket = true;
    tls = make(&w, NULL);
    CHECK_INT(ERR_AGAIN, choose(tls, "\x02h2\x08http/1.1", got));
    assert_string_equal("http/1.1", got);
    CHECK_INT(ERR_AGAIN, choose(tls, "\x04mqtt", got));
    assert_string_equal("mqtt", got);
    tls_unref(&tls);
    end(&w);
}

static enum err come_with_version(struct tls *tls, int version)
{
    struct kit_client c;
    kit_client_init(&c, tls, NULL);
    SSL_set_security_level(c.ssl, 0);
    SSL_set_min_proto_version(c.ssl, version);
    SSL_set_max_proto_version(c.ssl, version);
    enum err rc = kit_shake(&c);
    kit_client_fini(&c);
    return rc;
}

/* option: tls_version */
TEST(tls_1_1_is_refused_and_the_least_version_can_be_1_3)
{
    struct world w;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    CHECK_INT(ERR_SYNTAX, come_with_version(tls, TLS1_1_VERSION));
    CHECK_INT(ERR_AGAIN, come_with_version(tls, TLS1_2_VERSION));
    CHECK_INT(ERR_AGAIN, come_with_version(tls, TLS1_3_VERSION));
    tls_unref(&tls);
    w.conf.version_min = TLS_1_3;
    tls = make(&w, NULL);
    CHECK_INT(ERR_SYNTAX, come_with_version(tls, TLS1_2_VERSION));
    CHECK_INT(ERR_AGAIN, come_with_version(tls, TLS1_3_VERSION));
    tls_unref(&tls);
    end(&w);
}

/* --- files that are replaced, and sessions that are resumed */

TEST(a_link_that_has_been_turned_shows_the_new_certificate)
{
    struct world w;
    struct kit_dir first, second;
    char got[64], data[TLS_KIT_PATH_BYTES * 2], crt[TLS_KIT_PATH_BYTES * 2], key[TLS_KIT_PATH_BYTES * 2];
    begin(&w);
    kit_dir_init(&first);
    kit_dir_init(&second);
    kit_issue_cn(&w.ca, &first, "tls", "first");
    kit_issue_cn(&w.ca, &second, "tls", "second");
    /* As Kubernetes does it: tls.crt -> ..data/tls.crt, ..data -> the folder of now. */
    copy(data, kit_file(&w.dir, "..data"));
    copy(crt, kit_file(&w.dir, "tls.crt"));
    copy(key, kit_file(&w.dir, "tls.key"));
    CHECK_INT(0, symlink("..data/tls.crt", crt));
    CHECK_INT(0, symlink("..data/tls.key", key));
    CHECK_INT(0, symlink(first.path, data));
    w.conf.certfile = crt;
    w.conf.keyfile = key;
    struct tls *before = make(&w, NULL);
    const char *swap = kit_file(&w.dir, "..data_tmp");
    CHECK_INT(0, symlink(second.path, swap));
    CHECK_INT(0, rename(swap, data));
    struct tls *tls = make(&w, before);
    served(before, NULL, got, sizeof got);
    assert_string_equal("first", got);
    served(tls, NULL, got, sizeof got);
    assert_string_equal("second", got);
    tls_unref(&before);
    tls_unref(&tls);
    kit_dir_fini(&first);
    kit_dir_fini(&second);
    end(&w);
}

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
    SSL_SESSION **kept = SSL_get_app_data(ssl);
    SSL_SESSION_free(*kept);
    *kept = s;
    return 1;
}

/* Comes with a session, if there is one, and takes another home. Was it resumed, and does the transport say
 * so? */
static bool resumes(struct tls *tls, const struct world *w, int version, SSL_SESSION **session)
{
    struct kit_client c;
    char name[16];
    size_t got;
    kit_client_init(&c, tls, w->alice);
    SSL_set_max_proto_version(c.ssl, version);
    SSL_CTX_set_session_cache_mode(c.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c.ctx, keep_session);
    if (*session != NULL) SSL_set_session(c.ssl, *session);
    SSL_set_app_data(c.ssl, session);
    bool told = false;
    for (int i = 0; i < 6; i++) {
        SSL_do_handshake(c.ssl);
        SSL_read(c.ssl, name, 1);
        ERR_clear_error();
        CHECK_INT(ERR_AGAIN, kit_read(&c, name, 1, &got));
        told = told || (c.here.needs & TRANSPORT_RESUMED) != 0;
    }
    SSL_read(c.ssl, name, 1);
    bool is = SSL_session_reused(c.ssl) == 1;
    CHECK_INT(is, told);
    CHECK_INT(ERR_OK, c.here.ops->identity(&c.here, TRANSPORT_COMMON_NAME, name, sizeof name));
    assert_string_equal("alice", name); /* a ticket knows whose it is */
    SSL_shutdown(c.ssl);
    kit_client_fini(&c);
    return is;
}

static void check_resumption(int version)
{
    struct world w;
    char revoked[TLS_KIT_PATH_BYTES * 2];
    SSL_SESSION *session = NULL;
    begin(&w);
    require_certificate(&w);
    kit_write_crl(&w.ca, w.crl, NULL);
    w.conf.crlfile = w.crl;
    struct tls *tls = make(&w, NULL);
    CHECK_TRUE(!resumes(tls, &w, version, &session));
    CHECK_TRUE(session != NULL);
    CHECK_TRUE(resumes(tls, &w, version, &session));
    CHECK_TRUE(resumes(tls, &w, version, &session));

    struct tls *same = make(&w, tls); /* a reload that changes another certificate, perhaps */
    CHECK_TRUE(resumes(same, &w, version, &session));
    struct tls *alien = make(&w, NULL);
    CHECK_TRUE(!resumes(alien, &w, version, &session));
    CHECK_TRUE(resumes(alien, &w, version, &session));

    kit_issue_cn(&w.ca, &w.dir, "other", "other");
    copy(revoked, kit_file(&w.dir, "other.crt"));
    kit_write_crl(&w.ca, w.crl, revoked);
    struct tls *stricter = make(&w, alien);
    CHECK_TRUE(!resumes(stricter, &w, version, &session)); /* shows its certificate again */
    CHECK_TRUE(resumes(stricter, &w, version, &session));
    SSL_SESSION_free(session);
    tls_unref(&tls);
    tls_unref(&same);
    tls_unref(&alien);
    tls_unref(&stricter);
    end(&w);
}

TEST(a_session_with_a_cipher_that_is_not_allowed_any_more_is_not_resumed)
{
    struct world w;
    SSL_SESSION *session = NULL;
    begin(&w);
    require_certificate(&w);
    w.conf.ciphers = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256";
    struct tls *tls = make(&w, NULL);
    resumes(tls, &w, TLS1_2_VERSION, &session);
    CHECK_TRUE(resumes(tls, &w, TLS1_2_VERSION, &session));
    w.conf.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    struct tls *strict = make(&w, tls);
    CHECK_TRUE(!resumes(strict, &w, TLS1_2_VERSION, &session));
    CHECK_TRUE(resumes(strict, &w, TLS1_2_VERSION, &session));
    SSL_SESSION_free(session);
    tls_unref(&tls);
    tls_unref(&strict);
    end(&w);
}

TEST(a_session_of_tls_1_2_is_resumed_until_other_clients_are_trusted)
{
    check_resumption(TLS1_2_VERSION);
}

TEST(a_session_of_tls_1_3_is_resumed_until_other_clients_are_trusted)
{
    check_resumption(TLS1_3_VERSION);
}

TEST(a_ticket_does_not_outlive_the_certificate_that_it_stands_for)
{
    enum { LEFT_S = 1000 };
    struct world w;
    SSL_SESSION *session = NULL;
    begin(&w);
    require_certificate(&w);
    struct tls *tls = make(&w, NULL);
    resumes(tls, &w, TLS1_3_VERSION, &session);
    CHECK_TRUE(SSL_SESSION_get_ticket_lifetime_hint(session) > LEFT_S);
    w.ca.valid_s = LEFT_S;
    kit_issue_cn(&w.ca, &w.dir, "alice", "alice");
    SSL_SESSION_free(session);
    session = NULL;
    resumes(tls, &w, TLS1_3_VERSION, &session);
    CHECK_TRUE(SSL_SESSION_get_ticket_lifetime_hint(session) <= LEFT_S);
    SSL_SESSION_free(session);
    tls_unref(&tls);
    end(&w);
}

TEST(a_listener_that_is_gone_lives_on_in_its_connections)
{
    struct world w;
    struct kit_client c;
    begin(&w);
    struct tls *tls = make(&w, NULL);
    kit_client_init(&c, tls, NULL);
    tls_unref(&tls);
    CHECK_INT(ERR_AGAIN, kit_shake(&c)); /* a sanitizer would object */
    CHECK_INT(0, c.here.needs);
    kit_client_fini(&c);
    end(&w);
}
