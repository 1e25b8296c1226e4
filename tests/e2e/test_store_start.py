#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the broker says and does at its start when the directory of its journal and tables is not as it should be."""
import contextlib
import glob
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest

import kill9_failpoints
import kit

HEADER_BYTES = 4096  # of a segment of the journal
SECTOR_BYTES = 512


class StoreTest(kit.Test):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="longlink-e2e.")
        os.chmod(self.top, 0o755)
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.data = os.path.join(self.top, "data")
        os.mkdir(self.data)

    def conf(self, durability="disk"):
        return f"durability {durability}\npersistence_location {self.data}\nshards 1"

    def start(self, durability="disk"):
        return self.broker(self.conf(durability))

    def refused(self, *words, user=None):
        """A start that must fail with one clear line: the directory, what is wrong, what to do."""
        path = os.path.join(self.top, "conf")
        with open(path, "w") as f:
            f.write(f"listener 0 127.0.0.1\nallow_anonymous true\nuser {user or 'root'}\n{self.conf()}\n")
        command = [kit.program(), "-c", path]
        if user:
            command = ["setpriv", f"--reuid={user}", "--clear-groups", *command]
        out = kit.run(*command, status=1)
        lines = [line for line in out.splitlines() if " store-failed " in line]
        self.assertEqual(len(lines), 1, out)
        self.assertIn(f'persistence_location="{self.data}"', lines[0])
        for word in words:
            self.assertRegex(lines[0], word)
        self.assertNotIn("broker-ready", out)
        self.assertNotIn("ERROR: ", out)  # a sanitizer's
        return out

    # a session with some messages in the journal, or in the tables

    def fill(self, b, first, last):
        phone = kit.Client(b.port)
        present, _ = phone.join("phone", clean=False, expiry=3600)
        if not present:
            phone.subscribe("inbox", 1)
        phone.close()
        back_end = self.client(b, "back end")
        for i in range(first, last):
            self.assertEqual(back_end.publish("inbox", b"%07d" % i, 1), 0)
        back_end.leave()

    def drain(self, b, last):
        """Everything up to a message, and with it."""
        phone = kit.Client(b.port)
        self.addCleanup(phone.close)
        self.assertEqual(phone.join("phone", clean=False, expiry=3600), (True, 0))
        got = []
        while not got or got[-1] != last:
            got.append(int(phone.message().payload))
        return got

    def has_folded(self, payload):
        """Whether the tables have this message already. Asks a copy: to look would change the files."""
        with tempfile.TemporaryDirectory(prefix="longlink-e2e.") as d:
            for path in glob.glob(f"{self.data}/longlink.db*"):
                shutil.copy(path, d)
            db = sqlite3.connect(os.path.join(d, "longlink.db"))
            found = db.execute("SELECT (SELECT count(*) FROM body WHERE payload = ?1) + "
                               "(SELECT count(*) FROM queue WHERE payload = ?1)", (payload,)).fetchone()[0]
            db.close()
            return found > 0

    def seems_folded(self, payload):
        """The same while the broker runs: a copy of files that are written meanwhile may be of no use."""
        with contextlib.suppress(sqlite3.DatabaseError, FileNotFoundError):
            return self.has_folded(payload)
        return False

    def killed_with(self, count):
        """A directory as kill -9 leaves it, with the last message only in the journal."""
        while True:
            b = self.start()
            self.fill(b, 0, count)
            self.kill(b)
            if not self.has_folded(b"%07d" % (count - 1)):
                return
            shutil.rmtree(self.data)
            os.mkdir(self.data)

    def segment(self):
        """The journal's newest file that has something in it, and where its last byte is."""
        for path in sorted(glob.glob(f"{self.data}/*.wal"), reverse=True):
            with open(path, "rb") as f:
                content = f.read()
            end = len(content.rstrip(b"\0"))
            if end > HEADER_BYTES:
                return path, content, end
        self.fail("no segment has records: " + str(os.listdir(self.data)))

    def write(self, path, offset, data):
        with open(path, "r+b") as f:
            f.seek(offset)
            f.write(data)


