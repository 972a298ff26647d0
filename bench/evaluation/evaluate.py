#!/usr/bin/env python3
"""Measures what docs/evaluation tells, and makes its tables and plots anew.

  ./dev evaluate                 all parts, in turn
  ./dev evaluate NAME...         these parts only
  ./dev evaluate --quick         everything once and briefly, to see that it works; the figures are
                                 worth nothing and go to build/evaluation, not into the pages
  ./dev evaluate --draw          measures nothing: tables and plots from the figures that are there
"""
import argparse
import pathlib
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
import clock_skew
import consensus
import draw
import faults
import figures
import pages
import redundancy
import replication
import run as running

PARTS = {part.NAME: part for part in (clock_skew, redundancy, replication, consensus, faults)}
PAGES = running.ROOT / 'docs' / 'evaluation'
RUN_COLUMNS = {'when': str, 'version': str, 'processors': str, 'processor': str,
               'memory_gib': figures.number, 'file_system': str, 'load_before': figures.number,
               'took_s': figures.number}


def measured_on(part, data):
    """The line above a page's tables."""
    try:
        row = figures.read(data / f'{part.NAME}-run.csv', RUN_COLUMNS)[0]
    except figures.NoFigures:
        return not_measured(part)
    return (f'Measured on {pages.cell(row["when"])}, version {pages.cell(row["version"])}, on '
            f'{pages.cell(row["processors"])} processors ({pages.cell(row["processor"])}), '
            f'{pages.cell(row["memory_gib"])} GiB of memory, {pages.cell(row["file_system"])}; load '
            f'average before it {pages.cell(row["load_before"])}. It took '
            f'{pages.cell(row["took_s"])} s.')


def not_measured(part):
    return f'Not measured yet: `./dev evaluate {part.NAME}`.'


def tables(part, data):
    """The text of every table of the part's page; where figures are missing, how to get them."""
    made = {'run': measured_on(part, data)}
    for name, make in part.TABLES.items():
        try:
            made[name] = make(data)
        except figures.NoFigures:
            made[name] = not_measured(part)
    return made


def plots(part, data):
    """Name -> SVG; None where there are no figures for it."""
    drawn = {}
    for name, plot in part.PLOTS.items():
        try:
            drawn[f'{part.NAME}-{name}.svg'] = plot(data)
        except (figures.NoFigures, draw.NothingToDraw):
            drawn[f'{part.NAME}-{name}.svg'] = None
    return drawn


def rewrite(part, folder):
    """Tables and plots of the part's page in `folder`, from the figures in its data."""
    page = folder / f'{part.NAME}.md'
    page.write_text(pages.render(page.read_text(), tables(part, folder / 'data')))
    for name, svg in plots(part, folder / 'data').items():
        path = folder / 'data' / name
        if svg is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(svg)


def measure(part, run):
    """The figures of the part, and of nothing before: what is not measured is not there."""
    run.say(f'--- {part.NAME}: about {part.seconds(run):.0f} s')
    for path in run.data.glob(f'{part.NAME}-*.csv'):
        path.unlink()
    row = running.machine(run)
    began = time.monotonic()
    try:
        part.measure(run)
    finally:
        row['took_s'] = round(time.monotonic() - began)
        run.write(f'{part.NAME}-run', [row])


def arguments_of(argv):
    parser = argparse.ArgumentParser(prog='./dev evaluate', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help=', '.join(PARTS))
    parser.add_argument('--quick', action='store_true', help='briefly, into build/evaluation')
    parser.add_argument('--draw', action='store_true', help='from the figures that are there')
    parser.add_argument('--programs', default=running.ROOT / 'build' / 'release',
                        help='the folder of the programs; default: build/release')
    parser.add_argument('--out', help='a folder like docs/evaluation, for all that is written')
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in PARTS:
            parser.error(f'there is no part {name}; there are: {", ".join(PARTS)}')
    if arguments.quick and arguments.draw:
        parser.error('--draw measures nothing, --quick is about measuring')
    return arguments


def main(argv):
    arguments = arguments_of(argv)
    folder = PAGES
    if arguments.quick:
        folder = running.ROOT / 'build' / 'evaluation'
    if arguments.out:
        folder = pathlib.Path(arguments.out).resolve()
    parts = [PARTS[name] for name in arguments.names or PARTS]
    if folder != PAGES:
        folder.mkdir(parents=True, exist_ok=True)
        for page in PAGES.glob('*.md'):
            shutil.copy(page, folder)
    (folder / 'data').mkdir(exist_ok=True)
    if arguments.draw:
        for part in parts:
            rewrite(part, folder)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    failed = []
    run = running.Run(arguments.programs, folder / 'data', arguments.quick)
    try:
        total = sum(part.seconds(run) for part in parts)
        run.say(f'{len(parts)} part{"s" if len(parts) != 1 else ""}, about {total / 60:.0f} minutes')
        for part in parts:
            for step in (lambda: measure(part, run), lambda: rewrite(part, folder)):
                try:
                    step()
                except (running.Failed, figures.BadFigures, pages.BadPage) as error:
                    run.say(f'{part.NAME} FAILED: {error}')
                    failed.append(part.NAME)
    except KeyboardInterrupt:
        return 130
    finally:
        run.close()
    run.say(f'pages in {folder}' + (f'; FAILED: {", ".join(failed)}' if failed else ''))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
