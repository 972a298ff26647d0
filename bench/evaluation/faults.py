"""The fault tests as one table: real processes by ./dev chaos, whole clusters by ./dev sim."""
import re

import draw
import figures
import pages
import run as running

NAME = 'faults'
NUMBER = figures.number
SEED = 1
CHAOS_COLUMNS = {'fault': str, 'times': NUMBER, 'median_ms': NUMBER, 'longest_ms': NUMBER,
                 'writes': NUMBER, 'reads': NUMBER, 'violations': NUMBER}
SIM_COLUMNS = {'recipe': str, 'runs': NUMBER, 'entries': NUMBER, 'writes': NUMBER, 'reads': NUMBER,
               'elections': NUMBER, 'starts': NUMBER, 'violations': NUMBER}
PASSED = re.compile(r'^(\d+) runs passed: (\d+) entries, (\d+) writes and (\d+) reads checked, '
                    r'(\d+) elections, (\d+) starts', re.M)
FINISH_S = 20  # That ./dev chaos needs to found, to come level and to judge.


def recipes():
    return sorted(path.stem for path in (running.ROOT / 'sim' / 'recipes').glob('*.toml'))


def plan(run):
    return {'chaos_s': run.pick(210, 6), 'recipe_s': run.pick(4, 1)}


def seconds(run):
    p = plan(run)
    return p['chaos_s'] + FINISH_S + len(recipes()) * (p['recipe_s'] + 1)


def measure(run):
    p = plan(run)
    path = run.scratch / 'faults.csv'
    path.unlink(missing_ok=True)
    text, chaos = run.program('holdfast_chaos', '--each', '--minutes', p['chaos_s'] / 60, '--seed',
                              SEED, '--csv', path, seconds=p['chaos_s'] + FINISH_S,
                              ok=(0, 1, running.SKIPPED))
    if chaos == 1:
        run.say(text[-1_000:].strip())  # Where it is kept, to be looked at.
    if chaos == running.SKIPPED:
        run.say(f'left out: {text.strip().splitlines()[-1]}')
    elif rows := figures.read(path, CHAOS_COLUMNS):
        run.write('faults-processes', rows)
    found = []
    for recipe in recipes():
        text, code = run.program('holdfast_sim', '--recipe', recipe, '--seeds', 1_000_000,
                                 '--first', SEED, '--seconds', p['recipe_s'], '--quiet',
                                 seconds=p['recipe_s'] + 1, ok=(0, 1))
        found.append(simulated(recipe, text, code))
    run.write('faults-simulated', found)
    # Said once the figures are kept.
    if chaos == 1 or any(row['violations'] for row in found):
        raise running.Failed('there are violations: see the tables')


def simulated(recipe, text, code):
    match = PASSED.search(text)
    if code == 0 and not match:
        raise running.Failed(f'holdfast_sim --recipe {recipe}: says nothing known\n{text[-500:]}')
    numbers = list(map(int, match.groups())) if match else [None] * 6
    return dict(zip(SIM_COLUMNS, [recipe, *numbers, 0 if code == 0 else 1]))


# --- From the figures

def read_processes(data):
    return figures.read(data / 'faults-processes.csv', CHAOS_COLUMNS)


def processes_table(data):
    rows = read_processes(data)
    table = pages.table(['fault', 'times', 'no payment for, median, ms', 'longest, ms'],
                        [[row[name] for name in ('fault', 'times', 'median_ms', 'longest_ms')]
                         for row in rows])
    if not rows:
        return table
    whole = rows[0]  # What was judged is of the whole run, in every line.
    return (f'{table}\n\nIn that run {whole["writes"]:,.0f} answers to writes and '
            f'{whole["reads"]:,.0f} reads were compared with the model: '
            + ('**violations**.' if any(row['violations'] for row in rows) else 'no violations.'))


def simulated_table(data):
    rows = figures.read(data / 'faults-simulated.csv', SIM_COLUMNS)
    return pages.table(['recipe', 'runs', 'entries applied', 'writes checked', 'reads checked',
                        'elections', 'starts', 'violations'],
                       [[row[name] for name in SIM_COLUMNS] for row in rows])


def processes_plot(data):
    rows = read_processes(data)
    return draw.bars('No payment for so long around a fault', [
        (row['fault'], [('median', row['median_ms']), ('longest', row['longest_ms'])])
        for row in sorted(rows, key=lambda row: row['median_ms'] or 0)], 'ms')


TABLES = {'processes': processes_table, 'simulated': simulated_table}
PLOTS = {'processes': processes_plot}
