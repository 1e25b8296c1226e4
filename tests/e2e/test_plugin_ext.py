#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What longlink_plugin.h offers, by a plugin that uses all of it (tests/plugins/ext.c)."""
import os
import re
import struct
import subprocess
import unittest

import kit
from edge_kit import TlsClient, pki
from kit import V311, V5, packet, text

PLUGIN = os.environ.get("LONGLINK_TEST_PLUGINS", "") + "/ext.so"
AUTH = 15
CONTINUE, AGAIN = 0x18, 0x19
BASIC_AUTH, AUTH_START, AUTH_CONTINUE, ACL_CHECK, PSK_KEY = 3, 4, 5, 2, 8


def auth_props(data, method="EXT"):
    body = b"\x15" + text(method) + (b"" if data is None else b"\x16" + text(data))
    return bytes([len(body)]) + body


def auth_data(p):
    """Code and Authentication Data of an AUTH or CONNACK."""
    at = p.body.find(b"\x16\x00")
    code = p.body[0] if p.kind == AUTH else p.body[1]
    size = struct.unpack(">H", p.body[at + 1:at + 3])[0] if at >= 0 else 0
    return code, p.body[at + 3:at + 3 + size].decode() if at >= 0 else None


class Case(kit.Test):
    concurrent = ()

    def ext(self, *conf, **more):
        lines = [f"plugin {PLUGIN}", *(f"plugin_opt_concurrent {e}" for e in self.concurrent), *conf]
        b = self.broker("\n".join(lines), **more)
        self.watcher = self.client(b, "watcher")
        self.watcher.subscribe("said", 1)
        self.admin = self.client(b, "admin")
        return b

    def said(self, *wanted):
        """Until the plugin has said this, in this order; others between are left out."""
        for want in wanted:
            said = []
            while want not in said:
                said.append(self.watcher.message().payload.decode())

    def control(self, what):
        self.assertEqual(self.admin.publish("$CONTROL/ext/v1", what.encode(), 1), 0)

    def login(self, b, client_id, password, version=V5):
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        return c, c.join(client_id, user="later", password=password, version=version)[1]

    def exchange(self, b, client_id, data, method="EXT"):
        """A CONNECT with a method; what comes back."""
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.version = V5
        body = text("MQTT") + bytes([V5, 2]) + struct.pack(">H", 0) + auth_props(data, method) + text(client_id)
        c.send(packet(kit.CONNECT, 0, body))
        return c, c.receive()

    def say_auth(self, c, code, data):
        c.send(packet(AUTH, 0, bytes([code]) + auth_props(data)))
        return c.receive()


class Later(Case):
    def test_a_login_is_decided_by_another_thread(self):
        b = self.ext()
        c, code = self.login(b, "one", "good")
        self.assertEqual(code, 0)
        c.ping()
        self.assertEqual(self.login(b, "two", "bad")[1], 0x87)
        self.assertEqual(self.login(b, "two", "bad", V311)[1], 5)
        self.assertEqual(self.login(b, "two", "banned")[1], 0x8A)
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join("two", user="later", password="banned", answer=False)
        self.assertTrue(c.receive().body.endswith(b"\x1f" + text("go away")))
        self.assertEqual(self.login(b, "two", "rename")[1], 0)
        self.said("connected one later present=0 here=1 data=one", "connected two renamed present=0 here=1 data=two")

    def test_many_logins_at_once_are_all_decided(self):
        b = self.ext()
        clients = [kit.Client(b.port) for _ in range(100)]
        for i, c in enumerate(clients):
            self.addCleanup(c.close)
            c.join(f"c{i}", user="later", password="bad" if i % 3 == 0 else "good", answer=False)
        for i, c in enumerate(clients):
            self.assertEqual(c.expect(kit.CONNACK).body[1], 0x87 if i % 3 == 0 else 0)

    def test_a_verdict_that_never_comes_is_late(self):
        b = self.ext("plugin_timeout 1")
        self.assertEqual(self.login(b, "one", "never")[1], 0x88)
        self.assertEqual(self.admin.publish("never/x", b"", 1), 0x83)

    def test_a_client_that_has_gone_is_not_waited_for(self):
        b = self.ext("plugin_timeout 0")
        c = kit.Client(b.port)
        c.join("one", user="later", password="never", answer=False)
        c.close()
        self.assertEqual(self.login(b, "one", "good")[1], 0)

    def test_what_is_published_waits_in_order(self):
        b = self.ext()
        self.watcher.subscribe("#", 1)
        c = self.client(b, "publisher")
        for i in range(20):
            c.send(c.publish_bytes(("later/x", "now")[i % 2], b"%d" % i, 1))
        for _ in range(20):
            self.assertEqual(c.expect(kit.PUBACK).body[2:3] or b"\0", b"\0")
        got = []
        while len(got) < 20:
            m = self.watcher.message()
            if m.topic != "said":
                got.append(int(m.payload))
        self.assertEqual(got, list(range(20)))
        self.assertEqual(c.publish("denied/x", b"", 1), 0x97)


