#!/usr/bin/env python3
"""Counts the instructions that the state machine takes for a transfer, under callgrind.

  instructions.py PROGRAM            prints a line for each shape
  instructions.py PROGRAM --check    fails when one takes more than is recorded here
  instructions.py PROGRAM --keep DIR leaves the profiles there, for callgrind_annotate

PROGRAM is holdfast_machine_bench. Counted is Machine::Apply alone, over a RocksDB base that holds
20,000 transfers already. The count hardly depends on the machine and not on its load.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

TRANSFERS = 20_000
HISTORY = 20_000

# Instructions for a transfer at most: 1.3 times what was measured when the line was last changed.
# A change that makes one of them smaller lowers its line; none goes up without a reason.
LIMITS = {
    ('batch', 'uniform'): 9_900,
    ('batch', 'hot'): 9_100,
    ('single', 'uniform'): 16_900,
}


def count(program, shape, accounts, folder):
    profile = os.path.join(folder, f'callgrind.{shape}.{accounts}')
    command = ['valgrind', '--tool=callgrind', '--toggle-collect=ApplyMeasured',
               f'--callgrind-out-file={profile}', program, '--base', 'rocksdb', '--shape', shape,
               '--accounts', accounts, '--transfers', str(TRANSFERS), '--history', str(HISTORY)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f'{" ".join(command)}\n{run.stderr[-2000:]}')
    totals = re.search(r'^(?:summary|totals): (\d+)', open(profile).read(), re.M)
    return int(totals.group(1)) / TRANSFERS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--keep')
    arguments = parser.parse_args()
    if shutil.which('valgrind') is None:
        print('skipped: there is no valgrind; ./dev deps installs it')
        sys.exit(77)
    too_many = False
    print(f'{"shape":8}{"accounts":10}{"instructions":>14}{"limit":>10}')
    with tempfile.TemporaryDirectory() as temporary:
        for (shape, accounts), limit in LIMITS.items():
            found = count(arguments.program, shape, accounts, arguments.keep or temporary)
            too_many |= found > limit
            print(f'{shape:8}{accounts:10}{found:14,.0f}{limit:10,}', flush=True)
    if arguments.check and too_many:
        sys.exit('a transfer takes more instructions than recorded: bench/instructions.py says how '
                 'to find out why')


if __name__ == '__main__':
    main()
