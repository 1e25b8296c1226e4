#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that people use, by WebSocket.

    LONGLINKD=build/asan/bin/longlinkd tests/interop/test_websocket.py
"""
from concurrent import futures

import brokers
import edge_kit
import kit
from peers import KINDS

SIZES = 0, 1, 117, 125, 126, 65535, 70000, 1 << 20
# The library that peer_client and peer_async have is built without TLS.
WITH_TLS = "python", "mqttjs"


class WebSocket(brokers.Test):
    def each(self, kinds, conf, **words):
        b = self.broker("", listener=f"listener 0 127.0.0.1\nprotocol websockets\n{conf}")
        runs = [(kind, version) for kind in kinds for version in (kit.V311, kit.V5)]
        with futures.ThreadPoolExecutor(len(runs)) as pool:
            done = [(kind, version, pool.submit(self.talk, b, kind, version, words)) for kind, version in runs]
        for kind, version, run in done:
            with self.subTest(kind=kind, version=version):
                run.result()

    def talk(self, b, kind, version, words):
        name = f"{kind}-{version}"
        p = self.peer(kind, version, name)
        p.connect(b.port, **words)
        self.assertEqual(p.subscribe(f"{name}/#", 2), 2)
        count = 0
        for qos in (0, 1, 2):
            for size in SIZES:
                payload = bytes(i % 251 for i in range(size))
                p.publish(f"{name}/{qos}", payload, qos)
                count += 1
                m = p.wait("message", count)
                self.assertEqual((m["topic"], m["qos"]), (f"{name}/{qos}", str(qos)))
                self.assertEqual(m.payload, payload)
        p.leave()

    def test_ws(self):
        self.each(KINDS, "", scheme="ws")

    def test_wss(self):
        p = edge_kit.pki()
        self.each(WITH_TLS, p.server.lines(), scheme="wss", ca=p.ca.crt)


if __name__ == "__main__":
    brokers.main()
