#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every row of a table is used: an option is read, an event logged, a metric counted, a failpoint passed, by a module
that is not the table's own. An option without effect says UNUSED in its row.

usage: rows.py [--root DIR]
"""
import argparse
import pathlib
import re
import sys

# (the table, a row with its name as the first group, what the name is in the code)
TABLES = [
    ('broker/config/options.def', r'^OPTION(?:_TEXT|_WORD)?\((\w+),(?!.*\bUNUSED,$)', r'\bconfig(?:->|\.)%s\b'),
    ('broker/config/listener.def', r'^LISTENER_\w+\((\w+),', r'(?:->|\.)%s\b'),
    ('broker/config/security.def', r'^SECURITY_\w+\((\w+),', r'(?:->|\.)%s\b'),
    ('broker/log/events.def', r'^EVENT\((\w+),', r'\bEVENT_%s\b'),
    ('broker/metrics/metrics.def', r'^METRIC\((\w+),', r'\bMETRIC_%s\b'),
    ('broker/base/failpoint.def', r'^FAILPOINT\((\w+),', r'\bFAIL_%s\b'),
]
# Said by the log itself, which no other module does; read by the configuration itself; one value needs no reader.
OWN = {'LOG_LOST', 'LOG_SUPPRESSED', 'per_listener_settings', 'protocol'}


def code_outside(root, folder):
    for path in sorted((root / 'broker').rglob('*.[ch]')):
        if folder not in path.parents:
            yield path.read_text(errors='replace')


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--root', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = args.parse_args().root

    unused, rows = [], 0
    for table, row, use in TABLES:
        text = '\n'.join(code_outside(root, (root / table).parent))
        for name in re.findall(row, (root / table).read_text(), re.M):
            rows += 1
            if name not in OWN and not re.search(use % name, text):
                unused.append(f'{table}: {name}: nothing uses it')
    print('\n'.join(unused) if unused else f'{rows} rows, all used')
    sys.exit(1 if unused else 0)


if __name__ == '__main__':
    main()
