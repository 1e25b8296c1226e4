#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of docs/HACKING.md for the form of sources, each with a name:

function-length  at most 70 lines          file-length    at most 800 lines     comment   no // comments
parameters       at most 5                 header-length  at most 200 lines     todo      only with an issue's #12
nesting          at most 3 levels          card           in every header       goto      none
spdx             the licence's first line  atomics        in their modules      format    clang-format is content
alone            a header compiles alone   machine        no path of a machine  ratchet   it only shrinks

usage: tidy.py [--root DIR] [--no-tools] [PATH ...]     without paths: everything
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

FUNCTION_LINES, PARAMETERS, NESTING, FILE_LINES, HEADER_LINES = 70, 5, 3, 800, 200
CODE = ('broker', 'plugins', 'clients', 'tests')
ROOTS = (*CODE, 'plugins/cluster')                   # of includes
TEXT = CODE + ('cmake', 'docs', 'deploy', 'schema', '.ci')
TEXT_SUFFIXES = {'.c', '.h', '.def', '.py', '.sh', '.cmake', '.md', '.txt', '.mtc', '.conf', '.sql', '.yml', ''}
SPDX = 'SPDX-License-Identifier: Apache-2.0'
CARD = ('Thread:', 'Memory:', 'Limits:', 'Errors:', 'Tests:')
ATOMICS_IN = ('broker/base/', 'broker/metrics/', 'broker/subs/', 'tests/')
# Written in pieces, so that this file does not find itself.
MACHINE = re.compile('(?<![\\w.])/(?:wo' + 'rk|fa' + 'rm|ho' + 'me|ro' + 'ot)/|/tmp/bu' + 'ild')
UNFINISHED = re.compile(r'\b(?:TO' + r'DO|FIX' + r'ME|X' + r'XX)\b(?!\s*#\d)')
# Functions that a library or a plugin calls, and so has given their parameters.
CALLED_BACK = {('broker/net/tls_shake.c', 'choose_protocol'), ('tests/unit/test_tls.c', 'give_key'), ('tests/unit/test_tls_ask.c', 'give_key'),
               ('broker/plugin/abi5_publish.c', 'mosquitto_broker_publish'),
               ('broker/plugin/abi5_publish.c', 'mosquitto_broker_publish_copy')}
FLAGS = ('-std=c17 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes '
         '-Wmissing-prototypes -Wundef -Wcast-qual -Wvla -Werror -fsyntax-only').split()


class Violation:
    def __init__(self, rule, path, line, name, text):
        self.rule, self.path, self.line, self.name, self.text = rule, path, line, name, text

    def key(self):
        return f'{self.rule} {self.path} {self.name}'

    def __str__(self):
        return f'{self.path}:{self.line}: {self.rule}: {self.text}'


