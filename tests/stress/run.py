# SPDX-License-Identifier: Apache-2.0
"""One run: who there is, what happens at random, and the end, at which everything must have come."""
import time

from actors import Mortal, Prober, Publisher, Subscriber
from ledger import Ledger
from link import Hub

GROUPS, PER_GROUP, RETAINED, MORTALS = 4, 4, 12, 6
PUBLISHERS, KEPT, CLEAN, STABLE, STABLE_MAX, PROBERS_MAX = 10, 14, 8, 4, 20, 8
IN_FLIGHT_MAX = 1200
SMALL_WINDOW = 10
MARK = b"mark"

TOPICS = [b"s/%d/%d" % (g, t) for g in range(GROUPS) for t in range(PER_GROUP)]
RETAINED_TOPICS = [b"r/%d" % i for i in range(RETAINED)]
WILL_TOPICS = [b"w/%d" % i for i in range(MORTALS)]
FILTERS = (TOPICS + RETAINED_TOPICS[:6] + [b"s/%d/#" % g for g in range(GROUPS)] +
           [b"s/+/%d" % t for t in range(PER_GROUP)] + [b"+/0/1", b"s/#", b"r/+", b"r/#", b"w/#", b"w/+", b"+/1"])
RETAINED_FILTERS = RETAINED_TOPICS + [b"r/#", b"r/+", b"+/2", b"#"]


