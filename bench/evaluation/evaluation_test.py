#!/usr/bin/env python3
"""The evaluation's own parts: figures read strictly, plots and tables that nothing in them can
break, pages that fit their figures, and programs that leave nothing behind."""
import contextlib
import io
import pathlib
import re
import sys
import tempfile
import time
import unittest
import unittest.mock
import xml.etree.ElementTree

sys.dont_write_bytecode = True
import draw
import evaluate
import figures
import pages
import run as running

HOSTILE = '"><script>alert(1)</script>|&\n<!-- table:x -->'


class Folder(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)

    def file(self, text, name='a.csv'):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def refused(self, text, what, columns=None):
        with self.assertRaises(figures.BadFigures) as caught:
            figures.read(self.file(text), columns or {'a': figures.number})
        self.assertIn(what, str(caught.exception))


class FiguresTest(Folder):
    def test_what_is_written_is_read(self):
        rows = [{'a': 'x, "y"', 'b': 0.1}, {'a': HOSTILE.replace('\n', ' '), 'b': None}]
        path = self.folder / 'new' / 'a.csv'
        figures.write(path, ['a', 'b'], rows)
        self.assertEqual(figures.read(path, {'a': str, 'b': figures.number}), rows)
        self.assertEqual([p.name for p in path.parent.iterdir()], ['a.csv'])

    def test_columns_are_found_by_name(self):
        path = self.file('z,b,a\n1,2,3\n')
        self.assertEqual(figures.read(path, {'a': figures.number, 'b': str}), [{'a': 3.0, 'b': '2'}])

    def test_a_file_that_is_not_there_is_no_mistake_in_it(self):
        with self.assertRaises(figures.NoFigures):
            figures.read(self.folder / 'none.csv', {})

    def test_what_cannot_be_right_is_told_with_its_place(self):
        self.refused('', ':1: has no header')
        self.refused('b\n1\n', ':1: has no column a')
        self.refused('a,a\n1,2\n', ':1: too many columns, or two of one name')
        self.refused('a\n1\n1,2\n', ':3: has 2 fields, its header 1')
        self.refused('a,b\n1\n', ':2: has 1 fields, its header 2')
        for text in ('x', 'nan', 'inf', '-inf', '1e999', '1_000', '\u0663', '0x10', '1 2'):
            self.refused(f'a\n0\n{text}\n', ':3: column a: ')
        self.refused('a\n"1\n', ':2: ')
        self.refused(b'a\n\xff\n', 'a.csv: ')
        self.refused('a\n' + '1' * (figures.FIELD_MAX + 1) + '\n', 'longer than')
        self.refused('a\n' + '1\n' * (figures.ROWS_MAX + 1), 'rows')
        self.refused('a,' * 100_000 + 'b\n', 'too many columns')
        self.refused('a\n' + ' ' * figures.BYTES_MAX, 'larger than')

    def test_median(self):
        self.assertEqual([figures.median(v) for v in ([], [3], [3, 1], [3, 1, 2])], [None, 3, 2, 2])


