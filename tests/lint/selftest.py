#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants violations in a small tree, one at a time, and fails when a lint does not see one or sees what is not there.

usage: selftest.py
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SPDX = '/* SPDX-License-Identifier: Apache-2.0 */\n'
HEADER = SPDX + '''/*
 * %s - a module of this test.
 *
 * Thread:  any.
 * Memory:  none.
 * Limits:  none.
 * Errors:  none.
 * Tests:   none.
 */
#ifndef %s_H
#define %s_H

%s
#endif
'''
DEPS = '''# the table
base    broker/base    :
config  broker/config  :
log     broker/log     :
metrics broker/metrics :
low  broker/low  :             | stdint.h
high broker/high : low
deep broker/high/deep : low
'''
# What the lints must leave alone: it looks like a violation and is none.
INNOCENT = SPDX + '''#include "high/high.h"
#include "low/low.h"
#include <stdio.h>

/* goto and https://example.org are words here. */
static const char *const text = "goto // {";

__attribute__((format(printf, 1, 2))) static int five(const char *a, int b, int c, int (*d)(int, int), ...)
{
    struct pair {
        int x, y;
    } p = { 1, 2 };
    for (int i = 0; i < b; i++) {
        while (c > 0) {
            if (p.x > i)
                c--;
            else if (p.y > i)
                c -= 2;
            else
                c = d(0, a[0]);
        }
    }
    return p.x;
}

int high(int n)
{
    switch (n) {
    case 1: return 0;
    default: break;
    }
    return five(text, n, low(), NULL);
}
'''


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def header(name, body):
    return HEADER % (name, name.upper(), name.upper(), body)


def clean_tree(root):
    write(root, 'docs/deps.txt', DEPS)
    write(root, '.clang-format', (HERE.parents[1] / '.clang-format').read_text())
    write(root, 'broker/low/low.h', header('low', 'int low(void);\n'))
    write(root, 'broker/low/low_int.h', header('low_int', 'int low_private(void);\n'))
    write(root, 'broker/low/low.c', SPDX + '#include "low/low.h"\n#include <stdint.h>\n\nint low(void)\n{\n'
          '    return INT8_MAX;\n}\n')
    write(root, 'broker/high/high.h', header('high', 'int high(int n);\n'))
    write(root, 'broker/high/high.c', INNOCENT)
    write(root, 'broker/high/deep/deep.c', SPDX + '#include "low/low.h"\n')
    write(root, 'tests/unit/test_low.c', SPDX + '#include "low/low.h"\n#include "low/low_int.h"\n')
    write(root, 'tests/lint/ratchet.txt', '# empty\n')
    write(root, 'broker/config/options.def', 'OPTION(wide, u32, 1, 0, 2, START,\n       "Read.")\n'
          'OPTION_TEXT(later, "x", 9, UNUSED,\n            "Not yet.")\n')
    write(root, 'broker/config/listener.def', 'LISTENER_WORD(kind, "a b", "Read.")\n')
    write(root, 'broker/config/security.def', 'SECURITY_BOOL(shut, false, START, "Read.")\n')
    write(root, 'tests/unit/test_options.c', SPDX + '/* option: wide, kind */\n/* option: shut */\n')
    write(root, 'broker/log/events.def', 'EVENT(UP, "up", INFO, NONE, "Logged.")\n')
    write(root, 'broker/metrics/metrics.def', 'METRIC(ups, COUNTER, "ups", "Counted.")\n')
    write(root, 'broker/base/failpoint.def', 'FAILPOINT(half_way, "Passed.")\n')
    uses = '/* config->wide l.kind s.shut EVENT_UP METRIC_ups FAIL_half_way */\nint uses(void);\n'
    write(root, 'broker/high/uses.h', header('uses', uses))
    write(root, 'docs/THREATS.md', '| threat | what holds | test |\n|---|---|---|\n'
          '| Much | little | `tests/unit/test_low.c: low_int` |\n| Bomb | bound | `tests/e2e/test_abuse.py: big_bomb` |\n')
    write(root, 'tests/e2e/test_abuse.py', '# SPDX-License-Identifier: Apache-2.0\n')
    write(root, 'tests/bench/abuse_loads.py', '# SPDX-License-Identifier: Apache-2.0\n# @load("big-bomb", "")\n')


def append(name, text):
    return lambda root: write(root, name, (root / name).read_text() + text)


def replace(name, old, new):
    def change(root):
        text = (root / name).read_text()
        assert old in text, (name, old)
        write(root, name, text.replace(old, new, 1))
    return change


