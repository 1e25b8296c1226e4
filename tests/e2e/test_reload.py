#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: the configuration is read again; all of it holds, or nothing has changed. Nobody who may stay notices."""
import os
import re
import signal
import socket
import struct
import threading
import unittest

import kit
from test_options import brokers_side

ADMINISTRATIVE, NOT_ALLOWED = 0x98, 0x83


class Case(kit.Test):
    def reload(self, b, conf=None, listener=None, expect="done"):
        """Another configuration, in place of the first; gives what the log says since. conf None: as it is."""
        if conf is not None or listener is not None:
            with open(b.conf + ".new", "w") as f:
                f.write(f"{listener or 'listener 0 127.0.0.1'}\nallow_anonymous true\nuser root\n"
                        f"persistence false\n{conf or ''}\n")
            os.rename(b.conf + ".new", b.conf) # a reload that is under way reads the one or the other
        said = b.reload()
        self.assertIn(f" reload-{expect} ", said)
        return said

    def client_at(self, port, client_id="", **more):
        c = kit.Client(port)
        self.addCleanup(c.close)
        c.join(client_id, **more)
        return c


def port_of(said):
    return int(re.search(r" listener-open .*port=(\d+)", said).group(1))


def taken_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1], s


class Listeners(Case):
    def test_one_that_is_new_accepts_and_the_others_keep_their_sockets_and_clients(self):
        b = self.broker()
        here = self.client(b, "here")
        # option: listener
        said = self.reload(b, "", "listener 0 127.0.0.1\nlistener 0 127.0.0.1")
        self.assertEqual(said.count(" listener-open "), 1)
        there = self.client_at(port_of(said), "there")
        there.subscribe("a")
        here.publish("a", b"1")
        self.assertEqual(there.message().payload, b"1")
        self.client(b, "again").ping()

    def test_what_tcp_does_is_changed_for_the_connections_to_come(self):
        b = self.broker("tcp_notsent_lowat 4096")
        self.reload(b, "tcp_notsent_lowat 8192")
        with brokers_side(b.process.pid, self.client(b, "after").socket) as s:
            self.assertEqual(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT), 8192)

    def test_one_that_is_gone_ends_its_clients_and_frees_its_port(self):
        b = self.broker(listener="listener 0 127.0.0.1\nlistener 0 127.0.0.1")
        ports = [int(p) for p in re.findall(r" listener-open .*port=(\d+)", b.text())]
        stays, goes = self.client_at(ports[0], "stays"), self.client_at(ports[1], "goes")
        old, silent = self.client_at(ports[1], "old", version=kit.V311), kit.Client(ports[1])
        self.addCleanup(silent.close)
        b.wait_metric("connections_open", lambda n: n == 4)
        self.reload(b, "")
        last = goes.expect_closed()[-1]
        self.assertEqual((last.kind, last.body[0]), (kit.DISCONNECT, ADMINISTRATIVE))
        self.assertEqual(old.expect_closed(), [])
        self.assertEqual(silent.expect_closed(), [])
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", ports[1]))
        stays.ping()
        for c in (goes, old, silent):
            c.close()
        # Its place is taken by the next one, once its connections have ended.
        b.wait_metric("connections_open", lambda n: n == 1)
        said = self.reload(b, "", "listener 0 127.0.0.1\nlistener 0 127.0.0.1\nmax_qos 1")
        self.client_at(port_of(said), "new").ping()
        stays.ping()

    def test_the_same_port_moves_to_another_address(self):
        port = kit.free_port()
        b = self.broker(listener=f"listener {port} 127.0.0.1")
        c = self.client(b, "c")
        said = self.reload(b, "", f"listener {port} 0.0.0.0")
        self.assertIn(" listener-closed ", said)
        self.assertEqual(c.expect_closed()[-1].body[0], ADMINISTRATIVE)
        self.client(b, "c").ping()

    def test_one_on_a_path_comes_stays_and_goes_with_its_file(self):
        b = self.broker()
        path, conf = f"{b.dir}/socket", "listener 0 127.0.0.1\nlistener 0 {}"

        def client():
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.settimeout(kit.WAIT_S)
            s.connect(path)
            s.sendall(kit.packet(kit.CONNECT, 0, kit.text("MQTT") + b"\5\2\0\0\0" + kit.text("")))
            self.assertEqual(s.recv(1000)[0], kit.CONNACK << 4)
            return s

        self.reload(b, "", conf.format(path))
        first, was = client(), os.stat(path)
        self.reload(b, "max_keepalive 100", conf.format(path))
        self.assertEqual((os.stat(path).st_ino, os.stat(path).st_ctime_ns), (was.st_ino, was.st_ctime_ns))
        second = client()
        # Nothing has changed: the file is still there, and the one that was to come is not.
        self.reload(b, "no_such_option 1", conf.format(path + ".other"), expect="failed")
        self.reload(b, "", conf.format(path + ".other") + "\nlistener 0 192.0.2.1", expect="failed")
        self.assertFalse(os.path.exists(path + ".other"))
        client()
        self.reload(b, "")
        self.assertFalse(os.path.exists(path))
        for s in (first, second):
            self.assertEqual(s.recv(1000)[::2][:2], bytes([kit.DISCONNECT << 4, ADMINISTRATIVE]))

    def test_a_port_that_is_taken_changes_nothing(self):
        b = self.broker("max_keepalive 100")
        taken, holder = taken_port()
        holder.listen()
        self.addCleanup(holder.close)
        c = self.client(b, "c")
        free = kit.free_port()
        said = self.reload(b, "max_keepalive 200", f"listener {taken} 127.0.0.1\nlistener {free} 127.0.0.1",
                           expect="failed")
        self.assertRegex(said, rf'listener-failed .*port={taken} .*in use')
        c.ping()
        self.client(b, "d").ping()
        with self.assertRaises(ConnectionRefusedError):
            kit.Client(free)
        with socket.socket() as s:
            s.bind(("127.0.0.1", free))

    def test_a_move_of_a_port_that_fails_leaves_it_where_it_was(self):
        port = kit.free_port()
        b = self.broker(listener=f"listener {port} 127.0.0.1")
        taken, holder = taken_port()
        holder.listen()
        self.addCleanup(holder.close)
        c = self.client(b, "c")
        self.reload(b, "", f"listener {port} 0.0.0.0\nlistener {taken} 127.0.0.1", expect="failed")
        c.ping()
        self.client(b, "d").ping()


