#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What each option of TLS does, and what a reload makes of new certificates."""
import os
import shutil
import ssl

import access_kit
import kit
from edge_kit import TlsClient, TlsTest, openssl, pki

NOT_AUTHORIZED = 0x87


class Files(TlsTest):
    def refused_start(self, options, *words):
        """The broker does not start, and says so."""
        b = kit.Broker(listener=f"listener 0 127.0.0.1\n{options}")
        self.addCleanup(b.remove)
        self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
        b.log_file.close()
        for word in words:
            self.assertIn(word, b.text())

    def test_a_certificate_and_its_key(self):
        # option: certfile
        # option: keyfile
        p = pki()
        b = self.tls_broker(pair=p.server)
        self.tls_client(b, "c").ping()
        self.refused_start(f"certfile {p.server.crt}", "certfile needs keyfile")
        self.refused_start(f"certfile {p.server.crt}\nkeyfile {p.client.key}", "is not the key of", p.server.crt)
        self.refused_start(f"certfile {p.path('none')}\nkeyfile {p.server.key}", p.path("none"), "No such file")
        self.refused_start(f"cafile {p.ca.crt}", "set certfile and keyfile")

    def test_a_certificate_behind_an_intermediate_one(self):
        p = pki()
        for name, options in (("in certfile", p.server_by_sub.lines()),
                              ("in cafile", f"certfile {p.server_by_sub.own}\nkeyfile {p.server_by_sub.key}\n"
                                            f"cafile {p.sub.crt}\n")):
            with self.subTest(name):
                self.tls_client(self.tls_broker(options, pair=False), "c").ping()

    def test_only_who_has_a_certificate(self):
        # option: require_certificate
        # option: cafile
        p = pki()
        b = self.tls_broker(f"cafile {p.ca.crt}\nrequire_certificate true")
        self.tls_client(b, "alice", p.trust(p.client)).ping()
        self.tls_client(b, "carol", p.trust(p.client_by_sub)).ping()
        self.refused(b, p.trust(), "peer did not return a certificate")
        for pair, why in ((p.client_expired, "certificate has expired"),
                          (p.client_stranger, "unable to get local issuer certificate")):
            with self.subTest(why):
                b = self.tls_broker(f"cafile {p.ca.crt}\nrequire_certificate true")
                self.refused(b, p.trust(pair), why)

    def test_a_folder_of_trusted_ones(self):
        # option: capath
        p = pki()
        folder = p.path("capath")
        os.mkdir(folder)
        shutil.copy(p.ca.crt, os.path.join(folder, "root.pem"))
        openssl("rehash", folder)
        b = self.tls_broker(f"capath {folder}\nrequire_certificate true")
        self.tls_client(b, "alice", p.trust(p.client)).ping()
        self.refused(b, p.trust(p.client_stranger), "unable to get local issuer certificate")

    def test_a_revoked_one(self):
        # option: crlfile
        p = pki()
        lost = p.ca.issue("lost")
        p.ca.revoke(lost)
        b = self.tls_broker(f"cafile {p.ca.crt}\ncrlfile {p.ca.crl()}\nrequire_certificate true")
        self.tls_client(b, "alice", p.trust(p.client)).ping()
        self.refused(b, p.trust(lost), "certificate revoked")

    def test_the_least_version(self):
        # option: tls_version
        b = self.tls_broker("tls_version tlsv1.3")
        self.tls_client(b, "c", self.only(ssl.TLSVersion.TLSv1_3)).ping()
        self.refused(b, self.only(ssl.TLSVersion.TLSv1_2), "unsupported protocol")
        self.refused_start("tls_version tlsv1.1\n" + pki().server.lines(), "tlsv1.1", "tlsv1.2", "tlsv1.3")

    def test_the_ciphers_of_each_version(self):
        # option: ciphers
        # option: ciphers_tls1.3
        b = self.tls_broker("ciphers ECDHE-ECDSA-AES256-GCM-SHA384\nciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256")
        old = self.tls_client(b, "old", self.only(ssl.TLSVersion.TLSv1_2))
        self.assertEqual(old.socket.cipher()[0], "ECDHE-ECDSA-AES256-GCM-SHA384")
        new = self.tls_client(b, "new", self.only(ssl.TLSVersion.TLSv1_3))
        self.assertEqual(new.socket.cipher()[0], "TLS_CHACHA20_POLY1305_SHA256")
        self.refused_start("ciphers NONE-OF-THESE\n" + pki().server.lines(), "NONE-OF-THESE", "openssl ciphers")

    def test_parameters_for_dhe(self):
        # option: dhparamfile
        p = pki()
        file = p.path("dh.pem")
        openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", file)

        def dhe():
            context = self.only(ssl.TLSVersion.TLSv1_2)
            context.set_ciphers("DHE-RSA-AES128-GCM-SHA256")
            return context

        self.refused(self.tls_broker(pair=p.server_rsa), dhe(), "no shared cipher")
        b = self.tls_broker(f"dhparamfile {file}", pair=p.server_rsa)
        self.assertEqual(self.tls_client(b, "c", dhe()).socket.cipher()[0], "DHE-RSA-AES128-GCM-SHA256")

    def test_names_with_certificates_of_their_own(self):
        # option: sni_dir
        p = pki()
        folder = p.path("names")
        os.mkdir(folder)
        for name, kind in (("a.test", "ec"), ("*.home.test", "ec"), ("rsa.test", "rsa")):
            pair = p.ca.issue("name", san="DNS:" + name, kind=kind)
            shutil.copy(pair.crt, os.path.join(folder, name + ".crt"))
            shutil.copy(pair.key, os.path.join(folder, name + ".key"))
        for pair in (p.server, p.server_rsa):
            b = self.tls_broker(f"sni_dir {folder}", pair=pair)
            for name in ("a.test", "lamp.home.test", "rsa.test", "localhost"):  # whose certificates must have that name
                with self.subTest(name):
                    self.tls_client(b, "c", name=name).ping()
        with self.assertRaises(ssl.SSLCertVerificationError):
            TlsClient(b.port, p.trust(), name="b.test")


