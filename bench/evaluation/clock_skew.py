"""Clocks that are apart: what that does to the order of events, what correcting them gains, and what
it costs to keep the nodes' own clocks together."""
import draw
import figures
import pages

NAME = 'clock-skew'
NUMBER = figures.number
KINDS = {'wrong_raw': 'raw', 'wrong_corrected': 'corrected', 'wrong_hybrid': 'hybrid'}
# Of the simulated sources: one of each varies, and the others stay at these.
DELAY_MS, SKEW_MS, DRIFT_PPM = 20, 1_000, 100
SKEWS_MS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
DELAYS_MS = (1, 5, 20, 100)
DRIFTS_PPM = (0, 100, 400)
BATCHES_MS = (20, 100, 500, 2_000, 10_000)  # Between two appends of a source.
SAMPLE_MS = (20, 100, 500, 2_000, 10_000)  # clock.sample_interval_ms.
AHEAD_MS = 5_000  # The wall clock of one of three nodes.
# What the others' clocks are said to be kept to: little, so that what sampling adds can be seen.
OWN_ERROR_MS = 1
START_S = 4

SKEW_COLUMNS = {'skew_ms': NUMBER, 'drift_ppm': NUMBER, 'delay_ms': NUMBER, 'pairs': NUMBER,
                'wrong_raw': NUMBER, 'wrong_corrected': NUMBER, 'wrong_hybrid': NUMBER,
                'certain': NUMBER, 'wrong_certain': NUMBER, 'mean_error_us': NUMBER,
                'max_error_us': NUMBER, 'mean_bound_us': NUMBER, 'violated': NUMBER}
LOOK_COLUMNS = {'node': NUMBER, 'at_ms': NUMBER, 'status': str, 'off_us': NUMBER,
                'bound_us': NUMBER, 'round_trip_us': NUMBER, 'sent': NUMBER, 'received': NUMBER,
                'work_us': NUMBER}


def plan(run):
    return {'sample_ms': run.pick(SAMPLE_MS, (100, 2_000)), 'each_s': run.pick(30, 2),
            'events': run.pick(20_000, 2_000), 'skew_s': run.pick(30, 5)}


def seconds(run):
    p = plan(run)
    return p['skew_s'] + len(p['sample_ms']) * (p['each_s'] + START_S)


def skews(run, seconds, *arguments):
    text, _ = run.program('holdfast_journal_skew', '--events', plan(run)['events'], *arguments,
                          seconds=seconds)
    path = run.scratch / 'skew.csv'
    path.write_text(text)
    return figures.read(path, SKEW_COLUMNS)


def measure(run):
    p = plan(run)
    each_s = p['skew_s'] / (2 + len(BATCHES_MS))
    run.write('clock-skew-ordering', skews(
        run, each_s, '--skew-ms', ','.join(map(str, SKEWS_MS)), '--delay-ms', DELAY_MS,
        '--drift-ppm', DRIFT_PPM))
    run.write('clock-skew-correction', skews(
        run, each_s, '--skew-ms', SKEW_MS, '--delay-ms', ','.join(map(str, DELAYS_MS)),
        '--drift-ppm', ','.join(map(str, DRIFTS_PPM))))
    run.write('clock-skew-exchange', [
        {'batch_ms': batch_ms, **row} for batch_ms in BATCHES_MS
        for row in skews(run, each_s, '--skew-ms', SKEW_MS, '--delay-ms', DELAY_MS, '--drift-ppm',
                         DRIFT_PPM, '--batch-ms', batch_ms)])
    looks = []
    for sample_ms in p['sample_ms']:
        rows = run.table(LOOK_COLUMNS, 'holdfast_bench', 'clocks', '--seconds', p['each_s'],
                         '--ahead', AHEAD_MS, f'--flag=--clock-sample-interval-ms={sample_ms}',
                         f'--flag=--clock-own-error-ms={OWN_ERROR_MS}',
                         seconds=p['each_s'] + START_S)
        looks += [{'sample_ms': sample_ms, **row} for row in rows]
    run.write('clock-skew-sampling', looks)


# --- From the figures

def percent(row, column, of='pairs'):
    return 100 * row[column] / row[of] if row[of] else None


def ordering_table(data):
    rows = figures.read(data / 'clock-skew-ordering.csv', SKEW_COLUMNS)
    return pages.table(
        ['clocks apart by up to, ms, either way', 'pairs',
         *[f'{name}: in the wrong order, %' for name in KINDS.values()]],
        [[row['skew_ms'], row['pairs'], *[percent(row, column) for column in KINDS]]
         for row in rows])


def ordering_plot(data):
    rows = figures.read(data / 'clock-skew-ordering.csv', SKEW_COLUMNS)
    return draw.lines('Pairs in the wrong order, by how far the clocks are apart', 'skew, ms', '%',
                      [(name, [(row['skew_ms'], percent(row, column)) for row in rows])
                       for column, name in KINDS.items()], x_log=True)


def correction_columns(row):
    return [row['mean_error_us'], row['max_error_us'], row['mean_bound_us'], row['violated'],
            percent(row, 'certain'), row['wrong_certain']]


CORRECTION_HEADS = ['off by, mean, us', 'at most, us', 'bound, mean, us', 'off by more than it',
                    'pairs apart by more than the bounds, %', 'of them in the wrong order']


def correction_table(data):
    rows = figures.read(data / 'clock-skew-correction.csv', SKEW_COLUMNS)
    return pages.table(['drift, ppm', 'delay, ms', *CORRECTION_HEADS],
                       [[row['drift_ppm'], row['delay_ms'], *correction_columns(row)]
                        for row in rows])


def error_series(rows, x):
    return [(name, [(row[x], row[column]) for row in rows])
            for column, name in (('mean_bound_us', 'bound, mean'), ('max_error_us', 'off by at most'),
                                 ('mean_error_us', 'off by, mean'))]


def correction_plot(data):
    rows = [row for row in figures.read(data / 'clock-skew-correction.csv', SKEW_COLUMNS)
            if row['drift_ppm'] == DRIFT_PPM]
    return draw.lines('By how much a corrected time is off', 'delay of the network, ms', 'us',
                      error_series(rows, 'delay_ms'), x_log=True, y_log=True,
                      x_ticks=[row['delay_ms'] for row in rows])


def read_exchange(data):
    return figures.read(data / 'clock-skew-exchange.csv', {'batch_ms': NUMBER, **SKEW_COLUMNS})


def exchange_table(data):
    return pages.table(
        ['appends every, ms', 'messages a second, a source', 'corrected: in the wrong order, %',
         'hybrid: in the wrong order, %', *CORRECTION_HEADS],
        [[row['batch_ms'], 2_000 / row['batch_ms'] if row['batch_ms'] else None,
          percent(row, 'wrong_corrected'), percent(row, 'wrong_hybrid'), *correction_columns(row)]
         for row in read_exchange(data)])


def exchange_plot(data):
    rows = read_exchange(data)
    return draw.lines('By how much a corrected time is off, by how often a source appends',
                      'ms between two appends', 'us', error_series(rows, 'batch_ms'), x_log=True,
                      y_log=True, x_ticks=[row['batch_ms'] for row in rows])


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


TABLES = {'ordering': ordering_table, 'correction': correction_table,
          'exchange': exchange_table, 'sampling': sampling_table}
PLOTS = {'ordering': ordering_plot, 'correction': correction_plot, 'exchange': exchange_plot,
         'accuracy': accuracy_plot, 'cost': cost_plot}
