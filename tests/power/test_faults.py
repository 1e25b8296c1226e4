#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that says EIO, at each kind of write and sync: the broker stops at once and says what failed and where. The
next start has everything that was acknowledged, from the page cache or from what the disk has.

    LONGLINKD=build/asan/bin/longlinkd tests/power/test_faults.py
"""
import copy
import errno
import os
import shutil
import struct
import sys
import tempfile

from layer import Layer
import kit

SMALL_DISK_BYTES = 512 << 20  # segments of 1 MiB: they come and go
PAYLOAD_BYTES, WINDOW, MESSAGES_MAX = 3000, 20, 20000
EIO = os.strerror(errno.EIO)
SQLITE_SAYS = "disk I/O error"


class Faults(kit.Test):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="longlink-power.")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.data = os.path.join(self.top, "data")
        os.mkdir(self.data)
        self.layer = Layer(self.data, os.path.join(self.top, "state"), seed=1)
        self.addCleanup(self.layer.close)
        self.layer.quota(SMALL_DISK_BYTES)
        self.acknowledged, self.sent = [], 0

    def start(self):
        with self.layer.preloaded():
            b = kit.Broker(f"durability disk\npersistence_location {self.data}\nshards 1", cwd=self.top)
        self.addCleanup(self.reap, b)
        return b

    def reap(self, b):
        if b.process.poll() is None:
            b.process.kill()
            b.process.wait()
        b.log_file.close()

    def end(self, b):
        """It has ended by itself."""
        status = b.process.wait(kit.WAIT_S)
        b.log_file.close()
        self.layer.clear()
        self.layer.ended()
        return status

    def subscribe(self, b):
        phone = kit.Client(b.port)
        phone.join("phone", clean=False, expiry=3600)
        phone.subscribe("inbox", 1)
        phone.close()

    def publish(self, b, is_over):
        """Until it is over, or the broker is gone; notes what it acknowledged."""
        c = kit.Client(b.port)
        waiting = {}
        try:
            c.join("back end")
            while self.sent < MESSAGES_MAX and not (is_over() and not waiting):
                if len(waiting) < WINDOW and not is_over():
                    waiting[c.next_id % 65535 + 1] = self.sent
                    c.send(c.publish_bytes("inbox", b"%07d" % self.sent + bytes(PAYLOAD_BYTES), 1))
                    self.sent += 1
                    continue
                body = c.expect(kit.PUBACK).body
                self.assertTrue(len(body) == 2 or body[2] < 0x80, body)
                self.acknowledged.append(waiting.pop(struct.unpack_from(">H", body)[0]))
        except (kit.Closed, ConnectionError):
            pass
        finally:
            c.close()

    def all_there(self):
        """A start on what is there has everything that was acknowledged."""
        b = self.start().ready()
        back_end = self.client(b, "back end")
        self.assertEqual(back_end.publish("inbox", b"end", 1), 0)
        phone = self.client(b, "phone", clean=False, expiry=3600)
        got, payload = set(), b""
        while payload != b"end":
            payload = phone.message().payload
            got.add(payload[:7])
        missing = [i for i in self.acknowledged if b"%07d" % i not in got]
        self.assertEqual(missing, [])
        b.process.kill()
        self.end(b)

    def both_there(self):
        """Twice: only the process is gone; the power fails, too, and what the failed call was about is torn."""
        as_it_is = copy.deepcopy(self.layer.disk)
        self.all_there()
        self.layer.disk = as_it_is
        self.layer.lose_power("any")
        self.all_there()

    def stops(self, place, *words, nth=1):
        """While it runs."""
        b = self.start().ready()
        self.subscribe(b)
        self.publish(b, lambda: len(self.acknowledged) >= 50)
        self.layer.fail(place, nth)
        self.publish(b, lambda: False)
        self.assertLess(self.sent, MESSAGES_MAX, f"no call at {place}")
        self.assertEqual(self.end(b), 1, b.text()[-3000:])
        self.assertEqual(self.layer.fired(), 1)
        self.assertGreaterEqual(len(self.acknowledged), 50)
        self.says(b, " journal-failed ", *words)
        self.assertRegex(b.text(), f"(?m)^longlinkd: .*{self.data}.*; stopping")
        self.both_there()

    def refuses(self, place, *words):
        """At its start, after a kill -9."""
        b = self.start().ready()
        self.subscribe(b)
        self.publish(b, lambda: len(self.acknowledged) >= 50)
        b.process.kill()
        self.end(b)
        self.layer.fail(place)
        b = self.start()
        self.assertEqual(self.end(b), 1, b.text()[-3000:])
        self.assertEqual(self.layer.fired(), 1, f"no call at {place}")
        self.says(b, " store-failed ", *words)
        self.assertNotIn("broker-ready", b.text())
        self.both_there()

    def says(self, b, event, *words):
        lines = [line for line in b.text().splitlines() if event in line]
        self.assertEqual(len(lines), 1, b.text()[-3000:])
        for word in (self.data,) + words:
            self.assertIn(word, lines[0])


class Running(Faults):
    def test_a_write_of_records(self):
        self.stops("write_segment", "write", ".wal", EIO)

    def test_a_sync_of_records(self):
        self.stops("sync_batch", "sync", ".wal", EIO)

    def test_a_sync_of_a_header(self):
        self.stops("sync_header", "sync", ".wal", EIO)

    def test_the_making_of_a_segment(self):
        self.stops("create", "create", ".wal", EIO)

    def test_the_reserving_of_its_room(self):
        self.stops("resize", "reserve", ".wal", EIO)

    def test_a_write_of_its_zeros(self):
        self.stops("write_made", "write", ".wal", EIO)

    def test_the_sync_of_its_zeros(self):
        self.stops("sync_made", "sync", ".wal", EIO)

    def test_the_sync_of_its_name(self):
        self.stops("sync_dir_made", "sync the directory of", ".wal", EIO)

    def test_the_removing_of_a_segment(self):
        self.stops("unlink", "remove", ".wal", EIO)

    def test_the_sync_of_its_removing(self):
        self.stops("sync_dir_purge", "sync the directory of", ".wal", EIO)

    def test_a_write_of_the_tables_log(self):
        self.stops("write_tables_wal", SQLITE_SAYS)

    def test_a_sync_of_the_tables_log(self):
        self.stops("sync_tables_wal", "fold")

    def test_a_write_of_the_tables(self):
        self.stops("write_tables", SQLITE_SAYS)

    def test_a_sync_of_the_tables(self):
        self.stops("sync_tables", SQLITE_SAYS)


class Starting(Faults):
    def test_a_write_of_the_copy(self):
        self.refuses("write_copy", "write", "copy.tmp", EIO)

    def test_a_sync_of_the_copy(self):
        self.refuses("sync_copy", "sync", "copy.tmp", EIO)

    def test_the_renaming_of_the_copy(self):
        self.refuses("rename", "replace", ".wal", EIO)

    def test_the_sync_of_its_name(self):
        self.refuses("sync_dir_copy", "sync the directory of", ".wal", EIO)

    def test_a_write_of_the_tables_log(self):
        self.refuses("write_tables_wal", "longlink.db", SQLITE_SAYS)

    def test_a_sync_of_the_tables_log(self):
        self.refuses("sync_tables_wal", "longlink.db", SQLITE_SAYS)


class New(Faults):
    """In an empty directory."""

    def fails(self, place, *words):
        self.layer.fail(place)
        b = self.start()
        self.assertEqual(self.end(b), 1, b.text()[-3000:])
        self.assertEqual(self.layer.fired(), 1, f"no call at {place}")
        self.says(b, " store-failed ", *words)
        b = self.start().ready()
        self.subscribe(b)
        self.publish(b, lambda: len(self.acknowledged) >= 5)
        b.process.kill()
        self.end(b)
        self.both_there()

    def test_a_write_of_the_tables_journal(self):
        self.fails("write_tables_journal", "longlink.db", SQLITE_SAYS)

    def test_a_sync_of_the_tables_journal(self):
        self.fails("sync_tables_journal", "longlink.db", SQLITE_SAYS)

    def test_a_write_of_the_tables(self):
        self.fails("write_tables", "longlink.db", SQLITE_SAYS)

    def test_a_sync_of_the_tables(self):
        self.fails("sync_tables", "longlink.db", SQLITE_SAYS)


if __name__ == "__main__":
    sys.exit(kit.main())
