#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""longlinkd as a process: flags, configuration, signals, files."""
import os
import re
import signal
import socket
import tempfile
import unittest

import kit


class Flags(kit.Test):
    def test_help_and_version_go_to_stdout(self):
        self.assertIn("usage: longlinkd", kit.run(kit.program(), "-h"))
        self.assertRegex(kit.run(kit.program(), "--version"), r"^longlinkd \d+\.\d+\.\d+\n$")

    def test_an_unknown_flag_or_word_is_refused(self):
        self.assertIn("--help", kit.run(kit.program(), "--no-such-flag", status=1))
        self.assertIn("'word' is not a flag", kit.run(kit.program(), "word", status=1))


class Configuration(kit.Test):
    def file(self, text):
        d = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(d.cleanup)
        path = os.path.join(d.name, "conf")
        with open(path, "w") as f:
            f.write(text)
        return path

    def test_t_checks_and_starts_nothing(self):
        out = kit.run(kit.program(), "-t", "-c", self.file("listener 1\nallow_anonymous true\n"))
        self.assertEqual(out, "longlinkd: the configuration is fine\n")

    def test_t_prints_warnings_and_errors(self):
        path = self.file("listener 1\nallow_anonymous true\nautosave_interval 30\n")
        out = kit.run(kit.program(), "-t", "-c", path)
        self.assertIn(f"warning: {path}:3: option 'autosave_interval' has no effect: ", out)
        path = self.file("listener 1\nallow_anonymous true\nautosave_interval 30\nmax_qos 3\n")
        out = kit.run(kit.program(), "-t", "-c", path, status=1)
        self.assertIn(f"warning: {path}:3: option 'autosave_interval' has no effect: ", out)
        self.assertIn(f"error: {path}:4: option 'max_qos': value '3' is not allowed; allowed: a number from 0 to 2", out)

    def test_print_config_shows_the_options_of_each_listener(self):
        path = self.file("per_listener_settings true\nlistener 1884\nmax_qos 1\nallow_anonymous true\n"
                         "listener 1885 # another\n")
        out = kit.run(kit.program(), "-c", path, "--print-config")
        first, second = out.split("listener 1885")
        self.assertIn(f"max_qos 1  # {path}:3\n", first)
        self.assertIn(f"allow_anonymous true  # {path}:4\n", first)
        self.assertIn("max_qos 2  # default\n", second)
        self.assertIn("allow_anonymous false  # default\n", second)

    def test_print_config_says_what_holds_and_where_it_was_set(self):
        path = self.file("listener 1884\nallow_anonymous true\nmax_inflight_messages 7\n")
        out = kit.run(kit.program(), "-c", path, "--print-config")
        self.assertRegex(out, rf"(?m)^max_inflight_messages 7 +# {re.escape(path)}:3$")
        self.assertRegex(out, r"(?m)^max_queued_messages 0 +# default$")

    def test_every_wrong_line_is_named_and_nothing_starts(self):
        path = self.file("no_such_option 1\nlistener x\nmax_keepalive 70000\npid_file /nonexistent/pid\n")
        out = kit.run(kit.program(), "-c", path, status=1)
        for line in (f"{path}:1: option 'no_such_option'", f"{path}:2: option 'listener': value 'x'",
                     f"{path}:3: option 'max_keepalive': value '70000'"):
            self.assertIn(line, out)
        self.assertNotIn("broker-start", out)

    def test_a_missing_file_is_an_error(self):
        self.assertIn("/nonexistent/conf: cannot be opened",
                      kit.run(kit.program(), "-c", "/nonexistent/conf", status=1))

    def test_a_pid_file_that_cannot_be_written_stops_the_start(self):
        path = self.file("listener 0 127.0.0.1\nallow_anonymous true\npid_file /nonexistent/pid\n")
        self.assertIn(f"error: {path}:3: option 'pid_file': value '/nonexistent/pid' cannot be written: No such file",
                      kit.run(kit.program(), "-c", path, status=1))

    def test_a_port_that_is_taken_is_named(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            path = self.file(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
            out = kit.run(kit.program(), "-c", path, status=1)
        self.assertRegex(out, rf'listener-failed .*port={port} error="Address already in use" set_at="{path}:1"')
        self.assertNotIn("broker-ready", out)


    def test_a_log_file_that_cannot_be_written_is_named_with_its_line(self):
        d = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(d.cleanup)
        new = os.path.join(d.name, "new")
        path = self.file(f"listener 0 127.0.0.1\nallow_anonymous true\nlog_dest file {new}\n"
                         "log_dest file /dev/null/log\nlog_dest stderr\n")
        for flags in ([], ["-t"]):
            out = kit.run(kit.program(), "-c", path, *flags, status=1)
            self.assertIn(f"error: {path}:4: option 'log_dest': value 'file /dev/null/log' cannot be opened: "
                          "Not a directory; allowed: ", out)
            if os.path.exists(new):
                os.unlink(new)
        kit.run(kit.program(), "-c", self.file(f"listener 1\nallow_anonymous true\nlog_dest file {new}\n"), "-t")
        self.assertFalse(os.path.exists(new))  # -t makes nothing
        out = kit.run(kit.program(), "-c", path, "--print-config")
        self.assertIn(f"log_dest file {new}  # {path}:3\nlog_dest file /dev/null/log  # {path}:4\n", out)

    def test_who_starts_it_sees_why_it_does_not_wherever_the_log_goes(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            for log in ("log_dest none", "log_type none", "log_dest file /dev/null"):
                path = self.file(f"listener {port} 127.0.0.1\nallow_anonymous true\n{log}\n")
                out = kit.run(kit.program(), "-c", path, status=1)
                self.assertEqual(len(re.findall(r" error listener-failed .*Address already in use", out)), 1, log)
            path = self.file(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
            self.assertEqual(kit.run(kit.program(), "-c", path, status=1).count("listener-failed"), 1)

    def test_a_directory_that_cannot_be_made_is_named_without_a_log_as_well(self):
        path = self.file("listener 0 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest none\n"
                         "persistence_location /dev/null/there\n")
        self.assertRegex(kit.run(kit.program(), "-c", path, status=1),
                         r' error store-failed persistence_location="/dev/null/there" '
                         rf'set_at="{re.escape(path)}:5" .*Not a directory')

    @unittest.skipUnless(os.geteuid() == 0, "only root becomes somebody else")
    def test_a_user_that_is_none_is_named_with_its_line(self):
        path = self.file("listener 0 127.0.0.1\nallow_anonymous true\npersistence false\nuser no-such-user\n")
        self.assertIn(f"error: {path}:4: option 'user': value 'no-such-user' is no user of this machine",
                      kit.run(kit.program(), "-c", path, status=1))

    def test_once_it_runs_the_log_is_where_it_is_to_be(self):
        d = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(d.cleanup)
        log = os.path.join(d.name, "log")
        b = kit.Broker(f"log_dest file {log}")
        self.addCleanup(b.remove)
        self.addCleanup(self.stop_well, b)
        kit.wait_file(log, " broker-ready ")
        with open(b.conf, "a") as f:
            f.write("no_such_option\n")
        b.process.send_signal(signal.SIGHUP)
        kit.wait_file(log, " reload-failed ")
        self.assertEqual(b.text(), "")


class Ports(kit.Test):
    def test_p_without_a_configuration_serves_this_machine(self):
        b = self.broker(listener="", allow="", flags=["-p", "0", "-v"])
        self.assertIn(" local-only", b.text())
        kit.Client(b.port).close()

    def test_p_beside_the_same_listener_binds_it_once(self):
        port = kit.free_port()  # the one way to say the same number twice
        b = self.broker(listener=f"listener {port} 127.0.0.1", flags=["-p", port])
        self.assertEqual(len(re.findall(" listener-open ", b.text())), 1)
        self.assertEqual(b.port, port)

    def test_several_listeners_serve_one_set_of_topics(self):
        b = self.broker(listener="listener 0 127.0.0.1\nlistener 0 127.0.0.2")
        ports = [int(p) for p in re.findall(r"listener-open .*port=(\d+)", b.text())]
        self.assertEqual(len(ports), 2)
        one = self.client(b, "one")
        one.subscribe("t")
        with socket.create_connection(("127.0.0.2", ports[1])) as s:
            s.sendall(kit.packet(kit.CONNECT, 0, kit.text("MQTT") + b"\x04\x02\0\0" + kit.text("two")))
            self.assertEqual(s.recv(4), b"\x20\x02\0\0")
            s.sendall(kit.packet(kit.PUBLISH, 0, kit.text("t") + b"hello"))
            self.assertEqual(one.message().payload, b"hello")


class Signals(kit.Test):
    def test_sigterm_tells_clients_and_ends_with_status_0(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            b = self.broker()
            new, old = self.client(b, "new"), self.client(b, "old", version=kit.V311)
            b.process.send_signal(sig)
            self.assertEqual([(p.kind, p.body[:1]) for p in new.expect_closed()],
                             [(kit.DISCONNECT, b"\x8b")])
            self.assertEqual(old.expect_closed(), [])
            self.assertEqual(b.process.wait(kit.WAIT_S), 0)
            self.assertIn(" broker-stop", b.text())

    def test_sigterm_is_obeyed_with_a_client_that_does_not_read(self):
        b = self.broker()
        slow = self.client(b, "slow", receive_buffer=4096)
        slow.subscribe("t")
        flood = self.client(b, "flood")
        for _ in range(300):
            flood.publish("t", bytes(30000))
        flood.ping()
        self.assertEqual(b.stop(), 0)

    def test_sighup_reopens_the_log(self):
        # option: log_dest
        d = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(d.cleanup)
        log, moved = os.path.join(d.name, "longlink.log"), os.path.join(d.name, "longlink.log.1")
        b = self.broker(f"log_dest file {log}\nlog_dest stderr")
        kit.wait_file(log, " broker-ready ")
        os.rename(log, moved)
        b.process.send_signal(signal.SIGHUP)
        # A signal may still be on its way when the next one is sent: ask until the new file is there.
        kit.wait_until(lambda: b.metrics() and os.path.exists(log), "a new log file")
        b.metrics()
        kit.wait_file(log, " metric ")

    def test_sigusr1_changes_nothing(self):
        b = self.broker()
        b.process.send_signal(signal.SIGUSR1)
        self.client(b, "c").ping()


class Files(kit.Test):
    def test_the_pid_file_has_the_process_id_as_long_as_it_runs(self):
        # option: pid_file
        d = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(d.cleanup)
        path = os.path.join(d.name, "pid")
        b = self.broker(f"pid_file {path}")
        with open(path) as f:
            self.assertEqual(int(f.read()), b.process.pid)
        self.assertEqual(b.stop(), 0)
        self.assertFalse(os.path.exists(path))
        b.is_over = True

    def test_d_goes_to_the_background(self):
        d = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(d.cleanup)
        conf, log, pid_file = (os.path.join(d.name, n) for n in ("conf", "log", "pid"))
        with open(conf, "w") as f:
            f.write(f"listener 0 127.0.0.1\nallow_anonymous true\nuser root\n"
                    f"log_dest file {log}\npid_file {pid_file}\n")
        kit.run(kit.program(), "-d", "-c", conf)  # returns at once, with status 0
        try:
            port = int(kit.wait_file(log, r"listener-open .*port=(\d+)").group(1))
            kit.wait_file(log, " broker-ready ")
            c = kit.Client(port)
            self.assertEqual(c.join("c"), (False, 0))
            c.close()
        finally:
            pid = int(kit.wait_file(pid_file, r"(\d+)").group(1))
            os.kill(pid, signal.SIGTERM)
        kit.wait_until(lambda: not os.path.exists(f"/proc/{pid}") or self.is_zombie(pid), "its end")
        kit.wait_file(log, " broker-stop")

    def is_zombie(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True


if __name__ == "__main__":
    kit.main()
