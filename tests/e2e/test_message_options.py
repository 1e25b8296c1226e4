#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Options of mosquitto that change how messages go to clients."""
import shutil
import struct
import tempfile

import kit

PUBREC, PUBREL, PUBCOMP = 5, 6, 7
HOUR = 3600


class MessageOptions(kit.Test):
    def durable(self, conf, **more):
        data = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, data, ignore_errors=True)
        return self.broker(f"durability disk\npersistence_location {data}\nshards 2\n{conf}", **more)

    def nothing_more(self, c):
        self.assertEqual([(m.topic, m.payload) for m in c.catch_up()], [])

    def publish0(self, c, *topics):
        """QoS 0; when it is back the broker has had it."""
        for t in topics:
            c.send(c.publish_bytes(t, t.encode(), 0))
        c.ping()

    # QoS

    def test_a_message_is_upgraded_to_the_qos_of_the_subscription_and_kept(self):
        # option: upgrade_outgoing_qos
        b = self.durable("upgrade_outgoing_qos true")
        away, clean, p = (self.client(b, "away", clean=False, expiry=HOUR), self.client(b, "clean"), self.client(b))
        self.assertEqual(away.subscribe("t/#", 2), 2)
        self.assertEqual(clean.subscribe("t/#", 1), 1)
        self.publish0(p, "t/1")
        self.assertEqual(clean.message().qos, 1)
        m = kit.Message(away.expect(kit.PUBLISH), away.version)
        self.assertEqual((m.qos, m.payload), (2, b"t/1"))
        away.close()
        self.publish0(p, "t/2")
        p.publish("t/3", b"t/3", 1)
        self.assertEqual([clean.message().payload for _ in range(2)], [b"t/2", b"t/3"])
        self.kill(b)
        with open(b.conf) as f:
            conf = f.read()
        b = self.broker(conf, listener="", allow="")
        away = self.client(b, "away", clean=False, expiry=HOUR)
        found = [kit.Message(away.expect(kit.PUBLISH), away.version) for _ in range(3)]
        self.assertEqual([(m.payload, m.qos) for m in found], [(b"t/1", 2), (b"t/2", 2), (b"t/3", 2)])

    def test_retained_messages_are_upgraded_too_and_shared_subscriptions_are_not(self):
        # option: upgrade_outgoing_qos
        b = self.broker("upgrade_outgoing_qos true\nsys_interval 1")
        p = self.client(b)
        p.send(p.publish_bytes("kept", b"1", 0, retain=True))
        p.ping()
        c = self.client(b, clean=False, expiry=HOUR)
        c.subscribe("kept", 1)
        self.assertEqual(c.message().qos, 1)
        member = self.client(b)
        member.subscribe("$share/g/s", 2)
        self.publish0(p, "s")
        self.assertEqual(member.message().qos, 0)
        c.subscribe("$SYS/broker/uptime", 2)
        self.assertEqual(c.message().qos, 0)

    # what is under way

    def test_so_many_bytes_are_under_way_at_once(self):
        # option: max_inflight_bytes
        b = self.durable("max_inflight_bytes 100")
        c, p = self.client(b, "c", clean=False, expiry=HOUR), self.client(b)
        c.subscribe("t", 1)
        for size in (40, 40, 40, 40, 500, 1):
            p.publish("t", b"x" * size, 1)
        under_way = [kit.Message(c.expect(kit.PUBLISH), c.version) for _ in range(3)]
        self.assertEqual([len(m.payload) for m in under_way], [40, 40, 40])  # 80 are fewer than 100
        self.nothing_more(c)
        self.acknowledge(c, under_way[0])
        self.assertEqual(len(self.next(c, under_way).payload), 40)
        for m in under_way[1:3]:
            self.acknowledge(c, m)
        self.assertEqual(len(self.next(c, under_way).payload), 500)  # alone beside 40
        self.acknowledge(c, under_way[3])
        self.nothing_more(c)
        self.acknowledge(c, under_way[4])
        self.assertEqual(len(self.next(c, under_way).payload), 1)

    def acknowledge(self, c, m):
        c.send(kit.packet(kit.PUBACK, 0, struct.pack(">H", m.id)))

    def next(self, c, under_way):
        under_way.append(kit.Message(c.expect(kit.PUBLISH), c.version))
        return under_way[-1]


if __name__ == "__main__":
    kit.main()
