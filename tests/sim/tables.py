#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs sim_nat over time-outs, noise, scenarios and rules; the tables of docs/keepalive.md come from here.

usage: tables.py SIM_NAT [--quick] [--write] [--jobs N]

Every run of our rules has bounds, and one that breaks them makes the status 1. --quick: few seeds, for each
change. --write: puts the tables of the whole run into docs/keepalive.md.
"""
import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / 'docs/keepalive.md'
TIMEOUTS = ('90', '240', '300', '420', 'none')
NOISE = ('0', '1', '3')
SCENARIOS = ('independent', 'outages', 'switch', 'restart', 'clockjump', 'late')

# What is bounded more loosely than the rest: why is on the page.
LOOSE = ('--deaths-max', '--out-max')
CHANGED = ('--scenario', 'change', '--deaths-max', '17')
PREFIX = ('--scenario', 'prefix', '--out-max', '1')  # of 900 clients
MORE = (('--nat', 'reset'), ('--nat', 'silent'), ('--nat', 'silent', '--slow'), ('--how', 'cap'), CHANGED, PREFIX)


def bounded(seeds, timeouts, noise):
    """Runs whose bounds must hold: (table, options)."""
    for timeout in timeouts:
        for percent in noise:
            base = ('--timeout', timeout, '--noise', percent, '--seeds', seeds)
            for scenario in SCENARIOS:
                for how in ('connect', 'explore'):
                    yield 'scenarios', ('--scenario', scenario, '--how', how, *base)
            for options in MORE:
                yield 'more', (*options, *base)


def compared(seeds):
    for timeout in TIMEOUTS:
        for percent in NOISE:
            for rules in ('mars', 'halving', 'fixed'):
                yield 'rules', ('--rules', rules, '--timeout', timeout, '--noise', percent, '--seeds', seeds, '--no-bounds')


def run(binary, job):
    done = subprocess.run([binary, *job[1]], stdout=subprocess.PIPE, text=True, timeout=1800)
    if done.returncode == 2:
        sys.exit(f'{binary} {" ".join(job[1])}: wrong options')
    return job[0], job[1], done.returncode, json.loads(done.stdout.splitlines()[-1])


def timeout_of(r):
    return 'none' if r['timeout'] == 'none' else f'{r["timeout"]} s'


def rules_table(rows):
    """Beside the others' rules, on the same seeds."""
    found = {(r['rules'], str(r['timeout']), r['noise']): r for _, _, _, r in rows
             if r['scenario'] == 'independent' and r['how'] == 'connect' and r['nat'] == 'mixed'}
    yield '| time-out, noise | Mars: interval, pings a day, deaths | halving | fixed 240 s | Longlink | worst seed |'
    yield '|---|---|---|---|---|---|'
    for timeout in TIMEOUTS:
        for percent in NOISE:
            cells = []
            for rules in ('mars', 'halving', 'fixed', 'ours'):
                r = found[rules, timeout, float(percent)]
                cells.append(f'{r["settled"]} s, {r["pings_a_day"]}, {r["nat_deaths"]:,.0f}')
            ours = found['ours', timeout, float(percent)]
            worst = f'{ours["settled_min"]} to {ours["settled_max"]} s, {ours["nat_deaths_max"]}'
            yield f'| {timeout_of(ours)}, {percent} % | {" | ".join(cells)} | {worst} |'


def scenario_table(rows):
    yield '| scenario, how | 90 s | 240 s | 300 s | 420 s | none | hours to the band | neutral events | changes by them |'
    yield '|---|---|---|---|---|---|---|---|---|'
    for scenario in SCENARIOS:
        for how in ('connect', 'explore'):
            of = [r for table, _, _, r in rows if table == 'scenarios' and r['scenario'] == scenario and r['how'] == how]
            cells = []
            for timeout in TIMEOUTS:
                here = [r for r in of if str(r['timeout']) == timeout]
                low, high = min(r['settled_min'] for r in here), max(r['settled_max'] for r in here)
                span = f'{low}' if low == high else f'{low}-{high}'
                cells.append(f'{span} s, {max(r["nat_deaths_max"] for r in here)}')
            events = sum(r['neutral_events'] * r['seeds'] * r['clients'] for r in of)
            hours = sum(r['hours_to_band'] for r in of) / len(of)
            yield (f'| {scenario}, {how} | {" | ".join(cells)} | {hours:.0f} | {events:,.0f} | '
                   f'{sum(r["neutral_changes"] for r in of)} |')


def more_table(rows):
    names = {}
    for table, options, _, r in rows:
        if table == 'more':
            left_out = ('--timeout', '--noise', '--seeds', *LOOSE)
            keep = [o for i, o in enumerate(options) if o not in left_out and (i == 0 or options[i - 1] not in left_out)]
            names.setdefault(' '.join(keep), []).append(r)
    yield '| options | 90 s | 240 s | 300 s | 420 s | none | days in the band |'
    yield '|---|---|---|---|---|---|---|'
    for name, of in names.items():
        cells = []
        for timeout in TIMEOUTS:
            here = [r for r in of if str(r['timeout']) == timeout]
            if not here:
                continue
            low, high = min(r['settled_min'] for r in here), max(r['settled_max'] for r in here)
            mean = sum(r['nat_deaths'] for r in here) / len(here)
            cells.append(f'{low if low == high else f"{low}-{high}"} s, {mean:.0f} ({max(r["nat_deaths_max"] for r in here)})')
        days = sum(r['days_in_band'] for r in of) / len(of)
        yield f'| `{name}` | {" | ".join(cells)} | {days:.1%} |'


def write(tables):
    text = PAGE.read_text()
    for name, lines in tables.items():
        begin, end = f'<!-- {name} -->\n', f'<!-- end of {name} -->'
        head, rest = text.split(begin)
        text = head + begin + '\n'.join(lines) + '\n' + end + rest.split(end, 1)[1]
    PAGE.write_text(text)


def main():
    args = argparse.ArgumentParser()
    args.add_argument('binary')
    args.add_argument('--quick', action='store_true')
    args.add_argument('--write', action='store_true')
    args.add_argument('--jobs', type=int, default=2)
    o = args.parse_args()
    if o.quick:
        jobs = list(bounded('1', ('300',), ('3',)))
        jobs += [('more', ('--timeout', t, '--noise', p, '--seeds', '5')) for t in TIMEOUTS for p in NOISE]
    else:
        jobs = list(bounded('30', TIMEOUTS, NOISE)) + list(compared('30'))
    with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        rows = list(pool.map(lambda job: run(o.binary, job), jobs))
    broken = [(options, r) for _, options, status, r in rows if status != 0]
    if not o.quick:
        tables = {'rules': list(rules_table(rows)), 'scenarios': list(scenario_table(rows)), 'more': list(more_table(rows))}
        for name, lines in tables.items():
            print(f'\n{name}\n' + '\n'.join(lines))
        if o.write:
            write(tables)
    for options, r in broken:
        print(f'nat: a bound is broken: {" ".join(options)}: {json.dumps(r)}')
    print(f'nat: {len(rows)} runs, {len(broken)} with a broken bound')
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
