#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a plugin says of logins, publishes, subscriptions and wills is what happens."""
import os
import tempfile

import kit

PLUGIN = os.environ.get("LONGLINK_TEST_PLUGINS", "") + "/transcript.so"
ACL_DENIED, AUTH, DEFER = 12, 11, 17
NOT_AUTHORIZED = 0x87


class Plugin(kit.Test):
    def plugged(self, *options):
        """The plugin answers as topics say: "@aw=12" denies a publish."""
        directory = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(directory.cleanup)
        self.out = os.path.join(directory.name, "transcript")
        lines = [f"plugin {PLUGIN}", f"plugin_opt_out {self.out}", "plugin_opt_name a", *options]
        return self.broker(conf="\n".join(lines) + "\n")

    def connack(self, b, **how):
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join("c", answer=False, **how)
        return c.expect(kit.CONNACK).body[1]

    def test_a_login_is_the_plugins_to_judge(self):
        for says, named, nobody in ((0, 0, 0), (AUTH, NOT_AUTHORIZED, NOT_AUTHORIZED), (DEFER, NOT_AUTHORIZED, 0)):
            b = self.plugged(f"plugin_opt_auth {says}")
            self.assertEqual(self.connack(b, user="anna", password="x"), named)
            self.assertEqual(self.connack(b), nobody)

    def test_publishes_that_are_denied_reach_nobody_and_acknowledgements_stay_in_order(self):
        b = self.plugged()
        reader, writer = self.client(b, "reader"), self.client(b, "writer")
        reader.subscribe("#")
        topics = [f"t/{i}" if i % 3 else f"t/{i}/@aw={ACL_DENIED}" for i in range(200)]
        sent = b""
        for i, topic in enumerate(topics):
            body = kit.text(topic) + (i + 1).to_bytes(2, "big") + b"\0" + b"x"
            sent += kit.packet(kit.PUBLISH, 2, body)
        writer.send(sent)
        for i, topic in enumerate(topics):
            ack = writer.expect(kit.PUBACK).body
            self.assertEqual(int.from_bytes(ack[:2], "big"), i + 1)
            self.assertEqual(ack[2] if len(ack) > 2 else 0, NOT_AUTHORIZED if "@" in topic else 0)
        self.assertEqual([reader.message().topic for t in topics if "@" not in t], [t for t in topics if "@" not in t])

    def test_a_plugin_says_why_it_denies(self):
        b = self.plugged()
        c = self.client(b, "c")
        why = b"\x1f" + kit.text("because")
        for id, (topic, payload) in enumerate((("$CONTROL/a/v1", b"reason 151"), (f"t/@am={ACL_DENIED}", b"set a reason 151"))):
            c.send(kit.packet(kit.PUBLISH, 2, kit.text(topic) + (id + 1).to_bytes(2, "big") + b"\0" + payload))
            self.assertEqual(c.expect(kit.PUBACK).body, (id + 1).to_bytes(2, "big") + b"\x97" + bytes([len(why)]) + why)

    def test_a_filter_that_is_denied_is_refused(self):
        b = self.plugged()
        c = self.client(b, "c")
        body = (1).to_bytes(2, "big") + b"\0" + kit.text("t") + b"\0" + kit.text(f"t/@as={ACL_DENIED}") + b"\0"
        c.send(kit.packet(kit.SUBSCRIBE, 2, body))
        self.assertEqual(c.expect(kit.SUBACK).body[-2:], bytes([0, NOT_AUTHORIZED]))

    def test_a_will_goes_out_if_the_plugin_allows_it(self):
        b = self.plugged()
        reader = self.client(b, "reader")
        reader.subscribe("#")
        for topic in (f"will/@aw={ACL_DENIED}", "will/good"):
            self.client(b, "leaves", will=(topic, b"gone")).close()
        self.assertEqual(reader.message().topic, "will/good")

    def test_who_publishes_disconnects_and_closes_at_once_has_published(self):
        b = self.plugged()
        reader = self.client(b, "reader")
        reader.subscribe("#")
        for i in range(20):
            writer = self.client(b, f"writer{i}")
            writer.send(kit.packet(kit.PUBLISH, 0, kit.text(f"t/{i}") + b"\0" + b"x") + kit.packet(kit.DISCONNECT, 0, b""))
            writer.close()
        self.assertEqual({reader.message().topic for _ in range(20)}, {f"t/{i}" for i in range(20)})


if __name__ == "__main__":
    kit.main()
