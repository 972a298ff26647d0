#!/bin/bash
# The checkout of checkout.cc as one transaction of PostgreSQL 15: a primary and two streaming
# standbys, one of which must have it on disk (synchronous_standby_names = 'ANY 1 (s1,s2)').
#
# PEERS is the folder of the peers' scripts, whose lib.sh says how a peer is installed, run and
# measured, and what SECS, QUIET, RETRY and PRIO are. CLIENTS="1 16 64 256" overrides the load.
. "${PEERS:?the folder of the scripts of the peers}/lib.sh"
need postgresql-15 postgresql-client-15
PGBIN=/usr/lib/postgresql/15/bin
D=$ROOT/pg-checkout
PORT=15442
CLIENTS=${CLIENTS:-1 16 64 256}
WARM=2  # Seconds before SECS that are not counted.
as_pg() { (cd "$D" && runuser -u postgres -- "$@"); }
sql() { as_pg psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$PORT" -d postgres "$@"; }

conf() { cat <<C
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = '$D'
max_connections = 400
shared_buffers = 1GB
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = replica
max_wal_senders = 8
max_wal_size = 8GB
checkpoint_timeout = 30min
autovacuum = on
hot_standby = on
C
}
start_pg() { # DIR PORT
  ( cd "$D" && exec runuser -u postgres -- "$PGBIN/postgres" -D "$D/$1" > "$D/$1.log" 2>&1 < /dev/null ) &
  wait_port "$2" || { tail -5 "$D/$1.log" >&2; exit 1; }
  local i
  for i in $(seq 100); do as_pg "$PGBIN/pg_isready" -q -h 127.0.0.1 -p "$2" && break; sleep 0.1; done
  PIDS+=("$(head -1 "$D/$1/postmaster.pid")")
}
stop_pg() { # Newest first; by the pids of those that were started here.
  local i p k
  for ((i=${#PIDS[@]}-1;i>=0;i--)); do
    p=${PIDS[$i]}; kill -INT "$p" 2>/dev/null
    for k in $(seq 150); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
    kill -0 "$p" 2>/dev/null && kill -QUIT "$p"
  done
  PIDS=()
}
trap stop_pg EXIT

schema() { sql <<'Q'
create table products(sku bigint primary key, price bigint not null, on_hand bigint not null,
                      reserved bigint not null, check (reserved <= on_hand)) with (fillfactor = 50);
create table accounts(id bigint primary key, balance bigint not null) with (fillfactor = 50);
create table orders(id uuid primary key, customer bigint not null, total bigint not null,
                    state text not null, placed timestamptz not null);
create table order_lines(order_id uuid, sku bigint not null, quantity int not null, price bigint not null,
                         primary key (order_id, sku));
create table payments(id uuid primary key, debit_account bigint not null, credit_account bigint not null,
                      amount bigint not null, ts timestamptz not null);
create table outbox(seq bigint generated always as identity primary key, message_id uuid not null unique,
                    queue text not null, payload text not null);
insert into products select i, 500, 1000000000, 0 from generate_series(1, 1000) i;
-- Customers are 1 to 10,000; product p is sold by merchant 1,000,000 + p.
insert into accounts select i, 1000000000000 from generate_series(1, 10000) i;
insert into accounts select 1000000 + i, 0 from generate_series(1, 1000) i;

-- 1: done, 0: this order was done before, an error: refused, and nothing kept. Locks are taken in
-- one order: the product, its merchant, the customer.
create function checkout(o uuid, c bigint, s bigint, q int, agreed bigint) returns int language plpgsql as $$
declare p bigint;
begin
  insert into orders values (o, c, agreed, 'paid', clock_timestamp()) on conflict do nothing;
  if not found then return 0; end if;
  update products set reserved = reserved + q where sku = s and on_hand - reserved >= q
    returning price into p;
  if not found then raise exception 'insufficient stock'; end if;
  if p * q <> agreed then raise exception 'total differs'; end if;
  insert into order_lines values (o, s, q, p);
  update accounts set balance = balance + agreed where id = 1000000 + s;
  if not found then raise exception 'no such account'; end if;
  update accounts set balance = balance - agreed where id = c and balance >= agreed;
  if not found then raise exception 'insufficient funds'; end if;
  insert into payments values (o, c, 1000000 + s, agreed, clock_timestamp());
  insert into outbox (message_id, queue, payload) values (o, 'parcels', o::text);
  return 1;
end $$;
Q
}
scripts() {
  local n
  for n in 1000 1; do cat > "$D/checkout_$n.sql" <<Q
\set c random(1, 10000)
\set s random(1, $n)
select checkout(gen_random_uuid(), :c, :s, 1, 500);
Q
  done
}

prio_backends() { # Each backend makes a session of its own, so PRIO has to be set on each.
  local pm c
  for pm in "${PIDS[@]}"; do for c in $(ps --ppid "$pm" -o pid=); do
    echo "$PRIO" > "/proc/$c/autogroup"; done; done 2>/dev/null
}
# One transaction a line: its end in seconds, and how long it took in us. The first WARM seconds,
# in which every backend prepares its plans and fills its caches, do not count, nor does what ends
# after SECS more.
counted() { # LOGS...
  awk -v warm="$WARM" -v secs="$SECS" '
    $3 !~ /^[0-9]+$/ { next }  # "failed"
    { at = $5 + $6 / 1e6; begun = at - $3 / 1e6
      end[++n] = at; us[n] = $3; if (!first || begun < first) first = begun }
    END { for (i = 1; i <= n; i++) if (end[i] > first + warm && end[i] <= first + warm + secs) print us[i] }' "$@"
}
pgb() { # SCRIPT CLIENTS: prints ops p50 p99
  local pre=$D/log.$RANDOM out
  ( sleep 0.4; prio_backends ) &
  out=$(as_pg "$PGBIN/pgbench" -n -h 127.0.0.1 -p $PORT -M prepared -c "$2" -j $(( $2 > 1 ? 2 : 1 )) -T $((WARM + SECS)) \
        -l --log-prefix="$pre" -f "$D/$1" postgres 2>&1)
  grep -q 'number of failed transactions: 0 ' <<<"$out" || log "failures: $(grep -i fail <<<"$out")"
  counted "$pre".* | sort -n | awk -v secs="$SECS" '
    {v[NR]=$1} END {printf "%.0f %d %d\n", NR / secs, v[int((NR-1)*.5)+1], v[int((NR-1)*.99)+1]}'
  rm -f "$pre".*
}

head_line
fresh pg-checkout; chown postgres "$D"; chmod 755 "$ROOT" "$D"; scripts; chmod 644 "$D"/*.sql
as_pg "$PGBIN/initdb" -D "$D/p" -A trust -U postgres --no-sync > "$D/initdb.log" || exit 1
conf $PORT >> "$D/p/postgresql.conf"
echo "host replication all 127.0.0.1/32 trust" >> "$D/p/pg_hba.conf"
start_pg p $PORT
schema
for s in 1 2; do
  as_pg "$PGBIN/pg_basebackup" -h 127.0.0.1 -p $PORT -D "$D/s$s" -R -X stream --checkpoint=fast || exit 1
  conf $((PORT+s)) >> "$D/s$s/postgresql.conf"
  echo "primary_conninfo = 'host=127.0.0.1 port=$PORT user=postgres application_name=s$s'" >> "$D/s$s/postgresql.auto.conf"
  start_pg "s$s" $((PORT+s))
done
sql -c "alter system set synchronous_standby_names = 'ANY 1 (s1,s2)'" -c "select pg_reload_conf()" > /dev/null
sleep 1
log "standbys: $(sql -c "select string_agg(application_name||'='||sync_state, ' ' order by 1) from pg_stat_replication")"
sql -c "vacuum analyze" -c checkpoint
log "load average before: $(cut -d' ' -f1-3 /proc/loadavg)"
for c in $CLIENTS; do measure pg-repl checkout_uniform "$c" pgb checkout_1000.sql "$c"; done
measure pg-repl checkout_one_product 64 pgb checkout_1.sql 64
agree=$(sql -c "select (select sum(reserved) from products) = (select count(*) from outbox)
  and (select sum(balance) from accounts where id > 1000000) = 500 * (select count(*) from orders)
  and (select sum(amount) from payments) = 500 * (select sum(quantity) from order_lines)")
log "$(sql -c 'select count(*) from orders') orders; stock, money and messages agree: $agree"
stop_pg
rm -rf "$D"
[ "$agree" = t ] || { echo "stock, money and messages do not agree" >&2; exit 1; }