class LaterAnywhere(Later):
    """The same when callbacks run on the event loops."""
    concurrent = (BASIC_AUTH, ACL_CHECK)


class Auth(Case):
    def test_a_method_asks_until_it_is_content(self):
        b = self.ext()
        c, p = self.exchange(b, "one", "more")
        self.assertEqual((p.kind, *auth_data(p)), (AUTH, CONTINUE, "who?"))
        p = self.say_auth(c, CONTINUE, "more")
        self.assertEqual((p.kind, *auth_data(p)), (AUTH, CONTINUE, "who?"))
        p = self.say_auth(c, CONTINUE, "rename")
        self.assertEqual((p.kind, *auth_data(p)), (kit.CONNACK, 0, "welcome"))
        self.said("connected one renamed present=0 here=1 data=one")
        p = self.say_auth(c, AGAIN, "more")
        self.assertEqual((p.kind, *auth_data(p)), (AUTH, CONTINUE, "who?"))
        p = self.say_auth(c, CONTINUE, "good")
        self.assertEqual((p.kind, *auth_data(p)), (AUTH, 0, "welcome"))
        p = self.say_auth(c, AGAIN, "bad")
        self.assertEqual((p.kind, p.body[0]), (kit.DISCONNECT, 0x87))
        c.expect_closed()
        self.said("disconnected one", "done one")

    def test_refusals_carry_a_code(self):
        b = self.ext()
        for data, method, code in (("bad", "EXT", 0x87), ("banned", "EXT", 0x8A), ("defer", "EXT", 0x8C),
                                   ("good", "OTHER", 0x8C)):
            p = self.exchange(b, "one", data, method)[1]
            self.assertEqual((p.kind, p.body[1]), (kit.CONNACK, code), data)
            self.assertEqual(p.body.endswith(b"\x1f" + text("go away")), data == "banned")

    def test_the_name_that_a_plugin_gives_is_the_one_that_rules_know(self):
        rules = os.path.join(pki().dir, "rules")
        with open(rules, "w") as f:
            f.write("topic readwrite said\ntopic write $CONTROL/#\nuser renamed\ntopic write mine\n")
        os.chmod(rules, 0o644)
        b = self.ext(f"acl_file {rules}")
        c, p = self.exchange(b, "one", "rename")
        self.assertEqual(p.body[1], 0)
        self.assertLess(c.publish("mine", b"", 1), 0x80)
        self.assertEqual(self.exchange(b, "two", "good")[0].publish("mine", b"", 1), 0x87)


class AuthAnywhere(Auth):
    concurrent = (AUTH_START, AUTH_CONTINUE)


