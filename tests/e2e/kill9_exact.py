# SPDX-License-Identifier: Apache-2.0
"""The clients of test_kill9.py that keep the state of QoS 2 over their connections, as the standard asks: publishers
and subscribers, members of groups; and those that leave a will. What they see is what an application would see."""
import struct

import kit
from kill9_actors import DELAYED, Actor, Subscriber
from kill9_ledger import Group, Subscription

PUBREC, PUBREL, PUBCOMP = 5, 6, 7
NOT_FOUND = 0x92
DELAYS_S = (1, 2)

EXACT_FILTERS = ["q/#", "q/0/#", "q/+/1", "q/1/0", "t/0/#"]
KEEPER_FILTERS = ["d/#", "w/#", "q/#"]


def id_of(p):
    return struct.unpack_from(">H", p.body)[0]


def code_of(p):
    return p.body[2] if len(p.body) > 2 else 0


class Sent:
    """A message under way. answered: it has its PUBREC. again: its PUBREL was sent on an earlier connection."""

    def __init__(self, m, topic, payload):
        self.m, self.topic, self.payload = m, topic, payload
        self.answered = self.again = False


class ExactPublisher(Actor):
    """QoS 2, with a session that lasts. A message is sent until it has its PUBREC, then PUBREL until PUBCOMP."""

    def __init__(self, run, number):
        super().__init__(run, f"exact-pub-{number}", (kit.V5, kit.V311)[number % 2])
        self.number, self.window = number, (100, 20)[number % 2]
        self.waiting, self.unanswered, self.held = {}, [], []  # by packet id; ids without PUBREC; PUBRELs not sent yet
        self.begins_anew, self.asks_clean, self.must_exist, self.is_lazy = True, False, False, False
        self.last_id, self.lives, self.stream = 0, 0, self.client

    def connect(self, clean=False):
        self.asks_clean = clean or self.begins_anew
        if self.asks_clean:
            self.begins_anew = True
            self.give_up()
        self.open(self.asks_clean, 3600)

    def give_up(self):
        """The session is gone, and nobody knows of what was under way whether it has come. It is not sent again."""
        self.ledger.count["unanswered"] += sum(not s.answered for s in self.waiting.values())
        self.waiting, self.must_exist = {}, False
        self.lives += 1
        self.stream = f"{self.client}/{self.lives}"

    def on_connack(self, present):
        if self.asks_clean:
            if present:
                self.ledger.violation("present", f"{self.client}: 1 after a clean start")
            self.begins_anew = False
            if self.version == kit.V311:  # gone with this connection; the next one begins it
                self.ready = False
                self.link.send(kit.packet(kit.DISCONNECT, 0, b""))
                return
        elif not present:
            if self.must_exist:
                self.ledger.violation("present", f"{self.client}: 0 with {len(self.waiting)} under way")
            self.give_up()
        self.is_lazy = self.rng.random() < 0.4
        self.resend()

    def resend(self):
        for packet_id, s in self.waiting.items():
            if s.answered:
                s.again = True
                self.send_packet(PUBREL, 2, struct.pack(">H", packet_id))
            else:
                self.send(packet_id, s, dup=True)

    def send(self, packet_id, s, dup=False):
        self.unanswered.append(packet_id)
        data = kit.text(s.topic) + struct.pack(">H", packet_id) + self.props() + s.payload
        self.send_packet(kit.PUBLISH, 4 | (8 if dup else 0), data)

    def lost(self):
        super().lost()
        self.unanswered, self.held = [], []

    def free_id(self):
        while True:
            self.last_id = self.last_id % 150 + 1  # so that they come again soon
            if self.last_id not in self.waiting:
                return self.last_id

    def publish(self, topic, delay_s=0):
        m = self.ledger.publish(topic, self.stream, self.rng.randrange(60), qos=2, delay_s=delay_s)
        s = Sent(m, f"$delayed/{delay_s}/{topic}" if delay_s else topic, m.payload())
        packet_id = self.free_id()
        self.waiting[packet_id] = s
        self.send(packet_id, s)

    def burst(self):
        if self.link is None:
            self.connect(clean=self.rng.random() < 0.03)
        if not self.ready:
            return
        for _ in range(self.rng.randrange(1, self.window)):
            if len(self.waiting) >= self.window:
                break
            if self.rng.random() < 5 * DELAYED:
                self.publish(f"d/p{self.number}", self.rng.choice(DELAYS_S))
            else:
                self.publish(f"q/{self.number}/{self.rng.randrange(3)}")
        self.release(self.rng.randrange(1 + len(self.held)))

    def vanish(self):
        """With the state of its session; the connection may be taken over."""
        if not self.ready:
            return
        link = self.link
        self.lost()
        try:
            if self.rng.random() < 0.5:
                self.connect()
                self.ledger.count["takeovers"] += 1
        finally:
            link.drop(self.rng.random() < 0.5)

    def on_packet(self, p):
        packet_id = id_of(p)
        s = self.waiting.get(packet_id)
        if p.kind == PUBREC and self.unanswered[:1] == [packet_id] and code_of(p) in (0, 0x10):
            self.unanswered.pop(0)
            self.on_received(packet_id, s)
        elif p.kind == PUBCOMP and s is not None and s.answered and code_of(p) in (0, NOT_FOUND if s.again else 0):
            del self.waiting[packet_id]
        else:
            self.ledger.violation("answer", f"{self.client}: {p!r}, expected for {self.unanswered[:3]}")

    def on_received(self, packet_id, s):
        self.must_exist = True
        s.answered = True
        # Kept in the order of PUBRECs: so are the PUBRELs of the next connection.
        self.waiting[packet_id] = self.waiting.pop(packet_id)
        self.ledger.acknowledge(s.m)
        self.held.append(packet_id)
        if not self.is_lazy:
            self.release(len(self.held))

    def release(self, count):
        for packet_id in self.held[:count]:
            self.send_packet(PUBREL, 2, struct.pack(">H", packet_id))
        del self.held[:count]

    def settle(self):
        self.is_lazy = False
        self.release(len(self.held))


