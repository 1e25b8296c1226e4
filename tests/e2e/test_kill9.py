#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments: nothing that was acknowledged is missing afterwards, and nothing of QoS 2 comes twice.

Publishers with many messages under way, subscribers with sessions that come, go, take over and begin anew, retained
messages that change; publishers and subscribers that keep the state of QoS 2 over their connections, members of groups
of both QoS, messages for later, wills. The broker is killed, also while it starts, or dies at one of its failpoints, or
now and then is told to end; it starts again on the same directory with another number of shards. Now and then all is
quiet, and everybody must have everything.

    LONGLINKD=build/release/bin/longlinkd tests/e2e/test_kill9.py --cycles 500 --seed 7
    LONGLINKD=build/asan/bin/longlinkd tests/e2e/test_kill9.py --cycles 100 --failpoints 3   # each of them three times
    LONGLINK_TEST_CONF='mount_point m/' ...   # lines for its configuration
"""
import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from unittest import mock

import kit
import kill9_exact
import kill9_failpoints
from kill9_actors import KEPT, MARK, PUBLISHERS, Fell, Hub, Publisher, Subscriber
from kill9_ledger import Ledger

EXACT_PUBLISHERS, EXACT, KEEPERS, MEMBERS, MORTALS = 2, 2, 2, 3, 2
SETTLE_EVERY, OPERATIONS_MAX, LONG_OPERATIONS_MAX = 6, 500, 5000
END = "mark/end"


class Run:
    """with_failpoints: the broker may die at one of its failpoints, if it has any."""
    durabilities = ("disk", "disk", "os")

    def __init__(self, seed, say=None, with_failpoints=False):
        self.seed, self.rng, self.say = seed, random.Random(seed), say or (lambda text: None)
        self.ledger, self.hub = Ledger(), Hub()
        self.dir = tempfile.mkdtemp(prefix="longlink-kill9.")
        self.publishers = [Publisher(self, i) for i in range(PUBLISHERS)]
        self.kept = [Subscriber(self, i) for i in range(KEPT)]
        self.exact = [kill9_exact.ExactPublisher(self, i) for i in range(EXACT_PUBLISHERS)]
        self.kept += [kill9_exact.ExactSubscriber(self, i) for i in range(EXACT)]
        self.kept += [kill9_exact.Keeper(self, i) for i in range(KEEPERS)]
        self.kept += [kill9_exact.Member(self, i, g) for g in kill9_exact.groups(self.ledger) for i in range(MEMBERS)]
        self.mortals = [kill9_exact.Mortal(self, i) for i in range(MORTALS)]
        self.lives, self.is_ending = 0, False
        self.broker, self.marks, self.unsettled = None, 0, 0
        self.failpoints = kill9_failpoints.Failpoints(kill9_failpoints.names() if with_failpoints else [],
                                                      random.Random(seed))
        self.ends, self.history = collections.Counter(), []

    def start(self):
        conf = (f"durability {self.rng.choice(self.durabilities)}\npersistence_location {self.dir}/data\n"
                f"shards {self.rng.randrange(1, 4)}\nmax_connections -1")
        os.makedirs(f"{self.dir}/data", exist_ok=True)
        with mock.patch.dict(os.environ, self.failpoints.variables()):
            self.broker = kit.Broker(conf, cwd=self.dir)
        self.hub.process = self.broker.process
        self.lives, self.is_ending = self.lives + 1, False

    def is_dead(self):
        return self.broker.process.poll() is not None

    def ready(self):
        try:
            self.hub.port = self.broker.ready().port
        except AssertionError:
            if self.broker.process.poll() == -signal.SIGKILL:
                raise Fell from None
            raise

    def kill(self):
        self.hub.check()  # it must not have died before
        self.broker.process.kill()
        self.over()

    def over(self):
        """The broker was killed, by us or by itself. Gives the failpoint, if it died there."""
        status = self.broker.process.wait(kit.WAIT_S)
        self.broker.log_file.close()
        text = self.broker.text()
        if status != -signal.SIGKILL or "Sanitizer" in text:
            raise AssertionError(f"longlinkd ended with {status}:\n{text[-6000:]}")
        at = kill9_failpoints.died_at(text)
        self.failpoints.ended(at)
        self.history.append(at or "killed")
        self.ends["torn"] += " journal-torn " in text
        self.hub.drain()
        return at

    def fell(self):
        at = self.over()
        if at is None:
            raise AssertionError(f"longlinkd was killed by somebody else:\n{self.broker.text()[-6000:]}")
        self.ends["at a failpoint"] += 1

    def end(self):
        """In good order, in the midst of it: then it publishes no wills."""
        self.is_ending = True
        self.ledger.excuse("w/")
        status = self.broker.stop()
        if status == -signal.SIGKILL:
            raise Fell
        if status != 0:
            raise AssertionError(f"longlinkd ended with {status}:\n{self.broker.text()[-6000:]}")
        self.ends["ended"] += 1
        self.failpoints.ended(None)
        self.history.append("ended")
        self.hub.drain()

    def act(self):
        dice = self.rng.random()
        if dice < 0.5:
            self.rng.choice(self.publishers + self.exact).burst()
        elif dice < 0.95:
            self.rng.choice(self.kept).act()
        elif dice < 0.97:
            self.rng.choice(self.mortals).act()
        else:
            self.rng.choice(self.publishers + self.exact).vanish()

    # the retained messages, as a newcomer sees them

    def check_retained(self):
        with contextlib.closing(kit.Client(self.hub.port)) as c:
            seen = self.retained_as_seen_by(c)
        for topic, r in self.ledger.retained.items():
            self.ledger.count["retained"] += 1
            if not r.allows(seen.get(topic)):
                self.ledger.violation("retained", f"{topic}: {seen.get(topic)}, not one of {r.values}")

    def retained_as_seen_by(self, c):
        c.join("newcomer")
        if self.marks == 0:
            c.publish(END, b"end", 1, retain=True)
        c.next_id += 1
        c.send(kit.packet(kit.SUBSCRIBE, 2, struct.pack(">H", c.next_id) + b"\0" + kit.text("r/#") + b"\0" +
                          kit.text(END) + b"\0"))
        c.expect(kit.SUBACK)
        seen = {}
        while True:
            m = c.message()
            if m.topic == END:
                break
            seen[m.topic] = int(m.payload.split(b" ", 1)[0])
        c.leave()
        return seen

    # all quiet

    def mark(self):
        self.marks += 1
        word = b"%d" % self.marks
        p = self.publishers[0]
        p.send(None, None, 0, (MARK, word, False))
        self.hub.wait(lambda: not p.waiting, lambda: "PUBACK of the mark")
        return word

    def everybody_there(self):
        everybody = self.publishers + self.exact + self.kept
        for a in everybody:
            if a.link is None:
                a.connect()
        return all(a.ready for a in everybody)

    def all_have(self, word):
        self.hub.wait(lambda: all(word in s.marks for s in self.kept),
                      lambda: "the mark at " + str([(s.client, len(s.session.owed), s.link and len(s.link.seen))
                                                    for s in self.kept if word not in s.marks]))

    def settle(self, is_last=False):
        self.hub.wait(self.everybody_there, lambda: "all connected")
        for p in self.exact:
            p.settle()
        self.hub.wait(lambda: not any(p.waiting for p in self.publishers + self.exact),
                      lambda: "all PUBACKs and PUBCOMPs of " +
                      str([(p.client, len(p.waiting)) for p in self.publishers + self.exact]))
        for s in self.kept:
            s.is_lazy = False
            s.acknowledge(len(s.unacked))
            self.hub.wait(lambda s=s: not s.asking, lambda: "SUBACKs")
            s.subscribe(MARK)
        self.hub.wait(lambda: not any(s.asking for s in self.kept), lambda: "SUBACKs")
        before = self.ledger.uid + 1
        self.all_have(self.mark())
        self.hub.wait(lambda: not any(s.is_busy() for s in self.kept), lambda: "PUBRELs")
        now_ms = time.time() * 1000
        due_ms = now_ms + (60000 if is_last else 0)
        self.hub.wait(lambda: not self.ledger.owed(due_ms), lambda: f"what is owed: {self.ledger.owed(due_ms)[:9]}")
        pongs = [s.pongs for s in self.kept]
        for s in self.kept:
            s.ping()
        self.hub.wait(lambda: all(s.pongs > n for s, n in zip(self.kept, pongs)), lambda: "PINGRESP")
        self.all_have(self.mark())  # durable, and so are the acknowledgements before it
        self.ledger.settle(before, due_ms, now_ms)
        for s in self.kept:
            s.marks.clear()

    def live(self, is_last):
        if self.rng.random() < 0.1 and not is_last:
            time.sleep(self.rng.uniform(0, 0.3))  # somewhere in its start
            self.kill()
            self.ends["killed at start"] += 1
            return
        self.ready()
        self.check_retained()
        if is_last or self.unsettled >= SETTLE_EVERY:
            self.settle(is_last)
            self.unsettled = 0
        # Now and then long enough for a fold in its midst.
        most = LONG_OPERATIONS_MAX if self.rng.random() < (0.5 if self.failpoints.armed else 0.25) else OPERATIONS_MAX
        for _ in range(0 if is_last else self.rng.randrange(most)):
            self.act()
            self.hub.turn()
            self.hub.check()
        if is_last or self.rng.random() < 0.1:
            self.end()
        else:
            self.kill()
            self.ends["killed"] += 1

    def cycle(self, is_last):
        self.unsettled += 1
        if not is_last and self.unsettled < 2 * SETTLE_EVERY:
            self.failpoints.arm()
        self.start()
        try:
            self.live(is_last)
        except (ConnectionError, kit.Closed):
            self.fell()

    def go(self, cycles, times=0):
        """times: and on, until each failpoint was reached so often, or cannot be."""
        done = 1
        while not self.ledger.violations and (done < cycles or self.failpoints.wants_more(times)):
            self.cycle(is_last=False)
            done += 1
            if done % 10 == 0:
                self.say(f"{done} cycles: {self.figures()}")
        if not self.ledger.violations:
            self.cycle(is_last=True)
        return self

    def figures(self):
        return ", ".join(f"{k} {v}" for k, v in {**self.ends, **self.ledger.count}.items())

    def close(self, keep=False):
        if self.broker is not None and self.broker.process.poll() is None:
            self.broker.process.kill()
            self.broker.process.wait()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


class Kill9(kit.Test):
    def go(self, run, cycles):
        self.addCleanup(run.close)
        run.go(cycles)
        self.assertEqual(run.ledger.violations, [])
        self.assertGreater(run.ledger.count["acknowledged"], 0)

    def test_nothing_acknowledged_is_missing_after_kill_9(self):
        self.go(Run(seed=9), 8)

    def test_nothing_acknowledged_is_missing_after_a_death_at_a_failpoint(self):
        run = Run(seed=9, with_failpoints=True)
        if not run.failpoints.names:
            self.skipTest("the broker has no failpoints: -DLONGLINK_FAILPOINTS=ON, or a sanitizer")
        self.go(run, 20)
        self.assertGreater(len(run.failpoints.reached), 3, run.failpoints.figures())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cycles", type=int, required=True, help="starts of the broker")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--failpoints", type=int, default=0, metavar="TIMES",
                        help="at random moments, and at each failpoint so often: more cycles if that needs more")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    run = Run(options.seed, lambda text: print(text, flush=True), options.failpoints > 0)
    if options.failpoints and not run.failpoints.names:
        sys.exit("the broker has no failpoints: build it with -DLONGLINK_FAILPOINTS=ON")
    bad, never = True, []
    try:
        run.go(options.cycles, options.failpoints)
        never = run.failpoints.never() if not run.ledger.violations else []
        bad = bool(run.ledger.violations or never)
    finally:
        run.close(keep=bad)
        print(f"{'FAILED' if bad else 'passed'}: {run.figures()}")
        print("\n".join(run.ledger.violations[:20]))
        if options.failpoints:
            print(f"failpoints, died there of armed: {run.failpoints.figures()}")
            print("\n".join(f"never reached: {name}" for name in never))
        if bad:
            print(f"the last ends: {', '.join(run.history[-9:])}; the directory is kept: {run.dir}")
    sys.exit(bad)


if __name__ == "__main__":
    if "--cycles" in sys.argv:
        main()
    kit.main()
