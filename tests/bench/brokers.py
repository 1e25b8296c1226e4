# SPDX-License-Identifier: Apache-2.0
"""Starts a broker of one kind on a free port of 127.0.0.1 with a configuration of its own, and stops it.

The configurations are meant to be fair: no limit on queues, no persistence, no log, anonymous clients. All the rest
is each broker's own default, which README.md says more about.
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time

START_TRIES = 5
START_SECONDS = 10.0
STOP_SECONDS = 20.0

COMMON = [
    "listener {port} 127.0.0.1",
    "allow_anonymous true",
    "persistence false",
    "max_queued_messages 0",
    "log_dest none",
]


class BrokerMissing(Exception):
    """The broker's program is not on this machine."""


class BrokerFailed(Exception):
    """The broker did not start, or ended by itself."""


def program_of(kind, build_dir):
    """Path of the program of `longlinkd` or `mosquitto`."""
    if kind == "longlinkd":
        path = os.path.join(build_dir, "bin", "longlinkd")
        if os.access(path, os.X_OK):
            return path
        raise BrokerMissing(f"there is no {path}; build the target longlinkd, or name the build with --build-dir")
    if kind == "mosquitto":
        path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if path:
            return path
        raise BrokerMissing("mosquitto is not installed; install the package mosquitto")
    raise BrokerMissing(f"'{kind}' is no broker that is known here; there are longlinkd and mosquitto")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    def __init__(self, kind, build_dir=".", extra=()):
        self.kind = kind
        self.program = program_of(kind, build_dir)
        self.lines = COMMON + list(extra)
        if os.geteuid() == 0:
            self.lines.append("user root")  # else each would look for an account of its own name
        self.process = None
        self.port = None
        self.folder = None

    def __enter__(self):
        for _ in range(START_TRIES):  # another program may take the port between our look and the broker's
            if self._start():
                return self
            said = self._said()
            self.stop()
        raise BrokerFailed(f"{self.kind} did not start; it said: {said or 'nothing'}")

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def _start(self):
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="longlink-bench-")
        config = os.path.join(self.folder, "broker.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write("".join(line.format(port=self.port) + "\n" for line in self.lines))
        with open(os.path.join(self.folder, "said"), "wb") as said:
            self.process = subprocess.Popen([self.program, "-c", config], stdin=subprocess.DEVNULL, stdout=said,
                                            stderr=subprocess.STDOUT, cwd=self.folder)
        return self._answers()

    def _answers(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self.process.poll() is None
            except OSError:
                time.sleep(0.02)
        return False

    def _said(self):
        with open(os.path.join(self.folder, "said"), encoding="utf-8", errors="replace") as f:
            return f.read().strip()[-500:]

    def stop(self):
        """Ends the broker. Returns what was wrong with how it ended, or None."""
        problem = None
        if self.process is not None:
            if self.process.poll() is not None:
                problem = f"{self.kind} ended by itself with code {self.process.returncode}: {self._said()}"
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                problem = f"{self.kind} did not end within {STOP_SECONDS:.0f} s of SIGTERM"
                self.process.kill()
                self.process.wait()
            self.process = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        return problem
