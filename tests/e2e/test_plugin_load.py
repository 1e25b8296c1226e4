#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plugins are loaded, told of a reload, and unloaded, as the configuration says; or it is said why not."""
import os
import re
import subprocess
import tempfile
import time
import unittest

import kit

PLUGINS = os.environ.get("LONGLINK_TEST_PLUGINS", "")
TICK, BASIC_AUTH = 9, 3
STOP_S = 5.0 if not os.environ.get("LONGLINK_SANITIZE") else 30.0


def so(name):
    return os.path.join(PLUGINS, name + ".so")


class Case(kit.Test):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="longlink-e2e.")
        self.addCleanup(self.dir.cleanup)
        self.out = os.path.join(self.dir.name, "transcript")

    def transcript(self, name, *more):
        """Lines of a configuration: the plugin that writes down what it sees."""
        return "\n".join([f"plugin {so('transcript')}", f"plugin_opt_out {self.out}", f"plugin_opt_name {name}", *more])

    def said(self):
        with open(self.out) as f:
            return f.read()

    def file(self, text):
        path = os.path.join(self.dir.name, "conf")
        with open(path, "w") as f:
            f.write(text)
        return path


class Errors(Case):
    # option: plugin
    BAD = (
        ("/no/such.so", "No such file or directory"),
        (so("refused_none"), "it has no function mosquitto_plugin_version"),
        (so("refused_half"), "it has no function mosquitto_plugin_init"),
        (so("refused_old"), "it speaks version 2, 3 or 4 of mosquitto's interface"),
        (so("refused_new"), "its mosquitto_plugin_version says 99"),
    )

    def test_what_cannot_be_loaded_ends_the_start_and_says_where_it_was_set_and_why(self):
        for path, why in self.BAD:
            conf = self.file(f"listener 0 127.0.0.1\nuser root\npersistence false\nplugin {path}\n")
            done = subprocess.run([kit.program(), "-c", conf], capture_output=True, text=True, timeout=kit.WAIT_S)
            self.assertEqual(done.returncode, 1)
            line = re.search(r" plugin-failed .*", done.stderr).group()
            self.assertIn(f'plugin="{path}" set_at="{conf}:4"', line)
            self.assertIn(why, line)
            self.assertNotIn(" listener-open ", done.stderr)

    def test_t_says_the_same_of_all_of_them_and_initialises_none(self):
        lines = [f"plugin {path}" for path, _ in self.BAD]
        conf = self.file("\n".join(["listener 0 127.0.0.1", *lines, self.transcript("a")]) + "\n")
        done = subprocess.run([kit.program(), "-t", "-c", conf], capture_output=True, text=True, timeout=kit.WAIT_S)
        self.assertEqual(done.returncode, 1)
        for i, (path, why) in enumerate(self.BAD):
            self.assertRegex(done.stderr, f'plugin="{path}" set_at="{conf}:{i + 2}" error=".*{re.escape(why)}')
        self.assertFalse(os.path.exists(self.out))
        conf = self.file("listener 0 127.0.0.1\n" + self.transcript("a") + "\n")
        self.assertEqual(kit.run(kit.program(), "-t", "-c", conf), "longlinkd: the configuration is fine\n")
        self.assertFalse(os.path.exists(self.out))

    def test_one_that_does_not_want_to_start_ends_the_start(self):
        conf = self.file("listener 0 127.0.0.1\nuser root\npersistence false\n" + self.transcript("a") +
                         f"\nplugin {so('hanging')}\nplugin_opt_init 7\n")
        done = subprocess.run([kit.program(), "-c", conf], capture_output=True, text=True, timeout=kit.WAIT_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn("its mosquitto_plugin_init says 7", done.stderr)
        self.assertIn("a cleanup", self.said())


class Life(Case):
    def test_they_begin_in_their_order_with_their_options_and_end_so(self):
        # option: plugin_opt_KEY
        conf = self.transcript("a", "plugin_opt_events d") + "\n" + self.transcript("b", "auth_opt_events d", "plugin_opt_x y z")
        b = self.broker(conf.replace("plugin ", "auth_plugin ", 1))
        self.assertRegex(self.said(), r"\Aa init with 3 options\n(a .*\n)*b init with 4 options\n")
        b.is_over = True
        self.assertEqual(b.stop(), 0)
        self.assertRegex(self.said(), r"a cleanup with 3 options\nb cleanup with 4 options\n\Z")

    def test_with_per_listener_settings_a_plugin_sees_the_clients_of_its_listener(self):
        plugin = [self.transcript(name, "plugin_opt_events d") for name in "ab"]
        listeners = [f"listener 0 127.0.0.1\nallow_anonymous true\n{p}" for p in plugin]
        b = self.broker(listener="per_listener_settings true\n" + listeners[0], allow="", conf=listeners[1])
        ports = [int(p) for p in re.findall(r" listener-open .*port=(\d+)", b.text())]
        for i, port in enumerate(ports):
            c = kit.Client(port)
            c.join(f"client-{i}", user="x")
            c.leave()
        b.is_over = True
        self.assertEqual(b.stop(), 0)
        self.assertRegex(self.said(), r"a 10 disconnect client=client-0\b")
        self.assertRegex(self.said(), r"b 10 disconnect client=client-1\b")
        self.assertNotRegex(self.said(), r"a 10 .*client-1|b 10 .*client-0")

    def test_a_thread_that_a_plugin_leaves_running_does_not_take_the_broker_down_at_its_end(self):
        for _ in range(3):
            b = self.broker(f"plugin {so('restless')}")
            reader = self.client(b, "reader")
            reader.subscribe("restless")
            self.assertEqual(reader.message().topic, "restless")
            b.is_over = True
            self.assertEqual(b.stop(), 0)

    def test_of_newer_events_those_are_raised_that_fit_and_the_others_refused_by_name(self):
        b = self.broker(f"plugin {so('newer')}\nplugin_opt_out {self.out}")
        for name, clean in (("short", True), ("kept", False)):
            c = self.client(b, name, version=kit.V311, clean=clean)
            c.leave()
            kit.wait_until(lambda: re.search(f"event (10|28) {name} ", self.said()), f"{name} is gone")
        self.client(b, "kept", version=kit.V311, clean=False)
        self.client(b, "kept", version=kit.V311, clean=False)  # takes over: the session is not off line
        b.is_over = True
        self.assertEqual(b.stop(), 0)
        said = self.said()
        fit, not_supported = (10, 11, 28), 10
        for event in range(10, 32):
            result = 0 if event in fit else not_supported
            self.assertIn(f"\nregister {event}: {result}\n", "\n" + said)
            self.assertIn(f"\nunregister {event}: {result}\n", said)
        events = re.findall(r"^event (.*)$", said, re.M)
        self.assertEqual([e for e in events if " short" in e], ["11 short", "10 short 0"])
        self.assertEqual([e.rsplit(" ", 1)[0] if e[:2] != "11" else e for e in events if " kept" in e],
                         ["11 kept", "28 kept", "11 kept", "10 kept", "11 kept", "28 kept"])
        self.assertRegex(b.text(), r'plugin-event-unknown plugin="newer" event=12 name="SUBSCRIBE"')
        self.assertRegex(b.text(), r'plugin-event-unknown plugin="newer" event=30 name="PERSIST_WILL_DELETE"')
        self.assertRegex(b.text(), r'plugin-event-unknown plugin="newer" event=31 name="unknown"')

    def test_metrics_are_those_of_each_plugin_and_event(self):
        b = self.broker(self.transcript("a", "plugin_opt_events t"))
        kit.wait_until(lambda: " 9 tick" in self.said(), "a tick")
        for row in (r'plugin_calls_total" plugin="transcript" event="tick" value=[1-9]',
                    r'plugin_queue" plugin="transcript" value=0\n'):  # unless there is just another tick
            kit.wait_until(lambda row=row: b.metrics() and re.search(' metric name="' + row, b.text()), row)


class Reload(Case):
    def rewrite(self, b, conf, listener="listener 0 127.0.0.1"):
        with open(b.conf + ".new", "w") as f:
            f.write(f"{listener}\nallow_anonymous true\nuser root\npersistence false\n{conf}\n")
        os.rename(b.conf + ".new", b.conf)
        return b.reload()

    def test_options_change_and_plugins_stay(self):
        b = self.broker(self.transcript("a", "plugin_opt_events r"))
        said = self.rewrite(b, self.transcript("a", "plugin_opt_events r", "plugin_opt_more 1"))
        self.assertIn(" reload-done ", said)
        self.assertNotIn(" restart-needed ", said)
        kit.wait_file(self.out, r"^a 1 reload.*\b4\b")
        said = self.rewrite(b, f"plugin {so('hanging')}\n" + self.transcript("a", "plugin_opt_events r"))
        line = re.search(r" restart-needed .*", said).group()
        self.assertIn(f'option="plugin" set_at="{b.conf}:6" holds="{so("transcript")}"', line)
        self.assertIn(f'wanted="{so("hanging")} {so("transcript")}"', line)
        kit.wait_until(lambda: self.said().count(" 1 reload ") == 2, "another reload")
        self.assertEqual(self.said().count(" init "), 1)

    def test_a_new_listener_is_not_opened_without_its_plugin(self):
        first = "per_listener_settings true\nlistener 0 127.0.0.1\nallow_anonymous true\n"
        b = self.broker(listener=first, allow="")
        said = self.rewrite(b, f"listener {kit.free_port()} 127.0.0.1\nallow_anonymous true\n" + self.transcript("a"),
                            listener=first)
        self.assertIn("it has a plugin of its own, and plugins are loaded at start only: restart", said)
        self.assertIn(" reload-failed ", said)
        self.assertNotIn(" listener-open ", said)
        self.client(b, "still-served")


class Slow(Case):
    # option: plugin_timeout
    def hanging(self, *more):
        return "\n".join([f"plugin {so('hanging')}", *more])

    def stop(self, b):
        began = time.monotonic()
        b.is_over = True
        self.assertEqual(b.stop(), 0, b.text()[-3000:])
        self.assertLess(time.monotonic() - began, STOP_S)
        return b.text()

    def test_a_callback_that_hangs_is_told_and_does_not_keep_the_broker_from_ending(self):
        b = self.broker(self.hanging(f"plugin_opt_event {TICK}") + "\nplugin_timeout 1")
        kit.wait_file(b.log, r' plugin-late plugin="hanging" event="tick" plugin_timeout_ms=1000')
        kit.wait_file(b.log, r' plugin-stuck plugin="hanging"')
        self.client(b, "others-do-not-notice")
        self.assertIn(' plugin-left plugin="hanging"', self.stop(b))

    def test_one_that_hangs_while_cleaning_up_does_neither(self):
        b = self.broker(self.hanging("plugin_opt_cleanup 1") + "\n" + self.transcript("a"))
        self.assertIn(' plugin-left plugin="hanging"', self.stop(b))
        self.assertIn("a cleanup", self.said()) # the one behind it has its time


if __name__ == "__main__":
    unittest.main()
