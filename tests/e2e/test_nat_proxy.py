#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Behind a NAT in user space that forgets: unmodified clients come back, and what was sent meanwhile is there."""
import kit
import nat_proxy
from kit import V5


class NatProxy(kit.Test):
    def nat(self, b, kind):
        p = nat_proxy.NatProxy(b.port, kind)
        self.addCleanup(p.close)
        return p

    def sub(self, nat, client_id, version):
        """mosquitto_sub with a session that stays."""
        more = ["-V", "mqttv5", "-x", 3600] if version == V5 else ["-V", "mqttv311"]
        sub = kit.Running("mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", nat.port, "-i", client_id, "-c", "-q", 1,
                          "-k", 5, "-t", "t", *more)
        self.addCleanup(sub.stop)
        return sub.wait("Subscribed")

    def test_mosquitto_sub_gets_what_was_sent_into_the_gap(self):
        if not kit.have("mosquitto_sub"):
            self.skipTest("mosquitto-clients is not installed")
        b = self.broker("shards 2")
        nats = {kind: self.nat(b, kind) for kind in ("silent", "rst", "moves")}
        subs = [self.sub(nat, f"{kind}-{version}", version)
                for kind, nat in nats.items() for version in (kit.V311, V5)]
        near = self.client(b, "near")
        near.publish("t", b"before", 1)
        for sub in subs:
            sub.wait("before")
        for nat in nats.values():
            nat.forget()
        near.publish("t", b"after the gap", 1)
        for sub in subs:
            sub.wait("after the gap")
        for nat in nats.values():
            nat.wait_deaths(2, kit.WAIT_S)

    def test_a_client_that_was_given_another_port_takes_its_session_over(self):
        b = self.broker()
        nat = self.nat(b, "moves")
        first = kit.Client(nat.port)
        self.addCleanup(first.close)
        first.join("c", clean=False, expiry=60)
        nat.forget()
        with self.assertRaises(kit.Closed):
            first.ping()
        self.assertEqual(b.metric("clients_connected"), 1)
        again = kit.Client(nat.port)
        self.addCleanup(again.close)
        self.assertEqual(again.join("c", clean=False, expiry=60), (True, 0))
        self.assertEqual(b.metric("takeovers_total"), 1)


if __name__ == "__main__":
    kit.main()
