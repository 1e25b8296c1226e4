# SPDX-License-Identifier: Apache-2.0
"""The clients of test_kill9.py with QoS 1, and the connections of all of them."""
import collections
import select
import socket
import struct
import subprocess
import time

import kit
from kill9_ledger import Retained, Session, Subscription

PUBLISHERS, STEADY, KEPT, TOPICS = 5, 2, 8, 3
MARK = "mark/now"
DELAYED = 0.01  # share of the messages that are delayed
UPGRADES = "upgrade_outgoing_qos true" in kit.MORE_CONF

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

    def open(self, clean, expiry=0, window=0, will=None):
        """will: its QoS, and its bytes."""
        props = b""
        if expiry:
            props += b"\x11" + struct.pack(">I", expiry)
        if window:
            props += b"\x21" + struct.pack(">H", window)
        flags = (2 if clean else 0) | (4 | will[0] << 3 if will else 0)
        body = kit.text("MQTT") + bytes([self.version, flags]) + b"\0\0"
        body += kit.var_int(len(props)) + props if self.version == kit.V5 else b""
        self.ready = False
        try:
            self.link = Link(self.hub, self, self.version)
        except ConnectionError:
            self.hub.check(kit.WAIT_S)
            raise
        self.link.send(kit.packet(kit.CONNECT, 0, body + kit.text(self.client) + (will[1] if will else b"")))

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
                    m.again()
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

    def publish(self, topic, retain=False, delay_s=0):
        m = self.ledger.publish(topic, self.stream, self.size(), delay_s=delay_s)
        index = self.ledger.retained.setdefault(topic, Retained()).send(m.uid) if retain else 0
        name = f"$delayed/{delay_s}/{topic}" if delay_s else topic
        self.send(m, topic if retain else None, index, (name, m.payload(), retain))
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
            elif dice > 1 - DELAYED:
                self.publish(f"d/p{self.number}", delay_s=1)
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
    """Has a session that lasts. unacked: what it has not answered yet, as (kind of the answer, packet id)."""
    qos, filters = 1, FILTERS

    def __init__(self, run, number, client=None):
        super().__init__(run, client or f"kept-{number}", (kit.V5, kit.V311)[number % 2])
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
        for f in self.first_filters() if not self.session.subs else ():
            self.subscribe(f)

    def first_filters(self):
        return self.rng.sample(self.filters, 2)

    def may_begin_anew(self, chance):
        return self.rng.random() < chance

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
        self.ask(kit.SUBSCRIBE, sub, bytes([self.qos]))

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
            self.subscribe(self.rng.choice(self.filters))

    def act(self):
        """Whatever comes to its mind."""
        if self.link is None:
            self.connect(clean=self.may_begin_anew(0.06))
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
            self.connect(clean=self.may_begin_anew(0.1))
            self.ledger.count["takeovers"] += 1
        finally:
            link.drop()  # unread, what is on it

    def acknowledge(self, count):
        for kind, packet_id in self.unacked[:count]:
            self.link.send(kit.packet(kind, 0, struct.pack(">H", packet_id)))
        del self.unacked[:count]

    def reply(self, kind, packet_id):
        self.unacked.append((kind, packet_id))
        if not self.is_lazy:
            self.acknowledge(len(self.unacked))

    def is_busy(self):
        """Something is still to come for what it has."""
        return False

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
        if kind != p.kind - 1 or kind == kit.SUBSCRIBE and p.body[-1] != self.qos:
            self.ledger.violation("answer", f"{self.client}: {p!r}")
            return
        self.session.must_exist = True
        if kind == kit.SUBSCRIBE:
            self.granted(sub)
        else:
            self.session.ended(sub.filter, asked)

    def granted(self, sub):
        sub.acked = self.ledger.tick()

    def on_message(self, message):
        if message.qos != 1:
            self.ledger.violation("qos", f"{self.client}: {message.topic}: {message.qos}")
        self.heard(message)
        self.reply(kit.PUBACK, message.id)

    def heard(self, message):
        if message.topic == MARK:
            self.marks.add(message.payload)
        elif message.payload and not message.retain:
            self.deliver(message)

    def qos_of(self, m):
        return self.qos if UPGRADES else min(m.qos, self.qos)

    def deliver(self, message):
        session = self.session_of(message)
        m = self.ledger.find(message, session)
        if m is not None and message.qos != self.qos_of(m):
            self.ledger.violation("qos", f"{self.client}: {message.topic}: {message.qos} of {m.qos}")
        if m is not None:
            session.deliver(m, self.link, message.dup, min(message.qos, m.qos) == 2)

    def session_of(self, message):
        return self.session

    def ping(self):
        self.send_packet(kit.PINGREQ, 0, b"")
