# SPDX-License-Identifier: Apache-2.0
"""A network of one's own: a client behind a NAT, and a broker, each in a network namespace.

    client 10.1.0.2 --- 10.1.0.1 nat 203.0.113.1 --- 203.0.113.2 server

What is between them is the kernel's own NAT (nftables, masquerade, conntrack) with a short memory; what it does with a
packet of a connection that it has forgotten says NAT. The test runs in namespaces that end with it (`enter`): nothing
outside sees any of this, no name can clash, nothing is left behind.

Where namespaces or the NAT cannot be had a test is skipped and says why; LONGLINK_NETNS=must makes that a failure.
"""
import contextlib
import ctypes
import errno
import os
import shutil
import socket
import subprocess
import sys
import unittest

import kit

SKIPPED = 77  # what e2e.cmake takes for "skipped"
SERVER, NAT_OUTSIDE = "203.0.113.2", "203.0.113.1"
TOOLS = ("unshare", "nsenter", "ip", "nft", "conntrack")


# What happens to a packet of a forgotten connection, as (from the client, from the broker).
NAT = {
    "silent": ("drop", "drop"),
    "rst": ("reject with tcp reset", "reject with tcp reset"),
    "moves": ("accept", "drop"),  # it gets another port: the broker's kernel answers with RST
}

RULES = """
table ip translate {{
  chain out {{
    type nat hook postrouting priority srcnat
    oifname "outer" masquerade fully-random
  }}
}}
table ip forgotten {{
  chain through {{
    type filter hook forward priority filter
    ct state invalid drop
{client}
  }}
  chain to_it {{
    type filter hook input priority filter
{broker}
  }}
}}
"""


