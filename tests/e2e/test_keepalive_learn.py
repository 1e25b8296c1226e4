#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What clients are told of the keepalive that the broker has learned, what the kernel is told, and what is kept. Real
time passes here: the intervals are as short as they can be."""
import os
import shutil
import socket
import sqlite3
import tempfile

import kit
from test_options import brokers_side

LEARNS = "keepalive_mode learn\nkeepalive_raise all\n"
SHORT = LEARNS + "keepalive_min 1\nkeepalive_start 2\nkeepalive_step 3\nkeepalive_probes 0\n"


def tcp(b, client, *numbers):
    with brokers_side(b.process.pid, client.socket) as s:
        return [s.getsockopt(socket.IPPROTO_TCP, number) for number in numbers]


class Told(kit.Test):
    def test_the_kernel_probes_a_client_that_cannot_be_told(self):
        b = self.broker("keepalive_mode learn")
        old = self.client(b, "old", version=kit.V311, keepalive=600)
        short = self.client(b, "short", version=kit.V311, keepalive=100)
        with brokers_side(b.process.pid, old.socket) as s:
            self.assertNotEqual(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0)
        with brokers_side(b.process.pid, short.socket) as s:
            self.assertEqual(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0)
        idle, again, most = tcp(b, old, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        self.assertEqual(idle, 240)
        self.assertGreaterEqual(idle + again * most, 600 * 3 // 2)

    def test_an_unmodified_client_obeys_what_it_is_told(self):
        if not kit.have("mosquitto_sub"):
            self.skipTest("mosquitto-clients is not installed")
        b = self.broker(SHORT)
        r = kit.Running(*kit.sub(b, "-i", "phone", "-V", "5", "-k", "600", "-t", "x", "-d")).wait("SUBACK")
        r.wait("PINGREQ")  # after two seconds, and not after ten minutes
        r.process.kill()
        r.end()

    def test_what_was_learned_is_there_after_a_restart(self):
        if not kit.have("mosquitto_sub"):
            self.skipTest("mosquitto-clients is not installed")
        folder = tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(shutil.rmtree, folder, True)
        conf = SHORT + f"persistence_location {folder}\ndurability disk\n"
        b = self.broker(conf)
        r = kit.Running(*kit.sub(b, "-i", "phone", "-V", "5", "-k", "600", "-t", "x", "-d")).wait("SUBACK")
        kit.wait_until(lambda: sum("PINGRESP" in line for line in r.lines) >= 7, "seven intervals that held")
        r.process.kill()
        r.end()
        self.stop_well(b)
        rows = self.rows(folder)
        self.assertEqual(len(rows), 1)
        self.assertGreaterEqual(rows[0][0], 2)
        again = self.broker(conf)
        self.client(again, "phone", version=kit.V5, keepalive=600)
        said = kit.wait_file(again.log, r" client-connected .*keepalive_s=(\d+).*\n")
        self.assertEqual(int(said.group(1)), rows[0][1])

    def rows(self, folder):
        with sqlite3.connect(os.path.join(folder, "longlink.db")) as db:
            return db.execute("SELECT proven_s, k_s FROM keepalive").fetchall()


class Pushes(kit.Test):
    USER_TIMEOUT = 18  # newer than some modules

    def test_an_idle_connection_has_no_time_limit_of_its_own(self):
        b = self.broker()
        reader = self.client(b, "reader", keepalive=600)
        reader.subscribe("t")
        self.client(b, "writer").publish("t", b"1")
        reader.message()
        self.assertEqual(tcp(b, reader, self.USER_TIMEOUT), [0])


if __name__ == "__main__":
    kit.main()
