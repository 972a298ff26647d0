#!/usr/bin/env python3
"""The package in a fresh Debian 12 that has booted: installed, started, upgraded, removed, purged.

    life_test.py BUILD [--base FOLDER]

Root only. --base: a root made before by debootstrap, as support.py has it; else it is made, which
takes two minutes. All of it lies in a temporary folder, and has no network but its own loopback
while it runs.
"""
import argparse
import json
import os
import pathlib
import re
import tempfile

from support import Machine, chroot, copy, expect, make_base, run, say, until

PAY = ('curl', '-sS', '-m', '10', '-d')
CONFIG = '/etc/holdfast/holdfast.toml'
DATA = '/var/lib/holdfast'

arguments = argparse.ArgumentParser()
arguments.add_argument('build', type=pathlib.Path)
arguments.add_argument('--base', type=pathlib.Path)
arguments = arguments.parse_args()


def pay(machine, identifier, port=8001):
    body = json.dumps({'transaction_id': identifier, 'from_account': 'ann', 'to_account': 'bob',
                       'amount': 100})
    return json.loads(machine.run(*PAY, body, f'localhost:{port}/payment'))['outcome']


def balance(machine, port=8001):
    said = machine.run('curl', '-sS', '-m', '10', f'localhost:{port}/v1/ledger/accounts/bob')
    return json.loads(said)['balance']


def state(machine):
    return machine.call('systemctl', 'is-active', 'holdfast').strip()


def ready(machine):
    return '"is_ready":true' in machine.call('curl', '-s', '-m', '2', 'localhost:8001/health')


def main_pid(machine):
    return machine.run('systemctl', 'show', '-P', 'MainPID', 'holdfast').strip()


def stat(machine, path):
    return machine.run('stat', '-c', '%U:%G %a', path).strip()


def install(machine, *packages):
    return machine.run('apt-get', 'install', '-y', '--no-install-recommends', *packages)


def installed_and_started(machine):
    say('install: the node stands alone, on loopback')
    install(machine, '/deb/first.deb')
    until('the node', 60, lambda: ready(machine))
    expect('the unit', 'active', state(machine))
    expect('starts with the machine', 'enabled',
           machine.run('systemctl', 'is-enabled', 'holdfast').strip())
    expect('the data folder', 'holdfast:holdfast 700', stat(machine, DATA))
    expect('the configuration', 'root:root 644', stat(machine, CONFIG))
    pid = main_pid(machine)
    expect('its user', 'holdfast', machine.run('stat', '-c', '%U', f'/proc/{pid}').strip())
    listening = re.findall(r'LISTEN\s+\S+\s+\S+\s+(\S+):(\d+)', machine.run('ss', '-ltnH'))
    ports = {port: address for address, port in listening if port in ('7001', '8001', '9001')}
    for port, address in ports.items():
        expect(f'port {port}', True, address in ('127.0.0.1', '[::ffff:127.0.0.1]'))
    expect('ports', {'8001', '9001'}, set(ports) & {'8001', '9001'})
    expect('the unit as systemd reads it', '',
           machine.run('systemd-analyze', 'verify', '--man=no', 'holdfast.service').strip())
    say(machine.call('systemd-analyze', 'security', 'holdfast.service').strip().split('\n')[-1])
    expect('the first payment', 'created', pay(machine, 'p1'))


def killed(machine):
    say('killed: systemd starts it again, and what was paid is paid')
    pid = main_pid(machine)
    machine.run('kill', '-9', pid)
    until('another process', 60, lambda: main_pid(machine) not in (pid, '0') and ready(machine))
    expect('paid', 100, balance(machine))


def upgraded(machine):
    say('upgrade: restarted in an orderly way, configuration and data are what they were')
    machine.run('sh', '-c', f'echo "# mine" >>{CONFIG}')
    pid = main_pid(machine)
    install(machine, '/deb/second.deb')
    until('the node', 60, lambda: ready(machine))
    expect('another process', False, pid == main_pid(machine))
    log = machine.run('journalctl', '-u', 'holdfast', '--no-pager')
    expect('killed at the upgrade', False, 'SIGKILL' in log or 'timed out' in log)
    expect('the configuration', '# mine', machine.run('tail', '-n', '1', CONFIG).strip())
    expect('paid before', 100, balance(machine))
    expect('pays', 'created', pay(machine, 'p2'))
    expect('pays once', 'already_exists', pay(machine, 'p1'))

    say('upgrade of a node that was stopped: it stays so')
    machine.run('systemctl', 'stop', 'holdfast')
    install(machine, '--reinstall', '/deb/second.deb')
    expect('the unit', 'inactive', state(machine))
    machine.run('systemctl', 'start', 'holdfast')
    until('the node', 60, lambda: ready(machine))
    expect('paid', 200, balance(machine))


