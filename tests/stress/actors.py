# SPDX-License-Identifier: Apache-2.0
"""The clients: publishers, subscribers, and those whose will is to be published."""
import wire
from broker import IN_FLIGHT
from ledger import NEVER, Session

IN_FLIGHT_MAX = 200
KEPT_S = 3600


class Actor:
    """A client id, at most one connection that counts, and those that it has been taken over from."""

    def __init__(self, run, client):
        self.run, self.client = run, client
        self.rng, self.ledger = run.rng, run.ledger
        self.link = None
        self.version = wire.V311
        self.ready = False       # CONNACK has come
        self.leaving = False     # DISCONNECT was sent
        self.may_be_closed = False  # a CONNECT of ours that we gave up may still take us over
        self.last_id = 0

    def packet_id(self):
        self.last_id = self.last_id % 65535 + 1
        return self.last_id

    def open(self, clean, **options):
        self.version = self.rng.choice((wire.V311, wire.V5))
        self.link = self.run.hub.open(self, self.version)
        self.ready = False
        self.ledger.count["connects"] += 1
        if self.version == wire.V311:
            options.pop("receive_max", None)
            options.pop("expiry_s", None)
        self.link.send(wire.connect(self.version, self.client, clean, **options))

    def give_up_old(self):
        """Before a CONNECT takes it over: the old connection counts no more, but must be closed by the broker."""
        self.ledger.count["takeovers"] += 1
        self.link.ignored = True
        self.run.taken_over.add(self.link)
        self.link = None

    def vanish(self):
        self.ledger.count["vanished"] += 1
        if not self.ready:
            self.may_be_closed = True
        self.link.close(reset=self.rng.random() < 0.5)
        self.link = None
        self.leaving = False  # it may have said DISCONNECT before
        self.on_gone()

    def leave(self):
        self.link.send(wire.disconnect())
        self.leaving = True

    def on_gone(self):
        """The connection has ended, whatever the cause."""

    def on_close(self, link):
        if link is not self.link:
            self.run.taken_over.discard(link)
            return
        if not self.leaving and not self.may_be_closed:
            self.ledger.violation("closed", f"the broker closed {self.client}, {'ready' if self.ready else 'new'}")
        self.link = None
        self.leaving = False
        self.on_gone()

    def on_packet(self, link, kind, first, body):
        if kind == wire.CONNACK:
            if body[1] != 0:
                self.ledger.violation("refused", f"{self.client}: {body[1]:#x}")
            self.ready = True
            self.on_connack(bool(body[0] & 1))
        elif kind == wire.DISCONNECT:
            if body[:1] != bytes([wire.TAKEN_OVER]) or not self.may_be_closed:
                self.ledger.violation("disconnected", f"{self.client}: {body.hex()}")
        elif not self.on_other(link, kind, first, body):
            self.ledger.violation("unexpected packet", f"{self.client}: {kind} {body[:20].hex()}")

    def on_connack(self, present):
        if present:
            self.ledger.violation("session present", f"{self.client} is clean")

    def on_other(self, link, kind, first, body):
        return False


class Publisher(Actor):
    """Publishes to topics that all share, and to retained topics that are its own."""

    def __init__(self, run, client, topics, own):
        super().__init__(run, client)
        self.topics, self.own = topics, own
        self.ledger.stream_of.update((topic, client.decode()) for topic in own)
        self.waiting = {}  # packet id -> message

    def connect(self):
        if self.link is not None:
            self.give_up_old()
            self.waiting.clear()
        self.open(True)

    def on_gone(self):
        self.waiting.clear()

    def publish(self, topic, retain=False):
        m = self.ledger.publish(topic, self.client.decode(), retain)
        packet_id = self.packet_id()
        self.waiting[packet_id] = m
        self.link.send(wire.publish(self.version, topic, m.payload(), packet_id, retain))

    def burst(self):
        if self.link is None:
            self.connect()
        for _ in range(min(self.rng.randrange(1, 40), IN_FLIGHT_MAX - len(self.waiting))):
            if self.own and self.rng.random() < 0.2:
                self.publish(self.rng.choice(self.own), retain=self.rng.random() < 0.7)
            else:
                self.publish(self.rng.choice(self.topics))

    def finish(self):
        """The last value of each retained topic."""
        if self.link is None:
            self.connect()
        for topic in self.own:
            self.publish(topic, retain=True)

    def on_other(self, link, kind, first, body):
        if kind != wire.PUBACK:
            return False
        packet_id, codes = wire.read_ack(self.version, kind, body)
        oldest = next(iter(self.waiting), None)
        if packet_id != oldest:
            self.ledger.violation("puback", f"{self.client} got {packet_id}, the oldest is {oldest}")
        m = self.waiting.pop(packet_id, None)
        if codes and codes[0] not in (0, 0x10):
            self.ledger.violation("puback", f"{self.client} got {codes.hex()}")
        elif m is not None:
            self.ledger.acknowledge(m)
        return True


