#!/usr/bin/env python3
"""Plots as SVG, without scripts and fonts to load: lines and bars.

  draw.py TABLE.csv FOLDER    bars of what ./dev bench --csv wrote: a picture for each workload
"""
import math
import pathlib
import sys
from xml.sax.saxutils import escape

sys.dont_write_bytecode = True
import figures

WIDTH = 860
COLORS = ('#2b6cb0', '#c05621', '#2f855a', '#6b46c1', '#b83280', '#4a5568', '#b7791f', '#2c7a7b')
DASHES = ('', '7 4', '2 3', '10 3 2 3')
LABEL_MAX = 60
POINTS_MAX = 20_000


class NothingToDraw(figures.BadFigures):
    """No point that the plot could show."""


def text(x, y, words, anchor='start', size=13, extra=''):
    words = words if len(words) <= LABEL_MAX * 2 else words[:LABEL_MAX * 2 - 1] + '…'
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{extra}>'
            f'{escape(words)}</text>')


def line(x1, y1, x2, y2, color='#e2e8f0', extra=''):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{extra}/>'


def document(height, parts):
    return '\n'.join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
         f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
         '<rect width="100%" height="100%" fill="white"/>', *parts, '</svg>', ''])


def tidy(value):
    """A number as short as it may be read."""
    if value == 0:
        return '0'
    if abs(value) >= 1000:
        return f'{value:,.0f}'
    return f'{value:.3g}'


def nice_ticks(low, high):
    """Round numbers from low to high, about six."""
    span = high - low
    step = 10 ** math.floor(math.log10(span / 5))
    for factor in (1, 2, 5, 10):
        if span / (step * factor) <= 7:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [tick * step for tick in range(first, last + 1)]


class Axis:
    """From values to places, in proportion or by logarithm."""

    def __init__(self, values, begin, end, log=False, from_zero=False):
        self.log = log
        self.begin, self.end = begin, end
        usable = [v for v in values if not log or v > 0]
        if not usable:
            raise NothingToDraw('no value for an axis')
        low, high = min(usable), max(usable)
        if log:
            # Whole powers of ten, one at least.
            low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
            high = max(high, low + 1)
            self.ticks = [10.0 ** power for power in range(low, high + 1)]
            if len(self.ticks) > 12:
                self.ticks = self.ticks[::math.ceil(len(self.ticks) / 12)]
        else:
            if from_zero:
                low, high = min(low, 0), max(high, 0)
            if high - low <= abs(high) * 1e-12:  # All alike.
                low, high = low - (abs(low) or 1), high + (abs(high) or 1)
                if from_zero:
                    low = max(low, 0) if min(usable) >= 0 else low
            self.ticks = nice_ticks(low, high)
            if from_zero:  # Up to a round number.
                step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else high
                if self.ticks[-1] < high - step * 1e-9:
                    self.ticks.append(self.ticks[-1] + step)
                high = max(high, self.ticks[-1])
        self.low, self.high = low, high

    def shows(self, value):
        return value is not None and (not self.log or value > 0)

    def place(self, value):
        if self.log:
            value = math.log10(value)
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)


