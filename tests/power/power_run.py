# SPDX-License-Identifier: Apache-2.0
"""kill9's publishers, subscribers and ledger, and a disk that loses its power between two lives of the broker.

A life ends at a random moment, or at a chosen call (before a sync, after an unlink ...), or in good order. Then the
power fails, or, less often, only the process was gone, and the next one finds what the page cache has.
"""
import collections
import os
import sys

from layer import PLACES, Layer
import kit  # noqa: I100  (layer knows where it is)
import test_kill9

FOLDS = "sync_tables_wal", "sync_tables"
OPERATIONS_MAX = 400
FOLD_OPERATIONS_MAX = 20000
CLEAN_END_PERCENT = 15
SMALL_DISK_BYTES = 512 << 20
BULK_BYTES = 20000


# Where a life is cut: the arguments of Layer.cut(); and what is lost then, of Disk.lose_power(). None: by chance.
Spot = collections.namedtuple("Spot", "cut lost", defaults=[None])


class Refused(Exception):
    """The broker did not start from what the disk had, and should have."""


class PowerRun(test_kill9.Run):
    """ignored: kinds of syncs that do nothing. The lives are then cut around them, or at a spot. bulk: so much is
    published that a fold is done with more than one segment of the journal."""
    durabilities = ("disk",)

    def __init__(self, seed, say=None, ignored=(), spot=None, bulk=False):
        super().__init__(seed, say, with_failpoints=True)
        os.makedirs(f"{self.dir}/data")
        self.layer = Layer(f"{self.dir}/data", f"{self.dir}/power", seed)
        self.layer.ignore(ignored)
        self.ignored, self.spot, self.swallowed = ignored, spot, 0
        self.lost = None  # when this life is cut
        self.fired_before = 0
        self.seen = dict.fromkeys(PLACES, 1)  # calls at each place in the last life that came there
        self.bulk = bulk
        for p in self.publishers if bulk else ():
            p.size = lambda: self.rng.randrange(BULK_BYTES)

    # a life and its end

    def start(self):
        # The size of the disk decides that of the journal's segments.
        self.layer.quota(SMALL_DISK_BYTES if self.bulk or self.chance(70) else None)
        with self.layer.preloaded():
            super().start()

    def ready(self):
        try:
            super().ready()
        except AssertionError as e:
            raise Refused(str(e)) from None

    def is_cut(self):
        return self.layer.fired() > self.fired_before

    def fell(self):
        is_cut = self.is_cut()
        if self.over() is None and not is_cut:
            raise AssertionError(f"longlinkd was killed by somebody else:\n{self.broker.text()[-6000:]}")

    def over(self):
        at = super().over()
        self.gone(at or ("cut" if self.is_cut() else "killed"))
        return at

    def end(self):
        super().end()
        self.gone("ended", strict=True)

    def gone(self, how, strict=False):
        self.fired_before = self.layer.fired()
        self.layer.clear()
        self.layer.ended(strict)
        left = "all"
        if self.chance(90 if self.ignored else 65):
            by_chance = "any" if self.ignored and self.chance(50) else None
            left = self.layer.lose_power(self.lost if how == "cut" and self.lost else by_chance)
            self.ends["power"] += 1
        self.ends["killed" if how == "killed" else "cut"] += how != "ended"
        self.history[-1] = f"{how}, disk: {left}"

    def chance(self, percent):
        return self.rng.randrange(100) < percent

    def arm(self):
        """This life is cut at a call that an earlier one has made, or soon after it. The first ones of a kind are the
        rare ones, and so are those around a sync that is ignored."""
        place = self.rng.choice(sorted(self.seen) + ["write_segment", "sync_batch"] * 3)
        most = self.seen[place]
        if self.spot and self.chance(80):
            self.layer.cut(**self.spot.cut)
            self.lost = self.spot.lost
            return
        if self.ignored and self.chance(80):
            place, most = self.rng.choice(self.ignored), 3
        nth = self.rng.randrange(1, (most if self.chance(50) else min(3, most)) + 1)
        self.layer.cut(place, nth, after=self.chance(50), then=self.rng.randrange(1, 5) if self.chance(60) else 0)

    def note_calls(self, before):
        for place in PLACES:
            if self.layer.calls(place) > before[place]:
                self.seen[place] = self.layer.calls(place) - before[place]

    def operate(self):
        """Some, or until a fold or two are done."""
        left = self.rng.randrange(OPERATIONS_MAX)
        folds = self.layer.calls(*FOLDS) + self.rng.randrange(1, 3) if self.chance(45) else 0
        for i in range(FOLD_OPERATIONS_MAX):
            if i >= left and self.layer.calls(*FOLDS) >= folds:
                return
            self.act()
            self.hub.turn(0 if i < left else 0.002)
            self.hub.check()

    def live(self, is_last):
        self.ready()
        self.check_retained()
        if is_last or self.chance(40):
            self.settle()
        if not is_last:
            self.operate()
        if is_last or self.chance(CLEAN_END_PERCENT):
            self.end()
        else:
            self.kill()

    def cycle(self, is_last):
        before = {place: self.layer.calls(place) for place in PLACES}
        self.lost = None
        dice = 100 if is_last else self.rng.randrange(100)
        if dice < (80 if self.ignored else 45):
            self.arm()
        elif dice < 65:
            self.failpoints.arm()
        self.start()
        try:
            self.live(is_last)
        except (ConnectionError, kit.Closed):  # in the midst of anything
            self.fell()
        self.note_calls(before)

    def finding(self, cycles):
        """What is wrong, and after how many cycles. (None, cycles): nothing."""
        for i in range(cycles):
            try:
                self.cycle(i == cycles - 1)
            except (Refused, AssertionError, OSError, kit.Closed) as e:
                return f"{type(e).__name__}: {e}", i + 1
            if self.ledger.violations:
                return self.ledger.violations[0], i + 1
            if i % 10 == 9:
                self.say(f"{i + 1} cycles: {self.figures()}")
        return None, cycles

    def close(self, keep=False):
        self.swallowed = self.layer.swallowed(*self.ignored)
        self.layer.close()
        for link in list(self.hub.links.values()):
            link.drop()
        if self.broker is not None:
            self.broker.log_file.close()
        super().close(keep)

    def figures(self):
        return f"{super().figures()}, late {self.layer.disk.late}"


def drive(run, cycles, keep=False):
    """(finding, cycles); closes the run."""
    found = "it did not come so far"
    try:
        found, done = run.finding(cycles)
        return found, done
    finally:
        run.close(keep=keep and found is not None)


if __name__ == "__main__":
    sys.exit("see test_power.py")
