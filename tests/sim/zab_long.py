#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many runs of longlink-sim, in parts, a few at a time; prints their sums, a line of JSON for small and one for large
runs. Ends with status 1 when a run failed, or when so many runs never came to something that they are for.

usage: zab_long.py [--runs N] [--seed N] [--jobs N] LONGLINK_SIM
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

PART = {'small': 20000, 'swarm': 500}
SMALL_FOR_ONE_SWARM = 50
MUST_SEE = ('elections', 'crashes', 'diff', 'trunc', 'trunc_diff', 'snap', 'torn_tails',
            'reconfigurations_during_elections', 'roll_overs')


def play(sim, mode, seed, runs):
    keep = os.path.join(os.path.dirname(os.path.abspath(sim)), f'zab-{mode}-{seed}.script')
    more = ['--swarm'] if mode == 'swarm' else []
    done = subprocess.run([sim, '--seed', str(seed), '--runs', str(runs), '--keep', keep, *more], capture_output=True,
                          text=True)
    if done.stderr:
        print(done.stderr.strip(), file=sys.stderr)
    lines = done.stdout.splitlines()
    return mode, done.returncode, json.loads(lines[-1]) if lines else {}


def parts(mode, seed, runs):
    for at in range(0, runs, PART[mode]):
        yield mode, seed + at, min(PART[mode], runs - at)


def add(total, part):
    for name, value in part.items():
        if isinstance(value, (int, float)) and name != 'seed':
            total[name] = round(total.get(name, 0) + value, 2)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--runs', type=int, default=1000000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('sim')
    args = parser.parse_args()
    work = list(parts('swarm', args.seed, max(1, args.runs // SMALL_FOR_ONE_SWARM)))
    work += parts('small', args.seed, args.runs)
    total, failed = {mode: {'mode': mode, 'seed': args.seed} for mode in PART}, 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for mode, status, part in pool.map(lambda w: play(args.sim, *w), work):
            add(total[mode], part)
            failed += status != 0
            print(f'{mode}: {total[mode].get("runs", 0)} runs', file=sys.stderr)
    for mode in ('small', 'swarm'):
        print(json.dumps(total[mode]))
        if total[mode].get('runs', 0) >= 20000:
            failed += any(total[mode].get(name, 0) == 0 for name in MUST_SEE)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
