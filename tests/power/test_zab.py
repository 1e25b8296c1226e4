#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node of the consensus core whose disk says EIO: its process ends at once and says what failed and where. Nobody has
counted on what it could not make durable: with the other node of the quorum away, and what the failing disk really has,
everything that was acknowledged is there.

    LONGLINKD=build/asan/bin/longlinkd ZAB_NODE=build/asan/bin/zab-node tests/power/test_zab.py
"""
import errno
import os

from layer import Layer
import kit
import zab_kit

SMALL = "preAllocSize=64\n"  # so that segments are left and begun
FAILED = 3                   # how zab-node ends
EIO = os.strerror(errno.EIO)


class Node(zab_kit.Node):
    """With a layer below its log."""

    layer = None

    def place(self):
        super().place()
        log = os.path.join(self.dir, "wal")
        os.makedirs(log, mode=0o700, exist_ok=True)
        if self.layer is None:
            self.layer = Layer(log, self.dir + ".state", seed=self.number)

    def start(self):
        with self.layer.preloaded(zab_kit.program()):
            return super().start()


class Cluster(zab_kit.Cluster):
    node = Node

    def close(self):
        super().close()
        for n in self.nodes:
            n.layer.close()


class Eio(zab_kit.Test):
    def run_fault(self, place, says, is_leader):
        c = Cluster(3, SMALL)
        self.addCleanup(c.close)
        c.start()
        load = self.load(c, in_flight=16)
        load.wait_more(50)
        leader = c.any_leader()
        away, follower = (n for n in c.nodes if n is not leader)
        away.kill()
        load.wait_more(100)  # by these two, so that both must have all of it
        failing, other = (leader, follower) if is_leader else (follower, leader)
        failing.layer.fail(place, nth=20)
        self.assertEqual(failing.process.wait(kit.WAIT_S), FAILED)
        last = failing.text().splitlines()[-1]
        self.assertRegex(last, rf"^zab-node: cannot {says} {failing.dir}/wal/\d+\.wal: {EIO}$")
        acknowledged = load.stop()
        self.assertGreater(len(acknowledged), 150)

        for n in (failing, other):
            n.kill()
        failing.layer.clear()
        failing.layer.ended()
        failing.layer.lose_power("nothing")
        for n in (failing, away):
            self.assertTrue(n.start(), n.text()[-500:])
        acknowledged.update(c.put([1 << 40]))
        c.check(acknowledged, [failing, away])
        self.assertTrue(other.start(), other.text()[-500:])
        acknowledged.update(c.put([1 << 41]))
        c.check(acknowledged)

    def test_a_follower_whose_sync_fails_ends_and_has_acknowledged_nothing_that_is_lost(self):
        self.run_fault("sync_batch", "sync", is_leader=False)

    def test_a_leader_whose_sync_fails_ends_and_has_acknowledged_nothing_that_is_lost(self):
        self.run_fault("sync_batch", "sync", is_leader=True)

    def test_a_follower_whose_write_fails_ends_and_has_acknowledged_nothing_that_is_lost(self):
        self.run_fault("write_segment", "write", is_leader=False)

    def test_a_leader_whose_write_fails_ends_and_has_acknowledged_nothing_that_is_lost(self):
        self.run_fault("write_segment", "write", is_leader=True)


class Start(zab_kit.Test):
    def test_a_new_log_has_its_first_file_before_anybody_waits_for_a_promise(self):
        c = Cluster(3)
        self.addCleanup(c.close)
        c.addresses = {n.number: (kit.free_port(), kit.free_port()) for n in c.nodes}
        c.write()
        self.assertTrue(c.nodes[0].start(), c.nodes[0].text())
        self.assertGreaterEqual(c.nodes[0].layer.calls("sync_made"), 1)


if __name__ == "__main__":
    zab_kit.main()
