#!/usr/bin/env python3
"""Rules of the house that a compiler does not know. Prints each breach as file:line and fails.

A line may be excused by a comment that says why:  // tidy: allow RULE, reason
"""
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True
import bounds

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Who may include whom (ARCHITECTURE.md): folder -> folders of src/ below it.
LAYERS = {
    'src/base': [],
    'src/clock': ['base'],
    'src/metrics': ['base'],
    'src/money': ['base'],
    'src/store': ['base'],
    'src/wal': ['base', 'metrics'],
    'src/state_machine': ['base', 'clock', 'store'],
    'src/raft': ['base', 'clock', 'wal'],
    'src/node': ['base', 'clock', 'metrics', 'store', 'state_machine', 'wal', 'raft'],
    'src/api': ['base', 'metrics', 'state_machine', 'store', 'node'],
    'src/server': ['base', 'clock', 'metrics', 'store', 'state_machine', 'wal', 'raft', 'node', 'api'],
    'src/client': ['base', 'node', 'api'],  # And messages of services/cache and services/sessions.
    'src/cli': ['base', 'metrics', 'store', 'state_machine', 'node', 'api', 'server', 'client'],
    'services': ['base', 'money', 'store', 'state_machine'],
}
INCLUDE = re.compile(r'#include "src/(\w+)/')

# In what apply can reach: nothing that differs from node to node.
APPLY = ['services/', 'src/money/', 'src/state_machine/', 'src/store/']
NOT_APPLY = ['_test.cc', 'model', '/cli/', '/testing', 'testing.h', 'src/store/rocksdb/']
BANNED_IN_APPLY = {
    'clock': re.compile(r'system_clock|steady_clock|high_resolution_clock|gettimeofday|absl::Now|\btime\(nullptr\)'),
    'chance': re.compile(r'random_device|\bstd::rand\b|\brand\(\)|mt19937'),
    'floating point': re.compile(r'\b(float|double)\b'),
    'threads': re.compile(r'std::this_thread|std::thread\b'),
    'transport, consensus or disk': re.compile(r'#include [<"](raft\.h|grpc|rocksdb/|boost/|uv\.h)'),
}
# Iteration over a hash table has an order of its own on every node: not in services at all.
UNORDERED = re.compile(r'unordered_(map|set)|flat_hash_(map|set)')

# It counts what is erased and not yet written, which a node's own checkpoints decide.
READS_ONLY = re.compile(r'\.ScanWithin\(')

SLEEP = re.compile(r'sleep_for|usleep\(|\bsleep\(')
LEFT_FOR_LATER = re.compile(r'\b(TODO|FIXME|HACK)\b')
NEEDS_GUARD = re.compile(r'^#pragma once$', re.M)


def tracked():
    names = subprocess.run(['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
                           cwd=ROOT, check=True, capture_output=True, text=True).stdout.split('\n')
    return [n for n in names if n.endswith(('.h', '.cc')) and (ROOT / n).exists()]


def layer_of(name):
    return next((layer for layer in LAYERS if name.startswith(layer + '/')), None)


def breaches(name):
    text = (ROOT / name).read_text()
    lines = text.split('\n')
    in_apply = any(name.startswith(p) for p in APPLY) and not any(p in name for p in NOT_APPLY)
    layer = layer_of(name)
    if name.endswith('.h') and name != 'cmake/pch.h' and not NEEDS_GUARD.search(text):
        yield 1, 'header without #pragma once'
    for number, line in enumerate(lines, 1):
        if 'tidy: allow' in line or (number > 1 and 'tidy: allow' in lines[number - 2]):
            continue
        code = line.split('//')[0]
        if LEFT_FOR_LATER.search(line):
            yield number, 'left for later: finish it, or say so in an issue'
        if in_apply:
            for what, pattern in BANNED_IN_APPLY.items():
                if pattern.search(code):
                    yield number, f'{what} where apply can reach it'
            if READS_ONLY.search(code) and not name.endswith('/reads.cc'):
                yield number, 'ScanWithin where apply can reach it: its steps differ from node to node'
            if name.startswith('services/') and UNORDERED.search(code):
                yield number, 'a container without an order in a service'
        if name.endswith('_test.cc') and SLEEP.search(code):
            yield number, 'a test that sleeps instead of waiting for an event'
        include = INCLUDE.search(line)
        if include and layer and not name.endswith('_test.cc') and '/testing' not in name \
                and '/cli/' not in name:
            target = include.group(1)
            own = layer.split('/')[-1]
            if target != own and target not in LAYERS[layer]:
                yield number, f'{layer} must not know src/{target}'


def unregistered_tests():
    """A test file that no CMake component globs would never run."""
    roots = ('src/', 'services/', 'tests/', 'sim/')
    for name in tracked():
        if name.endswith('_test.cc') and not name.startswith(roots):
            yield name, 1, 'a test outside the folders whose tests are built'


def main():
    found = [(name, line, what) for name in tracked() for line, what in breaches(name)]
    found += unregistered_tests()
    found += [('docs/bounds.md', line, what) for line, what in bounds.breaches()]
    for name, line, what in found:
        print(f'{name}:{line}: {what}')
    print(f'{len(found)} breaches of the house rules' if found else 'house rules kept')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
