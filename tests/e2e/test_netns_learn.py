#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The broker finds how long a NAT lets a connection be silent, with unmodified clients of both versions, and keeps
their way open. In real time, so with intervals of seconds; it takes two to three minutes, nearly all of it asleep."""
import os
import re
import socket
import time

import kit
import netns_kit
from test_options import brokers_sockets

PLUGIN = os.environ.get("LONGLINK_TEST_PLUGINS", "") + "/ext.so"

NAT_S = 6       # it forgets what was silent for so long
START_S = 5     # where the broker begins; the next it tries is too much
SIGNS_EACH = 8  # an interval is taken for good after 5, and then a longer one is tried: more than that is rest
ASKED_S = 12   # the keepalive of the clients: too long for the NAT
TRIES = 3       # that one more limit is just being tried is no failure
LEAST_S = 3     # what is found is 4, one below what held
FIND_S = 420
VERSIONS = {"mqttv311": (), "mqttv5": ("-x", 3600)}
NAMES = [f"{kind}-{version}" for kind in ("rst", "silent") for version in VERSIONS]

LISTENER = """
keepalive_mode learn
keepalive_raise all
"""
CONF = f"""{LISTENER}
keepalive_min 1
keepalive_max 30
keepalive_start {START_S}
keepalive_step 3
listener 0 0.0.0.0
{LISTENER}
allow_anonymous true
plugin {PLUGIN}
"""


def is_right(interval_s):
    return LEAST_S <= interval_s < NAT_S


def kernels_intervals(b):
    """TCP_KEEPIDLE of the connections that the kernel probes for the broker, through the NAT."""
    found = []
    for s in brokers_sockets(b.process.pid):
        try:
            peer = s.getpeername()
        except OSError:
            continue  # it listens
        if peer[0] == netns_kit.NAT_OUTSIDE and s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            found.append(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
    return found


class Learn(netns_kit.Test):
    def subs(self, ports):
        """mosquitto_sub of each version behind each kind of NAT."""
        subs = [self.far_sub(port, "-i", f"{kind}-{version}", "-c", "-q", 1, "-k", ASKED_S, "-t", "t", "-V", version, *more)
                for port, kind in ports.items() for version, more in VERSIONS.items()]
        for s in subs:
            s.wait("Subscribed")
        return subs

    def wait_found(self, b, count):
        """Waits until each of them has given many signs of life, and none has had to connect since: it has answered
        probes, or, where it was told an interval of its own, sent PINGREQs. Gives how many CONNECTs there were."""
        ends, connects, before = time.monotonic() + FIND_S, None, 0
        while time.monotonic() < ends:
            m = b.metrics()
            signs = m["keepalive_probes_answered_total"] + m["packets_received_total"]
            if m["connects_accepted_total"] != connects or m["clients_connected"] != count:
                connects, before = m["connects_accepted_total"], signs
            if signs - before >= count * SIGNS_EACH:
                return connects
            time.sleep(0.5)
        raise AssertionError(f"not found within {FIND_S} s:\n{b.text()[-4000:]}")

    def found_for(self, near, watcher, client_id):
        """What longlink_presence says: the plugin is asked, and answers by a message."""
        self.assertEqual(near.publish("$CONTROL/ext/v1", b"keepalive " + client_id.encode(), 1), 0)
        while True:
            said = watcher.message().payload.decode()
            match = re.fullmatch(rf"keepalive {client_id} has=\d+ found=(\d+)", said)
            if match:
                return int(match.group(1))

    def test_the_interval_is_found_and_a_message_after_a_long_silence_arrives(self):
        # option: keepalive_mode, keepalive_raise, keepalive_start, keepalive_step
        b = self.broker(CONF)
        other = int(kit.wait_file(b.log, r"(?s) listener-open .* listener-open .*?port=(\d+)").group(1))
        ports = {b.port: "rst", other: "silent"}
        self.nat(ports, NAT_S)
        subs = self.subs(ports)
        near, watcher = self.near(b, "near"), self.near(b, "watcher")
        watcher.subscribe("said", 1)
        for i in range(TRIES):
            connects = self.wait_found(b, len(subs) + 2)
            self.assertGreater(connects, len(subs) + 2)  # it was looked for: some were lost on the way
            self.assertEqual(near.publish("t", b"after silence %d" % i, 1), 0)
            for s in subs:
                s.wait(f"after silence {i}")
            is_same = b.metric("connects_accepted_total") == connects  # over the same connections
            found = {name: self.found_for(near, watcher, name) for name in NAMES}
            probed = kernels_intervals(b)
            if is_same and all(map(is_right, [*found.values(), *probed])):
                self.assertGreaterEqual(len(probed), 2)  # those of 3.1.1, which cannot be told
                return
        self.fail(f"somebody had to connect for the message: {not is_same}; found: {found}, probed after: {probed}")


if __name__ == "__main__":
    netns_kit.main()
