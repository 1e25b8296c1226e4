#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Half-open connections: the cable to a client is cut, and neither side is told."""
import netns_kit
from kit import V311, V5

MESSAGES = 50


class Cut(netns_kit.Test):
    def cut_off(self, b, version):
        """A subscriber that is on line as far as the broker knows, and whose cable is cut."""
        self.nat("silent", 3600)
        self.cable("up")
        far = self.join(b, version)
        far.subscribe("t", 1)
        self.addCleanup(self.cable, "up")
        self.cable("down")
        return far

    def join(self, b, version):
        more = {"expiry": 3600} if version == V5 else {}
        return self.far(b, "far", version=version, clean=False, keepalive=self.keepalive_s, **more)

    def returns(self, b, version, payloads):
        """The cable is mended; everything is there, in its order."""
        self.cable("up")
        far = self.join(b, version)
        self.assertEqual([far.message().payload for _ in payloads], payloads)
        far.leave()

    def publish_all(self, b):
        near = self.near(b, "near")
        payloads = [b"%d" % i for i in range(MESSAGES)]
        for payload in payloads:
            self.assertEqual(near.publish("t", payload, 1), 0)
        return payloads

    def test_who_has_no_cable_is_silent_and_what_was_sent_to_it_stays(self):
        self.keepalive_s = 4  # time enough to subscribe on a busy machine
        for version in (V311, V5):
            with self.subTest(version=version):
                b = self.broker("shards 2")
                far = self.cut_off(b, version)
                payloads = self.publish_all(b)
                b.wait_metric("clients_connected", lambda n: n == 1)
                b.wait_metric("keepalive_timeouts_total", lambda n: n == 1)
                self.returns(b, version, payloads)
                far.close()

    def test_a_push_that_nobody_acknowledges_ends_the_connection_and_nothing_is_lost(self):  # option: tcp_user_timeout
        self.keepalive_s = 0  # so nothing else would ever notice
        for version in (V311, V5):
            with self.subTest(version=version):
                b = self.broker("shards 2\ntcp_user_timeout 2")
                far = self.cut_off(b, version)
                payloads = self.publish_all(b)
                b.wait_metric("clients_connected", lambda n: n == 1)
                b.wait_metric("push_timeouts_total", lambda n: n == 1)
                self.returns(b, version, payloads)
                self.assertEqual(b.metric("takeovers_total"), 0)
                far.close()

    def test_who_comes_back_before_anybody_has_noticed_gets_what_was_sent_into_the_cut(self):
        self.keepalive_s = 0
        for version in (V311, V5):
            with self.subTest(version=version):
                b = self.broker("shards 2")
                far = self.cut_off(b, version)
                payloads = self.publish_all(b)
                # Its old socket stays open: a FIN that is sent again once the cable is mended would tell the broker.
                self.returns(b, version, payloads)
                self.assertEqual(b.metric("takeovers_total"), 1)
                far.close()


if __name__ == "__main__":
    netns_kit.main()
