#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A clock that is stepped, while the broker runs and between two lives of it: nothing acknowledged is lost by it."""
import os
import shutil
import tempfile

import layer as power
import kit

HOUR_S, YEAR_S = 3600, 365 * 24 * 3600
NEVER_S = 0xffffffff


class Clock(kit.Test):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="longlink-power.")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.data = os.path.join(self.top, "data")
        os.mkdir(self.data)
        self.layer = power.Layer(self.data, os.path.join(self.top, "state"), traced=False)
        self.addCleanup(self.layer.close)

    def start(self):
        with self.layer.preloaded():
            return self.broker(f"durability disk\npersistence_location {self.data}")

    def phone(self, b, expiry):
        c = kit.Client(b.port)
        self.addCleanup(c.close)
        present, code = c.join("phone", clean=False, expiry=expiry)
        self.assertEqual(code, 0)
        return c, present

    def away(self, b, expiry):
        """A session with nobody there."""
        c, present = self.phone(b, expiry)
        if not present:
            c.subscribe("inbox", 1)
        c.close()

    def publish(self, b, first, last):
        back_end = self.client(b, "back end")
        for i in range(first, last):
            self.assertEqual(back_end.publish("inbox", b"%d" % i, 1), 0)
        back_end.close()

    def expect(self, b, expiry, first, last):
        c, present = self.phone(b, expiry)
        self.assertTrue(present)
        self.assertEqual([c.message().payload for _ in range(first, last)], [b"%d" % i for i in range(first, last)])
        c.catch_up()
        c.close()

    def test_steps_while_it_runs_change_nothing(self):
        b = self.start()
        self.away(b, HOUR_S)
        for step, shift_s in enumerate((0, YEAR_S, -YEAR_S, 10 * YEAR_S)):
            self.layer.clock(shift_s)
            self.publish(b, 10 * step, 10 * step + 10)
        self.expect(b, HOUR_S, 0, 40)

    def test_a_clock_that_was_set_back_before_the_next_start_loses_nothing(self):
        b = self.start()
        self.away(b, HOUR_S)
        self.publish(b, 0, 10)
        self.assertEqual(b.stop(), 0)
        self.layer.clock(-YEAR_S)
        b = self.start()
        self.publish(b, 10, 20)
        self.assertEqual(b.stop(), 0)
        self.layer.clock(-2 * YEAR_S)
        b = self.start()
        self.expect(b, HOUR_S, 0, 20)

    def test_a_clock_that_was_set_forward_ends_what_has_a_time_and_nothing_else(self):
        b = self.start()
        self.away(b, NEVER_S)
        self.publish(b, 0, 10)
        tablet = self.client(b, "tablet", clean=False, expiry=HOUR_S)
        tablet.subscribe("inbox", 1)
        tablet.close()
        self.assertEqual(b.stop(), 0)
        self.layer.clock(YEAR_S)
        b = self.start()
        self.expect(b, NEVER_S, 0, 10)
        kit.wait_until(lambda: " session-expired client=\"tablet\"" in b.text(), "the end of the tablet's session")


if __name__ == "__main__":
    kit.main()
