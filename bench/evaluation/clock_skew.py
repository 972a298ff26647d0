"""Clocks that are apart: what that does to the order of events, what correcting them gains, and what
it costs to keep the nodes' own clocks together."""
import draw
import figures
import pages
import run as running

NAME = 'clock-skew'
NUMBER = figures.number
KINDS = {'wrong_raw': 'raw', 'wrong_corrected': 'corrected', 'wrong_hybrid': 'hybrid'}
SAMPLE_MS = (20, 100, 500, 2_000, 10_000)  # clock.sample_interval_ms.
AHEAD_MS = 5_000  # The wall clock of one of three nodes.
# What the others' clocks are said to be kept to: little, so that what sampling adds can be seen.
OWN_ERROR_MS = 1
START_S = 4

SKEW_COLUMNS = {'skew_ms': NUMBER, 'drift_ppm': NUMBER, 'delay_ms': NUMBER, 'pairs': NUMBER,
                'wrong_raw': NUMBER, 'wrong_corrected': NUMBER, 'wrong_hybrid': NUMBER}
LOOK_COLUMNS = {'node': NUMBER, 'at_ms': NUMBER, 'status': str, 'off_us': NUMBER,
                'bound_us': NUMBER, 'round_trip_us': NUMBER, 'sent': NUMBER, 'received': NUMBER,
                'work_us': NUMBER}


def plan(run):
    return {'sample_ms': run.pick(SAMPLE_MS, (100, 2_000)), 'each_s': run.pick(30, 2),
            'skew_s': run.pick(60, 10)}


def seconds(run):
    p = plan(run)
    return p['skew_s'] + len(p['sample_ms']) * (p['each_s'] + START_S)


def measure(run):
    p = plan(run)
    looks = []
    for sample_ms in p['sample_ms']:
        rows = run.table(LOOK_COLUMNS, 'holdfast_bench', 'clocks', '--seconds', p['each_s'],
                         '--ahead', AHEAD_MS, f'--flag=--clock-sample-interval-ms={sample_ms}',
                         f'--flag=--clock-own-error-ms={OWN_ERROR_MS}',
                         seconds=p['each_s'] + START_S)
        looks += [{'sample_ms': sample_ms, **row} for row in rows]
    run.write('clock-skew-sampling', looks)


# --- From the figures

def by_interval(data):
    """Per sampling interval: how right the node with the wrong clock is, and what that costs a node."""
    rows = figures.read(data / 'clock-skew-sampling.csv', {'sample_ms': NUMBER, **LOOK_COLUMNS})
    for sample_ms in dict.fromkeys(row['sample_ms'] for row in rows):
        looks = [row for row in rows if row['sample_ms'] == sample_ms]
        wrong = [row for row in looks if row['node'] == max(look['node'] for look in looks)]
        known = [row for row in wrong if row['off_us'] is not None]
        costs = [cost(looks, node) for node in {row['node'] for row in looks}]
        yield {
            'sample_ms': sample_ms,
            'looks': len(wrong),
            'unsynchronised': len(wrong) - len(known),
            'off_us': figures.median(abs(row['off_us']) for row in known),
            'off_us_max': max((abs(row['off_us']) for row in known), default=None),
            'bound_us': figures.median(row['bound_us'] for row in known),
            'bound_us_max': max((row['bound_us'] for row in known), default=None),
            # Seen from outside an answer is as old as half of its round trip, give or take as much.
            'outside': sum(abs(row['off_us']) - row['round_trip_us'] / 2 > row['bound_us']
                           for row in known),
            'round_trip_us': figures.median(row['round_trip_us'] for row in known),
            'messages': sum(messages for messages, _ in costs) / len(costs),
            'work_us': sum(work for _, work in costs) / len(costs)}


def cost(looks, node):
    """Messages and microseconds a second."""
    mine = [row for row in looks if row['node'] == node]
    first, last = mine[0], mine[-1]
    took_s = max(last['at_ms'] - first['at_ms'], 1) / 1_000

    def grown(*names):
        return sum(last[name] - first[name] for name in names) / took_s
    return grown('sent', 'received'), grown('work_us')


def sampling_table(data):
    return pages.table(
        ['asked every, ms', 'looks', 'of them without the time', 'off by, median, us',
         'at most, us', 'bound, median, us', 'bound at most, us', 'off by more than the bound',
         'seen to within, us', 'messages a second, a node', 'CPU us a second, a node'],
        [[row['sample_ms'], row['looks'], row['unsynchronised'], row['off_us'], row['off_us_max'],
          row['bound_us'], row['bound_us_max'], row['outside'],
          None if row['round_trip_us'] is None else row['round_trip_us'] / 2, row['messages'],
          row['work_us']] for row in by_interval(data)])


def accuracy_plot(data):
    rows = list(by_interval(data))
    return draw.lines(
        'How right a node with a wrong clock is, by how often it asks the others',
        'clock.sample_interval_ms', 'us', [(name, [(row['sample_ms'], row[column]) for row in rows])
                                  for column, name in (('bound_us_max', 'bound, at most'),
                                                       ('bound_us', 'bound, median'),
                                                       ('off_us', 'off by, median'))],
        x_log=True, y_log=True, x_ticks=[row['sample_ms'] for row in rows])


def cost_plot(data):
    rows = list(by_interval(data))
    return draw.lines(
        'What that costs a node', 'clock.sample_interval_ms', 'a second',
        [(name, [(row['sample_ms'], row[column]) for row in rows])
         for column, name in (('messages', 'messages'), ('work_us', 'us of processor'))],
        x_log=True, y_log=True, x_ticks=[row['sample_ms'] for row in rows])


TABLES = {'sampling': sampling_table}
PLOTS = {'accuracy': accuracy_plot, 'cost': cost_plot}
