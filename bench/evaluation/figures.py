"""CSV files of measurements: written with a header, read back strictly. What cannot be right is told
with file, line and column; nothing is guessed."""
import csv
import math
import os
import pathlib

BYTES_MAX = 16 << 20
ROWS_MAX = 200_000
FIELD_MAX = 1_000
SPARE_MAX = 64  # Columns.


class BadFigures(Exception):
    """A file that is not what it should be; the text is for people."""


class NoFigures(BadFigures):
    """The file is not there: nothing has been measured yet."""


def number(text):
    """Finite, and as people write numbers; None for an empty field: not measured."""
    if text == '':
        return None
    if not text.isascii() or '_' in text:
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def read(path, columns):
    """The rows of a CSV file as dictionaries. `columns` names those that must be there and says what
    each is: `str`, or `number`. Others are ignored."""
    path = pathlib.Path(path)
    try:
        if path.stat().st_size > BYTES_MAX:
            raise BadFigures(f'{path}: larger than {BYTES_MAX} bytes')
        text = path.read_text(encoding='utf-8')
    except FileNotFoundError:
        raise NoFigures(f'{path}: is not there') from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFigures(f'{path}: {error}') from None
    lines = csv.reader(text.splitlines(), strict=True)
    rows = []
    try:
        header = next(lines, None)
        if not header:
            raise BadFigures(f'{path}:1: has no header')
        if len(header) > len(columns) + SPARE_MAX or len(set(header)) != len(header):
            raise BadFigures(f'{path}:1: too many columns, or two of one name')
        for name in columns:
            if name not in header:
                raise BadFigures(f'{path}:1: has no column {name}')
        for fields in lines:
            place = f'{path}:{lines.line_num}'
            if len(rows) >= ROWS_MAX:
                raise BadFigures(f'{place}: more than {ROWS_MAX} rows')
            if len(fields) != len(header):
                raise BadFigures(f'{place}: has {len(fields)} fields, its header {len(header)}')
            named = dict(zip(header, fields))
            row = {}
            for name, kind in columns.items():
                if len(named[name]) > FIELD_MAX:
                    raise BadFigures(f'{place}: column {name}: longer than {FIELD_MAX} characters')
                try:
                    row[name] = kind(named[name])
                except ValueError:
                    raise BadFigures(
                        f"{place}: column {name}: '{named[name][:40]}' is no number") from None
            rows.append(row)
    except csv.Error as error:
        raise BadFigures(f'{path}:{lines.line_num}: {error}') from None
    return rows


def write(path, columns, rows):
    """Whole or not at all: whoever reads meanwhile sees the file before."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + '.new')
    with open(beside, 'w', encoding='utf-8', newline='') as out:
        writer = csv.writer(out, lineterminator='\n')
        writer.writerow(columns)
        for row in rows:
            writer.writerow(['' if row[name] is None else written(row[name]) for name in columns])
    os.replace(beside, path)


def written(value):
    return f'{value:.10g}' if isinstance(value, float) else value


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
