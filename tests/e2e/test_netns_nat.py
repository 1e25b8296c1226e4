#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Behind a NAT that forgets: the kernel's own, in network namespaces. Nothing is lost that was acknowledged."""
import kit
import netns_kit
from kit import V311, V5

FORGETS_S, REMEMBERS_S = 3, 3600  # only what is to be forgotten is at the mercy of who has the CPU


class Nat(netns_kit.Test):
    def joined(self, b, version, **more):
        """A client behind the NAT whose session outlives its connection."""
        if version == V5:
            more["expiry"] = 3600
        c = self.far(b, "far", version=version, clean=False, **more)
        return c

    def start(self, kind, version):
        """A broker, and a subscriber behind a NAT that has forgotten it."""
        b = self.broker("shards 2")
        self.nat(kind, REMEMBERS_S)
        far = self.joined(b, version)
        self.assertEqual(self.mappings(), 1)
        self.remembers(FORGETS_S)
        far.subscribe("t", 1)
        self.wait_forgotten()
        self.remembers(REMEMBERS_S)
        return b, far

    def comes_back(self, b, version):
        far = self.far(b, "far", version=version, clean=False, **({"expiry": 3600} if version == V5 else {}))
        return far.message()

    def test_what_a_silent_nat_has_swallowed_comes_over_the_next_connection(self):
        for version in (V311, V5):
            with self.subTest(version=version):
                b, far = self.start("silent", version)
                near = self.near(b, "near")
                near.publish("t", b"after the gap", 1)
                self.assertEqual(b.metric("clients_connected"), 2)  # the broker cannot know yet
                self.assertEqual(self.comes_back(b, version).payload, b"after the gap")
                self.assertEqual(b.metric("takeovers_total"), 1)
                far.close()

    def test_a_reset_by_the_nat_ends_the_connection_and_not_the_session(self):
        for version in (V311, V5):
            with self.subTest(version=version):
                b, far = self.start("rst", version)
                near = self.near(b, "near")
                near.publish("t", b"after the gap", 1)
                b.wait_metric("clients_connected", lambda n: n == 1)
                self.assertEqual(self.comes_back(b, version).payload, b"after the gap")
                self.assertEqual(b.metric("takeovers_total"), 0)
                far.close()

    def test_a_client_whose_nat_gives_it_another_port_is_reset_and_takes_its_session_over(self):
        for version in (V311, V5):
            with self.subTest(version=version):
                b, far = self.start("moves", version)
                with self.assertRaises(kit.Closed):
                    far.ping()
                self.assertEqual(b.metric("clients_connected"), 1)  # the old connection, of which nobody knows
                near = self.near(b, "near")
                near.publish("t", b"after the gap", 1)
                self.assertEqual(self.comes_back(b, version).payload, b"after the gap")
                self.assertEqual(b.metric("takeovers_total"), 1)

    def test_what_goes_often_enough_keeps_the_way_open(self):
        b = self.broker()
        self.nat("silent", 30)
        far = self.joined(b, V5)
        far.subscribe("t", 1)
        near = self.near(b, "near")
        for i in range(3):
            near.publish("t", b"%d" % i, 1)
            self.assertEqual(far.message().payload, b"%d" % i)
        self.assertEqual(self.mappings(), 1)


if __name__ == "__main__":
    netns_kit.main()
