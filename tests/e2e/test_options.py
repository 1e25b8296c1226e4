#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What single options do, as far as no other file looks at it."""
import contextlib
import ctypes
import errno
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import tempfile
import unittest

import kit
from edge_kit import pki

CONNECT_V311 = kit.packet(kit.CONNECT, 0, kit.text("MQTT") + b"\x04\x02\0\0" + kit.text(""))
libc = ctypes.CDLL(None, use_errno=True)
PIDFD_GETFD = 438  # the same on every architecture


def connack(address, port):
    """The return code that an anonymous client of 3.1.1 gets there."""
    with socket.create_connection((address, port), kit.WAIT_S) as s:
        s.sendall(CONNECT_V311)
        return s.recv(4)[3]


def is_peer(s, of):
    try:
        return s.getpeername() == of.getsockname()
    except OSError:
        return False


def brokers_sockets(pid):
    """All sockets that the broker has, to look at; each is closed when the next one is asked for."""
    process = os.pidfd_open(pid)
    try:
        for entry in os.listdir(f"/proc/{pid}/fd"):
            fd = libc.syscall(PIDFD_GETFD, process, int(entry), 0)
            if fd < 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
                raise unittest.SkipTest("the broker's descriptors cannot be seen")
            if fd < 0:
                continue  # closed meanwhile
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
                continue
            with socket.socket(fileno=fd) as s:
                yield s
    finally:
        os.close(process)


def brokers_side(pid, of):
    """The broker's end of a connection, to look at."""
    for s in brokers_sockets(pid):
        if is_peer(s, of):
            return s.dup()
    raise AssertionError("the broker has no such connection")


class Listeners(kit.Test):
    def test_the_old_options_make_a_listener(self):
        # option: port, bind_address
        b = self.broker(listener="port 0\nbind_address 127.0.0.2")
        self.assertEqual(connack("127.0.0.2", b.port), 0)
        with self.assertRaises(ConnectionRefusedError):
            connack("127.0.0.1", b.port)

    def test_one_kind_of_address(self):
        # option: socket_domain
        b = self.broker(listener="listener 0\nsocket_domain ipv4")
        self.assertEqual(connack("127.0.0.1", b.port), 0)
        with self.assertRaises(OSError):  # refused, or there is no IPv6
            connack("::1", b.port)

    def test_an_interface(self):
        # option: bind_interface
        b = self.broker("bind_interface lo", listener="listener 0\nsocket_domain ipv4")
        self.assertEqual(connack("127.0.0.1", b.port), 0)
        with self.assertRaises(ConnectionRefusedError):  # this machine's as well, but not the interface's first
            connack("127.0.0.2", b.port)

    def test_who_may_connect_is_each_listeners_own(self):
        # option: per_listener_settings
        b = self.broker(listener="per_listener_settings true\nlistener 0 127.0.0.1\nallow_anonymous true\n"
                                 "listener 0 127.0.0.1", allow="allow_anonymous false")
        ports = [int(p) for p in re.findall(r"listener-open .*port=(\d+)", b.text())]
        self.assertEqual([connack("127.0.0.1", port) for port in ports], [0, 5])

    def nodelay(self, conf):
        b = self.broker(conf)
        c = self.client(b, "c")
        with brokers_side(b.process.pid, c.socket) as s:
            return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    def test_small_packets_are_gathered_or_not(self):
        # option: set_tcp_nodelay
        self.assertEqual([self.nodelay(f"set_tcp_nodelay {word}") for word in ("true", "false")], [True, False])

    def tcp(self, conf, *numbers):
        """What these options of TCP are at the broker's end of a connection."""
        b = self.broker(conf)
        with brokers_side(b.process.pid, self.client(b, "c").socket) as s:
            return [s.getsockopt(socket.IPPROTO_TCP, number) for number in numbers]

    def test_what_tcp_does_for_sparse_messages(self):
        # option: tcp_notsent_lowat, tcp_thin_linear_timeouts
        thin_linear_timeouts = 16  # newer than Python's module, like the next one
        numbers = socket.TCP_NOTSENT_LOWAT, thin_linear_timeouts
        self.assertEqual(self.tcp("", *numbers), [16384, 1])
        self.assertEqual(self.tcp("tcp_notsent_lowat 4096\ntcp_thin_linear_timeouts false", *numbers), [4096, 0])

    def test_repeats_do_not_wait_for_minutes(self):
        # option: tcp_rto_max
        rto_max_ms = 44
        try:
            with socket.socket() as s:
                s.getsockopt(socket.IPPROTO_TCP, rto_max_ms)
        except OSError:
            self.skipTest("this kernel has no TCP_RTO_MAX_MS")
        said = [self.tcp(conf, rto_max_ms)[0] for conf in ("", "tcp_rto_max 2000", "tcp_rto_max 1", "tcp_rto_max 0")]
        self.assertEqual(said, [10000, 2000, 1000, 120000])

    def test_a_connection_is_accepted_with_its_first_byte(self):
        # option: tcp_defer_accept
        for conf, open_ones in ("tcp_defer_accept 60", 1), ("tcp_defer_accept 0", 2):
            b = self.broker(conf)
            with socket.create_connection(("127.0.0.1", b.port), kit.WAIT_S):
                self.client(b, "later")  # who came before would have been accepted before
                b.wait_metric("connections_open", lambda n: n >= open_ones)  # its shard may be another one
                self.assertEqual(b.metric("connections_open"), open_ones)