class Directory(StoreTest):
    def test_a_second_broker_is_refused_and_the_first_goes_on(self):
        b = self.start()
        self.fill(b, 0, 3)
        self.refused("another process|in use|locked")
        self.assertEqual(self.drain(b, 2), [0, 1, 2])

    def test_it_is_free_again_after_the_end(self):
        b = self.start()
        self.fill(b, 0, 3)
        self.assertEqual(b.stop(), 0)
        self.assertEqual(self.drain(self.start(), 2), [0, 1, 2])

    def test_a_directory_that_is_missing_is_made_with_what_is_above_it(self):
        # option: persistence_location
        os.rmdir(self.data)
        self.data = os.path.join(self.data, "deep", "er")
        b = self.start()
        self.fill(b, 0, 1)
        self.assertEqual(os.stat(self.data).st_mode & 0o777, 0o700)
        self.kill(b)
        self.assertEqual(self.drain(self.start(), 0), [0])

    @unittest.skipUnless(os.geteuid() == 0, "only root becomes somebody else")
    def test_one_that_root_makes_can_be_reached_by_the_user_that_it_becomes(self):
        self.data = os.path.join(self.data, "deep", "er")
        b = self.broker(self.conf() + "\nuser nobody")
        self.fill(b, 0, 1)
        self.assertEqual(os.stat(self.data).st_mode & 0o777, 0o700)

    def test_its_files_are_the_users_alone_in_a_directory_that_all_may_read(self):
        os.chmod(self.data, 0o755)
        self.fill(self.start(), 0, 1)
        self.assertIn("longlink.db", os.listdir(self.data))
        open_to_others = [f for f in os.listdir(self.data) if os.stat(os.path.join(self.data, f)).st_mode & 0o077]
        self.assertEqual(open_to_others, [])

    @unittest.skipUnless(kit.have("setpriv"), "it takes somebody who is not root")
    def test_without_a_location_it_is_in_the_state_directory_of_whoever_starts_it(self):
        path, state = os.path.join(self.top, "conf"), os.path.join(self.top, "state")
        with open(path, "w") as f:
            f.write("listener 0 127.0.0.1\nallow_anonymous true\n")
        os.mkdir(state)
        os.chmod(state, 0o777)
        command = [kit.program(), "-c", path]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--clear-groups", *command]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL,
                                   env={**kit.SANITIZER_OPTIONS, **os.environ, "XDG_STATE_HOME": state})
        try:
            kit.wait_until(lambda: os.path.exists(f"{state}/longlink/longlink.db"), "the database")
        finally:
            process.kill()
            process.wait()

    def test_one_that_cannot_be_made_is_named_with_what_to_do(self):
        os.rmdir(self.data)
        with open(self.data, "w"):
            pass
        self.data = os.path.join(self.data, "below")
        self.refused("Not a directory", "persistence_location")

    def test_a_file_instead_of_a_directory_is_named(self):
        os.rmdir(self.data)
        with open(self.data, "w"):
            pass
        self.refused("Not a directory")

    @unittest.skipUnless(os.geteuid() == 0 and kit.have("setpriv"), "only root can be somebody else")
    def test_a_directory_that_cannot_be_written_is_named(self):
        os.chmod(self.data, 0o555)
        self.refused("Permission denied", 'user="nobody"', user="nobody")
        self.assertEqual(os.listdir(self.data), [])


