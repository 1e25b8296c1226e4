# SPDX-License-Identifier: Apache-2.0
"""The broker of a test: ours, or with --broker mosquitto Debian's, which shows whether a test asks for what is right."""
import shutil
import sys
import tempfile

import peers  # noqa: F401  (knows where kit is)
import kit
from mosquitto_kit import Mosquitto

chosen = "longlinkd"


class Test(kit.Test):
    """broker(): the one that was chosen. Peers are ended with the test."""

    def broker(self, conf="", **more):
        if chosen == "longlinkd":
            data = tempfile.mkdtemp(prefix="longlink-interop.")
            self.addCleanup(shutil.rmtree, data, ignore_errors=True)
            return super().broker(f"durability disk\npersistence_location {data}\n{conf}", **more)
        b = Mosquitto(f"allow_anonymous true\nmax_queued_messages 0\n{conf}")
        self.addCleanup(b.stop)
        return b.ready()

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