class DrawTest(unittest.TestCase):
    def drawn(self, svg):
        """Well-formed, without anything but shapes and text, and within itself."""
        root = xml.etree.ElementTree.fromstring(svg)
        for element in root.iter():
            self.assertIn(element.tag.split('}')[1],
                          ('svg', 'rect', 'line', 'text', 'polyline', 'circle'))
            for name, value in element.attrib.items():
                self.assertNotRegex(value, r'nan|inf', name)
            for x in re.findall(r'(?:^| )(-?[\d.]+),', element.get('points', '')):
                self.assertTrue(0 <= float(x) <= draw.WIDTH, x)
        return [element.text for element in root.iter() if element.tag.endswith('text')]

    def test_words_are_words(self):
        words = self.drawn(draw.lines(HOSTILE, HOSTILE, HOSTILE, [(HOSTILE, [(0, 1), (1, 2)])],
                                      marks=[(0.5, HOSTILE)]))
        self.assertTrue(any('<script>' in word for word in words))
        self.drawn(draw.bars(HOSTILE, [(HOSTILE, [(HOSTILE, 1)])], HOSTILE))
        self.drawn(draw.bars('x' * 100_000, [('y' * 100_000, [('z' * 100_000, 1)])]))

    def test_numbers_of_every_kind(self):
        for ys in ([5], [0], [0, 0], [-3, -3], [1e-12, 1e15], [-1e9, 1e9], [7.1, 7.1 + 1e-15]):
            self.drawn(draw.lines('t', 'x', 'y', [('s', list(enumerate(ys)))]))
        self.drawn(draw.lines('t', 'x', 'y', [('s', [(3, 4)])], x_log=True, y_log=True))
        self.drawn(draw.bars('t', [('a', [('s', 0)]), ('b', [('s', None)])]))

    def test_a_logarithm_leaves_out_what_it_has_none_of(self):
        svg = draw.lines('t', 'x', 'y', [('s', [(0, 5), (1, 0), (10, 5), (100, None), (1e3, 50)])],
                         x_log=True, y_log=True)
        self.drawn(svg)
        self.assertEqual(svg.count('<circle'), 2)

    def test_a_gap_breaks_a_line(self):
        points = [(0, 1), (1, 2), (2, None), (3, 1), (4, 2)]
        whole = draw.lines('t', 'x', 'y', [('s', points)])
        broken = draw.lines('t', 'x', 'y', [('s', points)], gaps=True)
        self.assertEqual((whole.count('<polyline'), broken.count('<polyline')), (1, 2))

    def test_places_are_in_proportion(self):
        axis = draw.Axis([0, 10], 100, 200)
        self.assertEqual([axis.place(v) for v in (0, 5, 10)], [100, 150, 200])
        axis = draw.Axis([1, 100], 0, 200, log=True)
        self.assertEqual([axis.place(v) for v in (1, 10, 100)], [0, 100, 200])
        widths = re.findall(r'<rect x="230" y="\d+" width="([\d.]+)"',
                            draw.bars('t', [('a', [('s', 100)]), ('b', [('s', 50)])]))
        self.assertAlmostEqual(float(widths[0]), 2 * float(widths[1]), delta=0.1)

    def test_ticks_are_round_and_few(self):
        for low, high in ((0, 1), (0, 97), (-3, 12_345), (0.001, 0.0011), (1e12, 3e12)):
            ticks = draw.nice_ticks(low, high)
            self.assertTrue(2 <= len(ticks) <= 8, (low, high, ticks))
            self.assertTrue(all(low - 1e-9 * high <= t <= high * (1 + 1e-9) for t in ticks))

    def test_nothing_and_too_much_are_refused(self):
        with self.assertRaises(draw.NothingToDraw):
            draw.lines('t', 'x', 'y', [('s', [])])
        with self.assertRaises(draw.NothingToDraw):
            draw.lines('t', 'x', 'y', [('s', [(1, 0)])], y_log=True)
        with self.assertRaises(draw.NothingToDraw):
            draw.bars('t', [])
        with self.assertRaises(figures.BadFigures):
            draw.bars('t', [('a', [('s', -1)])])
        with self.assertRaises(figures.BadFigures):
            draw.bars('t', [('a', [('s', 1)] * 501)])
        with self.assertRaises(figures.BadFigures):
            draw.lines('t', 'x', 'y', [('s', [(i, 1) for i in range(draw.POINTS_MAX + 1)])])


class PagesTest(unittest.TestCase):
    PAGE = 'a\n<!-- table:one -->\nold\n<!-- /table:one -->\nb\n'

    def test_a_table_takes_the_place_of_the_one_before(self):
        page = pages.render(self.PAGE, {'one': pages.table(['h'], [['new']])})
        self.assertEqual(page, 'a\n<!-- table:one -->\n\n| h |\n|---|\n| new |\n\n'
                               '<!-- /table:one -->\nb\n')
        self.assertEqual(pages.render(page, {'one': pages.table(['h'], [['new']])}), page)
        self.assertEqual(pages.names(page), ['one'])

    def test_markers_that_do_not_fit_are_refused(self):
        for page, tables, what in (
                (self.PAGE, {}, 'line 2: table:one is not known'),
                ('a\n', {'one': ''}, 'has no place for table:one'),
                (self.PAGE + self.PAGE, {'one': ''}, 'line 7: table:one is there twice'),
                ('<!-- table:one -->\n', {'one': ''}, 'table:one does not end'),
                ('<!-- /table:one -->\n', {'one': ''}, 'line 1: table:one ends'),
                ('<!-- table:one -->\n<!-- table:two -->\n', {'one': '', 'two': ''}, 'begins within')):
            with self.assertRaises(pages.BadPage) as caught:
                pages.render(page, tables)
            self.assertIn(what, str(caught.exception))

    def test_a_cell_is_one_cell(self):
        text = pages.table(['h', 'i'], [[HOSTILE, 1234567], ['\\|', None]])
        self.assertEqual(len(text.split('\n')), 4)
        for row in text.split('\n'):
            self.assertEqual(len(re.findall(r'(?<!\\)(?:\\\\)*\|', row)), 3, row)
        self.assertNotIn('<', text)
        self.assertIn('1,234,567', text)
        with self.assertRaises(pages.BadPage):
            pages.table(['h'], [['a', 'b']])

    def test_numbers_as_people_read_them(self):
        self.assertEqual([pages.shown(v) for v in (0.0, 0.123, 1.0, 12.34, 123.4, 12345.6)],
                         ['0', '0.12', '1', '12.3', '123', '12,346'])


