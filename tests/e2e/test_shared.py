#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shared subscriptions over several shards: members come and go, and the broker dies; nothing is lost, and nothing
comes twice but what had been with a member that went without saying that it was done."""
import collections
import os
import random
import shutil
import struct
import tempfile
import threading

import kit

SHARE = "$share/crew/work/#"
END = b"end"


def puback(message):
    return kit.packet(kit.PUBACK, 0, struct.pack(">H", message.id))


class Ledger:
    """What was published, and who had what."""

    def __init__(self):
        self.lock = threading.Lock()
        self.published, self.done = [], collections.Counter()
        self.unsure = set()  # with a member that went without a word
        self.by_member = collections.Counter()

    def took(self, name, payloads):
        with self.lock:
            self.done.update(payloads)
            self.by_member[name] += len(payloads)

    def lost_track(self, payloads):
        with self.lock:
            self.unsure.update(payloads)

    def is_complete(self):
        with self.lock:
            return all(self.done[p] for p in self.published)

    def check(self, test):
        missing = [p for p in self.published if not self.done[p]]
        test.assertEqual(missing, [], "acknowledged to the publisher, and with nobody")
        twice = [p for p, n in self.done.items() if n > 1 and p not in self.unsure]
        test.assertEqual(twice, [], "came again though it was done")


class Member(threading.Thread):
    """Takes part for some messages at a time, then goes: in order, or without a word."""

    def __init__(self, port, name, ledger, seed, stays=False, clean=False, qos=1):
        super().__init__(daemon=True)
        self.port, self.name_, self.ledger, self.random = port, name, ledger, random.Random(seed)
        self.stays, self.clean, self.qos, self.stop = stays, clean, qos, threading.Event()
        self.connected = threading.Event()
        self.failure = None

    def join_group(self):
        c = kit.Client(self.port)
        c.join(self.name_, clean=self.clean, expiry=None if self.clean else 600,
               receive_max=self.random.choice([1, 5, 20]))
        c.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + kit.text(SHARE) + bytes([self.qos])))
        early = []  # a message may come before the SUBACK
        while True:
            p = c.receive()
            if p.kind == kit.SUBACK:
                break
            early.append(kit.Message(p, c.version))
        if p.body[-1] != self.qos:
            raise AssertionError(f"the share was not granted: {p}")
        c.send(b"".join(puback(m) for m in early if m.qos))
        self.ledger.took(self.name_, [m.payload for m in early])
        self.connected.set()
        return c

    def visit(self, c):
        """Some messages; what is acknowledged is sure when a ping has been answered behind it."""
        ends = False
        while not self.stop.is_set() and not ends:
            taken = c.catch_up()
            if not taken:
                self.stop.wait(0.005)
            ends = not self.stays and taken and self.random.random() < 0.2
            keep = self.random.randint(0, len(taken)) if ends else len(taken)
            c.send(b"".join(puback(m) for m in taken[:keep] if m.qos))
            more = c.catch_up()
            self.ledger.took(self.name_, [m.payload for m in taken[:keep]])
            if ends:
                self.ledger.lost_track([m.payload for m in taken[keep:] + more])
                return
            c.send(b"".join(puback(m) for m in more if m.qos))
            self.ledger.took(self.name_, [m.payload for m in more])
        self.ledger.lost_track([m.payload for m in c.catch_up()])

    def run(self):
        try:
            while not self.stop.is_set():
                c = self.join_group()
                self.visit(c)
                if self.random.random() < 0.5:
                    c.close()
                else:
                    c.leave()
        except Exception as e:  # shown by the test
            self.failure = e


class Publisher(threading.Thread):
    """after: an event, from which on `count` is counted."""

    def __init__(self, port, name, ledger, count, after=None):
        super().__init__(daemon=True)
        self.port, self.name_, self.ledger, self.count, self.after = port, name, ledger, count, after
        self.failure = None

    def run(self):
        try:
            c = kit.Client(self.port)
            c.join(self.name_)
            left, n = self.count, 0
            while left > 0:
                # Not faster than members in Python can follow.
                if self.after is None or self.after.wait(0.01):
                    left -= 10
                batch = [b"%s-%d" % (self.name_.encode(), i) for i in range(n, n + 10)]
                n += 10
                c.publish_all(f"work/{self.name_}", batch)
                with self.ledger.lock:
                    self.ledger.published.extend(batch)
            c.leave()
        except Exception as e:  # shown by the test
            self.failure = e


PUBREC, PUBREL, PUBCOMP = 5, 6, 7


class Exact(threading.Thread):
    """A member with QoS 2 and a session that is kept: it comes and goes without a word, and remembers its packet ids.
    port(): of the broker that runs now."""

    def __init__(self, port, name, seed):
        super().__init__(daemon=True)
        self.port, self.name_, self.random = port, name, random.Random(seed)
        self.stop, self.connected = threading.Event(), threading.Event()
        self.ids, self.got, self.failure = set(), [], None

    def answer(self, c, p):
        if p.kind == kit.PUBLISH:
            m = kit.Message(p, c.version)
            if m.qos != 2:
                raise AssertionError(f"QoS {m.qos}, not 2")
            if m.id not in self.ids:
                self.ids.add(m.id)
                self.got.append(m.payload)
            c.send(kit.packet(PUBREC, 0, struct.pack(">H", m.id)))
        elif p.kind == PUBREL:
            self.ids.discard(struct.unpack(">H", p.body[:2])[0])
            c.send(kit.packet(PUBCOMP, 0, p.body[:2]))

    def visit(self):
        c = kit.Client(self.port())
        try:
            present, _ = c.join(self.name_, clean=False, expiry=600, receive_max=self.random.choice([1, 5, 20]))
            if not present:
                self.ids.clear()
            if not self.connected.is_set():
                c.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + kit.text(SHARE) + b"\2"))
            c.send(kit.packet(kit.PINGREQ, 0, b""))
            left = self.random.randint(1, 60)
            while left > 0 and not self.stop.is_set():
                p = c.receive()
                self.answer(c, p)
                left -= 1
                if p.kind == kit.SUBACK:
                    self.connected.set()
                if p.kind == kit.PINGRESP:
                    self.stop.wait(0.002)
                    c.send(kit.packet(kit.PINGREQ, 0, b""))
        finally:
            c.close()

    def run(self):
        try:
            while not self.stop.is_set():
                try:
                    self.visit()
                except (kit.Closed, OSError):
                    self.stop.wait(0.05)  # the broker has died
        except Exception as e:  # shown by the test
            self.failure = e


def publish_exactly(c, topic, payloads):
    """QoS 2; gives those that the broker has taken over, even when it dies meanwhile."""
    ids, taken = {}, []
    try:
        for payload in payloads:
            c.send(c.publish_bytes(topic, payload, 2))
            ids[c.next_id] = payload
        waiting = len(payloads)
        while waiting:
            p = c.receive()
            number = struct.unpack(">H", p.body[:2])[0]
            if p.kind == PUBREC:
                taken.append(ids[number])
                c.send(kit.packet(PUBREL, 2, p.body[:2]))
            elif p.kind == PUBCOMP:
                waiting -= 1
    except (kit.Closed, OSError):
        pass
    return taken


class ExactPublisher(threading.Thread):
    def __init__(self, port, name, count):
        super().__init__(daemon=True)
        self.port, self.name_, self.count, self.taken, self.failure = port, name, count, [], None

    def run(self):
        try:
            c = kit.Client(self.port)
            c.join(self.name_)
            for i in range(0, self.count, 10):
                batch = [b"%s-%d" % (self.name_.encode(), n) for n in range(i, i + 10)]
                self.taken += publish_exactly(c, f"work/{self.name_}", batch)
        except (kit.Closed, OSError):
            pass
        except Exception as e:  # shown by the test
            self.failure = e


class Shared(kit.Test):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="longlink-e2e.")
        os.chmod(self.data, 0o755)
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def start(self):
        return self.broker(f"shards 4\ndurability disk\npersistence_location {self.data}")

    def run_all(self, publishers, members, ledger):
        for t in members:
            t.start()
        for t in members:
            self.assertTrue(t.connected.wait(kit.WAIT_S), t.failure)
        for t in publishers:
            t.start()
        for t in publishers:
            t.join(kit.WAIT_S)
            self.assertIsNone(t.failure)
        kit.wait_until(lambda: ledger.is_complete() or any(m.failure for m in members), "all messages with members")
        for t in members:
            t.stop.set()
        for t in members:
            t.join(kit.WAIT_S)
            self.assertIsNone(t.failure)
        ledger.check(self)

    def test_members_come_and_go_and_nothing_is_lost(self):
        b = self.start()
        ledger = Ledger()
        members = [Member(b.port, "steady", ledger, 0, stays=True)]
        members += [Member(b.port, f"kept{i}", ledger, i) for i in range(1, 4)]
        members += [Member(b.port, f"clean{i}", ledger, i, clean=True) for i in range(4, 7)]
        publishers = [Publisher(b.port, f"p{i}", ledger, 600) for i in range(4)]
        self.run_all(publishers, members, ledger)

    def test_a_group_of_clean_sessions_loses_nothing_either(self):
        b = self.start()
        ledger = Ledger()
        members = [Member(b.port, "steady", ledger, 0, stays=True, clean=True)]
        members += [Member(b.port, f"clean{i}", ledger, i, clean=True) for i in range(1, 5)]
        publishers = [Publisher(b.port, f"p{i}", ledger, 600) for i in range(4)]
        self.run_all(publishers, members, ledger)

    def test_nothing_is_lost_or_doubled_while_a_group_becomes_durable(self):
        for attempt in range(5):
            b = self.start()
            ledger = Ledger()
            members = [Member(b.port, "clean", ledger, attempt, stays=True, clean=True)]
            members[0].start()
            self.assertTrue(members[0].connected.wait(kit.WAIT_S))
            # Meanwhile. Nobody goes away: so nothing may come twice.
            late = Member(b.port, f"kept{attempt}", ledger, attempt, stays=True)
            publishers = [Publisher(b.port, f"p{i}", ledger, 100, late.connected) for i in range(4)]
            for t in publishers:
                t.start()
            late.start()
            for t in publishers:
                t.join(kit.WAIT_S)
                self.assertIsNone(t.failure)
            kit.wait_until(ledger.is_complete, "all messages with members")
            for t in [members[0], late]:
                t.stop.set()
                t.join(kit.WAIT_S)
                self.assertIsNone(t.failure)
            ledger.unsure.clear()
            ledger.check(self)
            self.stop_well(b)
            b.is_over = True
            shutil.rmtree(self.data)
            os.mkdir(self.data, 0o755)

    def test_equal_members_have_equal_shares(self):
        b = self.start()
        members = [self.client(b, f"m{i}", receive_max=20) for i in range(4)]
        for c in members:
            self.assertEqual(c.subscribe(SHARE, 1), 1)
        p, had = self.client(b, "p"), [0] * 4
        for visit in range(1, 11):
            p.publish_all("work/x", [b"%d" % i for i in range(40)])
            while sum(had) < visit * 40:
                for i, c in enumerate(members):
                    taken = c.catch_up()
                    c.send(b"".join(puback(m) for m in taken))
                    had[i] += len(taken)
        self.assertEqual(sum(had), 400)
        self.assertGreaterEqual(min(had), 90, had)

    def test_a_slow_member_does_not_hold_the_others_up(self):
        b = self.start()
        slow, fast = self.client(b, "slow", receive_max=5), self.client(b, "fast", receive_max=5)
        for c in (slow, fast):
            self.assertEqual(c.subscribe(SHARE, 1), 1)
        publisher = threading.Thread(target=self.client(b, "p").publish_all,
                                     args=("work/x", [b"%d" % i for i in range(3000)]), daemon=True)
        publisher.start()
        got = [fast.message().payload for _ in range(2995)]
        publisher.join(kit.WAIT_S)
        self.assertEqual(len(set(got)), 2995)
        self.assertEqual(len(slow.catch_up()), 5)

    def exactly_once(self, deaths, seed=0):
        b = self.start()
        members = [Exact(lambda: b.port, f"m{i}", seed + i) for i in range(4)]
        for m in members:
            m.start()
        for m in members:
            self.assertTrue(m.connected.wait(kit.WAIT_S), m.failure)
        taken = []
        for life in range(deaths + 1):
            publishers = [ExactPublisher(b.port, f"p{life}-{i}", 200) for i in range(3)]
            for p in publishers:
                p.start()
            if life < deaths:
                b.wait_metric("messages_received_total", lambda n: n > 100)
                self.kill(b)
                b = self.start()
            for p in publishers:
                p.join(kit.WAIT_S)
                self.assertIsNone(p.failure)
                taken += p.taken

        def missing():
            return set(taken) - {payload for m in members for payload in list(m.got)}

        kit.wait_until(lambda: not missing() or any(m.failure for m in members), "all messages with members")
        for m in members:
            m.stop.set()
            m.join(kit.WAIT_S)
            self.assertIsNone(m.failure)
        counts = collections.Counter(payload for m in members for payload in m.got)
        self.assertEqual(missing(), set())
        self.assertEqual([payload for payload, n in counts.items() if n > 1], [], "came twice")

    def test_qos_2_comes_exactly_once_to_members_that_come_and_go(self):
        self.exactly_once(0)

    def test_qos_2_comes_exactly_once_when_the_broker_dies(self):
        self.exactly_once(2)

    def drain(self, c):
        got = []
        while True:
            m = c.message()
            if m.payload == END:
                return got
            got.append(m)

    def test_kill_9_keeps_what_waits_for_a_group(self):
        b = self.start()
        first = self.client(b, "first", clean=False, expiry=3600, receive_max=10)
        self.assertEqual(first.subscribe(SHARE, 1), 1)
        second = self.client(b, "second", clean=False, expiry=3600)
        self.assertEqual(second.subscribe(SHARE, 1), 1)
        second.close()
        payloads = [b"%d" % i for i in range(300)]
        self.client(b, "p").publish_all("work/x", payloads)
        taken = [first.message().payload for _ in range(100)]
        first.catch_up()
        self.kill(b)
        b = self.start()
        self.client(b, "p").publish("work/x", END, 1)
        second = self.client(b, "second", clean=False, expiry=3600)
        got = self.drain(second)
        self.assertLessEqual(set(payloads) - set(taken), {m.payload for m in got})
        self.assertEqual(len({m.payload for m in got}), len(got))
        # Acknowledgements are lazy: a few of the last ones may not have been durable.
        again = [m for m in got if m.payload in taken]
        self.assertTrue(all(m.dup for m in again), again)

    def test_qos_2_that_waited_across_kill_9_is_new_to_whoever_gets_it(self):
        b = self.start()
        kept = self.client(b, "kept", clean=False, expiry=3600)
        self.assertEqual(kept.subscribe(SHARE, 2), 2)
        kept.close()
        b.wait_metric("clients_connected", lambda n: n == 0)
        self.assertEqual(publish_exactly(self.client(b, "p"), "work/x", [b"waits"]), [b"waits"])
        self.kill(b)
        b = self.start()
        clean = self.client(b, "clean")
        clean.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + kit.text(SHARE) + b"\2"))
        m = None
        while m is None:
            p = clean.receive()
            m = kit.Message(p, clean.version) if p.kind == kit.PUBLISH else None
        self.assertEqual((m.payload, m.qos, m.dup), (b"waits", 2, False))

    def test_a_stop_in_good_order_keeps_qos_2_that_was_with_a_member_and_not_sent(self):
        b, crews = self.start(), ["$share/red/work/#", "$share/blue/work/#", "$share/green/work/#"]
        kept = self.client(b, "kept", clean=False, expiry=3600)
        clean = self.client(b, "clean", receive_max=1)
        for crew in crews:
            self.assertEqual(kept.subscribe(crew, 2), 2)
        kept.close()
        b.wait_metric("clients_connected", lambda n: n == 1)
        for crew in crews:
            self.assertEqual(clean.subscribe(crew, 2), 2)
        self.assertEqual(publish_exactly(self.client(b, "p"), "work/x", [b"thrice"]), [b"thrice"])
        self.assertEqual(clean.message().payload, b"thrice")
        self.stop_well(b)
        b.is_over = True
        b = self.start()
        kept = self.client(b, "kept", clean=False, expiry=3600)
        got = 0
        while got < len(crews) - 1:  # but for the one that was sent
            p = kept.receive()
            got += p.kind == kit.PUBLISH
        kept.close()

    def test_a_group_that_nobody_is_in_ends_with_what_waits_for_it(self):
        b = self.start()
        member = self.client(b, "only", clean=False, expiry=3600)
        self.assertEqual(member.subscribe(SHARE, 1), 1)
        member.close()
        self.client(b, "p").publish("work/x", b"waits", 1)
        self.client(b, "only", clean=True).leave()
        self.kill(b)
        b = self.start()
        member = self.client(b, "only", clean=False, expiry=3600)
        self.assertEqual(member.subscribe(SHARE, 1), 1)
        self.client(b, "p").publish("work/x", b"new", 1)
        self.assertEqual(member.message().payload, b"new")


if __name__ == "__main__":
    kit.main()
