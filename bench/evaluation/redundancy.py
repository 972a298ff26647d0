"""One, three and five nodes: what the redundancy costs; and what clients see of a failover."""
import draw
import figures
import pages
import payments

NAME = 'redundancy'
NUMBER = figures.number
NODES = (1, 3, 5)
CLIENTS = (1, 64)
# How the leader goes: what holdfast_failover_bench is told, and how long it is watched.
ATTEMPT_MS = 300
ENDS = {'is killed': ({'freeze': False}, 3), 'stands still': ({'freeze': True}, 5),
        f'stands still, attempts of {ATTEMPT_MS} ms': ({'freeze': True, 'attempt_ms': ATTEMPT_MS}, 3)}
# A checkpoint every few seconds, so that what is paid is in the store when its files are counted.
CHECKPOINT = '--checkpoint-interval-ms=5000'
STORED_S = 8  # Until the last checkpoint and compaction are through.
KEPT_MS = (-1_000, 4_500)  # Of a timeline.

NODE_COLUMNS = {'nodes': NUMBER, 'clients': NUMBER, 'per_second': NUMBER, 'p50_us': NUMBER,
                'p99_us': NUMBER, 'cpu_us': NUMBER, 'failed': NUMBER}
DISK_COLUMNS = {'requests': NUMBER, 'log_written_bytes': NUMBER, 'log_disk_bytes': NUMBER,
                'store_disk_bytes': NUMBER}
TIMELINE_COLUMNS = {'trial': NUMBER, 'at_ms': NUMBER, 'answers': NUMBER, 'p50_ms': NUMBER,
                    'max_ms': NUMBER}


def plan(run):
    return {'each_s': run.pick(6, 1), 'trials': run.pick(5, 1), 'before_s': run.pick(2, 1),
            'less_s': run.pick(0, 1)}


def seconds(run):
    p = plan(run)
    return (len(NODES) * (payments.seconds_of(len(CLIENTS), p['each_s']) + STORED_S) +
            sum(payments.failover_seconds(p['trials'], p['before_s'], after_s - p['less_s'])
                for _, after_s in ENDS.values()))


def measure(run):
    p = plan(run)
    lines, disks = [], []
    for nodes in NODES:
        disk = run.scratch / 'disk.csv'
        rows = payments.bench(run, 'uniform singles, pipe', clients=CLIENTS, each_s=p['each_s'],
                              lines=len(CLIENTS), nodes=nodes, flags=[CHECKPOINT],
                              more=['--disk-csv', disk])
        lines += [{'nodes': nodes, **{name: row[name] for name in NODE_COLUMNS if name != 'nodes'}}
                  for row in rows]
        disks += [{'nodes': nodes, **row} for row in figures.read(disk, DISK_COLUMNS)]
    run.write('redundancy-nodes', lines)
    run.write('redundancy-disk', disks)
    gaps, timeline = [], []
    for end, (how, after_s) in ENDS.items():
        path = run.scratch / 'timeline.csv'
        found = payments.failover(run, trials=p['trials'], before_s=p['before_s'],
                                  after_s=after_s - p['less_s'], timeline=path, **how)
        gaps += [{'end': end, **row} for row in found]
        timeline += [{'end': end, **row} for row in figures.read(path, TIMELINE_COLUMNS)
                     if KEPT_MS[0] <= row['at_ms'] < KEPT_MS[1]]
    run.write('redundancy-failover', gaps)
    run.write('redundancy-timeline', timeline)


# --- From the figures

def nodes_table(data):
    rows = figures.read(data / 'redundancy-nodes.csv', NODE_COLUMNS)
    return pages.table(
        ['nodes', 'clients', 'payments a second', 'p50 us', 'p99 us', 'CPU us, all nodes', 'failed'],
        [[row[name] for name in NODE_COLUMNS] for row in rows])


def by_nodes(data):
    """Per number of nodes: bytes of all nodes for one payment, of the log and of the store."""
    rows = figures.read(data / 'redundancy-disk.csv', {'nodes': NUMBER, **DISK_COLUMNS})
    for nodes in dict.fromkeys(row['nodes'] for row in rows):
        of_these = [row for row in rows if row['nodes'] == nodes]
        payments_made = max(row['requests'] for row in of_these)
        if payments_made > 0:
            yield (nodes, payments_made,
                   sum(row['log_written_bytes'] for row in of_these) / payments_made,
                   sum(row['store_disk_bytes'] for row in of_these) / payments_made,
                   sum(row['log_disk_bytes'] for row in of_these) / (1 << 20))