class Run:
    def __init__(self, port, rng, patience_s):
        self.rng, self.patience_s = rng, patience_s
        self.ledger = Ledger()
        self.hub = Hub(port, rng)
        self.taken_over, self.lazy, self.probers = set(), set(), set()
        self.probers_made = 0
        self.is_ending = False
        self.publishers = [
            Publisher(self, b"pub-%d" % i, TOPICS, RETAINED_TOPICS[i::PUBLISHERS]) for i in range(PUBLISHERS)]
        self.kept = [Subscriber(self, b"kept-%d" % i, True, FILTERS) for i in range(KEPT)]
        self.clean = [Subscriber(self, b"clean-%d" % i, False, FILTERS) for i in range(CLEAN)]
        self.stable = [Subscriber(self, b"stable-%d" % i, False, FILTERS) for i in range(STABLE)]
        self.mortals = [Mortal(self, b"mortal-%d" % i, t) for i, t in enumerate(WILL_TOPICS)]
        self.actions = [(50, self.do_publish), (10, self.do_kept), (4, self.do_clean), (5, self.do_change),
                        (12, self.do_acknowledge), (2, self.do_publisher), (4, self.do_probe), (3, self.do_mortal),
                        (4, self.do_ping)]

    # --- what happens

    def do_publish(self):
        if sum(len(p.waiting) for p in self.publishers) < IN_FLIGHT_MAX:
            self.rng.choice(self.publishers).burst()

    def do_kept(self):
        s = self.rng.choice(self.kept)
        dice = self.rng.random()
        if s.leaving:
            return
        if s.link is None:
            if dice < 0.6:
                s.connect(clean_start=self.rng.random() < 0.08)
        elif s.ready and dice < 0.3:
            if self.rng.random() < 0.3:
                s.link.half_open()
            s.connect(clean_start=self.rng.random() < 0.08)
        elif s.ready and dice < 0.4:
            s.leave()
        elif s.can_vanish():
            s.vanish()

    def do_clean(self):
        s = self.rng.choice(self.clean)
        if s.leaving:
            return
        if s.link is None or s.ready and self.rng.random() < 0.3:
            s.connect()
        elif s.ready:
            s.vanish()

    def do_change(self):
        s = self.rng.choice(self.kept + self.clean)
        s.change()

    def do_acknowledge(self):
        for s in sorted(self.lazy, key=lambda s: s.client):
            if s.link is None or not s.unacked:
                self.lazy.discard(s)
            elif self.rng.random() < 0.5:
                s.acknowledge(self.rng.randrange(1, 1 + len(s.unacked)))

    def do_publisher(self):
        p = self.rng.choice(self.publishers)
        if p.link is None or p.ready and self.rng.random() < 0.4:
            p.connect()
        elif p.ready or not p.waiting:  # else both connections might be read, in any order
            p.vanish()

    def do_probe(self):
        if len(self.probers) >= PROBERS_MAX:
            return
        self.probers_made += 1
        stays = len(self.stable) < STABLE_MAX and self.rng.random() < 0.3
        prober = Prober(self, b"probe-%d" % self.probers_made, RETAINED_FILTERS, stays)
        self.probers.add(prober)
        if stays:
            self.stable.append(prober)
        prober.connect()

    def do_mortal(self):
        m = self.rng.choice(self.mortals)
        if m.leaving:
            return
        if m.link is None or m.ready and self.rng.random() < 0.3:
            m.connect()
        elif m.can_leave() and self.rng.random() < 0.35:
            m.leave()
        elif m.can_vanish():
            m.vanish()

    def do_ping(self):
        s = self.rng.choice(self.kept)
        if s.link is not None:
            s.ping()

    def go(self, operations):
        weights, does = zip(*self.actions)
        for s in self.stable + self.kept[::2]:
            s.connect()
        self.until("the first to be connected", lambda: all(s.ready for s in self.stable))
        while operations > 0 and not self.is_hopeless():
            for do in self.rng.choices(does, weights, k=self.rng.randrange(1, 8)):
                do()
                operations -= 1
            busy = sum(len(p.waiting) for p in self.publishers) >= IN_FLIGHT_MAX
            self.hub.turn(0.05 if busy else 0)
        self.finish()

    # --- the end

    def is_hopeless(self):
        return len(self.ledger.violations) > 1000

    def until(self, what, done):
        """Turns until done(). It is a failure when nothing has come for a long time."""
        give_up = time.monotonic() + self.patience_s
        while not done():
            if self.hub.turn(0.2):
                give_up = time.monotonic() + self.patience_s
            self.catch_up()
            if time.monotonic() > give_up or self.is_hopeless():
                self.ledger.violation("never", f"waited in vain for {what}")
                return

    def catch_up(self):
        for s in sorted(self.lazy, key=lambda s: s.client):
            if s.link is not None:
                s.acknowledge(len(s.unacked))
        self.lazy.clear()

    def receivers(self):
        return self.kept + self.stable + [s for s in self.clean if s.link is not None]

    def all_back(self):
        for s in self.kept:
            if s.leaving or s.link is not None and not s.ready:
                continue
            if s.link is None or s.window < SMALL_WINDOW:  # a long queue through a window of 1 takes its time
                s.connect(window=0)
        # One that said DISCONNECT still has a connection until the broker has closed it.
        return all(s.link is not None and s.ready and not s.asking and not s.leaving for s in self.receivers())

    def finish(self):
        self.is_ending = True
        self.until("the mortal to be born", lambda: all(m.link is None or m.ready for m in self.mortals))
        for m in self.mortals:
            if m.link is not None and not m.leaving:
                m.vanish()
        self.until("everybody to be back", self.all_back)
        kept = [s.session for s in self.kept]
        self.until("retained messages that were promised", lambda: not any(s.floor for s in kept))
        for p in self.publishers:
            p.finish()
        self.until("the PUBACKs", lambda: not any(p.waiting for p in self.publishers))
        sessions = [s.session for s in self.receivers()]
        for s in sessions:
            s.missing = s.owed()
        self.until("acknowledged messages", lambda: not any(s.missing for s in sessions))
        self.until("retained messages", lambda: not self.probers and not any(s.floor for s in sessions))
        for link in self.taken_over:
            link.hear()
        self.until("closes of what was taken over", lambda: not self.taken_over)
        if not self.ledger.violations:
            self.mark()
        self.report(sessions)

    def mark(self):
        """A last message to all: what comes twice or without reason has come before it."""
        for s in self.receivers():
            s.subscribe(MARK)
        self.until("the last SUBACKs", lambda: not any(s.asking for s in self.receivers()))
        p = self.publishers[0]
        p.publish(MARK)
        m = self.ledger.messages[len(self.ledger.messages)]
        self.until("the mark", lambda: all(m.uid in s.session.got for s in self.receivers()))

    def report(self, sessions):
        for s in sessions:
            for uid in sorted(s.missing):
                m = self.ledger.messages[uid]
                s.wrong("lost", m, f"index {m.index}, sent {m.sent}, acknowledged {m.acked}, retain {m.retain}")
            for topic, index in s.floor.items():
                self.ledger.violation("no retained", f"{s.client}: {topic.decode()} of index {index} or newer")

    def figures(self):
        lost = sum(what == "lost" for what, _ in self.ledger.violations)
        return dict(self.ledger.count, lost=lost, wrong=len(self.ledger.violations))

    def close(self):
        for link in list(self.hub.links.values()):
            link.close()
        self.hub.epoll.close()
