#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A troubled server: many clients are lost at once and come back, at a rate that the broker can bear."""
import collections
import os
import struct
import tempfile
import time

import kit
from kit import V311, V5

QUOTA, RATE, CLOSING, UNAVAILABLE_V3 = 0x97, 0x9f, 0x8b, 3
DEFAULT_HINTS = {"base": "3", "max": "300", "factor": "1.8", "jitter": "0.3"}


def hints(body):
    """The back-off hints in a CONNACK or DISCONNECT."""
    found, at = {}, body.find(b"\x26")
    while at >= 0:
        pair = body[at + 1:]
        n = struct.unpack_from(">H", pair)[0] if len(pair) > 4 else len(pair)
        key, rest = pair[2:2 + n], pair[2 + n:]
        if key.startswith(b"ll-backoff-"):
            size = struct.unpack_from(">H", rest)[0]
            found[key[len(b"ll-backoff-"):].decode()] = rest[2:2 + size].decode()
        at = body.find(b"\x26", at + 1)
    return found


class Admission(kit.Test):
    def connect(self, b, client_id, version=V5, props=b""):
        """A Client that has sent CONNECT for a session that stays, and waits for nothing."""
        c = kit.Client(b if isinstance(b, str) else b.port)
        self.addCleanup(c.close)
        c.version = version
        if version == V5:
            props = b"\x11" + struct.pack(">I", 3600) + props
            props = kit.var_int(len(props)) + props
        said = kit.packet(kit.CONNECT, 0, kit.text("MQTT") + bytes([version, 0, 0, 0]) + props + kit.text(client_id))
        c.send(said)
        c.sent_bytes = len(said)
        return c

    def enter(self, b, client_id, version=V5):
        c = self.connect(b, client_id, version)
        p = c.expect(kit.CONNACK)
        self.assertEqual(p.body[1], 0)
        return c

    def trouble(self, b, n=40):
        """Many clients are lost at once. Gives their ids."""
        ids = [f"lost-{i}" for i in range(n)]
        for c in [self.enter(b, i) for i in ids]:
            c.close()
        b.wait_metric("admission_limited", lambda is_limited: is_limited == 1)
        b.wait_metric("clients_connected", lambda left: left == 0)
        kit.wait_file(b.log, " admission-limited ")
        return ids

    def answers(self, b, ids, version=V5):
        """All come at once. Gives their CONNACKs."""
        return [c.expect(kit.CONNACK) for c in [self.connect(b, i, version) for i in ids]]

    # --- admission

    def test_version_5_is_told_at_once_to_come_later(self):  # option: admission_rate
        b = self.broker("admission_rate 2\nadmission_wait 1\nshards 2")
        got = self.answers(b, self.trouble(b))
        codes = collections.Counter(p.body[1] for p in got)
        self.assertEqual(set(codes), {0, RATE})
        self.assertEqual(codes[RATE], b.metric("connects_put_off_total"))
        for p in got:
            self.assertEqual(hints(p.body), DEFAULT_HINTS)

    def test_version_3_waits_for_its_refusal(self):  # option: admission_wait
        b = self.broker("admission_rate 2\nadmission_wait 1\nshards 2")
        ids = self.trouble(b)
        began = time.monotonic()
        clients = [self.connect(b, i, V311) for i in ids]
        codes = collections.Counter()
        for c in clients:
            code = c.expect(kit.CONNACK).body[1]
            codes[code] += 1
            if code == UNAVAILABLE_V3:
                self.assertGreaterEqual(time.monotonic() - began, 1)
                self.assertEqual(c.expect_closed(), [])
        self.assertEqual(set(codes), {0, UNAVAILABLE_V3})
        self.assertEqual(codes[UNAVAILABLE_V3], b.metric("connects_put_off_total"))
        self.assertGreaterEqual(b.metric("connects_held_total"), codes[UNAVAILABLE_V3])

    def test_who_has_his_turn_soon_waits_and_is_let_in(self):  # option: admission_wait
        b = self.broker("admission_rate 10\nadmission_wait 60")
        ids = self.trouble(b)
        for version in (V5, V311):
            began = time.monotonic()
            got = self.answers(b, [f"{i}-{version}" for i in ids], version)
            self.assertEqual({p.body[1] for p in got}, {0}, version)
            self.assertGreaterEqual(time.monotonic() - began, (len(ids) - 10) / 10 - 2)
        self.assertEqual(b.metric("connects_put_off_total"), 0)

    def test_so_many_wait_and_the_others_are_told_at_once(self):  # option: admission_waiting
        b = self.broker("admission_rate 1\nadmission_wait 60\nadmission_waiting 0")
        ids = self.trouble(b)
        self.assertEqual({p.body[1] for p in self.answers(b, ids)} - {0}, {QUOTA})
        self.assertEqual({p.body[1] for p in self.answers(b, ids, V311)} - {0}, {UNAVAILABLE_V3})
        self.assertEqual(b.metric("connects_held_total"), 0)

    def test_without_trouble_there_is_no_limit(self):  # option: admission_rate
        b = self.broker("admission_rate 1\nadmission_wait 0")
        clients = [self.enter(b, f"c{i}") for i in range(40)]
        for c in clients:
            c.leave()  # who says so is not lost
        b.wait_metric("clients_connected", lambda n: n == 0)
        self.assertEqual(b.metric("admission_limited"), 0)

    def test_with_0_there_is_no_limit_in_trouble_either(self):  # option: admission_rate
        b = self.broker("admission_rate 0\nadmission_wait 0")
        for _ in range(2):
            clients = [self.enter(b, f"c{i}") for i in range(40)]
            for c in clients:
                c.close()
        b.wait_metric("clients_connected", lambda n: n == 0)
        self.assertEqual(b.metric("admission_limited"), 0)

    def test_who_comes_back_to_many_sessions_is_trouble_though_nobody_was_lost_at_once(self):
        b = self.broker("admission_rate 5\nadmission_wait 60")
        for i in range(40):
            self.enter(b, f"c{i}").leave()
        self.assertEqual(b.metric("admission_limited"), 0)
        self.answers(b, [f"c{i}" for i in range(40)])
        self.assertEqual(b.metric("admission_limited"), 1)
        self.assertGreater(b.metric("connects_held_total"), 0)

    def test_a_takeover_is_let_in(self):
        b = self.broker("admission_rate 1\nadmission_wait 0")
        ids = self.trouble(b)
        self.answers(b, ids)
        kit.wait_until(lambda: self.connect(b, "mover").expect(kit.CONNACK).body[1] == 0, "room for one")
        self.assertIn(RATE, {p.body[1] for p in self.answers(b, ids)})
        for _ in range(20):
            self.assertEqual(self.connect(b, "mover").expect(kit.CONNACK).body[1], 0)
        self.assertIn(RATE, {p.body[1] for p in self.answers(b, ids)})

    def test_the_operator_comes_in_by_a_unix_socket(self):
        with tempfile.TemporaryDirectory(prefix="longlink-admission.") as d:
            path = os.path.join(d, "s")
            b = self.broker(f"admission_rate 1\nadmission_wait 0\nlistener 0 {path}\nallow_anonymous true")
            ids = self.trouble(b)
            self.assertIn(RATE, {p.body[1] for p in self.answers(b, ids)})
            for i in range(10):
                self.assertEqual(self.connect(path, f"operator-{i}").expect(kit.CONNACK).body[1], 0)

    def test_who_gives_up_waiting_leaves_nothing_behind(self):
        b = self.broker("admission_rate 1\nadmission_wait 2")
        ids = self.trouble(b)
        for c in [self.connect(b, i, V311) for i in ids]:
            c.close()
        b.wait_metric("connections_open", lambda n: n == 0)

    def test_who_waits_when_the_broker_ends_is_told(self):
        b = self.broker("admission_rate 1\nadmission_wait 60")
        ids = self.trouble(b)
        before, waiting = b.metric("bytes_received_total"), []
        for i in ids[:20]:
            waiting += [self.connect(b, i, version) for version in (V5, V311)]
        size = sum(c.sent_bytes for c in waiting)
        b.wait_metric("bytes_received_total", lambda n: n == before + size)  # the last has been read, too
        b.wait_metric("connects_held_total", lambda n: n >= 20)
        self.stop_well(b)
        b.is_over = True
        codes = collections.Counter((c.version, c.expect(kit.CONNACK).body[1]) for c in waiting)
        self.assertGreater(codes.pop((V5, CLOSING)), 0)
        self.assertGreater(codes.pop((V311, UNAVAILABLE_V3)), 0)
        self.assertEqual(set(codes) - {(V5, 0), (V311, 0)}, set())
        self.assertNotIn("peer-protocol-error", b.text())

    def test_a_broker_that_starts_with_many_sessions_lets_them_in_slowly(self):
        d = tempfile.TemporaryDirectory(prefix="longlink-admission.")
        self.addCleanup(d.cleanup)  # when the broker has ended, which writes there until then
        conf = f"persistence_location {d.name}\nadmission_rate 5\nadmission_wait 60"
        b = self.broker(conf)
        ids = [f"c{i}" for i in range(20)]
        for i in ids:
            self.enter(b, i).leave()
        self.stop_well(b)
        b.is_over = True
        b = self.broker(conf)
        kit.wait_file(b.log, " admission-limited ")
        self.assertEqual({p.body[1] for p in self.answers(b, ids)}, {0})
        self.assertGreater(b.metric("connects_held_total"), 0)

    def test_nothing_is_lost_of_what_was_sent_meanwhile(self):
        b = self.broker("admission_rate 10\nadmission_wait 1\nshards 2")
        near = self.enter(b, "near")
        ids = [f"c{i}" for i in range(60)]
        clients = [self.enter(b, i) for i in ids]
        for i, c in zip(ids, clients):
            c.subscribe(f"inbox/{i}", 1)
        for c in clients:
            c.close()
        b.wait_metric("clients_connected", lambda n: n == 1)
        for i in ids:
            self.assertEqual(near.publish(f"inbox/{i}", i.encode(), 1), 0)
        refused = 0
        while ids:
            left = []
            for i, c in [(i, self.connect(b, i)) for i in ids]:
                if c.expect(kit.CONNACK).body[1] == 0:
                    self.assertEqual(c.message().payload, i.encode())
                else:
                    left.append(i)
            refused += len(left)
            ids = left
        self.assertGreater(refused, 0)

    # --- hints

    def test_who_is_let_in_is_told_when_to_come_back(self):  # option: backoff_hints
        b = self.broker()
        self.assertEqual(hints(self.connect(b, "c").expect(kit.CONNACK).body), DEFAULT_HINTS)
        quiet = self.connect(b, "d", props=b"\x17\x00").expect(kit.CONNACK)
        self.assertEqual((quiet.body[1], hints(quiet.body)), (0, {}))
        small = self.connect(b, "e", props=b"\x27" + struct.pack(">I", 60)).expect(kit.CONNACK)
        self.assertEqual((small.body[1], hints(small.body)), (0, {}))

    def test_hints_are_what_the_options_say(self):
        # option: backoff_base, backoff_max, backoff_factor, backoff_jitter
        b = self.broker("backoff_base 7\nbackoff_max 60\nbackoff_factor 125\nbackoff_jitter 100")
        self.assertEqual(hints(self.connect(b, "c").expect(kit.CONNACK).body),
                         {"base": "7", "max": "60", "factor": "1.25", "jitter": "1"})

    def test_a_disconnect_has_them_when_it_is_good_to_come_back(self):
        b = self.broker()
        c, old = self.enter(b, "c"), self.enter(b, "taken")
        self.enter(b, "taken")
        end = old.expect(kit.DISCONNECT)
        self.assertEqual((end.body[0], hints(end.body)), (0x8e, {}))
        self.stop_well(b)
        b.is_over = True
        end = c.expect(kit.DISCONNECT)
        self.assertEqual((end.body[0], hints(end.body)), (0x8b, DEFAULT_HINTS))

    def test_hints_only_where_somebody_is_refused_or_nowhere(self):  # option: backoff_hints
        for word, refused in (("refused", DEFAULT_HINTS), ("off", {})):
            b = self.broker(f"backoff_hints {word}\nadmission_rate 1\nadmission_wait 0")
            ids = self.trouble(b)
            got = self.answers(b, ids)
            self.assertEqual({p.body[1] for p in got}, {0, RATE})
            for p in got:
                self.assertEqual(hints(p.body), refused if p.body[1] == RATE else {})


if __name__ == "__main__":
    kit.main()
