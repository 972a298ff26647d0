"""holdfast_bench and holdfast_failover_bench as the parts use them."""
import figures

NUMBER = figures.number
COLUMNS = {'workload': str, 'door': str, 'clients': NUMBER, 'per_second': NUMBER, 'p50_us': NUMBER,
           'p99_us': NUMBER, 'pause_ms': NUMBER, 'cpu_us': NUMBER, 'failed': NUMBER,
           'entry_requests': NUMBER, 'sync_entries': NUMBER, 'sync_us': NUMBER, 'log_bytes': NUMBER}
START_S = 4  # Of a cluster, with its accounts.


def seconds_of(lines, each_s):
    """That a run of so many lines takes; each has a second of warming up."""
    return START_S + lines * (each_s + 1)


def bench(run, only, *, clients, each_s, lines, nodes=3, flags=(), more=()):
    """The lines of `holdfast_bench payments` whose "workload, door" holds `only`."""
    arguments = ['payments', '--nodes', nodes, '--only', only, '--seconds', each_s,
                 '--clients', ','.join(map(str, clients))]
    arguments += [f'--flag={flag}' for flag in flags]
    return run.table(COLUMNS, 'holdfast_bench', *arguments, *more,
                     seconds=seconds_of(lines, each_s))


def failover_seconds(trials, before_s, after_s):
    return START_S + trials * (before_s + after_s + 0.5)


def failover(run, *, trials, before_s, after_s, freeze, attempt_ms=None, flags=(), timeline=None):
    """Of each trial the longest time without a payment, and the calls that failed."""
    arguments = ['--trials', trials, '--before', before_s, '--after', after_s]
    arguments += ['--freeze'] if freeze else []
    arguments += ['--attempt-ms', attempt_ms] if attempt_ms else []
    arguments += [f'--flag={flag}' for flag in flags]
    arguments += ['--timeline', timeline] if timeline else []
    rows = run.table({'trial': NUMBER, 'gap_ms': NUMBER, 'failed': NUMBER},
                     'holdfast_failover_bench', *arguments,
                     seconds=failover_seconds(trials, before_s, after_s))
    if any(row['gap_ms'] > after_s * 1_000 - 100 for row in rows):
        run.say(f'in a trial nobody paid for all of the {after_s} s that were watched: it took longer')
    return rows
