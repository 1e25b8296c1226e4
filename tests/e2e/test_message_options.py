#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Options of mosquitto that change how messages go to clients."""
import contextlib
import os
import re
import shutil
import sqlite3
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
        self.assertEqual(clean.message().payload, b"t/2")
        away = self.client(b, "away", clean=False, expiry=HOUR)  # a QoS 1 message could overtake it on its way
        found = [kit.Message(away.expect(kit.PUBLISH), away.version).payload for _ in range(2)]
        self.assertEqual(found, [b"t/1", b"t/2"])
        away.close()
        p.publish("t/3", b"t/3", 1)
        self.assertEqual(clean.message().payload, b"t/3")
        b = self.again(b)
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

    def test_qos_0_waits_for_a_client_that_is_away_in_order_and_survives(self):
        # option: queue_qos0_messages
        b = self.durable("queue_qos0_messages true\nsys_interval 1")
        c, p = self.client(b, "c", clean=False, expiry=HOUR), self.client(b)
        c.subscribe("t/#", 1)
        c.subscribe("zero", 0)
        c.subscribe("$SYS/broker/uptime", 0)
        self.publish0(p, "t/online")
        while c.message().topic != "t/online":  # the uptime, perhaps
            pass
        c.close()
        b.wait_metric("clients_connected", lambda n: n == 1)
        for i in range(300):
            p.send(p.publish_bytes("t/n", b"%d" % i, 0))
        p.publish("zero", b"1 to 0", 1)
        p.publish("t/one", b"kept", 1)
        p.send(p.publish_bytes("t/retained", b"r", 0, retain=True))
        p.ping()
        uptime = self.client(b)  # some values of $SYS go by
        uptime.subscribe("$SYS/broker/uptime", 0)
        for _ in range(3):
            uptime.message()
        p.publish("t/done", b"", 1)
        b = self.again(b)
        c = self.client(b, "c", clean=False, expiry=HOUR)
        found = []
        while not found or found[-1].topic != "t/done":
            found.append(c.message())
        topics = [m.topic for m in found if m.topic != "t/n"]
        self.assertEqual([int(m.payload) for m in found if m.topic == "t/n"], list(range(300)))
        self.assertEqual(sorted(topics), ["t/done", "t/one", "t/retained", "zero"])
        self.assertEqual({m.qos for m in found if m.topic not in ("t/one", "t/done")}, {0})
        self.nothing_more(c)
        late = self.client(b)
        late.subscribe("t/#", 0)
        m = late.message()
        self.assertEqual((m.topic, m.payload, m.retain), ("t/retained", b"r", True))
        self.nothing_more(late)
        c.leave()
        self.nothing_more(self.client(b, "c", clean=False, expiry=HOUR))

    def again(self, b):
        """kill -9, and a broker on what is left."""
        self.kill(b)
        with open(b.conf) as f:
            conf = f.read()
        return self.broker(conf, listener="", allow="")

    def test_qos_0_that_waits_counts_for_the_limit(self):
        # option: queue_qos0_messages
        b = self.durable("queue_qos0_messages true\nmax_queued_messages 5")
        c, p = self.client(b, "c", clean=False, expiry=HOUR), self.client(b)
        c.subscribe("t", 0)
        c.close()
        b.wait_metric("clients_connected", lambda n: n == 1)
        for i in range(8):
            p.send(p.publish_bytes("t", b"%d" % i, 0))
        b.wait_metric("publish_dropped_queue_full_total", lambda n: n == 3)
        c = self.client(b, "c", clean=False, expiry=HOUR)
        self.assertEqual([c.message().payload for _ in range(5)], [b"%d" % i for i in range(5)])
        self.nothing_more(c)

    def test_what_comes_while_the_queue_is_being_sent_does_not_overtake_it(self):
        # option: queue_qos0_messages
        b = self.durable("queue_qos0_messages true\nmax_inflight_messages 1")
        c, p = self.client(b, "c", clean=False, expiry=HOUR), self.client(b)
        c.subscribe("t", 1)
        c.close()
        b.wait_metric("clients_connected", lambda n: n == 1)
        p.publish("t", b"first", 1)
        p.publish("t", b"second", 1)
        p.send(p.publish_bytes("t", b"zero", 0))
        p.ping()
        c = self.client(b, "c", clean=False, expiry=HOUR)
        first = kit.Message(c.expect(kit.PUBLISH), c.version)
        p.send(p.publish_bytes("t", b"after zero", 0))
        p.ping()
        self.nothing_more(c)  # but its shard has it: between messages of two QoS MQTT promises no order
        p.publish("t", b"last", 1)  # durable, and so is what was before it
        self.acknowledge(c, first)
        self.assertEqual([c.message().payload for _ in range(4)], [b"second", b"zero", b"after zero", b"last"])

    def test_sessions_of_before_expire_by_the_option_too(self):
        # option: persistent_client_expiration
        b = self.durable("")
        for name in ("old", "young"):
            self.client(b, name, version=kit.V311, clean=False).leave()
        self.stop_well(b)
        b.is_over = True
        with open(b.conf) as f:
            data = re.search(r"persistence_location (\S+)", f.read())[1]
        with contextlib.closing(sqlite3.connect(os.path.join(data, "longlink.db"))) as db, db:
            db.execute("UPDATE session SET offline_ms = offline_ms - 7200000 WHERE client_id = ?", (b"old",))
        b = self.broker(f"durability disk\npersistence_location {data}\npersistent_client_expiration 1h")
        b.wait_metric("sessions_expired_total", lambda n: n == 1)
        for name, is_there in (("old", False), ("young", True)):
            c = kit.Client(b.port)
            self.addCleanup(c.close)
            self.assertEqual(c.join(name, version=kit.V311, clean=False), (is_there, 0), name)

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