class Values(Case):
    def test_an_error_changes_nothing_and_every_one_is_said(self):
        b = self.broker("message_size_limit 10")
        c = self.client(b, "c")
        said = self.reload(b, "message_size_limit 20\nmax_keepalive 5\nmax_keepalve 100", expect="failed")
        self.assertRegex(said, r"config-error .*max_keepalive.*allowed")
        self.assertRegex(said, r"config-error .*max_keepalve.*did you mean")
        self.assertEqual(c.publish("a", b"x" * 15, 1), NOT_ALLOWED)
        said = self.reload(b, "message_size_limit 20")
        self.assertRegex(said, "reload-done .*options=1")
        self.assertNotEqual(c.publish("a", b"x" * 15, 1), NOT_ALLOWED)

    def test_what_is_read_at_the_start_only_stays_and_is_said(self):
        b = self.broker("max_queued_messages 5")
        said = self.reload(b, "max_queued_messages 7\nshards 3\ndurability os")
        for name in ("max_queued_messages", "shards", "durability"):
            self.assertRegex(said, rf'restart-needed option="{name}" .*:\d+')
        said = self.reload(b, "max_queued_messages 5")
        self.assertNotIn("restart-needed", said)

    def test_a_file_that_is_gone_changes_nothing(self):
        b = self.broker()
        c = self.client(b, "c")
        os.rename(b.conf, b.conf + ".away")
        self.reload(b, expect="failed")
        c.ping()
        os.rename(b.conf + ".away", b.conf)
        self.reload(b)


class Log(Case):
    def test_it_goes_elsewhere_with_other_lines_in_another_form(self):
        b = self.broker()
        other = os.path.join(b.dir, "other")
        self.reload(b, f"log_dest file {other}\nlog_dest stderr\nlog_type debug\nlog_type notice\nlog_timestamp false")
        self.client(b, "c").subscribe("t")
        kit.wait_file(other, "^debug client-subscribed ")
        self.assertNotIn(" client-connected ", b.text())
        self.reload(b, "")
        self.client(b, "d").subscribe("t")
        kit.wait_file(b.log, " client-connected .*d")
        with open(other) as f:
            self.assertNotIn('"d"', f.read())

    def test_what_cannot_be_opened_changes_nothing(self):
        b = self.broker("message_size_limit 10")
        c = self.client(b, "c")
        said = self.reload(b, "message_size_limit 20\nlog_dest file /no/such/folder/log", expect="failed")
        self.assertRegex(said, r'log-dest-failed .*path="/no/such/folder/log" set_at=".*conf:\d+"')
        self.assertEqual(c.publish("a", b"x" * 15, 1), NOT_ALLOWED)

    def test_a_file_is_opened_again_also_when_something_is_wrong(self):
        folder = kit.tempfile.mkdtemp(prefix="longlink-e2e.")
        self.addCleanup(kit.shutil.rmtree, folder)
        path = os.path.join(folder, "log")
        conf = f"log_dest stderr\nlog_dest file {path}\n"
        b = self.broker(conf)
        for more, expect in ("", "done"), ("no_such_option 1", "failed"):
            os.rename(path, path + ".1")
            self.reload(b, conf + more, expect=expect)
            kit.wait_until(lambda: os.path.exists(path), "the file, again")