class Subscriber(Actor):
    """Subscribes with QoS 1. A kept one has a session that outlives its connections."""

    def __init__(self, run, client, is_kept, filters):
        super().__init__(run, client)
        self.is_kept, self.filters = is_kept, filters
        self.session = None
        self.expects_present = False
        self.asking = {}   # packet id -> what SUBACK or UNSUBACK is for
        self.unacked = {}  # packet id -> uid, in the order that they came
        self.told, self.confirming = [], []  # PUBACKs sent; those before the last PINGREQ
        self.window = 0
        self.is_lazy = self.is_disorderly = False

    # --- connections

    def connect(self, clean_start=False, window=None):
        """window: Receive Maximum; 0: none given, None: any."""
        if self.link is not None:
            self.give_up_old()
            self.on_gone()
        clean = not self.is_kept or clean_start
        self.expects_present = self.is_kept and not clean and self.session is not None
        if self.session is None or clean:
            if self.session is not None and self.is_kept:
                self.ledger.count["discarded"] += 1
            self.session = Session(self.ledger, self.client.decode(), self.is_kept)
        self.session.connections += 1
        self.is_lazy = self.rng.random() < 0.4
        self.is_disorderly = self.rng.random() < 0.3
        if window is None:
            window = self.rng.choice((1, 2, 3, 5, 10, 30, 100, 0) if self.is_kept else (5, 10, 30, 100, 0))
        self.open_session(clean, window)

    def open_session(self, clean, window):
        version = self.rng.choice((wire.V311, wire.V5))
        # A 3.1.1 client has its session kept by the flag itself; so a fresh kept session starts with version 5.
        self.version = wire.V5 if self.is_kept and clean else version
        self.window = min(window, IN_FLIGHT) if window and self.version == wire.V5 else IN_FLIGHT
        self.link = self.run.hub.open(self, self.version)
        self.ready = False
        self.ledger.count["connects"] += 1
        options = {}
        if self.version == wire.V5:
            options = {"expiry_s": KEPT_S if self.is_kept else 0, "receive_max": window}
        self.link.send(wire.connect(self.version, self.client, clean, **options))

    def on_gone(self):
        self.asking.clear()
        self.unacked.clear()
        self.told, self.confirming = [], []
        if not self.is_kept:
            self.session = None

    def can_vanish(self):
        """Before the CONNACK of a clean start, nobody knows which session there is."""
        return self.link is not None and (self.ready or self.expects_present)

    def on_connack(self, present):
        if present != self.expects_present:
            self.ledger.violation("session present", f"{self.client}: {present}")
        if not self.session.subscriptions:
            for f in self.rng.sample(self.filters, min(3, len(self.filters))):
                self.subscribe(f)

    # --- subscriptions

    def live(self):
        return {s.filter: s for s in self.session.subscriptions if s.ending == 0}

    def subscribe(self, topic_filter):
        floors = self.ledger.floors(topic_filter)
        sub = self.session.subscribe(topic_filter, self.live().get(topic_filter))
        packet_id = self.packet_id()
        self.asking[packet_id] = (wire.SUBACK, sub, floors)
        self.link.send(wire.subscribe(self.version, packet_id, [topic_filter]))

    def unsubscribe(self, sub):
        self.session.unsubscribe(sub)
        packet_id = self.packet_id()
        self.asking[packet_id] = (wire.UNSUBACK, sub, None)
        self.link.send(wire.unsubscribe(self.version, packet_id, [sub.filter]))

    def change(self):
        if not self.ready or self.link is None or self.leaving:
            return
        live = self.live()
        if len(live) > 2 and self.rng.random() < 0.5:
            self.unsubscribe(self.rng.choice(list(live.values())))
        else:
            self.subscribe(self.rng.choice(self.filters))

    def on_asked(self, kind, body):
        packet_id, codes = wire.read_ack(self.version, kind, body)
        asked, sub, floors = self.asking.pop(packet_id, (0, None, None))
        if asked != kind:
            self.ledger.violation("suback", f"{self.client}: {kind} for {packet_id}")
        elif kind == wire.UNSUBACK:
            sub.ended = self.ledger.tick()
        elif codes != b"\x01":
            self.ledger.violation("suback", f"{self.client}: {codes.hex()}")
        else:
            self.session.granted(sub, floors)
            if self.is_kept and self.session.floor and not self.run.is_ending and self.rng.random() < 0.1:
                self.vanish()  # what SUBACK has promised must wait for it

    # --- messages

    def on_publish(self, link, first, body):
        topic, payload, qos, packet_id, dup, retain = wire.read_publish(self.version, first, body)
        if qos != 1:
            self.ledger.violation("qos", f"{self.client}: {topic}")
            return
        m = self.ledger.find(topic, payload)
        if packet_id in self.unacked:
            self.ledger.violation("packet id", f"{self.client}: {packet_id} is in use")
        if m is None:
            return
        self.unacked[packet_id] = m.uid
        if len(self.unacked) > self.window:
            self.ledger.violation("window", f"{self.client}: {len(self.unacked)} of {self.window}")
        self.session.deliver(m, link, dup, retain)
        if not self.is_lazy:
            self.acknowledge(1)
        else:
            self.run.lazy.add(self)

    def acknowledge(self, count):
        ids = list(self.unacked)
        if self.is_disorderly:
            self.rng.shuffle(ids)
        for packet_id in ids[:count]:
            self.told.append(self.unacked.pop(packet_id))
            self.link.send(wire.puback(packet_id))

    def ping(self):
        """When it is answered, the broker has all PUBACKs that went before."""
        if self.ready and not self.confirming and not self.leaving:
            self.confirming, self.told = self.told, []
            self.confirming.append(0)
            self.link.send(wire.PINGREQ_PACKET)

    def on_other(self, link, kind, first, body):
        if kind == wire.PUBLISH:
            self.on_publish(link, first, body)
        elif kind in (wire.SUBACK, wire.UNSUBACK):
            self.on_asked(kind, body)
        elif kind == wire.PINGRESP:
            self.session.finished.update(self.confirming)
            self.confirming = []
        else:
            return False
        return True


