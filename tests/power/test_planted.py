#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that ignores one kind of sync must be found out: so each of them is needed, and the runs would see it go.

    LONGLINKD=build/release/bin/longlinkd tests/power/test_planted.py --cycles 200 --seed 7 sync_copy sync_dir_copy
"""
import argparse
import re
import sys

from layer import SYNCS
from power_run import PowerRun, Spot, drive
import kit

# A directory is made anew after so many cycles: some syncs matter in its first life only.
RUN_CYCLES = 8
CYCLES_MAX = 240
kit.WAIT_S = 20  # it may be a retained message that never comes

# README.md says what each is for, and why the others would not be missed by the broker.
NEEDED = ["sync_batch", "sync_header", "sync_copy", "sync_dir_made", "sync_dir_purge", "sync_tables", "sync_tables_wal",
          "sync_tables_journal"]

# Where only a loss of power at one moment shows it: when the first records are written and not synced; when SQLite has
# written the first page of a new file, and it and its journal have their lengths and no bytes; when two segments were
# removed, no other sync of the directory has come between them, and only the second one stays away.
SPOTS = {
    "sync_header": Spot({"names": "sync_header", "then": 2}),
    "sync_tables_journal": Spot({"names": "sync_tables"}, "lengths"),
    "sync_dir_purge": Spot({"names": "sync_dir_purge", "nth": 2, "anew": [
        s for s in SYNCS if s.startswith("sync_dir_") and s != "sync_dir_purge"]}, "newest"),
}


def found_out(ignored, seed, cycles_max=CYCLES_MAX):
    """(what was found or None, cycles, syncs that were ignored)."""
    cycles = swallowed = 0
    spot = SPOTS.get(ignored[0]) if len(ignored) == 1 else None
    while cycles < cycles_max:
        run = PowerRun(seed, ignored=ignored, spot=spot, bulk="sync_dir_purge" in ignored)
        finding, done = drive(run, 2 if ignored == ["sync_tables_journal"] else RUN_CYCLES)
        cycles, seed = cycles + done, seed + 1
        swallowed += run.swallowed
        if finding is not None:
            return finding, cycles, swallowed
    return None, cycles, swallowed


def brief(finding):
    """Without the log around it."""
    said = re.search(r' error="([^"]*)"', finding)
    return said.group(1) if said else finding[:200]


class Planted(kit.Test):
    def found(self, *ignored):
        finding, cycles, swallowed = found_out(list(ignored), seed=1)
        self.assertGreater(swallowed, 0, "the broker does not do such a sync")
        self.assertIsNotNone(finding, f"not in {cycles} cycles, with {swallowed} syncs ignored")

    def test_each_sync_that_is_needed_is_missed(self):
        for ignored in NEEDED:
            with self.subTest(ignored):
                self.found(ignored)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cycles", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--together", action="store_true", help="all of them are ignored at once")
    parser.add_argument("syncs", nargs="*", help=" ".join(SYNCS) + "; without any: those that must be found out")
    options = parser.parse_args()
    missed = []
    for ignored in [options.syncs] if options.together else [[s] for s in options.syncs or NEEDED]:
        finding, cycles, swallowed = found_out(ignored, options.seed, options.cycles)
        missed += ignored if finding is None else []
        print(f"{' '.join(ignored)}: {'not found' if finding is None else 'found'} in {cycles} cycles, {swallowed} "
              f"syncs ignored: {brief(finding or '')}", flush=True)
    sys.exit(bool(missed))


if __name__ == "__main__":
    if "--cycles" in sys.argv:
        main()
    kit.main()
