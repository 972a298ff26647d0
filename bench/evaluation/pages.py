"""Pages written by hand, with tables between markers that are made anew from the figures:

    <!-- table:NAME -->
    ...
    <!-- /table:NAME -->
"""
import re

MARKER = re.compile(r'^<!-- (/?)table:([a-z0-9-]+) -->$')


class BadPage(Exception):
    """The text is for people."""


def cell(value):
    """One field of a table, whatever it holds."""
    if value is None:
        return ''
    if isinstance(value, float):
        value = shown(value)
    elif isinstance(value, int):
        value = f'{value:,}'
    text = ' '.join(str(value).split())
    return text.replace('\\', '\\\\').replace('|', '\\|').replace('<', '&lt;').replace('>', '&gt;')


def shown(value):
    """Three digits, or whole numbers."""
    if abs(value) >= 100 or value == int(value):
        return f'{value:,.0f}'
    return f'{value:.2f}' if abs(value) < 10 else f'{value:.1f}'


def table(header, rows):
    lines = ['| ' + ' | '.join(map(cell, header)) + ' |', '|' + '---|' * len(header)]
    for row in rows:
        if len(row) != len(header):
            raise BadPage(f'a row of {len(row)} fields under {len(header)} headings')
        lines.append('| ' + ' | '.join(map(cell, row)) + ' |')
    return '\n'.join(lines)


def names(page):
    """Of all tables of a page."""
    return [match.group(2) for match in map(MARKER.match, page.split('\n'))
            if match and not match.group(1)]


def render(page, tables):
    """The page with these tables between its markers. All markers must be known, and all tables
    wanted: a table that nobody sees is a mistake."""
    out, open_name, seen = [], None, set()
    for number, line in enumerate(page.split('\n'), 1):
        match = MARKER.match(line)
        if match and not match.group(1):
            name = match.group(2)
            if open_name:
                raise BadPage(f'line {number}: table:{name} begins within table:{open_name}')
            if name not in tables or name in seen:
                raise BadPage(f'line {number}: table:{name} is ' +
                              ('there twice' if name in seen else 'not known'))
            open_name = name
            seen.add(name)
            out += [line, '', tables[name], '']
        elif match:
            if match.group(2) != open_name:
                raise BadPage(f'line {number}: table:{match.group(2)} ends, and did not begin')
            open_name = None
            out.append(line)
        elif not open_name:
            out.append(line)
    if open_name:
        raise BadPage(f'table:{open_name} does not end')
    missing = sorted(set(tables) - seen)
    if missing:
        raise BadPage(f'has no place for table:{missing[0]}')
    return '\n'.join(out)
