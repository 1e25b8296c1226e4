# SPDX-License-Identifier: Apache-2.0
"""A cluster of zab-node processes, each in a network namespace, with cables that can be cut.

    n1 10.2.1.2 --- 10.2.1.1 c1 |
    n2 10.2.2.2 --- 10.2.2.1 c2 | hub, which forwards, or does not
    n3 10.2.3.2 --- 10.2.3.1 c3 |

A cut is silent: packets are dropped, nobody is told. Clients come from the node's own namespace, so that a node that is
cut off can still be asked.
"""
import contextlib
import os

import netns_kit
import zab_kit

NODES = 3

# What the hub drops: to and from the node, only what comes from it, only what goes to it.
CUTS = {
    "whole": ("iifname", "oifname"),
    "from": ("iifname",),
    "to": ("oifname",),
}


def name_of(number):
    return f"n{number}"


def host_of(number):
    return f"10.2.{number}.2"


def build():
    """Whatever fails here cannot be had on this machine."""
    numbers = range(1, NODES + 1)
    try:
        netns_kit.namespaces("hub", *map(name_of, numbers))
        netns_kit.call("ip", "link", "set", "lo", "up")
        for i in numbers:
            netns_kit.link(name_of(i), "eth0", host_of(i), "hub", f"c{i}", f"10.2.{i}.1")
            netns_kit.call("ip", "-n", name_of(i), "route", "add", "default", "via", f"10.2.{i}.1")
        netns_kit.sysctl("ipv4/ip_forward", 1, "hub")
        mend()
    except OSError as e:
        netns_kit.skip(str(e))


def enter():
    netns_kit.enter(build)


def rules(dropped):
    text = "\n".join(f"    {d}" for d in dropped)
    netns_kit.call(*netns_kit.within("hub"), "nft", "-f", "-", stdin=f"""flush ruleset
table ip cut {{
  chain through {{
    type filter hook forward priority filter
{text}
  }}
}}
""")


def cut(number, how):
    """From now on; how is one of CUTS."""
    rules(f'{side} "c{number}" drop' for side in CUTS[how])


def mend():
    rules(())


def cable(number, state):
    """up, or down at the hub's end: the node keeps its address and its routes."""
    netns_kit.call("ip", "-n", "hub", "link", "set", f"c{number}", state)


@contextlib.contextmanager
def beside(number):
    with netns_kit.inside(name_of(number)):
        yield


class Node(zab_kit.Node):
    def __init__(self, *which):
        super().__init__(*which)
        self.prefix = netns_kit.within(name_of(self.number))

    def connect(self):
        with beside(self.number):
            return super().connect()


class Cluster(zab_kit.Cluster):
    node = Node

    def __init__(self, count, conf="", **more):
        super().__init__(count, conf, **more)
        secret = os.path.join(self.dir, "secret")
        with open(secret, "w") as f:
            f.write("a secret of this test's only\n")
        self.conf += f"clusterSecretFile={secret}\n"

    def host(self, number):
        return host_of(number)