class Prober(Subscriber):
    """Comes for the retained messages, and goes when it has them all, unless it stays."""

    def __init__(self, run, client, filters, stays):
        super().__init__(run, client, False, filters)
        self.stays = stays
        self.granted = 0

    def on_connack(self, present):
        Actor.on_connack(self, present)
        self.subscribe(self.rng.choice(self.filters))

    def on_other(self, link, kind, first, body):
        known = super().on_other(link, kind, first, body)
        if kind == wire.SUBACK:
            self.granted += 1
        if self.granted and not self.session.floor and self.link is link:
            self.run.probers.discard(self)
            if not self.stays:
                self.vanish()
        return known


class Mortal(Actor):
    """Leaves a will, in most cases."""

    def __init__(self, run, client, topic):
        super().__init__(run, client)
        self.topic = topic
        self.will = None  # of the present connection
        self.took_over = False  # with a CONNECT that has no CONNACK yet
        self.lives = 0
        self.names = 1

    def connect(self):
        self.took_over = self.link is not None
        if self.took_over:
            self.give_up_old()
            self.on_gone()
        elif self.may_be_closed and self.rng.random() < 0.5:
            self.rename()
        self.lives += 1  # each is a stream of its own: a CONNECT that we gave up may be read after the next one
        m = self.ledger.publish(self.topic, f"{self.client.decode()}/{self.lives}")
        m.sent = 0  # not yet
        self.will = m
        self.open(True, will=(m.topic, m.payload()))

    def on_gone(self):
        """From now on it must come, if the broker had the CONNECT."""
        m, self.will = self.will, None
        if m is None:
            return
        m.sent = self.ledger.tick()
        if self.ready:
            m.is_due = True
            self.ledger.count["wills"] += 1

    def rename(self):
        """Now nothing that we gave up can take us over."""
        self.names += 1
        self.client = b"%s.%d" % (self.client.split(b".")[0], self.names)
        self.may_be_closed = False

    def can_leave(self):
        """Not while a CONNECT that we gave up may be read: one that takes us over before DISCONNECT is read makes
        our will go out, and rightly."""
        return self.ready and not self.may_be_closed

    def leave(self):
        super().leave()
        self.will.sent = NEVER
        self.will = None
        self.ledger.count["left"] += 1

    def can_vanish(self):
        """Not while a takeover is on its way: without it the old connection would stay."""
        return self.ready or not self.took_over