def cluster_of_three(machine):
    say('run_cluster.sh of the package: three nodes beside the installed one, ended by Ctrl-C')
    script = machine.popen('setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups',
                           '/usr/share/doc/holdfast/examples/run_cluster.sh', '--data', '/tmp/three',
                           '--offset', '10000')
    try:
        line = script.stdout.readline()
        expect('ready', 'Ready: 3 nodes', line.split(',')[0])
        expect('pays', 'created', pay(machine, 'three', 18001))
        until('the third node', 10, lambda: balance(machine, 18003) == 100)
        machine.run('pkill', '-INT', '-f', 'bash /usr/share/doc/holdfast/examples/run_cluster')
        said = script.communicate(timeout=30)[0]
        expect('its end', (0, True), (script.returncode, 'stopped' in said))
        expect('nodes left', '', machine.call('pgrep', '-f', 'serve --id').strip())
    finally:
        script.kill()


def removed(machine):
    say('remove: stopped; configuration and data stay, and are there when it is installed again')
    machine.run('apt-get', 'remove', '-y', 'holdfast')
    expect('the unit', 'inactive', state(machine))
    expect('the program', '', machine.call('which', 'holdfast').strip())
    expect('the configuration', 'root:root 644', stat(machine, CONFIG))
    install(machine, '/deb/second.deb')
    until('the node', 60, lambda: ready(machine))
    expect('paid', 200, balance(machine))


def purged(machine):
    say('purge: the configuration goes; the data stays, and it says so')
    said = machine.run('apt-get', 'purge', '-y', 'holdfast')
    expect('says where', True, f'the data of this node stays in {DATA}' in said)
    machine.run('test', '-e', '/etc/holdfast', fails=True)
    expect('the data folder', 'holdfast:holdfast 700', stat(machine, DATA))
    expect('what is left', DATA + '\n', machine.call(
        'find', '/etc', '/usr', '/var/lib', '-xdev', '-iname', '*holdfast*', '-not', '-path',
        '*/dpkg/*', '-not', '-path', '*/apt/*', '-not', '-path', f'{DATA}/*'))


def configured_first(machine):
    say('configured before it is installed: the node is what the file says, and founds nothing else')
    machine.run('rm', '-r', DATA)
    machine.run('mkdir', '/etc/holdfast')
    example = (machine.root / 'deb/holdfast.toml').read_text()
    mine = re.sub(r'10\.0\.0\.\d', '127.0.0.1', example.replace('id = 1', 'id = 2', 1))
    (machine.root / CONFIG[1:]).write_text(mine)
    install(machine, '/deb/first.deb')
    until('the node', 60, lambda: '"founding"' in machine.call('curl', '-s', 'localhost:8001/health'))
    expect('the configuration', mine, machine.run('cat', CONFIG))
    machine.run('systemctl', 'stop', 'holdfast')
    machine.run('systemctl', 'disable', 'holdfast')
    install(machine, '/deb/second.deb')
    expect('disabled, and stays so', 'disabled',
           machine.call('systemctl', 'is-enabled', 'holdfast').strip())


def twice_the_same(folder, first):
    say('the same sources make the same bytes')
    made = first.read_bytes()
    epoch = made[24:36].decode().strip()  # The time in the archive's first header.
    run('cpack', '-B', folder / 'again', cwd=arguments.build,
        env={**os.environ, 'SOURCE_DATE_EPOCH': epoch})
    expect('the same bytes', True, made == (folder / 'again' / first.name).read_bytes())


def live(machine):
    install(machine, 'procps')
    installed_and_started(machine)
    killed(machine)
    upgraded(machine)
    cluster_of_three(machine)
    removed(machine)
    purged(machine)
    configured_first(machine)


def main():
    first = next(pathlib.Path('build').glob('holdfast_*.deb'))
    with tempfile.TemporaryDirectory(prefix='holdfast-life-', dir='/var/tmp') as name:
        folder = pathlib.Path(name)
        twice_the_same(folder, first)
        later = run('dpkg-deb', '-f', first, 'Version').strip() + '+later'
        run('cpack', '-B', folder, '-D', f'CPACK_DEBIAN_PACKAGE_VERSION={later}', '-D',
            'CPACK_DEBIAN_COMPRESSION_TYPE=none', cwd=arguments.build)
        make_base(folder / 'base', arguments.base)
        root = copy(folder / 'base', folder / 'root')
        (root / 'deb').mkdir()
        run('cp', first, root / 'deb/first.deb')
        run('cp', next(folder.glob('holdfast_*.deb')), root / 'deb/second.deb')
        run('cp', 'deploy/holdfast.toml', root / 'deb')
        say('what it depends on, by apt')
        chroot(root, 'apt-get', 'update')
        chroot(root, 'apt-get', 'install', '-y', '--no-install-recommends', '--download-only',
               '/deb/first.deb', 'procps')
        with Machine(root) as machine:
            try:
                live(machine)
            except SystemExit:
                print(machine.call('systemctl', 'status', '--no-pager', 'holdfast'))
                print(machine.call('journalctl', '-n', '30', '--no-pager'))
                raise
    print('installed, started, killed, upgraded, removed, purged')


main()
