# SPDX-License-Identifier: Apache-2.0
"""What was published, acknowledged and delivered across crashes of the broker, and what it promised thereby.

Time counts what this process did and saw: `a < b` means that a was over before b began, because a packet is dated when
it is handed to its connection, and an answer when it has been read.
"""
import os
import time

PATTERN_BYTES = 7
DELAY_MAX_MS = 2000
# The broker reads its clock once in a turn of its loop, which may have begun before the message came.
TURN_MS = 250 if not os.environ.get("LONGLINK_SANITIZE") else 900


def matches(topic_filter, topic):
    f, t = topic_filter.split("/"), topic.split("/")
    for i, level in enumerate(f):
        if level == "#":
            return True
        if i >= len(t) or level not in ("+", t[i]):
            return False
    return len(f) == len(t)


class Message:
    """stream: what has an order: a publisher, until it gives up messages that have no answer. acked: PUBACK, PUBREC, or
    for a will when it had to be published. due_ms: not before, by the clock of the machine; 0: at once. last_ms: not
    later, for it was read before it was answered; it may have been sent again long after the first time."""
    __slots__ = ("uid", "topic", "stream", "index", "size", "sent", "acked", "sends", "qos", "due_ms", "last_ms",
                 "forbidden")

    def __init__(self, uid, topic, stream, index, size, sent):
        self.uid, self.topic, self.stream, self.index, self.size = uid, topic, stream, index, size
        self.sent, self.acked, self.sends = sent, 0, 1
        self.qos, self.due_ms, self.last_ms, self.forbidden = 1, 0, 0, False

    def again(self):
        """It is sent once more."""
        self.sends += 1

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
        if m.due_ms:  # it finds those who have asked when it is due; and nobody of these gives up
            return True
        return (m.acked == 0 or m.acked > self.sent) and (self.ended == 0 or m.sent < self.ended)


class Session:
    """One client's session from a CONNECT until it is discarded."""
    lends = False  # what one client hands back is new to the next

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

    def deliver(self, m, link, dup, exact=False):
        """exact: with QoS 2."""
        led = self.ledger
        led.count["delivered"] += 1
        self.owed.discard(m.uid)
        self.check_time(m)
        self.check_link(m, link)
        if m.uid in self.got and exact:
            led.violation("duplicate", f"{self.client}: {m.topic} {m.uid} of QoS 2, DUP {dup}")
            led.count["duplicates"] += 1
        if m.uid in self.got:
            led.count["again"] += 1
            led.count["again without DUP"] += m.sends == 1 and not dup and not self.lends
            return
        self.got.add(m.uid)
        if not self.allows(m):
            led.violation("unasked", f"{self.client}: {m.topic} {m.uid} sent {m.sent} acked {m.acked}: " +
                          str([vars(s) for s in self.subs if matches(s.filter, m.topic)]))
        self.check_order(m)

    def check_time(self, m):
        if m.due_ms > time.time() * 1000 + TURN_MS:
            self.ledger.violation("early", f"{self.client}: {m.topic} {m.uid}: {m.due_ms - time.time() * 1000} ms")
        if m.forbidden:
            self.ledger.violation("forbidden", f"{self.client}: {m.topic} {m.uid}")

    def check_order(self, m):
        newest = self.newest.get((m.topic, m.stream), -1)
        # One that began after this was sent first may have the end of a row, and then all of the row as it is resent.
        if m.index < newest and (m.sends == 1 or self.owes(m)):
            self.ledger.violation("order", f"{self.client}: {m.topic} of {m.stream}: {m.index} after {newest}, sends "
                                  f"{m.sends}")
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


