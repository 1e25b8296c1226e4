#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""max_connections of a listener."""
import kit


class MaxConnections(kit.Test):
    def refused(self, b):
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        try:
            c.join("late", answer=False)
        except OSError:
            return
        self.assertEqual(c.expect_closed(), [])

    def test_one_more_is_closed_and_a_place_that_is_left_is_taken(self):
        # option: max_connections
        b = self.broker("max_connections 3")
        clients = [self.client(b, f"c{i}") for i in range(3)]
        self.refused(b)
        for c in clients:
            c.ping()
        clients[0].leave()
        b.wait_metric("connections_open", lambda n: n == 2)
        self.client(b, "next").ping()
        self.refused(b)
        kit.wait_file(b.log, " listener-full ")

    def test_a_thousand_connections_come_and_go(self):
        b = self.broker("shards 2")
        for _ in range(2):
            clients = [self.client(b, f"c{i}") for i in range(500)]
            b.wait_metric("connections_open", lambda n: n == 500)
            for c in clients:
                c.close()
            b.wait_metric("connections_open", lambda n: n == 0)
        b.wait_metric("sessions", lambda n: n == 0)


if __name__ == "__main__":
    kit.main()
