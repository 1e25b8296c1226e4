/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/tls_world.h"
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- files and options that are wrong */

TEST(a_listener_without_tls_wants_none_and_one_with_half_of_it_is_refused)
{
    struct world w;
    begin(&w);
    CHECK_TRUE(!tls_is_wanted(&(struct tls_conf){ .ciphers = "DEFAULT", .psk_file = "x", .certfile = "" }));
    CHECK_TRUE(tls_is_wanted(&w.conf));
    w.conf.keyfile = NULL;
    refuse(&w, "certfile needs keyfile", "");
    w.conf = (struct tls_conf){ .keyfile = w.key };
    refuse(&w, "keyfile needs certfile", "");
    w.conf = (struct tls_conf){ .cafile = w.ca_crt };
    CHECK_TRUE(tls_is_wanted(&w.conf));
    refuse(&w, "certfile and keyfile", "psk_hint");
    w.conf = (struct tls_conf){ .psk_hint = "hint" };
    refuse(&w, "psk_hint needs psk_file", "");
    w.conf = (struct tls_conf){ .certfile = w.crt, .keyfile = w.key, .require_certificate = true };
    refuse(&w, "require_certificate", "cafile or capath");
    end(&w);
}

TEST(a_file_that_is_not_there_or_of_another_kind_is_named_with_its_option)
{
    struct world w;
    begin(&w);
    const char *none = kit_file(&w.dir, "none"), *empty = kit_file(&w.dir, "empty");
    kit_write(empty, "no PEM\n");
    w.conf.certfile = none;
    refuse(&w, "certfile", "No such file");
    w.conf.certfile = empty;
    refuse(&w, "certfile", "no PEM block");
    w.conf.certfile = w.dir.path;
    refuse(&w, "certfile", "regular file");
    w.conf.certfile = w.crt;
    w.conf.keyfile = empty;
    refuse(&w, "keyfile", empty);
    w.conf.keyfile = w.key;
    w.conf.cafile = empty;
    refuse(&w, "cafile", "no certificate");
    w.conf.cafile = w.ca_crt;
    w.conf.crlfile = w.ca_crt;
    refuse(&w, "crlfile", "CRL");
    w.conf.crlfile = NULL;
    w.conf.dhparamfile = w.crt;
    refuse(&w, "dhparamfile", w.crt);
    w.conf.dhparamfile = NULL;
    w.conf.capath = w.dir.path;
    refuse(&w, "capath", "rehash");
    w.conf.capath = none;
    refuse(&w, "capath", "No such file");
    w.conf.capath = NULL;
    w.conf.sni_dir = none;
    refuse(&w, "sni_dir", "No such file");
    end(&w);
}

TEST(a_key_of_another_certificate_is_refused_and_both_are_named)
{
    struct world w;
    begin(&w);
    const char *key = kit_file(&w.dir, "alice.key");
    w.conf.keyfile = key;
    refuse(&w, key, w.crt);
    end(&w);
}

TEST(a_key_with_a_passphrase_is_refused_with_the_command_that_unlocks_it)
{
    struct world w;
    begin(&w);
    const char *path = kit_file(&w.dir, "locked.key");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(path, "w");
    CHECK_INT(1, PEM_write_PrivateKey(f, key, EVP_aes_256_cbc(), (const unsigned char *)"pw", 2, NULL, NULL));
    fclose(f);
    EVP_PKEY_free(key);
    w.conf.keyfile = path;
    refuse(&w, "passphrase", "openssl pkey");
    end(&w);
}

TEST(a_key_that_is_too_short_is_refused_wherever_it_is)
{
    struct world w;
    struct kit_dir names;
    begin(&w);
    kit_dir_init(&names);
    w.ca.rsa_bits = 1024;
    kit_issue_cn(&w.ca, &names, "a.example", "a");
    w.conf.sni_dir = names.path;
    refuse(&w, "sni_dir", "key too small");
    w.conf = (struct tls_conf){ .certfile = kit_file(&names, "a.example.crt"),
                                .keyfile = kit_file(&names, "a.example.key") };
    refuse(&w, "certfile", "key too small");
    kit_dir_fini(&names);
    end(&w);
}

TEST(a_file_that_may_not_be_read_says_for_whom)
{
    struct world w;
    if (geteuid() == 0) skip(); /* may read everything */
    begin(&w);
    CHECK_INT(0, chmod(w.key, 0));
    refuse(&w, w.key, "user id");
    end(&w);
}

TEST(ciphers_that_nobody_knows_are_refused)
{
    struct world w;
    begin(&w);
    w.conf.ciphers = "SECRET";
    refuse(&w, "ciphers 'SECRET'", "openssl ciphers");
    w.conf.ciphers = NULL;
    w.conf.ciphers_tls1_3 = "SECRET";
    refuse(&w, "ciphers_tls1.3 'SECRET'", "openssl ciphers");
    end(&w);
}

TEST(a_file_of_keys_is_refused_at_the_line_that_is_wrong)
{
    static const char *const wrong[] = { "a:00\nno colon\n", "a:00\n:00\n", "a:00\nb:0\n", "a:00\nb:\n",
                                         "a:00\nb:xy\n" };
    struct world w;
    begin(&w);
    const char *path = kit_file(&w.dir, "psk");
    w.conf = (struct tls_conf){ .psk_hint = "hint", .psk_file = path };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        kit_write(path, wrong[i]);
        refuse(&w, "psk_file", ":2:");
    }
    kit_write(path, "a:00\n# a comment\n\nb:01\r\na:02\n");
    refuse(&w, "'a'", "twice");
    end(&w);
}