class Options(Case):
    """Each that may change while the broker runs: what it does before, and after, a reload."""

    def changes(self, before, after, look, listener="listener 0 127.0.0.1"):
        """What look(broker) gives under the one and the other; a listener option goes to the listener."""
        b = self.broker(before, listener=listener)
        first = look(b)
        self.reload(b, after, listener)
        return first, look(b)

    def connack(self, b, **more):
        """The properties that a new client is told."""
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        c.join("c", answer=False, **more)
        return c.expect(kit.CONNACK).body[3:]

    def test_what_a_new_client_is_told(self):
        for option, one, other, prop in (
                ("max_keepalive", 100, 200, ">BH"), ("max_packet_size", 1000, 2000, ">BI"),
                ("receive_maximum", 7, 9, ">BH"), ("max_qos", 0, 1, ">BB"), ("max_topic_alias", 3, 4, ">BH")):
            number = {"max_keepalive": 0x13, "max_packet_size": 0x27, "receive_maximum": 0x21, "max_qos": 0x24,
                      "max_topic_alias": 0x22}[option]
            with self.subTest(option):
                first, then = self.changes(f"{option} {one}", f"{option} {other}", self.connack)
                self.assertIn(struct.pack(prop, number, one), first)
                self.assertIn(struct.pack(prop, number, other), then)

    def test_how_long_a_session_is_kept(self):
        first, then = self.changes("persistent_client_expiration 2h", "persistent_client_expiration 3h",
                                   lambda b: self.connack(b, expiry=100000))
        self.assertIn(b"\x11" + (7200).to_bytes(4, "big"), first)
        self.assertIn(b"\x11" + (10800).to_bytes(4, "big"), then)

    def test_response_information(self):
        def look(b):
            c = kit.Client(b.port)
            self.addCleanup(c.close)
            c.send(kit.packet(kit.CONNECT, 0, kit.text("MQTT") + b"\5\2\0\0\2\x19\1" + kit.text("c")))
            return c.expect(kit.CONNACK).body
        first, then = self.changes("response_information one", "response_information two", look)
        self.assertIn(b"\x1a" + kit.text("one"), first)
        self.assertIn(b"\x1a" + kit.text("two"), then)

    def test_what_a_client_was_told_holds_for_it(self):
        b = self.broker("max_packet_size 1000\nreceive_maximum 8\nmax_qos 1\nmax_topic_alias 8")
        told = self.client(b, "told")
        self.reload(b, "max_packet_size 100\nreceive_maximum 1\nmax_qos 0\nmax_topic_alias 0\nretain_available false")
        told.publish("a", b"x" * 900, 1)
        told.publish("a", b"x", 1, retain=True)
        told.send(kit.packet(kit.PUBLISH, 0, kit.text("a") + b"\3\x23\0\x08" + b"x"))
        told.ping()
        new = self.client(b, "new")
        new.send(new.publish_bytes("a", b"x" * 900))
        self.assertEqual(new.expect_closed()[-1].body[0], 0x95)

    def test_whether_messages_are_retained(self):
        def look(b):
            c = self.client(b, "c")
            c.send(c.publish_bytes("a", b"x", retain=True) + kit.packet(kit.PINGREQ, 0, b""))
            return c.receive().kind
        self.assertEqual(self.changes("retain_available true", "retain_available false", look),
                         (kit.PINGRESP, kit.DISCONNECT))

    def test_how_many_are_under_way(self):
        def look(b):
            c, p = self.client(b, "c"), self.client(b, "p")
            c.subscribe("a", 1)
            for i in range(5):
                p.publish("a", b"%d" % i, 1)
            got = {m.payload for m in [c.message(acknowledge=False)] + c.catch_up()}
            c.close()
            b.wait_metric("clients_connected", lambda n: n == 1)
            p.close()
            b.wait_metric("clients_connected", lambda n: n == 0)
            return len(got)
        self.assertEqual(self.changes("max_inflight_messages 1\nshards 1", "max_inflight_messages 3\nshards 1", look), (1, 3))

    def test_duplicates(self):
        def look(b):
            c = self.client(b, "c")
            c.subscribe("a", 1)
            mid = b"\x26" + kit.text("mid") + kit.text("1")
            some = kit.packet(kit.PUBLISH, 2, kit.text("a") + b"\0\1" + kit.var_int(len(mid)) + mid + b"x")
            for _ in range(2):
                c.send(some)
            kinds = [c.receive().kind for _ in range(3)]
            while kinds.count(kit.PUBACK) < 2:
                kinds.append(c.receive().kind)
            return kinds.count(kit.PUBLISH) + len(c.catch_up())
        # Remembered from the first look are both: so one is delivered, then none held back.
        self.assertEqual(self.changes("duplicate_window 600", "duplicate_window 0", look), (1, 2))

    def test_delayed_messages(self):
        def look(b):
            return self.client(b, "c").publish("$delayed/1000/a", b"x", 1)
        self.assertEqual([code >= 0x80 for code in self.changes("max_delayed_messages 9", "max_delayed_messages 0", look)],
                         [False, True])

    def test_more_delayed_messages(self):
        def look(b):
            c = self.client(b, "c")
            return [c.publish("$delayed/1000/a", b"x", 1) >= 0x80 for _ in range(9)].count(False)
        self.assertEqual(self.changes("max_delayed_messages 2", "max_delayed_messages 9", look), (2, 7))

    def test_who_may_come(self):
        def look(b):
            c = kit.Client(b.port)
            self.addCleanup(c.close)
            return c.join("")[1] >= 0x80
        b = self.broker()
        self.assertEqual(look(b), False)
        self.reload(b, "allow_anonymous false")
        self.assertEqual(look(b), True)

    def test_how_many_may_come(self):
        def look(b):
            clients = [kit.Client(b.port) for _ in range(3)]
            for c in clients:
                c.join("", answer=False)
            answered = 0
            for c in clients:
                try:
                    answered += c.receive().kind == kit.CONNACK
                except kit.Closed:
                    pass
            for c in clients:  # not before all have been judged: a place that is left is taken
                c.close()
            b.wait_metric("connections_open", lambda n: n == 0)
            return answered
        self.assertEqual(self.changes("max_connections 1", "max_connections 2", look), (1, 2))

    def test_how_long_a_connect_may_take(self):
        b = self.broker("connect_timeout_s 3600")
        self.reload(b, "connect_timeout_s 1")
        silent = kit.Client(b.port)
        self.addCleanup(silent.close)
        self.assertEqual(silent.expect_closed(), [])

    def test_another_server(self):
        b = self.broker("server_reference one")
        c = self.client(b, "c")
        self.reload(b, "server_reference two")
        b.process.send_signal(signal.SIGTERM)
        self.assertIn(kit.text("two"), c.expect_closed()[-1].body)

    def test_what_it_says_of_itself(self):
        b = self.broker("sys_interval 0")
        c = self.client(b, "c")
        c.subscribe("$SYS/broker/version")
        self.assertEqual(c.catch_up(), [])
        self.reload(b, "sys_interval 1000")
        self.assertIn(b"longlink", c.message().payload)
        c.subscribe("$SYS/broker/uptime")
        kit.wait_until(lambda: c.catch_up(), "the uptime")
        self.reload(b, "sys_interval 1")
        c.message()
        c.message()


