#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The layer itself: what it notices of a program that writes, what a loss of power leaves, what it makes go wrong.

    LONGLINKD=build/asan/bin/longlinkd tests/power/test_layer.py
"""
import copy
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import disk
import layer as power
import kit

SEEDS = range(80)
PYTHON = "/usr/bin/python3"


class LayerTest(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="longlink-power.")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.data = os.path.join(self.top, "data")
        self.begin(0)

    def begin(self, seed):
        """An empty directory, and a layer that knows of nothing."""
        shutil.rmtree(self.data, ignore_errors=True)
        os.mkdir(self.data)
        self.layer = power.Layer(self.data, os.path.join(self.top, "state"), seed)

    def program(self, text, status=0):
        """Python in the directory. d: a descriptor of it; make(name): a new file's; kill(): kill -9."""
        head = ("import errno, os, signal, sys, time\n"
                "path = os.environ['LONGLINK_POWER_DIR']\n"
                "d = os.open(path, os.O_RDONLY | os.O_DIRECTORY)\n"
                "def make(name): return os.open(path + '/' + name, os.O_RDWR | os.O_CREAT, 0o600)\n"
                "def kill(): os.kill(os.getpid(), signal.SIGKILL)\n")
        with self.layer.preloaded(PYTHON):
            done = subprocess.run([PYTHON, "-c", head + text], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout.strip()

    def files(self):
        out = {}
        for name in os.listdir(self.data):
            with open(os.path.join(self.data, name), "rb") as f:
                out[name] = f.read()
        return out

    def outcomes(self, text, name):
        """What a file is after a loss of power, in many ways; None: it is not there."""
        return {files.get(name) for files in self.images(text)}

    def images(self, text):
        """The directory after a loss of power, in many ways."""
        self.begin(0)
        self.program(text + "\nkill()", -9)
        self.layer.ended()
        before = self.layer.disk
        for seed in SEEDS:
            self.layer.disk = copy.deepcopy(before)
            self.layer.disk.rng.seed(seed)
            self.layer.lose_power()
            yield self.files()


SAVE = """
f = make("a")
os.write(f, b"1" * 1024)
os.fsync(f); os.fsync(d)
"""


class Durable(LayerTest):
    def test_what_was_synced_is_there(self):
        self.assertEqual(self.outcomes(SAVE, "a"), {b"1" * 1024})

    def test_the_sync_of_a_file_is_none_of_its_name(self):
        self.assertEqual(self.outcomes("f = make('a'); os.write(f, b'1' * 512); os.fsync(f)", "a"), {b"1" * 512, None})

    def test_what_was_not_synced_is_torn_at_sectors(self):
        old, new = b"1" * 512, b"2" * 512
        self.assertEqual(self.outcomes(SAVE + "os.pwrite(f, b'2' * 1024, 0)", "a"),
                         {old + old, new + old, old + new, new + new})

    def test_a_file_has_one_of_its_lengths(self):
        lengths = {len(data) for data in self.outcomes(SAVE + "os.pwrite(f, b'2' * 10, 1024); os.ftruncate(f, 7)", "a")}
        self.assertEqual(lengths, {1024, 1034, 7})

    def test_writes_are_reordered_across_files(self):
        text = SAVE + "g = make('b'); os.fsync(d); os.pwrite(f, b'2', 0); os.pwrite(g, b'3', 0)"
        seen = {(files["a"][:1], files["b"]) for files in self.images(text)}
        self.assertIn((b"1", b"3"), seen)
        self.assertIn((b"2", b""), seen)

    def test_a_rename_that_was_not_synced_may_have_happened(self):
        text = SAVE + "g = make('b'); os.write(g, b'2'); os.fsync(g); os.rename(path + '/b', path + '/a')"
        self.assertEqual(self.outcomes(text, "a"), {b"1" * 1024, b"2"})
        self.assertEqual(self.outcomes(text + "; os.fsync(d)", "a"), {b"2"})

    def test_an_unlink_that_was_not_synced_may_have_happened(self):
        self.assertEqual(self.outcomes(SAVE + "os.unlink('a', dir_fd=d)", "a"), {b"1" * 1024, None})
        self.assertEqual(self.outcomes(SAVE + "os.unlink('a', dir_fd=d); os.fsync(d)", "a"), {None})

    def test_a_sync_covers_what_was_written_before_it(self):
        self.assertEqual(self.outcomes(SAVE + "os.pwrite(f, b'2' * 512, 0); os.fdatasync(f); os.pwrite(f, b'3', 0)",
                                       "a"),
                         {b"2" * 512 + b"1" * 512, b"3" + b"2" * 511 + b"1" * 512})

    def test_a_sync_that_is_ignored_is_none(self):
        self.layer.ignore("sync_other")
        self.program(SAVE + "kill()", -9)
        self.layer.ended()
        self.layer.lose_power("nothing")
        self.assertEqual(self.files(), {"a": b""})
        self.assertEqual(self.layer.swallowed("sync_other"), 1)

    def test_a_later_sync_does_not_mend_one_that_failed(self):
        seen = set()
        for seed in range(12):
            self.begin(seed)
            self.layer.fail("sync_other", nth=2)
            self.program(SAVE + "os.pwrite(f, b'2' * 1024, 0)\ntry: os.fsync(f)\nexcept OSError: os.fsync(f)\nkill()", -9)
            self.layer.ended()
            self.assertEqual(self.files()["a"], b"2" * 1024)  # as the page cache has it
            self.layer.lose_power()
            seen.add(self.files()["a"][::512])
        self.assertEqual(seen, {b"11", b"12", b"21", b"22"})


class Process(LayerTest):
    def test_without_a_loss_of_power_the_next_process_goes_on(self):
        self.program(SAVE + "os.pwrite(f, b'2', 0); kill()", -9)
        self.layer.ended()
        self.program("f = make('a'); os.pwrite(f, b'3', 512); os.fsync(f)")
        self.layer.ended(strict=True)
        self.layer.lose_power("nothing")
        self.assertEqual(self.files()["a"], b"2" + b"1" * 511 + b"3" + b"1" * 511)

    def test_bytes_that_passed_by_it_are_found(self):
        self.program(SAVE)
        with open(f"{self.data}/a", "r+b") as f:
            f.write(b"X")
        with self.assertRaisesRegex(disk.Unexplained, "does not explain.*a"):
            self.layer.ended(strict=True)

    def test_a_name_that_passed_by_it_is_found(self):
        self.program(SAVE)
        os.rename(f"{self.data}/a", f"{self.data}/b")
        with self.assertRaisesRegex(disk.Unexplained, "does not explain"):
            self.layer.ended(strict=True)

    def test_all_ways_to_write_are_noticed(self):
        self.program("f = make('a'); os.writev(f, [b'1', b'', b'22']); os.pwritev(f, [b'3', b'4'], 600)\n"
                     "os.posix_fallocate(f, 0, 70000); os.write(f, bytes(9000)); os.truncate(f, 60000)\n"
                     "g = os.open('b', os.O_CREAT | os.O_RDWR | os.O_TRUNC, dir_fd=d)\n"
                     "os.write(g, b'5'); os.rename('b', 'c', src_dir_fd=d, dst_dir_fd=d); os.close(g)\n"
                     "g = os.open('c', os.O_RDWR | os.O_TRUNC, dir_fd=d); os.write(g, b'67')")
        self.layer.ended(strict=True)
        self.assertEqual({name: len(data) for name, data in self.files().items()}, {"a": 60000, "c": 2})

    def test_a_cut_is_at_the_call_that_was_asked_for(self):
        for after, expected in ((False, b"1" * 1024), (True, b"2" + b"1" * 1023)):
            self.begin(0)
            self.layer.cut("sync_other", nth=2, after=after)
            self.program(SAVE + "os.pwrite(f, b'2', 0); os.fsync(f); os.pwrite(f, b'3', 0)", -9)
            self.layer.ended()
            self.layer.lose_power("nothing")
            self.assertEqual(self.files()["a"], expected)
            self.assertEqual(self.layer.fired(), 1)

    def test_a_cut_may_be_some_calls_later(self):
        self.layer.cut("sync_other", then=2)
        self.program(SAVE + "os.pwrite(f, b'2', 0); kill()", -9)
        self.layer.ended()
        self.assertEqual(self.files()["a"], b"1" * 1024)
        self.assertEqual(self.layer.calls("sync_other", "sync_dir_keep", "write_other"), 4)

    def test_a_cut_counts_anew_behind_a_call_at_certain_places(self):
        self.layer.cut("write_other", nth=3, anew="sync_other")
        self.program(SAVE + "os.pwrite(f, b'2', 0); os.pwrite(f, b'3', 0); os.fsync(f); os.pwrite(f, b'4', 0); "
                     "os.pwrite(f, b'5', 0); os.pwrite(f, b'6', 0); kill()", -9)
        self.layer.ended()
        self.assertEqual(self.files()["a"], b"5" + b"1" * 1023)

    def test_files_may_have_their_lengths_and_none_of_the_bytes(self):
        self.program(SAVE + "os.pwrite(f, b'2' * 2048, 0); os.write(make('b'), b'3' * 600); kill()", -9)
        self.layer.ended()
        self.layer.lose_power("lengths")
        self.assertEqual(self.files(), {"a": b"1" * 1024 + bytes(1024), "b": bytes(600)})

    def test_of_all_names_only_the_newest_may_be_there(self):
        self.program(SAVE + "os.fsync(d); os.unlink('a', dir_fd=d); os.close(os.open('b', os.O_CREAT, dir_fd=d)); "
                     "os.close(os.open('c', os.O_CREAT, dir_fd=d)); kill()", -9)
        self.layer.ended()
        self.layer.lose_power("newest")
        self.assertEqual(set(self.files()), {"a", "c"})


class Faults(LayerTest):
    def test_an_error_comes_at_the_nth_call_and_once(self):
        self.layer.fail("write_other", nth=2)
        out = self.program("f = make('a')\nfor i in range(4):\n  try: print(os.write(f, b'1'))\n"
                           "  except OSError as e: print(errno.errorcode[e.errno])")
        self.assertEqual(out.split(), ["1", "EIO", "1", "1"])
        self.layer.ended(strict=True)

    def test_an_error_for_good_stays_until_it_is_cleared(self):
        self.layer.fail(["create", "unlink"], for_good=True)
        for _ in range(2):
            self.program("try: make('a'); sys.exit(3)\nexcept OSError: pass")
        self.layer.clear()
        self.program("make('a')")

    def test_a_quota_ends_in_ENOSPC_and_can_be_raised(self):
        self.layer.quota(1000)
        self.program("f = make('a'); assert os.write(f, b'1' * 600) == 600; assert os.write(f, b'2' * 600) == 400\n"
                     "for change in (lambda: os.write(f, b'3'), lambda: os.posix_fallocate(f, 0, 2000),\n"
                     "               lambda: os.ftruncate(f, 1001)):\n"
                     "  try: change(); sys.exit(3)\n"
                     "  except OSError as e: assert e.errno == errno.ENOSPC\n"
                     "os.pwrite(f, b'4' * 1000, 0)\n"
                     "assert os.statvfs(path).f_bavail == 0 == os.fstatvfs(f).f_bavail")
        self.assertEqual(self.layer.used(), 1000)
        self.layer.quota(1000 + (1 << 20))
        self.program("v = os.statvfs(path); assert v.f_bavail * v.f_frsize == 1 << 20\n"
                     "f = make('a'); os.pwrite(f, b'5' * 1000, 1000)")
        self.layer.ended(strict=True)

    def test_the_clock_is_off_by_what_was_asked_for(self):
        self.layer.clock(-86400)
        out = self.program("print(time.time()); print(time.clock_gettime(time.CLOCK_MONOTONIC))")
        shifted, monotonic = map(float, out.split())
        now, mono = kit.time.time(), kit.time.monotonic()
        self.assertLess(abs(now - 86400 - shifted), 60)
        self.assertLess(abs(mono - monotonic), 60)

    def test_the_directory_next_to_it_is_not_its_own(self):
        self.layer.fail("create", for_good=True)
        self.program("os.open(path + '-next', os.O_CREAT | os.O_WRONLY)")
        self.assertTrue(os.path.exists(self.data + "-next"))


if __name__ == "__main__":
    sys.exit(kit.main())
