#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays with each planted fault of the core until an invariant breaks, and then until the one breaks that was named
beforehand, with no other one looked at. Ends with status 1 when nothing breaks.

usage: zab_plants.py [--runs N] [--quick] [--markdown] LONGLINK_SIM_PLANTED [PLANT ...]
"""
import argparse
import json
import re
import subprocess
import sys

SECONDS_MAX = 60  # for one of them
FOUND = re.compile(r'longlink-sim: seed (\d+)[^:]*: ([a-z-]+): (.*)')


def play(sim, plant, runs, only=None):
    more = ['--only', only] if only else []
    try:
        done = subprocess.run([sim, '--plant', plant, '--seed', '1', '--runs', str(runs), *more], capture_output=True,
                              text=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None, None, 'it takes too long'
    found = FOUND.search(done.stderr)
    if not found:
        return None, None, done.stderr.strip()
    return json.loads(done.stdout.splitlines()[-1])['runs'], found.group(2), found.group(3)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--runs', type=int, default=20000)
    parser.add_argument('--quick', action='store_true', help='without those that need many runs')
    parser.add_argument('--markdown', action='store_true', help='a table for docs/decisions')
    parser.add_argument('sim')
    parser.add_argument('plants', nargs='*')
    args = parser.parse_args()
    rows = [line.split('\t') for line in
            subprocess.run([args.sim, '--plants'], capture_output=True, text=True, check=True).stdout.splitlines()]
    failed = 0
    for name, expected, text in rows:
        if args.plants and name not in args.plants or args.quick and name in SLOW:
            continue
        runs, invariant, how = play(args.sim, name, args.runs)
        is_same = invariant == expected or args.quick
        alone = runs if is_same else play(args.sim, name, args.runs, expected)[0]
        failed += invariant is None
        if args.markdown:
            print(f'| `{name}` | {text} | `{expected}` | {alone or "not found"} | `{invariant or "-"}` | {runs or "-"} |')
        else:
            print(f'{name}: {expected} after {alone} runs; first found by {invariant} after {runs}: {how}')
        sys.stdout.flush()
    print(f'zab_plants: {failed} not found', file=sys.stderr)
    return 1 if failed else 0


# They take thousands of runs.
SLOW = {'no_recency_check', 'old_quorum_ignored'}

if __name__ == '__main__':
    sys.exit(main())
