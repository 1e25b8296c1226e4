# SPDX-License-Identifier: Apache-2.0
"""Clusters of zab-node processes on loopback, a load that knows what was acknowledged, and a checker that asks every
node for all it has. zab-node is tests/bench/zab/node.c; its head says what its client port speaks.

By hand:  ZAB_NODE=build/asan/bin/zab-node tests/e2e/test_zab.py
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import kit

PUT, STATE, LIST, RECONFIG = 1, 2, 3, 4
OK, NOT_LEADER, FULL, NO_SUCH_CHANGE, UNKNOWN = 0, 1, 2, 5, 99
ADD, REMOVE, SET_ROLE = 1, 2, 3
VOTER, OBSERVER = 1, 2


def program():
    path = os.environ.get("ZAB_NODE")
    if not path or not os.access(path, os.X_OK):
        sys.exit("ZAB_NODE does not name a program: ZAB_NODE=build/release/bin/zab-node " + sys.argv[0])
    return path


class Lost(Exception):
    """The node closed the connection, or is not there."""


class Client:
    """One connection to a node's client port."""

    def __init__(self, port):
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), kit.WAIT_S)
        except OSError as e:
            raise Lost from e
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def close(self):
        self.socket.close()

    def send(self, op, token, body=b""):
        try:
            self.socket.sendall(struct.pack(">IBQ", 9 + len(body), op, token) + body)
        except OSError as e:
            raise Lost from e

    def receive(self):
        """(op, token, body)"""
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from(">I", self.buffer)[0]:
            try:
                got = self.socket.recv(1 << 18)
            except OSError as e:
                raise Lost from e
            if not got:
                raise Lost
            self.buffer += got
        size, op, token = struct.unpack_from(">IBQ", self.buffer)
        body = bytes(self.buffer[13:4 + size])
        del self.buffer[:4 + size]
        return op, token, body

    def ask(self, op, body=b""):
        self.send(op, 0, body)
        return self.receive()[2]

    def put(self, payload):
        """(why, zxid, leader)"""
        return struct.unpack(">BQH", self.ask(PUT, payload))


class Node:
    def __init__(self, cluster, number, folder):
        self.cluster, self.number, self.dir = cluster, number, folder
        self.log = folder + ".log"
        self.process = self.port = None
        self.prefix = []

    def write(self, lines):
        self.conf = self.dir + ".cfg"
        with open(self.conf, "w") as f:
            f.write(f"dataDir={self.dir}\nclientPort=0\n" + lines)

    def place(self):
        """Makes the data directory, where it may be a file system of its own."""
        seen = self.seen()
        os.makedirs(seen, exist_ok=True)
        with open(os.path.join(seen, "myid"), "w") as f:
            f.write(f"{self.number}\n")

    def seen(self):
        """The data directory, from here."""
        return self.dir

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, program(), *self.cluster.options, self.conf], stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line.startswith(b"port "):
            self.process.wait()
            self.process.stdout.close()
            self.process = None
            return False
        self.port = int(line.split()[1])
        return True

    def connect(self):
        """A connection to its client port."""
        return Client(self.port)

    def is_up(self):
        return self.process is not None

    def signal(self, which):
        self.process.send_signal(which)

    def kill(self):
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def stop(self):
        self.process.terminate()
        code = self.process.wait(kit.WAIT_S)
        self.process.stdout.close()
        self.process = None
        return code

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    @contextlib.contextmanager
    def client(self):
        c = self.connect()
        try:
            yield c
        finally:
            c.close()

    def state(self):
        with self.client() as c:
            return json.loads(c.ask(STATE))

    def list(self):
        """[(zxid, id)] of all entries."""
        found = []
        with self.client() as c:
            while True:
                body = c.ask(LIST, struct.pack(">Q", len(found)))
                numbers = struct.unpack(f">{len(body) // 8}Q", body)
                found += list(zip(numbers[1::2], numbers[2::2]))
                if len(found) >= numbers[0]:
                    return found


class Load(threading.Thread):
    """Keeps so many commands under way, each with an id of its own, to whoever leads. acknowledged: id -> zxid."""

    def __init__(self, cluster, in_flight=64, size=256, first=1):
        super().__init__(daemon=True)
        self.cluster, self.in_flight, self.next_id = cluster, in_flight, first
        self.filler = bytes(size - 8)
        self.acknowledged, self.ends = {}, threading.Event()
        self.changed = threading.Condition()
        self.failed = None

    def run(self):
        try:
            while not self.ends.is_set():
                with contextlib.suppress(Lost):
                    self.talk(self.cluster.any_leader(self.ends))
        except Exception as e:  # shown by stop()
            self.failed = e

    def talk(self, node):
        if node is None:
            return
        c = node.connect()
        c.socket.settimeout(1)  # a leader that was stopped says nothing
        waiting = 0
        try:
            while not self.ends.is_set() or waiting:
                while waiting < self.in_flight and not self.ends.is_set():
                    c.send(PUT, self.next_id, struct.pack(">Q", self.next_id) + self.filler)
                    self.next_id += 1
                    waiting += 1
                _, token, body = c.receive()
                waiting -= 1
                why, zxid, _ = struct.unpack(">BQH", body)
                if why == FULL:
                    continue
                if why != OK:
                    return
                with self.changed:
                    self.acknowledged[token] = zxid
                    self.changed.notify_all()
        finally:
            c.close()

    def count(self):
        with self.changed:
            return len(self.acknowledged)

    def wait_more(self, n):
        """Until n more than now were acknowledged."""
        with self.changed:
            goal = len(self.acknowledged) + n
            if not self.changed.wait_for(lambda: len(self.acknowledged) >= goal or self.failed, kit.WAIT_S):
                raise AssertionError(f"not {n} more were acknowledged: {self.cluster.words()}")
        if self.failed:
            raise self.failed

    def stop(self):
        self.ends.set()
        self.join(kit.WAIT_S)
        if self.failed:
            raise self.failed
        return self.acknowledged


