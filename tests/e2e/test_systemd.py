#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears (sd_notify(3)): ready, reloading, stopping, and alive as long as every event loop turns."""
import ctypes
import os
import signal
import socket
import tempfile
import unittest

import kit

PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(kit.WAIT_S)
        self.socket.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        self.name = name

    def hear(self):
        """The next message, as a dictionary."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def hear_of(self, key):
        """Passes over all messages without this key."""
        while True:
            said = self.hear()
            if key in said:
                return said

    def waiting(self):
        """All messages that have come."""
        got = []
        self.socket.setblocking(False)
        try:
            while True:
                got.append(self.hear())
        except BlockingIOError:
            self.socket.settimeout(kit.WAIT_S)
            return got


class Case(kit.Test):
    def manager(self, name=None):
        m = Manager(name or os.path.join(tempfile.mkdtemp(prefix="longlink-e2e."), "notify"))
        self.addCleanup(m.socket.close)
        if not m.name.startswith("@"):
            self.addCleanup(kit.shutil.rmtree, os.path.dirname(m.name))
        return m

    def managed(self, manager, **env):
        return self.broker(env={"NOTIFY_SOCKET": manager.name, **env})


class Notify(Case):
    def test_it_is_ready_when_clients_can_connect(self):
        m = self.manager()
        b = kit.Broker(env={"NOTIFY_SOCKET": m.name})
        self.addCleanup(b.remove)
        self.addCleanup(self.stop_well, b)
        self.assertEqual(m.hear()["READY"], "1")
        b.port = int(kit.wait_file(b.log, r" listener-open .*port=(\d+)").group(1))
        self.client(b, "c").ping()

    def test_a_name_that_is_no_path(self):
        m = self.manager(f"@longlink-e2e-{os.getpid()}")
        self.managed(m)
        self.assertEqual(m.hear()["READY"], "1")

    def test_a_manager_that_is_gone_is_no_trouble(self):
        m = self.manager()
        b = self.managed(m)
        m.socket.close()
        self.assertIn(" reload-done ", b.reload())
        self.client(b, "c").ping()

    def test_a_reload_is_told_and_its_end_whether_it_went_well_or_not(self):
        m = self.manager()
        b = self.managed(m)
        m.hear_of("READY")
        b.process.send_signal(signal.SIGHUP)
        said = m.hear()
        self.assertEqual(said["RELOADING"], "1")
        self.assertGreater(int(said["MONOTONIC_USEC"]), 0)
        self.assertEqual(m.hear()["READY"], "1")
        with open(b.conf, "a") as f:
            f.write("no_such_option 1\n")
        b.process.send_signal(signal.SIGHUP)
        self.assertEqual(m.hear()["RELOADING"], "1")
        said = m.hear()
        self.assertEqual(said["READY"], "1")
        self.assertIn("wrong", said["STATUS"])

    def test_a_stop_is_told_when_it_begins(self):
        m = self.manager()
        b = self.managed(m)
        m.hear_of("READY")
        b.process.send_signal(signal.SIGTERM)
        self.assertEqual(m.hear()["STOPPING"], "1")


class Watchdog(Case):
    def attach(self, b, name):
        """Stops one thread of the broker, as a loop that hangs; gives what lets it go on."""
        libc = ctypes.CDLL(None, use_errno=True)
        tid = int(next(t for t in os.listdir(f"/proc/{b.process.pid}/task") if self.name_of(b, t) == name))
        if libc.ptrace(PTRACE_ATTACH, tid, None, None) != 0:
            self.skipTest(f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.waitpid(tid, WALL)
        return lambda: libc.ptrace(PTRACE_DETACH, tid, None, None)

    def name_of(self, b, tid):
        with open(f"/proc/{b.process.pid}/task/{tid}/comm") as f:
            return f.read().strip()

    def stuck(self, b):
        return b.text().count(" loop-stuck ")

    def test_it_is_fed_while_all_loops_turn_and_not_while_one_hangs(self):
        m = self.manager()
        b = self.broker("shards 3", env={"NOTIFY_SOCKET": m.name, "WATCHDOG_USEC": "4000000"})  # each loop has a second
        for _ in range(3):
            m.hear_of("WATCHDOG")
        self.assertEqual(self.stuck(b), 0)
        go_on = self.attach(b, "shard 1")
        kit.wait_until(lambda: self.stuck(b) >= 1, "loop-stuck in the log")
        m.waiting()
        kit.wait_until(lambda: self.stuck(b) >= 4, "loop-stuck in the log, again")
        self.assertEqual(m.waiting(), [])
        go_on()
        m.hear_of("WATCHDOG")

    def test_it_is_fed_though_signals_come_all_the_time(self):
        m = self.manager()
        b = self.managed(m, WATCHDOG_USEC="80000")
        m.hear_of("READY")
        fed = 0
        while fed < 3:
            b.process.send_signal(signal.SIGUSR2)
            fed += sum("WATCHDOG" in said for said in m.waiting())

    def test_the_watchdog_of_another_process_is_not_fed(self):
        m = self.manager()
        b = self.managed(m, WATCHDOG_USEC="10000", WATCHDOG_PID="1")
        for _ in range(20):
            b.process.send_signal(signal.SIGHUP)
            m.hear_of("READY")
        self.assertEqual([said for said in m.waiting() if "WATCHDOG" in said], [])
        b.process.send_signal(signal.SIGTERM)
        while "STOPPING" not in (said := m.hear()):
            self.assertNotIn("WATCHDOG", said)


if __name__ == "__main__":
    kit.main()
