#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""TLS: what clients of several makes do with it, and that what is on top of it stays whole."""
import contextlib
import os
import random
import socket
import ssl
import subprocess
import threading

import edge_kit
import kit
from edge_kit import TlsClient, TlsTest, pki


class Clients(TlsTest):
    def test_both_versions_carry_messages(self):
        b = self.tls_broker()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                sub = self.tls_client(b, "sub", self.only(version))
                sub.subscribe("t", 1)
                pub = self.tls_client(b, "pub", self.only(version))
                pub.publish("t", b"hello", 1)
                self.assertEqual(sub.message().payload, b"hello")
                self.assertEqual(sub.socket.version(), version.name.replace("_", "."))
        self.assertEqual(b.metric("tls_handshakes_total"), 4)

    def test_tls_1_1_is_refused(self):
        b = self.tls_broker()
        self.refused(b, self.only(ssl.TLSVersion.TLSv1_1), "unsupported protocol")
        b.wait_metric("tls_handshake_failures_total", lambda n: n == 1)

    def test_mosquittos_clients(self):
        if not kit.have("mosquitto_sub", "mosquitto_pub"):
            self.skipTest("mosquitto-clients is not installed")
        p = pki()
        b = self.tls_broker(f"cafile {p.ca.crt}\nrequire_certificate true")
        identity = ["--cafile", p.ca.crt, "--cert", p.client.crt, "--key", p.client.key]
        sub = kit.Running(*kit.sub(b, "-t", "t", "-C", "1", "-d", "-V", "5", "--tls-alpn", "mqtt", *identity))
        sub.wait("SUBACK")
        kit.pub(b, "-t", "t", "-m", "hello", "-q", "1", "--tls-version", "tlsv1.2", *identity)
        self.assertEqual(sub.end(), ["hello"])

    def test_mosquittos_clients_with_a_pre_shared_key(self):
        if not kit.have("mosquitto_sub", "mosquitto_pub"):
            self.skipTest("mosquitto-clients is not installed")
        keys = pki().write("psk", "lamp:0123456789abcdef0123456789ABCDEF\n")
        # option: psk_hint
        # option: psk_file
        b = self.tls_broker("psk_hint home", f"psk_file {keys}", pair=False)
        key = ["--psk-identity", "lamp", "--psk", "0123456789abcdef0123456789abcdef"]
        for version in ("tlsv1.2", "tlsv1.3"):
            with self.subTest(version):
                sub = kit.Running(*kit.sub(b, "-t", "t", "-C", "1", "-d", "--tls-version", version, *key)).wait("SUBACK")
                kit.pub(b, "-t", "t", "-m", "hello", "-q", "1", "--tls-version", version, *key)
                self.assertEqual(sub.end(), ["hello"])
        with self.assertRaises(AssertionError):
            kit.pub(b, "-t", "t", "-m", "x", "--psk-identity", "lamp", "--psk", "00")
        with self.assertRaises(AssertionError):
            kit.pub(b, "-t", "t", "-m", "x", "--psk-identity", "lamb", *key[2:])

    def test_paho(self):
        client, p = kit.paho(), pki()
        b = self.tls_broker()
        got = threading.Event()
        c = client.Client("paho")
        c.tls_set(p.ca.crt)
        c.on_connect = lambda *_: c.subscribe("t", 1)
        c.on_subscribe = lambda *_: c.publish("t", b"hello", 1)
        c.on_message = lambda *_: got.set()
        c.connect("127.0.0.1", b.port)
        c.loop_start()
        self.addCleanup(c.loop_stop)
        self.assertTrue(got.wait(kit.WAIT_S))
        c.disconnect()

    def s_client(self, broker, *flags, stdin=b""):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-CAfile", pki().ca.crt,
                               *flags], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=kit.WAIT_S, check=False)
        return done.stdout.decode(errors="replace")

    def test_openssls_client_sees_a_whole_chain_and_the_protocol(self):
        b = self.tls_broker(pair=pki().server_by_sub)
        out = self.s_client(b, "-alpn", "h2,mqtt", "-servername", "localhost")
        self.assertIn("Verify return code: 0 (ok)", out)
        self.assertIn("ALPN protocol: mqtt", out)
        self.assertIn("alert number 120", self.s_client(b, "-alpn", "h2,smtp"))  # no_application_protocol

    def test_renegotiation_is_refused(self):
        b = self.tls_broker()
        p = subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{b.port}", "-CAfile",
                              pki().ca.crt], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(p.stdout.close)
        p.stdin.write(b"R\n")
        p.stdin.flush()
        self.assertIn(b"no renegotiation", p.communicate(timeout=kit.WAIT_S)[0])

    def test_a_session_is_resumed(self):
        b = self.tls_broker()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                context = self.only(version)
                first = self.tls_client(b, "first", context)
                session = first.socket.session
                first.leave()
                second = self.tls_client(b, "second", context, session=session)
                self.assertTrue(second.socket.session_reused)
        self.assertEqual(b.metric("tls_resumptions_total"), 2)


