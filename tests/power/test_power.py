#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The power fails again and again: nothing that was acknowledged is missing afterwards.

    LONGLINKD=build/release/bin/longlinkd tests/power/test_power.py --cycles 500 --seed 7
    LONGLINKD=build/release/bin/longlinkd tests/power/test_power.py --cycles 60 --seed 7 --ignore sync_batch
"""
import argparse
import sys
import time

from layer import SYNCS
from power_run import PowerRun, drive
import kit


class Power(kit.Test):
    def test_nothing_acknowledged_is_missing_after_a_loss_of_power(self):
        run = PowerRun(seed=9)
        found, _ = drive(run, cycles=12)
        self.assertIsNone(found, run.history)
        self.assertGreater(run.ledger.count["acknowledged"], 0)
        self.assertGreater(run.ends["power"], 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cycles", type=int, required=True)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--ignore", nargs="*", default=[], choices=SYNCS)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    run = PowerRun(options.seed, lambda text: print(text, flush=True), options.ignore)
    found, cycles = drive(run, options.cycles, keep=True)
    print(f"{'passed' if found is None else 'FAILED'}: {cycles} cycles, {run.figures()}")
    if found is not None:
        print("\n".join(run.history[-12:] + [found, f"the directory is kept: {run.dir}"]))
    if options.ignore:
        print(f"syncs that were ignored: {run.swallowed}")
    sys.exit(found is not None)


if __name__ == "__main__":
    if "--cycles" in sys.argv:
        main()
    kit.main()
