#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments: nothing that was acknowledged is missing afterwards.

Publishers with many messages under way, subscribers with sessions that come, go, take over and begin anew, retained
messages that change. The broker is killed, also while it starts, or dies at one of its failpoints, or now and then is
told to end; it starts again on the same directory with another number of shards. Now and then all is quiet, and
everybody must have everything.

    LONGLINKD=build/release/bin/longlinkd tests/e2e/test_kill9.py --cycles 500 --seed 7
    LONGLINKD=build/asan/bin/longlinkd tests/e2e/test_kill9.py --cycles 100 --failpoints 3   # each of them three times
"""
import argparse
import collections
import contextlib
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from unittest import mock

import kit
import kill9_failpoints
from kill9_ledger import Ledger, Retained, Session, Subscription

PUBLISHERS, STEADY, KEPT, TOPICS = 5, 2, 8, 3
SETTLE_EVERY, OPERATIONS_MAX, LONG_OPERATIONS_MAX = 6, 500, 5000
END, MARK = "mark/end", "mark/now"

FILTERS = ([f"t/{p}/{k}" for p in range(PUBLISHERS) for k in range(TOPICS)] + ["t/#", "t/+/0", "t/1/+", "+/2/#"] +
           [f"r/{p}" for p in range(STEADY)] + ["r/#"])


class Fell(ConnectionError):
    """The broker has ended by itself."""


class Link:
    """A connection that never waits."""

    def __init__(self, hub, owner, version):
        self.hub, self.owner, self.version = hub, owner, version
        self.out, self.buffer, self.is_open = bytearray(), bytearray(), True
        self.seen = collections.Counter()  # uids that came on it
        self.newest = {}  # (topic, stream) -> index
        self.socket = socket.create_connection(("127.0.0.1", hub.port), kit.WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        hub.add(self)

    def send(self, data):
        self.out += data

    def flush(self):
        while self.is_open and self.out:
            try:
                sent = self.socket.send(memoryview(self.out)[:1 << 18])
            except BlockingIOError:
                return
            except OSError:
                self.lose()
                return
            del self.out[:sent]

    def read(self):
        """True: there was something."""
        try:
            got = self.socket.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError:
            got = b""
        self.buffer += got
        self.parse()
        if not got and self.is_open:
            self.lose()
        return bool(got)

    def parse(self):
        at = 0
        while self.is_open and len(self.buffer) - at >= 2:
            size, shift, i = 0, 0, at + 1
            while i < len(self.buffer):
                size |= (self.buffer[i] & 127) << shift
                shift, i = shift + 7, i + 1
                if self.buffer[i - 1] < 128:
                    break
            else:
                break
            if len(self.buffer) < i + size:
                break
            first, body = self.buffer[at], bytes(self.buffer[i:i + size])
            at = i + size
            self.owner.take(kit.Packet(first >> 4, first & 15, body))
        if self.is_open:
            del self.buffer[:at]

    def lose(self):
        self.drop()
        self.owner.lost()

    def drop(self, reset=False):
        if not self.is_open:
            return
        self.is_open = False
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hub.remove(self)
        self.socket.close()


class Hub:
    def __init__(self):
        self.port, self.links, self.poll = 0, {}, select.poll()
        self.process = None  # the broker's, when it may end by itself

    def add(self, link):
        self.links[link.socket.fileno()] = link
        self.poll.register(link.socket, select.POLLIN)

    def remove(self, link):
        self.poll.unregister(link.socket)
        del self.links[link.socket.fileno()]

    def check(self, wait_s=0):
        """Raises Fell when the broker has ended, or does within this time."""
        if self.process is None:
            return
        try:
            if self.process.poll() is None:
                self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return
        raise Fell

    def turn(self, wait_s=0.0):
        for link in list(self.links.values()):
            link.flush()
        for fd, _ in self.poll.poll(wait_s * 1000):
            if fd in self.links:
                self.links[fd].read()

    def wait(self, holds, what):
        ends = time.monotonic() + kit.WAIT_S
        while not holds():
            if time.monotonic() > ends:
                raise AssertionError(f"not within {kit.WAIT_S} s: {what()}")
            self.turn(0.01)
            self.check()

    def drain(self):
        """The broker is gone: what it sent is still to be read."""
        for link in list(self.links.values()):
            while link.is_open and link.read():
                pass
            if link.is_open:
                link.lose()


class Actor:
    def __init__(self, run, client, version):
        self.run, self.hub, self.ledger, self.rng = run, run.hub, run.ledger, run.rng
        self.client, self.version = client, version
        self.link, self.ready = None, False

    def props(self):
        return b"\0" if self.version == kit.V5 else b""

    def open(self, clean, expiry=0, window=0):
        props = b""
        if expiry:
            props += b"\x11" + struct.pack(">I", expiry)
        if window:
            props += b"\x21" + struct.pack(">H", window)
        body = kit.text("MQTT") + bytes([self.version, 2 if clean else 0]) + b"\0\0"
        body += kit.var_int(len(props)) + props if self.version == kit.V5 else b""
        self.ready = False
        try:
            self.link = Link(self.hub, self, self.version)
        except ConnectionError:
            self.hub.check(kit.WAIT_S)
            raise
        self.link.send(kit.packet(kit.CONNECT, 0, body + kit.text(self.client)))

    def send_packet(self, kind, flags, body):
        if self.link is None:
            self.hub.check(kit.WAIT_S)
        self.link.send(kit.packet(kind, flags, body))

    def take(self, p):
        if p.kind == kit.CONNACK:
            if p.body[1] != 0:
                self.ledger.violation("connack", f"{self.client}: {p.body.hex()}")
            self.ready = True
            self.on_connack(bool(p.body[0] & 1))
        elif p.kind != kit.DISCONNECT:
            self.on_packet(p)

    def lost(self):
        self.link, self.ready = None, False


class Publisher(Actor):
    """Up to `window` messages under way; ids are used again as soon as they are free. A steady one has retained
    topics, and loses its connection only with the broker."""

    def __init__(self, run, number):
        super().__init__(run, f"pub-{number}", (kit.V311, kit.V5)[number % 2])
        self.number, self.is_steady, self.window = number, number < STEADY, (20, 200, 60)[number % 3]
        self.lives, self.waiting = 0, {}  # packet id -> (message or None, retained topic, index, packet)
        self.stream = self.client

    def connect(self):
        self.open(True)

    def on_connack(self, present):
        again, self.waiting = list(self.waiting.values()), {}
        if again and self.rng.random() < 0.5:
            for m, topic, index, body in again:
                if m is not None:
                    m.sends += 1
                self.send(m, topic, index, body, dup=True)
        elif again:
            self.give_up(again)

    def give_up(self, entries):
        """Whether they come, and when, nobody knows."""
        self.ledger.count["unanswered"] += len(entries)
        self.lives += 1
        self.stream = f"{self.client}/{self.lives}"

    def send(self, m, topic, index, body, dup=False):
        packet_id = next(i for i in range(1, 65536) if i not in self.waiting)
        self.waiting[packet_id] = (m, topic, index, body)
        name, payload, retain = body
        data = kit.text(name) + struct.pack(">H", packet_id) + self.props() + payload
        self.send_packet(kit.PUBLISH, 2 | retain | (8 if dup else 0), data)

    def size(self):
        dice = self.rng.random()
        return 1200000 if dice < 0.0004 else 70000 if dice < 0.003 else 3000 if dice < 0.02 else self.rng.randrange(60)

    def publish(self, topic, retain=False):
        m = self.ledger.publish(topic, self.stream, self.size())
        index = self.ledger.retained.setdefault(topic, Retained()).send(m.uid) if retain else 0
        self.send(m, topic if retain else None, index, (topic, m.payload(), retain))
        return m

    def clear(self, topic):
        index = self.ledger.retained.setdefault(topic, Retained()).send(None)
        self.send(None, topic, index, (topic, b"", True))

    def burst(self):
        if self.link is None:
            self.connect()
        if not self.ready:
            return
        for _ in range(self.rng.randrange(1, self.window)):
            if len(self.waiting) >= self.window:
                return
            dice = self.rng.random()
            if self.is_steady and dice < 0.03:
                self.clear(f"r/{self.number}")
            elif self.is_steady and dice < 0.2:
                self.publish(f"r/{self.number}", retain=True)
            else:
                self.publish(f"t/{self.number}/{self.rng.randrange(TOPICS)}")

    def vanish(self):
        if self.is_steady or not self.ready:
            return
        entries, self.waiting = list(self.waiting.values()), {}
        self.give_up(entries)
        link = self.link
        self.lost()
        try:
            if self.rng.random() < 0.5:
                self.connect()  # takes over
                self.ledger.count["takeovers"] += 1
        finally:
            link.drop(self.rng.random() < 0.5)

    def on_packet(self, p):
        if p.kind != kit.PUBACK:
            self.ledger.violation("packet", f"{self.client}: {p!r}")
            return
        packet_id = struct.unpack_from(">H", p.body)[0]
        m, topic, index, _ = self.waiting.pop(packet_id, (None, None, -1, None))
        if index < 0 or len(p.body) > 2 and p.body[2] >= 0x80:
            self.ledger.violation("puback", f"{self.client}: {p!r}")
            return
        if m is not None:
            self.ledger.acknowledge(m)
        if topic is not None:
            self.ledger.retained[topic].acknowledge(index)


class Subscriber(Actor):
    """Has a session that lasts."""

    def __init__(self, run, number):
        super().__init__(run, f"kept-{number}", (kit.V5, kit.V311)[number % 2])
        self.window = (0, 0, 3, 0, 20)[number % 5]
        self.begins_anew = True  # nobody knows what the broker has of it
        self.asking, self.unacked, self.next_id, self.marks, self.pongs = {}, [], 0, set(), 0
        self.is_lazy = False
        self.session = None

    def connect(self, clean=False):
        clean = clean or self.begins_anew
        # A clean start of version 3.1.1 has no session that lasts: it is only how to get rid of the old one.
        self.asks_clean = clean
        if clean:
            self.ledger.count["discarded"] += self.session is not None
            self.begins_anew = True
            self.begin()
        self.open(clean, 3600, self.window)

    def begin(self):
        self.session = self.ledger.sessions[self.client] = Session(self.ledger, self.client)

    def on_connack(self, present):
        if self.asks_clean:
            if present:
                self.ledger.violation("present", f"{self.client}: 1 after a clean start")
            self.begins_anew = False
            if self.version == kit.V311:  # gone with this connection; the next one begins it
                self.leave()
                self.begin()
                return
        elif present:
            self.ledger.count["present"] += 1
        elif self.session.must_exist:
            self.ledger.violation("present", f"{self.client}: 0 although it was durable; owed {len(self.session.owed)}")
            self.begin()
        else:
            self.begin()
        self.is_lazy = self.rng.random() < 0.3
        for f in self.rng.sample(FILTERS, 2 if not self.session.subs else 0):
            self.subscribe(f)

    def leave(self):
        """In good order, and it waits for the broker to close: only then the session is gone for certain."""
        self.ready = False
        self.link.send(kit.packet(kit.DISCONNECT, 0, b""))

    def lost(self):
        super().lost()
        self.asking, self.unacked = {}, []

    def ask(self, kind, sub, tail):
        self.next_id = self.next_id % 9 + 1
        if self.next_id in self.asking:
            return
        body = struct.pack(">H", self.next_id) + self.props() + kit.text(sub.filter) + tail
        self.send_packet(kind, 2, body)  # first: it may be that there is nobody to answer
        self.asking[self.next_id] = (kind, sub, self.ledger.tick())

    def subscribe(self, topic_filter):
        sub = Subscription(topic_filter, self.ledger.tick())
        self.session.subs.append(sub)
        self.ask(kit.SUBSCRIBE, sub, b"\1")

    def unsubscribe(self, sub):
        now = self.ledger.tick()
        for other in self.session.subs:
            if other.filter == sub.filter and other.ending == 0:
                other.ending = now
        self.ask(kit.UNSUBSCRIBE, sub, b"")

    def change(self):
        live = self.session.live()
        if len(live) > 2 and self.rng.random() < 0.55:
            self.unsubscribe(live[self.rng.choice(sorted(live))])
        else:
            self.subscribe(self.rng.choice(FILTERS))

    def act(self):
        """Whatever comes to its mind."""
        if self.link is None:
            self.connect(clean=self.rng.random() < 0.06)
            return
        if not self.ready:
            return
        dice = self.rng.random()
        if dice < 0.35:
            self.change()
        elif dice < 0.65:
            self.acknowledge(self.rng.randrange(1 + len(self.unacked)))
        elif dice < 0.85:
            link = self.link
            self.lost()
            link.drop(self.rng.random() < 0.5)
        else:
            self.take_over()

    def take_over(self):
        link = self.link
        self.lost()
        try:
            self.connect(clean=self.rng.random() < 0.1)
            self.ledger.count["takeovers"] += 1
        finally:
            link.drop()  # unread, what is on it

    def acknowledge(self, count):
        for packet_id in self.unacked[:count]:
            self.link.send(kit.packet(kit.PUBACK, 0, struct.pack(">H", packet_id)))
        del self.unacked[:count]

    def on_packet(self, p):
        if p.kind == kit.PUBLISH:
            self.on_message(kit.Message(p, self.version))
        elif p.kind in (kit.SUBACK, kit.UNSUBACK):
            self.on_answer(p)
        elif p.kind == kit.PINGRESP:
            self.pongs += 1
        else:
            self.ledger.violation("packet", f"{self.client}: {p!r}")

    def on_answer(self, p):
        kind, sub, asked = self.asking.pop(struct.unpack_from(">H", p.body)[0], (0, None, 0))
        if kind != p.kind - 1 or kind == kit.SUBSCRIBE and p.body[-1] != 1:
            self.ledger.violation("answer", f"{self.client}: {p!r}")
            return
        self.session.must_exist = True
        if kind == kit.SUBSCRIBE:
            sub.acked = self.ledger.tick()
        else:
            self.session.ended(sub.filter, asked)

    def on_message(self, message):
        if message.qos != 1:
            self.ledger.violation("qos", f"{self.client}: {message.topic}: {message.qos}")
        self.unacked.append(message.id)
        if message.topic == MARK:
            self.marks.add(message.payload)
        elif message.payload and not message.retain:
            m = self.ledger.find(message.topic, message.payload)
            if m is not None:
                self.session.deliver(m, self.link, message.dup)
        if not self.is_lazy:
            self.acknowledge(len(self.unacked))

    def ping(self):
        self.send_packet(kit.PINGREQ, 0, b"")


class Run:
    """with_failpoints: the broker may die at one of its failpoints, if it has any."""
    durabilities = ("disk", "disk", "os")

    def __init__(self, seed, say=None, with_failpoints=False):
        self.seed, self.rng, self.say = seed, random.Random(seed), say or (lambda text: None)
        self.ledger, self.hub = Ledger(), Hub()
        self.dir = tempfile.mkdtemp(prefix="longlink-kill9.")
        self.publishers = [Publisher(self, i) for i in range(PUBLISHERS)]
        self.kept = [Subscriber(self, i) for i in range(KEPT)]
        self.broker, self.marks, self.unsettled = None, 0, 0
        self.failpoints = kill9_failpoints.Failpoints(kill9_failpoints.names() if with_failpoints else [],
                                                      random.Random(seed))
        self.ends, self.history = collections.Counter(), []

    def start(self):
        conf = (f"durability {self.rng.choice(self.durabilities)}\npersistence_location {self.dir}/data\n"
                f"shards {self.rng.randrange(1, 4)}\nmax_connections -1")
        os.makedirs(f"{self.dir}/data", exist_ok=True)
        with mock.patch.dict(os.environ, self.failpoints.variables()):
            self.broker = kit.Broker(conf, cwd=self.dir)
        self.hub.process = self.broker.process

    def ready(self):
        try:
            self.hub.port = self.broker.ready().port
        except AssertionError:
            if self.broker.process.poll() == -signal.SIGKILL:
                raise Fell from None
            raise

    def kill(self):
        self.hub.check()  # it must not have died before
        self.broker.process.kill()
        self.over()

    def over(self):
        """The broker was killed, by us or by itself. Gives the failpoint, if it died there."""
        status = self.broker.process.wait(kit.WAIT_S)
        self.broker.log_file.close()
        text = self.broker.text()
        if status != -signal.SIGKILL or "Sanitizer" in text:
            raise AssertionError(f"longlinkd ended with {status}:\n{text[-6000:]}")
        at = kill9_failpoints.died_at(text)
        self.failpoints.ended(at)
        self.history.append(at or "killed")
        self.ends["torn"] += " journal-torn " in text
        self.hub.drain()
        return at

    def fell(self):
        at = self.over()
        if at is None:
            raise AssertionError(f"longlinkd was killed by somebody else:\n{self.broker.text()[-6000:]}")
        self.ends["at a failpoint"] += 1

    def end(self):
        """In good order, in the midst of it."""
        status = self.broker.stop()
        if status == -signal.SIGKILL:
            raise Fell
        if status != 0:
            raise AssertionError(f"longlinkd ended with {status}:\n{self.broker.text()[-6000:]}")
        self.ends["ended"] += 1
        self.failpoints.ended(None)
        self.history.append("ended")
        self.hub.drain()

    def act(self):
        dice = self.rng.random()
        if dice < 0.5:
            self.rng.choice(self.publishers).burst()
        elif dice < 0.97:
            self.rng.choice(self.kept).act()
        else:
            self.rng.choice(self.publishers).vanish()

    # the retained messages, as a newcomer sees them

    def check_retained(self):
        with contextlib.closing(kit.Client(self.hub.port)) as c:
            seen = self.retained_as_seen_by(c)
        for topic, r in self.ledger.retained.items():
            self.ledger.count["retained"] += 1
            if not r.allows(seen.get(topic)):
                self.ledger.violation("retained", f"{topic}: {seen.get(topic)}, not one of {r.values}")

    def retained_as_seen_by(self, c):
        c.join("newcomer")
        if self.marks == 0:
            c.publish(END, b"end", 1, retain=True)
        c.next_id += 1
        c.send(kit.packet(kit.SUBSCRIBE, 2, struct.pack(">H", c.next_id) + b"\0" + kit.text("r/#") + b"\0" +
                          kit.text(END) + b"\0"))
        c.expect(kit.SUBACK)
        seen = {}
        while True:
            m = c.message()
            if m.topic == END:
                break
            seen[m.topic] = int(m.payload.split(b" ", 1)[0])
        c.leave()
        return seen

    # all quiet

    def mark(self):
        self.marks += 1
        word = b"%d" % self.marks
        p = self.publishers[0]
        p.send(None, None, 0, (MARK, word, False))
        self.hub.wait(lambda: not p.waiting, lambda: "PUBACK of the mark")
        return word

    def everybody_there(self):
        for a in self.publishers + self.kept:
            if a.link is None:
                a.connect()
        return all(a.ready for a in self.publishers + self.kept)

    def all_have(self, word):
        self.hub.wait(lambda: all(word in s.marks for s in self.kept),
                      lambda: "the mark at " + str([(s.client, len(s.session.owed), s.link and len(s.link.seen))
                                                    for s in self.kept if word not in s.marks]))

    def settle(self):
        self.hub.wait(self.everybody_there, lambda: "all connected")
        self.hub.wait(lambda: not any(p.waiting for p in self.publishers), lambda: "all PUBACKs")
        for s in self.kept:
            s.is_lazy = False
            s.acknowledge(len(s.unacked))
            self.hub.wait(lambda s=s: not s.asking, lambda: "SUBACKs")
            s.subscribe(MARK)
        self.hub.wait(lambda: not any(s.asking for s in self.kept), lambda: "SUBACKs")
        before = self.ledger.uid + 1
        self.all_have(self.mark())
        pongs = [s.pongs for s in self.kept]
        for s in self.kept:
            s.ping()
        self.hub.wait(lambda: all(s.pongs > n for s, n in zip(self.kept, pongs)), lambda: "PINGRESP")
        self.all_have(self.mark())  # durable, and so are the acknowledgements before it
        self.ledger.settle(before)
        for s in self.kept:
            s.marks.clear()

    def live(self, is_last):
        if self.rng.random() < 0.1 and not is_last:
            time.sleep(self.rng.uniform(0, 0.3))  # somewhere in its start
            self.kill()
            self.ends["killed at start"] += 1
            return
        self.ready()
        self.check_retained()
        if is_last or self.unsettled >= SETTLE_EVERY:
            self.settle()
            self.unsettled = 0
        # Now and then long enough for a fold in its midst.
        most = LONG_OPERATIONS_MAX if self.rng.random() < (0.5 if self.failpoints.armed else 0.25) else OPERATIONS_MAX
        for _ in range(0 if is_last else self.rng.randrange(most)):
            self.act()
            self.hub.turn()
            self.hub.check()
        if is_last or self.rng.random() < 0.1:
            self.end()
        else:
            self.kill()
            self.ends["killed"] += 1

    def cycle(self, is_last):
        self.unsettled += 1
        if not is_last and self.unsettled < 2 * SETTLE_EVERY:
            self.failpoints.arm()
        self.start()
        try:
            self.live(is_last)
        except (ConnectionError, kit.Closed):
            self.fell()

    def go(self, cycles, times=0):
        """times: and on, until each failpoint was reached so often, or cannot be."""
        done = 1
        while not self.ledger.violations and (done < cycles or self.failpoints.wants_more(times)):
            self.cycle(is_last=False)
            done += 1
            if done % 10 == 0:
                self.say(f"{done} cycles: {self.figures()}")
        if not self.ledger.violations:
            self.cycle(is_last=True)
        return self

    def figures(self):
        return ", ".join(f"{k} {v}" for k, v in {**self.ends, **self.ledger.count}.items())

    def close(self, keep=False):
        if self.broker is not None and self.broker.process.poll() is None:
            self.broker.process.kill()
            self.broker.process.wait()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


class Kill9(kit.Test):
    def go(self, run, cycles):
        self.addCleanup(run.close)
        run.go(cycles)
        self.assertEqual(run.ledger.violations, [])
        self.assertGreater(run.ledger.count["acknowledged"], 0)

    def test_nothing_acknowledged_is_missing_after_kill_9(self):
        self.go(Run(seed=9), 8)

    def test_nothing_acknowledged_is_missing_after_a_death_at_a_failpoint(self):
        run = Run(seed=9, with_failpoints=True)
        if not run.failpoints.names:
            self.skipTest("the broker has no failpoints: -DLONGLINK_FAILPOINTS=ON, or a sanitizer")
        self.go(run, 20)
        self.assertGreater(len(run.failpoints.reached), 3, run.failpoints.figures())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cycles", type=int, required=True, help="starts of the broker")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--failpoints", type=int, default=0, metavar="TIMES",
                        help="at random moments, and at each failpoint so often: more cycles if that needs more")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    run = Run(options.seed, lambda text: print(text, flush=True), options.failpoints > 0)
    if options.failpoints and not run.failpoints.names:
        sys.exit("the broker has no failpoints: build it with -DLONGLINK_FAILPOINTS=ON")
    bad, never = True, []
    try:
        run.go(options.cycles, options.failpoints)
        never = run.failpoints.never() if not run.ledger.violations else []
        bad = bool(run.ledger.violations or never)
    finally:
        run.close(keep=bad)
        print(f"{'FAILED' if bad else 'passed'}: {run.figures()}")
        print("\n".join(run.ledger.violations[:20]))
        if options.failpoints:
            print(f"failpoints, died there of armed: {run.failpoints.figures()}")
            print("\n".join(f"never reached: {name}" for name in never))
        if bad:
            print(f"the last ends: {', '.join(run.history[-9:])}; the directory is kept: {run.dir}")
    sys.exit(bad)


if __name__ == "__main__":
    if "--cycles" in sys.argv:
        main()
    kit.main()
