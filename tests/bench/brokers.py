# SPDX-License-Identifier: Apache-2.0
"""Starts a broker of one kind on a free port of 127.0.0.1 with a configuration of its own, and stops it.

The configurations are meant to be fair: no limit on queues, anonymous clients, no log. All the rest is each broker's
own default, which README.md says more about. A broker that keeps its data has a folder of its own for it, on a disk,
which is gone when the broker is stopped for good.
"""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from kit import free_port  # noqa: E402

START_TRIES = 5
START_SECONDS = 60.0  # a store may have a journal to read
STOP_SECONDS = 60.0   # and something to fold
METRICS_SECONDS = 2.0
METRICS_QUIET_SECONDS = 0.05
NO_DISK = ("tmpfs", "ramfs", "devtmpfs")

COMMON = [
    "listener {port} 127.0.0.1",
    "allow_anonymous true",
    "max_queued_messages 0",
]
IN_MEMORY = ["persistence false", "log_dest none"]
TLS = ["cafile {folder}/crt", "certfile {folder}/crt", "keyfile {folder}/key"]
DYNSEC = IN_MEMORY + ["plugin {plugin}", "plugin_opt_config_file {folder}/dynsec.json"]

# Kind: program, lines. The log of longlinkd-disk is where its metrics are read from.
KINDS = {
    "longlinkd": ("longlinkd", IN_MEMORY),
    "longlinkd-ws": ("longlinkd", ["protocol websockets"] + IN_MEMORY),
    "longlinkd-tls": ("longlinkd", TLS + IN_MEMORY),
    "longlinkd-wss": ("longlinkd", ["protocol websockets"] + TLS + IN_MEMORY),
    "mosquitto-tls": ("mosquitto", TLS + IN_MEMORY),
    "longlinkd-disk": ("longlinkd", ["persistence true", "durability disk", "persistence_location {data}",
                                     "log_dest file {folder}/log", "log_type error", "log_type warning",
                                     "log_type notice"]),
    "mosquitto": ("mosquitto", IN_MEMORY),
    "longlinkd-dynsec": ("longlinkd", DYNSEC),
    "mosquitto-dynsec": ("mosquitto", DYNSEC),
    "relay": ("relay", []),  # relay.c: no broker, but the least that one has to do
}
BUILT = ("longlinkd", "relay")
WITHOUT_CONF = ("relay",)

# The plugin that mosquitto comes with: it looks each client up at each delivery.
PLUGIN = "mosquitto_dynamic_security.so"
ADMIN = "admin"
BENCH = ("bench", "a-word")
CONTROL = [
    "createRole bench",
    "addRoleACL bench publishClientSend # allow",
    "addRoleACL bench publishClientReceive # allow",
    "addRoleACL bench subscribePattern # allow",
    "addRoleACL bench subscribeLiteral # allow",
    f"createClient {BENCH[0]} -p {BENCH[1]}",
    f"addClientRole {BENCH[0]} bench",
]
CONTROL_SECONDS = 30

# Kind: what its clients need of the generator.
CLIENTS = {"longlinkd-ws": ["--websockets"], "longlinkd-wss": ["--websockets", "--tls", "--insecure"]}
CLIENTS |= {kind: ["--tls", "--insecure"] for kind in ("longlinkd-tls", "mosquitto-tls")}
CLIENTS |= {kind: ["--username", BENCH[0], "--password", BENCH[1]] for kind in KINDS if kind.endswith("-dynsec")}


class BrokerMissing(Exception):
    """The broker's program is not on this machine."""


class BrokerFailed(Exception):
    """The broker did not start, or ended by itself."""


class NoDisk(Exception):
    """There is no place on a disk for a broker's data."""


def program_of(kind, build_dir):
    """Path of the program of a kind."""
    if kind not in KINDS:
        raise BrokerMissing(f"'{kind}' is no broker that is known here; there are {', '.join(KINDS)}")
    name = KINDS[kind][0]
    if name in BUILT:
        path = os.path.join(build_dir, "bin", name)
        if os.access(path, os.X_OK):
            return path
        raise BrokerMissing(f"there is no {path}; build the target {name}, or name the build with --build-dir")
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if path:
        return path
    raise BrokerMissing("mosquitto is not installed; install the package mosquitto")


def plugin_path():
    """Of mosquitto's own plugin, and that there is the program that manages it."""
    found = glob.glob(f"/usr/lib/*/{PLUGIN}") + glob.glob(f"/usr/lib/{PLUGIN}")
    if found and shutil.which("mosquitto_ctrl"):
        return found[0]
    raise BrokerMissing(f"{PLUGIN} or mosquitto_ctrl is not installed; install the packages mosquitto and "
                        "mosquitto-clients")


def control(*words):
    done = subprocess.run(["mosquitto_ctrl", *words], capture_output=True, text=True, timeout=CONTROL_SECONDS,
                          check=False)
    problem = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
    if done.returncode != 0 or problem:
        raise BrokerFailed(f"mosquitto_ctrl {' '.join(words)}: {' '.join(problem) or done.stderr}")