def disk_table(data):
    return pages.table(
        ['nodes', 'payments', 'written to the log, bytes a payment, all nodes',
         'in the store, bytes a payment, all nodes', 'log files, MiB, all nodes'],
        by_nodes(data))


def read_gaps(data):
    return figures.read(data / 'redundancy-failover.csv',
                        {'end': str, 'trial': NUMBER, 'gap_ms': NUMBER, 'failed': NUMBER})


def read_timeline(data):
    return figures.read(data / 'redundancy-timeline.csv', {'end': str, **TIMELINE_COLUMNS})


def failover_table(data):
    gaps, timeline = read_gaps(data), read_timeline(data)
    rows = []
    for end in ENDS:
        ms = [row['gap_ms'] for row in gaps if row['end'] == end]
        if not ms:
            continue
        mine = [row for row in timeline if row['end'] == end]

        in_the_second_before = [row['answers'] for row in mine if row['at_ms'] < 0]
        slowest = [max((row['max_ms'] for row in mine
                        if row['trial'] == trial and row['max_ms'] is not None), default=0)
                   for trial in sorted({row['trial'] for row in mine})]
        before = [row['p50_ms'] for row in mine if row['at_ms'] < 0 and row['p50_ms'] is not None]
        rows.append([end, len(ms), min(ms), figures.median(ms), max(ms), figures.median(before),
                     figures.median(slowest),
                     100 * sum(in_the_second_before) / max(len(in_the_second_before), 1),
                     sum(row['failed'] for row in gaps if row['end'] == end)])
    return pages.table(
        ['the leader', 'trials', 'no payment for, shortest, ms', 'median', 'longest',
         'answer before, p50, ms', 'slowest answer, median of the trials, ms',
         'payments a second in the second before', 'calls failed'], rows)


def timeline_plot(data, column, title, label, **how):
    """Of the trial whose gap is the median one, or next to it."""
    gaps, timeline = read_gaps(data), read_timeline(data)
    series = []
    for end in ENDS:
        trials = sorted((row['gap_ms'], row['trial']) for row in gaps if row['end'] == end)
        if not trials:
            continue
        trial = trials[(len(trials) - 1) // 2][1]
        series.append((end,
                       [(row['at_ms'], row[column]) for row in timeline
                        if row['end'] == end and row['trial'] == trial]))
    return draw.lines(title, 'ms after the leader went', label, series, marks=[(0, 'the leader goes')],
                      dots=False, **how)


def nodes_plot(data, column, title, unit):
    rows = figures.read(data / 'redundancy-nodes.csv', NODE_COLUMNS)
    return draw.bars(title, [
        (f'{row["nodes"]:.0f} node{"s" if row["nodes"] > 1 else ""}, {row["clients"]:.0f} '
         f'client{"s" if row["clients"] > 1 else ""}',
         [(f'{row["clients"]:.0f} client{"s" if row["clients"] > 1 else ""}', row[column])])
        for row in sorted(rows, key=lambda row: (row['clients'], row['nodes']))], unit)


def disk_plot(data):
    return draw.bars('Bytes of all nodes together for one payment', [
        (f'{nodes:.0f} node{"s" if nodes > 1 else ""}', [('written to the log', log),
                                                       ('in the store', store)])
        for nodes, _, log, store, _ in by_nodes(data)])


TABLES = {'nodes': nodes_table, 'disk': disk_table, 'failover': failover_table}
PLOTS = {
    'throughput': lambda data: nodes_plot(data, 'per_second', 'Payments a second', ''),
    'latency': lambda data: nodes_plot(data, 'p50_us', 'A payment, median', 'us'),
    'disk': disk_plot,
    'answers': lambda data: timeline_plot(data, 'answers', 'A failover: answers of each 10 ms',
                                          'answers'),
    'responses': lambda data: timeline_plot(
        data, 'max_ms', 'A failover: the slowest answer of each 10 ms', 'ms', y_log=True, gaps=True),
}
