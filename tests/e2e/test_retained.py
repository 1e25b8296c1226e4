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