class Whole(TlsTest):
    """Bytes stay in order and whole, however they come."""

    def test_a_large_message_both_ways(self):
        b = self.tls_broker()
        payload = os.urandom(kit.MIB)
        sub, pub = self.tls_client(b, "sub"), self.tls_client(b, "pub")
        sub.subscribe("t", 1)
        pub.publish("t", payload, 1)
        self.assertEqual(sub.message().payload, payload)

    def test_a_slow_reader_gets_every_byte_in_order(self):
        b = self.tls_broker("", "shards 1")
        sub = self.tls_client(b, "sub", receive_buffer=4096)
        sub.subscribe("t", 1)
        pub = self.tls_client(b, "pub")
        payloads = [os.urandom(n) for n in (1, 70000, 3, 16384, 16383, 200000, 5, 1000) * 4]
        pub.publish_all("t", payloads)  # while nothing is read
        for want in payloads:
            self.assertEqual(sub.message().payload, want)

    def test_a_burst_behind_connect_follows_its_client_to_another_shard(self):
        b = self.tls_broker("", "shards 4")
        for i in range(8):
            with self.subTest(i):
                c = TlsClient(b.port, pki().trust())
                self.addCleanup(c.close)
                connect = kit.packet(kit.CONNECT, 0, kit.text("MQTT") + b"\5\2\0\0\0" + kit.text(f"client {i}"))
                publishes = [c.publish_bytes("t", bytes([n % 256]) * 1000, 1) for n in range(400)]
                c.send(connect + b"".join(publishes))  # more than one read takes
                c.expect(kit.CONNACK)
                for n in range(400):
                    self.assertEqual(c.expect(kit.PUBACK).body[:2], (n + 1).to_bytes(2, "big"))

    def test_a_client_that_says_goodbye_leaves_no_fault_behind(self):
        b = self.tls_broker()
        self.tls_client(b, "polite").leave()
        rude = self.tls_client(b, "rude")
        rude.socket.close()
        self.tls_client(b, "last").ping()
        b.wait_metric("connections_open", lambda n: n <= 1)
        self.assertEqual(b.metric("transport_errors_total"), 0)


class Handshakes(TlsTest):
    """Who does not come through one."""

    def hello(self):
        """A ClientHello, and the object that goes on with it."""
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        o = pki().trust().wrap_bio(came, goes, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            o.do_handshake()
        return o, came, goes

    def test_what_is_no_tls_is_closed_and_told(self):
        b = self.tls_broker()
        for words, why in ((b"GET / HTTP/1.1\r\n\r\n", "http request"), (b"\x10\x0c\0\4MQTT\4\2\0\0\0\0", None),
                           (random.Random(7).randbytes(300), None), (b"\x16\3\1\0\4\1\0\0\0", None)):
            with self.subTest(words), contextlib.closing(edge_kit.tcp(b.port)) as s:
                s.sendall(words)
                with contextlib.suppress(ConnectionResetError):
                    while s.recv(4096):
                        pass
            if why:
                kit.wait_file(b.log, f" peer-transport .*reason=\"{why}\"")
        b.wait_metric("tls_handshake_failures_total", lambda n: n == 4)
        self.tls_client(b, "well").ping()

    def test_a_look_at_the_port_is_no_fault(self):
        b = self.tls_broker()
        edge_kit.tcp(b.port).close()
        b.wait_metric("connections_open", lambda n: n == 0)
        self.assertEqual(b.metric("transport_errors_total"), 0)
        self.assertNotIn("peer-transport", b.text())

    def test_who_does_not_finish_in_time_is_closed(self):
        b = self.tls_broker("", "connect_timeout_s 1")
        _, _, goes = self.hello()
        words = goes.read()
        for part in (b"", words[:1], words[:40], words):
            with self.subTest(len(part)), contextlib.closing(edge_kit.tcp(b.port)) as s:
                s.sendall(part)
                while s.recv(4096):
                    pass
        b.wait_metric("tls_handshake_failures_total", lambda n: n == 4)
        kit.wait_file(b.log, " connect-timeout ")

    def test_a_hello_that_comes_byte_by_byte_is_heard(self):
        b = self.tls_broker()
        o, came, goes = self.hello()
        with contextlib.closing(edge_kit.tcp(b.port)) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            done = False
            while not done:
                for byte in goes.read():
                    s.sendall(bytes([byte]))
                came.write(s.recv(65536))
                try:
                    o.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    pass
            o.write(b"\x10\x0c\0\4MQTT\4\2\0\0\0\0")
            for byte in goes.read():
                s.sendall(bytes([byte]))
            answer = b""
            while len(answer) < 4:
                with contextlib.suppress(ssl.SSLWantReadError):
                    answer += o.read(4)
                    continue
                came.write(s.recv(65536))
        self.assertEqual(answer, b"\x20\2\0\0")

    def test_flipped_bits_on_the_way_hurt_nobody_else(self):
        b = self.tls_broker()
        steady = self.tls_client(b, "steady")
        for at in range(0, 900, 23):
            link = Flip(b.port, at)
            with contextlib.suppress(OSError, kit.Closed, AssertionError):
                c = TlsClient(link.port, pki().trust())
                with contextlib.closing(c):
                    c.socket.settimeout(5)
                    c.join("victim")
                    c.publish("t", b"x" * 300, 1)
            link.close()
        steady.ping()
        b.wait_metric("connections_open", lambda n: n == 1)


class Flip:
    """A way to the broker on which one byte from the client is another one; ends with its first connection."""

    def __init__(self, to, at):
        self.at, self.listener = at, socket.create_server(("127.0.0.1", 0))
        self.port, self.to = self.listener.getsockname()[1], to
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.listener.close()
        self.thread.join(kit.WAIT_S)

    def _run(self):
        with contextlib.suppress(OSError):
            client, _ = self.listener.accept()
            with client, socket.create_connection(("127.0.0.1", self.to)) as broker:
                back = threading.Thread(target=self._copy, args=(broker, client, -1), daemon=True)
                back.start()
                self._copy(client, broker, self.at)
                back.join(kit.WAIT_S)

    @staticmethod
    def _copy(source, to, at):
        seen = 0
        with contextlib.suppress(OSError):
            while data := bytearray(source.recv(4096)):
                if 0 <= at - seen < len(data):
                    data[at - seen] ^= 1 << at % 8
                seen += len(data)
                to.sendall(data)
        for s in (source, to):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    kit.main()
