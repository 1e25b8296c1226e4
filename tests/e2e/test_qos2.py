#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""QoS 2 packet by packet: across kill -9 at each of its steps, and where the broker takes no more."""
import os
import shutil
import struct
import tempfile

import kit

PUBREC, PUBREL, PUBCOMP = 5, 6, 7
FOREVER = {"clean": False, "expiry": 3600}


class Qos2(kit.Test):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="longlink-e2e.")
        os.chmod(self.data, 0o755)
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def start(self, conf=""):
        return self.broker(f"durability disk\npersistence_location {self.data}\n{conf}")

    def again(self, b):
        self.kill(b)
        return self.start()

    def publish(self, c, packet_id, payload, dup=False, topic="t"):
        props = b"\0" if c.version == kit.V5 else b""
        body = kit.text(topic) + struct.pack(">H", packet_id) + props + payload
        c.send(kit.packet(kit.PUBLISH, 4 | dup << 3, body))

    def say(self, c, kind, packet_id, code=None):
        body = struct.pack(">H", packet_id) + (bytes([code]) if code is not None else b"")
        c.send(kit.packet(kind, 2 if kind == PUBREL else 0, body))

    def hear(self, c, kind, packet_id, code=0):
        body = c.expect(kind).body
        self.assertEqual((struct.unpack(">H", body[:2])[0], body[2] if len(body) > 2 else 0), (packet_id, code))

    def expect_publish(self, c, payload, dup, packet_id=None):
        m = c.message(acknowledge=False)
        self.assertEqual((m.payload, m.qos, m.dup), (payload, 2, dup))
        if packet_id is not None:
            self.assertEqual(m.id, packet_id)
        return m.id

    def settle(self, b):
        """What nobody waits for is durable with the next thing that somebody does."""
        self.client(b, "settler").publish("nothing", b"", 1, retain=True)

    def test_a_publisher_that_sends_again_after_each_crash_is_heard_once(self):
        b = self.start()
        reader = self.client(b, "reader", **FOREVER)
        reader.subscribe("t", 2)
        writer = self.client(b, "writer", **FOREVER)
        self.publish(writer, 7, b"once")
        self.hear(writer, PUBREC, 7)
        b = self.again(b)
        writer = self.client(b, "writer", **FOREVER)
        self.publish(writer, 7, b"once", dup=True)
        self.hear(writer, PUBREC, 7)
        self.say(writer, PUBREL, 7)
        self.hear(writer, PUBCOMP, 7)
        b = self.again(b)
        writer = self.client(b, "writer", **FOREVER)
        self.say(writer, PUBREL, 7)  # as if its PUBCOMP had been lost
        self.hear(writer, PUBCOMP, 7, 0x92)
        self.publish(writer, 7, b"the next")
        self.hear(writer, PUBREC, 7)
        reader = self.client(b, "reader", **FOREVER)
        self.expect_publish(reader, b"once", True)
        self.expect_publish(reader, b"the next", False)
        self.assertEqual(reader.catch_up(), [])

    def test_a_reader_goes_on_where_each_crash_left_it(self):
        b = self.start()
        reader = self.client(b, "reader", **FOREVER)
        reader.subscribe("t", 2)
        writer = self.client(b, "writer")
        for packet_id, payload in (1, b"first"), (2, b"second"):
            self.publish(writer, packet_id, payload)
            self.hear(writer, PUBREC, packet_id)
        first = self.expect_publish(reader, b"first", False)
        second = self.expect_publish(reader, b"second", False)

        b = self.again(b)
        reader = self.client(b, "reader", **FOREVER)
        self.expect_publish(reader, b"first", True, first)
        self.expect_publish(reader, b"second", True, second)
        self.say(reader, PUBREC, first)
        self.hear(reader, PUBREL, first)  # so it is durable

        b = self.again(b)
        reader = self.client(b, "reader", **FOREVER)
        self.hear(reader, PUBREL, first)
        self.expect_publish(reader, b"second", True, second)
        self.say(reader, PUBCOMP, first)
        self.say(reader, PUBREC, second)
        self.hear(reader, PUBREL, second)
        self.say(reader, PUBCOMP, second)
        reader.ping()
        self.settle(b)

        b = self.again(b)
        self.assertEqual(self.client(b, "reader", **FOREVER).catch_up(), [])

    def test_more_than_receive_maximum_ends_the_connection(self):
        b = self.start("receive_maximum 3")
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join("c", answer=False, **FOREVER)
        self.assertIn(b"\x21\0\x03", c.expect(kit.CONNACK).body)
        for packet_id in 1, 2, 3:
            self.publish(c, packet_id, b"x")
            self.hear(c, PUBREC, packet_id, 0x10)
        self.publish(c, 3, b"x", dup=True)  # no further one
        self.hear(c, PUBREC, 3)
        self.say(c, PUBREL, 2)
        self.hear(c, PUBCOMP, 2)
        self.publish(c, 2, b"x")
        self.hear(c, PUBREC, 2, 0x10)
        self.publish(c, 4, b"x")
        self.assertEqual([(p.kind, p.body[:1]) for p in c.expect_closed()], [(kit.DISCONNECT, b"\x93")])

        # Its next connection has not sent any of them: it may send three, though it has not released those.
        c = self.client(b, "c", **FOREVER)
        for packet_id in 11, 12, 13:
            self.publish(c, packet_id, b"x")
            self.hear(c, PUBREC, packet_id, 0x10)
        for packet_id in 1, 2, 3:
            self.say(c, PUBREL, packet_id)
            self.hear(c, PUBCOMP, packet_id)

    def test_what_a_full_queue_refuses_may_be_sent_again_with_the_same_id(self):
        # option: max_queued_policy
        b = self.start("max_queued_messages 1\nmax_queued_policy refuse")
        reader = self.client(b, "reader", **FOREVER)
        reader.subscribe("t", 2)
        direct = self.client(b, "direct")
        direct.subscribe("t", 2)
        reader.close()
        b.wait_metric("connections_open", lambda n: n == 1)
        writer = self.client(b, "writer", **FOREVER)
        self.publish(writer, 1, b"taken")
        self.hear(writer, PUBREC, 1)
        self.expect_publish(direct, b"taken", False)
        for clean in writer, self.client(b, "clean"):
            self.publish(clean, 2, b"refused")
            self.hear(clean, PUBREC, 2, 0x97)
        old = self.client(b, "old", version=kit.V311)
        self.publish(old, 2, b"refused")
        self.assertEqual(old.expect_closed(), [])
        reader = self.client(b, "reader", **FOREVER)
        taken = self.expect_publish(reader, b"taken", False)
        self.say(reader, PUBREC, taken, 0x80)
        reader.ping()
        self.settle(b)
        self.publish(writer, 2, b"taken now")
        self.hear(writer, PUBREC, 2)
        self.expect_publish(reader, b"taken now", False)
        self.expect_publish(direct, b"taken now", False)  # and nothing of what was refused


if __name__ == "__main__":
    kit.main()
