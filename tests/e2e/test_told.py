#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an MQTT 5 client is told because the operator said so: Response Information, and another server."""
import struct

import kit

RESPONSE_INFORMATION, SERVER_REFERENCE, REASON_STRING = b"\x1a", b"\x1c", b"\x1f"


class Told(kit.Test):
    def connack(self, b, client_id, props, version=kit.V5):
        c = kit.Client(b.port)
        c.version = version
        self.addCleanup(c.close)
        body = kit.text("MQTT") + bytes([version, 2, 0, 0])
        body += kit.var_int(len(props)) + props if version == kit.V5 else b""
        c.send(kit.packet(kit.CONNECT, 0, body + kit.text(client_id)))
        p = c.expect(kit.CONNACK)
        self.assertEqual(p.body[1], 0)
        return c, p.body

    def test_response_information_is_for_those_who_ask(self):
        # option: response_information
        b = self.broker("response_information replies/%c/of 100%")
        asks = b"\x19\1"
        told = RESPONSE_INFORMATION + kit.text("replies/phone/of 100%")
        self.assertIn(told, self.connack(b, "phone", asks)[1])
        self.assertNotIn(RESPONSE_INFORMATION, self.connack(b, "phone", b"")[1])
        self.assertNotIn(RESPONSE_INFORMATION, self.connack(b, "phone", b"\x19\0")[1])
        # No part of a topic; too long; no room for it.
        self.assertNotIn(b"replies", self.connack(b, "a+b", asks)[1])
        self.assertNotIn(b"replies", self.connack(b, "x" * 2000, asks)[1])
        self.assertNotIn(b"replies", self.connack(b, "phone", asks + b"\x27" + struct.pack(">I", 30))[1])

    def test_without_the_option_there_is_none(self):
        self.assertNotIn(RESPONSE_INFORMATION, self.connack(self.broker(), "phone", b"\x19\1")[1])

    def test_clients_are_sent_to_another_server_when_the_broker_ends(self):
        # option: server_reference
        b = self.broker("server_reference other.example:1883 third.example")
        reference = SERVER_REFERENCE + kit.text("other.example:1883 third.example")
        phone, _ = self.connack(b, "phone", b"")
        small, _ = self.connack(b, "small", b"\x27" + struct.pack(">I", 30))
        terse, _ = self.connack(b, "terse", b"\x17\0")
        old, _ = self.connack(b, "old", b"", kit.V311)
        self.stop_well(b)
        said = phone.expect(kit.DISCONNECT).body
        self.assertEqual(said[:1], b"\x9c")
        self.assertIn(reference, said)
        self.assertIn(REASON_STRING, said)
        self.assertEqual(small.expect(kit.DISCONNECT).body, b"\x9c")
        self.assertEqual(terse.expect(kit.DISCONNECT).body, b"\x9c" + bytes([len(reference)]) + reference)
        self.assertEqual(old.expect_closed(), [])

    def test_without_one_they_are_told_that_it_ends(self):
        b = self.broker()
        phone, _ = self.connack(b, "phone", b"\x17\0")
        self.stop_well(b)
        self.assertEqual(phone.expect(kit.DISCONNECT).body, b"\x8b")


if __name__ == "__main__":
    kit.main()