class Names(TlsTest):
    """Who a client is by its certificate or key: mosquitto, with the same files, is the judge."""
    RULES = """
user alice
topic readwrite by-name
user CN=alice,OU=Lamps,O=Home\\, Ltd,C=DE
topic readwrite by-subject
user CN=b\\C3\\B6rge
topic readwrite by-subject
user b\xf6rge
topic readwrite by-name
user lamp
topic readwrite by-key
"""

    def both(self, options):
        conf = f"allow_anonymous true\nacl_file {pki().write('rules', self.RULES)}\n{options}"
        m = access_kit.Mosquitto(conf)
        m.ready()
        self.addCleanup(m.stop)
        return self.broker(conf, listener="listener 0 127.0.0.1", allow=""), m

    def may(self, broker, pair, **more):
        """The topics of RULES that it may write to; or the code that refuses it."""
        c = TlsClient(broker.port, pki().trust(pair))
        self.addCleanup(c.close)
        code = c.join("", **more)[1]
        return code or [t for t in ("by-name", "by-subject") if c.publish(t, b"x", 1) != NOT_AUTHORIZED]

    def test_certificates(self):
        # option: use_identity_as_username
        # option: use_subject_as_username
        p = pki()
        boerge = p.ca.issue("boerge", "/CN=b\xf6rge")
        needs = f"{p.server.lines()}cafile {p.ca.crt}\nrequire_certificate true\n"
        rows = (("use_identity_as_username true", ["by-name"]),
                ("use_subject_as_username true", ["by-subject"]),
                ("use_identity_as_username true\nuse_subject_as_username true", ["by-name"]),
                ("", []))
        for options, want in rows:
            ours, theirs = self.both(needs + options + "\n")
            for pair in (p.client, boerge):
                for more in ({}, {"user": "mallory", "password": "guess"}):
                    with self.subTest(options, pair=pair.crt, **more):
                        self.assertEqual(self.may(theirs, pair, **more), want)
                        self.assertEqual(self.may(ours, pair, **more), want)

    def test_who_has_no_name_is_refused_as_by_mosquitto(self):
        p = pki()
        rows = ((f"cafile {p.ca.crt}\nrequire_certificate true\n", p.client_nameless),
                (f"cafile {p.ca.crt}\n", p.client),  # it is not asked for
                (f"cafile {p.ca.crt}\n", None))
        for options, pair in rows:
            ours, theirs = self.both(p.server.lines() + options + "use_identity_as_username true\n")
            for version in (kit.V311, kit.V5):
                with self.subTest(options, version=version):
                    self.assertEqual(self.may(ours, pair, version=version), self.may(theirs, pair, version=version))

    def test_keys(self):
        if not kit.have("mosquitto_pub"):
            self.skipTest("mosquitto-clients is not installed")
        keys = pki().write("psk-names", "lamp:0123456789\nother:0123456789\n")
        for broker in self.both(f"psk_hint home\npsk_file {keys}\nuse_identity_as_username true\n"):
            for identity, want in (("lamp", True), ("other", False)):
                for version in ("tlsv1.2", "tlsv1.3"):
                    with self.subTest(broker, identity=identity, version=version):
                        key = ["--psk-identity", identity, "--psk", "0123456789", "--tls-version", version]
                        out = kit.pub(broker, "-t", "by-key", "-m", "x", "-q", "1", "-V", "5", *key)
                        self.assertEqual("Not authorized" not in out, want, out)


