#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small disk that runs full: publishes are refused, nothing that was acknowledged is lost, everything else goes on,
and when there is room again the broker takes publishes again, by itself.

The disk is a tmpfs of the broker's own, in a mount namespace; seen from here through /proc/PID/root.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import kit

DISK_BYTES, PAYLOAD_BYTES = 64 * kit.MIB, 60000
QUOTA_EXCEEDED = 0x97


def can_mount():
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return done.returncode == 0


@unittest.skipUnless(kit.have("unshare") and can_mount(), "it takes the right to mount a file system")
class DiskFull(kit.Test):
    def setUp(self):
        """One file system for all lives of the broker: held by a process of its own."""
        self.dir = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.data = os.path.join(self.dir, "data")
        os.mkdir(self.data)
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size={DISK_BYTES} none {self.data} && echo up && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(self.holder.stdout.readline(), b"up\n")
        self.addCleanup(self.release)
        self.seen = f"/proc/{self.holder.pid}/root{self.data}"

    def release(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdin.close()
        self.holder.stdout.close()

    def start(self):
        return self.broker(f"durability disk\npersistence_location {self.data}\nshards 2",
                           prefix=["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt"])

    def phone(self, b):
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        present, code = c.join("phone", clean=False, expiry=3600)
        self.assertEqual(code, 0)
        if not present:
            c.subscribe("inbox", 1)
        return c

    def fill(self, b, first=0):
        """Publishes until it is refused; the number of the first that was."""
        back_end = self.client(b, "back end")
        for i in range(first, first + DISK_BYTES // PAYLOAD_BYTES + 1):
            code = back_end.publish("inbox", self.payload(i), 1)
            if code != 0:
                self.assertEqual(code, QUOTA_EXCEEDED)
                return i
        self.fail("more was acknowledged than the disk can hold")

    @staticmethod
    def payload(i):
        return b"%07d" % i + bytes(PAYLOAD_BYTES - 7)

    def drain(self, phone, first, last):
        for i in range(first, last):
            self.assertEqual(phone.message().payload[:7], b"%07d" % i)
        phone.catch_up()

    def takes_again(self, b, i):
        """The number after the last that was accepted."""
        back_end = self.client(b, "back end")
        kit.wait_until(lambda: back_end.publish("inbox", self.payload(i), 1) == 0, "a publish that is accepted")
        return i + 1

    def test_publishes_are_refused_and_all_that_was_acknowledged_comes(self):
        b = self.start()
        self.phone(b).close()
        end = self.fill(b)
        self.assertGreater(end, DISK_BYTES // PAYLOAD_BYTES // 4)  # a fair part of the disk is used
        kit.wait_until(lambda: " disk-low " in b.text(), "disk-low in the log")

        # The others do not notice.
        tablet = self.client(b, "tablet", clean=False, expiry=3600)
        self.assertEqual(tablet.subscribe("other", 1), 1)
        self.client(b, "friend").publish("other", b"direct", 0)
        self.assertEqual(tablet.message().payload, b"direct")

        # What the phone takes makes room.
        phone = self.phone(b)
        self.drain(phone, 0, end)
        last = self.takes_again(b, end)
        self.drain(phone, end, last)
        kit.wait_until(lambda: " disk-well " in b.text(), "disk-well")

    def test_a_publisher_that_cannot_be_told_is_closed_without_an_answer(self):
        b = self.start()
        self.phone(b).close()
        self.fill(b)
        old = self.client(b, "old", version=kit.V311)
        old.send(old.publish_bytes("inbox", b"x", 1))
        self.assertEqual(old.expect_closed(), [])

    def test_kill_9_on_a_full_disk_loses_nothing(self):
        b = self.start()
        self.phone(b).close()
        end = self.fill(b)
        self.kill(b)
        b = self.start()
        phone = self.phone(b)
        self.drain(phone, 0, end)
        last = self.takes_again(b, end)
        self.drain(phone, end, last)

    def test_when_others_take_the_whole_disk_everything_waits_and_nothing_is_lost(self):
        b = self.start()
        self.phone(b).close()
        back_end = self.client(b, "back end")
        for i in range(100):
            self.assertEqual(back_end.publish("inbox", self.payload(i), 1), 0)
        glutton = os.path.join(self.seen, "glutton")
        with open(glutton, "wb") as f:
            while True:
                try:
                    os.posix_fallocate(f.fileno(), 0, os.fstat(f.fileno()).st_size + 4096)
                except OSError:
                    break
        self.assertEqual(self.fill(b, 100), 100)
        phone = self.phone(b)
        self.drain(phone, 0, 100)
        os.unlink(glutton)
        last = self.takes_again(b, 100)
        self.drain(phone, 100, last)

    def test_a_start_on_a_full_disk_goes_on_where_the_last_one_ended(self):
        b = self.start()
        self.phone(b).close()
        end = self.fill(b)
        b.process.send_signal(signal.SIGTERM)
        self.assertEqual(b.process.wait(kit.WAIT_S), 0)
        b = self.start()
        end = self.fill(b, end)  # SQLite's log has gone meanwhile: there may be room for some
        self.drain(self.phone(b), 0, end)


if __name__ == "__main__":
    kit.main()
