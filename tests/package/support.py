"""A fresh Debian 12 in a folder, and ways to run things in it: with its network (`chroot`), or as a
machine that has booted, with a network of its own that reaches nobody (`Machine`).
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

ENVIRONMENT = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
               'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive', 'HOME': '/root'}


def say(*what):
    print('--', *what, flush=True)


def expect(what, wanted, got):
    if wanted != got:
        sys.exit(f'{what}: expected {wanted!r}, got {got!r}')


def run(*command, timeout=600, fails=False, **more):
    """What it says. It must succeed, or fail where that is wanted."""
    command = [str(part) for part in command]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, timeout=timeout, **more)
    if (done.returncode != 0) != fails:
        sys.exit(f'{" ".join(command)}: {done.returncode}\n{done.stdout[-6000:]}')
    return done.stdout


def until(what, seconds, true):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            sys.exit(f'{what}: not within {seconds} s')
        time.sleep(0.1)


def chroot(root, *command, **more):
    return run('chroot', root, *command, env=ENVIRONMENT, **more)


def mirror():
    """Where this machine gets Debian 12 from, as ./dev derives it."""
    lines = run('./dev', 'mirror').split('\n')
    return next(line.split()[1] for line in lines if line.startswith('URIs:'))


def make_base(folder, given):
    """The fresh root; `given` saves the two minutes of debootstrap when it is one."""
    if given:
        run('cp', '-a', given, folder)
        return
    say('a fresh Debian 12 (debootstrap)')
    uri = mirror()
    run('debootstrap', '--variant=minbase', '--include=systemd,dbus,curl,ca-certificates,iproute2',
        'bookworm', folder, uri, timeout=1200)


def copy(base, folder):
    run('cp', '-a', base, folder)
    for name in ('hosts', 'resolv.conf'):
        shutil.copy(f'/etc/{name}', folder / 'etc' / name)
    for name in pathlib.Path('/etc/apt/apt.conf.d').glob('*'):  # Proxies and the like.
        if not (folder / 'etc/apt/apt.conf.d' / name.name).exists():
            shutil.copy(name, folder / 'etc/apt/apt.conf.d')
    return folder


class Machine:
    """A root that has booted. It ends with the `with`, whatever happens; its mounts are its own and
    end with it."""

    def __init__(self, root):
        self.root = root

    def __enter__(self):
        self.nspawn = subprocess.Popen(
            ['systemd-nspawn', '-q', '-D', str(self.root), '--register=no', '--keep-unit',
             '--private-network', '--console=pipe', '-b'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until('systemd in the container', 30, self._find_leader)
            until('its boot', 90, lambda: self.call('systemctl', 'is-system-running').strip()
                  in ('running', 'degraded'))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Its first process is killed last, and with it all others of the container.
        for pid in (getattr(self, 'leader', None), self.nspawn.pid):
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(pid, 9)
        self.nspawn.wait(timeout=30)

    def _find_leader(self):
        if self.nspawn.poll() is not None:
            sys.exit('systemd-nspawn cannot boot a container on this machine')
        waiting = [self.nspawn.pid]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
                waiting += [int(child) for child in children]
                if pathlib.Path(f'/proc/{pid}/comm').read_text().strip() == 'systemd':
                    self.leader = pid
                    return True
        return False

    def _enter(self, command):
        return ['nsenter', '-t', str(self.leader), '-a', *(str(part) for part in command)]

    def call(self, *command):
        """What it says, however it ends."""
        return subprocess.run(self._enter(command), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120,
                              env=ENVIRONMENT).stdout

    def run(self, *command, **more):
        return run(*self._enter(command), env=ENVIRONMENT, **more)

    def popen(self, *command):
        return subprocess.Popen(self._enter(command), env=ENVIRONMENT, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