def lines(title, x_label, y_label, series, *, x_log=False, y_log=False, x_ticks=None, marks=(),
          dots=True, gaps=False):
    """`series`: (name, [(x, y), ...]) each; a y of None is not drawn, and with `gaps` breaks the
    line. `marks`: (x, words), a line from top to bottom. `x_ticks`: in place of round numbers."""
    left, right, top, bottom = 84, WIDTH - 24, 44, 360
    legend = 22 * math.ceil(len(series) / 3)
    height = bottom + 58 + legend
    points = [(x, y) for _, some in series for x, y in some if y is not None]
    if len(points) > POINTS_MAX:
        raise figures.BadFigures(f'{title}: more than {POINTS_MAX} points')
    across = Axis([x for x, _ in points], left, right, x_log)
    up = Axis([y for _, y in points], bottom, top, y_log, from_zero=not y_log)
    parts = [text(12, 26, title, size=16)]
    for tick in up.ticks:
        y = up.place(tick)
        parts += [line(left, y, right, y), text(left - 8, y + 4, tidy(tick), 'end')]
    for tick in x_ticks if x_ticks is not None else across.ticks:
        if not across.shows(tick) or not left - 1 <= across.place(tick) <= right + 1:
            continue
        x = across.place(tick)
        parts += [line(x, top, x, bottom), text(x, bottom + 18, tidy(tick), 'middle')]
    parts += [line(left, bottom, right, bottom, '#4a5568'), line(left, top, left, bottom, '#4a5568'),
              text((left + right) / 2, bottom + 40, x_label, 'middle'),
              text(18, (top + bottom) / 2, y_label, 'middle',
                   extra=f' transform="rotate(-90 18 {(top + bottom) / 2:.0f})"')]
    for x, words in marks:
        if across.shows(x):
            parts += [line(across.place(x), top, across.place(x), bottom, '#c53030',
                           ' stroke-dasharray="4 3"'),
                      text(across.place(x) + 5, top + 12, words, extra=' fill="#c53030"')]
    for i, (name, some) in enumerate(series):
        color, dash = COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]
        runs = [[]]
        for x, y in some:
            if across.shows(x) and up.shows(y):
                runs[-1].append((across.place(x), up.place(y)))
            elif gaps:
                runs.append([])
        for run in runs:
            way = ' '.join(f'{x:.1f},{y:.1f}' for x, y in run)
            if len(run) > 1:
                parts.append(f'<polyline points="{way}" fill="none" stroke="{color}" '
                             f'stroke-width="2"' + (f' stroke-dasharray="{dash}"' if dash else '') + '/>')
            if dots or len(run) == 1:
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in run]
        x, y = left + i % 3 * 250, bottom + 62 + i // 3 * 22
        parts += [line(x, y - 4, x + 24, y - 4, color,
                       ' stroke-width="3"' + (f' stroke-dasharray="{dash}"' if dash else '')),
                  text(x + 30, y, name[:LABEL_MAX])]
    return document(height, parts)


def bars(title, groups, unit=''):
    """Horizontal bars with their numbers. `groups`: (label, [(series, value), ...]) each; a value of
    None has no bar. The series of one name have one colour."""
    left, number, bar, top = 230, 110, 20, 48
    names = list(dict.fromkeys(name for _, some in groups for name, _ in some))
    values = [value for _, some in groups for _, value in some if value is not None]
    if not values:
        raise NothingToDraw(f'{title}: no bars')
    if min(values) < 0:
        raise figures.BadFigures(f'{title}: a bar below 0')
    if len(values) > 500:
        raise figures.BadFigures(f'{title}: more than 500 bars')
    most = max(values) or 1
    parts = [text(12, 26, title, size=16)]
    y = top
    for label, some in groups:
        begin = y
        for name, value in some:
            if value is None:
                continue
            width = value / most * (WIDTH - left - number)
            color = COLORS[names.index(name) % len(COLORS)]
            parts += [f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{bar - 3}" '
                      f'fill="{color}"/>',
                      text(left + width + 6, y + 13, tidy(value) + (f' {unit}' if unit else ''))]
            y += bar
        if y > begin:
            parts.append(text(left - 8, (begin + y) / 2 + 3, label[:LABEL_MAX], 'end'))
            y += 8
    if len(names) > 1:
        a_row = 4 if max(map(len, names)) <= 24 else 1
        for i, name in enumerate(names):
            x, below = 12 + i % a_row * 210, y + i // a_row * 20
            parts += [f'<rect x="{x}" y="{below}" width="14" height="14" '
                      f'fill="{COLORS[i % len(COLORS)]}"/>',
                      text(x + 20, below + 12, name[:LABEL_MAX])]
        y += 20 * math.ceil(len(names) / a_row)
    return document(y + 10, parts)


def save(path, svg):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg, encoding='utf-8')


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    columns = {'system': str, 'workload': str, 'door': str, 'clients': str,
               'per_second': figures.number}
    try:
        rows = figures.read(sys.argv[1], columns)
        for workload in dict.fromkeys(row['workload'] for row in rows):
            groups = [(f'{row["door"]}, {row["clients"]}', [(row['system'], row['per_second'])])
                      for row in rows if row['workload'] == workload]
            name = ''.join(c if c.isascii() and c.isalnum() else '-' for c in workload)
            save(pathlib.Path(sys.argv[2]) / f'{name}.svg',
                 bars(f'{workload} a second, by door and clients', groups))
    except figures.BadFigures as error:
        sys.exit(f'draw.py: {error}')


if __name__ == '__main__':
    main()