def blank(text):
    """The same text with comments, strings and preprocessor lines as blanks, so that lines keep their numbers."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def spaces(found):
        if found.group()[0] in '"\'':
            return found.group()[0] + ' ' * (len(found.group()) - 2) + found.group()[0]
        return re.sub(r'[^\n]', ' ', found.group())

    text = token.sub(spaces, text)
    return re.sub(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', lambda f: re.sub(r'[^\n]', ' ', f.group()), text, flags=re.M)


# --- functions

class Function:
    def __init__(self, name, parameters, first, last, depth):
        self.name, self.parameters, self.first, self.last, self.depth = name, parameters, first, last, depth


def closing(text, at):
    """The index of the bracket that closes the one at this index."""
    pairs = {'(': ')', '{': '}', '[': ']'}
    stack = []
    for i in range(at, len(text)):
        if text[i] in pairs:
            stack.append(pairs[text[i]])
        elif stack and text[i] == stack[-1]:
            stack.pop()
            if not stack:
                return i
    return len(text) - 1


class Nesting:
    """Walks the statements of one body; depth is the deepest control statement within control statements."""
    WORD = re.compile(r'[A-Za-z_]\w*')
    LABEL = re.compile(r'(?:case\b[^:?]*(?:\?[^:]*:[^:]*)?|default\s*):')

    def __init__(self, text):
        self.text, self.at, self.depth = text, 0, 0

    def skip(self):
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def word(self):
        self.skip()
        found = self.WORD.match(self.text, self.at)
        return found.group() if found else ''

    def parentheses(self):
        self.skip()
        if self.at < len(self.text) and self.text[self.at] == '(':
            self.at = closing(self.text, self.at) + 1

    def expression(self):
        while self.at < len(self.text) and self.text[self.at] not in ';}':
            if self.text[self.at] in '({[':
                self.at = closing(self.text, self.at)
            self.at += 1
        if self.at < len(self.text) and self.text[self.at] == ';':
            self.at += 1

    def inner(self, level):
        self.depth = max(self.depth, level + 1)
        self.statement(level + 1)

    def after_if(self, level):
        if self.word() == 'else':
            self.at += 4
            if self.word() == 'if':
                self.statement(level)       # a chain is one level
            else:
                self.inner(level)

    def control(self, word, level):
        self.at += len(word)
        if word == 'do':
            self.inner(level)
            self.expression()
            return
        self.parentheses()
        self.inner(level)
        if word == 'if':
            self.after_if(level)

    def is_loop_macro(self, word):
        """NAME(...) { with the brace: a macro that loops."""
        if not word:
            return False
        at = self.at + len(word)
        while at < len(self.text) and self.text[at] == ' ':
            at += 1
        if at >= len(self.text) or self.text[at] != '(':
            return False
        rest = self.text[closing(self.text, at) + 1:].lstrip()
        return rest.startswith('{')

    def statement(self, level):
        self.skip()
        if self.at >= len(self.text):
            return
        label = self.LABEL.match(self.text, self.at)
        word = self.word()
        if label:
            self.at = label.end()
        elif self.text[self.at] == '{':
            end = closing(self.text, self.at)
            self.at += 1
            self.block(level, end)
        elif word in ('if', 'for', 'while', 'switch', 'do') or self.is_loop_macro(word):
            self.control(word, level)
        else:
            self.expression()

    def block(self, level, end):
        while True:
            self.skip()
            if self.at >= end:
                break
            before = self.at
            self.statement(level)
            if self.at == before:
                self.at += 1
        self.at = end + 1


def count_parameters(text):
    text = text.strip()
    if text in ('', 'void'):
        return 0
    depth, count = 0, 1
    for c in text:
        depth += (c in '([{') - (c in ')]}')
        count += c == ',' and depth == 0
    return count


HEAD = re.compile(r'([A-Za-z_]\w*)\s*\(([^{};]*)\)\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?$', re.S)


def functions(text):
    at = start = 0
    while at < len(text):
        c = text[at]
        if c in ';}':
            start = at + 1
        if c != '{':
            at += 1
            continue
        end = closing(text, at)
        function = read_function(text, start, at, end)
        if function:
            yield function
            start = end + 1
        at = end + 1


def read_function(text, start, brace, end):
    head = text[start:brace]
    if '=' in head:
        return None
    # Attributes in front are no parameters.
    plain = re.sub(r'__attribute__\s*\(\(.*?\)\)', '', head, flags=re.S)
    name = re.search(r'([A-Za-z_]\w*)\s*\(', plain)
    if not name or not HEAD.search(plain):
        return None
    parameters = plain[name.end():plain.rindex(')')]
    first = text.count('\n', 0, start + len(head) - len(head.lstrip())) + 1
    walk = Nesting(text[brace + 1:end])
    walk.block(0, len(walk.text))
    label = parameters if name.group(1) == 'TEST' else name.group(1)
    return Function(label, count_parameters(parameters), first, text.count('\n', 0, end) + 1, walk.depth)


def check_functions(path, code):
    for f in functions(code):
        lines = f.last - f.first + 1
        if lines > FUNCTION_LINES:
            yield Violation('function-length', path, f.first, f.name, f'{f.name} has {lines} lines')
        if f.parameters > PARAMETERS and (str(path), f.name) not in CALLED_BACK:
            yield Violation('parameters', path, f.first, f.name, f'{f.name} has {f.parameters} parameters')
        if f.depth > NESTING:
            yield Violation('nesting', path, f.first, f.name, f'{f.name} nests {f.depth} levels')


# --- a whole file

def check_spdx(path, lines):
    first = lines[1:2] if lines and lines[0].startswith('#!') else lines[:1]
    if not first or SPDX not in first[0]:
        yield Violation('spdx', path, 1, '-', f'the first line is not {SPDX}')


def check_card(path, text):
    card = re.match(r'[^\n]*\n/\*(.*?)\*/', text, re.S)
    missing = [key for key in CARD if card is None or f' * {key}' not in card.group(1)]
    if card is not None and not re.match(r'\s*\* [a-z_0-9]+ - ', card.group(1)):
        missing.insert(0, '"name - purpose"')
    if missing:
        yield Violation('card', path, 2, '-', 'the card after the licence lacks ' + ' '.join(missing))


def check_words(path, text, code):
    for found in re.finditer(r'\bgoto\b', code):
        yield Violation('goto', path, text.count('\n', 0, found.start()) + 1, '-', 'goto')
    # Strings and block comments out; a // that is left begins a comment.
    plain = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                   lambda f: re.sub(r'[^\n]', ' ', f.group()), text, flags=re.S)
    for found in re.finditer('//', plain):
        yield Violation('comment', path, text.count('\n', 0, found.start()) + 1, '-', 'a // comment')
    # Not in code, which has lost the preprocessor's lines, and so macros and includes.
    if not str(path).startswith(ATOMICS_IN):
        for found in re.finditer(r'\b(?:_Atomic|atomic_\w+|__atomic_\w+|__sync_\w+)\b|<stdatomic\.h>', plain):
            yield Violation('atomics', path, text.count('\n', 0, found.start()) + 1, found.group(),
                            f'{found.group()} outside of base, metrics and subs')


def check_source(path, text):
    lines = text.splitlines()
    code = blank(text)
    limit, rule = (HEADER_LINES, 'header-length') if path.suffix == '.h' else (FILE_LINES, 'file-length')
    if len(lines) > limit:
        yield Violation(rule, path, limit + 1, '-', f'{len(lines)} lines, at most {limit}')
    yield from check_spdx(path, lines)
    if path.suffix == '.h':
        yield from check_card(path, text)
    yield from check_words(path, text, code)
    yield from check_functions(path, code)


def check_text(path, text):
    for rule, pattern, what in (('machine', MACHINE, 'a path of one machine'), ('todo', UNFINISHED, 'without an issue')):
        for found in pattern.finditer(text):
            yield Violation(rule, path, text.count('\n', 0, found.start()) + 1, found.group(), f'{found.group()}: {what}')


# --- with tools

def check_format(root, paths):
    if not paths:
        return
    if shutil.which('clang-format') is None:
        yield Violation('format', '.clang-format', 1, '-', 'clang-format is not installed')
        return
    run = subprocess.run(['clang-format', '--dry-run'] + [str(p) for p in paths], cwd=root, capture_output=True,
                         text=True)
    seen = set()
    for path, line in re.findall(r'^(.+?):(\d+):\d+: warning: code should be clang-formatted', run.stderr, re.M):
        if path not in seen:
            yield Violation('format', path, line, '-', 'clang-format would change it')
        seen.add(path)


def check_alone(root, path):
    banned = root / 'broker/base/banned.h'
    command = ['gcc', *FLAGS, *(f'-I{root / folder}' for folder in ROOTS), '-x', 'c']
    if banned.exists():
        command += ['-include', str(banned)]
    run = subprocess.run(command + [str(root / path)], capture_output=True, text=True)
    if run.returncode != 0:
        first = next((line for line in run.stderr.splitlines() if 'error' in line), 'gcc failed')
        yield Violation('alone', path, 1, '-', f'does not compile alone: {first.replace(str(root) + "/", "")}')


# --- all

def tracked(root, folders, suffixes):
    for folder in folders:
        for path in sorted((root / folder).rglob('*')):
            if path.is_file() and path.suffix in suffixes and '__pycache__' not in path.parts:
                yield path.relative_to(root)


def top_level(root):
    files = (p for p in root.glob('*') if p.is_file() and p.name != '.git')   # a file in a second work tree
    return sorted(p.relative_to(root) for p in files if p.suffix in TEXT_SUFFIXES)


def read(root, path):
    try:
        return (root / path).read_text()
    except UnicodeDecodeError:
        return ''                      # a corpus file, not ours to judge


def violations(root, chosen, tools):
    def wanted(path):
        return not chosen or str(path) in chosen

    code = [p for p in tracked(root, CODE, {'.c', '.h'}) if wanted(p)]
    for path in code:
        yield from check_source(path, read(root, path))
    for path in list(tracked(root, TEXT, TEXT_SUFFIXES)) + top_level(root):
        if wanted(path) and 'corpus' not in path.parts:
            yield from check_text(path, read(root, path))
    for path in tracked(root, ('tests', 'cmake'), {'.py', '.cmake', '.sh'}):
        if wanted(path):
            yield from check_spdx(path, read(root, path).splitlines())
    if tools:
        yield from check_format(root, code)
        for path in code:
            if path.suffix == '.h':
                yield from check_alone(root, path)


def ratchet_lines(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith('#')]


def apply_ratchet(root, found, is_whole):
    """Takes out what the ratchet tolerates, and adds its own violations: an entry that is stale or new."""
    path = 'tests/lint/ratchet.txt'
    file = root / path
    entries = ratchet_lines(file.read_text()) if file.exists() else []
    run = subprocess.run(['git', 'show', f'HEAD:{path}'], cwd=root, capture_output=True, text=True)
    before = ratchet_lines(run.stdout) if run.returncode == 0 else entries
    keys = {v.key() for v in found}
    left = [v for v in found if v.key() not in entries]
    if not is_whole:
        return left
    left += [Violation('ratchet', path, 1, e, f'{e}: no longer needed, remove it') for e in entries if e not in keys]
    left += [Violation('ratchet', path, 1, e, f'{e}: new; the ratchet only shrinks') for e in entries if e not in before]
    return left


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--root', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    args.add_argument('--no-tools', action='store_true', help='without clang-format and gcc')
    args.add_argument('paths', nargs='*')
    args = args.parse_args()

    found = list(violations(args.root, set(args.paths), not args.no_tools))
    left = apply_ratchet(args.root, found, not args.paths)
    for v in left:
        print(v)
    if not left:
        print('tidy')
    sys.exit(1 if left else 0)


if __name__ == '__main__':
    main()
