#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Large messages go through, and a peer that only announces one costs nothing."""
import hashlib

import kit

BIG = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(20 * kit.MIB // 32))


class BigPayload(kit.Test):
    def same(self, payload):
        self.assertEqual(len(payload), len(BIG))
        self.assertTrue(payload == BIG, "the bytes differ")  # not assertEqual: it would print them

    def test_20_mb_go_to_a_connected_reader(self):
        b = self.broker()
        for version in (kit.V311, kit.V5):
            reader = self.client(b, "reader", version=version)
            reader.subscribe("big", 1)
            source = self.client(b, "source", version=version)
            source.send(source.publish_bytes("big", BIG, 1))
            self.same(reader.message().payload)
            source.expect(kit.PUBACK)

    def test_20_mb_wait_for_a_reader_that_is_away(self):
        b = self.broker()
        reader = self.client(b, "reader", clean=False, expiry=3600)
        reader.subscribe("big", 1)
        reader.close()
        self.client(b, "source").publish("big", BIG, qos=1)
        reader = self.client(b, "reader", clean=False, expiry=3600)
        self.same(reader.message().payload)

    def test_mosquitto_carries_20_mb_both_ways(self):
        if not kit.have("mosquitto_sub", "mosquitto_pub"):
            self.skipTest("mosquitto-clients is not installed")
        b = self.broker()
        kit.run("mosquitto_pub", "-h", "127.0.0.1", "-p", b.port, "-t", "big", "-q", "1", "-r", "-s", stdin=BIG)
        digest = kit.run("bash", "-c", 'mosquitto_sub -h 127.0.0.1 -p "$0" -t big -q 1 -C 1 -N | sha256sum', b.port)
        self.assertEqual(digest.split()[0], hashlib.sha256(BIG).hexdigest())

    def test_announcing_256_mb_and_sending_nothing_costs_nothing(self):
        b = self.broker()
        clients = [self.client(b, f"c{i}") for i in range(20)]
        clients[0].ping()
        before = b.resident_bytes()
        for c in clients:
            c.send(bytes([kit.PUBLISH << 4]) + b"\xff\xff\xff\x7f" + kit.text("big") + bytes(1000))
        # An answer to a client of each shard that came after them: all of it has been read.
        b.wait_metric("bytes_received_total", lambda n: n >= 20 * 1000)
        for _ in range(10):
            self.client(b).ping()
        self.assertLess(b.resident_bytes() - before, 16 * kit.MIB * kit.MEMORY_FACTOR)

    def test_the_memory_of_large_messages_comes_back(self):
        b = self.broker("shards 1")
        reader = self.client(b, "reader")
        reader.subscribe("big", 1)
        source = self.client(b, "source")
        sizes = []
        for _ in range(6):
            source.send(source.publish_bytes("big", BIG, 1))
            reader.message()
            source.expect(kit.PUBACK)
            reader.ping()
            sizes.append(b.resident_bytes())
        self.assertLess(sizes[-1] - sizes[0], 40 * kit.MIB * kit.MEMORY_FACTOR)


if __name__ == "__main__":
    kit.main()
