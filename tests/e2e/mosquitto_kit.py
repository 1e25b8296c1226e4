# SPDX-License-Identifier: Apache-2.0
"""A mosquitto of one's own on a free port: it says what is right."""
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

import kit

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
START_TRIES = 5


class Mosquitto:
    """conf: further lines of its configuration."""

    def __init__(self, conf=""):
        if not MOSQUITTO:
            raise unittest.SkipTest("mosquitto is not installed")
        self.dir, self.conf, self.process = tempfile.mkdtemp(prefix="longlink-e2e."), conf, None

    def ready(self):
        for _ in range(START_TRIES):  # another program may take the port between our look and the broker's
            self.port = kit.free_port()
            with open(f"{self.dir}/conf", "w") as f:
                f.write(f"listener {self.port} 127.0.0.1\nuser root\n{self.conf}\n")
            with open(f"{self.dir}/log", "wb") as log:
                self.process = subprocess.Popen([MOSQUITTO, "-c", f"{self.dir}/conf"], stderr=log, stdout=log)
            kit.wait_until(lambda: self.process.poll() is not None or self.answers(), "mosquitto to answer")
            if self.process.poll() is None:
                return self
        raise AssertionError("mosquitto does not start")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(kit.WAIT_S)

    def stop(self):
        """Ends it, and removes what it has."""
        self.end()
        shutil.rmtree(self.dir, ignore_errors=True)
