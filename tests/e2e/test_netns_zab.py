#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A leader whose cable is cut, silently: whoever has a majority goes on with another leader, the old one acknowledges
nothing any more, and when the cable is mended all have the same, with everything that was acknowledged."""
import unittest

import kit
import zab_kit
import zab_netns_kit

LATE = 1 << 40  # ids of what the old leader is asked for when it is cut off
LATE_COUNT = 20


class Cuts(unittest.TestCase):
    def setUp(self):
        self.addCleanup(zab_netns_kit.mend)
        self.cluster = zab_netns_kit.Cluster(3)
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        kit.wait_until(lambda: all(n.state()["established"] for n in self.cluster.nodes), "all follow, or lead")
        self.load = zab_kit.Load(self.cluster)
        self.addCleanup(self.load.ends.set)
        self.load.start()
        self.load.wait_more(300)

    def ask(self, client, first):
        """What a node says to commands of ours: {why}."""
        for i in range(first, first + LATE_COUNT):
            client.send(zab_kit.PUT, i, i.to_bytes(8, "big"))
        return {client.receive()[2][0] for _ in range(LATE_COUNT)}

    def run_cut(self, cut, mend):
        old = self.cluster.any_leader()
        with old.client() as client:
            cut(old.number)
            said = self.ask(client, LATE)
            self.assertNotIn(zab_kit.OK, said)
            self.load.wait_more(300)
            new = self.cluster.any_leader()
            self.assertNotEqual(new.number, old.number)
            self.assertFalse(old.state()["established"])
            self.assertNotIn(zab_kit.OK, self.ask(client, LATE + LATE_COUNT))
        mend(old.number)
        kit.wait_until(lambda: old.state()["established"], "the old leader follows")
        self.load.wait_more(100)
        self.assertGreater(self.cluster.check(self.load.stop()), 700)

    def run_rule(self, how):
        self.run_cut(lambda number: zab_netns_kit.cut(number, how), lambda _: zab_netns_kit.mend())

    def test_a_leader_that_nothing_reaches_and_that_reaches_nobody(self):
        self.run_rule("whole")

    def test_a_leader_that_reaches_nobody_and_hears_all(self):
        self.run_rule("from")

    def test_a_leader_that_hears_nobody_and_reaches_all(self):
        self.run_rule("to")

    def test_a_leader_whose_cable_is_pulled_out(self):
        self.addCleanup(lambda: [zab_netns_kit.cable(n.number, "up") for n in self.cluster.nodes])
        self.run_cut(lambda number: zab_netns_kit.cable(number, "down"),
                     lambda number: zab_netns_kit.cable(number, "up"))


if __name__ == "__main__":
    zab_kit.program()
    zab_netns_kit.enter()
    unittest.main(verbosity=2)
