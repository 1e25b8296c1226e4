#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Subscription identifiers of kept sessions outlive the broker: what SUBACK has answered is on the disk."""
import os
import shutil
import struct
import tempfile

import kit


def with_id(number):
    return b"\x0b" + kit.var_int(number) if number else b""


class SubscriptionIds(kit.Test):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="longlink-e2e.")
        os.chmod(self.data, 0o755)
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def start(self):
        return self.broker(f"durability disk\npersistence_location {self.data}")

    def subscribe(self, c, filters, number):
        props = with_id(number)
        body = struct.pack(">H", 1) + kit.var_int(len(props)) + props
        c.send(kit.packet(kit.SUBSCRIBE, 2, body + b"".join(kit.text(f) + b"\1" for f in filters)))
        self.assertEqual(c.expect(kit.SUBACK).body[-len(filters):], b"\1" * len(filters))

    def props_of(self, c):
        """Of the next PUBLISH."""
        p = c.expect(kit.PUBLISH)
        at = 4 + struct.unpack_from(">H", p.body)[0]  # topic and packet id
        c.send(kit.packet(kit.PUBACK, 0, p.body[at - 2:at]))
        return p.body[at + 1:at + 1 + p.body[at]]

    def test_kill_9_keeps_them(self):
        b = self.start()
        phone = self.client(b, "phone", clean=False, expiry=3600)
        self.subscribe(phone, ["a/#", "b"], 268435455)
        self.subscribe(phone, ["c"], 1)
        self.subscribe(phone, ["c"], 0)  # takes it away again
        self.subscribe(phone, ["b"], 7)  # replaces it
        for topic in ("a/x", "b", "c"):
            self.client(b).publish(topic, b"waits", 1)
        for _ in range(2):
            self.kill(b)
            phone.close()
            b = self.start()
            phone = self.client(b, "phone", clean=False, expiry=3600)
            got = [self.props_of(phone) for _ in range(3)]
            self.assertEqual(got, [with_id(268435455), with_id(7), b""])
            phone.ping()
            for topic in ("a/y", "b", "c"):
                self.client(b).publish(topic, b"live", 1)
            # The next start sends these again.
            for _ in range(3):
                phone.expect(kit.PUBLISH)


if __name__ == "__main__":
    kit.main()
