# SPDX-License-Identifier: Apache-2.0
"""Which failpoints a broker is started with, and at which of them it died."""
import collections
import os
import re
import subprocess

import kit

VARIABLE = "LONGLINK_FAILPOINT"
IN_VAIN, TRIES_MAX, COUNT_MAX = 2, 60, 100000

# Not to be reached by this load, and why.
ELSEWHERE = {
    "wal_purge_between": "a fold is done before it needs two segments of 64 MiB: unit_wal_failpoints",
    "migrate_half": "of a new or an older database only: e2e_store_start",
    "migrate_between": "the same",
}


def names():
    """All that the broker has; none when it was built without."""
    done = subprocess.run([kit.program()], env={**os.environ, VARIABLE: "help"}, stderr=subprocess.PIPE, text=True,
                          timeout=kit.WAIT_S, check=False)
    found = re.findall(r"^  (\w+)  ", done.stderr, re.M)
    if done.returncode != 1 or not found and "has no failpoints" not in done.stderr:
        raise AssertionError(f"{VARIABLE}=help: {done.returncode}: {done.stderr}")
    return found


def died_at(log):
    """The failpoint that a broker with this log died at, or None."""
    found = re.search(r"^failpoint (\w+): ", log, re.M)
    return found and found.group(1)


class Failpoints:
    """Arms what was reached least often, or anyone. How often it is to be passed before depends on how often it was.
    One that was armed in vain may need what another death leaves behind: that comes first, and then it."""

    def __init__(self, every, rng):
        self.names, self.rng = every, rng
        self.reached, self.tries, self.in_vain = (collections.Counter() for _ in range(3))
        self.most = dict.fromkeys(every, 1)
        self.armed, self.follows = {}, None

    def arm(self):
        """For the next start."""
        self.armed = self.choose() if self.names and (self.follows or self.rng.random() < 0.8) else {}
        self.tries.update(self.armed.keys())

    def variables(self):
        """What a broker's environment has to be changed by."""
        return {VARIABLE: ",".join(f"{n}:{count}" for n, count in self.armed.items())} if self.armed else {}

    def choose(self):
        if self.follows:
            name, self.follows = self.follows, None
            return {name: 1}
        name = self.rng.choice(self.names)
        if self.rng.random() < 0.5:
            least = min(self.reached[n] for n in self.names if n not in ELSEWHERE)
            name = self.rng.choice([n for n in self.names if self.reached[n] == least and n not in ELSEWHERE])
        if self.in_vain[name] >= IN_VAIN and self.rng.random() < 0.7:
            self.follows, name = name, self.rng.choice(self.names)
        return {name: 1 if self.rng.random() < 0.4 else self.rng.randrange(1, self.most[name] + 1)}

    def ended(self, at):
        """The broker has ended, at a failpoint or None."""
        for name, count in self.armed.items():
            if name == at:
                self.reached[name] += 1
                self.in_vain[name] = 0
                self.most[name] = min(COUNT_MAX, max(self.most[name], 2 * count))
            else:
                self.in_vain[name] += 1
                self.most[name] = max(1, self.most[name] // 2)
        self.armed = {}

    def wants_more(self, times):
        return any(self.reached[n] < times and self.tries[n] < TRIES_MAX for n in self.names if n not in ELSEWHERE)

    def never(self):
        return [n for n in self.names if not self.reached[n] and n not in ELSEWHERE]

    def figures(self):
        return ", ".join(f"{n} {self.reached[n]}/{self.tries[n]}" for n in self.names)
