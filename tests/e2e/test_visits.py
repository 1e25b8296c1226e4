#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mail for a shard that sleeps is run by the sender's thread, and nobody can tell the difference."""
import threading

import kit

PAIRS = 16
ROUNDS = 50


class Visits(kit.Test):
    def pairs(self, b, **more):
        readers = [self.client(b, f"reader-{i}", **more) for i in range(PAIRS)]
        sources = [self.client(b, f"source-{i}", **more) for i in range(PAIRS)]
        for i, reader in enumerate(readers):
            reader.subscribe(f"to/{i}", 1)
        return list(zip(sources, readers))

    def one_by_one(self, pairs):
        for no in range(ROUNDS):
            for i, (source, reader) in enumerate(pairs):
                source.send(source.publish_bytes(f"to/{i}", b"%d" % no, 1))
                self.assertEqual(reader.message().payload, b"%d" % no)
                source.expect(kit.PUBACK)

    def test_alone_each_message_comes_and_sleeping_shards_are_visited(self):
        b = self.broker("shards 3")
        self.one_by_one(self.pairs(b))
        self.assertGreater(b.metric("visits_total"), PAIRS)

    def test_with_one_shard_there_is_nobody_to_visit(self):
        b = self.broker("shards 1")
        self.one_by_one(self.pairs(b)[:2])
        self.assertEqual(b.metric("visits_total"), 0)

    def test_many_at_once_get_their_own_in_order_whoever_runs_them(self):
        b = self.broker("shards 3")
        pairs = self.pairs(b)
        threads = [threading.Thread(target=self.run_pair, args=(i, *pair)) for i, pair in enumerate(pairs)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(self.done), list(range(PAIRS)))

    def setUp(self):
        super().setUp()
        self.done = []

    def run_pair(self, i, source, reader):
        for no in range(ROUNDS):
            source.send(source.publish_bytes(f"to/{i}", b"%d" % no, no % 2))
            self.assertEqual(reader.message().payload, b"%d" % no)
            if no % 2:
                source.expect(kit.PUBACK)
        self.done.append(i)

    def test_what_a_visit_leaves_wakes_the_shard(self):
        """One message to many: more than a visit writes."""
        b = self.broker("shards 2")
        readers = [self.client(b, f"reader-{i}") for i in range(100)]
        for reader in readers:
            reader.subscribe("all")
        source = self.client(b, "source")
        for no in range(20):
            source.publish("all", b"%d" % no)
            for reader in readers:
                self.assertEqual(reader.message().payload, b"%d" % no)

    def test_it_ends_when_it_is_told_to(self):
        for _ in range(5):
            b = self.broker("shards 3")
            self.one_by_one(self.pairs(b)[:2])
            self.stop_well(b)


if __name__ == "__main__":
    kit.main()
