#!/usr/bin/env python3
"""docs/bounds.md names every limit of src/base/bounds.h with its value, and no other.

Run with --write it puts the values right and adds a row for what is missing; what happens past the
bound is then yours to say.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / 'src/base/bounds.h'
PAGE = ROOT / 'docs/bounds.md'
CONSTANT = re.compile(r'^inline constexpr ([\w:]+) (k\w+) =\s*([^;]+);(?:[ \t]*//[ \t]*(.*))?', re.M)
ROW = re.compile(r'^\| `(k\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$', re.M)


def plain(number, name):
    """1'048'576 bytes reads as 1 MiB, other numbers with commas."""
    if 'Bytes' in name:
        for shift, unit in ((30, 'GiB'), (20, 'MiB'), (10, 'KiB')):
            if number >= 1 << shift and number % (1 << shift) == 0:
                return f'{number >> shift} {unit}'
        return f'{number:,} B'
    if 'Ms' in name:
        return f'{number / 1000:g} s' if number >= 1000 else f'{number} ms'
    if name.endswith('Us'):
        return f'{number / 3.6e9:g} h'
    return f'{number:,}'


def constants():
    values, shown = {}, {}
    for _, name, text, why in CONSTANT.findall(HEADER.read_text()):
        code = re.sub(r'\b\w+_t\{(\d[\d\']*)\}', r'\1', ' '.join(text.split())).replace("'", '')
        values[name] = eval(code, {'__builtins__': {}}, values)
        shown[name] = (plain(values[name], name), why)
    return shown


def breaches():
    """(line, what) of each difference."""
    if not PAGE.exists():
        yield 1, 'is missing'
        return
    text = PAGE.read_text()
    rows = {m.group(1): (text.count('\n', 0, m.start()) + 1, m) for m in ROW.finditer(text)}
    known = constants()
    for name, (line, row) in rows.items():
        if name not in known:
            yield line, f'{name} is not in src/base/bounds.h'
        elif row.group(2).strip() != known[name][0]:
            yield line, f'{name} is {known[name][0]} (tests/tidy/bounds.py --write)'
        elif not row.group(3).strip() or not row.group(4).strip():
            yield line, f'{name}: say what happens past it, and why'
    for name in known:
        if name not in rows:
            yield 1, f'{name} of src/base/bounds.h has no row (tests/tidy/bounds.py --write)'


def write():
    text = PAGE.read_text()
    known = constants()
    rows = {m.group(1) for m in ROW.finditer(text)}
    text = ROW.sub(lambda m: f'| `{m.group(1)}` | {known.get(m.group(1), (m.group(2),))[0]} | '
                             f'{m.group(3)} | {m.group(4)} |', text)
    text = text.rstrip('\n') + '\n'
    for name, (value, why) in known.items():
        if name not in rows:
            text += f'| `{name}` | {value} |  | {why} |\n'
    PAGE.write_text(text)


if __name__ == '__main__':
    if '--write' in sys.argv:
        write()
    found = list(breaches())
    for line, what in found:
        print(f'docs/bounds.md:{line}: {what}')
    sys.exit(1 if found else 0)
