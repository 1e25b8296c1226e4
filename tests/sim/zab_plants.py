#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays with each planted fault of the core until it is found, and says by which invariant, beside the one that was
named beforehand. Ends with status 1 when a fault is not found, or another invariant found it.

usage: zab_plants.py [--runs N] [--quick] [--markdown] LONGLINK_SIM_PLANTED [PLANT ...]
"""
import argparse
import json
import re
import subprocess
import sys

FOUND = re.compile(r'longlink-sim: seed (\d+)[^:]*: ([a-z-]+): (.*)')


def play(sim, plant, runs):
    done = subprocess.run([sim, '--plant', plant, '--seed', '1', '--runs', str(runs)], capture_output=True, text=True)
    found = FOUND.search(done.stderr)
    if not found:
        return None, None, done.stderr.strip()
    return json.loads(done.stdout.splitlines()[-1])['runs'], found.group(2), found.group(3)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--runs', type=int, default=20000)
    parser.add_argument('--quick', action='store_true', help='runs: 1000, and those that need more are left out')
    parser.add_argument('--markdown', action='store_true', help='a table for docs/decisions')
    parser.add_argument('sim')
    parser.add_argument('plants', nargs='*')
    args = parser.parse_args()
    rows = [line.split('\t') for line in
            subprocess.run([args.sim, '--plants'], capture_output=True, text=True, check=True).stdout.splitlines()]
    failed = 0
    for name, expected, text in rows:
        if args.plants and name not in args.plants:
            continue
        runs, invariant, how = play(args.sim, name, 1000 if args.quick else args.runs)
        if args.quick and runs is None and name in SLOW:
            continue
        is_good = invariant == expected
        failed += not is_good
        if args.markdown:
            print(f'| `{name}` | {text} | {expected} | {invariant or "not found"} | {runs or "-"} |')
        else:
            print(f'{"found" if is_good else "WRONG"}  {name}: after {runs} runs by {invariant}, expected {expected}: {how}')
        sys.stdout.flush()
    return 1 if failed else 0


# These take more than --quick allows.
SLOW = set()

if __name__ == '__main__':
    sys.exit(main())
