#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Descriptors run out: who connects waits, the broker goes on, and those who wait get in when there is room."""
import resource
import tempfile

import kit


class Descriptors(kit.Test):
    def limited(self, hard, soft, conf, **more):
        """A broker that may open so many files."""
        prefix = ["sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"', "sh"]
        return self.broker(conf, prefix=prefix, **more)

    def test_the_soft_limit_is_raised_to_the_hard_one(self):
        b = self.limited(500, 100, "shards 2")
        self.assertEqual(resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE), (500, 500))
        clients = [self.client(b, f"c{i}") for i in range(200)]
        clients[-1].ping()

    def test_connections_leave_some_for_the_broker_and_others_wait(self):
        d = tempfile.TemporaryDirectory(prefix="longlink-files.")
        self.addCleanup(d.cleanup)  # after the broker
        b = self.limited(220, 100, f"shards 2\npersistence_location {d.name}\ndurability os\nlistener 0 127.0.0.1\n"
                         "allow_anonymous true")
        other = int(kit.wait_file(b.log, r"(?s) listener-open .* listener-open .*?port=(\d+)").group(1))
        clients = []
        for i in range(200):
            c = kit.Client((b.port, other)[i % 2])
            self.addCleanup(c.close)
            c.join(f"c{i}", clean=False, expiry=3600, answer=False)
            clients.append(c)
        kit.wait_file(b.log, " accept-failed ")
        # Who is on its way from shard to shard is not counted.
        b.wait_metric("connections_open", lambda n: n >= 100)
        self.assertLess(b.metric("connections_open"), 150)
        # What the broker opens itself it can open: here what a reload needs.
        with open(b.conf, "a") as f:
            f.write("\nlistener 0 127.0.0.1\nallow_anonymous true\n")
        self.assertRegex(b.reload(), " reload-done .*opened=1")
        for c in clients[:100]:
            c.close()
        for c in clients[100:]:
            c.expect(kit.CONNACK)
        self.assertGreater(b.metric("accept_pauses_total"), 0)

    def test_an_operator_is_told_when_max_connections_cannot_be_had(self):
        b = self.limited(1000, 1000, "max_connections 800\nlistener 0 127.0.0.1\nmax_connections 800")
        self.assertRegex(b.text(), r" files-few .*open_files=1000 connections=8\d\d max_connections=1600")
        b = self.limited(1000, 1000, "max_connections 800\nlistener 0 127.0.0.1")
        self.assertNotIn(" files-few ", b.text())

    def test_a_limit_that_is_lowered_while_the_broker_runs(self):
        b = self.broker("shards 2")
        room = 40
        resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE, (room, room))
        clients = [kit.Client(b.port) for _ in range(room + 20)]
        for i, c in enumerate(clients):
            self.addCleanup(c.close)
            c.join(f"c{i}", answer=False)
        kit.wait_file(b.log, " accept-failed ")
        for c in clients[:room]:
            c.close()
        for c in clients[room:]:
            c.expect(kit.CONNACK)


if __name__ == "__main__":
    kit.main()
