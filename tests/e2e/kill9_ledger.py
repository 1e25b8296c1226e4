# SPDX-License-Identifier: Apache-2.0
"""What was published, acknowledged and delivered across crashes of the broker, and what it promised thereby.

Time counts what this process did and saw: `a < b` means that a was over before b began, because a packet is dated when
it is handed to its connection, and an answer when it has been read.
"""

PATTERN_BYTES = 7


def matches(topic_filter, topic):
    f, t = topic_filter.split("/"), topic.split("/")
    for i, level in enumerate(f):
        if level == "#":
            return True
        if i >= len(t) or level not in ("+", t[i]):
            return False
    return len(f) == len(t)


class Message:
    """stream: what has an order: a publisher, until it gives up messages that have no PUBACK."""
    __slots__ = ("uid", "topic", "stream", "index", "size", "sent", "acked", "sends")

    def __init__(self, uid, topic, stream, index, size, sent):
        self.uid, self.topic, self.stream, self.index, self.size = uid, topic, stream, index, size
        self.sent, self.acked, self.sends = sent, 0, 1

    def payload(self):
        return b"%d " % self.uid + (b"%07d" % (self.uid % 10 ** PATTERN_BYTES)) * (self.size // PATTERN_BYTES)


class Subscription:
    """When asked for and granted, when given up and that confirmed. 0: not yet, or nobody knows."""

    def __init__(self, topic_filter, sent):
        self.filter, self.sent = topic_filter, sent
        self.acked = self.ending = self.ended = 0

    def owes(self, m):
        """Asked when m has just got its PUBACK."""
        return 0 < self.acked < m.sent and self.ending == 0

    def allows(self, m):
        return (m.acked == 0 or m.acked > self.sent) and (self.ended == 0 or m.sent < self.ended)


class Session:
    """One client's session from a CONNECT until it is discarded."""

    def __init__(self, ledger, client):
        self.ledger, self.client = ledger, client
        self.subs, self.got, self.owed, self.newest = [], set(), set(), {}
        self.must_exist = False  # something of it was confirmed as durable

    def owes(self, m):
        return any(s.owes(m) and matches(s.filter, m.topic) for s in self.subs)

    def allows(self, m):
        return any(s.allows(m) and matches(s.filter, m.topic) for s in self.subs)

    def live(self):
        return {s.filter: s for s in self.subs if s.ending == 0}

    def ended(self, topic_filter, asked):
        """UNSUBACK: all that were asked for with this filter before the UNSUBSCRIBE are gone."""
        now = self.ledger.tick()
        for s in self.subs:
            if s.filter == topic_filter and s.sent < asked and s.ended == 0:
                s.ending = s.ending or now
                s.ended = now

    def deliver(self, m, link, dup):
        led = self.ledger
        led.count["delivered"] += 1
        self.owed.discard(m.uid)
        self.check_link(m, link)
        if m.uid in self.got:
            led.count["again"] += 1
            led.count["again without DUP"] += m.sends == 1 and not dup
            return
        self.got.add(m.uid)
        if not self.allows(m):
            led.violation("unasked", f"{self.client}: {m.topic} {m.uid} sent {m.sent} acked {m.acked}: " +
                          str([vars(s) for s in self.subs if matches(s.filter, m.topic)]))
        newest = self.newest.get((m.topic, m.stream), -1)
        # One that began after this was sent first may have the end of a row, and then all of the row as it is resent.
        if m.index < newest and (m.sends == 1 or self.owes(m)):
            led.violation("order", f"{self.client}: {m.topic} of {m.stream}: {m.index} after {newest}, sends {m.sends}")
        self.newest[m.topic, m.stream] = max(newest, m.index)


    def check_link(self, m, link):
        """What was sent once comes once on a connection, and in order, also what came on an earlier one."""
        link.seen[m.uid] += 1
        if link.seen[m.uid] > m.sends:
            self.ledger.violation("twice", f"{self.client}: {m.topic} {m.uid}: {link.seen[m.uid]} times on a "
                                  "connection")
        newest = link.newest.get((m.topic, m.stream), -1)
        if m.sends == 1 and m.index < newest:
            self.ledger.violation("order", f"{self.client}: {m.topic} of {m.stream}: {m.index} after {newest} "
                                  "on a connection")
        link.newest[m.topic, m.stream] = max(newest, m.index)


class Retained:
    """The values of one topic in the order they were sent; None: cleared. What is older than the last PUBACK is
    forgotten."""

    def __init__(self):
        self.values, self.acked, self.sent = {0: None}, 0, 0

    def send(self, uid):
        self.sent += 1
        self.values[self.sent] = uid
        return self.sent

    def acknowledge(self, index):
        self.acked = max(self.acked, index)
        for old in [i for i in self.values if i < self.acked]:
            del self.values[old]

    def allows(self, uid):
        return uid in self.values.values()


class Ledger:
    def __init__(self):
        self.now, self.uid, self.settled = 0, 0, 0
        self.messages, self.indices, self.violations = {}, {}, []
        self.sessions = {}  # client -> its present session
        self.retained = {}  # topic -> Retained
        self.count = dict.fromkeys(("published", "acknowledged", "unanswered", "delivered", "again",
                                    "again without DUP", "missing", "takeovers", "discarded", "present", "retained",
                                    "settled"), 0)

    def tick(self):
        self.now += 1
        return self.now

    def violation(self, kind, text):
        self.violations.append(f"{kind}: {text}")

    def publish(self, topic, stream, size):
        self.uid += 1
        index = self.indices[stream] = self.indices.get(stream, 0) + 1
        m = self.messages[self.uid] = Message(self.uid, topic, stream, index, size, self.tick())
        self.count["published"] += 1
        return m

    def acknowledge(self, m):
        if m.acked:
            return
        m.acked = self.tick()
        self.count["acknowledged"] += 1
        for s in self.sessions.values():
            if m.uid not in s.got and s.owes(m):
                s.owed.add(m.uid)

    def find(self, topic, payload):
        """The message that came; None after a violation."""
        word = payload[:24].split(b" ", 1)[0]
        uid = int(word) if word.isdigit() else -1
        m = self.messages.get(uid)
        if m is None and 0 < uid <= self.settled:
            self.violation("back", f"{topic} {uid}: its acknowledgement was durable")
        elif m is None or m.topic != topic or payload != m.payload():
            self.violation("corrupt", f"{topic}: {len(payload)} bytes {payload[:40]!r}")
        else:
            return m
        return None

    def settle(self, before):
        """Everybody has everything up to this uid, and the acknowledgements are durable."""
        for s in self.sessions.values():
            for uid in s.owed:
                m = self.messages[uid]
                self.violation("missing", f"{s.client}: {m.topic} {uid} sent {m.sent} acked {m.acked}")
                self.count["missing"] += 1
            s.owed.clear()
            s.got = {u for u in s.got if u >= before or not self.messages[u].acked}
        self.messages = {u: m for u, m in self.messages.items() if u >= before or not m.acked}
        self.settled = before - 1
        self.count["settled"] += 1