def certificate(folder):
    """Of P-256, for this address, signed by itself: FOLDER/crt and FOLDER/key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", os.path.join(folder, "key"), "-out", os.path.join(folder, "crt")],
                   check=True, capture_output=True)


def keeps_data(kind):
    """Whether what a broker of this kind has survives its end."""
    return any("{data}" in line for line in KINDS[kind][1])


def file_system(path):
    """Type of the file system that path is on, as ext4; "?" when /proc does not say."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.split()[2] == number:
                return line.split(" - ", 1)[1].split()[0]
    return "?"


def disk_folder(path):
    """path, when that is on a disk."""
    if not os.path.isdir(path):
        raise NoDisk(f"--data-dir {path}: there is no such directory")
    if file_system(path) in NO_DISK:
        raise NoDisk(f"{path} is on {file_system(path)}, which is no disk; name a directory with --data-dir")
    return path


class Broker:
    def __init__(self, kind, build_dir=".", extra=(), data_dir=None):
        self.kind = kind
        self.program = program_of(kind, build_dir)
        self.lines = COMMON + KINDS[kind][1] + list(extra)
        if os.geteuid() == 0:
            self.lines.append("user root")  # else each would look for an account of its own name
        self.data_dir = disk_folder(data_dir) if keeps_data(kind) else None
        self.has_plugin = KINDS[kind][1] is DYNSEC
        self.process = None
        self.port = None
        self.folder = None
        self.data = None
        self.started_at = None

    def __enter__(self):
        for _ in range(START_TRIES):  # another program may take the port between our look and the broker's
            self._prepare()
            self.launch()
            if self.answers():
                self._introduce()
                return self
            said = self.said()
            self.stop()
        raise BrokerFailed(f"{self.kind} did not start; it said: {said or 'nothing'}")

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def _prepare(self):
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="longlink-bench-")
        if self.data_dir:
            self.data = tempfile.mkdtemp(prefix="longlink-bench-data-", dir=self.data_dir)
        places = {"port": self.port, "folder": self.folder, "data": self.data}
        if TLS[0] in self.lines:
            certificate(self.folder)
        if self.has_plugin:
            places["plugin"] = plugin_path()
            control("dynsec", "init", os.path.join(self.folder, "dynsec.json"), ADMIN, ADMIN)
        with open(os.path.join(self.folder, "broker.conf"), "w", encoding="ascii") as f:
            f.write("".join(line.format(**places) + "\n" for line in self.lines))

    def _introduce(self):
        """Makes the generator known to the plugin, as an operator does."""
        for words in CONTROL if self.has_plugin else []:
            control("-h", "127.0.0.1", "-p", str(self.port), "-u", ADMIN, "-P", ADMIN, "dynsec", *words.split())

    def launch(self):
        """Runs the program, and does not wait until it answers."""
        command = [self.program, "-c", os.path.join(self.folder, "broker.conf")]
        if self.kind in WITHOUT_CONF:
            command = [self.program, str(self.port)]
        with open(os.path.join(self.folder, "said"), "ab") as said:
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                                            cwd=self.folder)

    def answers(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self.process.poll() is None
            except OSError:
                time.sleep(0.005)
        return False

    def said(self):
        """The end of what it wrote: its errors, where it has a log, else all of it."""
        texts = []
        for name in ("said", "log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    texts += [line for line in f.read().splitlines() if name == "said" or " error " in line]
        return " ".join(texts).strip()[-600:]

    def metrics(self):
        """The broker's own counters, by name; {} from one that has none or does not say them."""
        log = os.path.join(self.folder, "log")
        if not os.path.exists(log):
            return {}
        begin = os.path.getsize(log)
        os.kill(self.pid, signal.SIGUSR2)
        text, grown_at = b"", time.monotonic()
        # The log does not say where they end: they come at once, so a pause is the end.
        while time.monotonic() - grown_at < (METRICS_QUIET_SECONDS if text else METRICS_SECONDS):
            with open(log, "rb") as f:
                f.seek(begin)
                now = f.read()
            if now != text:
                text, grown_at = now, time.monotonic()
            time.sleep(0.005)
        return {name.decode(): int(value) for name, value in re.findall(rb'name="(\w+)" value=(\d+)', text)}

    def kill(self):
        """Ends the process as kill -9 does. What it has on the disk stays for the next launch()."""
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ends the process in peace. Returns what was wrong with how it ended, or None."""
        problem = None
        if self.process is None:
            return None
        if self.process.poll() is not None:
            problem = f"{self.kind} ended by itself with code {self.process.returncode}: {self.said()}"
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            problem = f"{self.kind} did not end within {STOP_SECONDS:.0f} s of SIGTERM"
            self.kill()
        self.process = None
        return problem

    def stop(self):
        """Ends the process and removes its folders. Returns what was wrong with how it ended, or None."""
        problem = self.end()
        for folder in (self.folder, self.data):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        self.folder = self.data = None
        return problem
