#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/THREATS.md: each row of its tables names a test, and every test that is named is there: `PATH`, or `PATH: NAME`
with a name that stands in that file, or that abuse_loads.py has a load of.

usage: threats.py [--root DIR]
"""
import argparse
import pathlib
import re
import sys

TEST = re.compile(r'`(tests/[^`: ]+)(?:: ([^`]+))?`')


def is_row(line):
    return line.startswith('|') and not line.startswith('| threat |') and not line.startswith('|---')


def has_name(root, path, name):
    """As a whole word; a load's name is with dashes in its own file."""
    loads = root / 'tests/bench/abuse_loads.py'
    if path.name == 'test_abuse.py' and f'@load("{name.replace("_", "-")}",' in loads.read_text():
        return True
    return re.search(rf'\b{re.escape(name)}\b', path.read_text()) is not None


def check(root, number, line):
    """What is wrong with a line."""
    tests = TEST.findall(line)
    if is_row(line) and not TEST.search(line.rstrip(' |\n').rsplit(' | ', 1)[-1]):
        yield f'{number}: the row names no test'
    for path, name in tests:
        if not (root / path).exists():
            yield f'{number}: {path} is not there'
        elif name and not has_name(root, root / path, name):
            yield f'{number}: {path} has no {name}'


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--root', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = args.parse_args().root
    page = root / 'docs/THREATS.md'
    wrong, rows = [], 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        rows += is_row(line)
        wrong += [f'docs/THREATS.md:{w}' for w in check(root, number, line)]
    if rows == 0:
        wrong.append('docs/THREATS.md: there are no rows')
    print('\n'.join(wrong) if wrong else f'{rows} threats, all tested')
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