class Tables(StoreTest):
    def used(self):
        b = self.start()
        self.fill(b, 0, 3)
        self.assertEqual(b.stop(), 0)
        return os.path.join(self.data, "longlink.db")

    def test_a_file_that_is_no_database_is_refused_and_stays(self):
        path = self.used()
        with open(path, "wb") as f:
            f.write(b"garbage " * 4096)
        self.refused(r"longlink\.db", "not a database", "backup|move")
        self.assertEqual(os.path.getsize(path), 8 * 4096)

    def test_a_damaged_one_is_refused(self):
        path = self.used()
        self.write(path, 4096, b"\x5a" * (os.path.getsize(path) - 4096))
        self.refused(r"longlink\.db", "malformed", "backup|move")

    def set_aside(self, what):
        """A start that goes on without what is damaged, and keeps that."""
        b = self.broker(self.conf() + "\npersistence_damaged set-aside")
        self.assertRegex(b.text(), f'store-set-aside .*why="[^"]*{what}')
        folder = re.search(r'folder="(damaged-\w+)"', b.text()).group(1)
        self.fill(b, 10, 12)
        self.assertEqual(self.drain(b, 11), [10, 11])
        return os.path.join(self.data, folder)

    def test_a_damaged_one_is_set_aside_when_told_to(self):
        # option: persistence_damaged
        path = self.used()
        with open(path, "wb") as f:
            f.write(b"garbage " * 4096)
        folder = self.set_aside("not a database")
        with open(os.path.join(folder, "longlink.db"), "rb") as f:
            self.assertEqual(f.read(8), b"garbage ")

    def test_a_damaged_journal_is_set_aside_when_told_to(self):
        self.killed_with(40)
        path, content, _ = self.segment()
        self.write(path, content.index(b"0000020"), b"X")
        folder = self.set_aside("offset")
        self.assertTrue(os.path.exists(os.path.join(folder, os.path.basename(path))))

    def test_damage_that_shows_while_it_runs_stops_it_and_the_next_start_too(self):
        b = self.start()
        self.fill(b, 0, 200)
        kit.wait_until(lambda: self.seems_folded(b"%07d" % 199), "the fold")
        self.assertEqual(b.stop(), 0)
        path = os.path.join(self.data, "longlink.db")
        with open(path, "rb") as f:
            content = f.read()
        at = content.index(b"0000150") // 4096 * 4096
        self.write(path, at, b"\xa5" * 4096)
        b = self.broker(self.conf())
        b.is_over = True
        phone = kit.Client(b.port)
        self.addCleanup(phone.close)
        with contextlib.suppress(kit.Closed):
            phone.join("phone", clean=False, expiry=3600)
        self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
        self.assertIn("journal-failed", b.text())
        self.refused("found damaged while the broker ran", "backup")

    def test_a_newer_one_is_refused_and_stays(self):
        path = self.used()
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 999")
        db.close()
        self.refused(r"longlink\.db", "version 999", "newer")
        db = sqlite3.connect(path)
        self.assertEqual(db.execute("PRAGMA user_version").fetchone(), (999,))
        db.close()


@unittest.skipUnless(kill9_failpoints.names(), "built without failpoints")
class Migration(StoreTest):
    def test_a_death_at_any_step_of_it_leaves_a_store_that_the_next_start_completes(self):
        for name in ("migrate_half", "migrate_between"):
            for count in range(1, 4):
                b = kit.Broker(self.conf(), env={kill9_failpoints.VARIABLE: f"{name}:{count}"})
                self.addCleanup(b.remove)
                self.assertEqual(b.process.wait(kit.WAIT_S), -signal.SIGKILL, b.text())
                b.log_file.close()
                b = self.start()
                self.fill(b, 0, 3)
                self.assertEqual(self.drain(b, 2), [0, 1, 2])
                self.kill(b)
                shutil.rmtree(self.data)
                os.mkdir(self.data)


class Journal(StoreTest):
    def test_bytes_changed_in_the_middle_are_refused_with_file_and_offset(self):
        self.killed_with(40)
        path, content, end = self.segment()
        self.assertIn(b"0000020", content)
        at = content.index(b"0000020")
        self.write(path, at, b"X")
        self.refused(re.escape(path), r"offset \d+", "backup")
        with open(path, "rb") as f:  # untouched
            self.assertEqual(f.read(), content[:at] + b"X" + content[at + 1:])

    def torn(self, harm):
        """harm(path, where the last record's payload ends): what a crash can leave. All but the last message stays."""
        self.killed_with(20)
        path, content, end = self.segment()
        last = content.rindex(b"0000019")
        harm(path, last, end)
        b = self.start()
        self.assertRegex(b.text(), rf'journal-torn bytes=\d+ what="{re.escape(path)} .*offset \d+')
        self.assertEqual(self.drain(b, 18), list(range(19)))
        # And it goes on from there.
        self.fill(b, 100, 102)
        self.kill(b)
        self.assertEqual(self.drain(self.start(), 101)[-2:], [100, 101])

    def test_a_tail_that_was_cut_off_is_dropped(self):
        def cut(path, last, end):
            os.truncate(path, last + 3)
        self.torn(cut)

    def test_a_tail_of_zeros_is_dropped(self):
        def zero(path, last, end):
            self.write(path, last + 3, bytes(end - last + SECTOR_BYTES))
        self.torn(zero)

    def test_a_segment_that_is_missing_is_refused(self):
        self.killed_with(3)
        path, _, _ = self.segment()
        b = os.path.basename(path)
        os.rename(path, f"{self.data}/{int(b[:16], 16) + 5:016x}.wal")
        self.refused(r"\.wal")


