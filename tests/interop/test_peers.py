#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""paho C (both interfaces), paho for Python and MQTT.js, with MQTT 3.1, 3.1.1 and 5.0: what arrives, and how.

    LONGLINKD=build/asan/bin/longlinkd tests/interop/test_peers.py [--broker mosquitto]
"""
import collections
from concurrent import futures

import brokers
import kit
from peers import KINDS, VERSIONS
from witness import Witness

ALL = [(kind, version) for kind in KINDS for version in VERSIONS[kind]]
V5 = [(kind, version) for kind, version in ALL if version == kit.V5]
LARGE = bytes(range(256)) * 4096
AT_ONCE = 6


class Both(brokers.Test):
    def each(self, what, which=ALL, conf=""):
        """what(broker, connect): connect(name, clean=True, ...) gives a peer that is connected."""
        b = self.broker(conf)

        def run(kind, version):
            def connect(name, clean=True, **words):
                p = self.peer(kind, version, f"{name}-{kind}-{version}")
                p.present = p.connect(b.port, clean, **words)["present"]
                return p

            what(b, connect, f"{kind}-{version}")

        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            runs = [(kind, version, pool.submit(run, kind, version)) for kind, version in which]
        for kind, version, r in runs:
            with self.subTest(kind=kind, version=version):
                r.result()

    def expect_present(self, p, present):
        """CONNACK of version 3.1 cannot say it."""
        if p.version != 3:
            self.assertIn(int(p.present), (present, -1))

    def witness(self, b, name, version=kit.V5):
        w = Witness(b.port, name, version)
        self.addCleanup(w.close)
        return w



class Peers(Both):
    def test_each_qos_is_delivered_with_each_granted(self):
        self.each(self.each_qos)

    def each_qos(self, b, connect, name):
        p = connect("p")
        for granted in (0, 1, 2):
            self.assertEqual(p.subscribe(f"{name}/{granted}/#", granted), granted)
        for qos in (0, 1, 2):
            for granted in (0, 1, 2):
                p.publish(f"{name}/{granted}/x", b"%d" % qos, qos)
                m = p.wait("message", 3 * qos + granted + 1)
                self.assertEqual((m["topic"], m["payload"], m["qos"], m["retain"], m["dup"]),
                                 (f"{name}/{granted}/x", (b"%d" % qos).hex(),
                                  str(min(qos, granted)), "0", "0"))
        p.publish(f"{name}/2/large", LARGE, 2)
        self.assertEqual(p.wait("message", 10).payload, LARGE)
        p.publish(f"{name}/2/empty", b"", 1)
        self.assertEqual(p.wait("message", 11).payload, b"")
        p.wait("sent", 11)
        self.assertEqual(p.unsubscribe(f"{name}/2/#"), 0)
        p.publish(f"{name}/2/x", b"not to be heard", 2)
        p.publish(f"{name}/1/x", b"to be heard", 1)
        self.assertEqual(p.wait("message", 12).payload, b"to be heard")
        p.leave()

    def test_everybody_hears_everybody_once(self):
        b = self.broker()
        peers = [self.peer(kind, version, f"{kind}-{version}") for kind, version in ALL]
        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda p: (p.connect(b.port), p.subscribe("all/#", 2)), peers))
        for p in peers:
            for qos in (0, 1, 2):
                p.publish(f"all/{p.client_id}", b"%d" % qos, qos)
        want = sorted((f"all/{p.client_id}", b"%d" % qos, str(qos)) for p in peers for qos in (0, 1, 2))
        for p in peers:
            p.wait("message", len(want))
        w = self.witness(b, "last")
        w.tell_all("all/last", [b"last"], 2)
        for p in peers:
            self.assertEqual(p.wait("message", len(want) + 1).payload, b"last")
            got = sorted((m["topic"], m.payload, m["qos"]) for m in p.messages()[:-1])
            self.assertEqual(got, want, p.client_id)
            p.leave()

    def test_a_session_keeps_what_comes_meanwhile(self):
        self.each(self.keeps)

    def keeps(self, b, connect, name):
        p = connect("p", clean=False)
        self.expect_present(p, 0)
        self.assertEqual(p.subscribe(f"{name}/#", 2), 2)
        p.leave()
        w = self.witness(b, f"w-{name}")
        sent = []
        for qos in (1, 2, 1, 2):
            mine = [b"%d %d" % (qos, len(sent) + i) for i in range(20)]
            w.tell_all(f"{name}/x", mine, qos)
            sent += [(payload, str(qos)) for payload in mine]
        again = connect("p", clean=False)
        self.expect_present(again, 1)
        w.tell_all(f"{name}/x", [b"last"], 2)
        again.wait("message", len(sent) + 1)
        # A message of QoS 2 reaches the application later than one of QoS 1 behind it.
        for qos in ("1", "2"):
            self.assertEqual([m.payload for m in again.messages() if m["qos"] == qos],
                             [payload for payload, q in sent + [(b"last", "2")] if q == qos])
        again.leave()
        fresh = connect("p", clean=True)
        self.expect_present(fresh, 0)
        w.tell_all(f"{name}/x", [b"gone with the session"], 1)
        self.assertEqual(fresh.subscribe(f"{name}/#", 2), 2)
        w.tell_all(f"{name}/x", [b"new"], 2)
        self.assertEqual(fresh.wait("message").payload, b"new")
        fresh.leave()

    def test_retained_messages_are_there_for_newcomers_and_can_be_removed(self):
        self.each(self.retained)

    def retained(self, b, connect, name):
        p = connect("p")
        for qos in (0, 1, 2):
            p.publish(f"{name}/{qos}", b"kept", qos, retain=True)
        p.wait("sent", 3)
        p.subscribe(f"{name}/+", 1)
        p.wait("message", 3)
        self.assertEqual(sorted((m["topic"], m["qos"], m["retain"]) for m in p.messages()),
                         [(f"{name}/0", "0", "1"), (f"{name}/1", "1", "1"), (f"{name}/2", "1", "1")])
        p.publish(f"{name}/0", b"live", 2, retain=True)
        m = p.wait("message", 4)
        self.assertEqual((m.payload, m["qos"], m["retain"]), (b"live", "1", "0"))
        for qos in (0, 1, 2):
            p.publish(f"{name}/{qos}", b"", 2, retain=True)
        p.wait("message", 7)
        p.wait("sent", 7)
        other = connect("other")
        other.subscribe(f"{name}/+", 2)
        p.publish(f"{name}/3", b"end", 2)
        self.assertEqual(other.wait("message").payload, b"end")
        p.leave()
        other.leave()

    def test_a_will_goes_out_when_its_client_is_killed_and_not_when_it_leaves(self):
        self.each(self.will)

    def will(self, b, connect, name):
        w = self.witness(b, f"w-{name}")
        w.subscribe(f"will/{name}", 2)
        words = {"will": f"will/{name}", "payload": b"dead", "retain": 0}
        connect("p", qos=0, **words).leave()
        connect("p", qos=2, **words).kill()
        self.assertEqual([(m.payload, m.qos, m.retain) for m in w.hear(1)], [(b"dead", 2, False)])
        connect("p", qos=1, **{**words, "retain": 1}).kill()
        self.assertEqual([(m.payload, m.qos, m.retain) for m in w.hear(2)[1:]], [(b"dead", 1, False)])
        p = connect("p")
        p.subscribe(f"will/{name}", 2)
        m = p.wait("message")
        self.assertEqual((m.payload, m["qos"], m["retain"]), (b"dead", "1", "1"))
        p.leave()

    def test_a_group_shares_and_nothing_is_lost_or_twice(self):
        for version in (4, 5):
            for qos in (1, 2):
                with self.subTest(version=version, qos=qos):
                    self.share(version, qos)

    def share(self, version, qos):
        b = self.broker()
        peers = [self.peer(kind, version, f"{kind}-{version}") for kind in KINDS]
        for p in peers:
            p.connect(b.port)
            self.assertEqual(p.subscribe("$share/g/job/#", qos), qos)
        w = self.witness(b, "w")
        sent = [b"%d" % i for i in range(200)]
        w.tell_all("job/x", sent, qos)
        kit.wait_until(lambda: sum(len(p.messages()) for p in peers) >= len(sent), "all of them")
        got = collections.Counter(m.payload for p in peers for m in p.messages())
        self.assertEqual(got, collections.Counter(sent))
        self.assertGreater(min(len(p.messages()) for p in peers), len(sent) // len(peers) // 4)
        for p in peers:
            p.leave()


class Version5(Both):
    def test_properties_arrive_as_they_were_sent(self):
        self.each(self.properties, V5)

    def properties(self, b, connect, name):
        p = connect("p")
        p.subscribe(name, 2, sid=268435455)
        sent = {"ct": "text/plain", "rt": f"{name}/answers", "cd": b"\0\xff17", "pfi": 1, "mei": 600,
                "up": ["b:2", "a:1", "b:3", "long:" + "x" * 1000]}
        for qos in (0, 1, 2):
            p.publish(name, "täglich".encode(), qos, **sent)
            m = p.wait("message", qos + 1)
            self.assertEqual((m.payload, m["qos"]), ("täglich".encode(), str(qos)))
            self.assertEqual((m["ct"], m["rt"], m["cd"], m["pfi"], m["sid"]),
                             ("text/plain", f"{name}/answers", "00ff3137", "1", "268435455"))
            self.assertIn(int(m["mei"]), range(540, 601))
            ups = m.all("up")
            # MQTT.js sorts them by name before it sends them.
            self.assertEqual(sorted(ups) if "mqttjs" in name else ups,
                             sorted(sent["up"]) if "mqttjs" in name else sent["up"])
        p.leave()

    def test_a_request_is_answered(self):
        self.each(self.request, V5)

    def request(self, b, connect, name):
        asker, service = connect("asker"), connect("service")
        asker.subscribe(f"{name}/answers", 1)
        service.subscribe(f"{name}/ask", 1)
        asker.publish(f"{name}/ask", b"how much?", 1, rt=f"{name}/answers", cd=b"\1\2")
        m = service.wait("message")
        self.assertEqual(m.payload, b"how much?")
        service.publish(m["rt"], b"42", 1, cd=bytes.fromhex(m["cd"]))
        m = asker.wait("message")
        self.assertEqual((m["topic"], m.payload, m["cd"]), (f"{name}/answers", b"42", "0102"))
        asker.leave()
        service.leave()

    def test_no_local_retain_as_published_and_retain_handling(self):
        self.each(self.subscribe_options, V5)

    def subscribe_options(self, b, connect, name):
        p, other = connect("p"), connect("other")
        p.subscribe(f"{name}/a", 1, nl=1)
        p.subscribe(f"{name}/b", 1, rap=1)
        p.publish(f"{name}/a", b"mine", 1)
        other.publish(f"{name}/a", b"another's", 1)
        self.assertEqual(p.wait("message").payload, b"another's")
        p.publish(f"{name}/b", b"as published", 1, retain=True)
        m = p.wait("message", 2)
        self.assertEqual((m.payload, m["retain"]), (b"as published", "1"))
        other.subscribe(f"{name}/b", 1, rh=2)  # never
        other.subscribe(f"{name}/b", 1, rh=1)  # there was one
        other.publish(f"{name}/b", b"live", 1)
        self.assertEqual(other.wait("message").payload, b"live")
        other.subscribe(f"{name}/b", 1, rh=0)
        self.assertEqual(other.wait("message", 2).payload, b"as published")
        self.assertEqual(other.unsubscribe(f"{name}/b"), 0)
        other.subscribe(f"{name}/b", 1, rh=1)  # there was none
        self.assertEqual(other.wait("message", 3)["retain"], "1")
        self.assertEqual(other.unsubscribe(f"{name}/nowhere"), 0x11)
        p.leave()
        other.leave()

    def test_all_identifiers_of_overlapping_subscriptions_come(self):
        self.each(self.identifiers, V5)

    def identifiers(self, b, connect, name):
        p = connect("p")
        p.subscribe(f"{name}/#", 1, sid=1)
        p.subscribe(f"{name}/+", 2, sid=300)
        p.publish(f"{name}/x", b"x", 2)
        # One message with both, or one for each.
        kit.wait_until(lambda: len([sid for m in p.messages() for sid in m.all("sid")]) >= 2, "both")
        self.assertEqual(sorted(sid for m in p.messages() for sid in m.all("sid")), ["1", "300"])
        self.assertEqual(max(m["qos"] for m in p.messages()), "2")
        p.leave()

    def test_a_delayed_will_does_not_go_out_when_its_client_comes_back(self):
        self.each(self.delayed_will, V5)

    def delayed_will(self, b, connect, name):
        w = self.witness(b, f"w-{name}")
        w.subscribe(f"will/{name}", 1)
        words = {"will": f"will/{name}", "payload": b"dead", "qos": 1, "retain": 0, "expiry": 600}
        connect("p", clean=False, delay=600, **words).kill()
        p = connect("p", clean=False, delay=1, **words)
        self.expect_present(p, 1)
        p.publish(f"will/{name}", b"back", 1)
        self.assertEqual([m.payload for m in w.hear(1)], [b"back"])
        p.kill()
        self.assertEqual([m.payload for m in w.hear(2)], [b"back", b"dead"])

    def test_topic_aliases_both_ways(self):
        b = self.broker()
        p = self.peer("mqttjs", kit.V5, "mqttjs")
        p.connect(b.port, tam=5, autoalias=1)
        p.subscribe("a/#", 2)
        topics = [f"a/{i % 8}" for i in range(80)]
        for i, topic in enumerate(topics):
            p.publish(topic, b"%d" % i, i % 3)
            if i % 10 == 9:  # MQTT.js does not keep to a Receive Maximum, and mosquitto's is 20
                p.wait("sent", i + 1)
        p.wait("message", len(topics))
        self.assertEqual(sorted((int(m.payload), m["topic"]) for m in p.messages()), sorted(enumerate(topics)))
        for kind in ("client", "async", "python"):
            q = self.peer(kind, kit.V5, kind)
            q.connect(b.port)
            q.subscribe(f"x/{kind}", 1)
            q.publish(f"x/{kind}", b"first", 1, alias=3)
            self.assertEqual(q.wait("message").payload, b"first")
            q.publish("" if kind != "python" else f"x/{kind}", b"second", 1, alias=3)
            self.assertEqual(q.wait("message", 2)["topic"], f"x/{kind}")
            q.leave()
        p.leave()


if __name__ == "__main__":
    brokers.main()