class PartsTest(Folder):
    """The pages as they stand in docs/evaluation."""

    def test_pages_have_a_place_for_everything_and_for_nothing_else(self):
        for part in evaluate.PARTS.values():
            page = (evaluate.PAGES / f'{part.NAME}.md').read_text()
            self.assertEqual(sorted(pages.names(page)), sorted(['run', *part.TABLES]), part.NAME)
            shown = re.findall(r'!\[[^\]]+\]\(data/([^)]+)\)', page)
            self.assertEqual(sorted(shown), sorted(f'{part.NAME}-{n}.svg' for n in part.PLOTS))
            self.assertIn('## What to configure, for whom', page)
            self.assertIn(f'({part.NAME}.md)', (evaluate.PAGES / 'README.md').read_text())

    def test_pages_and_plots_are_those_of_the_figures(self):
        data = evaluate.PAGES / 'data'
        for part in evaluate.PARTS.values():
            page = (evaluate.PAGES / f'{part.NAME}.md').read_text()
            self.assertEqual(pages.render(page, evaluate.tables(part, data)), page,
                             f'./dev evaluate --draw {part.NAME}')
            for name, svg in evaluate.plots(part, data).items():
                there = (data / name).read_text() if (data / name).exists() else None
                self.assertEqual(there, svg, f'./dev evaluate --draw {part.NAME}: {name}')

    def test_without_figures_a_page_says_how_to_get_them(self):
        for part in evaluate.PARTS.values():
            tables = evaluate.tables(part, self.folder)
            for name in ['run', *part.TABLES]:
                self.assertIn(f'./dev evaluate {part.NAME}', tables[name])
            self.assertFalse(any(evaluate.plots(part, self.folder).values()))

    def test_all_of_it_fits_in_25_minutes(self):
        run = running.Run('none', self.folder, False)
        self.addCleanup(run.close)
        self.assertLess(sum(part.seconds(run) for part in evaluate.PARTS.values()), 25 * 60)


# Stands in for every program: writes what a table of that name would have.
PROGRAM = r"""#!/usr/bin/env python3
import pathlib, sys
arguments, name = sys.argv[1:], pathlib.Path(sys.argv[0]).name
def value(flag, other=''):
    return arguments[arguments.index(flag) + 1] if flag in arguments else other
def write(flag, header, *rows):
    if flag in arguments:
        pathlib.Path(value(flag)).write_text('\n'.join([header, *rows]) + '\n')
if name == 'holdfast_bench':
    only = value('--only')
    doors = ([c + ', ' + n for c in ('stale', 'session', 'linearizable')
              for n in ('leader', 'follower')] if only == 'reads, ' else
             ['pipe', 'gRPC', 'HTTP'] if only == 'uniform singles' else ['pipe'])
    workload = only.split(',')[0]
    write('--csv', 'system,workload,door,clients,per_second,p50_us,p99_us,pause_ms,cpu_us,failed,'
          'entry_requests,sync_entries,sync_us,log_bytes,times_peer',
          *[f'holdfast,"{workload}","{door}",{clients},1000,500,900,5,60,0,3,1.5,200,150,'
            for door in doors for clients in value('--clients', '64').split(',')])
    write('--disk-csv', 'node,requests,log_written_bytes,log_disk_bytes,store_disk_bytes',
          *[f'{node},1000,150000,67108864,60000' for node in range(1, int(value('--nodes')) + 1)])
elif name == 'holdfast_failover_bench' and '--noise' in arguments:
    write('--csv', 'hogs,seconds,elections,leader_changes,payments,longest_gap_ms', '4,3,2,2,900,300')
elif name == 'holdfast_failover_bench':
    write('--csv', 'trial,gap_ms,failed', '1,540.5,0')
    write('--timeline', 'trial,at_ms,answers,p50_ms,max_ms',
          *[f'1,{at},' + ('0,,' if 0 <= at < 540 else '10,1.5,540' if at == 540 else '10,1.5,2.5')
            for at in range(-1000, 2000, 10)])
elif name == 'holdfast_chaos':
    write('--csv', 'fault,times,median_ms,longest_ms,writes,reads,violations',
          '"kill",2,38,90,3000,1500,0', '"kill all",1,1622,1622,3000,1500,0')
elif name == 'holdfast_sim':
    print('15 runs passed: 11107 entries, 11333 writes and 11375 reads checked, 151 elections, '
          '219 starts, 18 checkpoints installed; level again after at most 2115 ms')
"""


