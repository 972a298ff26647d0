#!/usr/bin/env python3
"""What keeping the time costs, and what comes of it, over the sampling interval.

    python3 bench/clock.py [build/release/holdfast] [--seconds 5] [--intervals 20,100,1000,5000]

Starts three nodes on loopback for each interval, lets them run idle, and asks them: how far each
says that its time may be off (mean and worst, without the error that each machine's clock is given,
which is the same for all), how far two nodes' times are really apart, and how many messages and how
much time of the main loop that took.
"""
import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

OWN_ERROR_US = 1_000
NODES = 3


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def clock(port):
    """The reply, and this machine's clock before and after, in microseconds."""
    before = time.time_ns() // 1000
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/v1/clock', timeout=2) as reply:
        body = json.load(reply)
    return body, before, time.time_ns() // 1000


def until_synchronised(ports, seconds):
    deadline = time.monotonic() + seconds
    for port in ports:
        while True:
            try:
                if clock(port)[0]['status'] == 'synchronised':
                    break
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise SystemExit(f'the node at port {port} is not synchronised in time')
            time.sleep(0.05)


def measure(program, interval_ms, seconds):
    folder = tempfile.mkdtemp(prefix='holdfast-clock-')
    ports = free_ports(3 * NODES)
    members = ','.join(f'{i + 1}=127.0.0.1:{ports[3 * i]}' for i in range(NODES))
    nodes = []
    try:
        for i in range(NODES):
            nodes.append(subprocess.Popen(
                [program, 'serve', '--id', str(i + 1), '--data', f'{folder}/{i + 1}',
                 '--members', members, '--http', f'127.0.0.1:{ports[3 * i + 1]}',
                 '--grpc', f'127.0.0.1:{ports[3 * i + 2]}',
                 '--clock-sample-interval-ms', str(interval_ms),
                 '--clock-own-error-ms', str(OWN_ERROR_US // 1000)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        http = [ports[3 * i + 1] for i in range(NODES)]
        until_synchronised(http, 20)
        time.sleep(1)  # The first samples come in a row.
        begin = [clock(port)[0] for port in http]
        began = time.monotonic()
        bounds, apart = [], 0
        while time.monotonic() < began + seconds:
            for port in http:
                reply, before, after = clock(port)
                bounds.append(reply['error_us'] - OWN_ERROR_US)
                apart = max(apart, before - reply['now_us'], reply['now_us'] - after, 0)
            time.sleep(0.05)
        passed = time.monotonic() - began
        end = [clock(port)[0] for port in http]
        messages = sum(b['sent'] - a['sent'] for a, b in zip(begin, end)) / NODES / passed
        work_us = sum(b['work_us'] - a['work_us'] for a, b in zip(begin, end)) / NODES / passed
        return sum(bounds) / len(bounds), max(bounds), apart, messages, work_us
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.wait()
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', nargs='?', default='build/release/holdfast')
    parser.add_argument('--seconds', type=float, default=5)
    parser.add_argument('--intervals', default='20,100,1000,5000')
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    print('| interval | bound, mean | bound, worst | off, worst | messages sent, a node and second '
          '| main loop, a node and second |\n|---|---|---|---|---|---|', flush=True)
    for interval in options.intervals.split(','):
        mean, worst, apart, messages, work_us = measure(program, int(interval), options.seconds)
        print(f'| {interval} ms | {mean:.0f} us | {worst} us | {apart} us | {messages:.1f} '
              f'| {work_us:.0f} us |', flush=True)


if __name__ == '__main__':
    main()