class Group(Session):
    """What a shared subscription owes to all of its members together: they all have sessions that last, and stay."""
    lends = True

    def __init__(self, ledger, name, topic_filter, qos):
        super().__init__(ledger, name)
        self.filter, self.text, self.qos = topic_filter, f"$share/{name}/{topic_filter}", qos
        ledger.sessions[self.text] = self

    def check_order(self, m):
        """Members have none among them."""

    def check_link(self, m, link):
        link.seen[m.uid] += 1
        if link.seen[m.uid] > m.sends:
            self.ledger.violation("twice", f"{self.client}: {m.topic} {m.uid}: {link.seen[m.uid]} times on a "
                                  "connection of a member")


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
                                    "settled", "exact", "exact acknowledged", "exact delivered", "duplicates",
                                    "shared", "delayed", "wills"), 0)

    def tick(self):
        self.now += 1
        return self.now

    def violation(self, kind, text):
        self.violations.append(f"{kind}: {text}")

    def publish(self, topic, stream, size, qos=1, delay_s=0):
        self.uid += 1
        if delay_s:
            stream = f"delayed {self.uid}"  # they come when they are due
        index = self.indices[stream] = self.indices.get(stream, 0) + 1
        m = self.messages[self.uid] = Message(self.uid, topic, stream, index, size, self.tick())
        m.qos = qos
        m.due_ms = time.time() * 1000 + delay_s * 1000 if delay_s else 0
        self.count["published"] += 1
        self.count["exact"] += qos == 2
        self.count["delayed"] += delay_s > 0
        return m

    def acknowledge(self, m):
        if m.acked:
            return
        m.acked = self.tick()
        if m.due_ms:
            m.last_ms = time.time() * 1000 + DELAY_MAX_MS
        self.count["acknowledged"] += 1
        self.count["exact acknowledged"] += m.qos == 2
        self.count["wills"] += m.topic.startswith("w/")
        for s in self.sessions.values():
            if m.uid not in s.got and s.owes(m):
                s.owed.add(m.uid)

    def forbid(self, m):
        """A will that must not come, nor have come."""
        m.forbidden = True
        self.count["wills forbidden"] = self.count.get("wills forbidden", 0) + 1
        if any(m.uid in s.got for s in self.sessions.values()):
            self.violation("forbidden", f"{m.topic} {m.uid} has come")

    def excuse(self, start):
        """What is owed under such topics may come or not."""
        for s in self.sessions.values():
            s.owed = {uid for uid in s.owed if not self.messages[uid].topic.startswith(start)}

    def owed(self, due_ms):
        """What should have come by then."""
        return [(s.client, uid, self.messages[uid].topic) for s in self.sessions.values() for uid in s.owed
                if self.messages[uid].due_ms < due_ms]

    def find(self, message, session):
        """The message that came; None after a violation."""
        topic, payload = message.topic, message.payload
        word = payload[:24].split(b" ", 1)[0]
        uid = int(word) if word.isdigit() else -1
        m = self.messages.get(uid)
        if m is None and 0 < uid <= self.settled and isinstance(session, Group) and message.qos == 1:
            self.count["again"] += 1  # that a member's acknowledgement is durable, nobody can know
        elif m is None and 0 < uid <= self.settled:
            self.violation("back", f"{session.client}: {topic} {uid}: its acknowledgement was durable")
        elif m is None or m.topic != topic or payload != m.payload():
            self.violation("corrupt", f"{topic}: {len(payload)} bytes {payload[:40]!r}")
        else:
            self.count["exact delivered"] += message.qos == 2
            self.count["shared"] += isinstance(session, Group)
            return m
        return None

    def may_come(self, m):
        """To a group that had asked when it was published and did not know yet that it has it. A session that is one
        client's gets such a message before the mark; members of a group get theirs when there is time."""
        return any(s.lends and m.uid not in s.got and s.allows(m) for s in self.sessions.values())

    def settle(self, before, due_ms, now_ms):
        """Everybody has everything up to this uid that was due, and the acknowledgements are durable. now_ms: when
        what is known of it began to be asked; what was due not long before that may still come to who is not owed it."""
        early = {uid for s in self.sessions.values() for uid in s.owed if self.messages[uid].due_ms >= due_ms}
        for s in self.sessions.values():
            for uid in s.owed - early:
                m = self.messages[uid]
                self.violation("missing", f"{s.client}: {m.topic} {uid} sent {m.sent} acked {m.acked}")
                self.count["missing"] += 1
            s.owed &= early
        kept = {u for u, m in self.messages.items() if u >= before or not m.acked or u in early or
                m.last_ms >= now_ms - DELAY_MAX_MS or self.may_come(m)}
        for s in self.sessions.values():
            s.got &= kept
        self.messages = {u: self.messages[u] for u in kept}
        self.settled = before - 1
        self.count["settled"] += 1
