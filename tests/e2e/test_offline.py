#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A persistent session gets what came while its client was away: all of it, in order, and nothing twice."""
import kit

BACKLOG = 5000


def numbers(first, last):
    return [b"%d" % i for i in range(first, last)]


class Offline(kit.Test):
    def session(self, broker, version, **more):
        """A client that comes back: MQTT 3.1.1 without clean session, or MQTT 5 with an expiry."""
        expiry = 3600 if version == kit.V5 else None
        c = kit.Client(broker.port)
        self.addCleanup(c.close)
        return c, c.join("phone", version=version, clean=False, expiry=expiry, **more)

    def fill(self, broker, first, last):
        self.client(broker, "back end").publish_all("inbox", numbers(first, last))

    def drain_in_two_visits(self, version, receive_max=None):
        b = self.broker()
        phone, (present, _) = self.session(b, version)
        self.assertFalse(present)
        self.assertEqual(phone.subscribe("inbox", 1), 1)
        phone.close()
        self.fill(b, 0, BACKLOG)

        # The first visit takes a part, acknowledges it, and is cut off.
        phone, (present, _) = self.session(b, version, receive_max=receive_max)
        self.assertTrue(present)
        part = [phone.message().payload for _ in range(BACKLOG // 3)]
        self.assertEqual(part, numbers(0, BACKLOG // 3))
        phone.catch_up()  # the acknowledgements have been read
        phone.close()

        # What was under way then may come again, marked as a repeat; nothing is missing, and the order holds.
        self.fill(b, BACKLOG, BACKLOG + 10)
        phone, (present, _) = self.session(b, version, receive_max=receive_max)
        self.assertTrue(present)
        rest = [phone.message() for _ in range(BACKLOG + 10 - len(part))]
        self.assertEqual([m.payload for m in rest], numbers(len(part), BACKLOG + 10))
        first_time = [m.dup for m in rest].index(False)
        self.assertFalse(any(m.dup for m in rest[first_time:]), "repeats come before what is new")

        # And it is all: the next thing is a new message.
        self.fill(b, 9999999, 10000000)
        self.assertEqual(phone.message().payload, b"9999999")

    def test_a_backlog_is_drained_in_two_visits_3_1_1(self):
        self.drain_in_two_visits(kit.V311)

    def test_a_backlog_is_drained_in_two_visits_5(self):
        self.drain_in_two_visits(kit.V5)

    def test_a_backlog_is_drained_through_a_small_window(self):
        self.drain_in_two_visits(kit.V5, receive_max=3)

    def test_what_was_not_acknowledged_comes_again_under_its_id(self):
        b = self.broker()
        phone, _ = self.session(b, kit.V5, receive_max=10)
        phone.subscribe("inbox", 1)
        phone.close()
        self.fill(b, 0, 20)
        phone, _ = self.session(b, kit.V5, receive_max=10)
        seen = [phone.message(acknowledge=False) for _ in range(10)]
        phone.close()
        phone, _ = self.session(b, kit.V5, receive_max=10)
        again = [phone.message() for _ in range(10)]
        self.assertEqual([(m.id, m.payload) for m in again], [(m.id, m.payload) for m in seen])
        self.assertTrue(all(m.dup for m in again))
        self.assertEqual([phone.message().payload for _ in range(10)], numbers(10, 20))

    def test_mosquitto_sub_drains_in_two_visits(self):
        if not kit.have("mosquitto_sub", "mosquitto_pub"):
            self.skipTest("mosquitto-clients is not installed")
        b = self.broker()
        for version in ("311", "5"):
            more = ["-x", "3600"] if version == "5" else []
            phone = ["-i", "phone" + version, "-c", "-q", "1", "-V", version, "-t", "box" + version, *more]
            kit.run(*kit.sub(b, *phone, "-E"))
            lines = "".join(f"{i}\n" for i in range(BACKLOG))
            kit.run("mosquitto_pub", "-h", "127.0.0.1", "-p", b.port, "-q", "1", "-t", "box" + version, "-l",
                    stdin=lines.encode())
            half = BACKLOG // 2
            first = kit.run(*kit.sub(b, *phone, "-C", half)).split()
            self.assertEqual(first, [str(i) for i in range(half)])
            # It left with messages unread, in mid-stream. Its last acknowledgements may be lost with the
            # connection, and what had reached it may be acknowledged and not shown: a window's worth, either way.
            rest = [int(x) for x in kit.run(*kit.sub(b, *phone, "-C", half - 20)).split()]
            self.assertEqual(rest, list(range(rest[0], rest[0] + len(rest))))
            self.assertIn(rest[0], range(half - 20, half + 21))

    def test_paho_drains(self):
        b = self.broker()
        for version in (kit.V311, kit.V5):
            expiry = 3600 if version == kit.V5 else None
            box = f"paho{version}"
            phone = kit.Paho(b, box, version, clean=False, expiry=expiry).subscribe(box, 1)
            phone.stop()
            self.client(b, "back end").publish_all(box, numbers(0, BACKLOG))
            phone = kit.Paho(b, box, version, clean=False, expiry=expiry)
            self.assertTrue(phone.session_present())
            phone.wait(lambda: len(phone.messages) >= BACKLOG, "the backlog")
            self.assertEqual(phone.payloads(), numbers(0, BACKLOG))
            phone.stop()


if __name__ == "__main__":
    kit.main()