class Reload(TlsTest):
    def reload(self, b, expect="done"):
        said = b.reload()
        self.assertIn(f" reload-{expect} ", said)
        return said

    def serial(self, client):
        return client.socket.getpeercert()["serialNumber"]

    def test_a_turned_link_shows_the_new_certificate_and_disturbs_nobody(self):
        p = pki()
        folder = p.path("mounted")
        for version in ("v1", "v2"):
            os.makedirs(os.path.join(folder, version))
            pair = p.ca.issue("localhost", san="DNS:localhost")
            shutil.copy(pair.crt, os.path.join(folder, version, "tls.crt"))
            shutil.copy(pair.key, os.path.join(folder, version, "tls.key"))
        os.symlink("v1", os.path.join(folder, "..data"))
        for name in ("tls.crt", "tls.key"):
            os.symlink("..data/" + name, os.path.join(folder, name))
        b = self.tls_broker(f"certfile {folder}/tls.crt\nkeyfile {folder}/tls.key", pair=False)
        context = p.trust()
        first = self.tls_client(b, "first", context)
        session = first.socket.session
        os.symlink("v2", os.path.join(folder, "..data_tmp"))
        os.rename(os.path.join(folder, "..data_tmp"), os.path.join(folder, "..data"))
        self.reload(b)
        first.ping()
        second = self.tls_client(b, "second")
        self.assertNotEqual(self.serial(first), self.serial(second))
        self.assertTrue(self.tls_client(b, "again", context, session=session).socket.session_reused)
        # What does not fit together changes nothing.
        shutil.copy(p.client.key, os.path.join(folder, "v2", "tls.key"))
        self.assertIn("is not the key of", self.reload(b, "failed"))
        self.assertEqual(self.serial(self.tls_client(b, "third")), self.serial(second))

    def test_who_is_revoked_does_not_come_back_by_a_ticket(self):
        p = pki()
        lost, list_ = p.ca.issue("soon lost"), p.ca.crl("live.pem")
        b = self.tls_broker(f"cafile {p.ca.crt}\ncrlfile {list_}\nrequire_certificate true")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.only(version, p.trust(lost))
            first = self.tls_client(b, "first", context)
            first.ping()
            self.assertTrue(self.tls_client(b, "second", context, session=first.socket.session).socket.session_reused)
            setattr(self, version.name, (context, first.socket.session))
        p.ca.revoke(lost)
        p.ca.crl("live.pem")
        self.reload(b)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context, session = getattr(self, version.name)
            with self.subTest(version), self.assertRaises((ssl.SSLError, ConnectionResetError, kit.Closed)):
                self.tls_client(b, "third", context, session=session)
        kit.wait_file(b.log, "certificate revoked")

    def test_a_key_that_is_gone_lets_nobody_in(self):
        keys = pki().write("psk-live", "a:0123456789\nb:0123456789\n")
        b = self.tls_broker("psk_hint home", f"psk_file {keys}", pair=False)
        if not kit.have("mosquitto_pub"):
            self.skipTest("mosquitto-clients is not installed")
        kit.pub(b, "-t", "t", "-m", "x", "--psk-identity", "a", "--psk", "0123456789")
        pki().write("psk-live", "b:0123456789\n")
        self.reload(b)
        kit.pub(b, "-t", "t", "-m", "x", "--psk-identity", "b", "--psk", "0123456789")
        with self.assertRaises(AssertionError):
            kit.pub(b, "-t", "t", "-m", "x", "--psk-identity", "a", "--psk", "0123456789")


if __name__ == "__main__":
    kit.main()
