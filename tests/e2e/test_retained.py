#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Retained messages to a wildcard subscriber: each topic once, whoever reads how slowly."""
import kit

TOPICS = 2000


class Retained(kit.Test):
    def fill(self, broker, payload):
        c = self.client(broker, "source")
        for i in range(TOPICS):
            c.send(c.publish_bytes(f"home/{i % 50}/{i}", payload(i), 1, retain=True))
            if i % 200 == 199:
                for _ in range(200):
                    c.expect(kit.PUBACK)
        return c

    def each_once(self, client, payload):
        got = {}
        while len(got) < TOPICS:
            m = client.message()
            self.assertNotIn(m.topic, got)
            self.assertTrue(m.retain)
            got[m.topic] = m.payload
        for i in range(TOPICS):
            self.assertEqual(got[f"home/{i % 50}/{i}"], payload(i))
        client.ping()  # a message more would come before the answer

    def test_a_wildcard_gets_every_topic_once(self):
        b = self.broker("shards 3")
        payload = lambda i: b"%d" % i
        self.fill(b, payload)
        b.wait_metric("retained_messages", lambda n: n == TOPICS)
        for qos in (0, 1):
            c = self.client(b, f"reader {qos}")
            c.subscribe("home/#", qos)
            self.each_once(c, payload)

    def test_a_slow_reader_gets_every_topic_once(self):
        b = self.broker("shards 3")
        payload = lambda i: b"%d:" % i + bytes(20000)  # 40 MB: more than sockets hold
        source = self.fill(b, payload)
        c = self.client(b, "slow", receive_buffer=8192, receive_max=5)
        c.subscribe("home/#", 1)
        # It reads nothing while others are served.
        other = self.client(b, "other")
        other.subscribe("elsewhere")
        for i in range(100):
            source.publish("elsewhere", b"%d" % i)
            self.assertEqual(other.message().payload, b"%d" % i)
        self.each_once(c, payload)

    def kept(self, broker):
        """A client whose session stays; with a window of 1, so that what it does not acknowledge holds up the rest."""
        return self.client(broker, "kept", clean=False, expiry=600, receive_max=1)

    def abandon(self, broker, qos=1):
        """Has SUBACK and nothing else, and is gone."""
        c = self.kept(broker)
        c.subscribe("home/#", qos)
        c.close()
        broker.wait_metric("connections_open", lambda n: n == 1)

    def test_a_kept_session_gets_every_topic_though_its_client_vanished_behind_suback(self):
        b = self.broker("shards 3")
        payload = lambda i: b"%d" % i
        self.fill(b, payload)
        self.abandon(b)
        self.each_once(self.kept(b), payload)

    def test_a_kept_session_gets_every_topic_though_its_client_was_taken_over_behind_suback(self):
        b = self.broker("shards 3")
        payload = lambda i: b"%d" % i
        self.fill(b, payload)
        c = self.kept(b)
        c.subscribe("home/#", 1)
        self.each_once(self.kept(b), payload)
        c.expect_closed()

    def test_a_value_that_changes_while_the_client_is_away_comes_and_nothing_older_after_it(self):
        b = self.broker("shards 3")
        source = self.fill(b, lambda i: b"old")
        self.abandon(b)
        changed = {f"home/{i % 50}/{i}" for i in range(0, TOPICS, 3)}
        for topic in sorted(changed):
            source.publish(topic, b"new", 1, retain=True)
        c, got = self.kept(b), {}
        while len(got) < TOPICS or any(got[t] != b"new" for t in changed):
            m = c.message()
            self.assertNotEqual((got.get(m.topic), m.payload), (b"new", b"old"))
            got[m.topic] = m.payload
        for m in c.catch_up():
            self.assertNotEqual((got[m.topic], m.payload), (b"new", b"old"))

    def test_a_session_that_is_discarded_gets_nothing_of_what_it_was_promised(self):
        b = self.broker("shards 3")
        self.fill(b, lambda i: b"%d" % i)
        self.abandon(b)
        c = self.client(b, "kept", clean=True)
        c.ping()
        b.wait_metric("subscriptions", lambda n: n == 0)

    def test_a_copy_of_qos_0_waits_for_nobody(self):
        b = self.broker("shards 3")
        self.fill(b, lambda i: bytes(20000))  # 40 MB: more than sockets hold
        self.abandon(b, qos=0)
        c = self.kept(b)
        c.ping()  # a message would come before the answer

    def test_mosquitto_sub_gets_every_topic_once(self):
        if not kit.have("mosquitto_sub"):
            self.skipTest("mosquitto-clients is not installed")
        b = self.broker()
        self.fill(b, lambda i: b"%d" % i)
        lines = kit.run(*kit.sub(b, "-t", "home/+/+", "-q", "1", "-v", "-C", TOPICS)).splitlines()
        self.assertEqual(sorted(lines), sorted(f"home/{i % 50}/{i} {i}" for i in range(TOPICS)))

    def test_clearing_all_topics_leaves_nothing(self):
        b = self.broker()
        self.fill(b, lambda i: b"x")
        self.fill(b, lambda i: b"")
        b.wait_metric("retained_messages", lambda n: n == 0)
        c = self.client(b, "reader")
        c.subscribe("home/#", 1)
        c.ping()


if __name__ == "__main__":
    kit.main()
