#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Messages published to $delayed/SECONDS/TOPIC: when, to whom, how often, and after what."""
import shutil
import struct
import tempfile
import time

import kit

PUBREC, PUBREL, PUBCOMP = 5, 6, 7
OK, TOPIC_INVALID, QUOTA_EXCEEDED = 0, 0x90, 0x97


class Delayed(kit.Test):
    def kept(self, conf="", shards=2):
        """A broker that keeps everything, and what another one of the same directory needs."""
        top = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, top)
        return f"durability os\npersistence_location {top}/data\nshards {shards}\n{conf}"

    def publish2(self, client, topic, payload, packet_id=7):
        """QoS 2 to its end. Gives PUBREC's code."""
        body = kit.text(topic) + struct.pack(">H", packet_id) + (b"\0" if client.version == kit.V5 else b"") + payload
        client.send(kit.packet(kit.PUBLISH, 4, body))
        rec = client.expect(PUBREC).body
        code = rec[2] if len(rec) > 2 else 0
        if code < 0x80:
            client.send(kit.packet(PUBREL, 2, struct.pack(">H", packet_id)))
            client.expect(PUBCOMP)
        return code

    def test_it_comes_when_it_is_due_and_not_before(self):
        for shards in (1, 3):
            b = self.broker(f"shards {shards}")
            clean, away = self.client(b, "clean"), self.client(b, "away", clean=False, expiry=600)
            p = self.client(b, "p")
            for c in (clean, away):
                c.subscribe("t/#", 1)
                c.subscribe("$delayed/#", 1)
            away.leave()
            sent = time.monotonic()
            for qos in (0, 1):
                p.publish("$delayed/6/t/x", b"later %d" % qos, qos)
            self.assertEqual(self.publish2(p, "$delayed/6/t/x", b"later 2"), OK)
            p.publish("t/x", b"now", 1)
            self.assertEqual(b.metric("delayed_messages"), 3)
            self.assertEqual(clean.message().payload, b"now")
            for qos in range(3):
                m = clean.message()
                self.assertEqual((m.topic, m.payload, m.qos), ("t/x", b"later %d" % qos, min(qos, 1)))
            self.assertGreaterEqual(time.monotonic() - sent, 6)
            away = self.client(b, "away", clean=False, expiry=600)
            self.assertEqual([away.message().payload for _ in range(3)], [b"now", b"later 1", b"later 2"])
            b.wait_metric("delayed_messages", lambda n: n == 0)

    def test_it_is_for_those_who_want_it_when_it_is_due(self):
        b = self.broker("shards 2")
        p, early, late = self.client(b, "p"), self.client(b, "early"), self.client(b, "late")
        early.subscribe("t", 1)
        p.publish("$delayed/4/t", b"x", 1)
        early.leave()
        late.subscribe("t", 1)
        self.assertEqual(late.message().payload, b"x")

    def test_the_earlier_comes_first_and_of_the_same_time_the_first_published(self):
        b = self.broker("shards 2")
        p, s = self.client(b, "p"), self.client(b, "s")
        s.subscribe("t", 1)
        for i in range(300):
            p.send(p.publish_bytes("$delayed/3/t", b"3 %03d" % i, 1))
            p.send(p.publish_bytes("$delayed/2/t", b"2 %03d" % i, 1))
        for _ in range(600):
            p.expect(kit.PUBACK)
        got = [s.message().payload for _ in range(600)]
        for delay in (b"2", b"3"):
            self.assertEqual([m for m in got if m[:1] == delay], [delay + b" %03d" % i for i in range(300)])
        self.assertEqual(got[0], b"2 000")
        self.assertEqual(got[-1], b"3 299")

    def test_a_retained_one_is_retained_when_it_is_due(self):
        b = self.broker("shards 2\nsys_interval 1")
        p, s = self.client(b, "p"), self.client(b, "s")
        s.subscribe("t", 1)
        p.publish("t", b"before", 1, retain=True)
        self.assertEqual(s.message().payload, b"before")
        p.publish("$delayed/4/t", b"after", 1, retain=True)
        first = self.client(b, "first")
        first.subscribe("t", 1)
        self.assertEqual(first.message().payload, b"before")
        m = s.message()
        self.assertEqual((m.payload, m.retain), (b"after", False))
        second = self.client(b, "second")
        second.subscribe("t", 1)
        m = second.message()
        self.assertEqual((m.payload, m.retain), (b"after", True))

    def test_one_that_expires_before_it_is_due_goes_to_nobody(self):
        b = self.broker("shards 2")
        p, s = self.client(b, "p"), self.client(b, "s")
        s.subscribe("t", 1)
        expiry = b"\x05\x02" + struct.pack(">I", 1)
        for topic in ("$delayed/2/t", "$delayed/0000002/t"):
            p.send(kit.packet(kit.PUBLISH, 3, kit.text(topic) + b"\0\1" + expiry + b"gone"))
            p.expect(kit.PUBACK)
        p.publish("$delayed/2/t", b"stays", 1)
        self.assertEqual(s.message().payload, b"stays")
        b.wait_metric("publish_expired_total", lambda n: n == 2)
        b.wait_metric("delayed_messages", lambda n: n == 0)
        new = self.client(b, "new")
        new.subscribe("t", 1)
        new.ping()  # nothing of it is retained

    def test_what_is_wrong_is_told(self):
        b = self.broker()
        s = self.client(b, "s")
        s.subscribe("#", 1)
        p = self.client(b, "p")
        wrong = ["$delayed/abc/t", "$delayed/0/t", "$delayed/4294968/t", "$delayed/5/", "$delayed/5", "$delayed/",
                 "$delayed/-1/t", "$delayed/5/$delayed/5/t"]
        for topic in wrong:
            self.assertEqual(p.publish(topic, b"x", 1), TOPIC_INVALID, topic)
            self.assertEqual(self.publish2(p, topic, b"x"), TOPIC_INVALID, topic)
            p.publish(topic, b"x", 0)
            old = self.client(b, "old", version=kit.V311)
            old.send(old.publish_bytes(topic, b"x", 1))
            self.assertEqual(old.expect_closed(), [])
        self.assertEqual(p.publish("$delayed/5/$SYS/broker/version", b"x", 1), 0x87)
        p.ping()
        wild = self.client(b, "wild")
        wild.send(wild.publish_bytes("$delayed/5/+", b"x", 1))
        wild.expect_closed()
        self.assertEqual(b.metric("delayed_messages"), 0)
        s.ping()

    def test_a_will_cannot_have_such_a_topic(self):
        b = self.broker()
        for version, want in ((kit.V5, TOPIC_INVALID), (kit.V311, None)):
            c = kit.Client(b.port)
            self.addCleanup(c.close)
            c.join("c", version=version, will=("$delayed/5/t", "x"), answer=False)
            codes = [p.body[1] for p in c.expect_closed() if p.kind == kit.CONNACK]
            self.assertTrue(want is None or codes == [want])
            self.assertNotIn(0, codes)

    def test_one_too_many_is_refused_and_there_is_room_when_one_has_gone(self):
        # option: max_delayed_messages
        b = self.broker("max_delayed_messages 2\nshards 2")
        p, s = self.client(b, "p"), self.client(b, "s")
        s.subscribe("t", 1)
        self.assertEqual(p.publish("$delayed/5/t", b"1", 1), OK)
        self.assertEqual(p.publish("$delayed/600/t", b"2", 1), OK)
        self.assertEqual(p.publish("$delayed/1/t", b"3", 1), QUOTA_EXCEEDED)
        self.assertEqual(self.publish2(p, "$delayed/1/t", b"4"), QUOTA_EXCEEDED)
        p.publish("$delayed/1/t", b"5", 0)
        old = self.client(b, "old", version=kit.V311)
        old.send(old.publish_bytes("$delayed/1/t", b"6", 1))
        self.assertEqual(old.expect_closed(), [])
        self.assertEqual(s.message().payload, b"1")
        b.wait_metric("delayed_messages", lambda n: n == 1)
        self.assertEqual(p.publish("$delayed/1/t", b"7", 1), OK)
        self.assertEqual(s.message().payload, b"7")

    def test_a_mid_makes_two_of_the_same_one(self):
        b = self.broker("shards 2")
        p, s = self.client(b, "p"), self.client(b, "s")
        s.subscribe("t", 1)
        mid = b"\x26" + kit.text("mid") + kit.text("one")
        for i in (1, 2):
            p.send(kit.packet(kit.PUBLISH, 2, kit.text("$delayed/4/t") + struct.pack(">H", i) + bytes([len(mid)]) +
                              mid + b"x"))
            self.assertIn(p.expect(kit.PUBACK).body[2:3], (b"", b"\0"))
        self.assertEqual(b.metric("delayed_messages"), 1)
        self.assertEqual(s.message().payload, b"x")
        p.publish("t", b"end", 1)
        self.assertEqual(s.message().payload, b"end")

    def test_no_local_and_properties(self):
        b = self.broker("shards 2")
        p, s = self.client(b, "p"), self.client(b, "s")
        s.subscribe("t", 1)
        p.subscribe("t", 1 | 4)
        props = b"\x03" + kit.text("text/plain") + b"\x26" + kit.text("k") + kit.text("v")
        p.send(kit.packet(kit.PUBLISH, 2, kit.text("$delayed/1/t") + b"\0\1" + bytes([len(props)]) + props + b"x"))
        p.expect(kit.PUBACK)
        packet = s.expect(kit.PUBLISH)
        self.assertIn(props, packet.body)
        p.ping()

    def test_after_kill_9_it_comes_once_and_what_was_due_meanwhile_at_once(self):
        conf = self.kept()
        b = self.broker(conf)
        s = self.client(b, "s", clean=False, expiry=600)
        s.subscribe("t", 1)
        s.leave()
        p = self.client(b, "p")
        for i in range(50):
            p.publish("$delayed/1/t", b"soon %02d" % i, i % 2)
        p.publish("$delayed/600/t", b"late", 1)
        p.ping()
        p.publish("x", b"", 1, retain=True)  # behind those of QoS 0, which nobody acknowledges
        self.kill(b)
        due = time.time() + 1
        kit.wait_until(lambda: time.time() > due, "they become due while no broker is there")
        b = self.broker(conf)
        s = self.client(b, "s", clean=False, expiry=600)
        got = []
        while len(got) < 25:
            m = s.message()
            if m.qos > 0:  # QoS 0 is for those who are there at that moment
                got.append(m.payload)
        self.assertEqual(got, [b"soon %02d" % i for i in range(1, 50, 2)])
        b.wait_metric("delayed_messages", lambda n: n == 1)
        s.catch_up()
        self.kill(b)
        b = self.broker(conf)
        self.assertEqual(b.metric("delayed_messages"), 1)
        s = self.client(b, "s", clean=False, expiry=600)
        self.client(b, "p").publish("t", b"end", 1)
        m = s.message()
        while m.payload != b"end":  # an acknowledgement that was lost by the kill; nothing new
            self.assertTrue(m.dup)
            m = s.message()

    def test_killed_while_they_go_out_none_is_missing_and_none_is_new_twice(self):
        conf = self.kept(shards=3)
        b = self.broker(conf)
        s = self.client(b, "s", clean=False, expiry=600)
        s.subscribe("t", 1)
        p = self.client(b, "p")
        sent = [b"%04d" % i for i in range(2000)]
        p.publish_all("$delayed/2/t", sent)
        new = [s.message().payload]
        self.kill(b)
        for is_last in (False, True):
            b = self.broker(conf)
            s = self.client(b, "s", clean=False, expiry=600)
            while len(set(new)) < (len(sent) if is_last else len(sent) // 2):
                m = s.message()
                self.assertTrue(m.dup or m.payload not in new)
                new.append(m.payload)
            if not is_last:
                self.kill(b)
        self.assertEqual(sorted(set(new)), sent)
        b.wait_metric("delayed_messages", lambda n: n == 0)
        self.client(b, "p").publish("t", b"end", 1)
        while (m := s.message()).payload != b"end":
            self.assertTrue(m.dup)

    def test_a_group_gets_it_once(self):
        b = self.broker("shards 3")
        members = [self.client(b, "a"), self.client(b, "b", clean=False, expiry=600)]
        for c in members:
            c.subscribe("$share/g/t", 1)
        p = self.client(b, "p")
        for i in range(20):
            p.publish("$delayed/1/t", b"%02d" % i, i % 2)
        b.wait_metric("delayed_messages", lambda n: n == 0)
        p.publish("t", b"end", 1)
        b.wait_metric("messages_sent_total", lambda n: n >= 21)
        got = [m.payload for c in members for m in c.catch_up()]
        self.assertEqual(sorted(got), [b"%02d" % i for i in range(20)] + [b"end"])

    def test_a_restart_between_leaves_the_time_as_it_was(self):
        conf = self.kept()
        b = self.broker(conf)
        s = self.client(b, "s", clean=False, expiry=600)
        s.subscribe("t", 1)
        sent = time.time()
        self.client(b, "p").publish("$delayed/4/t", b"x", 1, retain=True)
        self.kill(b)
        b = self.broker(conf)
        s = self.client(b, "s", clean=False, expiry=600)
        self.assertEqual(s.message().payload, b"x")
        self.assertGreaterEqual(time.time() - sent, 3.9)  # the two clocks are compared
        new = self.client(b, "new")
        new.subscribe("t", 1)
        self.assertTrue(new.message().retain)

    def test_an_option_that_is_lowered_loses_none(self):
        conf = self.kept()
        b = self.broker(conf)
        p = self.client(b, "p")
        p.publish_all("$delayed/600/t", [b"x"] * 200)
        self.kill(b)
        b = self.broker(conf + "\nmax_delayed_messages 10")
        self.assertEqual(b.metric("delayed_messages"), 200)
        self.assertEqual(self.client(b, "p").publish("$delayed/600/t", b"x", 1), QUOTA_EXCEEDED)


if __name__ == "__main__":
    kit.main()
