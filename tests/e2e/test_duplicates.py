#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A message that its publisher sends again, because it does not know whether the first one came: with the user property
mid it is delivered once."""
import os
import shutil
import struct
import tempfile

import kit


def with_mid(mid, user=b""):
    return user + b"\x26" + kit.text("mid") + kit.text(mid)


class Sender(kit.Test):
    def publish(self, c, payload, props, qos=1, topic="inbox", retain=False):
        """The PUBACK's reason code."""
        body = kit.text(topic) + (struct.pack(">H", c._id()) if qos else b"")
        c.send(kit.packet(kit.PUBLISH, qos << 1 | retain, body + kit.var_int(len(props)) + props + payload))
        if qos == 0:
            return 0
        ack = c.expect(kit.PUBACK).body
        return ack[2] if len(ack) > 2 else 0

    def phone(self, b):
        """A session that is off line."""
        phone = kit.Client(b.port)
        self.addCleanup(phone.close)
        present, _ = phone.join("phone", clean=False, expiry=3600)
        if not present:
            phone.subscribe("inbox", 1)
        return phone

    def queued(self, b, last=b"end"):
        """What waits for the phone, up to a last message that is published now."""
        self.client(b, "another").publish("inbox", last, 1)
        phone, got = self.phone(b), []
        while not got or got[-1] != last:
            got.append(phone.message().payload)
        phone.close()
        return got[:-1]



class Duplicates(Sender):
    def check_delivered_once(self, conf):
        b = self.broker(conf)
        self.phone(b).close()
        c = self.client(b, "sender")
        self.assertEqual([self.publish(c, b"1", with_mid("x")) for _ in range(3)], [0, 0, 0])
        c.close()
        c = self.client(b, "sender")
        self.assertEqual(self.publish(c, b"1 again", with_mid("x")), 0)
        self.assertEqual(self.publish(c, b"2", with_mid("y")), 0)
        self.assertEqual(self.publish(self.client(b, "other sender"), b"3", with_mid("x")), 0)
        self.assertEqual(self.queued(b), [b"1", b"2", b"3"])
        self.assertEqual(b.metric("publish_duplicates_total"), 3)

    def test_the_same_again_is_acknowledged_and_delivered_once(self):
        self.check_delivered_once("")

    def test_with_durability_memory_too(self):
        self.check_delivered_once("durability memory")

    def test_clean_receivers_get_it_once_and_in_order(self):
        b = self.broker("shards 3")
        receivers = [self.client(b, f"receiver {i}") for i in range(6)]
        for i, r in enumerate(receivers):
            r.subscribe("inbox", i % 2)
        c = self.client(b, "sender")
        want = []
        for i in range(15):  # within the window of who does not acknowledge yet
            first, second = b"%d" % i, b"%d without" % i
            self.assertEqual(self.publish(c, first, with_mid(str(i))), 0)
            self.assertEqual(self.publish(c, first, with_mid(str(i))), 0)
            c.send(c.publish_bytes("inbox", second))  # QoS 0, behind it
            want += [first, second]
        for r in receivers:
            self.assertEqual([r.message().payload for _ in want], want)
            self.assertEqual(r.catch_up(), [])

    def test_the_property_goes_on_to_receivers(self):
        b = self.broker()
        r = self.client(b, "receiver")
        r.subscribe("inbox", 1)
        props = with_mid("x", b"\x26" + kit.text("before") + kit.text("1"))
        self.assertEqual(self.publish(self.client(b, "sender"), b"!", props), 0)
        self.assertIn(props, r.expect(kit.PUBLISH).body)

    def test_it_is_not_looked_at_in_what_needs_none(self):
        b = self.broker()
        r = self.client(b, "receiver")
        r.subscribe("inbox", 1)
        c = self.client(b, "sender")
        for _ in range(2):
            self.publish(c, b"QoS 0", with_mid("x"), qos=0)
            self.publish(c, b"too long", with_mid("x" * 129))
            self.publish(c, b"empty", with_mid(""))
            self.publish(c, b"another name", b"\x26" + kit.text("Mid") + kit.text("x"))
        self.publish(c, b"longest", with_mid("x" * 128))
        self.publish(c, b"longest", with_mid("x" * 128))
        kinds = [b"QoS 0", b"too long", b"empty", b"another name"]
        self.assertEqual([r.message().payload for _ in range(9)], kinds * 2 + [b"longest"])
        self.assertEqual(r.catch_up(), [])

    def test_it_can_be_switched_off(self):
        # option: duplicate_window
        b = self.broker("duplicate_window 0")
        r = self.client(b, "receiver")
        r.subscribe("inbox", 1)
        c = self.client(b, "sender")
        for _ in range(2):
            self.publish(c, b"1", with_mid("x"))
        self.assertEqual([r.message().payload for _ in range(2)], [b"1", b"1"])

    def test_a_retained_value_is_not_brought_back_by_a_repeat(self):
        b = self.broker()
        c = self.client(b, "sender")
        self.publish(c, b"old", with_mid("x"), retain=True)
        self.publish(c, b"new", with_mid("y"), retain=True)
        self.publish(c, b"old", with_mid("x"), retain=True)
        r = self.client(b, "receiver")
        r.subscribe("inbox", 1)
        self.assertEqual(r.message().payload, b"new")


class AcrossTheEnd(Sender):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="longlink-e2e.")
        os.chmod(self.top, 0o777)
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)

    def start(self):
        return self.broker(f"durability disk\npersistence_location {self.top}/data\nuser root")

    def check_across(self, end):
        b = self.start()
        self.phone(b).close()
        c = self.client(b, "sender")
        self.publish(c, b"1", with_mid("x"))
        # The acknowledgement of this one gets lost.
        c.send(kit.packet(kit.PUBLISH, 2, kit.text("inbox") + b"\x77\x77" + kit.var_int(9) + with_mid("y") + b"2"))
        self.assertEqual(c.expect(kit.PUBACK).body[:2], b"\x77\x77")
        end(b)
        b = self.start()
        c = self.client(b, "sender")
        for payload, mid in ((b"1", "x"), (b"2", "y"), (b"3", "z")):
            self.assertEqual(self.publish(c, payload, with_mid(mid)), 0)
        self.assertEqual(self.publish(self.client(b, "other sender"), b"4", with_mid("x")), 0)
        end(b)
        b = self.start()
        for payload, mid in ((b"1", "x"), (b"3", "z")):
            self.assertEqual(self.publish(self.client(b, "sender"), payload, with_mid(mid)), 0)
        self.assertEqual(self.queued(b), [b"1", b"2", b"3", b"4"])

    def test_known_after_kill_9(self):
        self.check_across(self.kill)

    def test_known_after_an_end_in_good_order(self):
        self.check_across(lambda b: self.assertEqual(b.stop(), 0))


if __name__ == "__main__":
    kit.main()
