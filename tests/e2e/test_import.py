#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""longlink import-mosquitto: what mosquitto kept is there when its clients come to us, and what cannot be is said."""
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import kit
import mosquitto_db as db

PUBREC, PUBREL, PUBCOMP = 5, 6, 7
HOUR = 3600
LONGLINK = os.path.join(os.path.dirname(kit.program()), "longlink")


def tool(*words, status=0):
    return kit.run(LONGLINK, "import-mosquitto", *words, status=status)


def user(key, value):
    return b"\x26" + kit.text(key) + kit.text(value)


def publish(c, topic, payload, qos, retain=False, props=b""):
    """Version 5, and QoS 2 whole."""
    number = struct.pack(">H", c._id())
    c.send(kit.packet(kit.PUBLISH, qos << 1 | retain,
                      kit.text(topic) + (number if qos else b"") + kit.var_int(len(props)) + props + payload))
    if qos == 1:
        c.expect(kit.PUBACK)
    if qos == 2:
        c.expect(PUBREC)
        c.send(kit.packet(PUBREL, 2, number))
        c.expect(PUBCOMP)


def subscribe(c, topic_filter, options, number=0):
    props = b"\x0b" + kit.var_int(number) if number else b""
    c.send(kit.packet(kit.SUBSCRIBE, 2, struct.pack(">H", c._id()) + kit.var_int(len(props)) + props +
                      kit.text(topic_filter) + bytes([options])))
    return c.expect(kit.SUBACK).body[-1]


def qos2(c, m):
    """The receiver's part of an exchange whose PUBLISH came."""
    c.send(kit.packet(PUBREC, 0, struct.pack(">H", m.id)))
    assert struct.unpack(">H", c.expect(PUBREL).body[:2])[0] == m.id
    c.send(kit.packet(PUBCOMP, 0, struct.pack(">H", m.id)))


