"""Running the programs that measure: one at a time, with a time by which it must end, and with
everything that it started ended, however it goes."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import figures

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77  # What a program that cannot run here ends with.
OUTPUT_MAX = 1 << 20


class Failed(Exception):
    """A program that did not do what it should; the text is for people."""


class Run:
    """One evaluation. `programs` is the folder of a build, `data` where the figures go."""

    def __init__(self, programs, data, quick):
        self.programs = pathlib.Path(programs)
        self.data = pathlib.Path(data)
        self.quick = quick
        # On a real disk: what an fsync costs is what is measured.
        (ROOT / 'build').mkdir(exist_ok=True)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix='evaluation-', dir=ROOT / 'build'))
        self.began = time.monotonic()

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def say(self, words):
        print(f'{time.monotonic() - self.began:7.1f} s  {words}', flush=True)

    def pick(self, usual, quick):
        return quick if self.quick else usual

    def has(self, name):
        return (self.programs / name).exists()

    def program(self, name, *arguments, seconds, ok=(0,)):
        """Its output and how it ended. `seconds`: how long it takes; four times that and a minute is
        too long."""
        if not self.has(name):
            raise Failed(f'there is no {self.programs / name}: build it with ./dev build {name}')
        command = [str(self.programs / name), *map(str, arguments)]
        words = ' '.join([name, *map(str, arguments)]).replace(str(self.scratch) + '/', '')
        self.say(f'{words}  (about {seconds:.0f} s)')
        with open(self.scratch / 'output', 'w+b') as output:
            # A session of its own: what it starts is in it, too, and can be ended with it.
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True,
                                       env=dict(os.environ, TMPDIR=str(self.scratch)))
            try:
                code = process.wait(timeout=4 * seconds + 60)
            except subprocess.TimeoutExpired:
                raise Failed(f'{words}: does not end') from None
            finally:
                end_session(process)
            output.seek(max(0, output.tell() - OUTPUT_MAX))
            text = output.read().decode(errors='replace')
        if code not in ok:
            raise Failed(f'{words}: ended with {code}\n{text[-2000:]}')
        return text, code

    def table(self, columns, name, *arguments, flag='--csv', seconds, ok=(0,)):
        """The rows of the table that a program writes to the file that `flag` names."""
        path = self.scratch / 'table.csv'
        path.unlink(missing_ok=True)
        self.program(name, *arguments, flag, path, seconds=seconds, ok=ok)
        return figures.read(path, columns)

    def write(self, name, rows):
        """A file of figures: the columns are those of the first row."""
        if not rows:
            raise Failed(f'{name}: nothing was measured')
        figures.write(self.data / f'{name}.csv', list(rows[0]), rows)


def end_session(process):
    """SIGKILL to the program and to whatever it started and left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def first_line(path, pattern):
    try:
        match = re.search(pattern, pathlib.Path(path).read_text(errors='replace'), re.M)
    except OSError:
        return '?'
    return match.group(1).strip() if match else '?'


def machine(run):
    """What the figures were measured on, for the page."""
    version = subprocess.run(['git', 'describe', '--always', '--dirty', '--exclude', '*'], cwd=ROOT,
                             capture_output=True, text=True).stdout.strip()
    kind = subprocess.run(['stat', '-f', '-c', '%T', run.scratch], capture_output=True,
                          text=True).stdout.strip()
    memory = first_line('/proc/meminfo', r'^MemTotal: +(\d+) kB')
    return {'when': time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime()), 'version': version or '?',
            'processors': os.cpu_count(),
            'processor': first_line('/proc/cpuinfo', r'^model name\s*: (.*)$'),
            'memory_gib': round(int(memory) / (1 << 20), 1) if memory.isdigit() else None,
            'file_system': kind or '?', 'load_before': round(os.getloadavg()[0], 2)}
