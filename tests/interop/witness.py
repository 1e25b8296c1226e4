# SPDX-License-Identifier: Apache-2.0
"""Who publishes to the clients that are tested, and hears what they publish: a client by hand that knows QoS 2."""
import struct

import kit

PUBREC, PUBREL, PUBCOMP = 5, 6, 7


class Witness(kit.Client):
    """Gets `heard`, as an application would: what comes with QoS 2 once. `wrong`: what the broker must not do."""

    def __init__(self, port, client_id="witness", version=kit.V5):
        super().__init__(port)
        self.heard, self.wrong = [], []
        self.open, self.under_way = set(), {}
        self.version = version
        self.join(client_id, version)

    def turn(self):
        self.take(self.receive())

    def take(self, p):
        if p.kind == kit.PUBLISH:
            self.on_message(kit.Message(p, self.version))
        elif p.kind == PUBREL:
            packet_id = struct.unpack_from(">H", p.body)[0]
            self.open.discard(packet_id)
            self.send(kit.packet(PUBCOMP, 0, p.body[:2]))
        elif p.kind in (kit.PUBACK, PUBREC, PUBCOMP):
            self.on_answer(p)
        else:
            self.wrong.append(p)

    def on_message(self, m):
        answer = {1: kit.PUBACK, 2: PUBREC}.get(m.qos)
        if answer:
            self.send(kit.packet(answer, 0, struct.pack(">H", m.id)))
        if m.qos == 2 and m.id in self.open:
            self.wrong.append(f"the id {m.id} is in use")  # a connection that was never lost has no repeats
            return
        if m.qos == 2:
            self.open.add(m.id)
        self.heard.append(m)

    def on_answer(self, p):
        packet_id = struct.unpack_from(">H", p.body)[0]
        if self.under_way.get(packet_id) != p.kind or len(p.body) > 2 and p.body[2] >= 0x80:
            self.wrong.append(p)
        elif p.kind == PUBREC:
            self.under_way[packet_id] = PUBCOMP
            self.send(kit.packet(PUBREL, 2, p.body[:2]))
        else:
            del self.under_way[packet_id]

    def tell_all(self, topic, payloads, qos, window=20):
        """Publishes them all; the last is acknowledged when it returns."""
        for payload in payloads:
            while len(self.under_way) >= window:
                self.turn()
            self.send(self.publish_bytes(topic, payload, qos))
            if qos:
                self.under_way[self.next_id] = kit.PUBACK if qos == 1 else PUBREC
        while self.under_way:
            self.turn()

    def hear(self, count):
        try:
            while len(self.heard) < count:
                self.turn()
        except TimeoutError:
            raise AssertionError(f"{len(self.heard)} of {count}: {[m.payload for m in self.heard]}") from None
        return self.heard

    def ping_through(self):
        """What is on its way to us has come."""
        self.send(kit.packet(kit.PINGREQ, 0, b""))
        while True:
            p = self.receive()
            if p.kind == kit.PINGRESP:
                return
            self.take(p)
