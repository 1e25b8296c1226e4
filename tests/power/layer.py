# SPDX-License-Identifier: Apache-2.0
"""The library that is preloaded into a broker, from a test: losses of power, errors, full disks, another time.

    layer = Layer(directory, state)          # state: a folder of the layer's own
    with layer.preloaded():
        broker = kit.Broker(f"durability disk\npersistence_location {directory}")
    layer.fail("sync_batch", error=errno.EIO)     # the next one; places: places.def
    ...
    layer.ended()                            # the process is no more
    layer.lose_power()                       # the directory is as the disk has it
"""
import contextlib
import ctypes
import errno
import functools
import mmap
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import kit  # noqa: E402
from disk import Disk  # noqa: E402

RULES, PLACES_MAX, MAGIC = 8, 32, 0x32305245574f50
FOR_GOOD, AFTER = 1, 2
NS, SYNC_NS = 1000000000, 300000


def places():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "places.def")) as f:
        return re.findall(r"^PLACE\((\w+),", f.read(), re.M)


PLACES = places()
SYNCS = [p for p in PLACES if p.startswith("sync_")]
WRITES = [p for p in PLACES if p.startswith("write_")]


class Rule(ctypes.LittleEndianStructure):
    _fields_ = [("places", ctypes.c_uint32), ("countdown", ctypes.c_uint32), ("error", ctypes.c_int32),
                ("flags", ctypes.c_uint32), ("then", ctypes.c_uint32), ("anew", ctypes.c_uint32),
                ("nth", ctypes.c_uint32)]


class Control(ctypes.LittleEndianStructure):
    _fields_ = [("magic", ctypes.c_uint64), ("clock_ns", ctypes.c_int64), ("quota_bytes", ctypes.c_uint64),
                ("ignored", ctypes.c_uint32), ("fired", ctypes.c_uint32), ("sync_ns", ctypes.c_uint64),
                ("rules", Rule * RULES),
                ("calls", ctypes.c_uint64 * PLACES_MAX), ("swallowed", ctypes.c_uint64 * PLACES_MAX)]


def mask(names):
    names = [names] if isinstance(names, str) else names
    return sum(1 << PLACES.index(name) for name in set(names))


def library():
    """LONGLINK_POWER, or where the build of LONGLINKD has it."""
    beside = os.path.join(os.path.dirname(os.path.realpath(kit.program())), "..", "lib", "libpower.so")
    path = os.environ.get("LONGLINK_POWER", os.path.normpath(beside))
    if not os.access(path, os.R_OK):
        sys.exit(f"{path} is not there: build the target power")
    return path


@functools.lru_cache
def preload(program):
    """What LD_PRELOAD must name: a sanitizer's library wants to be the first."""
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return ":".join(re.findall(r"=> (\S*/lib[at]san\.so\S*)", linked) + [library()])


class Layer:
    """traced: without it there is no lose_power(), and nothing grows with what the broker writes."""

    def __init__(self, directory, state, seed=0, traced=True):
        self.directory, self.traced = os.path.realpath(directory), traced
        os.makedirs(state, exist_ok=True)
        self.trace = os.path.join(state, "trace") if traced else os.devnull
        self.control_path = os.path.join(state, "control")
        if traced:
            with open(self.trace, "wb"):
                pass
        with open(self.control_path, "wb") as f:
            f.write(bytes(ctypes.sizeof(Control)))
        with open(self.control_path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)
        self.control = Control.from_buffer(self.map)
        self.control.magic, self.control.sync_ns = MAGIC, SYNC_NS
        self.disk = Disk(self.directory, random.Random(seed)) if traced else None

    def environment(self, program):
        return {"LD_PRELOAD": preload(program), "LONGLINK_POWER_DIR": self.directory,
                "LONGLINK_POWER_TRACE": self.trace, "LONGLINK_POWER_CONTROL": self.control_path}

    @contextlib.contextmanager
    def preloaded(self, program=None):
        """Programs that this process starts meanwhile have the layer."""
        before = dict(os.environ)
        os.environ.update(self.environment(program or kit.program()))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    # what goes wrong; at once, also in a program that runs

    def rule(self, names, nth, error, flags=0, then=0, anew=()):
        free = next(r for r in self.control.rules if r.countdown == 0)
        free.places, free.error, free.flags, free.then = mask(names), error, flags, then
        free.anew, free.nth = mask(anew), nth
        free.countdown = nth

    def fail(self, names, nth=1, error=errno.EIO, for_good=False):
        """The nth call from now at one of these places fails, and with for_good all later ones."""
        self.rule(names, nth, error, FOR_GOOD if for_good else 0)

    def cut(self, names, nth=1, after=False, then=0, anew=()):
        """The program is killed before, or after, the nth call from now at one of these places; then: at that many
        calls behind it, at whatever place; anew: places at which a call begins the count anew."""
        self.rule(names, nth, 0, AFTER if after else 0, then, anew)

    def clear(self):
        """No more fail() or cut()."""
        for r in self.control.rules:
            r.countdown = 0

    def fired(self):
        """How many of fail() and cut() have come true since the beginning."""
        return self.control.fired

    def ignore(self, names):
        """From now on syncs of these places do nothing, and say that they did. None: ()."""
        self.control.ignored = mask(names)

    def quota(self, size):
        """All files of the directory together may have so many bytes: what grows beyond it fails with ENOSPC, and
        statfs() and statvfs() know it. None: no bound."""
        self.control.quota_bytes = size or 0

    def used(self):
        return sum(os.path.getsize(os.path.join(self.directory, name)) for name in os.listdir(self.directory))

    def clock(self, shift_s):
        """CLOCK_REALTIME, gettimeofday() and time() are off by so many seconds."""
        self.control.clock_ns = int(shift_s * NS)

    # what happened

    def calls(self, *names):
        """Calls at these places since the beginning."""
        return sum(self.control.calls[PLACES.index(name)] for name in names)

    def swallowed(self, *names):
        return sum(self.control.swallowed[PLACES.index(name)] for name in names)

    def ended(self, strict=False):
        """The program has ended, or was killed: takes what it did from the trace, and compares it with the directory.
        strict: it ended by itself, so each byte of the directory must be in the trace."""
        with open(self.trace, "r+b") as f:
            self.disk.follow(f.read())
            f.truncate(0)
        self.disk.compare(strict)

    def lose_power(self, how=None):
        """After ended(). how: disk.py; None: by chance."""
        return self.disk.lose_power(how)

    def close(self):
        del self.control
        self.map.close()