class RunTest(Folder):
    def setUp(self):
        super().setUp()
        self.run = running.Run(self.folder, self.folder / 'data', True)
        self.addCleanup(self.run.close)
        self.said = io.StringIO()
        redirected = contextlib.redirect_stdout(self.said)
        redirected.__enter__()
        self.addCleanup(redirected.__exit__, None, None, None)

    def script(self, name, text):
        path = self.file(text, name)
        path.chmod(0o755)
        return name

    def test_what_a_program_leaves_running_is_ended(self):
        name = self.script('p', '#!/bin/sh\nsleep 60 & echo $!\n')
        text, _ = self.run.program(name, seconds=1)
        pid = int(text)
        deadline = time.monotonic() + 5
        # Gone, or dead and not yet collected by whoever inherited it.
        while time.monotonic() < deadline:
            stat = pathlib.Path(f'/proc/{pid}/stat')
            try:
                if stat.read_text().split()[2] == 'Z':
                    return
            except OSError:
                return
            time.sleep(0.01)
        self.fail('it still runs')

    def test_a_failure_says_what_was_run_and_what_it_said(self):
        self.script('p', '#!/bin/sh\necho why; exit 3\n')
        with self.assertRaises(running.Failed) as caught:
            self.run.program('p', '--x', seconds=1)
        for part in ('p --x', 'ended with 3', 'why'):
            self.assertIn(part, str(caught.exception))
        self.assertEqual(self.run.program('p', seconds=1, ok=(3,))[1], 3)
        with self.assertRaises(running.Failed):
            self.run.program('none', seconds=1)

    def test_a_table_of_before_is_not_taken_for_a_new_one(self):
        self.script('p', '#!/bin/sh\necho a >$2; echo 1 >>$2\n')
        self.script('q', '#!/bin/sh\n')
        self.assertEqual(self.run.table({'a': figures.number}, 'p', seconds=1), [{'a': 1.0}])
        with self.assertRaises(figures.NoFigures):
            self.run.table({'a': figures.number}, 'q', seconds=1)

    def test_all_of_it_from_programs_to_pages(self):
        some = unittest.mock.patch('faults.recipes', return_value=['calm', 'disks'])
        some.start()
        self.addCleanup(some.stop)
        for name in ('holdfast_bench', 'holdfast_failover_bench', 'holdfast_chaos', 'holdfast_sim'):
            self.script(name, PROGRAM)
        out = self.folder / 'out'
        status = evaluate.main(['--quick', '--programs', str(self.folder), '--out', str(out),
                                *[name for name in evaluate.PARTS if name != 'clock-skew']])
        self.assertEqual(status, 0, self.said.getvalue())
        for part in evaluate.PARTS.values():
            if part.NAME == 'clock-skew':
                continue
            page = (out / f'{part.NAME}.md').read_text()
            self.assertNotIn('Not measured yet', page)
            for name in part.PLOTS:
                svg = (out / 'data' / f'{part.NAME}-{name}.svg').read_text()
                xml.etree.ElementTree.fromstring(svg)
        self.assertIn('| stands still | 1 | 540 |', (out / 'redundancy.md').read_text())
        self.assertEqual(evaluate.main(['--draw', '--out', str(out), 'redundancy']), 0)


if __name__ == '__main__':
    unittest.main()
