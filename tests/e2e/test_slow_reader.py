#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A reader that does not read costs a bounded amount of memory, and nobody else anything."""
import kit

PAYLOAD = bytes(16000)
FLOOD = 8000  # 128 MB: eight times what may wait for one reader (OUT_BYTES_QOS0_MAX)


class SlowReader(kit.Test):
    def flood(self, source, reader, topic, count):
        """Publishes and has another reader confirm every so often, so that what is measured is not the queue of a
        reader that would catch up."""
        for i in range(count):
            source.send(source.publish_bytes(topic, PAYLOAD, 0))
            if i % 100 == 99:
                for _ in range(100):
                    self.assertEqual(len(reader.message().payload), len(PAYLOAD))

    def test_a_flood_to_a_reader_that_does_not_read(self):
        b = self.broker("shards 2")
        fast, source = self.client(b, "fast"), self.client(b, "source")
        fast.subscribe("flood")
        self.flood(source, fast, "flood", 500)  # what buffers and pools take the first time
        before = b.resident_bytes()

        slow = self.client(b, "slow", receive_buffer=8192)
        slow.subscribe("flood")
        self.flood(source, fast, "flood", FLOOD)
        dropped = b.metric("publish_dropped_qos0_total")
        self.assertGreater(dropped, FLOOD // 2)
        self.assertLess(b.resident_bytes() - before, 48 * kit.MIB * kit.MEMORY_FACTOR)

        # When it reads again it gets what had waited, and then what is new.
        source.publish("flood", b"last try")
        fast.message()
        source.ping()
        got = len(slow.catch_up())
        self.assertEqual(got, FLOOD + 1 - b.metric("publish_dropped_qos0_total"))
        source.publish("flood", b"new")
        self.assertEqual(slow.message().payload, b"new")
        b.wait_metric("publish_dropped_qos0_total", lambda n: n >= dropped)

    def test_a_persistent_reader_that_does_not_read_keeps_its_order(self):
        b = self.broker("shards 2")
        slow = self.client(b, "slow", clean=False, expiry=3600, receive_buffer=8192)
        slow.subscribe("box", 1)
        source = self.client(b, "source")
        source.publish_all("box", (b"%d:" % i + PAYLOAD for i in range(1000)))
        other = self.client(b, "other")
        other.subscribe("other", 1)
        source.send(source.publish_bytes("other", b"still here", 1))
        self.assertEqual(other.message().payload, b"still here")
        source.expect(kit.PUBACK)
        for i in range(1000):
            self.assertEqual(slow.message().payload.split(b":")[0], b"%d" % i)

    def test_a_publisher_that_does_not_read_its_acknowledgements(self):
        b = self.broker()
        deaf = self.client(b, "deaf", receive_buffer=4096)
        before = b.resident_bytes()
        for _ in range(50000):
            deaf.send(deaf.publish_bytes("nobody", b"x", 1))
        other = self.client(b, "other")
        other.ping()
        self.assertLess(b.resident_bytes() - before, 32 * kit.MIB * kit.MEMORY_FACTOR)
        for _ in range(50000):
            deaf.expect(kit.PUBACK)


if __name__ == "__main__":
    kit.main()
