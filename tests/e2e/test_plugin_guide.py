#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The example of docs/plugin-authors.md, built as that page says, does what it says: in longlinkd, and in mosquitto."""
import os
import re
import shutil
import tempfile
import unittest

import kit
from mosquitto_kit import Mosquitto

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
GUIDE = os.path.join(ROOT, "docs", "plugin-authors.md")


class Guide(kit.Test):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="longlink-e2e.")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        with open(GUIDE) as f:
            page = f.read()
        with open(os.path.join(cls.dir, "doorkeeper.c"), "w") as f:
            f.write(re.search(r"^```c\n(.*?)^```$", page, re.M | re.S).group(1))
        command = re.search(r"^    (cc .*doorkeeper\.c.*)$", page, re.M).group(1).split()
        command[command.index("broker/include")] = os.path.join(ROOT, "broker", "include")
        kit.run("env", "-C", cls.dir, *command, "-Wextra", "-Werror")
        cls.plugin = os.path.join(cls.dir, "doorkeeper.so")

    def conf(self):
        return f"plugin {self.plugin}\nplugin_opt_word sesame"

    def come(self, port, client_id, password):
        c = kit.Client(port)
        self.addCleanup(c.close)
        return c, c.join(client_id, user="ali", password=password)[1]

    def test_it_decides_later_welcomes_and_counts(self):
        b = self.broker(self.conf())
        watcher, code = self.come(b.port, "watcher", "sesame")
        self.assertEqual(code, 0)
        watcher.subscribe("welcome/+", 1)
        self.assertEqual(self.come(b.port, "one", "barley")[1], 0x86)
        self.assertEqual(self.come(b.port, "two", "sesame")[1], 0)
        got = []
        while "welcome/two" not in got:
            m = watcher.message()
            self.assertEqual(m.payload, b"hello")
            got.append(m.topic)
        self.assertNotIn("welcome/one", got)
        kit.wait_file(b.log, r' plugin-notice plugin="doorkeeper" says="wrong-word" client="one"$')
        b.metrics()
        kit.wait_file(b.log, r' metric name="plugin_refused_total" plugin="doorkeeper" value=1$')

    def test_it_says_what_it_needs(self):
        b = kit.Broker(f"plugin {self.plugin}")
        self.addCleanup(b.remove)
        self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
        b.log_file.close()
        b.is_over = True
        self.assertIn("doorkeeper needs plugin_opt_word", b.text())

    def test_mosquitto_can_load_it(self):
        b = Mosquitto(self.conf() + "\nallow_anonymous false")
        b.ready()
        self.addCleanup(b.stop)
        self.assertEqual(self.come(b.port, "one", "barley")[1], 0x87)
        self.assertEqual(self.come(b.port, "two", "sesame")[1], 0)


if __name__ == "__main__":
    unittest.main()