class Cluster:
    """count nodes. conf: lines for all. observers: numbers of those. options: of zab-node. folder: for the data."""

    node = Node

    def __init__(self, count, conf="", observers=(), options=(), folder=None):
        self.dir = tempfile.mkdtemp(prefix="longlink-zab.", dir=folder)
        self.conf, self.observers, self.options = conf, observers, options
        self.nodes = [self.node(self, i, os.path.join(self.dir, str(i))) for i in range(1, count + 1)]
        self.addresses = {}

    def host(self, number):
        return "127.0.0.1"

    def address(self, number):
        role = ":observer" if number in self.observers else ""
        return "%s:%d:%d" % (self.host(number), *self.addresses[number]) + role

    def write(self, nodes=None):
        lines = "".join(f"server.{n.number}={self.address(n.number)}\n" for n in self.nodes)
        for n in nodes or self.nodes:
            n.write(lines + self.conf)
            n.place()

    def start(self):
        """A port may be taken between the choice and its use: then all are chosen anew."""
        for _ in range(10):
            self.addresses = {n.number: (kit.free_port(), kit.free_port()) for n in self.nodes}
            self.write()
            if all([n.start() for n in self.nodes]):
                return self
            for n in self.nodes:
                n.kill()
        raise AssertionError("no free ports: " + self.nodes[0].text()[-500:])

    def add(self, role=""):
        """One more, that is in nobody's configuration but its own."""
        n = self.node(self, len(self.nodes) + 1, os.path.join(self.dir, str(len(self.nodes) + 1)))
        self.nodes.append(n)
        for _ in range(10):
            self.addresses[n.number] = (kit.free_port(), kit.free_port())
            if role:
                self.observers = (*self.observers, n.number)
            self.write([n])
            if n.start():
                return n
        raise AssertionError("it does not start: " + n.text()[-500:])

    def close(self):
        for n in self.nodes:
            if n.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    n.signal(signal.SIGCONT)
                n.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def up(self):
        return [n for n in self.nodes if n.is_up()]

    def words(self):
        found = {}
        for n in self.up():
            with contextlib.suppress(Lost, OSError):
                found[n.number] = n.state()
        return found

    def any_leader(self, ends=None):
        """Whoever says that it leads; None when ends is set before."""
        deadline = time.monotonic() + kit.WAIT_S
        while time.monotonic() < deadline and not (ends and ends.is_set()):
            for n in self.up():
                with contextlib.suppress(Lost, OSError, AttributeError, struct.error):
                    c = n.connect()
                    c.socket.settimeout(0.5)  # one that was stopped says nothing
                    try:
                        s = json.loads(c.ask(STATE))
                    finally:
                        c.close()
                    if s["role"] == "leading" and s["established"]:
                        return n
            time.sleep(0.01)
        if ends and ends.is_set():
            return None
        raise AssertionError(f"nobody leads: {self.words()}")

    def put(self, ids):
        """One after the other; gives {id: zxid} of those that were acknowledged: all. Of one whose leader was lost
        nobody knows whether it is there: the next one is asked before it is sent again."""
        done = {}
        for i in ids:
            is_unsure = False
            while i not in done:
                with contextlib.suppress(Lost):
                    leader = self.any_leader()
                    if is_unsure:
                        done.update({k: z for z, k in self.all_of(leader) if k == i})
                        is_unsure = False
                        continue
                    is_unsure = True
                    with leader.client() as c:
                        why, zxid, _ = c.put(struct.pack(">Q", i) + bytes(56))
                    is_unsure = why == UNKNOWN
                    if why == OK:
                        done[i] = zxid
        return done

    @staticmethod
    def all_of(leader):
        """What a leader has begun with, and all that came since."""
        def has_applied():
            s = leader.state()
            if s["role"] != "leading":
                raise Lost
            return s["established"] and s["applied"] >= s["last"]

        kit.wait_until(has_applied, "a leader that has applied what it has")
        return leader.list()

    def wait_equal(self, nodes=None):
        """Until all have applied the same."""
        nodes, states = nodes or self.nodes, []

        def same():
            with contextlib.suppress(Lost, OSError):
                states[:] = [n.state() for n in nodes]
                return len({(s["at"], s["hash"], s["count"]) for s in states}) == 1
            return False

        kit.wait_until(same, "equal states of all nodes")
        return states

    def check(self, acknowledged, nodes=None):
        """What was acknowledged is on all nodes, at its position; all have the same, in one order, nothing twice."""
        nodes = nodes or self.nodes
        self.wait_equal(nodes)
        first = nodes[0].list()
        zxids = [z for z, _ in first]
        assert zxids == sorted(set(zxids)), "positions are not in order"
        at = {i: z for z, i in first}
        assert len(at) == len(first), "an entry is there twice"
        missing = {i: z for i, z in acknowledged.items() if at.get(i) != z}
        assert not missing, f"{len(missing)} that were acknowledged are missing or elsewhere: {sorted(missing.items())[:5]}"
        for n in nodes[1:]:
            assert n.list() == first, f"node {n.number} has another list"
        return len(first)


class Test(unittest.TestCase):
    def cluster(self, count, conf="", observers=(), starts=True):
        c = Cluster(count, conf, observers)
        self.addCleanup(c.close)
        return c.start() if starts else c

    def load(self, cluster, **more):
        load = Load(cluster, **more)
        load.start()
        self.addCleanup(load.ends.set)
        return load


def main():
    program()
    unittest.main(verbosity=2)
