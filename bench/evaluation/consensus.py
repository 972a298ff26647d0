"""Consensus under load, and its two settings: how soon a silent leader is replaced, and how often
one that is only slow."""
import os

import draw
import figures
import pages
import payments

NAME = 'consensus'
NUMBER = figures.number
PAYERS = (1, 16, 64, 256, 1_000, 2_000)
DOORS = ('pipe', 'gRPC', 'HTTP')
ATTEMPT_MS = 100  # Little, so that what is seen is the election and not the clients' patience.
# The default, others on both sides of it, and one timeout with a short heartbeat and a long one.
SETTINGS = ((50, 10), (100, 10), (100, 33), (200, 40), (400, 80), (1_600, 320))
HOGS = 16  # A processor: with fewer of them even the shortest timeout is hardly ever missed.

LOAD_COLUMNS = {'door': str, 'clients': NUMBER, 'per_second': NUMBER, 'p50_us': NUMBER,
                'p99_us': NUMBER, 'pause_ms': NUMBER, 'cpu_us': NUMBER, 'entry_requests': NUMBER,
                'failed': NUMBER}
SETTING = {'election_timeout_ms': NUMBER, 'heartbeat_ms': NUMBER}
NOISE_COLUMNS = {'hogs': NUMBER, 'seconds': NUMBER, 'elections': NUMBER, 'leader_changes': NUMBER,
                 'payments': NUMBER, 'longest_gap_ms': NUMBER}


def plan(run):
    return {'each_s': run.pick(3, 1), 'payers': run.pick(PAYERS, (1, 64, 2_000)),
            'settings': run.pick(SETTINGS, SETTINGS[::4]), 'trials': run.pick(4, 1),
            'noise_s': run.pick(60, 3)}


def after_s(election_timeout_ms):
    """An election takes up to twice the timeout, and now and then a second one is needed."""
    return max(2, round(election_timeout_ms * 3 / 1_000 + 0.5))


def seconds(run):
    p = plan(run)
    return (payments.seconds_of(len(DOORS) * len(p['payers']), p['each_s']) +
            sum(payments.failover_seconds(p['trials'], 1, after_s(timeout)) +
                payments.START_S + p['noise_s'] for timeout, _ in p['settings']))


def flags_of(timeout, heartbeat):
    return [f'--election-timeout-ms={timeout}', f'--heartbeat-ms={heartbeat}']


def measure(run):
    p = plan(run)
    rows = payments.bench(run, 'uniform singles', clients=p['payers'], each_s=p['each_s'],
                          lines=len(DOORS) * len(p['payers']))
    run.write('consensus-load', [{name: row[name] for name in LOAD_COLUMNS} for row in rows])
    gaps = []
    for timeout, heartbeat in p['settings']:
        found = payments.failover(run, trials=p['trials'], before_s=1, after_s=after_s(timeout),
                                  freeze=True, attempt_ms=ATTEMPT_MS, flags=flags_of(timeout, heartbeat))
        gaps += [{'election_timeout_ms': timeout, 'heartbeat_ms': heartbeat, **row}
                 for row in found]
    run.write('consensus-failover', gaps)
    noise = []
    for timeout, heartbeat in p['settings']:
        rows = run.table(NOISE_COLUMNS, 'holdfast_failover_bench', '--noise',
                         HOGS * (os.cpu_count() or 1), '--seconds', p['noise_s'],
                         *[f'--flag={flag}' for flag in flags_of(timeout, heartbeat)],
                         seconds=payments.START_S + p['noise_s'])
        noise += [{'election_timeout_ms': timeout, 'heartbeat_ms': heartbeat, **row}
                  for row in rows]
    run.write('consensus-noise', noise)


# --- From the figures

def read_load(data):
    return figures.read(data / 'consensus-load.csv', LOAD_COLUMNS)


def load_table(data):
    return pages.table(['through', 'payers', 'payments a second', 'p50 us', 'p99 us',
                        'longest pause, ms', 'CPU us, all nodes', 'payments of an entry', 'failed'],
                       [[row[name] for name in LOAD_COLUMNS] for row in read_load(data)])


def read_settings(data):
    gaps = figures.read(data / 'consensus-failover.csv', {**SETTING, 'gap_ms': NUMBER})
    noise = figures.read(data / 'consensus-noise.csv', {**SETTING, **NOISE_COLUMNS})
    for row in noise:
        setting = (row['election_timeout_ms'], row['heartbeat_ms'])
        ms = [gap['gap_ms'] for gap in gaps
              if (gap['election_timeout_ms'], gap['heartbeat_ms']) == setting]
        yield setting, ms, row


def settings_table(data):
    return pages.table(
        ['election timeout, ms', 'heartbeat, ms', 'trials', 'no payment for, shortest, ms',
         'median', 'longest', 'busy threads', 'seconds', 'false elections',
         'longest time without a payment, ms', 'payments a second'],
        [[*setting, len(ms), min(ms, default=None), figures.median(ms), max(ms, default=None),
          row['hogs'], row['seconds'], row['elections'], row['longest_gap_ms'],
          row['payments'] / row['seconds'] if row['seconds'] else None]
         for setting, ms, row in read_settings(data)])


def load_plot(data, column, title, label):
    rows = read_load(data)
    return draw.lines(title, 'concurrent payers', label,
                      [(door, [(row['clients'], row[column]) for row in rows if row['door'] == door])
                       for door in DOORS],
                      x_log=True, y_log=True, x_ticks=sorted({row['clients'] for row in rows}))


def settings_plot(data):
    return draw.bars('Election timeout / heartbeat: the price of either side', [
        (f'{timeout:.0f} ms / {heartbeat:.0f} ms',
         [('no payment when the leader falls silent, median, ms', figures.median(ms)),
          ('no payment at most beside busy processors, ms', row['longest_gap_ms'])])
        for (timeout, heartbeat), ms, row in read_settings(data)], 'ms')


def elections_plot(data):
    return draw.bars('False elections a minute beside busy processors, by timeout / heartbeat', [
        (f'{timeout:.0f} ms / {heartbeat:.0f} ms',
         [('elections', row['elections'] * 60 / row['seconds'] if row['seconds'] else None)])
        for (timeout, heartbeat), _, row in read_settings(data)])


TABLES = {'load': load_table, 'settings': settings_table}
PLOTS = {
    'throughput': lambda data: load_plot(data, 'per_second', 'Payments a second by concurrent payers',
                                         'payments a second'),
    'latency': lambda data: load_plot(data, 'p99_us', 'A payment, 99 of 100, by concurrent payers',
                                      'us'),
    'settings': settings_plot,
    'elections': elections_plot,
}
