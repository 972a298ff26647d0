#!/usr/bin/env python3
"""What is in the packages, and what they say of themselves. Installs nothing.

    contents_test.py BUILD CPACK VERSION
"""
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
from support import expect, run

build, cpack, version = sys.argv[1:]


def field(package, name):
    return run('dpkg-deb', '-f', package, name).strip()


def listed(package):
    """Path -> (mode, owner) of all that it brings."""
    lines = run('dpkg-deb', '-c', package).splitlines()
    return {line.split()[5].removeprefix('.'): (line.split()[0], line.split()[1]) for line in lines}


def node(package, folder):
    expect('name', 'holdfast', field(package, 'Package'))
    expect('version', version, field(package, 'Version'))
    depends = field(package, 'Depends')
    for wanted in ('adduser', 'init-system-helpers', 'libc6', 'libgrpc++1.51', 'libprotobuf32'):
        expect(f'depends on {wanted}', True, wanted in depends)
    # Debian 12 has no libraft that we could depend on.
    expect('depends on libraft', False, 'libraft' in depends)
    files = listed(package)
    for path in ('/usr/bin/holdfast', '/usr/lib/systemd/system/holdfast.service',
                 '/usr/share/holdfast/holdfast.toml', '/usr/share/man/man1/holdfast.1.gz',
                 '/usr/share/bash-completion/completions/holdfast',
                 '/usr/share/zsh/vendor-completions/_holdfast',
                 '/usr/share/fish/vendor_completions.d/holdfast.fish',
                 '/usr/share/doc/holdfast/copyright', '/usr/share/doc/holdfast/README.md',
                 '/usr/share/doc/holdfast/examples/holdfast.toml',
                 '/usr/share/doc/holdfast/examples/run_cluster.sh'):
        expect(f'brings {path}', True, path in files)
    for path, (mode, owner) in files.items():
        expect(f'{path} is in /usr', True, path == '/' or path.startswith('/usr/'))
        program = path.endswith(('/', '/bin/holdfast', '.sh'))
        expect(f'mode of {path}', 'rwxr-xr-x' if program else 'rw-r--r--', mode[1:])
        expect(f'owner of {path}', 'root/root', owner)

    control = folder / 'control'
    run('dpkg-deb', '-e', package, control)
    for script in ('postinst', 'prerm', 'postrm'):
        run('sh', '-n', control / script)
    expect('conffiles', False, (control / 'conffiles').exists())

    tree = folder / 'tree'
    run('dpkg-deb', '-x', package, tree)
    program = tree / 'usr/bin/holdfast'
    expect('sections for a debugger', False, '.debug_info' in run('readelf', '-SW', program))
    expect('version of the program', f'holdfast {version}\n', run(program, 'version'))
    for config in ('usr/share/holdfast/holdfast.toml',
                   'usr/share/doc/holdfast/examples/holdfast.toml'):
        run(program, 'config', '--check', tree / config)
    run('bash', '-n', tree / 'usr/share/bash-completion/completions/holdfast')
    run('bash', '-n', tree / 'usr/share/doc/holdfast/examples/run_cluster.sh')


def dev(package):
    expect('name', 'holdfast-dev', field(package, 'Package'))
    files = listed(package)
    for path in ('/usr/include/holdfast/src/client/client.h',
                 '/usr/include/holdfast/services/ledger/ledger.pb.h',
                 '/usr/lib/cmake/holdfast/holdfast-config.cmake',
                 '/usr/lib/holdfast/libholdfast_client.a',
                 '/usr/share/holdfast/proto/services/ledger/ledger.proto'):
        expect(f'brings {path}', True, path in files)


with tempfile.TemporaryDirectory(prefix='holdfast-package-') as name:
    folder = pathlib.Path(name)
    run(cpack, '-B', folder, '-D', 'CPACK_DEBIAN_COMPRESSION_TYPE=none', cwd=build)
    architecture = run('dpkg', '--print-architecture').strip()
    node(folder / f'holdfast_{version}_{architecture}.deb', folder)
    dev(folder / f'holdfast-dev_{version}_{architecture}.deb')
print('the packages are as they should be')
