#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that falls silent is closed after 1.5 times its keepalive, and its will goes out. Real time passes here;
no test asserts how much, beyond that it is not too little."""
import time

import kit


class Keepalive(kit.Test):
    def test_a_silent_client_is_closed_and_its_will_goes_out(self):
        b = self.broker()
        watcher = self.client(b, "watcher")
        watcher.subscribe("wills/#", 1)
        for version in (kit.V311, kit.V5):
            began = time.monotonic()
            silent = self.client(b, f"silent {version}", version=version, keepalive=1,
                                 will=(f"wills/{version}", "gone"))
            m = watcher.message()
            self.assertGreaterEqual(time.monotonic() - began, 1.0)
            self.assertEqual((m.topic, m.payload), (f"wills/{version}", b"gone"))
            said = [(p.kind, p.body[:1]) for p in silent.expect_closed()]
            self.assertEqual(said, [(kit.DISCONNECT, b"\x8d")] if version == kit.V5 else [])
        b.wait_metric("keepalive_timeouts_total", lambda n: n == 2)

    def test_a_client_that_pings_stays(self):
        b = self.broker()
        talker = self.client(b, "talker", keepalive=4, will=("wills/talker", "gone"))
        silent = self.client(b, "silent", keepalive=5)  # ends later than the other one would, if it did not ping
        ends = silent.socket
        ends.settimeout(0.3)
        while True:  # until the silent one is closed, the other one pings
            talker.ping()
            try:
                if not ends.recv(100):
                    break
            except TimeoutError:
                continue
        talker.ping()
        b.wait_metric("keepalive_timeouts_total", lambda n: n == 1)

    def test_without_a_keepalive_a_client_may_be_silent(self):
        b = self.broker()
        quiet = self.client(b, "quiet", keepalive=0)
        timed = self.client(b, "timed", keepalive=1)
        timed.expect_closed()
        quiet.ping()

    def test_a_client_killed_with_its_process_leaves_its_will(self):
        if not kit.have("mosquitto_sub"):
            self.skipTest("mosquitto-clients is not installed")
        b = self.broker()
        watcher = self.client(b, "watcher")
        watcher.subscribe("wills/#", 1)
        r = kit.Running(*kit.sub(b, "-i", "device", "-t", "x", "-d", "--will-topic", "wills/device",
                                 "--will-payload", "crashed", "--will-qos", "1")).wait("SUBACK")
        r.process.kill()
        self.assertEqual(watcher.message().payload, b"crashed")
        r.end()


if __name__ == "__main__":
    kit.main()