class Log(kit.Test):
    def said(self, conf):
        """Names of events that a client causes, and the log."""
        b = self.broker(conf)
        c = self.client(b, "c")
        c.subscribe("t")
        self.stop_well(b)
        return {name for name in ("client-connected", "client-subscribed") if f" {name} " in b.text()}, b.text()

    def test_what_is_logged(self):
        # option: log_type
        self.assertEqual(self.said("log_type notice\nlog_type debug")[0], {"client-subscribed"})
        self.assertEqual(self.said("log_type notice\nlog_type information")[0], {"client-connected"})
        self.assertEqual(self.said("")[0], {"client-connected"})

    def test_lines_may_have_no_time(self):
        # option: log_timestamp
        self.assertRegex(self.said("")[1], r"(?m)^\d{4}-\d\d-\d\dT.* notice broker-ready ")
        self.assertRegex(self.said("log_timestamp false")[1], r"(?m)^notice broker-ready ")

    def test_subscriptions_alone(self):
        self.assertEqual(self.said("log_type notice\nlog_type subscribe")[0], {"client-subscribed"})

    def test_the_time_may_have_a_format(self):
        # option: log_timestamp_format
        self.assertRegex(self.said("log_timestamp_format on %Y/%m/%d")[1],
                         r"(?m)^on \d{4}/\d\d/\d\d: notice broker-ready ")

    def test_clients_that_come_and_go_may_be_left_out(self):
        # option: connection_messages
        self.assertEqual(self.said("log_type all")[0], {"client-connected", "client-subscribed"})
        self.assertEqual(self.said("log_type all\nconnection_messages false")[0], {"client-subscribed"})

    def test_syslog(self):
        # option: log_facility
        for conf, priority in ("", 3 * 8 + 5), ("log_facility 5", 21 * 8 + 5):
            folder = tempfile.mkdtemp(prefix="longlink-e2e.")
            self.addCleanup(shutil.rmtree, folder)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.settimeout(kit.WAIT_S)
                s.bind(f"{folder}/log")
                b = self.broker(f"log_dest stderr\nlog_dest syslog {folder}/log\n{conf}")
                line = s.recv(4096).decode()
                self.assertRegex(line, rf"^<{priority}>\w+ [ \d]\d \d\d:\d\d:\d\d longlinkd\[{b.process.pid}\]: "
                                       "notice broker-start ")

    def test_lines_as_messages(self):
        # option: log_dest
        b = self.broker("log_dest stderr\nlog_dest topic\nlog_type all\nshards 3")
        watchers = [self.client(b, f"watcher{i}") for i in range(4)]
        for w in watchers:
            # Lines may come before its SUBACK.
            w.send(kit.packet(kit.SUBSCRIBE, 2, b"\0\1\0" + kit.text("$SYS/broker/log/#") + b"\0"))
            while w.receive().kind != kit.SUBACK:
                pass
        b.process.send_signal(signal.SIGHUP)
        for w in watchers:
            while not ((m := w.message()).topic == "$SYS/broker/log/N" and b" reload-done " in m.payload):
                pass


class Tried(kit.Test):
    """-t looks into the files that options name, and opens nothing."""

    def tried(self, text, status):
        with tempfile.TemporaryDirectory(prefix="longlink-e2e.") as d:
            conf = os.path.join(d, "conf")
            with open(conf, "w") as f:
                f.write(text)
            return kit.run(kit.program(), "-t", "-c", conf, status=status)

    def test_a_key_that_is_another_certificates(self):
        p = pki()
        with socket.socket() as s:  # a port that is taken is no matter of the file
            s.bind(("127.0.0.1", 0))
            s.listen()
            listener = f"listener {s.getsockname()[1]} 127.0.0.1\nallow_anonymous true\ncertfile {p.server.crt}\n"
            self.assertIn("is not the key of", self.tried(f"{listener}keyfile {p.client.key}\n", 1))
            self.assertEqual(self.tried(f"{listener}keyfile {p.server.key}\n", 0),
                             "longlinkd: the configuration is fine\n")

    def test_an_acl_file_with_a_wrong_line(self):
        with tempfile.NamedTemporaryFile("w", prefix="longlink-e2e.") as f:
            f.write("topic read a\nnonsense\n")
            f.flush()
            self.assertIn(f"{f.name}:2", self.tried(f"listener 1\nallow_anonymous true\nacl_file {f.name}\n", 1))


class Process(kit.Test):
    def test_there_are_as_many_loops_as_it_says(self):
        # option: shards
        b = self.broker("shards 3")

        def loops():
            names = []
            for path in glob.glob(f"/proc/{b.process.pid}/task/*/comm"):
                with contextlib.suppress(OSError), open(path) as f:
                    names.append(f.read().strip())
            return sorted(n for n in names if n.startswith("shard "))

        want = ["shard 0", "shard 1", "shard 2"]
        kit.wait_until(lambda: len(loops()) >= len(want), "threads that have said who they are")
        self.assertEqual(loops(), want)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_root_becomes_the_user(self):
        # option: user
        b = self.broker("user nobody")
        with open(f"/proc/{b.process.pid}/status") as f:
            uids = re.search(r"(?m)^Uid:\s+(.*)", f.read()).group(1).split()
        self.assertEqual(uids, [str(pwd.getpwnam("nobody").pw_uid)] * 4)


if __name__ == "__main__":
    kit.main()
