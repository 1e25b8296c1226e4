#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin that takes its time for each login (tests/plugins/slow.c): whoever asked is answered, and those who are in
do not notice. How long they wait meanwhile is measured by tests/bench/plugins.py.
"""
import os
import struct
import sys
import tempfile

import kit

PLUGIN = os.environ.get("LONGLINK_TEST_PLUGINS", "") + "/slow.so"
LOGINS = 100


class Slow(kit.Test):
    def knock(self, b, i):
        """A CONNECT, whose answer is not waited for."""
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join(f"late {i}", user="late", password="x", answer=False)
        return c

    def answers(self, clients):
        return [c.expect(kit.CONNACK).body[1] for c in clients]

    def test_all_are_let_in_although_it_takes_longer_than_any_bound(self):
        # 100 times 20 ms are more than plugin_timeout, which is about one callback, and more than connect_timeout_s,
        # which is about what the client does.
        b = self.broker(f"plugin {PLUGIN}\nplugin_opt_login 20\nplugin_timeout 1\nconnect_timeout_s 1")
        self.assertEqual(self.answers([self.knock(b, i) for i in range(LOGINS)]), [0] * LOGINS)

    def test_who_is_in_goes_on_while_logins_wait(self):
        with tempfile.TemporaryDirectory() as folder:
            gate = f"{folder}/gate"
            open(gate, "w").close()
            b = self.broker(f"plugin {PLUGIN}\nplugin_opt_login 0\nplugin_opt_gate {gate}\nplugin_timeout 0\nshards 2")
            inside = [self.client(b, f"inside {i}") for i in range(8)]
            os.unlink(gate)
            late = [self.knock(b, i) for i in range(LOGINS)]
            for c in inside:
                self.assertEqual(c.subscribe("room", 1), 1)
                c.ping()
            inside[0].send(inside[0].publish_bytes("room", b"to all", 2))
            pubrec, pubcomp = 5, 7
            self.kinds(inside[0], {kit.PUBLISH, pubrec})
            inside[0].send(kit.packet(6, 2, struct.pack(">H", inside[0].next_id)))
            self.kinds(inside[0], {pubcomp})
            for c in inside[1:]:
                self.assertEqual(c.message().payload, b"to all")
            inside[1].leave()
            open(gate, "w").close()
            self.assertEqual(self.answers(late), [0] * LOGINS)

    def kinds(self, c, want):
        """Packets of these types, in any order."""
        self.assertEqual({c.receive().kind for _ in want}, want)

    def test_a_client_that_leaves_while_it_waits_is_forgotten(self):
        with tempfile.TemporaryDirectory() as folder:
            b = self.broker(f"plugin {PLUGIN}\nplugin_opt_login 0\nplugin_opt_gate {folder}/gate\nplugin_timeout 0")
            for i in range(LOGINS):
                self.knock(b, i).close()
            last = self.knock(b, LOGINS)
            open(f"{folder}/gate", "w").close()
            self.assertEqual(self.answers([last]), [0])
            last.ping()
            b.wait_metric("connections_open", lambda n: n == 1)


if __name__ == "__main__":
    if not os.path.exists(PLUGIN):
        sys.exit("LONGLINK_TEST_PLUGINS does not name a folder with slow.so")
    kit.main()
