#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each load of tests/bench/abuse_loads.py, smaller: others are served meanwhile, memory stays within bounds, and when
the load has gone nothing of it is left."""
import os
import sys

import kit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import abuse_loads  # noqa: E402

SCALE, STEPS, LONG_STEPS, ROUNDS = 0.02, 200, 10, 5
LIMIT = 64 * kit.MIB


class Abuse(kit.Test):
    def begin(self, name):
        conf = abuse_loads.LOADS[name].conf
        b = self.broker(f"shards 2\nmemory_limit {LIMIT}\n{conf}")
        self.resident = b.resident_bytes()
        reader, source = self.client(b, "probe-reader"), self.client(b, "probe-source")
        reader.subscribe("probe", 1)
        return b, reader, source

    def serve(self, reader, source, text):
        """QoS 1 from here to there. When memory is short it is refused, which is an answer too."""
        source.send(source.publish_bytes("probe", text, 1))
        answer = source.expect(kit.PUBACK).body
        if len(answer) <= 2 or answer[2] < 0x80:
            self.assertEqual(reader.message().payload, text)

    def check_bounded(self, b):
        self.assertLess(b.metric("memory_bytes"), LIMIT * 3 // 2)
        self.assertLess(b.resident_bytes() - self.resident, 3 * LIMIT * kit.MEMORY_FACTOR)

    def abuse(self, name, scale=SCALE):
        b, reader, source = self.begin(name)
        load = abuse_loads.start(name, abuse_loads.port_of(name, b), scale)
        steps = LONG_STEPS if isinstance(load, abuse_loads.Steps) else STEPS
        for i in range(ROUNDS):
            for _ in range(steps):
                load.step()
            self.serve(reader, source, b"%d" % i)
            self.check_bounded(b)
        load.close()
        b.wait_metric("connections_open", lambda n: n == 2)
        b.wait_metric("memory_high", lambda n: n == 0)
        self.serve(reader, source, b"well")


def test_of(name):
    return lambda self: self.abuse(name)


for each in abuse_loads.LOADS:
    setattr(Abuse, "test_" + each.replace("-", "_"), test_of(each))


if __name__ == "__main__":
    kit.main()