def function(name, parameters, body):
    return f'\nint {name}({parameters})\n{{\n{body}    return 0;\n}}\n'


LOW, HIGH = 'broker/low/low.c', 'broker/high/high.c'
MACHINE = '/wo' + 'rk/here'

# (the lint, the plant, what its output must say)
PLANTS = [
    ('deps', append(LOW, '#include "high/high.h"\n'), 'low may not include high'),
    ('deps', append(LOW, '#include <stdio.h>\n'), 'low may not include <stdio.h>'),
    ('deps', append(HIGH, '#include "low/low_int.h"\n'), '"low/low_int.h" is private to low'),
    ('deps', append('broker/high/deep/deep.c', '#include "high/high.h"\n'), 'deep may not include high'),
    ('deps', append('broker/high/high.c', '#include "high.h"\n'), 'include "high.h" by its module path'),
    ('deps', append('broker/high/high.c', '#include "low/none.h"\n'), '"low/none.h" is not there'),
    ('deps', append('docs/deps.txt', 'a x/a : b\nb x/b : c\nc x/c : a\n'), 'cycle: a -> b -> c -> a'),
    ('deps', append('docs/deps.txt', 'a x/a : nothing\n'), 'a needs nothing, which has no row'),
    ('deps', append('docs/deps.txt', 'low x/a :\n'), 'a second row for low'),
    ('deps', append('docs/deps.txt', 'what is this\n'), 'not NAME FOLDER : MODULES | HEADERS'),
    ('deps', lambda root: write(root, 'broker/new/new.c', SPDX), 'broker/new has no row'),
    ('deps', lambda root: write(root, 'tests/unit/test_high.c', '#include "low/low_int.h"\n'), 'private to low'),

    ('threats', replace('docs/THREATS.md', 'test_low.c:', 'test_lower.c:'), 'tests/unit/test_lower.c is not there'),
    ('threats', replace('docs/THREATS.md', 'low_int`', 'low_out`'), 'tests/unit/test_low.c has no low_out'),
    ('threats', replace('docs/THREATS.md', 'big_bomb', 'small_bomb'), 'tests/e2e/test_abuse.py has no small_bomb'),
    ('threats', append('docs/THREATS.md', '| Much | `tests/unit/test_low.c` | hope |\n'), 'the row names no test'),

    ('rows', replace('broker/high/uses.h', 'config->wide', 'config->wider'), 'options.def: wide: nothing uses it'),
    ('rows', replace('broker/high/uses.h', 'l.kind', 'kind'), 'listener.def: kind: nothing uses it'),
    ('rows', replace('broker/high/uses.h', 's.shut', 'shut'), 'security.def: shut: nothing uses it'),
    ('rows', replace('tests/unit/test_options.c', 'wide, ', ''), 'options.def: wide: no test has a comment'),
    ('rows', replace('broker/high/uses.h', 'EVENT_UP', 'EVENT_UPPER'), 'events.def: UP: nothing uses it'),
    ('rows', replace('broker/high/uses.h', 'METRIC_ups', ''), 'metrics.def: ups: nothing uses it'),
    ('rows', replace('broker/high/uses.h', 'FAIL_half_way', ''), 'failpoint.def: half_way: nothing uses it'),
    ('rows', replace('broker/config/options.def', 'UNUSED', 'START'), 'options.def: later: nothing uses it'),

    ('tidy', append(HIGH, function('long_one', 'void', '    low();\n' * 67)), 'long_one has 71 lines'),
    ('tidy', append(HIGH, function('six', 'int a, int b, int c, int d, int e, int f', '')), 'six has 6 parameters'),
    ('tidy', append(HIGH, function('nests', 'int a', '    for (;;)\n        while (a)\n            if (a)\n'
                                   '                do {\n                    a--;\n                } while (a);\n')),
     'nests nests 4 levels'),
    ('tidy', append(HIGH, function('looks', 'int a', '    list_each(a) {\n        if (a)\n            return 1;\n'
                                   '        switch (a) {\n        case 1:\n            if (a) {\n'
                                   '                if (a) return 2;\n            }\n        }\n    }\n')),
     'looks nests 4 levels'),
    ('tidy', append(HIGH, '\n' * 800), 'file-length'),
    ('tidy', append('broker/low/low.h', '/* */\n' * 200), 'header-length'),
    ('tidy', replace('broker/low/low.h', ' * Limits:  none.\n', ''), 'lacks Limits:'),
    ('tidy', replace('broker/low/low.h', 'low - a', 'low: a'), 'lacks "name - purpose"'),
    ('tidy', replace(LOW, SPDX, '\n'), 'spdx'),
    ('tidy', lambda root: write(root, 'tests/lint/x.py', '#!/usr/bin/env python3\n'), 'spdx'),
    ('tidy', append(HIGH, function('jumps', 'void', '    goto end;\nend:\n')), 'goto'),
    ('tidy', append(HIGH, 'int x; // one\n'), 'a // comment'),
    ('tidy', append(HIGH, '/* TO' + 'DO: later */\n'), 'without an issue'),
    ('tidy', append('docs/deps.txt', f'# {MACHINE}\n'), 'a path of one machine'),
    ('tidy', append(HIGH, '#include <stdatomic.h>\n'), '<stdatomic.h> outside of base'),
    ('tidy', append(HIGH, '_Atomic int count;\n'), '_Atomic outside of base'),
    ('tidy', append(HIGH, 'int   wide;\n'), 'clang-format would change it'),
    ('tidy', replace('broker/low/low.h', 'int low(void);', 'size_t low(void);'), 'does not compile alone'),
    ('tidy', append('tests/lint/ratchet.txt', 'goto broker/low/low.c -\n'), 'no longer needed, remove it'),
]


