#!/usr/bin/env python3
"""Installs into an empty folder, builds the examples against that alone, and runs them.

    install_test.py SOURCE BUILD CMAKE
"""
import pathlib
import subprocess
import tempfile

import laptops
import shop
from support import (build, build_example, cmake, expect, free_ports, run, running,
                     running_cluster_of_one, source)


def checkout(prefix, root):
    with running_cluster_of_one(prefix, root) as (_, address):
        program = [root / 'checkout/checkout', address]
        expect('the first time', 'order 1: created\nann has 8750\n',
               run(*program, '1', 'ann', '1250'))
        expect('the same again', 'order 1: created, as before\nann has 8750\n',
               run(*program, '1', 'ann', '1250'))
        too_much = subprocess.run([str(part) for part in [*program, '2', 'ann', '99999']],
                                  capture_output=True, text=True)
        expect('more than there is', (1, 'order 2: insufficient_funds\nann has 8750\n'),
               (too_much.returncode, too_much.stdout))
        outcome = run(prefix / 'bin/holdfast', 'outcome', '--key', 'order-1', '--endpoints',
                      address)
        expect('the outcome', 'committed', outcome.split('\n')[0])


def what_the_proof_finds(prefix, root):
    """That it proves what is so, and nothing else."""
    programs = root / 'exactly_once'

    def prove(address, patience):
        done = subprocess.run([programs / 'prove', address, '1', '20', patience],
                              capture_output=True, text=True)
        return done.returncode, (done.stdout + done.stderr).split('\n')[0]

    with running_cluster_of_one(prefix, root / 'proof') as (_, address):
        run(programs / 'producer', address, 1, 20, 1000, root / 'progress', 'queue')
        expect('messages that nobody takes', (1, 'wrong: the queue is not empty: 20 left'),
               prove(address, '1'))
        with running(programs / 'consumer', address, '--with', 'execute'):
            expect('once each', (0, '20 messages, each paid once, 9210 in all; the queue is empty'),
                   prove(address, '20'))
        run(prefix / 'bin/holdfast', 'ledger', 'create-transfer', '--id', 'p1-3@twice', '--from',
            'payer-3', '--to', 'shop', '--amount', 1, '--endpoints', address)
        expect('one twice', (1, 'wrong: p1-3 was paid 2 times'), prove(address, '1'))


def exactly_once(prefix, root, mode):
    """Ten seconds of what examples/README.md says of a minute."""
    said = run(source / 'examples/exactly_once/run.sh', *mode, '--programs', root / 'exactly_once',
               '--holdfast', prefix / 'bin/holdfast', '--port', free_ports(30), '--seconds', '10')
    print(said, end='')
    expect('the proof', '1000 messages, each paid once',
           said.splitlines()[-1].split(', 4')[0])


with tempfile.TemporaryDirectory(prefix='holdfast-install-') as folder:
    root = pathlib.Path(folder)
    prefix = root / 'prefix'
    run(cmake, '--install', build, '--prefix', prefix)
    expect('holdfast version', 0, subprocess.run([prefix / 'bin/holdfast', 'version'],
                                                 capture_output=True).returncode)
    build_example('checkout', prefix, root)
    checkout(prefix, root)
    build_example('exactly_once', prefix, root)
    (root / 'proof').mkdir()
    what_the_proof_finds(prefix, root)
    for mode in (['--with', 'execute'], ['--dedup', 'local']):
        exactly_once(prefix, root, mode)
    for example in (laptops, shop):
        example.test(prefix, root)
print('installed, built, paid once, ordered once, sold out')
