#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""memory_limit: whatever fills the memory, the broker goes on with less, tells who can be told, loses nothing that it
acknowledged, and is well again when the load has gone."""
import contextlib
import os
import shutil
import struct
import tempfile
import unittest

import kit

LIMIT = 64 * kit.MIB
OVER = 24 * kit.MIB  # a turn's reads, and what was granted before it was seen
KIB64 = bytes(65536)
EACH = 7  # filters in one packet, so that it is of a usual size
QUOTA = 0x97
WINDOW = 20  # max_inflight_messages


class MemoryLimit(kit.Test):
    """option: memory_limit"""

    def broker(self, conf="", **more):
        b = super().broker(f"memory_limit {LIMIT}\nshards 2\n{conf}", **more)
        self.resident = b.resident_bytes()
        self.assertEqual(b.metric("memory_high"), 0)
        return b

    def check_bounded(self, b):
        self.assertLess(b.metric("memory_bytes"), LIMIT + OVER)
        self.assertLess(b.resident_bytes() - self.resident, 2 * (LIMIT + OVER) * kit.MEMORY_FACTOR)

    def wait_well(self, b):
        b.wait_metric("memory_high", lambda n: n == 0)
        kit.wait_file(b.log, " memory-well ")

    def fill(self, b, source, topic="box", retain=False):
        """QoS 1 until one is refused. The payloads' first bytes count from 0; gives how many were acknowledged."""
        for i in range(4 * LIMIT // len(KIB64)):
            name = f"{topic}/{i}" if retain else topic
            if source.publish(name, struct.pack(">I", i) + KIB64, qos=1, retain=retain) == QUOTA:
                kit.wait_file(b.log, " memory-high ")
                self.check_bounded(b)
                return i
        raise AssertionError("four times the limit was accepted")

    def away(self, b, client_id, topic="box"):
        """A session that is kept, whose client is away."""
        c = self.client(b, client_id, clean=False, expiry=3600)
        c.subscribe(topic, 1)
        c.leave()

    def expect_all(self, reader, count):
        for i in range(count):
            self.assertEqual(struct.unpack_from(">I", reader.message().payload)[0], i)

    def test_a_backlog_in_memory_fills_it_and_is_delivered(self):
        b = self.broker()
        self.away(b, "away")
        other = self.client(b, "other")
        other.subscribe("other", 0)
        source = self.client(b, "source")
        source.publish("retained", b"x", qos=1, retain=True)
        count = self.fill(b, source)

        # QoS 0 is dropped, 3.1.1 is closed without an answer, new sessions and subscriptions are refused.
        dropped = b.metric("publish_dropped_qos0_total")
        source.publish("other", b"nobody gets it")
        other.ping()
        b.wait_metric("publish_dropped_qos0_total", lambda n: n == dropped + 1)
        self.assertEqual(source.publish("other", b"refused", qos=1), QUOTA)
        self.assertEqual(other.subscribe("more", 1), QUOTA)
        self.assertEqual(other.subscribe("$share/group/more", 1), QUOTA)
        self.assertEqual(other.subscribe("other", 1), 1)  # one that it has
        for version, code in ((kit.V5, QUOTA), (kit.V311, 3)):
            with contextlib.closing(kit.Client(b.port)) as new:
                self.assertEqual(new.join("new", version=version), (False, code))
        self.assertGreaterEqual(b.metric("memory_refused_total"), 7)
        # What makes it less is not refused.
        self.assertEqual(source.publish("retained", b"", qos=1, retain=True), 0)
        b.wait_metric("retained_messages", lambda n: n == 0)

        reader = kit.Client(b.port)
        self.addCleanup(reader.close)
        self.assertEqual(reader.join("away", clean=False, expiry=3600), (True, 0))
        self.expect_all(reader, count)
        self.wait_well(b)
        source.publish("other", b"and on it goes", qos=1)
        self.assertEqual(other.message().payload, b"and on it goes")
        self.client(b, "new")

    def test_an_older_client_is_closed_unacknowledged(self):
        b = self.broker()
        self.away(b, "away")
        self.fill(b, self.client(b, "source"))
        old = self.client(b, "away", version=kit.V311, clean=False)
        old.send(old.publish_bytes("box", b"x", 1))
        self.assertNotIn(kit.PUBACK, [p.kind for p in old.expect_closed()])

    def test_a_backlog_on_disk_does_not_fill_the_memory(self):
        b = self.broker("durability os\npersistence_location " + self.directory())
        self.away(b, "away")
        source = self.client(b, "source")
        count = 3 * LIMIT // len(KIB64)
        for i in range(count):
            self.assertNotEqual(source.publish("box", struct.pack(">I", i) + KIB64, qos=1), QUOTA)
        self.check_bounded(b)
        reader = self.client(b, "away", clean=False, expiry=3600)
        self.expect_all(reader, count)
        self.check_bounded(b)

    def directory(self):
        d = tempfile.mkdtemp(prefix="longlink-e2e.", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, d, True)
        return d

    def test_slow_readers_lose_qos_0_and_then_their_connections(self):
        b = self.broker()
        slow = [self.client(b, f"slow{i}", receive_buffer=8192) for i in range(20)]
        for i, c in enumerate(slow):
            c.subscribe(f"flood{i}", 0)
        source = self.client(b, "source")
        for i in range(20 * 300):  # to each 19 MiB of its own: more than may wait for one
            source.send(source.publish_bytes(f"flood{i % 20}", KIB64, 0))
            if i % 100 == 0:
                source.ping()
                self.check_bounded(b)
        b.wait_metric("slow_readers_ended_total", lambda n: n > 0)
        self.wait_well(b)
        kit.wait_file(b.log, " client-stalled ")

    def test_a_client_that_never_acknowledges_loses_its_queue_and_nobody_else_anything(self):
        b = self.broker()
        deaf = self.client(b, "deaf")
        deaf.subscribe("box", 1)
        source = self.client(b, "source")
        for i in range(3 * LIMIT // len(KIB64)):
            source.publish("box", KIB64, qos=1)
            if i < WINDOW:
                deaf.expect(kit.PUBLISH)  # taken at once: above the limit who is slow to read is disconnected
        self.check_bounded(b)
        b.wait_metric("publish_dropped_queue_full_total", lambda n: n > 0)
        self.wait_well(b)
        self.assertEqual(deaf.catch_up(), [])

    def test_retained_messages_up_to_the_limit(self):
        b = self.broker()
        source = self.client(b, "source")
        count = self.fill(b, source, "keep", retain=True)
        for i in range(count):
            source.publish(f"keep/{i}", b"", qos=1, retain=True)
        b.wait_metric("retained_messages", lambda n: n == 0)
        self.wait_well(b)

    def test_subscriptions_up_to_the_limit(self):
        b = self.broker()
        c = self.client(b, "c")
        name, codes = "n" * 8000 + "/", []
        while QUOTA not in codes:
            first = len(codes)
            filters = b"".join(kit.text(name + str(i)) + b"\0" for i in range(first, first + EACH))
            c.send(kit.packet(kit.SUBSCRIBE, 2, struct.pack(">HB", 1, 0) + filters))
            codes += c.expect(kit.SUBACK).body[3:]
        self.check_bounded(b)
        c.ping()
        for first in range(0, len(codes), EACH):
            filters = b"".join(kit.text(name + str(i)) for i in range(first, first + EACH))
            c.send(kit.packet(kit.UNSUBSCRIBE, 2, struct.pack(">HB", 1, 0) + filters))
            c.expect(kit.UNSUBACK)
        self.wait_well(b)
        self.assertEqual(c.subscribe("one more", 1), 1)

    def test_large_packets_that_never_end(self):
        b = self.broker()
        whole = 200 * kit.MIB
        senders = [self.client(b, f"s{i}") for i in range(30)]
        ended = 0
        for c in senders:
            with contextlib.suppress(OSError):
                c.send(bytes([kit.PUBLISH << 4]) + kit.var_int(whole) + kit.text("t"))
                for _ in range(4):
                    c.send(bytes(kit.MIB))
        for c in senders:
            c.socket.settimeout(1)
            with contextlib.suppress(TimeoutError):
                ended += [(p.kind, p.body[:1]) for p in c.expect_closed()] == [(kit.DISCONNECT, bytes([QUOTA]))]
        self.assertGreater(ended, 5)
        self.check_bounded(b)
        for c in senders:
            c.close()
        b.wait_metric("memory_bytes", lambda n: n < LIMIT / 2)
        self.client(b, "well").ping()

    def test_topic_aliases_up_to_the_limit(self):
        b = self.broker("max_topic_alias 1000")
        codes = []
        for c in [self.client(b, f"c{i}") for i in range(100)]:
            for alias in range(1, 30):
                props = b"\x23" + struct.pack(">H", alias)
                c.send(kit.packet(kit.PUBLISH, 0, kit.text("n" * 32000) + kit.var_int(len(props)) + props))
            c.send(kit.packet(kit.PINGREQ, 0, b""))
            p = c.receive()
            codes += [p.body[0]] if p.kind == kit.DISCONNECT else []
        self.assertEqual(set(codes), {QUOTA})
        self.check_bounded(b)


class Storm(kit.Test):
    @unittest.skipIf(os.environ.get("LONGLINK_SANITIZE") == "thread", "its allocator keeps what has been freed")
    def test_memory_goes_back_to_the_system_when_a_storm_is_over(self):
        b = self.broker("shards 2")
        before = b.resident_bytes()
        source = self.client(b, "source")
        for value in (b"x" * 300, b""):
            for first in range(0, 100000, 1000):
                source.send(b"".join(source.publish_bytes(f"storm/{i}", value, retain=True)
                                     for i in range(first, first + 1000)))
            source.ping()
            if value:
                b.wait_metric("retained_messages", lambda n: n == 100000)
                self.assertGreater(b.resident_bytes() - before, 40 * kit.MIB)
        b.wait_metric("retained_messages", lambda n: n == 0)
        kit.wait_until(lambda: b.resident_bytes() - before < 24 * kit.MIB * kit.MEMORY_FACTOR, "memory given back")


class Reload(kit.Test):
    def reload(self, b, limit):
        with open(b.conf) as f:
            rest = [line for line in f if not line.startswith("memory_limit")]
        with open(b.conf, "w") as f:
            f.writelines([*rest, f"memory_limit {limit}\n"])
        self.assertIn(" reload-done ", b.reload())

    def test_the_limit_may_come_and_go(self):
        b = self.broker("shards 2")
        c = self.client(b, "c")
        self.assertEqual(c.subscribe("a", 0), 0)
        self.reload(b, 1)
        self.assertEqual(c.subscribe("b", 0), QUOTA)
        self.reload(b, 0)
        self.assertEqual(c.subscribe("b", 0), 0)


class SlowReaders(kit.Test):
    """option: slow_reader_timeout"""

    def test_who_takes_nothing_is_disconnected_and_what_is_kept_for_it_is_not_lost(self):
        b = self.broker("shards 1\nslow_reader_timeout 1\nmax_inflight_messages 0")
        slow = self.client(b, "slow", clean=False, expiry=3600, receive_max=400, receive_buffer=8192)
        slow.subscribe("box", 1)
        source = self.client(b, "source")
        for i in range(400):
            source.publish("box", struct.pack(">I", i) + KIB64, qos=1)
        b.wait_metric("slow_readers_ended_total", lambda n: n == 1)
        source.ping()
        self.leave_in_peace(b)
        again = self.client(b, "slow", clean=False, expiry=3600)
        for i in range(400):
            self.assertEqual(struct.unpack_from(">I", again.message().payload)[0], i)

    def leave_in_peace(self, b):
        """From now on a machine that stalls makes nobody a slow reader."""
        with open(b.conf, "a") as f:
            f.write("\nslow_reader_timeout 0\n")
        self.assertIn(" reload-done ", b.reload())

    def test_without_a_timeout_it_stays(self):
        b = self.broker("shards 1\nslow_reader_timeout 0")
        slow = self.client(b, "slow", receive_buffer=8192)
        slow.subscribe("box", 0)
        source = self.client(b, "source")
        while b.metric("publish_dropped_qos0_total") == 0:
            source.send(source.publish_bytes("box", KIB64, 0) * 16)
            source.ping()
        slow.send(kit.packet(kit.PINGREQ, 0, b""))
        while slow.receive().kind == kit.PUBLISH:
            pass


if __name__ == "__main__":
    kit.main()
