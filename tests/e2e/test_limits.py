#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the options limit, as a client sees it."""
import kit


class Limits(kit.Test):
    def test_max_packet_size_is_announced_and_closes(self):
        # option: max_packet_size
        b = self.broker("max_packet_size 2000")
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join("c", answer=False)
        self.assertIn(b"\x27\x00\x00\x07\xd0", c.expect(kit.CONNACK).body)  # Maximum Packet Size
        self.assertEqual(c.publish("t", bytes(1900), qos=1), 0x10)  # No matching subscribers
        c.send(c.publish_bytes("t", bytes(2001), 1))
        self.assertEqual([(p.kind, p.body[:1]) for p in c.expect_closed()], [(kit.DISCONNECT, b"\x95")])
        old = self.client(b, "old", version=kit.V311)
        old.send(old.publish_bytes("t", bytes(2001), 1))
        self.assertEqual(old.expect_closed(), [])

    def test_message_size_limit_acknowledges_and_drops(self):
        # option: message_size_limit
        b = self.broker("message_size_limit 100")
        reader = self.client(b, "reader")
        reader.subscribe("t", 1)
        for version in (kit.V311, kit.V5):
            c = self.client(b, "c", version=version)
            code = c.publish("t", bytes(101), qos=1)
            self.assertEqual(code >= 0x80, version == kit.V5)
            c.send(c.publish_bytes("t", b"small", 1))
            self.assertEqual(reader.message().payload, b"small")
            c.expect(kit.PUBACK)

    def test_a_connection_without_connect_is_closed(self):
        # option: connect_timeout_s
        b = self.broker("connect_timeout_s 3")
        silent, slow = kit.Client(b.port), kit.Client(b.port)
        self.addCleanup(silent.close)
        self.addCleanup(slow.close)
        joined = self.client(b, "joined")
        slow.send(b"\x10\x20\0\x04MQ")  # a CONNECT that goes no further
        self.assertEqual(silent.expect_closed(), [])
        self.assertEqual(slow.expect_closed(), [])
        joined.ping()
        b.wait_metric("connections_open", lambda n: n == 1)

    def test_max_queued_messages_drops_and_counts(self):
        # option: max_queued_messages
        b = self.broker("max_queued_messages 10")
        c = self.client(b, "c", clean=False, expiry=3600)
        c.subscribe("t", 1)
        c.close()
        b.wait_metric("connections_open", lambda n: n == 0)
        source = self.client(b, "source")
        source.publish_all("t", (b"%d" % i for i in range(30)))
        c = self.client(b, "c", clean=False, expiry=3600)
        self.assertEqual([c.message().payload for _ in range(10)], [b"%d" % i for i in range(10)])
        c.ping()  # nothing more
        b.wait_metric("publish_dropped_queue_full_total", lambda n: n == 20)

    def test_max_queued_bytes_drops_and_counts(self):
        # option: max_queued_bytes
        b = self.broker("max_queued_bytes 1000")
        c = self.client(b, "c", clean=False, expiry=3600)
        c.subscribe("t", 1)
        c.close()
        b.wait_metric("connections_open", lambda n: n == 0)
        self.client(b, "source").publish_all("t", (bytes(100) for _ in range(30)))
        c = self.client(b, "c", clean=False, expiry=3600)
        for _ in range(10):
            c.message()
        c.ping()
        b.wait_metric("publish_dropped_queue_full_total", lambda n: n == 20)

    def test_max_inflight_messages_is_the_window_of_3_1_1(self):
        # option: max_inflight_messages
        b = self.broker("max_inflight_messages 2")
        c = self.client(b, "c", version=kit.V311)
        c.subscribe("t", 1)
        self.client(b, "source").publish_all("t", (b"%d" % i for i in range(5)))
        first = [c.message(acknowledge=False) for _ in range(2)]
        c.ping()  # no third
        c.send(kit.packet(kit.PUBACK, 0, first[0].id.to_bytes(2, "big")))
        self.assertEqual(c.message(acknowledge=False).payload, b"2")

    def test_max_keepalive_is_told(self):
        # option: max_keepalive
        b = self.broker("max_keepalive 30")
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join("c", keepalive=600, answer=False)
        self.assertIn(b"\x13\x00\x1e", c.expect(kit.CONNACK).body)  # Server Keep Alive

    def test_without_retained_messages_one_that_publishes_them_is_told(self):
        # option: retain_available
        b = self.broker("retain_available false")
        c = self.client(b, "c")
        c.send(c.publish_bytes("t", b"x", 1, retain=True))
        self.assertEqual([(p.kind, p.body[:1]) for p in c.expect_closed()], [(kit.DISCONNECT, b"\x9a")])

    def test_without_anonymous_clients_nobody_gets_in(self):
        # option: allow_anonymous
        b = self.broker(allow="allow_anonymous false")
        for version, code in ((kit.V311, 5), (kit.V5, 0x87)):
            c = kit.Client(b.port)
            self.addCleanup(c.close)
            self.assertEqual(c.join("c", version=version), (False, code))
            self.assertEqual(c.expect_closed(), [])


if __name__ == "__main__":
    kit.main()