def why_not():
    """None, or why there can be no network here."""
    missing = [t for t in TOOLS if shutil.which(t) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (deploy/install test)"
    return None


def unshare():
    """The command that becomes another one in namespaces of its own; without root, as root of its own user."""
    return ["unshare", *(["--user", "--map-root-user"] if os.getuid() != 0 else []), "--mount", "--net"]


def skip(why):
    print(f"SKIPPED, no network of one's own: {why}")
    sys.exit(1 if os.environ.get("LONGLINK_NETNS") == "must" else SKIPPED)


def enter(make=None):
    """Goes on in namespaces of its own: starts the program again there, and makes a network (build, by default). Gives
    when that is done."""
    if os.environ.get("LONGLINK_NETNS_INSIDE"):
        (make or build)()
        return
    why = why_not()
    if why:
        skip(why)
    env = {**os.environ, "LONGLINK_NETNS_INSIDE": "yes"}
    tried = subprocess.run([*unshare(), "true"], stderr=subprocess.PIPE, text=True, check=False)
    if tried.returncode != 0:
        skip(f"{' '.join(unshare())}: {tried.stderr.strip()}")
    command = unshare()
    os.execvpe(command[0], [*command, sys.executable, "-B", *sys.argv], env)


def call(*command, stdin=None):
    done = subprocess.run(list(map(str, command)), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")
    return done.stdout


def within(name):
    """The beginning of a command that runs in a namespace."""
    return ["nsenter", f"--net=/run/netns/{name}"]


def link(a, a_name, a_address, b, b_name, b_address):
    call("ip", "link", "add", a_name, "netns", a, "type", "veth", "peer", "name", b_name, "netns", b)
    for ns, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
        call("ip", "-n", ns, "address", "add", f"{address}/24", "dev", name)
        call("ip", "-n", ns, "link", "set", name, "up")


def sysctl(name, value, where="nat"):
    call(*within(where), "sh", "-c", f"echo {value} > /proc/sys/net/{name}")


def namespaces(*names):
    """Nobody else sees them: what is under /run is ours alone from here on."""
    call("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.mkdir("/run/netns")
    for name in names:
        call("ip", "netns", "add", name)
        call("ip", "-n", name, "link", "set", "lo", "up")


def build():
    """Three namespaces and two cables. Whatever fails here cannot be had on this machine."""
    try:
        namespaces("client", "nat", "server")
        link("client", "eth0", "10.1.0.2", "nat", "inner", "10.1.0.1")
        link("server", "eth0", SERVER, "nat", "outer", NAT_OUTSIDE)
        call("ip", "-n", "client", "route", "add", "default", "via", "10.1.0.1")
        sysctl("ipv4/ip_forward", 1)
        sysctl("netfilter/nf_conntrack_tcp_loose", 1)
        rules({})
    except OSError as e:
        skip(str(e))


def rules(kinds):
    """kinds: what is done to forgotten connections, by the port of the broker."""
    client = [f"    ct state new tcp flags & (syn | ack) != syn tcp dport {port} {NAT[kind][0]}"
              for port, kind in kinds.items()]
    broker = [f'    iifname "outer" tcp sport {port} {NAT[kind][1]}' for port, kind in kinds.items()]
    text = RULES.format(client="\n".join(client), broker="\n".join(broker))
    call(*within("nat"), "nft", "-f", "-", stdin="flush ruleset\n" + text)


@contextlib.contextmanager
def inside(name):
    """Sockets that are made here are in that namespace, and stay there."""
    libc = ctypes.CDLL(None, use_errno=True)

    def go(path):
        with open(path) as f:
            if libc.setns(f.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), f"setns {path}")

    with open("/proc/thread-self/ns/net") as home:
        go(f"/run/netns/{name}")
        try:
            yield
        finally:
            if libc.setns(home.fileno(), 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns home")


class Test(kit.Test):
    """With a broker in `server`, and clients here and there."""

    def nat(self, kind, timeout_s):
        """It forgets a connection on which nothing has gone either way for so long. kind: for all of them, or by the
        port of the broker."""
        rules(kind if isinstance(kind, dict) else {"0-65535": kind})
        self.remembers(timeout_s)
        call(*within("nat"), "conntrack", "-F")

    def remembers(self, timeout_s):
        """From the next packet of a connection on."""
        sysctl("netfilter/nf_conntrack_tcp_timeout_established", timeout_s)
        # Nor does it remember longer because something was not acknowledged.
        sysctl("netfilter/nf_conntrack_tcp_timeout_max_retrans", timeout_s)
        sysctl("netfilter/nf_conntrack_tcp_timeout_unacknowledged", timeout_s)

    def mappings(self):
        """Connections that the NAT knows."""
        listed = call(*within("nat"), "conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED")
        return sum(line.startswith("tcp") for line in listed.splitlines())

    def wait_forgotten(self):
        """Waits until the NAT knows no connection any more."""
        kit.wait_until(lambda: self.mappings() == 0, "the NAT has forgotten")

    def cable(self, state):
        """up, or down: between the client and the NAT."""
        call("ip", "-n", "nat", "link", "set", "inner", state)

    def broker(self, conf="", **more):
        return super().broker(conf, listener="listener 0 0.0.0.0", prefix=within("server"), **more)

    def near(self, broker, client_id="", **more):
        """A client beside the broker, which no NAT troubles."""
        with inside("server"):
            return self.client(broker, client_id, **more)

    def far(self, broker, client_id="", **more):
        """A client behind the NAT."""
        made = []

        def reach():
            try:
                with inside("client"):
                    made.append(kit.Client(broker.port, host=SERVER))
            except OSError as e:
                if e.errno != errno.EHOSTUNREACH:  # ARP has not found its way again yet
                    raise
            return bool(made)

        kit.wait_until(reach, "the broker can be reached")
        self.addCleanup(made[0].close)
        made[0].join(client_id, **more)
        return made[0]

    def far_sub(self, port, *flags):
        """An unmodified mosquitto_sub behind the NAT."""
        sub = kit.Running(*within("client"), "mosquitto_sub", "-d", "-h", SERVER, "-p", port, *flags)
        self.addCleanup(sub.stop)
        return sub


def main():
    kit.program()
    enter()
    socket.setdefaulttimeout(kit.WAIT_S)
    unittest.main(verbosity=2)