class Undisturbed(Case):
    CLIENTS, RELOADS = 1000, 20

    def test_a_thousand_clients_lose_nothing_while_it_reloads_again_and_again(self):
        b = self.broker(listener="listener 0 127.0.0.1\nlistener 0 127.0.0.1")
        clients = [self.client(b, f"c{i}") for i in range(self.CLIENTS)]
        for i, c in enumerate(clients):
            c.subscribe(f"t/{i % 10}")
        publisher, sent, over = self.client(b, "publisher"), [0] * 10, threading.Event()

        def publish():
            n = 0
            while not over.is_set():
                publisher.publish(f"t/{n % 10}", str(n // 10).encode(), 1)
                sent[n % 10] += 1
                n += 1

        flow = threading.Thread(target=publish)
        flow.start()
        try:
            for i in range(self.RELOADS):
                self.reload(b, f"max_keepalive {100 + i}", "listener 0 127.0.0.1" + "\nlistener 0 127.0.0.1" * (i % 2))
        finally:
            over.set()
            flow.join()
        for i in range(10):
            publisher.publish(f"t/{i}", b"over", 1)
        for i, c in enumerate(clients):
            got = [c.message().payload for _ in range(sent[i % 10] + 1)]
            self.assertEqual(got, [str(n).encode() for n in range(sent[i % 10])] + [b"over"])

    def test_reloads_that_come_at_once_are_one_after_the_other_and_memory_stays(self):
        b = self.broker(listener="listener 0 127.0.0.1\nlistener 0 127.0.0.1")

        def some(n):
            for i in range(n):
                self.reload(b, f"max_keepalive {100 + i}", "listener 0 127.0.0.1" + "\nlistener 0 127.0.0.1" * (i % 2))
                b.process.send_signal(signal.SIGHUP)

        some(20)
        before = b.resident_bytes()
        some(80)
        self.assertLess(b.resident_bytes() - before, 4 * kit.MIB * kit.MEMORY_FACTOR)
        self.client(b, "c").ping()


if __name__ == "__main__":
    kit.main()