def run(lint, root, *args):
    command = [sys.executable, str(HERE / f'{lint}.py'), '--root', str(root), *args]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def fresh(root):
    shutil.rmtree(root, ignore_errors=True)
    clean_tree(root)


def plant_all(root):
    for lint, plant, want in PLANTS:
        fresh(root)
        plant(root)
        code, said = run(lint, root)
        if code != 1 or want not in said:
            yield f'{lint}: wants "{want}", says ({code}): {said.strip()}'


def ratchet_tolerates(root):
    """What a committed ratchet names is tolerated; a line that the commit does not have is not."""
    fresh(root)
    append(HIGH, function('jumps', 'void', '    goto end;\nend:\n'))(root)
    append('tests/lint/ratchet.txt', f'goto {HIGH} -\n')(root)
    if run('tidy', root)[0] != 0:
        yield 'tidy: a line of the ratchet is not tolerated'
    git = ['git', '-c', 'user.name=t', '-c', 'user.email=t@t', '-C', str(root)]
    subprocess.run([*git, 'init', '-q'], check=True)
    write(root, 'tests/lint/ratchet.txt', '# empty\n')
    subprocess.run([*git, 'add', 'tests/lint/ratchet.txt'], check=True)
    subprocess.run([*git, 'commit', '-q', '-m', 'empty'], check=True)
    append('tests/lint/ratchet.txt', f'goto {HIGH} -\n')(root)
    if 'new; the ratchet only shrinks' not in run('tidy', root)[1]:
        yield 'tidy: a new line of the ratchet is not refused'


def generated_is_noticed(root):
    """A stale file and a stale part fail; --write mends both and keeps what is outside of the marks."""
    fresh(root)
    tool = root / 'tool'
    tool.write_text('#!/bin/sh\necho "made of $1"\n')
    tool.chmod(0o755)
    page = 'docs/man/longlinkd.conf.5'
    write(root, page, 'head\n.\\" BEGIN GENERATED\nold\n.\\" END GENERATED\ntail\n')

    def lint(*args):
        command = [sys.executable, str(HERE / 'generated.py'), str(tool), '--root', str(root), *args]
        return subprocess.run(command, capture_output=True, text=True)

    stale = lint()
    if stale.returncode != 1 or 'docs/ops/config.md: stale' not in stale.stdout or page not in stale.stdout:
        yield f'generated: does not see stale files: {stale.stdout}'
    lint('--write')
    if lint().returncode != 0:
        yield 'generated: is not content after --write'
    want = 'head\n.\\" BEGIN GENERATED\nmade of man\n.\\" END GENERATED\ntail\n'
    if (root / page).read_text() != want:
        yield f'generated: {page} became {(root / page).read_text()!r}'


def main():
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / 'tree'
        fresh(root)
        for lint in ('deps', 'tidy', 'rows', 'threats'):
            code, said = run(lint, root)
            if code != 0:
                missed.append(f'{lint}: finds fault with the innocent: {said.strip()}')
        missed += plant_all(root)
        missed += ratchet_tolerates(root)
        missed += generated_is_noticed(root)
    print('\n'.join(missed) if missed else f'{len(PLANTS)} planted violations, all seen')
    sys.exit(1 if missed else 0)


if __name__ == '__main__':
    main()
