#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""QoS 2 with real clients over a network that breaks in the middle of its flow: each message exactly once.

The connection is cut at each of the four packets, lost, in half, or delivered; the client comes back by itself, or as
a new process with the files of the one before it.

    LONGLINKD=build/asan/bin/longlinkd tests/interop/test_cuts.py [--broker mosquitto]
"""
import collections
import random
from concurrent import futures

import brokers
import kit
from peers import KINDS, VERSIONS
from proxy import CAME, DOWN, HALF, LOST, UP, Cut, Proxy
from witness import PUBCOMP, PUBREC, PUBREL, Witness

BATCH, BATCHES_MAX, AT_ONCE = 10, 40, 12
END = b"end"
# In which direction each packet goes when the client publishes; it is the other one when it subscribes.
FLOW = {kit.PUBLISH: UP, PUBREC: DOWN, PUBREL: UP, PUBCOMP: DOWN}
OTHER = {UP: DOWN, DOWN: UP}


def cuts(rng, ways):
    """Each packet, in each of the ways; at any of the first few of its kind on a connection."""
    out = [Cut(way, kind, rng.randrange(1, 7), fate) for kind, way in ways.items() for fate in (LOST, HALF, CAME)]
    rng.shuffle(out)
    return out


class Cuts(brokers.Test):
    def proxy(self, b, made):
        p = Proxy(b.port, made)
        self.addCleanup(p.close)
        return p

    def each(self, what, kinds=KINDS):
        """All of them at the same time: they spend it with waiting, and paho's MQTTAsync a second for each reconnect."""
        b = self.broker()
        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            runs = [(kind, version, pool.submit(what, b, kind, version)) for kind in kinds for version in VERSIONS[kind]]
        for kind, version, run in runs:
            with self.subTest(kind=kind, version=version):
                run.result()

    def batches(self, proxy):
        """Payloads until all cuts were made, and then a batch without."""
        for i in range(BATCHES_MAX):
            last = not proxy.left()
            yield from (b"%d" % (i * BATCH + k) for k in range(BATCH))
            if last:
                return
        self.fail(f"cuts that were not made: {proxy.left()}")

    def once(self, got, sent):
        """Exactly once, and in order."""
        count = collections.Counter(got)
        self.assertEqual([p for p in count if count[p] > 1], [], "came twice")
        self.assertEqual([p for p in sent if p not in count], [], "missing")
        self.assertEqual(got, sent)

    def test_what_a_client_publishes_comes_once(self):
        self.each(self.publish)

    def publish(self, b, kind, version):
        made = cuts(random.Random(f"{kind} {version}"), FLOW)
        proxy = self.proxy(b, made)
        topic = f"from/{kind}/{version}"
        w = Witness(b.port, f"witness {kind} {version}")
        self.addCleanup(w.close)
        w.subscribe(topic, 2)
        p = self.peer(kind, version, f"publisher {kind} {version}".replace(" ", "-"), self.folder())
        p.connect(proxy.port, clean=False)
        sent = []
        for payload in self.batches(proxy):
            p.publish(topic, payload, 2)
            sent.append(payload)
            if len(sent) % BATCH == 0:
                p.wait("sent", len(sent))
        w.hear(len(sent))
        w.ping_through()
        self.once([m.payload for m in w.heard], sent)
        self.assertEqual(w.wrong, [])
        p.leave()

    def test_what_a_client_subscribes_to_comes_once(self):
        self.each(self.subscribe)

    def subscribe(self, b, kind, version):
        made = cuts(random.Random(f"{kind} {version}"), {k: OTHER[way] for k, way in FLOW.items()})
        proxy = self.proxy(b, made)
        topic = f"to/{kind}/{version}"
        p = self.peer(kind, version, f"subscriber-{kind}-{version}", self.folder())
        p.connect(proxy.port, clean=False)
        self.assertEqual(p.subscribe(topic, 2), 2)
        w = Witness(b.port, f"witness {kind} {version}")
        self.addCleanup(w.close)
        sent = []
        for payload in self.batches(proxy):
            sent.append(payload)
            if len(sent) % BATCH == 0:
                w.tell_all(topic, sent[-BATCH:], 2)
                p.wait("message", len(sent))
        self.once([m.payload for m in p.messages()], sent)
        self.assertEqual({m["qos"] for m in p.messages()}, {"2"})
        self.assertEqual(w.wrong, [])
        p.leave()

    # paho C with its files: a new process goes on where the one before it was killed

    def test_a_publisher_that_is_killed_goes_on_from_its_files(self):
        self.each(self.publish_killed, ("client", "async"))

    def publish_killed(self, b, kind, version):
        topic, folder, client_id = f"k/{kind}/{version}", self.folder(), f"killed-{kind}-{version}"
        w = Witness(b.port, f"witness {client_id}")
        self.addCleanup(w.close)
        w.subscribe(topic, 2)
        # paho's files are for one address, so all connections go through the same.
        proxy, sent = self.proxy(b, []), []
        for packet, way in FLOW.items():
            for fate in (LOST, CAME):
                proxy.cuts.append(Cut(way, packet, 2, fate))
                p = self.peer(kind, version, client_id, folder)
                p.connect(proxy.port, clean=False)
                mine = [b"%d %s %d" % (packet, fate.encode(), n) for n in range(5)]
                for payload in mine:
                    p.publish(topic, payload, 2)
                p.wait("accepted", 5)  # in its files
                p.wait("lost")
                p.kill()
                sent += mine
        p = self.peer(kind, version, client_id, folder)
        p.connect(proxy.port, clean=False)
        p.publish(topic, END, 2)
        w.hear(len(sent) + 1)
        p.leave()
        w.ping_through()
        self.assertEqual(w.wrong, [])
        self.assertEqual(collections.Counter(m.payload for m in w.heard), collections.Counter(sent + [END]))

    def test_a_subscriber_that_is_killed_goes_on_from_its_files(self):
        self.each(self.subscribe_killed, ("client", "async"))

    def subscribe_killed(self, b, kind, version):
        """Only up to PUBREC: whether an application that was killed has seen a message, nobody knows."""
        topic, folder, client_id = f"k/{kind}/{version}", self.folder(), f"ended-{kind}-{version}"
        proxy = self.proxy(b, [])
        p = self.peer(kind, version, client_id, folder)
        p.connect(proxy.port, clean=False)
        p.subscribe(topic, 2)
        p.leave()
        w = Witness(b.port, f"witness {client_id}")
        self.addCleanup(w.close)
        sent, got = [], []
        for way, packet, fate in ((DOWN, kit.PUBLISH, LOST), (DOWN, kit.PUBLISH, CAME), (UP, PUBREC, LOST),
                                  (UP, PUBREC, CAME), (DOWN, PUBREL, LOST)):
            proxy.cuts.append(Cut(way, packet, 1, fate))
            proxy.hold = True
            mine = [b"%s %d %s %d" % (way.encode(), packet, fate.encode(), n) for n in range(3)]
            w.tell_all(topic, mine, 2)
            p = self.peer(kind, version, client_id, folder)
            p.connect(proxy.port, clean=False)
            p.wait("lost")
            p.kill()
            got += [m.payload for m in p.messages()]
            sent += mine
        proxy.hold = False
        p = self.peer(kind, version, client_id, folder)
        p.connect(proxy.port, clean=False)
        w.tell_all(topic, [END], 2)
        p.wait("message", len(sent) + 1 - len(got))
        p.leave()
        got += [m.payload for m in p.messages()]
        self.assertEqual(collections.Counter(got), collections.Counter(sent + [END]))


if __name__ == "__main__":
    brokers.main()