class Clients(Case):
    def test_who_is_there_is_told(self):
        b = self.ext()
        self.control("presence nobody")
        self.said("presence nobody connected=0 session=0 queued=0")
        c = self.client(b, "sleeper", expiry=1000, clean=False)
        c.subscribe("t", 1)
        self.control("presence sleeper")
        self.said("presence sleeper connected=1 session=1 queued=0")
        c.leave()
        self.said("disconnected sleeper")
        for _ in range(3):
            self.admin.publish("t", b"x", 1)
        self.control("presence sleeper")
        self.said("presence sleeper connected=0 session=1 queued=3")

    def test_what_keepalive_a_client_has_is_told(self):
        b = self.ext("keepalive_mode learn", "keepalive_raise all")
        self.control("keepalive nobody")
        self.said("keepalive nobody has=0 found=0")
        self.client(b, "phone", keepalive=60)
        self.control("keepalive phone")
        self.said("keepalive phone has=330 found=240")  # where trials begin, and what they are told meanwhile

    def test_a_connection_is_ended_by_its_id(self):
        b = self.ext()
        c = self.client(b, "one", will=("said", "will of one"))
        self.control("end one")
        self.assertEqual(c.expect(kit.DISCONNECT).body[0], 0x97)
        c.expect_closed()
        self.said("will of one")

    def test_a_client_that_is_held_is_known_when_it_has_gone(self):
        b = self.ext()
        c = self.client(b, "held one")
        self.control("held")
        self.said("held held one here=1 data=1 end=0")
        self.assertEqual(c.expect(kit.DISCONNECT).body[0], 0x98)
        self.said("disconnected held one", "done held one")
        self.control("held")
        self.said("held held one here=0 data=0 end=0")
        self.control("let go")
        self.control("held")
        self.said("held - here=0 data=0 end=3")

    def test_what_is_kept_for_clients_is_handed_back_at_the_end(self):
        b = self.ext()
        self.client(b, "one")
        self.said("done replaced", "connected one - present=0 here=1 data=one")
        self.stop_well(b)  # a sanitizer says if it was not

    def test_a_plugin_sees_the_certificate(self):
        p = pki()
        listener = "listener 0 127.0.0.1\nlistener 0 127.0.0.1"
        b = self.ext(f"certfile {p.server.crt}\nkeyfile {p.server.key}\ncafile {p.ca.crt}\nrequire_certificate true",
                     listener=listener)
        tls = int(re.findall(r" listener-open .*port=(\d+)", b.text())[1])
        c = TlsClient(tls, p.trust(p.client))
        self.addCleanup(c.close)
        c.join("one")
        self.said("connected one - present=0 here=1 data=one")
        self.assertRegex(self.watcher.message().payload.decode(), r"^certificate one .*CN ?= ?alice")


class Figures(Case):
    def test_metrics_and_lines_are_the_plugins(self):
        b = self.ext()
        self.login(b, "one", "good")
        self.control("log")
        line = kit.wait_file(b.log, r" plugin-notice (.*)\n").group(1)
        self.assertEqual(line, r'plugin="ext" says="greeting" who="a \x22peer\x22\x0a" field="x"')
        self.assertEqual(b.text().count('says="greeting"'), 1)
        for row in ('plugin_logins_total" plugin="ext" value=1', f'plugin_last_port" plugin="ext" value={b.port}',
                    'plugin_calls_total" plugin="ext" event="connected" value=3'):
            kit.wait_until(lambda row=row: b.metrics() and f'metric name="{row}\n' in b.text(), row)


class Keys(Case):
    def come(self, b, version, identity, key="0123ab"):
        done = subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.tls), "-t", "t", "-m", "x", "-q", "1", "--tls-version",
             version, "--psk-identity", identity, "--psk", key], capture_output=True, timeout=kit.WAIT_S, check=False)
        return done.returncode == 0

    def doors(self, *conf):
        b = self.ext("psk_hint home", *conf, listener="listener 0 127.0.0.1\nlistener 0 127.0.0.1")
        self.tls = int(re.findall(r" listener-open .*port=(\d+)", b.text())[1])
        return b

    def test_a_plugin_knows_pre_shared_keys(self):
        b = self.doors("plugin_timeout 1")
        self.watcher.subscribe("t", 1)
        for version in ("tlsv1.2", "tlsv1.3"):
            with self.subTest(version):
                self.assertTrue(self.come(b, version, "lamp"))
                self.assertFalse(self.come(b, version, "lamp", "00"))
                self.assertFalse(self.come(b, version, "nobody"))
                self.assertFalse(self.come(b, version, "slow"))  # late
        kit.wait_file(b.log, "no pre-shared key has the identity that it named")

    def test_the_file_is_asked_when_plugins_defer(self):
        keys = pki().write("psk-of-file", "nobody:0123ab\nlamp:77\n")
        b = self.doors(f"psk_file {keys}")
        for version in ("tlsv1.2", "tlsv1.3"):
            with self.subTest(version):
                self.assertTrue(self.come(b, version, "nobody"))
                self.assertTrue(self.come(b, version, "lamp"))
                self.assertFalse(self.come(b, version, "lamp", "77"))

    def test_connect_timeout_holds_for_a_handshake_that_waits(self):
        b = self.doors("plugin_timeout 0\nconnect_timeout_s 3")
        self.assertFalse(self.come(b, "tlsv1.2", "slow"))
        self.assertFalse(self.come(b, "tlsv1.3", "slow"))
        kit.wait_file(b.log, " connect-timeout ")


class KeysAnywhere(Keys):
    concurrent = (PSK_KEY,)


if __name__ == "__main__":
    unittest.main()
