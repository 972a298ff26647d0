#!/usr/bin/env python3
"""Counts the instructions that the state machine takes for a transfer, a lock, a message or a
checkout, under callgrind.

  instructions.py PROGRAM            prints a line for each workload
  instructions.py PROGRAM --check    fails when one takes more than is recorded here
  instructions.py PROGRAM --only W   that workload alone
  instructions.py PROGRAM --keep DIR leaves the profiles there, for callgrind_annotate

PROGRAM is holdfast_machine_bench; bench/machine/workload.h says what the workloads are. Counted is
Machine::Apply alone, over a RocksDB base that has seen as many of them before. The count hardly
depends on the machine and not on its load.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

# Operations that are counted, and instructions for one of them at most: 1.3 times what was measured
# when the line was last changed. A change that makes one of them smaller lowers its line; none goes
# up without a reason.
LIMITS = {
    'transfers-batch': (20_000, 9_900),
    'transfers-batch-hot': (20_000, 9_100),
    'transfers': (20_000, 16_900),
    'locks': (5_000, 41_600),
    'publish': (10_000, 29_400),
    'take': (10_000, 100_000),
    'checkout': (3_000, 219_000),
}


def count(program, workload, operations, folder):
    profile = os.path.join(folder, f'callgrind.{workload}')
    command = ['valgrind', '--tool=callgrind', '--toggle-collect=ApplyMeasured',
               f'--callgrind-out-file={profile}', program, '--base', 'rocksdb', '--workload',
               workload, '--operations', str(operations), '--history', str(operations)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f'{" ".join(command)}\n{run.stderr[-2000:]}')
    totals = re.search(r'^(?:summary|totals): (\d+)', open(profile).read(), re.M)
    return int(totals.group(1)) / operations


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--keep')
    parser.add_argument('--only')
    arguments = parser.parse_args()
    if shutil.which('valgrind') is None:
        print('skipped: there is no valgrind; ./dev deps installs it')
        sys.exit(77)
    too_many = False
    print(f'{"workload":22}{"instructions":>14}{"limit":>10}')
    with tempfile.TemporaryDirectory() as temporary:
        for workload, (operations, limit) in LIMITS.items():
            if arguments.only not in (None, workload):
                continue
            found = count(arguments.program, workload, operations, arguments.keep or temporary)
            too_many |= found > limit
            print(f'{workload:22}{found:14,.0f}{limit:10,}', flush=True)
    if arguments.check and too_many:
        sys.exit('something takes more instructions than recorded: bench/instructions.py says how '
                 'to find out why')


if __name__ == '__main__':
    main()
