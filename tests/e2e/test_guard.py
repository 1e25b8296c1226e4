#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The limits of a listener: connections and bytes and messages, of all its clients, of an address, of one."""
import contextlib
import os
import socket
import struct
import tempfile
import time

import kit
import test_proxy

PROXY = f"enable_proxy_protocol any\n{test_proxy.TRUSTED}\n"


class Guard(kit.Test):
    def try_join(self, to, client_id, header=b""):
        """A Client that has been let in, or None: closed at once."""
        c = kit.Client(to if isinstance(to, str) else to.port)
        self.addCleanup(c.close)
        try:
            c.send(header)
            c.join(client_id)
        except (kit.Closed, OSError):
            return None
        return c

    def knock(self, to, client_id, header):
        """A Client that has said all it has to say, and waits for nothing."""
        c = kit.Client(to if isinstance(to, str) else to.port)
        self.addCleanup(c.close)
        with contextlib.suppress(OSError):  # closed at once: `is_in` says it
            c.send(header)
            c.join(client_id, answer=False)
        return c

    def is_in(self, c):
        try:
            return c.expect(kit.CONNACK).body[1] == 0
        except (kit.Closed, OSError):
            return False

    def count(self, to, n, header=b""):
        """So many come at once, however slow the machine is; how many of them are let in."""
        return sum([self.is_in(c) for c in [self.knock(to, f"c{i}", header) for i in range(n)]])

    # --- connections

    def test_an_address_has_so_many_connections(self):  # option: address_connections
        b = self.broker("address_connections 3\nshards 2")
        clients = [self.client(b, f"c{i}") for i in range(3)]
        self.assertIsNone(self.try_join(b, "late"))
        kit.wait_file(b.log, r' address-full .*peer="127.0.0.1:\d+"')
        b.wait_metric("connections_refused_total", lambda n: n == 1)
        clients[0].leave()
        b.wait_metric("connections_open", lambda n: n == 2)
        self.client(b, "next").ping()
        self.assertIsNone(self.try_join(b, "late"))

    def test_addresses_count_apart_and_so_do_listeners(self):  # option: address_connections
        b = self.broker(f"{PROXY}address_connections 2\nlistener 0 127.0.0.1\nallow_anonymous true")
        for source in ("192.0.2.1", "192.0.2.2"):
            self.assertEqual(self.count(b, 4, test_proxy.v1(source)), 2)
        other = int(kit.wait_file(b.log, r"(?s) listener-open .* listener-open .*?port=(\d+)").group(1))
        self.assertNotEqual(other, b.port)
        b.port = other
        self.assertEqual(self.count(b, 4), 4)

    def test_an_ipv6_address_counts_by_its_first_64_bits(self):  # option: address_connections
        b = self.broker(f"{PROXY}address_connections 2")
        line = "PROXY TCP6 2001:db8:0:{}::{} ::1 1 2\r\n"
        self.assertEqual(sum(self.try_join(b, f"a{i}", line.format(1, i + 1).encode()) is not None
                             for i in range(4)), 2)
        self.assertIsNotNone(self.try_join(b, "b", line.format(2, 1).encode()))

    def test_peers_of_a_unix_socket_are_one_address(self):  # option: address_connections
        with tempfile.TemporaryDirectory(prefix="longlink-guard.") as d:
            path = os.path.join(d, "s")
            self.broker("address_connections 2", listener=f"listener 0 {path}")
            self.assertEqual(self.count(path, 4), 2)

    def test_a_listener_lets_in_so_many_a_second(self):  # option: connect_rate
        b = self.broker("connect_rate 5\nshards 2")
        began = time.monotonic()
        let_in = self.count(b, 40)
        took_s = time.monotonic() - began
        self.assertGreaterEqual(let_in, 5)
        self.assertLessEqual(let_in, 5 + 5 * took_s + 1)
        kit.wait_file(b.log, " connect-rate ")
        kit.wait_until(lambda: self.try_join(b, "later") is not None, "room for one more")

    def test_an_address_comes_so_often(self):  # option: address_connect_rate
        b = self.broker(f"{PROXY}address_connect_rate 1")
        self.assertLess(self.count(b, 40, test_proxy.v1("192.0.2.1")), 40)
        kit.wait_file(b.log, r' connect-rate .*peer="192.0.2.1:4711"')
        self.assertIsNotNone(self.try_join(b, "other", test_proxy.v2("192.0.2.2")))

    # --- bytes and messages: held back, and nothing is lost

    def send_all(self, b, payloads, client_id="pub", header=b""):
        """From a client that does not wait, to one that counts. Gives the seconds from first to last."""
        sub = self.client(b, "sub") if not header else self.try_join(b, "sub", test_proxy.v1("203.0.113.1"))
        sub.subscribe("t", 0)
        pub = self.try_join(b, client_id, header)
        began = time.monotonic()
        for p in payloads:
            pub.send(pub.publish_bytes("t", p))
        for i, p in enumerate(payloads):
            self.assertEqual(sub.message().payload, p, i)
        return time.monotonic() - began

    def test_messages_of_a_client_are_held_back_in_order_and_none_is_lost(self):  # option: message_rate
        b = self.broker("message_rate 20")
        took_s = self.send_all(b, [str(i).encode() for i in range(50)])
        self.assertGreaterEqual(took_s, 30 / 20 - 0.1)
        self.assertGreater(b.metric("rate_pauses_total"), 0)
        self.assertRegex(b.text(), r' client-held .*client="pub"')

    def test_other_packets_than_publishes_do_not_count(self):  # option: message_rate
        b = self.broker("message_rate 1")
        c = self.client(b, "c")
        for _ in range(20):
            c.ping()
        self.assertEqual(b.metric("rate_pauses_total"), 0)

    def test_bytes_of_a_listener_are_held_back(self):  # option: byte_rate
        b = self.broker("byte_rate 20000")
        self.assertGreaterEqual(self.send_all(b, [bytes(10000)] * 5), 25000 / 20000 - 0.1)
        self.assertGreater(b.metric("rate_pauses_total"), 0)

    def test_bytes_of_an_address_are_held_back_and_others_do_not_notice(self):  # option: address_byte_rate
        b = self.broker(f"{PROXY}address_byte_rate 20000")
        pub = self.try_join(b, "pub", test_proxy.v1("192.0.2.1"))
        pub.socket.settimeout(0.2)
        try:
            for _ in range(1000):
                pub.send(pub.publish_bytes("x", bytes(10000)))
        except TimeoutError:
            pass  # it is not read
        b.wait_metric("rate_pauses_total", lambda n: n > 0)
        same = kit.Client(b.port)
        self.addCleanup(same.close)
        same.send(test_proxy.v1("192.0.2.1"))
        same.join("same", answer=False)
        other = self.try_join(b, "other", test_proxy.v1("192.0.2.2"))
        began = time.monotonic()
        for _ in range(20):
            other.ping()
        quick_s = time.monotonic() - began
        same.expect(kit.CONNACK)  # has to wait for what its neighbour sent
        self.assertLess(quick_s, 60)

    def test_who_is_held_back_is_not_silent(self):
        b = self.broker("message_rate 1")
        sub = self.client(b, "sub")
        sub.subscribe("t", 0)
        pub = self.client(b, "pub", keepalive=1, will=("t", b"gone"), answer=False)
        # At once, so that a machine that stalls does not make it silent.
        pub.send(b"".join(pub.publish_bytes("t", str(i).encode()) for i in range(5)) +
                 kit.packet(kit.DISCONNECT, 0, b""))
        # Four seconds without a packet that is read: more than 1.5 times its keepalive.
        self.assertEqual([sub.message().payload for _ in range(5)], [str(i).encode() for i in range(5)])
        self.assertEqual(b.metric("keepalive_timeouts_total"), 0)

    def test_what_a_client_said_before_it_left_is_read_when_its_turn_comes(self):
        with tempfile.TemporaryDirectory(prefix="longlink-guard.") as d:
            path = os.path.join(d, "s")
            b = self.broker(f"message_rate 10\nlistener 0 {path}\nmessage_rate 10\nallow_anonymous true")
            sub = self.client(b, "sub")
            sub.subscribe("t", 0)
            for to in (b, path):
                pub = self.try_join(to, "pub")
                pub.send(b"".join(pub.publish_bytes("t", str(i).encode(), 1) for i in range(20)) +
                         kit.packet(kit.DISCONNECT, 0, b"\0"))
                if to is b:  # the broker's PUBACKs are answered with a reset
                    pub.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
                pub.close()
                self.assertEqual([sub.message().payload for _ in range(20)], [str(i).encode() for i in range(20)])
            b.wait_metric("connections_open", lambda n: n == 1)

    def test_limits_that_come_with_a_reload_hold_for_who_is_there(self):  # option: message_rate
        b = self.broker()
        sub, pub = self.client(b, "sub"), self.client(b, "pub")
        sub.subscribe("t", 0)
        with open(b.conf, "a") as f:
            f.write("\nmessage_rate 20\naddress_connections 2\n")
        b.process.send_signal(1)
        kit.wait_file(b.log, " reload-done ")
        began = time.monotonic()
        for i in range(40):
            pub.send(pub.publish_bytes("t", b"x"))
        for _ in range(40):
            sub.message()
        self.assertGreaterEqual(time.monotonic() - began, 0.9)
        self.assertIsNone(self.try_join(b, "late"))

    def test_higher_limits_that_come_with_a_reload_let_go_who_is_held_back(self):  # option: byte_rate
        for option in ("byte_rate", "address_byte_rate"):
            b = self.broker(f"{option} 10")
            c = self.client(b, "c")
            c.send(c.publish_bytes("t", bytes(1000)))  # a wait of 100 s, for the next who comes, too
            b.wait_metric("bytes_received_total", lambda n: n > 1000)
            b.wait_metric("rate_pauses_total", lambda n: n > 0)
            with open(b.conf, "a") as f:
                f.write(f"\n{option} 100000\n")
            b.process.send_signal(1)
            kit.wait_file(b.log, " reload-done ")
            c.ping()
            self.client(b, "next").ping()


if __name__ == "__main__":
    kit.main()
