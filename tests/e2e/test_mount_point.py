#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""mount_point: the clients of a listener live below a prefix, and neither they nor the others notice more than that."""
import re
import shutil
import struct
import tempfile
import types

import kit

HOUR = 3600


class MountPoint(kit.Test):
    # option: mount_point

    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)
        self.start()

    def start(self):
        """self.b: the whole; self.t: the listener below tenant/."""
        self.b = self.broker(f"durability disk\npersistence_location {self.data}\nshards 2",
                             listener="listener 0 127.0.0.1\nlistener 0 127.0.0.1\nmount_point tenant/\n"
                                      "max_topic_alias 5\nlistener 0 127.0.0.1\nmount_point other/")
        ports = [int(x) for x in re.findall(r" listener-open .*port=(\d+)", self.b.text())]
        self.t, self.o = types.SimpleNamespace(port=ports[1]), types.SimpleNamespace(port=ports[2])

    def got(self, c, count):
        return [(m.topic, m.payload) for m in (c.message() for _ in range(count))]

    def nothing_more(self, *clients):
        for c in clients:
            self.assertEqual([m.topic for m in c.catch_up()], [])

    def test_topics_have_the_prefix_outside_and_not_inside(self):
        whole, tenant, other = self.client(self.b), self.client(self.t), self.client(self.o, version=kit.V311)
        for c in (whole, tenant, other):
            c.subscribe("#", 1)
        source, inside = self.client(self.b), self.client(self.t)
        for qos in (0, 1):
            inside.publish("a/b", b"%d" % qos, qos)
        inside.ping()
        for topic in ("elsewhere", "tenant/", "tenant", "tenant/c", "other/d"):
            source.publish(topic, b"", 1)
        # two publishers: no order among them
        self.assertEqual(sorted((m.topic, m.qos) for m in (whole.message() for _ in range(7))),
                         [("elsewhere", 1), ("other/d", 1), ("tenant", 1), ("tenant/", 1), ("tenant/a/b", 0),
                          ("tenant/a/b", 1), ("tenant/c", 1)])
        self.assertEqual(sorted(self.got(tenant, 3)), [("a/b", b"0"), ("a/b", b"1"), ("c", b"")])
        self.assertEqual(self.got(other, 1), [("d", b"")])
        self.nothing_more(tenant, other)

    def test_filters_are_mounted_one_by_one_and_go_as_they_came(self):
        whole, tenant = self.client(self.b), self.client(self.t)
        body = kit.text("x/+") + b"\1" + kit.text("$share/g/y") + b"\1" + kit.text("z") + b"\0"
        tenant.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\7\2\x0b\x09" + body))
        self.assertEqual(tenant.expect(kit.SUBACK).body, b"\0\7\0\1\1\0")
        for topic in ("x/1", "tenant/x/1", "y", "tenant/y", "z", "tenant/z"):
            whole.publish(topic, b"", 1)
        found = [tenant.message() for _ in range(3)]  # a share, and another QoS: no order among them
        self.assertEqual(sorted(m.topic for m in found), ["x/1", "y", "z"])
        self.assertEqual([m.props for m in found], [b"\x0b\x09"] * 3)
        tenant.send(kit.packet(kit.UNSUBSCRIBE, 2, b"\0\x08\0" + kit.text("x/+") + kit.text("$share/g/y") +
                               kit.text("tenant/z")))
        self.assertEqual(tenant.expect(kit.UNSUBACK).body, b"\0\x08\0\0\0\x11")
        for topic in ("tenant/x/1", "tenant/y"):
            whole.publish(topic, b"", 1)
        self.nothing_more(tenant)

    def test_what_the_broker_says_of_itself_is_outside(self):
        tenant = self.client(self.t)
        self.assertEqual(tenant.subscribe("$SYS/#", 0), 0)
        whole = self.client(self.b)
        whole.subscribe("$SYS/broker/version", 0)
        whole.message()
        self.nothing_more(tenant)

    def test_a_packet_that_is_wrong_is_wrong_below_a_prefix_too(self):
        for body in (b"\0\7\0" + kit.text("") + b"\0", b"\0\7\0" + kit.text("a#") + b"\0", b"\0\7\0\0\x09a", b"\0",
                     b"\0\7\0" + kit.text("a") + b"\3"):
            c = self.client(self.t)
            c.send(kit.packet(kit.SUBSCRIBE, 2, body))
            self.assertIn(c.expect_closed()[-1].body[:1], (b"\x81", b"\x82"))
        c = self.client(self.t)
        c.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\7\0" + kit.text("x" * 65535) + b"\0"))  # too long with it
        self.assertEqual(c.expect_closed()[-1].body[:1], b"\x8f")
        c = self.client(self.t)
        self.assertEqual(c.publish("x" * 65535, b"", 1), 0x90)

    def test_retained_messages_wills_and_delays_are_below_the_prefix(self):
        whole = self.client(self.b)
        whole.subscribe("+/will", 1)
        whole.subscribe("+/later", 1)
        tenant = self.client(self.t, "tenant", will=("will", b"gone"))
        tenant.publish("kept", b"k", 1, retain=True)
        tenant.publish("$delayed/1/later", b"l", 1)
        tenant.close()
        self.assertEqual(sorted(self.got(whole, 2)), [("tenant/later", b"l"), ("tenant/will", b"gone")])
        late = self.client(self.t)
        late.subscribe("#", 0)
        m = late.message()
        self.assertEqual((m.topic, m.payload, m.retain), ("kept", b"k", True))
        whole.subscribe("tenant/kept", 0)
        self.assertEqual(whole.message().topic, "tenant/kept")
        other = self.client(self.o)
        other.subscribe("#", 0)
        self.nothing_more(other)

    def test_topic_aliases_are_those_of_the_short_names(self):
        whole, tenant = self.client(self.b), kit.Client(self.t.port)
        self.addCleanup(tenant.close)
        whole.subscribe("tenant/#", 0)
        connect = kit.text("MQTT") + b"\x05\x02\0\0\3\x22\0\5" + kit.text("")
        tenant.send(kit.packet(kit.CONNECT, 0, connect))
        tenant.expect(kit.CONNACK)
        for topic in ("in", ""):
            tenant.send(kit.packet(kit.PUBLISH, 0, kit.text(topic) + b"\3\x23\0\1" + b"x"))
        self.assertEqual([whole.message().topic for _ in range(2)], ["tenant/in"] * 2)
        name = "a/topic/that/is/worth/an/alias"
        tenant.subscribe(name, 0)
        for _ in range(4):
            whole.publish("tenant/" + name, b"y", 0)
        topics = [tenant.message().topic for _ in range(4)]
        self.assertEqual(topics[0], name)
        self.assertEqual(topics[-1], "")  # the alias says it
        self.assertEqual(set(topics), {name, ""})

    def test_a_session_and_its_queue_are_below_the_prefix_after_a_crash(self):
        c = self.client(self.t, "kept", clean=False, expiry=HOUR)
        c.subscribe("q/#", 1)
        c.close()
        self.client(self.b).publish("tenant/q/1", b"1", 1)
        self.kill(self.b)
        self.start()
        self.client(self.b).publish("tenant/q/2", b"2", 1)
        c = self.client(self.t, "kept", clean=False, expiry=HOUR)
        self.assertEqual(self.got(c, 2), [("q/1", b"1"), ("q/2", b"2")])

    def test_what_waits_for_a_client_that_comes_to_another_listener_is_not_shown_there(self):
        c = self.client(self.b, "moves", clean=False, expiry=HOUR)
        c.subscribe("tenant/#", 1)
        c.subscribe("x", 1)
        c.close()
        p = self.client(self.b)
        p.publish("x", b"outside", 1)
        p.publish("tenant/x", b"inside", 1)
        c = self.client(self.t, "moves", clean=False, expiry=HOUR)
        self.assertEqual(self.got(c, 1), [("x", b"inside")])
        c.close()
        self.b.wait_metric("clients_connected", lambda n: n == 1)  # and its acknowledgement has come
        c = self.client(self.b, "moves", clean=False, expiry=HOUR)
        self.nothing_more(c)

    def test_a_prefix_that_is_no_part_of_a_topic_is_refused(self):
        for value in ("a/+/", "#", "a\tb"):
            b = kit.Broker(listener=f"listener 0 127.0.0.1\nmount_point {value}")
            self.addCleanup(b.remove)
            self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
            b.log_file.close()
            self.assertIn("allowed: printable ASCII without + and #", b.text())


if __name__ == "__main__":
    kit.main()
