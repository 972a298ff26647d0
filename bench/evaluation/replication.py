"""What a read costs by its consistency, and what batching and the group commit gain."""
import draw
import figures
import pages
import payments

NAME = 'replication'
NUMBER = figures.number
READERS = (1, 64)
READ_LINES = 6  # Three consistencies, at the leader and at a follower.
MIXED_LINES = 1  # Reads and transfers: its name holds the same word, and it is left out.
PAYERS = (1, 16, 64, 256)
MODES = {'on': (), 'off': ('--entry-requests=1',)}

READ_COLUMNS = {'consistency': str, 'node': str, 'clients': NUMBER, 'per_second': NUMBER,
                'p50_us': NUMBER, 'p99_us': NUMBER, 'cpu_us': NUMBER, 'failed': NUMBER}
BATCHING_COLUMNS = {'batching': str, 'clients': NUMBER, 'per_second': NUMBER, 'p50_us': NUMBER,
                    'p99_us': NUMBER, 'cpu_us': NUMBER, 'entry_requests': NUMBER,
                    'sync_entries': NUMBER, 'sync_us': NUMBER, 'log_bytes': NUMBER,
                    'failed': NUMBER}
CALLER_COLUMNS = {'workload': str, 'clients': NUMBER, 'per_second': NUMBER, 'p50_us': NUMBER,
                  'p99_us': NUMBER, 'cpu_us': NUMBER, 'log_bytes': NUMBER, 'failed': NUMBER}


def plan(run):
    return {'each_s': run.pick(3, 1), 'readers': run.pick(READERS, (64,)),
            'payers': run.pick(PAYERS, (1, 64))}


def seconds(run):
    p = plan(run)
    return (payments.seconds_of(MIXED_LINES + READ_LINES * len(p['readers']), p['each_s']) +
            len(MODES) * payments.seconds_of(len(p['payers']), p['each_s']) +
            payments.seconds_of(2, p['each_s']))


def chosen(row, columns, **more):
    return {name: more[name] if name in more else row[name] for name in columns}


def measure(run):
    p = plan(run)
    reads = payments.bench(run, 'reads, ', clients=p['readers'], each_s=p['each_s'],
                           lines=MIXED_LINES + READ_LINES * len(p['readers']))
    run.write('replication-reads', [
        chosen(row, READ_COLUMNS, consistency=row['door'].split(', ')[0],
               node=row['door'].split(', ')[-1])
        for row in reads if row['workload'] == 'reads'])
    batching = []
    for mode, flags in MODES.items():
        rows = payments.bench(run, 'uniform singles, pipe', clients=p['payers'],
                              each_s=p['each_s'], lines=len(p['payers']), flags=flags)
        batching += [chosen(row, BATCHING_COLUMNS, batching=mode) for row in rows]
    run.write('replication-batching', batching)
    rows = payments.bench(run, 'uniform batches', clients=(1,), each_s=p['each_s'], lines=2)
    run.write('replication-callers', [chosen(row, CALLER_COLUMNS) for row in rows])


# --- From the figures

def reads_table(data):
    rows = figures.read(data / 'replication-reads.csv', READ_COLUMNS)
    return pages.table(['consistency', 'at', 'clients', 'reads a second', 'p50 us', 'p99 us',
                        'CPU us, all nodes', 'failed'],
                       [[row[name] for name in READ_COLUMNS] for row in rows])


def read_batching(data):
    return figures.read(data / 'replication-batching.csv', BATCHING_COLUMNS)


def batching_table(data):
    return pages.table(
        ['batching', 'clients', 'payments a second', 'p50 us', 'p99 us', 'CPU us, all nodes',
         'payments of an entry', 'entries of an fdatasync', 'payments of an fdatasync',
         'an fdatasync, us', 'log bytes a payment, one node', 'failed'],
        [[row[name] for name in ('batching', 'clients', 'per_second', 'p50_us', 'p99_us', 'cpu_us',
                                 'entry_requests', 'sync_entries')] +
         [row['entry_requests'] * row['sync_entries'], row['sync_us'], row['log_bytes'],
          row['failed']] for row in read_batching(data)])


def callers_table(data):
    rows = figures.read(data / 'replication-callers.csv', CALLER_COLUMNS)
    return pages.table(['payments in requests of 1,000', 'clients', 'payments a second',
                        'a request, p50 us', 'p99 us', 'CPU us a payment, all nodes',
                        'log bytes a request, one node', 'failed'],
                       [[row[name] for name in CALLER_COLUMNS] for row in rows])


def reads_plot(data):
    rows = figures.read(data / 'replication-reads.csv', READ_COLUMNS)
    return draw.bars('A read, median, by consistency', [
        (f'{row["consistency"]}, {row["node"]}, {row["clients"]:.0f} '
         f'client{"s" if row["clients"] > 1 else ""}', [(row['consistency'], row['p50_us'])])
        for row in sorted(rows, key=lambda row: row['clients'])], 'us')


def batching_plot(data, column, title, label, of=None):
    rows = read_batching(data)
    value = of or (lambda row: row[column])
    return draw.lines(title, 'clients', label,
                      [(f'batching {mode}', [(row['clients'], value(row)) for row in rows
                                             if row['batching'] == mode]) for mode in MODES],
                      x_log=True, y_log=True,
                      x_ticks=sorted({row['clients'] for row in rows}))


TABLES = {'reads': reads_table, 'batching': batching_table, 'callers': callers_table}
PLOTS = {
    'reads': reads_plot,
    'batching': lambda data: batching_plot(data, 'per_second', 'Payments a second',
                                           'payments a second'),
    'batching-latency': lambda data: batching_plot(data, 'p50_us', 'A payment, median', 'us'),
    'group-commit': lambda data: batching_plot(
        data, '', 'The group commit: payments that one fdatasync makes durable', 'payments',
        lambda row: row['entry_requests'] * row['sync_entries']),
}
