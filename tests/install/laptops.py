"""The laptop shop (examples/laptops): its servers killed under orders, every order there once."""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import time
import urllib.request

from support import build_example, expect, free_ports_with, run, source

HTTP_PORT_AFTER = 2000
PATIENCE = 30


class Servers:
    """Three of them, as processes of their own."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.port = free_ports_with(3, [0, 1000, 2000])
        self.processes = {}
        for number in range(3):
            self.start(number)

    def start(self, number):
        others = [str(part) for other in range(3) if other != number
                  for part in (other, 'localhost', self.port + other)]
        with open(self.folder / f'server-{number}.log', 'ab') as log:
            self.processes[number] = subprocess.Popen(
                [self.programs / 'server', str(self.port + number), str(number), '2', *others],
                cwd=self.folder, stdout=log, stderr=log)

    def kill(self, number):
        process = self.processes.pop(number)
        process.kill()
        process.wait()

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=20)

    def get(self, number, path):
        """As the server tells it, or None when it does not answer."""
        url = f'http://127.0.0.1:{self.port + number + HTTP_PORT_AFTER}{path}'
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return json.load(reply)
        except OSError:
            return None

    def get_soon(self, number, path):
        """The same of a server that runs: again until it answers."""
        def answered():
            told = self.get(number, path)
            return None if told is None else [told]
        return self.wait_for(path, answered)[0]

    def patience(self, number):
        """After how many ms without a leader it stands for election, as its process was told."""
        words = pathlib.Path(f'/proc/{self.processes[number].pid}/cmdline').read_text().split('\0')
        return int(words[words.index('--election-timeout-ms') + 1])

    def wait_for(self, what, question):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            answer = question()
            if answer:
                return answer
            time.sleep(0.02)
        logs = [(self.folder / f'server-{number}.log').read_text()[-2000:] for number in range(3)]
        raise SystemExit(f'laptops: {what}: not in {PATIENCE} s\n' + '\n'.join(logs))

    def leader(self, among):
        """Its number, as those that run agree."""
        def agreed():
            said = {(self.get(number, '/leader') or {}).get('leader', 0) for number in among}
            return said.pop() if len(said) == 1 else 0
        return self.wait_for('one primary', agreed) - 1

    def client(self, *arguments):
        return [str(part) for part in (self.programs / 'client', 'localhost', *arguments)]


def customer(number):
    return f'customer-{number:07}'


def orders_of(servers, asked, number):
    """The ids of all orders of a customer, in the order of placement."""
    ids, cursor = [], ''
    while True:
        page = servers.get_soon(asked, f'/v1/customers/{customer(number)}/orders?limit=1000'
                                       f'&consistency=linearizable&cursor={cursor}')
        ids += [order['id'] for order in page.get('orders', [])]
        cursor = page.get('next_cursor', '')
        if not cursor:
            return ids


def check_orders(servers, asked, runs):
    """runs: how many orders each of so many customers has made in each run."""
    customers = max(number for number, _ in runs)
    for number in range(customers):
        ids = orders_of(servers, asked, number)
        by_run = {}
        for order in ids:
            run_of, who, count = re.fullmatch(r'(.+)-(\d+)-(\d+)', order).groups()
            expect('whose order it is', str(number), who)
            by_run.setdefault(run_of, []).append(int(count))
        wanted = [list(range(each)) for of, each in runs if number < of]
        expect(f'the orders of {customer(number)}', wanted,
               [by_run[run_of] for run_of in sorted(by_run)])
        record = servers.get_soon(asked,
                                  f'/v1/customers/{customer(number)}?consistency=linearizable')
        expect('its record', (str(len(ids)), ids[-1]),
               (str(record['orders']), record['last_order']))


def kill_the_primary_under_orders(servers, runs):
    """Its number. Of more orders where they were all there before it could be killed."""
    for each in (1500, 6000, 24000):
        primary = servers.leader(range(3))
        if orders_with_a_kill(servers, runs, primary, each):
            return primary
    raise SystemExit('laptops: the orders were over each time before the primary was killed')


def orders_with_a_kill(servers, runs, primary, each):
    """8 customers make so many orders each. Whether the primary was killed meanwhile."""
    backup = (primary + 1) % 3
    others = ','.join(f'localhost:{servers.port + number}' for number in range(3))
    before = sum(each for _, each in runs)

    def is_under_way():
        record = servers.get(backup, f'/v1/customers/{customer(0)}?consistency=stale')
        return record is not None and int(record['orders']) >= before + 20

    runs.append((8, each))
    client = subprocess.Popen(servers.client(servers.port + primary, 8, each, 1, others),
                              stdout=subprocess.PIPE, text=True)
    servers.wait_for('orders under way', is_under_way)
    under_way = client.poll() is None
    if under_way:
        servers.kill(primary)
    said, _ = client.communicate(timeout=600)
    expect('the client', 0, client.returncode)
    expect('every order is answered', True, f'{8 * each} answered, 0 failed' in said)
    return under_way


def holds_the_same(servers, number, primary):
    theirs, ours = servers.get(primary, '/status'), servers.get(number, '/status')
    return (theirs and ours and ours['ready'] and theirs['applied'] == ours['applied'] and
            theirs['digest'] == ours['digest'])


def table(programs):
    """measure.sh, in short."""
    said = run(source / 'examples/laptops/measure.sh', '--programs', programs, '--customers',
               '2 100', '--requests', 200, '--port', free_ports_with(3, [0, 1000, 2000]))
    expect('the table', [['orders', '2'], ['orders', '100'], ['one record', '2'],
                         ['one record', '100'], ['100 records', '100']],
           [line[2:].split(' | ')[:2] for line in said.splitlines() if line.endswith(' % |')])


def test(prefix, root):
    build_example('laptops', prefix, root)
    folder = root / 'laptops-run'
    folder.mkdir()
    usage = subprocess.run([root / 'laptops/server', '8080', '0', '2', '1', 'localhost'],
                           capture_output=True)
    expect('a server whose peers are not all there', 64, usage.returncode)
    table(root / 'laptops')
    servers = Servers(root / 'laptops', folder)
    with contextlib.ExitStack() as ending:
        ending.callback(servers.stop)
        servers.leader(range(3))  # Most often 0: it is the first to stand for election.
        expect('the preferred primary', True,
               servers.patience(0) < min(servers.patience(1), servers.patience(2)))
        runs = [(5, 10)]
        said = run(*servers.client(servers.port, 5, 10, 1))
        for line in (r'orders      50 answered, 0 failed, ',
                     r'latency us  average \d+, min \d+, max \d+, p50 \d+, p99 \d+\n',
                     r'throughput  \d+ a second'):
            expect(line, True, re.search(line, said) is not None)
        check_orders(servers, 2, runs)

        killed = kill_the_primary_under_orders(servers, runs)
        ordered = sum(each for _, each in runs)  # By each of the first customers.
        last = runs[-1][1] - 1
        left = [number for number in range(3) if number != killed]
        check_orders(servers, left[0], runs)
        dead = subprocess.run(servers.client(servers.port + killed, 1, 1, 2),
                              capture_output=True, text=True)
        expect('the given server is down', (1, True),
               (dead.returncode, 'Name another one as well' in dead.stderr))

        # It comes back, gets what it has missed, and holds the same.
        servers.start(killed)
        primary = servers.leader(range(3))
        servers.wait_for('the same state', lambda: holds_the_same(servers, killed, primary))
        record = servers.get_soon(killed, f'/v1/customers/{customer(0)}?consistency=stale')
        expect('its own record of a customer', str(ordered), str(record['orders']))

        # A backup is killed, and reads go on: one record, and many.
        backup = next(number for number in left if number != primary)
        servers.kill(backup)
        said = run(*servers.client(servers.port + killed, 1, 1, 2))
        expect('one record', True, re.search(
            rf'{customer(0)}  {ordered} orders, last \S+-0-{last}\n', said) is not None)
        said = run(*servers.client(servers.port + killed, 1, 100, 3))
        expect('many records', [customer(number) for number in range(8)],
               re.findall(r'^(customer-\d+)  \d+ orders', said, re.M))
        for asked in (100, 1500):  # Of 1,500, the second page is empty.
            said = run(*servers.client(servers.port + killed, 1, asked, 3))
            expect('fewer than asked for', [('0', '8')],
                   re.findall(r' (\d+) failed.*^rows +(\d+) of ' + str(asked), said, re.M | re.S))
        said = run(*servers.client(servers.port + killed, 20, 5, 1))
        runs.append((20, 5))
        check_orders(servers, killed, runs)

        # It comes back with an empty folder, and gets everything.
        shutil.rmtree(folder / 'laptops-data' / str(backup))
        servers.start(backup)
        servers.wait_for('all of the state',
                         lambda: holds_the_same(servers, backup, servers.leader([killed])))
        record = servers.get_soon(backup, f'/v1/customers/{customer(0)}?consistency=stale')
        expect('its own record of a customer', str(ordered + 5), str(record['orders']))
    expect('all stop in order', [0, 0, 0],
           [process.returncode for process in servers.processes.values()])
