#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that ask for the most, read nothing, or come at the worst moment: the broker neither dies nor grows nor
loses what it acknowledged, and keeps the order of what one client sent."""
import contextlib
import signal
import struct
import threading

import kit

LARGEST = 268435455  # Remaining Length, MQTT 5.0 section 2.1.4


class Hostile(kit.Test):
    @contextlib.contextmanager
    def at_once(self, broker):
        """What is sent inside arrives in one turn of the loop."""
        broker.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            broker.process.send_signal(signal.SIGCONT)

    def join_with_props(self, broker, client_id, props):
        c = kit.Client(broker.port)
        self.addCleanup(c.close)
        body = kit.text("MQTT") + bytes([kit.V5, 2, 0, 0]) + kit.var_int(len(props)) + props + kit.text(client_id)
        c.send(kit.packet(kit.CONNECT, 0, body))
        c.expect(kit.CONNACK)
        return c

    def test_a_message_that_grows_over_the_limit_of_mqtt_is_dropped(self):
        b = self.broker("shards 1")
        sub = self.join_with_props(b, "sub", b"\x27\xff\xff\xff\xff")  # Maximum Packet Size
        sub.subscribe("t", 0)
        pub = self.client(b, "pub", version=kit.V311)
        # Version 5 adds a byte, the length of no properties.
        pub.send(bytes([kit.PUBLISH << 4]) + kit.var_int(LARGEST) + kit.text("t"))
        left = LARGEST - 3
        block = bytes(kit.MIB)
        while left > 0:
            pub.send(block[:left])
            left -= min(left, len(block))
        pub.publish("t", b"next", qos=0)
        self.assertEqual(sub.message().payload, b"next")

    def test_who_reads_no_answers_is_not_read_for_ever(self):
        b = self.broker("shards 1")
        for name, ask in (("ping", kit.packet(kit.PINGREQ, 0, b"")),
                          ("subscribe", kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + kit.text("a") + b"\0"))):
            with self.subTest(name):
                c = self.client(b, "c-" + name)
                before = b.resident_bytes()
                c.socket.settimeout(5)  # how it shows that it is not read any more
                with contextlib.suppress(TimeoutError):
                    for _ in range(150):
                        c.send(ask * (kit.MIB // len(ask)))
                self.assertLess(b.resident_bytes() - before, kit.MEMORY_FACTOR * 80 * kit.MIB)
                c.close()
        self.client(b, "well").ping()

    def test_a_reader_that_pauses_gets_every_answer(self):
        b = self.broker("shards 1")
        c = self.client(b, "c")
        total = 48 * kit.MIB
        some = kit.packet(kit.PINGREQ, 0, b"") * (kit.MIB // 2)
        sender = threading.Thread(target=lambda: [c.send(some) for _ in range(total // kit.MIB)])
        before = b.resident_bytes()
        sender.start()
        kit.wait_until(lambda: b.resident_bytes() - before > 24 * kit.MIB or not sender.is_alive(), "answers")
        while total > 0:
            total -= len(c.socket.recv(min(kit.MIB, total)))
        sender.join()
        c.ping()

    def test_many_subscribes_at_once_get_all_retained_messages(self):
        b = self.broker("shards 2")
        pub = self.client(b, "pub")
        pub.version = kit.V5
        for i in range(30):
            pub.publish(f"r/{i}", b"x", qos=1, retain=True)
        for clean, expiry in ((True, None), (False, 3600)):
            c = self.client(b, f"c{clean}", clean=clean, expiry=expiry)
            # One packet each, and no acknowledgement among them.
            c.send(b"".join(kit.packet(kit.SUBSCRIBE, 2, struct.pack(">HB", i, 0) + kit.text("r/#") + b"\1")
                            for i in range(1, 201)))
            answers = messages = 0
            while answers < 200 or messages < 30 * 200:
                p = c.receive()
                answers += p.kind == kit.SUBACK
                if p.kind == kit.PUBLISH:
                    messages += 1
                    c.send(kit.packet(kit.PUBACK, 0, struct.pack(">H", kit.Message(p, kit.V5).id)))

    def test_large_retained_messages_all_reach_a_slow_clean_client(self):
        b = self.broker("shards 2")
        pub = self.client(b, "pub")
        payload = bytes(2 * kit.MIB)
        for i in range(60):
            pub.publish(f"big/{i}", payload, qos=1, retain=True)
        sub = self.client(b, "sub")
        sub.subscribe("big/#", 1)
        self.assertEqual({sub.message().topic for _ in range(60)}, {f"big/{i}" for i in range(60)})

    def test_many_retained_messages_wait_for_a_client_with_a_short_queue(self):
        b = self.broker("shards 2\nmax_queued_messages 10")
        pub = self.client(b, "pub")
        for i in range(500):
            pub.publish(f"many/{i}", b"x", qos=1, retain=True)
        sub = self.client(b, "sub")
        sub.subscribe("many/#", 1)
        self.assertEqual({sub.message().topic for _ in range(500)}, {f"many/{i}" for i in range(500)})

    def test_a_taken_over_client_that_still_waits_hears_no_disconnect(self):
        b = self.broker("shards 1")
        for _ in range(20):
            self.client(b, "same", clean=False, expiry=3600).close()
            first, second = kit.Client(b.port), kit.Client(b.port)
            with self.at_once(b):
                first.join("same", answer=False)  # ends a durable session: CONNACK waits for the journal
                second.join("same", answer=False)
            kinds = [[p.kind for p in c.expect_closed()] if c is first else [c.expect(kit.CONNACK).kind]
                     for c in (first, second)]
            self.assertIn(kinds[0], ([], [kit.CONNACK], [kit.CONNACK, kit.DISCONNECT]))
            first.close()
            second.close()

    def test_a_will_does_not_overtake_what_its_client_published(self):
        b = self.broker("shards 2")
        sub = self.client(b, "sub")
        sub.subscribe("state", 0)
        for _ in range(20):
            c = self.client(b, "c", will=("state", b"gone"))
            c.send(c.publish_bytes("state", b"here", 0, retain=True) + kit.packet(kit.DISCONNECT, 0, b"\x04"))
            self.assertEqual([sub.message().payload for _ in range(2)], [b"here", b"gone"])
            c.close()

    def test_retained_messages_of_qos_0_do_not_pile_up(self):
        b = self.broker("shards 1")
        c = self.client(b, "c")
        before = b.resident_bytes()
        for i in range(200):
            c.send(c.publish_bytes("same", bytes([i]) * kit.MIB, 0, retain=True))
        c.ping()
        self.assertLess(b.resident_bytes() - before, kit.MEMORY_FACTOR * 100 * kit.MIB)

    def test_a_packet_of_many_filters_is_answered(self):
        b = self.broker("shards 2")
        c = self.client(b, "c")
        filters = b"".join(kit.text(f"f/{i}") + b"\1" for i in range(65535))
        c.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + filters))
        self.assertEqual(set(c.expect(kit.SUBACK).body[3:]), {1})
        c.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + filters + kit.text("f") + b"\1"))
        self.assertEqual([(p.kind, p.body[:1]) for p in c.expect_closed()], [(kit.DISCONNECT, b"\x83")])

    def test_filters_and_names_of_65535_bytes(self):
        b = self.broker("shards 2")
        c = self.client(b, "i" * 65535, clean=False, expiry=3600)
        name = "n" * 65535
        self.assertEqual(c.subscribe(name, 1), 1)
        c.send(c.publish_bytes(name, b"x", 1))
        seen = {c.receive().kind for _ in range(2)}
        self.assertEqual(seen, {kit.PUBACK, kit.PUBLISH})


if __name__ == "__main__":
    kit.main()
