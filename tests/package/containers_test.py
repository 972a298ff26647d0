#!/usr/bin/env python3
"""The image and compose.yaml, with podman: in a fresh Debian 12, so that the machine is not changed.

    containers_test.py [--base FOLDER] [--from-sources]

Root only. The image is made of build/holdfast_*.deb and of the fresh root itself, for its usual base
comes from a registry; with --from-sources the first stage compiles everything, as it does for who
has only the sources. It is built with the network of this machine, and run without: in namespaces
of its own, which end with it and with all that it has mounted and started. What is not tested:
docker itself, and that somebody restarts or asks after the health of a container by himself.
"""
import argparse
import pathlib
import shutil
import tempfile

from support import ENVIRONMENT, chroot, copy, make_base, run, say

arguments = argparse.ArgumentParser()
arguments.add_argument('--base', type=pathlib.Path)
arguments.add_argument('--from-sources', action='store_true')
arguments = arguments.parse_args()

# Some machines have no cgroups to give away. $ROOT becomes the root of a mount namespace.
INSIDE = '''
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs sysfs "$ROOT/sys"
mount -t cgroup2 none "$ROOT/sys/fs/cgroup"
mount --rbind /dev "$ROOT/dev"
mount --bind . "$ROOT/src"
cd "$ROOT"
pivot_root . old
exec chroot . bash -c 'umount -l /old; exec bash /containers.sh "$@"' bash "$@"
'''


def inside(root, what, *more, network):
    namespaces = ['--mount', '--pid', *([] if network else ['--net'])]
    return run('unshare', *namespaces, '--fork', '--kill-child', 'bash', '-c', INSIDE, 'bash', what,
               *more, timeout=3600, env={**ENVIRONMENT, 'ROOT': str(root)})


def base_image(base, root):
    """As Debian's own slim images: without what is only needed to install more."""
    run('tar', '-C', base, '--exclude=./var/lib/apt/lists/*', '--exclude=./var/cache/apt/*',
        '--exclude=./usr/share/doc/*', '--exclude=./usr/share/man/*',
        '--exclude=./usr/share/locale/*', '-cf', root / 'base.tar', '.')


def main():
    package = next(pathlib.Path('build').glob('holdfast_*.deb'))
    with tempfile.TemporaryDirectory(prefix='holdfast-containers-', dir='/var/tmp') as name:
        folder = pathlib.Path(name)
        make_base(folder / 'base', arguments.base)
        root = copy(folder / 'base', folder / 'root')
        for made in ('src', 'old', 'etc/containers'):
            (root / made).mkdir(exist_ok=True)
        base_image(folder / 'base', root)
        shutil.copy('tests/package/containers.sh', root)
        say('podman and its friends, by apt')
        chroot(root, 'apt-get', 'update')
        chroot(root, 'apt-get', 'install', '-y', '--no-install-recommends', 'buildah', 'podman',
               'crun', 'netavark', 'aardvark-dns', 'catatonit', 'iptables', 'iproute2', 'curl',
               'docker-compose', 'podman-compose')
        (root / 'etc/containers/containers.conf').write_text(
            '[containers]\ncgroups="disabled"\n[network]\nnetwork_backend="netavark"\n'
            '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\n')
        say('the image')
        print(inside(root, 'build', '' if arguments.from_sources else package, network=True), end='')
        say('compose.yaml: three nodes, a payment, one killed, all started anew')
        print(inside(root, 'up', network=False), end='')
    print('built, run as a cluster of three, one killed, ended, started anew')


main()
