#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: clients are told, what was acknowledged is there at the next start, and the process ends with status 0 within
five seconds, whatever its clients do. How long it took is printed."""
import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import unittest

import kit

SHUTTING_DOWN = 0x8B
# What a sanitizer costs is not the broker's; the deadline inside the process is the same.
STOP_S = 5.0 if not os.environ.get("LONGLINK_SANITIZE") else 30.0
CLIENTS = 10000 if not os.environ.get("LONGLINK_SANITIZE") else 2000


class Flood:
    """The same packets for ever, to a client that never waits."""

    def __init__(self, client, packets):
        self.socket, self.packets, self.left = client.socket, packets, b""
        self.socket.setblocking(False)

    def send(self):
        """Some of it, if it goes: part of a packet may be left for the next time."""
        self.left = self.left or self.packets
        with contextlib.suppress(BlockingIOError):
            self.left = self.left[self.socket.send(self.left):]


class Case(kit.Test):
    def stop(self, b, signals=(signal.SIGTERM,)):
        """Gives what the log says after it has ended in good order and in time."""
        b.is_over = True
        began = time.monotonic()
        for s in signals:
            b.process.send_signal(s)
        status = b.process.wait(kit.WAIT_S)
        took = time.monotonic() - began
        b.log_file.close()
        print(f"  {self.id().split('.')[-1]}: {took:.2f} s", file=sys.stderr)
        self.assertEqual(status, 0, b.text()[-3000:])
        self.assertLess(took, STOP_S)
        if STOP_S == 5.0:
            self.assertNotIn(" stop-cut ", b.text())
        return b.text()

    def durable(self, conf="", **more):
        return self.broker("durability disk\npersistence_location {}\n".format(self.folder()) + conf, **more)

    def folder(self):
        if not hasattr(self, "kept_in"):
            self.kept_in = kit.tempfile.mkdtemp(prefix="longlink-e2e.")
            self.addCleanup(kit.shutil.rmtree, self.kept_in, ignore_errors=True)
        return self.kept_in

    def expect_told(self, c):
        last = c.expect_closed()[-1]
        self.assertEqual((last.kind, last.body[0]), (kit.DISCONNECT, SHUTTING_DOWN))


class Clients(Case):
    def test_clients_are_told_and_the_older_ones_closed(self):
        b = self.broker()
        new, old = self.client(b, "new"), self.client(b, "old", version=kit.V311)
        self.stop(b)
        self.expect_told(new)
        self.assertEqual(old.expect_closed(), [])

    def test_who_has_said_nothing_yet_has_done_nothing_wrong(self):
        b = self.broker()
        with socket.create_connection(("127.0.0.1", b.port)) as s:
            s.sendall(b"\x10")  # a CONNECT begins
            b.wait_metric("connections_open", lambda n: n == 1)
            self.assertNotIn(" peer-protocol-error ", self.stop(b))

    def test_one_that_sends_without_end_is_told(self):
        """Closed under what it sends, it would see a reset in place of the reason."""
        b = self.broker()
        c = self.client(b, "c")
        flood, told = Flood(c, c.publish_bytes("a", b"x" * 1000) * 20), []
        b.process.send_signal(signal.SIGTERM)
        while not told:
            flood.send()
            with contextlib.suppress(BlockingIOError):
                told.append(c.socket.recv(1000))
        self.assertEqual(told[0][:1], bytes([kit.DISCONNECT << 4]))
        length_bytes = 2 if told[0][1] > 127 else 1
        self.assertEqual(told[0][1 + length_bytes], SHUTTING_DOWN)

    def test_ten_thousand_of_which_many_do_not_read(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = min(CLIENTS, hard - 200)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        b = self.durable()
        clients = [self.client(b, f"c{i}", expiry=600 if i % 2 else None) for i in range(count)]
        for c in clients[::5]:
            c.subscribe("flood")
        publisher = self.client(b, "publisher")
        for _ in range(50):
            publisher.publish("flood", b"x" * 10000)
        publisher.ping()
        self.stop(b)
        self.expect_told(publisher)
        for c in clients[1::50]:
            self.expect_told(c)

    def test_a_program_that_is_stopped(self):
        b = self.broker()
        reader = subprocess.Popen(["mosquitto_sub", "-p", str(b.port), "-t", "#"], stdout=subprocess.DEVNULL)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        b.wait_metric("subscriptions", lambda n: n == 1)
        reader.send_signal(signal.SIGSTOP)
        c = self.client(b, "c")
        for _ in range(400):
            c.publish("a", b"x" * 50000)
        c.ping()
        self.stop(b)
        self.expect_told(c)


class Journal(Case):
    def test_what_was_acknowledged_is_there_and_a_second_sigterm_changes_nothing(self):
        b = self.durable()
        self.client(b, "absent", expiry=600).subscribe("a", 1)
        c = self.client(b, "c")
        c.send(b"".join(c.publish_bytes("a", str(i).encode(), 1) for i in range(20000)))
        c.expect(kit.PUBACK)
        self.stop(b, (signal.SIGTERM, signal.SIGTERM, signal.SIGINT))
        packets = c.expect_closed()
        acknowledged = 1 + sum(p.kind == kit.PUBACK for p in packets)
        again = self.durable()
        absent = self.client(again, "absent", clean=False, expiry=600)
        for i in range(acknowledged):
            self.assertEqual(int(absent.message().payload), i)

    def test_a_backlog_that_waits_for_the_tables(self):
        """In the middle of a fold, and with the journal's queue full."""
        b = self.durable()
        for i in range(20):
            self.client(b, f"absent{i}", expiry=600).subscribe("a", 1)
        publishers = [self.client(b, f"p{i}") for i in range(8)]
        floods = [Flood(p, p.publish_bytes("a", b"x" * 300, 1) * 100) for p in publishers]

        def flood():
            for f in floods:
                for _ in range(20):
                    f.send()
                with contextlib.suppress(BlockingIOError):
                    while f.socket.recv(1 << 18):
                        pass
            return b.metric("unfolded_bytes") > 8 * kit.MIB

        kit.wait_until(flood, "a backlog for the fold")
        self.stop(b)
        again = self.durable()
        self.client(again, "absent0", clean=False, expiry=600).message()

    def test_a_log_that_nobody_reads(self):
        """The deadline: the log's thread hangs in a full pipe."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        b = kit.Broker("log_dest stdout\nlog_type all\nlog_dest stderr")
        self.addCleanup(b.remove)
        b.stop()
        with open(b.conf, "a") as f:
            f.write(f"log_dest file {b.dir}/other\n")
        process = subprocess.Popen([kit.program(), "-c", b.conf], stdout=write, stderr=subprocess.DEVNULL)
        os.close(write)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        port = int(kit.wait_file(f"{b.dir}/other", r" listener-open .*port=(\d+)").group(1))
        c = kit.Client(port)
        self.addCleanup(c.close)
        c.join("c")

        def is_full():
            process.send_signal(signal.SIGUSR2)
            with open(f"/proc/{process.pid}/task/{self.thread(process.pid, 'log')}/wchan") as f:
                return "pipe" in f.read()

        kit.wait_until(is_full, "a full pipe")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(kit.WAIT_S), 0)
        print(f"  {self.id().split('.')[-1]}: {time.monotonic() - began:.2f} s", file=sys.stderr)
        self.assertLess(time.monotonic() - began, STOP_S)
        self.expect_told(c)

    def thread(self, pid, name):
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/comm") as f:
                if f.read().strip() == name:
                    return t
        return None


if __name__ == "__main__":
    kit.main()