class Subscriptions(StoreTest):
    MOST = 100000  # of one session

    def ask(self, phone, filters):
        """The codes of the SUBACK."""
        body = b"\0\1\0" + b"".join(kit.text(f) + b"\1" for f in filters)
        phone.send(kit.packet(kit.SUBSCRIBE, 2, body))
        body = phone.expect(kit.SUBACK).body
        return body[3 + body[2]:]  # behind the id and less than 128 bytes of properties

    def test_what_was_refused_does_not_come_back_in_the_place_of_what_was_granted(self):
        b = self.start()
        phone = self.client(b, "phone", clean=False, expiry=3600)
        for first in range(0, self.MOST, 25000):
            filters = [f"f/{i}" for i in range(first, first + 25000)]
            self.assertEqual(self.ask(phone, filters), b"\1" * len(filters))
        self.assertEqual(self.ask(phone, ["a/too/many", "f/5"]), b"\x97\1")
        self.kill(b)

        b = self.start()
        self.assertEqual(b.metric("subscriptions"), self.MOST)
        back_end = self.client(b, "back end")
        for topic in ("a/too/many", "f/0", f"f/{self.MOST - 1}"):
            back_end.publish(topic, topic.encode(), 1)
        self.assertEqual([self.phone_gets(b) for _ in range(2)], ["f/0", f"f/{self.MOST - 1}"])

    def phone_gets(self, b):
        """The next message of the session, one a visit."""
        phone = kit.Client(b.port)
        self.assertEqual(phone.join("phone", clean=False, expiry=3600, receive_max=1), (True, 0))
        topic = phone.message().topic
        phone.catch_up()
        phone.close()
        return topic


class Durability(StoreTest):
    def test_os_survives_the_end_of_the_process(self):
        b = self.start("os")
        self.assertRegex(b.text(), 'broker-start .*durability="os"')
        self.fill(b, 0, 30)
        self.kill(b)
        self.assertEqual(self.drain(self.start("os"), 29), list(range(30)))

    def test_memory_leaves_the_directory_alone(self):
        # option: durability
        b = self.start("memory")
        self.fill(b, 0, 3)
        self.assertEqual(os.listdir(self.data), [])

    def test_without_persistence_nothing_is_kept(self):
        # option: persistence
        b = self.broker(self.conf() + "\npersistence false")
        self.assertRegex(b.text(), 'broker-start .*durability="memory"')
        self.assertEqual(os.listdir(self.data), [])

    def test_a_message_of_many_records_survives(self):
        b = self.start()
        self.fill(b, 0, 1)
        payload = b"".join(b"%07d" % i for i in range(10 * kit.MIB // 7))
        self.assertEqual(self.client(b, "large").publish("inbox", payload, 1), 0)
        self.fill(b, 1, 2)
        self.kill(b)
        b = self.start()
        phone = self.client(b, "phone", clean=False, expiry=3600)
        self.assertEqual([phone.message().payload for _ in range(3)], [b"0000000", payload, b"0000001"])

    def test_every_message_survives_ends_and_kills_in_turn(self):
        for i in range(4):
            b = self.start()
            self.fill(b, i * 10, i * 10 + 10)
            if i % 2:
                self.kill(b)
            else:
                self.assertEqual(b.stop(), 0)
        self.assertEqual(self.drain(self.start(), 39), list(range(40)))


if __name__ == "__main__":
    kit.main()
