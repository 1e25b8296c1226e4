#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""longlink backup and restore: while a broker is under load, after its end, and what they refuse."""
import os
import re
import shutil
import tempfile
import threading

import kit

FLOWS = 3  # publishers, each with a topic and a retained topic of its own
BACKUPS = 3
BATCH = 40
END = b"end"
FILL = bytes(range(1, 256)) * 200  # 51000 bytes


def tool(*words, status=0):
    return kit.run(os.path.join(os.path.dirname(kit.program()), "longlink"), *words, status=status)


class Flow(threading.Thread):
    """Publishes 0, 1, 2 ... to in/N, and now and then the newest to kept/N, retained. Knows what is acknowledged."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.port, self.number = port, number
        self.acked, self.kept, self.stopping, self.failure = 0, -1, False, None

    def run(self):
        try:
            self.go()
        except Exception as e:  # the test looks at it
            self.failure = e

    def go(self):
        c = kit.Client(self.port)
        c.join(f"flow {self.number}")
        while not self.stopping:
            first = self.acked
            for i in range(first, first + BATCH):
                c.send(c.publish_bytes(f"in/{self.number}", b"%d" % i, 1))
            for _ in range(BATCH):
                self.acknowledged(c)
            assert c.publish(f"kept/{self.number}", b"%d" % first, 1, retain=True) == 0
            self.kept = first
        c.leave()

    def acknowledged(self, c):
        body = c.expect(kit.PUBACK).body
        assert len(body) < 3 or body[2] == 0, body
        self.acked += 1


class Filler(Flow):
    """Fills the journal, and not the tables: its reader is there and acknowledges."""

    def go(self):
        reader, writer = kit.Client(self.port), kit.Client(self.port)
        reader.join("filler's reader", clean=False, expiry=3600)
        reader.subscribe("fill", 1)
        writer.join("filler")
        while not self.stopping:
            for _ in range(20):
                writer.send(writer.publish_bytes("fill", FILL, 1))
            for _ in range(20):
                reader.message()
                self.acknowledged(writer)
        reader.leave()
        writer.leave()


class BackupTest(kit.Test):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        os.mkdir(self.path("data"))

    def path(self, name):
        return os.path.join(self.top, name)

    def start(self, name="data"):
        return self.broker(f"durability disk\npersistence_location {self.path(name)}\nshards 2\nmax_connections -1")

    def session(self, b, name, *filters):
        """Begins a session that lasts, and leaves it."""
        c = self.client(b, name, clean=False, expiry=3600)
        for f in filters:
            self.assertEqual(c.subscribe(f, 1), 1)
        c.leave()

    def refused(self, *command, words=(), status=1):
        out = tool(*command, status=status)
        self.assertEqual(len(out.splitlines()), 1, out)
        self.assertTrue(out.startswith(f"longlink {command[0]}: "), out)
        for word in words:
            self.assertIn(word, out)

    # what a broker has

    def drain(self, b, name, numbers):
        """All that waits for a session, by topic; each topic must be 0, 1, 2 ... Gives how many of each."""
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        self.assertEqual(c.join(name, clean=False, expiry=3600), (True, 0), name)
        seen, ended = {n: 0 for n in numbers}, set()
        while len(ended) < len(numbers):
            m = c.message()
            n = int(m.topic.rpartition("/")[2])
            self.assertNotIn(n, ended)
            if m.payload == END:
                ended.add(n)
                continue
            self.assertEqual(int(m.payload), seen[n], f"{name}: {m.topic}")
            seen[n] += 1
        c.leave()
        return seen

    def retained(self, b):
        c = self.client(b)
        c.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + kit.text("kept/#") + b"\1"))
        c.expect(kit.SUBACK)
        found = {}
        for _ in range(FLOWS):
            m = c.message()
            self.assertTrue(m.retain)
            found[int(m.topic.rpartition("/")[2])] = int(m.payload)
        c.leave()
        return found

    def has_all(self, b, least, kept):
        """Of every flow, at least so many messages wait in every session, and its retained value is as new."""
        found = self.retained(b)
        back_end = self.client(b, "back end")
        for n in range(FLOWS):
            self.assertGreaterEqual(found[n], kept[n])
            self.assertEqual(back_end.publish(f"in/{n}", END, 1), 0)
        back_end.leave()
        for n in range(FLOWS):
            self.assertGreaterEqual(self.drain(b, f"phone {n}", [n])[n], least[n])
        seen = self.drain(b, "phone of all", range(FLOWS))
        for n in range(FLOWS):
            self.assertGreaterEqual(seen[n], least[n])

    def is_subscribed(self, b, name):
        back_end = self.client(b, "back end")
        self.assertEqual(back_end.publish(f"for/{name}", b"hello", 1), 0)
        back_end.leave()
        phone = kit.Client(b.port)
        self.addCleanup(phone.close)
        self.assertEqual(phone.join(name, clean=False, expiry=3600), (True, 0))
        self.assertEqual(phone.message().payload, b"hello")
        phone.leave()


class UnderLoad(BackupTest):
    def begin(self, b):
        for n in range(FLOWS):
            self.session(b, f"phone {n}", f"in/{n}")
        self.session(b, "phone of all", "in/+")
        flows = [Flow(b.port, n) for n in range(FLOWS)] + [Filler(b.port, FLOWS)]
        for f in flows:
            f.start()
        return flows

    def go_on(self, flows):
        """Until each of them has got further."""
        want = [f.acked + 200 for f in flows]
        kit.wait_until(lambda: all(f.acked >= w or f.failure for f, w in zip(flows, want)), "acknowledgements")
        for f in flows:
            if f.failure:
                raise f.failure

    def back_up(self, b, flows, k):
        self.go_on(flows)
        self.session(b, f"new {k}", f"for/new {k}")
        least, kept = [f.acked for f in flows], [f.kept for f in flows]
        out = tool("backup", self.path("data"), self.path(f"backup {k}"))
        self.assertRegex(out, r"backup \d is a good backup: \d+ files, \d+ bytes, everything up to position \d+\n$")
        self.assertIn("MANIFEST", os.listdir(self.path(f"backup {k}")))
        return least, kept

    def check(self, k, least, kept):
        tool("restore", self.path(f"backup {k}"), self.path(f"restored {k}"))
        b = self.start(f"restored {k}")
        for i in range(k + 1):
            self.is_subscribed(b, f"new {i}")
        self.kill(b)  # and what is new in it is as durable as ever
        b = self.start(f"restored {k}")
        self.has_all(b, least, kept)
        self.assertEqual(b.stop(), 0)

    def test_what_was_acknowledged_before_a_backup_is_in_it_and_the_broker_goes_on(self):
        b = self.start()
        flows = self.begin(b)
        taken = [self.back_up(b, flows, k) for k in range(BACKUPS)]
        self.go_on(flows)
        for f in flows:
            f.stopping = True
        for f in flows:
            f.join(kit.WAIT_S)
            self.assertFalse(f.is_alive())
            self.assertIsNone(f.failure)
        self.assertGreater(min(taken[-1][1][:FLOWS]), 0)
        self.has_all(b, [f.acked for f in flows], [f.kept for f in flows])
        self.assertEqual(b.stop(), 0)
        for k, (least, kept) in enumerate(taken):
            self.check(k, least, kept)


class AtRest(BackupTest):
    def fill(self):
        b = self.start()
        for n in range(FLOWS):
            self.session(b, f"phone {n}", f"in/{n}")
        self.session(b, "phone of all", "in/+")
        c = self.client(b, "back end")
        for n in range(FLOWS):
            c.publish_all(f"in/{n}", [b"%d" % i for i in range(300)])
            c.publish(f"kept/{n}", b"7", 1, retain=True)
        c.leave()
        return b

    def same_after_restore(self):
        before = sorted(n for n in os.listdir(self.path("data")) if not re.search("-(wal|shm)$", n))
        tool("backup", self.path("data"), self.path("backup"))
        self.assertEqual(sorted(n for n in os.listdir(self.path("data")) if not re.search("-(wal|shm)$", n)), before)
        tool("restore", self.path("backup"), self.path("restored"))
        for name in ("restored", "data"):
            self.has_all(self.start(name), [300] * FLOWS, [7] * FLOWS)

    def test_a_broker_that_was_stopped(self):
        self.assertEqual(self.fill().stop(), 0)
        self.same_after_restore()

    def test_a_broker_that_was_killed(self):
        self.kill(self.fill())
        self.same_after_restore()

    def test_a_session_of_before_the_backup_is_known_and_one_of_after_is_not(self):
        b = self.fill()
        tool("backup", self.path("data"), self.path("backup"))
        self.session(b, "late", "in/0")
        self.assertEqual(b.stop(), 0)
        os.rename(self.path("data"), self.path("old"))
        tool("restore", self.path("backup"), self.path("data"))
        b = self.start()
        late = kit.Client(b.port)
        self.addCleanup(late.close)
        self.assertEqual(late.join("late", clean=False, expiry=3600), (False, 0))
        self.has_all(b, [300] * FLOWS, [7] * FLOWS)


class Refused(BackupTest):
    def test_directories_that_are_not_as_they_should_be(self):
        b = self.start()
        self.session(b, "phone", "inbox")
        tool("backup", self.path("data"), self.path("backup"))
        self.refused("backup", self.path("data"), self.path("backup"), words=["backup is not empty", "new or empty"])
        self.refused("backup", self.top, self.path("other"), words=[self.top, "persistence_location"])
        self.refused("backup", self.path("data"), self.path("no/where"), words=["no/where: No such file"])
        self.refused("restore", self.path("backup"), self.path("data"),
                     words=[f"data is in use by process {b.process.pid}", "stop it"])
        self.refused("restore", self.path("data"), self.path("other"), words=["data has no MANIFEST"])
        self.assertEqual(b.stop(), 0)
        self.refused("restore", self.path("backup"), self.path("data"), words=["data is not empty"])
        self.assertFalse(os.path.exists(self.path("other")))
        phone = kit.Client(self.start().port)
        self.addCleanup(phone.close)
        self.assertEqual(phone.join("phone", clean=False, expiry=3600), (True, 0))

    def test_a_backup_that_was_damaged(self):
        b = self.start()
        self.session(b, "phone", "inbox")
        tool("backup", self.path("data"), self.path("backup"))
        with open(self.path("backup/longlink.db"), "r+b") as f:
            f.seek(5000)
            byte = f.read(1)[0]
            f.seek(5000)
            f.write(bytes([byte ^ 1]))
        self.refused("restore", self.path("backup"), self.path("restored"),
                     words=["backup/longlink.db is damaged", "another backup"])
        self.assertFalse(os.path.exists(self.path("restored")))

    def test_wrong_usage(self):
        for command in ("backup", "restore"):
            for words in ((), ("one",), ("one", "two", "three"), ("--fast", "two")):
                self.refused(command, *words, words=[f"see 'longlink help {command}'"], status=2)
            self.assertEqual(tool("help", command), tool(command, "--help"))
            self.assertIn(f"usage: longlink {command} ", tool("help", command))


if __name__ == "__main__":
    kit.main()
