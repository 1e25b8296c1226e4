# SPDX-License-Identifier: Apache-2.0
"""The broker of a test: ours, or with --broker mosquitto Debian's, which shows whether a test asks for what is right."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import peers  # noqa: F401  (knows where kit is)
import kit

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
START_TRIES = 5
chosen = "longlinkd"


class Mosquitto:
    def __init__(self, conf=""):
        if not MOSQUITTO:
            raise unittest.SkipTest("mosquitto is not installed")
        self.dir, self.process = tempfile.mkdtemp(prefix="longlink-interop."), None
        self.conf = conf

    def ready(self):
        for _ in range(START_TRIES):  # another program may take the port between our look and the broker's
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            with open(f"{self.dir}/conf", "w") as f:
                f.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n"
                        f"{self.conf}\n")
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

    def stop(self):
        self.process.terminate()
        return self.process.wait(kit.WAIT_S)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Test(kit.Test):
    """broker(): the one that was chosen. Peers are ended with the test."""

    def broker(self, conf="", **more):
        if chosen == "longlinkd":
            data = tempfile.mkdtemp(prefix="longlink-interop.")
            self.addCleanup(shutil.rmtree, data, ignore_errors=True)
            return super().broker(f"durability disk\npersistence_location {data}\n{conf}", **more)
        b = Mosquitto(conf)
        self.addCleanup(b.remove)
        b.ready()
        self.addCleanup(b.stop)
        return b

    def peer(self, kind, version, client_id, folder=None):
        p = peers.Peer(kind, version, client_id, folder)
        self.addCleanup(p.kill)
        return p

    def folder(self):
        path = tempfile.mkdtemp(prefix="longlink-interop.")
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path


def main():
    global chosen
    import brokers  # the module that the tests have, and not __main__
    if "--broker" in sys.argv:
        at = sys.argv.index("--broker")
        chosen = brokers.chosen = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    if chosen not in ("longlinkd", "mosquitto"):
        sys.exit(f"--broker {chosen}: longlinkd or mosquitto")
    kit.main()
