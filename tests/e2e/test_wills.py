#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Wills of kept sessions outlive the broker: kill -9 ends every connection, and what a client left behind is published
by the next start; what it took back is not."""
import os
import shutil
import sqlite3
import struct
import tempfile

import kit

EXPIRY_S = 3600


def will(topic, payload, delay_s=0, qos=1, retain=False):
    return {"topic": topic, "payload": payload, "delay_s": delay_s, "qos": qos, "retain": retain}


class KilledTest(kit.Test):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="longlink-e2e.")
        os.chmod(self.data, 0o755)
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def start(self, shards=1):
        return self.broker(f"durability disk\npersistence_location {self.data}\nshards {shards}")

    def connect(self, b, client_id, left=None, expiry=EXPIRY_S):
        """A client with a kept session, and a will as will() makes one."""
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        flags, payload = 0, b""
        if left:
            flags = 4 | left["qos"] << 3 | left["retain"] << 5
            props = b"\x18" + struct.pack(">I", left["delay_s"])
            payload = kit.var_int(len(props)) + props + kit.text(left["topic"]) + kit.text(left["payload"])
        props = b"\x11" + struct.pack(">I", expiry)
        c.send(kit.packet(kit.CONNECT, 0, kit.text("MQTT") + bytes([kit.V5, flags, 0, 0]) +
                          kit.var_int(len(props)) + props + kit.text(client_id) + payload))
        self.assertEqual(c.expect(kit.CONNACK).body[1], 0)
        return c

    def settle(self, b):
        """What nobody waits for is durable with the next thing that somebody does."""
        self.client(b, "settler").publish("nothing", b"", 1, retain=True)


class Wills(KilledTest):
    def watch(self, b, topic):
        """Somebody who is away, and will have what came meanwhile."""
        c = self.connect(b, "watcher")
        c.subscribe(topic, 1)
        c.leave()

    def seen(self, b, last):
        """What the watcher has got, up to a message that is published for it now."""
        self.client(b, "teller").publish("wills/end", last, 1)
        c = self.connect(b, "watcher")
        got = []
        while not got or got[-1] != last:
            got.append(c.message().payload)
        c.catch_up()
        c.leave()
        self.settle(b)
        return got[:-1]

    # the broker dies

    def test_the_will_of_a_connected_client_is_published_by_the_next_start(self):
        b = self.start()
        self.watch(b, "wills/#")
        phone = self.connect(b, "phone", will("wills/a", "gone"))
        self.kill(b)
        phone.close()
        b = self.start()
        self.assertEqual(self.seen(b, b"end"), [b"gone"])
        self.kill(b)
        self.assertEqual(self.seen(self.start(), b"again"), [])  # once

    def test_it_keeps_its_qos_its_retain_flag_and_goes_to_other_shards(self):
        b = self.start(3)
        for i in range(6):
            self.connect(b, f"phone{i}", will(f"wills/{i}", f"gone{i}", retain=i % 2 == 0, qos=i % 3 > 0))
        self.kill(b)
        b = self.start(3)
        b.wait_metric("wills_published_total", lambda n: n == 6)
        b.wait_metric("retained_messages", lambda n: n == 3)
        late = self.client(b, "late")
        late.subscribe("wills/#", 1)
        got = sorted((m.topic, m.payload, m.qos, m.retain) for m in (late.message() for _ in range(3)))
        self.assertEqual(got, [(f"wills/{i}", b"gone%d" % i, int(i % 3 > 0), True) for i in (0, 2, 4)])
        self.assertEqual(late.catch_up(), [])

    def test_a_client_that_said_goodbye_has_none(self):
        b = self.start()
        self.watch(b, "wills/#")
        self.connect(b, "phone", will("wills/a", "gone")).leave()
        b.wait_metric("connections_open", lambda n: n == 0)
        self.settle(b)
        self.kill(b)
        self.assertEqual(self.seen(self.start(), b"end"), [])

    def test_the_will_of_an_earlier_connection_is_not_published(self):
        b = self.start()
        self.watch(b, "wills/#")
        self.connect(b, "phone", will("wills/a", "first", delay_s=600)).close()
        self.connect(b, "phone", will("wills/a", "second"))
        self.kill(b)
        b = self.start()
        self.assertEqual(self.seen(b, b"end"), [b"second"])
        self.connect(b, "phone", will("wills/a", "third", delay_s=600)).close()
        self.connect(b, "phone")
        self.kill(b)
        self.assertEqual(self.seen(self.start(), b"end"), [])

    def test_one_that_was_published_is_not_published_again(self):
        b = self.start()
        self.watch(b, "wills/#")
        self.connect(b, "phone", will("wills/a", "gone")).close()
        b.wait_metric("wills_published_total", lambda n: n == 1)
        self.settle(b)
        self.kill(b)
        self.assertEqual(self.seen(self.start(), b"end"), [b"gone"])

    def test_a_clean_start_after_the_crash_ends_it_with_the_session(self):
        b = self.start()
        self.watch(b, "wills/#")
        self.connect(b, "phone", will("wills/a", "gone", delay_s=600))
        self.kill(b)
        b = self.start()
        self.client(b, "phone")
        self.assertEqual(self.seen(b, b"end"), [b"gone"])  # the session ends, and the delay with it

    # the broker leaves in good order

    def test_a_broker_that_stops_leaves_no_wills(self):
        b = self.start()
        self.watch(b, "wills/#")
        self.connect(b, "phone", will("wills/a", "gone"))
        self.assertEqual(b.stop(), 0)
        self.assertEqual(self.seen(self.start(), b"end"), [])

    # time passes over a restart

    def test_the_delay_counts_from_the_end_of_the_connection(self):
        b = self.start()
        self.watch(b, "wills/#")
        self.connect(b, "phone", will("wills/a", "soon", delay_s=5)).close()
        self.connect(b, "other", will("wills/b", "late", delay_s=600)).close()
        b.wait_metric("connections_open", lambda n: n == 0)
        self.assertEqual(b.stop(), 0)
        b = self.start()
        b.wait_metric("wills_published_total", lambda n: n == 1)
        self.assertEqual(self.seen(b, b"end"), [b"soon"])
        self.kill(b)
        b = self.start()
        self.assertEqual(self.seen(b, b"end"), [])
        self.connect(b, "other", will("wills/b", "new", delay_s=600))  # came back in time
        self.assertEqual(b.stop(), 0)
        self.assertEqual(self.seen(self.start(), b"end"), [])

    def test_a_session_expires_while_the_broker_is_away_and_its_will_comes_first(self):
        b = self.start()
        self.watch(b, "wills/#")
        phone = self.connect(b, "phone", will("wills/a", "gone", delay_s=600), expiry=5)
        phone.subscribe("box", 1)
        phone.close()
        b.wait_metric("connections_open", lambda n: n == 0)
        self.assertEqual(b.stop(), 0)
        b = self.start()
        b.wait_metric("sessions_expired_total", lambda n: n == 1)
        self.assertEqual(self.seen(b, b"end"), [b"gone"])
        phone = kit.Client(b.port)
        self.addCleanup(phone.close)
        self.assertEqual(phone.join("phone", clean=False), (False, 0))


class Clock(KilledTest):
    """How long a session has been away is known by the time of day, which somebody may have set."""

    def stopped_with(self, away_s, expiry):
        """A session whose client left so many seconds ago, and a broker that was stopped since."""
        b = self.start()
        self.connect(b, "phone", expiry=expiry).subscribe("box", 1)
        self.assertEqual(b.stop(), 0)
        db = sqlite3.connect(f"{self.data}/longlink.db")
        with db:
            db.execute("UPDATE session SET offline_ms = offline_ms - ? WHERE offline_ms > 0", (away_s * 1000,))
            self.assertEqual(db.execute("SELECT changes()").fetchone(), (1,))
        db.close()
        return self.start()

    def expect_present(self, b, present):
        phone = kit.Client(b.port)
        self.addCleanup(phone.close)
        self.assertEqual(phone.join("phone", clean=False), (present, 0))

    def test_a_session_is_gone_after_its_expiry(self):
        b = self.stopped_with(3601, 3600)
        b.wait_metric("sessions_expired_total", lambda n: n == 1)
        self.expect_present(b, False)

    def test_and_not_before(self):
        self.expect_present(self.stopped_with(3000, 3600), True)

    def test_one_that_never_expires_does_not(self):
        self.expect_present(self.stopped_with(10 * 365 * 86400, 0xFFFFFFFF), True)

    def test_a_clock_that_was_set_back_makes_no_session_end(self):
        self.expect_present(self.stopped_with(-5 * 86400, 3600), True)


class Repeats(KilledTest):
    """What may have reached a client before the crash comes again with DUP, and nothing else does."""

    def fill(self, b, first, last):
        self.client(b, "back end").publish_all("box", [b"%d" % i for i in range(first, last)])

    def drain(self, b, count):
        phone = self.connect(b, "phone")
        got = [phone.message() for _ in range(count)]
        return [(int(m.payload), m.dup) for m in got]

    def test_of_a_client_that_had_left(self):
        b = self.start()
        self.connect(b, "phone").subscribe("box", 1)
        phone = self.connect(b, "phone")
        self.fill(b, 0, 6)
        self.assertEqual([int(phone.message(acknowledge=i < 2).payload) for i in range(6)], list(range(6)))
        phone.catch_up()
        phone.close()
        b.wait_metric("connections_open", lambda n: n <= 1)
        self.fill(b, 6, 9)
        self.kill(b)
        b = self.start()
        self.assertEqual(self.drain(b, 7), [(i, i < 6) for i in range(2, 9)])

    def test_of_a_client_that_was_connected(self):
        b = self.start()
        phone = self.connect(b, "phone")
        phone.subscribe("box", 1)
        self.fill(b, 0, 3)
        self.assertEqual([int(phone.message(acknowledge=False).payload) for _ in range(3)], [0, 1, 2])
        self.kill(b)
        b = self.start()
        self.fill(b, 3, 5)
        self.assertEqual(self.drain(b, 5), [(i, i < 3) for i in range(5)])


class NoLocal(KilledTest):
    def test_it_holds_for_retained_messages_after_a_restart(self):
        b = self.start()
        self.connect(b, "phone").publish("place/a", b"mine", 1, retain=True)
        self.connect(b, "other").publish("place/b", b"theirs", 1, retain=True)
        self.kill(b)
        b = self.start()
        phone = self.connect(b, "phone")
        no_local_and_qos_1 = 5
        phone.subscribe("place/#", no_local_and_qos_1)
        self.assertEqual(phone.message().payload, b"theirs")
        self.assertEqual(phone.catch_up(), [])


if __name__ == "__main__":
    kit.main()
