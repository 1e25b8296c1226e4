#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A second connection with the same client id gets the session, and the first one is closed."""
import kit


class Takeover(kit.Test):
    def test_paho_takes_over_and_goes_on(self):
        b = self.broker()
        for version in (kit.V311, kit.V5):
            box = f"box{version}"
            expiry = 3600 if version == kit.V5 else None
            back_end = kit.Paho(b, f"back end {version}")
            old = kit.Paho(b, box, version, clean=False, expiry=expiry).subscribe(box, 1)
            back_end.publish(box, "one")
            old.wait(lambda: old.messages, "the first message")
            old.mqtt.reconnect_delay_set(min_delay=120)  # or the two would take over in turn
            new = kit.Paho(b, box, version, clean=False, expiry=expiry)
            self.assertTrue(new.session_present())
            old.wait(lambda: old.disconnected, "the close")
            back_end.publish(box, "two")
            new.wait(lambda: b"two" in new.payloads(), "the second message")
            self.assertNotIn(b"two", old.payloads())
            for c in (new, back_end):
                c.stop()
            old.mqtt.disconnect()
            old.mqtt.loop_stop(force=True)
        b.wait_metric("takeovers_total", lambda n: n == 2)

    def test_the_old_connection_is_told_why(self):
        b = self.broker()
        old = self.client(b, "phone")
        self.client(b, "phone")
        self.assertEqual([(p.kind, p.body[:1]) for p in old.expect_closed()], [(kit.DISCONNECT, b"\x8e")])

    def test_a_storm_of_takeovers_leaves_one_connection_and_loses_nothing(self):
        b = self.broker()
        c = self.client(b, "phone", clean=False, expiry=3600)
        c.subscribe("inbox", 1)
        back_end, got = self.client(b, "back end"), []
        for i in range(200):
            back_end.publish("inbox", b"%d" % i, qos=1)
            c = self.client(b, "phone", clean=False, expiry=3600)
        while len(got) < 200:
            m = c.message()
            if m.payload not in got:
                got.append(m.payload)
        self.assertEqual(got, [b"%d" % i for i in range(200)])
        b.wait_metric("connections_open", lambda n: n == 2)
        b.wait_metric("sessions", lambda n: n == 2)

    def test_clients_of_all_shards_find_their_sessions(self):
        b = self.broker("shards 4")
        for i in range(40):
            self.client(b, f"c{i}", clean=False, expiry=3600).subscribe(f"t{i}", 1)
        for i in range(40):
            c = kit.Client(b.port)
            self.addCleanup(c.close)
            self.assertEqual(c.join(f"c{i}", clean=False, expiry=3600), (True, 0))
        b.wait_metric("takeovers_total", lambda n: n == 40)


if __name__ == "__main__":
    kit.main()
