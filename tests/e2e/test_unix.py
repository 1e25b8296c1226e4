#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A listener on a path: `listener 0 /path`, as mosquitto has it."""
import os
import pwd
import stat
import tempfile

import kit


class Unix(kit.Test):
    def folder(self):
        d = tempfile.TemporaryDirectory(prefix="longlink-unix.")
        self.addCleanup(d.cleanup)
        os.chmod(d.name, 0o755)
        return d.name

    def on_path(self, path, conf="", **more):
        return self.broker(conf, listener=f"listener 0 {path}", **more)

    def join(self, path, client_id):
        c = kit.Client(path)
        self.addCleanup(c.close)
        c.join(client_id)
        return c

    def failed(self, path):
        """A broker that cannot start; its log."""
        b = kit.Broker("", listener=f"listener 0 {path}")
        self.addCleanup(b.remove)
        self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
        b.log_file.close()
        return b.text()

    def test_clients_talk_and_the_file_is_gone_afterwards(self):
        path = os.path.join(self.folder(), "mqtt.sock")
        b = self.on_path(path, "log_type all")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o770)
        sub, pub = self.join(path, "sub"), self.join(path, "pub")
        sub.subscribe("t", 1)
        pub.publish("t", b"over a path", qos=1)
        self.assertEqual(sub.message().payload, b"over a path")
        kit.wait_file(b.log, rf" connection-open .*peer=\"local:{os.getpid()}\"")
        if kit.have("mosquitto_pub"):
            kit.run("mosquitto_pub", "--unix", path, "-t", "t", "-m", "theirs")
            self.assertEqual(sub.message().payload, b"theirs")
        self.assertEqual(b.stop(), 0)
        b.is_over = True
        self.assertFalse(os.path.exists(path))

    def test_it_stands_beside_other_listeners(self):
        path = os.path.join(self.folder(), "mqtt.sock")
        b = self.broker(f"listener 0 {path}")
        sub = self.client(b, "over tcp")
        sub.subscribe("t", 1)
        self.join(path, "over a path").publish("t", b"x", qos=1)
        self.assertEqual(sub.message().payload, b"x")

    def test_what_a_killed_broker_has_left_is_replaced(self):
        path = os.path.join(self.folder(), "mqtt.sock")
        self.kill(self.on_path(path))
        self.assertTrue(os.path.exists(path))
        self.on_path(path)
        self.join(path, "c").ping()

    def test_a_path_that_is_taken_is_an_error_and_its_owner_does_not_notice(self):
        path = os.path.join(self.folder(), "mqtt.sock")
        self.on_path(path)
        c = self.join(path, "c")
        self.assertRegex(self.failed(path), rf' listener-failed .*{path}.*"Address already in use"')
        c.ping()
        self.join(path, "next").ping()

    def test_what_is_no_socket_is_left_alone(self):
        path = os.path.join(self.folder(), "dear")
        with open(path, "w") as f:
            f.write("mine")
        self.assertRegex(self.failed(path), " listener-failed .*is no socket")
        with open(path) as f:
            self.assertEqual(f.read(), "mine")

    def test_a_connect_that_trickles_in_has_its_time_once(self):  # option: connect_timeout_s
        path = os.path.join(self.folder(), "mqtt.sock")
        b = self.on_path(path, "connect_timeout_s 2\nlistener 0 127.0.0.1")
        other = int(kit.wait_file(b.log, r" listener-open .*port=([1-9]\d*)").group(1))
        for to in (path, other):
            c = kit.Client(to)
            self.addCleanup(c.close)
            c.socket.settimeout(0.2)
            connect = iter(b"\x10\x7f\0\4MQTT\5" + bytes(500))
            with self.assertRaises((BrokenPipeError, ConnectionResetError, EOFError)):
                while True:
                    c.send(bytes([next(connect)]))
                    try:
                        if not c.socket.recv(1):
                            raise EOFError
                    except TimeoutError:
                        continue
        b.wait_metric("connect_timeouts_total", lambda n: n == 2)

    def test_a_reload_opens_and_closes_it(self):
        path = os.path.join(self.folder(), "mqtt.sock")
        b = self.broker()
        with open(b.conf) as f:
            before = f.read()
        with open(b.conf, "a") as f:
            f.write(f"\nlistener 0 {path}\nallow_anonymous true\n")
        b.process.send_signal(1)
        kit.wait_file(b.log, " reload-done .*opened=1")
        c = self.join(path, "c")
        with open(b.conf, "w") as f:
            f.write(before)
        b.process.send_signal(1)
        kit.wait_file(b.log, " reload-done .*closed=1")
        self.assertEqual([p.body[:1] for p in c.expect_closed()], [b"\x98"])
        self.assertFalse(os.path.exists(path))

    def test_a_user_who_may_not_write_the_folder_is_told_what_stays(self):
        if os.geteuid() != 0:
            self.skipTest("root alone can become another user")
        path = os.path.join(self.folder(), "mqtt.sock")
        nobody = pwd.getpwnam("nobody")
        b = kit.Broker("", listener=f"listener 0 {path}")
        self.addCleanup(b.remove)
        b.stop()
        with open(b.conf) as f:
            conf = f.read().replace("user root", "user nobody")
        b = self.broker(conf.replace(f"listener 0 {path}", ""), listener=f"listener 0 {path}")
        self.assertEqual((os.stat(path).st_uid, os.stat(path).st_gid), (nobody.pw_uid, nobody.pw_gid))
        self.join(path, "c").ping()
        self.assertEqual(b.stop(), 0)
        b.is_over = True
        self.assertIn(" listener-left ", b.text())
        self.assertTrue(os.path.exists(path))
        self.on_path(path)  # and the next one replaces it
        self.join(path, "c").ping()


if __name__ == "__main__":
    kit.main()
