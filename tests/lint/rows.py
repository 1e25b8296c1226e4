#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every row of a table is used: an option is read, an event logged, a metric counted, a failpoint passed, by a module
that is not the table's own. An option without effect says UNUSED in its row.

And every option is named beside a test that fails without its effect, in a comment: `option: NAME, NAME`.

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
# Said by the log itself, which no other module does; read by the configuration itself.
OWN = {'LOG_LOST', 'LOG_NOT_REOPENED', 'LOG_SUPPRESSED', 'per_listener_settings'}

OPTIONS = ['broker/config/options.def', 'broker/config/security.def', 'broker/config/listener.def']
OPTION = r'^(?:LISTENER_TEXT_AS\(\w+, *"([^"]+)"|(?:OPTION|DIRECTIVE|SECURITY|LISTENER)(?:_\w+)?\((\w+)),(?!.*\bUNUSED,$)'
MARK = re.compile(r'(?:#|\*|""") ?option: ([\w., ]+)', re.M)
TESTS = {'unit', 'e2e', 'contract', 'conformance', 'interop'}


def code_outside(root, folder):
    for path in sorted((root / 'broker').rglob('*.[ch]')):
        if folder not in path.parents:
            yield path.read_text(errors='replace')


def marks(root):
    for path in sorted((root / 'tests').rglob('*')):
        if path.suffix in ('.c', '.py', '.mtc') and path.relative_to(root).parts[1] in TESTS:
            for names in MARK.findall(path.read_text(errors='replace')):
                yield from re.split(r'[, ]+', names.strip(' .'))


def untested(root):
    """The options without a mark, and how many options there are."""
    marked, wrong, rows = set(marks(root)), [], 0
    for table in OPTIONS:
        for said, name in re.findall(OPTION, (root / table).read_text(), re.M):
            rows += 1
            if (said or name) not in marked:
                wrong.append(f'{table}: {said or name}: no test has a comment "option: {said or name}"')
    return wrong, rows


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
    wrong, options = untested(root)
    print('\n'.join(unused + wrong) if unused or wrong else f'{rows} rows, all used; {options} options, all tested')
    sys.exit(1 if unused or wrong else 0)


if __name__ == '__main__':
    main()
