#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes coverage.md: for each numbered statement of MQTT 3.1.1 and 5.0 its scenarios, or why there is none.

usage: coverage.py [--write] [--root DIR]

Fails when a statement that concerns a server has neither, when it has both, when a scenario names a statement that does
not exist or a version that it does not run for, when a table is not complete, and when the page is stale.
"""
import argparse
import pathlib
import re
import sys

PAGE = 'coverage.md'
TABLES = {'4': ('MQTT 3.1.1', 'statements-3.1.1.tsv'), '5': ('MQTT 5.0', 'statements-5.0.tsv')}
WHOM = ('server', 'client', 'both')
OURS, OTHER, OTHER_NAME = 'longlinkd', 'mosquitto', 'mosquitto 2.0.11'
STATEMENT = re.compile(r'MQTT-(\d+(?:\.\d+)*)-(\d+)$')
SECTION = re.compile(r'\d+(\.\d+)*$')
NOT_SCENARIOS = 'selftest'
ALLOWED = 'the standard allows' # in a deviation: it is from our expectation only


class Statement:
    def __init__(self, fields):
        self.number, self.whom, self.asks, self.why_none = (fields + [''] * 3)[:4]
        self.scenarios = []


class Scenario:
    """What a file says about itself."""

    def __init__(self, path, root):
        self.name = str(path.relative_to(root))[:-len('.mtc')]
        self.versions = '45'
        self.clauses = []       # (version, word)
        self.deviations = []    # (broker, versions, why)
        for line in path.read_text(errors='replace').splitlines():
            word, _, rest = line.strip().partition(' ')
            self.read(word, rest.split())

    def read(self, word, rest):
        if word == 'versions':
            self.versions = ''.join(rest)
        elif word == 'clause':
            version = rest.pop(0)[1] if rest and rest[0] in ('v3', 'v4', 'v5') else '5'
            self.clauses += [(version, clause) for clause in rest]
        elif word == 'deviates' and rest:
            broker, versions = rest.pop(0), '345'
            if rest and rest[0] in ('v3', 'v4', 'v5'):
                versions = rest.pop(0)[1]
            self.deviations.append((broker, versions, ' '.join(rest)))

    def deviates(self, broker, version, number):
        """Why this broker does not do what this statement asks. Numbers in brackets limit a deviation to them."""
        whys = []
        for who, versions, why in self.deviations:
            named = re.findall(r'\[(MQTT-[\d.-]+)\]', why)
            if who == broker and version in versions and (not named or number in named):
                whys.append(re.sub(r'\s*\[MQTT-[\d.-]+\]', '', why))
        return whys


def read_table(path, problems):
    """The statements by number, in order. A table says how many it has and which numbers do not exist."""
    table, total, absent, before = {}, None, set(), None
    for count, line in enumerate(path.read_text().splitlines(), 1):
        said = re.match(r'# (statements|not there): (.*)', line)
        if said and said[1] == 'statements':
            total = int(said[2])
        elif said:
            absent = set(said[2].split())
        if line.startswith('#'):
            continue
        row = Statement(line.split('\t'))
        where = f'{path.name}:{count}: {row.number}'
        number = STATEMENT.match(row.number)
        if number is None or row.whom not in WHOM or not row.asks or len(line.split('\t')) > 4:
            problems.append(f'{where}: a row is: number, server|client|both, what it asks, why there is no scenario')
            continue
        key = tuple(int(n) for n in number[1].split('.')), int(number[2])
        follows = 1 if before is None or key[0] != before[0] else before[1] + 1
        while f'MQTT-{number[1]}-{follows}' in absent:
            follows += 1
        if key[1] != follows or (before is not None and key <= before):
            problems.append(f'{where}: is out of order, or a number before it is missing')
        before = key
        table[row.number] = row
    if total != len(table):
        problems.append(f'{path.name}: has {len(table)} statements, and says {total}')
    return table


def attach(scenario, tables, problems):
    for version, clause in dict.fromkeys(scenario.clauses):
        where = f'{scenario.name}.mtc: clause {clause}'
        if version != '3' and version not in scenario.versions:
            problems.append(f'{where}: the scenario is not for {TABLES[version][0]}; "clause v4" is of 3.1.1')
        elif version in tables and clause in tables[version]:
            tables[version][clause].scenarios.append(scenario)
        elif not SECTION.match(clause):
            problems.append(f'{where}: is neither a section nor a numbered statement of version {version}')


def judge(tables, problems):
    for version, table in tables.items():
        file = TABLES[version][1]
        for row in table.values():
            if row.scenarios and row.why_none:
                problems.append(f'{file}: {row.number}: has a scenario ({row.scenarios[0].name}): delete the reason')
            elif row.whom == 'client' and row.why_none:
                problems.append(f'{file}: {row.number}: concerns the client and needs no reason')
            elif row.whom != 'client' and not row.scenarios and not row.why_none:
                problems.append(f'{file}: {row.number}: has no scenario, and no reason why')


def link(name):
    return f'[{name}]({name}.mtc)'


def told(row, version, broker):
    """{why: the scenarios that show it}"""
    whys = {}
    for scenario in row.scenarios:
        for why in scenario.deviates(broker, version, row.number):
            whys.setdefault(why, []).append(scenario.name.rpartition('/')[2])
    return whys


def line_of(row, version):
    cells = [link(s.name) for s in row.scenarios]
    cells += [f'**Longlink {why}** ({", ".join(names)})' for why, names in told(row, version, OURS).items()]
    if not row.scenarios:
        cells = ['*concerns the client*' if row.whom == 'client' else f'none: {row.why_none}']
    theirs = [f'{why} ({", ".join(names)})' for why, names in told(row, version, OTHER).items()]
    return f'| {row.number} | {row.asks} | {"<br>".join(cells)} | {"<br>".join(theirs)} |'


def summary(version, table):
    rows = list(table.values())
    server = [r for r in rows if r.whom != 'client']
    return (f'| {TABLES[version][0]} | {len(rows)} | {len(rows) - len(server)} '
            f'| {sum(bool(r.scenarios) for r in server)} | {sum(not r.scenarios for r in server)} '
            f'| {sum(bool(told(r, version, OURS)) for r in rows)} '
            f'| {sum(any(ALLOWED not in why for why in told(r, version, OTHER)) for r in rows)} |')


def page(tables):
    lines = [
        '# What the scenarios cover', '',
        'Made by `coverage.py --write` from the statements-*.tsv beside it and the headers of the scenarios. A row is a',
        'numbered statement of the standard, in our words; its scenarios show that Longlink does what it asks. The last column',
        f'says where Debian\'s {OTHER_NAME} does not, or does in another way what the standard leaves open, as the same',
        'scenarios show; [a clause] there is what the deviation is about, when that is not the row itself.', '',
        '| | statements | for clients only | with scenarios | with a reason instead | Longlink deviates | '
        f'{OTHER_NAME} deviates |',
        '|---|--:|--:|--:|--:|--:|--:|']
    lines += [summary(version, table) for version, table in tables.items()]
    for version, table in tables.items():
        lines += ['', f'## {TABLES[version][0]}', '', f'| statement | what it asks | scenarios | {OTHER_NAME} |',
                  '|---|---|---|---|']
        lines += [line_of(row, version) for row in table.values()]
    return '\n'.join(lines) + '\n'


def check(root):
    """The problems, and the page."""
    problems = []
    tables = {version: read_table(root / file, problems) for version, (_, file) in TABLES.items()}
    for path in sorted(root.rglob('*.mtc')):
        if path.relative_to(root).parts[0] != NOT_SCENARIOS:
            attach(Scenario(path, root), tables, problems)
    judge(tables, problems)
    return problems, page(tables)


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--write', action='store_true')
    args.add_argument('--root', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    args = args.parse_args()

    problems, text = check(args.root)
    present = args.root / PAGE
    if args.write:
        present.write_text(text)
    elif not present.exists() or present.read_text() != text:
        problems.append(f'{PAGE}: stale; run tests/conformance/coverage.py --write')
    print('\n'.join(problems) if problems else 'each statement has its scenarios or a reason, and the page is fresh')
    sys.exit(1 if problems else 0)


if __name__ == '__main__':
    main()
