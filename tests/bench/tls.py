#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Handshakes of TLS and memory of idle clients: longlinkd and mosquitto beside a server of bare SSL objects.

    cmake --build build --target longlinkd bench_tls     # a build without sanitizers
    tests/bench/tls.py --build-dir build                 # 5 rounds, some four minutes

Handshakes are counted against the server's own CPU time, user and system: on a small machine the clients' half of the
work would take from the server's. Memory is the growth of VmRSS of a fresh process over --clients connections that have
all said CONNECT. Pings are those of one client on the same loop, alone and while four others shake hands as fast as
they can, with a lower priority, so that the server has the CPU that it wants. Median of all rounds, and least and
greatest.
"""
import argparse
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from brokers import Broker  # noqa: E402

KINDS = ("bare", "longlinkd", "mosquitto")
KEYS = {"RSA-2048": ["-newkey", "rsa:2048"], "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}
TICKS = os.sysconf("SC_CLK_TCK")


class Bare:
    """A server of nothing but SSL objects."""

    def __init__(self, tool, crt, key):
        self.command = [tool, "serve", crt, key]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        self.pid, self.port = self.process.pid, int(self.process.stdout.readline().split()[1])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def server(kind, a, crt, key):
    if kind == "bare":
        return Bare(a.tool, crt, key)
    # Without it mosquitto's CONNACK waits 40 ms for the client to acknowledge its tickets.
    more = ["shards 1"] if kind == "longlinkd" else ["set_tcp_nodelay true"]
    return Broker(kind, a.build_dir, [f"cafile {crt}", f"certfile {crt}", f"keyfile {key}", *more])


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def handshakes(s, a, how):
    """In a second of the server's CPU."""
    before = cpu_s(s.pid)
    out = subprocess.run([a.tool, "shake", str(s.port), str(a.duration), how], stdout=subprocess.PIPE, check=True)
    count, resumed, _ = out.stdout.decode().split()
    if how == "resumed" and resumed != count:
        raise SystemExit(f"only {resumed} of {count} handshakes were resumptions")
    return int(count) / (cpu_s(s.pid) - before)


def idle_bytes(s, a):
    """For one client. Some come and stay before, so that what is made once is not counted."""
    def hold(count):
        p = subprocess.Popen([a.tool, "idle", str(s.port), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdout.readline()
        return p

    warm = hold(200)
    before = resident_bytes(s.pid)
    held = hold(200 + a.clients)  # the ids of the first 200 are taken over
    grown = resident_bytes(s.pid) - before
    for p in (held, warm):
        p.stdin.close()
        p.wait()
        p.stdout.close()
    return grown / (a.clients + (200 if isinstance(s, Bare) else 0))


class Pinger:
    """A client whose pings are measured."""

    def __init__(self, port, crt):
        context = ssl.create_default_context(cafile=crt)
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.ask(b"\x10\x10\0\4MQTT\4\2\0\0\0\x04ping", 4)

    def ask(self, words, answer_bytes):
        self.socket.sendall(words)
        while answer_bytes > 0:
            answer_bytes -= len(self.socket.recv(answer_bytes))

    def p99_us(self, seconds):
        took, ends = [], time.monotonic() + seconds
        while time.monotonic() < ends:
            start = time.monotonic()
            self.ask(b"\xc0\0", 2)
            took.append(time.monotonic() - start)
            time.sleep(0.002)
        return statistics.quantiles(took, n=100)[98] * 1e6


def pings(s, a, crt):
    """The 99th percentile, alone and beside handshakes."""
    pinger = Pinger(s.port, crt)
    alone = pinger.p99_us(a.duration)
    flood = subprocess.Popen([a.tool, "shake", str(s.port), str(a.duration + 1), "full"], stdout=subprocess.DEVNULL,
                             preexec_fn=lambda: os.nice(10))
    time.sleep(0.5)
    beside = pinger.p99_us(a.duration)
    flood.wait()
    pinger.socket.close()
    return alone, beside


def round_(a, files, kinds, found):
    for name, (crt, key) in files.items():
        for kind in kinds:
            with server(kind, a, crt, key) as s:
                for how in ("full", "resumed"):
                    found.setdefault((f"{how} handshakes, {name}", kind), []).append(handshakes(s, a, how))
    crt, key = files["P-256"]
    for kind in kinds:
        with server(kind, a, crt, key) as s:
            found.setdefault(("resident bytes, idle client", kind), []).append(idle_bytes(s, a))
    for kind in kinds:
        if kind != "bare":
            with server(kind, a, crt, key) as s:
                for what, value in zip(("ping, p99 us, alone", "ping, p99 us, beside a flood"), pings(s, a, crt)):
                    found.setdefault((what, kind), []).append(value)


def show(a, found, kinds):
    print(f"{a.rounds} rounds; handshakes in a second of the server's CPU; median (least to greatest), ratio to bare")
    for what in dict.fromkeys(w for w, _ in found):
        bare = statistics.median(found.get((what, "bare"), [0]))
        cells = []
        for kind in (k for k in kinds if (what, k) in found):
            values = found[what, kind]
            median = statistics.median(values)
            ratio = f" x {median / bare:.2f}" if bare else ""
            cells.append(f"{kind} {median:,.0f} ({min(values):,.0f} to {max(values):,.0f}){ratio}")
        print(f"{what:30} " + " | ".join(cells))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--duration", type=float, default=2.0, help="seconds of handshakes of each kind; default 2")
    p.add_argument("--clients", type=int, default=4000, help="idle ones; default 4000")
    p.add_argument("--brokers", default=",".join(KINDS), help="of " + ", ".join(KINDS))
    p.add_argument("--build-dir", default="build")
    a = p.parse_args()
    a.build_dir = os.path.abspath(a.build_dir)
    a.tool = os.path.join(a.build_dir, "bin", "bench_tls")
    kinds, found = a.brokers.split(","), {}
    with tempfile.TemporaryDirectory(prefix="longlink-bench-") as folder:
        files = {}
        for name, how in KEYS.items():
            crt, key = os.path.join(folder, name + ".crt"), os.path.join(folder, name + ".key")
            subprocess.run(["openssl", "req", "-x509", *how, "-nodes", "-days", "30", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", crt], check=True,
                           stderr=subprocess.DEVNULL)
            os.chmod(key, 0o644)
            files[name] = (crt, key)
        os.chmod(folder, 0o755)
        for i in range(a.rounds):
            round_(a, files, kinds[i % len(kinds):] + kinds[:i % len(kinds)], found)
    show(a, found, kinds)


if __name__ == "__main__":
    main()
