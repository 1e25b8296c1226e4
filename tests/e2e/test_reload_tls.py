#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and TLS: certificates are read again, for connections to come; those that stand do not notice."""
import os
import shutil
import ssl
import threading
import unittest

import edge_kit
import kit
import test_reload
from edge_kit import pki


class Case(edge_kit.TlsTest, test_reload.Case):
    def mounted(self, pair):
        """A folder of certificates as Kubernetes mounts it: names are links, and one of them is replaced."""
        folder = kit.tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        for name in ("tls.crt", "tls.key"):
            os.symlink(f"..data/{name}", f"{folder}/{name}")
        self.mount(folder, pair)
        return folder

    def mount(self, folder, pair):
        version = kit.tempfile.mkdtemp(dir=folder)
        os.chmod(version, 0o755)
        shutil.copy(pair.crt, f"{version}/tls.crt")
        shutil.copy(pair.key, f"{version}/tls.key")
        os.symlink(os.path.basename(version), f"{folder}/..new")
        os.rename(f"{folder}/..new", f"{folder}/..data")

    def listener(self, folder, options=""):
        return f"listener 0 127.0.0.1\ncertfile {folder}/tls.crt\nkeyfile {folder}/tls.key\n{options}"

    def serial(self, b):
        """Of the certificate that a new connection sees."""
        c = edge_kit.TlsClient(b.port, pki().trust())
        self.addCleanup(c.close)
        return c.socket.getpeercert()["serialNumber"]

    def other(self):
        return pki().ca.issue("localhost", san="DNS:localhost,IP:127.0.0.1")


class Certificates(Case):
    def test_a_new_one_behind_a_link_is_for_new_connections(self):
        folder = self.mounted(pki().server)
        b = self.broker(listener=self.listener(folder))
        before, stays = self.serial(b), self.tls_client(b, "stays")
        self.mount(folder, self.other())
        self.assertEqual(self.serial(b), before)
        self.reload(b, listener=self.listener(folder))
        self.assertNotEqual(self.serial(b), before)
        stays.publish("a", b"x", 1)

    def test_one_that_does_not_fit_its_key_changes_nothing(self):
        folder = self.mounted(pki().server)
        b = self.broker(listener=self.listener(folder))
        before, stays = self.serial(b), self.tls_client(b, "stays")
        wrong = self.other()
        wrong.key = pki().server.key
        self.mount(folder, wrong)
        said = self.reload(b, expect="failed")
        self.assertRegex(said, r" listener-failed .*keyfile")
        self.assertEqual(self.serial(b), before)
        stays.publish("a", b"x", 1)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_a_key_that_only_root_can_read_serves_until_it_is_to_be_read_again(self):
        folder = self.mounted(pki().server)
        os.chmod(os.path.realpath(f"{folder}/tls.key"), 0o600)
        b = self.broker("user nobody", listener=self.listener(folder))
        os.chmod(b.dir, 0o755)
        before, stays = self.serial(b), self.tls_client(b, "stays")
        said = self.reload(b, expect="failed")
        self.assertRegex(said, r" config-error .*option 'keyfile'.*Permission denied")
        self.assertEqual(self.serial(b), before)
        stays.ping()

    def test_a_session_is_resumed_but_not_when_who_may_come_has_changed(self):
        folder = self.mounted(pki().server)
        b = self.broker(listener=self.listener(folder))
        context = pki().trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        c = self.tls_client(b, "c", context=context)
        session = c.socket.session
        self.reload(b, "max_keepalive 100", listener=self.listener(folder))
        c = self.tls_client(b, "c", context=context, session=session)
        self.assertTrue(c.socket.session_reused)
        self.reload(b, listener=self.listener(folder, f"cafile {pki().ca.crt}\n"))
        c = self.tls_client(b, "c", context=context, session=session)
        self.assertFalse(c.socket.session_reused)


class Undisturbed(Case):
    CLIENTS, RELOADS = 200, 10

    def test_many_clients_lose_nothing_while_certificates_change_again_and_again(self):
        pairs = [pki().server, self.other()]
        folder = self.mounted(pairs[0])
        b = self.broker(listener=self.listener(folder))
        clients = [self.tls_client(b, f"c{i}") for i in range(self.CLIENTS)]
        for c in clients:
            c.subscribe("a")
        publisher, over, sent = self.tls_client(b, "publisher"), threading.Event(), []

        def publish():
            while not over.is_set():
                sent.append(b"%d" % len(sent))
                publisher.publish("a", sent[-1], 1)

        flow = threading.Thread(target=publish)
        flow.start()
        try:
            for i in range(self.RELOADS):
                self.mount(folder, pairs[(i + 1) % 2])
                self.reload(b, listener=self.listener(folder))
        finally:
            over.set()
            flow.join()
        for c in clients:
            self.assertEqual([c.message().payload for _ in sent], sent)


if __name__ == "__main__":
    kit.main()
