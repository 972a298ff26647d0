"""What the tests of an installed Holdfast share: running programs, ports, waiting."""
import contextlib
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.request

source, build, cmake = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=240)
    if done.returncode != 0:
        sys.exit(f'{" ".join(str(part) for part in command)}: {done.returncode}\n'
                 f'{done.stdout}{done.stderr}')
    return done.stdout


def free_port():
    return free_ports(1)


def free_ports(count):
    """The first of so many that are free, one after another."""
    return free_ports_with(count, [0])


def free_ports_with(count, offsets):
    """The first of so many that are free, one after another, also behind each of the offsets.

    None of those that the system gives to outgoing connections, if there are others: such a
    connection, or what is left of it for a minute after its end, may have the port of a node that
    is down, which then cannot start again.
    """
    outgoing = int(pathlib.Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split()[0])
    if outgoing < 15_000:  # Where they may have any, so may we.
        outgoing = 65_536
    for _ in range(10_000):
        first = random.randrange(10_000, outgoing - count - max(offsets))
        try:
            for port in (first + after + i for after in offsets for i in range(count)):
                with socket.socket() as listener:
                    listener.bind(('127.0.0.1', port))
            return first
        except OSError:
            pass
    sys.exit('no free ports')


def wait_until_ready(port, node):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and node.poll() is None:
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{port}/health', timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit('the installed node did not become healthy')


def expect(what, wanted, got):
    if wanted != got:
        sys.exit(f'{what}: expected {wanted!r}, got {got!r}')


def build_example(name, prefix, root):
    run(cmake, '-S', source / 'examples' / name, '-B', root / name, '-G', 'Ninja',
        f'-DCMAKE_PREFIX_PATH={prefix}')
    run(cmake, '--build', root / name)


@contextlib.contextmanager
def running(*command):
    """Ends it in the end."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextlib.contextmanager
def running_cluster_of_one(prefix, folder):
    """Its HTTP and its gRPC address."""
    http, grpc = free_port(), free_port()
    with running(prefix / 'bin/holdfast', 'serve', '--data', folder / 'data', '--http',
                 f'127.0.0.1:{http}', '--grpc', f'127.0.0.1:{grpc}') as node:
        wait_until_ready(http, node)
        yield f'127.0.0.1:{http}', f'127.0.0.1:{grpc}'
