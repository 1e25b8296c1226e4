#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves that docs/deps.txt is acyclic and that every #include obeys it.

A row: NAME FOLDER : MODULES | SYSTEM HEADERS. Without the last column any system header is permitted. A file
belongs to the row with the longest folder that holds it. A header that ends in _int.h is for its own module
and for tests/unit/test_MODULE*.c, tests/fuzz/MODULE_* and tests/bench/bench_MODULE_*.

usage: deps.py [--root DIR]
"""
import argparse
import pathlib
import re
import sys

CODE = ('broker', 'plugins', 'clients')             # every folder here with a source needs a row
INCLUDE_ROOTS = ('broker', 'plugins', 'plugins/cluster', 'clients', 'tests')
INCLUDE = re.compile(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
ROW = re.compile(r'([a-z_0-9]+)\s+([^\s:]+)\s*:([^|]*)(?:\|(.*))?$')


class Module:
    def __init__(self, name, folder, needs, system):
        self.name, self.folder, self.needs, self.system = name, folder, needs, system


def read_table(path, errors):
    modules = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split('#')[0].strip()
        if not line:
            continue
        row = ROW.match(line)
        if not row:
            errors.append(f'{path.name}:{number}: not NAME FOLDER : MODULES | HEADERS')
            continue
        name, folder, needs, system = row.groups()
        if name in modules:
            errors.append(f'{path.name}:{number}: a second row for {name}')
        modules[name] = Module(name, folder, needs.split(), None if system is None else set(system.split()))
    for m in modules.values():
        errors += [f'{path.name}: {m.name} needs {n}, which has no row' for n in m.needs if n not in modules]
    return modules


def check_acyclic(modules, errors):
    """The depth of every module, 0 for those that need nothing."""
    depth, path = {}, []

    def visit(name):
        if name in path:
            errors.append('cycle: ' + ' -> '.join(path[path.index(name):] + [name]))
            return 0
        if name not in depth:
            path.append(name)
            depth[name] = 1 + max((visit(n) for n in modules[name].needs if n in modules), default=-1)
            path.pop()
        return depth[name]

    for name in modules:
        visit(name)
    return max(depth.values(), default=0)


def module_of(modules, path):
    """The row with the longest folder that holds path, which is relative to the root."""
    best = None
    for m in modules.values():
        holds = str(path).startswith(m.folder + '/')
        if holds and (best is None or len(m.folder) > len(best.folder)):
            best = m
    return best


def resolve(root, include):
    for base in INCLUDE_ROOTS:
        if (root / base / include).is_file():
            return pathlib.Path(base) / include
    return None


def private_to(target, user, path):
    """May path, of the module user, include a private header of the module target?"""
    own_test = str(path).startswith((f'tests/unit/test_{target.name}', f'tests/fuzz/{target.name}_',
                                     f'tests/bench/bench_{target.name}_'))
    return user is target or own_test


def check_quoted(root, modules, path, include):
    user = module_of(modules, path)
    if '/' not in include:
        return f'include "{include}" by its module path'
    found = resolve(root, include)
    if found is None:
        return f'"{include}" is not there'
    target = module_of(modules, found)
    if target is None:
        return None if path.parts[0] == 'tests' else f'may not include "{include}" of the tests'
    if include.endswith('_int.h') and not private_to(target, user, path):
        return f'"{include}" is private to {target.name}'
    if user is not None and target is not user and target.name not in user.needs:
        return f'{user.name} may not include {target.name} ("{include}")'
    return None


def check_file(root, modules, path):
    user = module_of(modules, path)
    for number, line in enumerate((root / path).read_text(errors='replace').splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        quoted, system = found.groups()
        error = None
        if quoted is not None:
            error = check_quoted(root, modules, path, quoted)
        elif user is not None and user.system is not None and system not in user.system:
            error = f'{user.name} may not include <{system}>'
        if error:
            yield f'{path}:{number}: {error}'


def sources(root, folders):
    for folder in folders:
        for path in sorted((root / folder).rglob('*')):
            if path.suffix in ('.c', '.h', '.def'):
                yield path.relative_to(root)


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--root', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = args.parse_args().root

    errors = []
    modules = read_table(root / 'docs/deps.txt', errors)
    levels = 1 + check_acyclic(modules, errors)
    without_row = sorted({str(p.parent) for p in sources(root, CODE) if module_of(modules, p) is None})
    errors += [f'docs/deps.txt: {folder} has no row' for folder in without_row]
    for path in sources(root, INCLUDE_ROOTS):
        errors += check_file(root, modules, path)

    arrows = sum(len(m.needs) for m in modules.values())
    print('\n'.join(errors) if errors else f'{len(modules)} modules, {arrows} arrows, {levels} levels, acyclic')
    sys.exit(1 if errors else 0)


if __name__ == '__main__':
    main()