class ImportTest(kit.Test):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.top, name)

    def mosquitto(self, conf=""):
        m = db.Mosquitto(conf)
        self.addCleanup(m.stop)
        return m

    def start(self, name="data"):
        return self.broker(f"durability disk\npersistence_location {self.path(name)}\nshards 2")

    def made(self, *chunks, version=6):
        """A broker on what is imported of a file made by hand; and what the import said."""
        said = tool("--to", self.path("data"), db.write(self.path("file"), *chunks, version=version))
        return self.start(), said

    def back(self, broker, name, version=kit.V5, present=True):
        c = kit.Client(broker.port)
        self.addCleanup(c.close)
        more = {"expiry": HOUR} if version == kit.V5 else {}
        self.assertEqual(c.join(name, version=version, clean=False, **more), (present, 0), name)
        return c

    def nothing_more(self, c):
        c.send(kit.packet(kit.PINGREQ, 0, b""))
        c.expect(kit.PINGRESP)

    def refused(self, *words, says=(), status=1):
        out = tool(*words, status=status)
        self.assertEqual(len(out.splitlines()), 1, out)
        self.assertTrue(out.startswith("longlink import-mosquitto: "), out)
        for word in says:
            self.assertIn(word, out)

    # a file of mosquitto's own

    def fill(self, m):
        """Two sessions of version 3.1.1 and 5, which have gone."""
        old, new = self.client(m, "old", version=kit.V311, clean=False), self.client(m, "new", clean=False, expiry=HOUR)
        self.assertEqual(old.subscribe("t/+", 2), 2)
        self.assertEqual(old.subscribe("gone", 1), 1)
        old.send(kit.packet(kit.UNSUBSCRIBE, 2, struct.pack(">H", old._id()) + kit.text("gone")))
        old.expect(kit.UNSUBACK)
        self.assertEqual(subscribe(new, "t/#", 2 | 4 | 8, 77), 2)
        old.leave()
        new.leave()
        p = self.client(m, "publisher")
        publish(p, "t/1", b"first", 1)
        publish(p, "t/2", b"second", 2, props=user("k", "v") + b"\x01\x01\x03" + kit.text("text/plain"))
        publish(p, "t/3", b"kept and queued", 1, retain=True)
        publish(p, "t/4", b"for an hour", 1, props=b"\x02" + struct.pack(">I", HOUR))
        publish(p, "r/1", b"kept", 1, retain=True, props=b"\x02" + struct.pack(">I", HOUR) + user("a", "b"))
        publish(p, "r/0", b"kept at 0", 0, retain=True)
        for i in range(200):
            publish(p, f"t/{i % 5}", b"%d" % i, 1 + i % 2)
        p.leave()

    def check_old(self, b, c):
        p = self.client(b, "another")
        publish(p, "gone", b"", 1)
        publish(p, "t/new", b"the subscription is there", 2)
        m = kit.Message(c.expect(kit.PUBLISH), c.version)
        self.assertEqual((m.topic, m.qos), ("t/new", 2))
        qos2(c, m)
        self.nothing_more(c)

    def check_queue(self, c, retain):
        """All that fill() published, in order. Gives the messages."""
        want = [("t/1", b"first", 1), ("t/2", b"second", 2), ("t/3", b"kept and queued", 1), ("t/4", b"for an hour", 1)]
        want += [(f"t/{i % 5}", b"%d" % i, 1 + i % 2) for i in range(200)]
        found, released = [], 0
        while len(found) < len(want) or released < sum(m.qos == 2 for m in found):
            p = c.receive()
            if p.kind == PUBREL:
                c.send(kit.packet(PUBCOMP, 0, p.body[:2]))
                released += 1
                continue
            m = kit.Message(p, c.version)
            c.send(kit.packet(kit.PUBACK if m.qos == 1 else PUBREC, 0, struct.pack(">H", m.id)))
            found.append(m)
        self.assertEqual([(m.topic, m.payload, m.qos) for m in found], want)
        self.assertEqual([m.payload for m in found if m.dup], [])
        self.assertEqual([m.payload for m in found if m.retain], [b"kept and queued"] if retain else [])
        return found

    def check_new(self, b, c, found):
        self.assertIn(user("k", "v"), found[1].props)
        self.assertIn(b"\x01\x01\x03" + kit.text("text/plain"), found[1].props)
        self.assertIn(b"\x0b\x4d", found[1].props)
        left = struct.unpack(">I", re.search(rb"\x02(....)", found[3].props, re.S)[1])[0]
        self.assertLessEqual(left, HOUR)
        self.assertGreater(left, HOUR - 120)
        c.send(c.publish_bytes("t/own/", b"", 0))  # No Local
        self.client(b, "yet another").publish("t/other/", b"", 1, retain=True)
        m = c.message()
        self.assertEqual((m.topic, m.retain), ("t/other/", True))  # Retain As Published
        self.assertIn(b"\x0b\x4d", m.props)

    def test_what_mosquitto_kept_is_there(self):
        m = self.mosquitto()
        self.fill(m)
        said = tool("--to", self.path("data"), m.save())
        for line in ("sessions: +2", "subscriptions: +2", "queued messages: +408", "retained messages: +3"):
            self.assertRegex(said, f"(?m)^{line}$")
        self.assertNotIn("skipped", said)
        self.assertNotIn("warning", said)
        b = self.start()
        c = self.client(b, "reader")
        c.subscribe("#", 1)
        kept = sorted((x.topic, x.payload, x.qos, x.retain) for x in (c.message() for _ in range(3)))
        self.assertEqual(kept, [("r/0", b"kept at 0", 0, True), ("r/1", b"kept", 1, True),
                                ("t/3", b"kept and queued", 1, True)])
        c.leave()
        old, new = self.back(b, "old", kit.V311), self.back(b, "new")
        self.check_queue(old, retain=False)
        found = self.check_queue(new, retain=True)
        self.check_new(b, new, found)
        self.check_old(b, old)

    def test_a_file_that_was_saved_while_mosquitto_ran_is_taken_with_a_warning(self):
        m = self.mosquitto()
        self.client(m, "still there", clean=False, expiry=HOUR).subscribe("x", 1)
        m.process.send_signal(signal.SIGUSR1)
        kit.wait_until(lambda: os.path.exists(m.file), "mosquitto.db")
        said = tool("--to", self.path("data"), m.file)
        self.assertIn("warning: ", said)
        self.assertRegex(said, "(?m)^sessions: +1$")
        self.back(self.start(), "still there")

    def test_qos_2_goes_on_where_it_was_with_the_packet_ids_that_clients_know(self):
        m = self.mosquitto("max_inflight_messages 10")
        c = self.client(m, "c", version=kit.V311, clean=False)
        c.subscribe("q", 2)
        p = self.client(m, "p")
        for i in range(4):
            publish(p, "q", b"%d" % i, 2)
        publish(p, "q", b"qos 1", 1)
        p.leave()
        ids = [kit.Message(c.expect(kit.PUBLISH), c.version).id for _ in range(5)]
        for number in ids[:2]:
            c.send(kit.packet(PUBREC, 0, struct.pack(">H", number)))
            self.assertEqual(c.expect(PUBREL).body, struct.pack(">H", number))
        c.send(kit.packet(PUBCOMP, 0, struct.pack(">H", ids[0])))
        c.ping()
        c.close()
        p = self.client(m, "p")
        publish(p, "q", b"later", 2)
        p.leave()
        said = tool("--to", self.path("data"), m.save())
        self.assertIn("note: 1 queued messages of QoS 2 have been received", said)
        b = self.start()
        for restart in (True, False):  # what is between PUBREC and PUBCOMP survives us, too
            c = self.back(b, "c", kit.V311)
            found = [c.receive() for _ in range(3)]
            self.assertEqual([x.kind for x in found], [PUBREL, kit.PUBLISH, kit.PUBLISH])
            self.assertEqual(found[0].body, struct.pack(">H", ids[1]))
            again = [kit.Message(x, kit.V311) for x in found[1:]]
            self.assertEqual([(x.id, x.payload, x.dup, x.qos) for x in again],
                             [(ids[2], b"2", True, 2), (ids[3], b"3", True, 2)])
            if restart:
                self.nothing_more(c)  # qos 1 waits: its id could be one of these
                self.kill(b)
                b = self.start()
        qos2(c, again[0])
        c.send(kit.packet(PUBREC, 0, struct.pack(">H", ids[3])))
        self.assertEqual(c.expect(PUBREL).body, struct.pack(">H", ids[3]))
        c.send(kit.packet(PUBCOMP, 0, struct.pack(">H", ids[1])))
        c.send(kit.packet(PUBCOMP, 0, struct.pack(">H", ids[3])))
        x = c.message()
        self.assertEqual((x.payload, x.qos, x.dup), (b"qos 1", 1, True))
        x = kit.Message(c.expect(kit.PUBLISH), c.version)
        self.assertEqual((x.payload, x.qos), (b"later", 2))
        qos2(c, x)
        self.nothing_more(c)

    # files made by hand

    def test_a_queue_keeps_its_order_though_older_messages_stand_behind_newer_ones(self):
        order = [5, 2, 9, 1, 2]
        b, said = self.made(db.config(), *(db.message(i, "t", f"m{i}") for i in range(1, 10)),
                            db.client("mixed"), *(db.entry("mixed", i) for i in order),
                            db.client("in order"), *(db.entry("in order", i) for i in (1, 2, 5, 9)), db.retain(2))
        self.assertRegex(said, "(?m)^queued messages: +9$")
        for name, numbers in (("mixed", order), ("in order", (1, 2, 5, 9))):
            c = self.back(b, name)
            self.assertEqual([c.message().payload for _ in numbers], [b"m%d" % i for i in numbers])
            self.nothing_more(c)

    def test_format_version_5_is_read(self):
        b, said = self.made(db.config(), db.message(1, "t", "old"), db.client("v5", version=5), db.entry("v5", 1),
                            db.subscription("v5", "t"), db.retain(1), version=5)
        self.assertRegex(said, "(?m)^retained messages: +1$")
        self.assertEqual(self.back(b, "v5").message().payload, b"old")

    def test_what_is_over_is_left_behind_and_counted(self):
        now = int(time.time())
        deep = "/".join("x" * 201)
        b, said = self.made(
            db.config(), db.message(1, "t", "over", expires=now - 1), db.message(2, "t", "good", expires=now + HOUR),
            db.message(3, deep, "deep"), db.message(4, "$SYS/x", "theirs"), db.message(5, "a/+", "wild"),
            db.message(6, "t", "no property", props=b"\x55"), db.message(2, "t", "again"),
            db.client("good", HOUR, now + HOUR), db.client("over", HOUR, now - 1), db.client("ended", 0),
            db.client("good"), db.client(""), db.client("user", username="someone"),
            *(db.entry("good", i) for i in (1, 2, 3, 5, 6, 99)), db.entry("good", 2, qos=0), db.entry("nobody", 2),
            db.subscription("good", "a/#"), db.subscription("good", "a/#b"), db.subscription("over", "a"),
            db.subscription("good", deep), *(db.retain(i) for i in (1, 2, 4, 5, 99)), db.chunk(77, b"of the future"))
        lines = ("sessions: +2", "subscriptions: +1", "queued messages: +2", "retained messages: +1",
                 "skipped: 1 sessions: their client asked.*", "skipped: 1 sessions: their time was over",
                 "skipped: 1 sessions: their client id.*", "skipped: 1 sessions: the file has one.*",
                 "skipped: 1 subscriptions: their session.*", "skipped: 2 subscriptions: their filter.*",
                 "skipped: 1 queued messages: their session.*", "skipped: 1 queued messages: the file has not.*",
                 "skipped: 1 queued messages: their expiry.*",
                 "skipped: 3 queued messages: their topic.*", "skipped: 1 retained messages: the file has not.*",
                 "skipped: 1 retained messages: topics below .SYS.*", "skipped: 1 retained messages: their expiry.*",
                 "skipped: 1 retained messages: their topic.*", "skipped: 1 messages: .*same number",
                 "skipped: 1 parts of the file.*", "note: 1 sessions have a user name.*")
        for line in lines:
            self.assertRegex(said, f"(?m)^{line}$")
        c = self.back(b, "good")
        self.assertEqual([(m.payload, m.qos) for m in (c.message() for _ in range(2))], [(b"good", 1), (b"good", 0)])
        self.nothing_more(c)
        self.back(b, "user")
        self.back(b, "over", present=False)

    def test_a_session_keeps_what_is_left_of_its_time(self):
        soon = int(time.time()) + 12
        b, _ = self.made(db.config(), db.client("short", HOUR, soon), db.client("long", HOUR, soon + HOUR))
        b.wait_metric("sessions_expired_total", lambda n: n == 1)
        self.assertGreaterEqual(time.time(), soon)
        self.back(b, "short", present=False)
        self.back(b, "long")

    def test_messages_from_clients_that_were_not_released_are_delivered_once(self):
        b, said = self.made(
            db.config(), db.message(1, "in", "once", qos=2, retain=True, source="publisher"), db.client("publisher"),
            db.entry("publisher", 1, 2, db.WAITS_FOR_PUBREL, packet_id=3, out=False), db.client("reader"),
            db.client("own"), db.subscription("reader", "in", 1), db.subscription("reader", "+", 2 | 8),
            db.subscription("publisher", "#", 2 | 4))
        self.assertIn("note: 1 messages of QoS 2 from clients", said)
        r = self.back(b, "reader")
        m = kit.Message(r.expect(kit.PUBLISH), r.version)
        self.assertEqual((m.payload, m.qos, m.retain), (b"once", 2, True))
        qos2(r, m)
        p = self.back(b, "publisher")
        p.send(kit.packet(kit.PUBLISH, 4 | 8, kit.text("in") + b"\0\3\0" + b"once"))
        self.assertEqual(p.expect(PUBREC).body[:2], b"\0\3")
        p.send(kit.packet(PUBREL, 2, b"\0\3"))
        self.assertEqual(p.expect(PUBCOMP).body[:2], b"\0\3")
        self.nothing_more(p)  # No Local
        self.nothing_more(r)
        c = self.client(b, "late")
        c.subscribe("in", 0)
        self.assertEqual(c.message().payload, b"once")

    # what it refuses

    def one_session(self):
        return db.write(self.path("file"), db.config(), db.client("s"))

    def test_a_directory_that_is_not_empty_is_refused_and_left_alone(self):
        os.mkdir(self.path("data"))
        with open(self.path("data/something"), "w") as f:
            f.write("else")
        self.refused("--to", self.path("data"), self.one_session(), says=("is not empty", "something", "move away"))
        self.assertEqual(os.listdir(self.path("data")), ["something"])

    def test_a_store_that_is_there_or_in_use_is_refused(self):
        b = self.start()
        self.refused("--to", self.path("data"), self.one_session(), says=("is in use by process", "stop that broker"))
        self.stop_well(b)
        self.refused("--to", self.path("data"), self.one_session(), says=("is not empty",))

    def test_what_is_no_good_file_is_refused_with_the_place_and_nothing_is_made(self):
        whole = db.head() + db.config() + db.client("s")
        for content, says in ((b"", "offset 0"), (b"SQLite format 3\0" * 9, "offset 0"), (db.head(7), "version 7"),
                              (db.head(4), "version 4"), (whole[:20], "ends within its head"),
                              (whole[:-1], f"offset {len(db.head() + db.config())}: "),
                              (whole + b"\0\0\0\3\xff\xff\xff\xff", "has 4294967295 bytes"), (whole + b"\0", "head of"),
                              (db.head() + db.config(id_bytes=4), "not 8"),
                              (whole + db.chunk(3, b"\0" * 10), "does not fit")):
            with open(self.path("file"), "wb") as f:
                f.write(content)
            self.refused("--to", self.path("data"), self.path("file"), says=(says, self.path("file")))
            self.assertFalse(os.path.exists(self.path("data")))
        self.refused("--to", self.path("data"), self.path("missing"), says=("cannot read",))
        self.refused("--to", self.path("data"), self.top, says=("cannot read",))

    def test_wrong_usage_ends_with_2(self):
        for words in ((), ("file",), ("--to",), ("--to", "a"), ("--to", "a", "b", "c"), ("--to", "a", "-c", "b", "c"),
                      ("--what", "a"), ("--to=", "a"), ("--to", "a", "--dry-run", "b")):
            self.refused(*words, says=("longlink help import-mosquitto",), status=2)
        self.assertIn("usage:", tool("--help"))

    def test_a_dry_run_makes_nothing(self):
        self.assertRegex(tool("--dry-run", self.one_session()), "(?m)^sessions: +1$")
        self.assertEqual(os.listdir(self.top), ["file"])

    def test_the_directory_may_come_from_the_configuration(self):
        conf = self.path("conf")
        with open(conf, "w") as f:
            f.write(f"persistence_location {self.path('data')}\n")
        tool("-c", conf, self.one_session())
        self.back(self.start(), "s")
        with open(conf, "w") as f:
            f.write("durability memory\n")
        self.refused("-c", conf, self.one_session(), says=("keeps nothing on disk",))

    def killed_within(self, file):
        """Whether an import was under way when it was killed."""
        p = subprocess.Popen([LONGLINK, "import-mosquitto", "--to", self.path("data"), file])
        begun = self.path("data/longlink.new/longlink.db")
        kit.wait_until(lambda: os.path.exists(begun) or p.poll() is not None, "the import to be under way")
        p.kill()
        status = p.wait(kit.WAIT_S)
        self.assertIn(status, (0, -signal.SIGKILL))
        return status != 0

    def test_no_broker_starts_on_what_a_killed_import_left(self):
        many = db.write(self.path("file"), db.config(), db.client("s"),
                        *(db.message(i, "t", "x" * 500) + db.entry("s", i) for i in range(1, 40000)))
        while not self.killed_within(many):
            shutil.rmtree(self.path("data"))  # it was faster than we
        b = kit.Broker(f"durability disk\npersistence_location {self.path('data')}")
        self.addCleanup(b.remove)
        self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
        b.log_file.close()
        self.assertIn("store-failed", b.text())
        self.refused("--to", self.path("data"), many, says=("is not empty",))


if __name__ == "__main__":
    kit.main()
