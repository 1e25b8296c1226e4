#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a generated file, or the generated part of one, is not what the tables make.

usage: generated.py LONGLINK_DOCS [--write] [--root DIR]
"""
import argparse
import pathlib
import subprocess
import sys

# What longlink-docs calls it, and the file. A file with the two marks keeps what is outside of them.
PARTS = {
    'config': 'docs/ops/config.md',
    'metrics': 'docs/ops/metrics.md',
    'events': 'docs/ops/events.md',
    'sys': 'docs/ops/sys.md',
    'auth': 'docs/ops/auth-options.md',
    'sample': 'docs/ops/longlinkd.conf',
    'man': 'docs/man/longlinkd.conf.5',
}
BEGIN, END = '.\\" BEGIN GENERATED\n', '.\\" END GENERATED\n'


def expected(present, made):
    if BEGIN in present and END in present:
        head, rest = present.split(BEGIN, 1)
        return head + BEGIN + made + END + rest.split(END, 1)[1]
    return made


def main():
    args = argparse.ArgumentParser()
    args.add_argument('tool')
    args.add_argument('--write', action='store_true')
    args.add_argument('--root', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    args = args.parse_args()

    stale = []
    for part, name in PARTS.items():
        made = subprocess.run([args.tool, part], check=True, capture_output=True, text=True).stdout
        path = args.root / name
        present = path.read_text() if path.exists() else ''
        want = expected(present, made)
        if present == want:
            continue
        if args.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(want)
        else:
            stale.append(f'{name}: stale; run tests/lint/generated.py {args.tool} --write')
    print('\n'.join(stale) if stale else f'{len(PARTS)} generated files, all fresh')
    sys.exit(1 if stale else 0)


if __name__ == '__main__':
    main()