class ExactSubscriber(Subscriber):
    """Asks for QoS 2. incoming: packet id -> uid, from PUBLISH to PUBREL, kept as long as the session."""
    qos, filters = 2, EXACT_FILTERS

    def __init__(self, run, number, name="exact"):
        super().__init__(run, number, f"{name}-{number}")
        self.incoming = {}

    def begin(self):
        super().begin()
        self.incoming = {}

    def on_packet(self, p):
        if p.kind == PUBREL:
            packet_id = id_of(p)
            self.incoming.pop(packet_id, None)  # may come again, when PUBCOMP was lost
            self.reply(PUBCOMP, packet_id)
        elif p.kind == kit.PUBLISH and p.flags & 4:
            self.on_exact(kit.Message(p, self.version))
        else:
            super().on_packet(p)

    def on_exact(self, message):
        before, word = self.incoming.get(message.id), message.payload[:24]
        if before is None:
            self.incoming[message.id] = word
            self.heard(message)
        elif before != word:
            self.ledger.violation("packet id", f"{self.client}: {message.id} has {before!r}, not {word!r}")
        else:
            # That the session was connected may have been not durable yet.
            self.ledger.count["again without DUP"] += not message.dup
        self.reply(PUBREC, message.id)

    def is_busy(self):
        return bool(self.incoming)


class Keeper(ExactSubscriber):
    """Has the same subscriptions for ever."""
    filters = KEEPER_FILTERS

    def __init__(self, run, number, name="keeper"):
        super().__init__(run, number, name)

    def first_filters(self):
        return self.filters

    def change(self):
        pass

    def may_begin_anew(self, chance):
        return False


class Member(Keeper):
    """Of a group, with a session that lasts. What it gets is the group's."""

    def __init__(self, run, number, group):
        self.group, self.qos, self.filters = group, group.qos, [group.text]
        super().__init__(run, number, f"member-{group.client}")

    def subscribe(self, topic_filter):
        super().subscribe(topic_filter)
        if topic_filter == self.group.text and not self.group.subs:
            self.group.subs.append(Subscription(self.group.filter, self.ledger.tick()))

    def granted(self, sub):
        super().granted(sub)
        if sub.filter == self.group.text and not self.group.subs[0].acked:
            self.group.subs[0].acked = self.ledger.tick()

    def session_of(self, message):
        return self.group

    def qos_of(self, m):
        return min(m.qos, self.qos)


class Mortal(Actor):
    """Leaves a will with each connection. It must come, or must not, or nobody knows: when the end of a connection was
    in the midst of something."""
    DELAY_S = 600

    def __init__(self, run, number):
        super().__init__(run, f"mortal-{number}", kit.V5)
        self.number, self.will, self.delay_s = number, None, 0
        self.is_armed = self.is_leaving = self.begins_anew = False
        self.old = None  # a delayed will of the last connection
        self.cleared = []  # wills that do not come, as soon as this is durable; and in which life of the broker

    def connect(self):
        self.begins_anew = self.rng.random() < 0.3
        self.delay_s = self.rng.choice((0, self.DELAY_S))
        self.will = self.ledger.publish(f"w/{self.number}", f"will {self.ledger.uid}", 20, qos=self.rng.choice((1, 2)))
        self.is_armed = self.is_leaving = False
        props = b"\x18" + struct.pack(">I", self.delay_s)
        will = kit.var_int(len(props)) + props + kit.text(self.will.topic) + kit.text(self.will.payload())
        self.open(self.begins_anew, 3600, will=(self.will.qos, will))

    def on_connack(self, present):
        old, self.old = self.old, None
        if old is not None and self.begins_anew:
            self.ledger.acknowledge(old)  # its session has ended, and the delay with it
        elif old is not None:
            self.cleared.append((old, self.run.lives))
        self.send_packet(kit.SUBSCRIBE, 2, b"\0\1" + self.props() + kit.text(f"x/{self.number}") + b"\1")

    def on_packet(self, p):
        if p.kind != kit.SUBACK:
            self.ledger.violation("packet", f"{self.client}: {p!r}")
        self.is_armed = True  # the will is older than the subscription, and so it is durable
        for will, life in self.cleared:
            if life == self.run.lives:
                self.ledger.forbid(will)
        self.cleared = []

    def lost(self):
        super().lost()
        will, self.will = self.will, None
        if will is None or not self.is_armed or self.run.is_ending:
            self.old = None
        elif self.is_leaving:
            self.old = None
            if not self.run.is_dead():
                self.cleared.append((will, self.run.lives))
        elif self.delay_s == 0:
            self.ledger.acknowledge(will)
        else:
            self.old = will

    def act(self):
        if self.link is None:
            self.connect()
        elif self.is_armed and not self.is_leaving:
            if self.rng.random() < 0.5:
                link = self.link
                self.lost()
                link.drop(self.rng.random() < 0.5)
            else:
                self.link.send(kit.packet(kit.DISCONNECT, 0, b""))
                self.is_leaving = True


def groups(ledger):
    return [Group(ledger, "a", "t/1/#", 1), Group(ledger, "b", "q/#", 2)]
