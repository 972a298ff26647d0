"""The shop (examples/shop), as a program and with curl: sold out while a node is killed."""
import subprocess

from support import build_example, expect, free_ports, run, running_cluster_of_one, source

FOLDER = source / 'examples/shop'


def says(shop, *arguments):
    """What it ends with and what it says."""
    done = subprocess.run([str(part) for part in (*shop, *arguments)], capture_output=True,
                          text=True, timeout=240)
    return done.returncode, done.stdout


def commands(prefix, shop, bank):
    """The same of both: what is asked for, what is answered, and when the books do not agree."""
    for _ in range(2):  # The second time it is the same delivery.
        expect('goods', (0, 'cup: 2 on the shelf, 500 each\n'),
               says(shop, 'stock', 'cup', 500, 2, 'd1'))
    expect('too few', (1, 'o1: insufficient_stock\n'), says(shop, 'buy', 'o1', 'ann', 'cup', 3))
    for _ in range(2):  # One delivery after the other.
        expect('more goods', (0, 'cup: 4 on the shelf, 500 each\n'),
               says(shop, 'stock', 'cup', 500, 4))
    expect('products', (0, 'cup: 10 left, 500 each\n'), says(shop, 'products'))
    for _ in range(2):  # The second time it is the same sale.
        expect('an order', (0, 'o1: sold\n'), says(shop, 'buy', 'o1', 'ann', 'cup', 3))
    expect('more than there is', (1, 'o2: insufficient_stock\n'),
           says(shop, 'buy', 'o2', 'ann', 'cup', 8))
    expect('what is not there', 1, says(shop, 'buy', 'o3', 'ann', 'pot', 1)[0])
    expect('an order', (0, 'o1: paid, 1500 by ann\n'), says(shop, 'status', 'o1'))
    expect('no order', 1, says(shop, 'status', 'o2')[0])
    expect('products', (0, 'cup: 7 left, 500 each\n'), says(shop, 'products'))
    expect('a sale', (0, 'cup: 7 sold to 3 buyers, none is left\n'), says(shop, 'sale', 'cup', 3))
    books = ('cup: 10 received, 10 sold, 0 left\n'
             'goods for 5000, 5000 spent, {} in the till; 8 orders, 8 parcels: {}\n')
    expect('the books', (0, books.format(5000, 'they agree')), says(shop, 'audit'))
    run(prefix / 'bin/holdfast', 'ledger', 'create-transfer', '--id', 'theft', '--from', 'till',
        '--to', 'ann', '--amount', 1, '--endpoints', bank)
    expect('the books after a theft', (1, books.format(4999, 'THEY DO NOT AGREE')),
           says(shop, 'audit'))
    expect('no command', 64, says(shop, 'steal', 'cup')[0])


def sell_out(prefix, how, pieces):
    """How many, and what was said. More where they were sold before a node could be killed."""
    for most in (pieces, 4 * pieces, 16 * pieces):
        try:
            return most, run(FOLDER / 'run.sh', *how, '--pieces', most, '--holdfast',
                             prefix / 'bin/holdfast', '--port', free_ports(9))
        except SystemExit as failure:
            if most == 16 * pieces or 'the sale was over before' not in str(failure):
                raise


def test(prefix, root):
    build_example('shop', prefix, root)
    for kind in ('program', 'curl'):
        folder = root / f'shop-{kind}'
        folder.mkdir()
        with running_cluster_of_one(prefix, folder) as (http, grpc):
            shop = [root / 'shop/shop', grpc] if kind == 'program' else [FOLDER / 'shop.sh', http]
            commands(prefix, shop, grpc)
    for how, pieces in ((['--programs', root / 'shop'], 20000), (['--curl'], 400)):
        pieces, said = sell_out(prefix, how, pieces)
        print(said, end='')
        expect('sold', [f'cup: {pieces} sold to 200 buyers, none is left',
                        f'cup: {pieces} received, {pieces} sold, 0 left'],
               said.splitlines()[-3:-1])
