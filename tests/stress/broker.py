# SPDX-License-Identifier: Apache-2.0
"""A broker of our own: started on a free port, stopped by SIGTERM, and what it complained about."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

START_S = 120
STOP_S = 60
IN_FLIGHT = 40
CONFIGURATION = """listener 0 127.0.0.1
allow_anonymous true
user root
{keeps}
max_inflight_messages {in_flight}
shards {shards}
log_dest stderr
log_type error
log_type warning
log_type notice
"""


class BrokerFailed(Exception):
    """It did not start."""


class Broker:
    def __init__(self, program, shards, durability):
        self.folder = tempfile.mkdtemp(prefix="longlink-stress-")
        os.chmod(self.folder, 0o755)
        self.log = os.path.join(self.folder, "log")
        self.status = None
        conf = os.path.join(self.folder, "conf")
        with open(conf, "w", encoding="ascii") as f:
            keeps = f"durability {durability}\npersistence_location {self.folder}/data"
            f.write(CONFIGURATION.format(shards=shards, in_flight=IN_FLIGHT, keeps=keeps))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([program, "-c", conf], stdout=log, stderr=log)
        self.port = self.wait_for_port()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_for_port(self):
        give_up = time.monotonic() + START_S
        while time.monotonic() < give_up and self.process.poll() is None:
            found = re.search(r"listener-open .*?\bport=(\d+)", self.said())
            if found:
                return int(found.group(1))
            time.sleep(0.02)
        said = self.said()
        self.stop()
        raise BrokerFailed(f"no listener was opened:\n{said}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.status = f"none {STOP_S} s after SIGTERM"
        self.output = self.said()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def complaints(self):
        found = [] if self.status == 0 else [("exit status", self.status)]
        reports = len(re.findall(r"^(?:WARNING|==\d+==ERROR): ", self.output, re.MULTILINE))
        return found + ([("sanitizer", f"{reports} reports")] if reports else [])
