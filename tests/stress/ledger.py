# SPDX-License-Identifier: Apache-2.0
"""What was published, acknowledged and delivered, and whether that is what MQTT and Longlink promise.

Time is a count of what this process did and saw: `a < b` means that a was over before b was begun, because a packet
is dated when it is handed to its connection, and an answer when it has been read.
"""
import wire

PAYLOAD_LARGE = 3000  # beyond what the broker copies
NEVER = -1


class Message:
    """stream: the publisher; index: its place there. A will is sent when its
    connection ends (NEVER: it must not come), and due if the broker had it; when it is published nobody knows."""

    __slots__ = ("uid", "topic", "stream", "index", "sent", "acked", "retain", "is_due")

    def __init__(self, uid, topic, stream, index, sent, retain):
        self.uid, self.topic, self.stream, self.index = uid, topic, stream, index
        self.sent, self.acked, self.retain, self.is_due = sent, 0, retain, False

    def payload(self):
        size = PAYLOAD_LARGE if self.uid % 61 == 0 else 8 + self.uid % 40
        return b"%d " % self.uid + (b"%07d" % self.uid) * (size // 7)


class Subscription:
    """A filter of a session: when asked for and granted, when given up and that confirmed. 0: not yet.

    A kept session's messages are fixed when the publisher has its PUBACK. To a clean one they may still be on their
    way then: it may be gone when they come, or only just there."""

    __slots__ = ("filter", "sent", "acked", "ending", "ended", "is_kept")

    def __init__(self, topic_filter, sent, is_kept):
        self.filter, self.sent, self.is_kept = topic_filter, sent, is_kept
        self.acked = self.ending = self.ended = 0

    def owes(self, m):
        """It was there for certain when the message came, and still when its publisher had the PUBACK."""
        stayed = self.ending == 0 or self.is_kept and 0 < m.acked < self.ending
        return 0 < self.acked < m.sent and stayed

    def allows(self, m):
        """The message may have come while it was there."""
        begun = m.acked == 0 or m.acked > self.sent or not self.is_kept
        return begun and (self.ended == 0 or m.sent < self.ended)


class Session:
    """What one client session has asked for and got: from its first CONNECT until it is discarded."""

    def __init__(self, ledger, client, is_kept):
        self.ledger, self.client, self.is_kept = ledger, client, is_kept
        self.subscriptions = []
        self.got = {}       # uid -> number of the last connection it came on
        self.newest = {}    # (topic, stream) -> index of the newest message that came live
        self.value = {}     # topic -> index of the newest retained message, live or as a copy
        self.finished = set()  # uids that the broker knows as acknowledged
        self.copies = {}    # uid -> its retained copies, but for those sent again
        self.asked = {}     # topic -> SUBSCRIBEs that ask for its retained message
        self.start = {}     # topic -> index of the first copy of its retained message
        self.floor = {}     # topic -> the retained message must be this index or newer
        self.missing = set()
        self.connections = 0

    def subscribe(self, topic_filter, again):
        """again: the subscription that it repeats, or None."""
        led = self.ledger
        sub = again
        if sub is None:
            sub = Subscription(topic_filter, led.tick(), self.is_kept)
            self.subscriptions.append(sub)
        for topic in led.stream_of:
            if led.matches(topic_filter, topic):
                self.asked[topic] = self.asked.get(topic, 0) + 1
        return sub

    def granted(self, sub, floors):
        """SUBACK. floors: of the retained topics, when SUBSCRIBE was sent."""
        if sub.acked == 0:
            sub.acked = self.ledger.tick()
        for topic, index in floors.items():
            if sub.ending == 0 and self.value.get(topic, -1) < index:
                self.floor[topic] = max(index, self.floor.get(topic, 0))

    def unsubscribe(self, sub):
        """Retained messages that have not come yet need not come any more."""
        sub.ending = self.ledger.tick()
        for topic in [t for t in self.floor if self.ledger.matches(sub.filter, t)]:
            del self.floor[topic]

    def covers(self, m, how):
        matches = self.ledger.matches
        return any(how(s, m) and matches(s.filter, m.topic) for s in self.subscriptions)

    def only(self, topic):
        """The subscription that matches, if it is the only one that ever did, and still is there."""
        found = [s for s in self.subscriptions if self.ledger.matches(s.filter, topic)]
        return found[0] if len(found) == 1 and found[0].ending == 0 else None

    def follows(self, m):
        """Whoever has got a copy of the retained message must get all that follow it."""
        return m.retain and m.index > self.start.get(m.topic, m.index) and self.only(m.topic) is not None

    def owed(self):
        """Acknowledged messages that have not come."""
        return {m.uid for m in self.ledger.messages.values() if (m.acked or m.is_due) and m.uid not in self.got and
                (self.covers(m, Subscription.owes) or self.follows(m))}

    def deliver(self, m, link, dup, retain):
        led = self.ledger
        led.count["delivered"] += 1
        self.missing.discard(m.uid)
        before = self.got.get(m.uid)
        self.got[m.uid] = link.number
        if m.retain and m.index >= self.floor.get(m.topic, m.index + 1):
            del self.floor[m.topic]
        if before is None:
            self.first(m, dup, retain)
        elif retain and not (dup and self.copies.get(m.uid)):
            # With DUP: the copy was first sent on a connection that was gone before it arrived.
            self.check_value(m)
            self.copy(m)
        else:
            self.again(m, link, before, dup)

    def first(self, m, dup, retain):
        if m.retain:
            self.check_value(m)
        if not retain:
            key = (m.topic, m.stream)
            newest = self.newest.get(key, -1)
            if m.index < newest:
                self.wrong("order", m, f"index {m.index} after {newest}")
            self.newest[key] = max(newest, m.index)
        if dup and self.connections < 2:
            self.wrong("dup at first", m, "nothing can have been sent before")
        if m.sent == NEVER:
            self.wrong("will", m, "its client had said DISCONNECT")
        if retain:
            self.copy(m)
        elif not self.covers(m, Subscription.allows):
            self.wrong("foreign", m, "no subscription that was there then")

    def check_value(self, m):
        newest = self.value.get(m.topic, -1)
        if m.index < newest:
            self.wrong("stale retained", m, f"index {m.index} after {newest}")
        self.value[m.topic] = max(newest, m.index)

    def copy(self, m):
        """A retained message that a subscription brought."""
        self.ledger.count["retained"] += 1
        self.copies[m.uid] = self.copies.get(m.uid, 0) + 1
        if self.only(m.topic) is not None:
            self.start.setdefault(m.topic, m.index)
        if not m.retain:
            self.wrong("retained", m, "nobody retained it")
        elif self.copies[m.uid] > self.asked.get(m.topic, 0):
            self.wrong("retained twice", m, f"{self.copies[m.uid]} copies, {self.asked.get(m.topic, 0)} asked for")

    def again(self, m, link, before, dup):
        led = self.ledger
        led.count["duplicates"] += 1
        if self.copies.get(m.uid):
            return  # its retained copy came first, or comes again
        if before == link.number:
            self.wrong("twice", m, "on one connection")
        elif not dup:
            self.wrong("duplicate without DUP", m, f"on connection {link.number} after {before}")
        elif m.uid in self.finished:
            self.wrong("again", m, "after the broker had its PUBACK")

    def wrong(self, what, m, why):
        self.ledger.violation(what, f"{self.client} got {m.uid} on {m.topic.decode()} from {m.stream}: {why}")


class Ledger:
    """Everything that was published, all sessions, and what went wrong."""

    def __init__(self):
        self.now = 0
        self.messages = {}
        self.retained = {}    # topic -> index of the newest message with a PUBACK
        self.stream_of = {}   # topic of retained messages -> its only publisher
        self.indices = {}
        self.cache = {}
        self.violations = []
        self.count = dict.fromkeys(("published", "acknowledged", "delivered", "duplicates", "retained", "takeovers",
                                    "vanished", "discarded", "connects", "wills", "left"), 0)

    def tick(self):
        self.now += 1
        return self.now

    def matches(self, topic_filter, topic):
        key = (topic_filter, topic)
        if key not in self.cache:
            self.cache[key] = wire.matches(topic_filter, topic)
        return self.cache[key]

    def publish(self, topic, stream, retain=False):
        index = self.indices.get(stream, 0) + 1
        self.indices[stream] = index
        m = Message(len(self.messages) + 1, topic, stream, index, self.tick(), retain)
        self.messages[m.uid] = m
        self.count["published"] += 1
        return m

    def acknowledge(self, m):
        m.acked = self.tick()
        self.count["acknowledged"] += 1
        if m.retain:
            self.retained[m.topic] = max(self.retained.get(m.topic, 0), m.index)

    def floors(self, topic_filter):
        return {t: i for t, i in self.retained.items() if self.matches(topic_filter, t)}

    def find(self, topic, payload):
        """The message that this payload belongs to, or None."""
        uid = payload.split(b" ", 1)[0]
        m = self.messages.get(int(uid)) if uid.isdigit() else None
        if m is None or m.topic != topic or m.payload() != payload:
            self.violation("corrupt", f"{len(payload)} bytes on {topic!r} that nobody published: {payload[:40]!r}")
            return None
        return m

    def violation(self, what, why):
        self.violations.append((what, why))
