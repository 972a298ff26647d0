#!/usr/bin/env bash
# Three nodes on this machine, to try things out: run_cluster.sh, and Ctrl-C ends them. Each is what a
# machine of its own would run (holdfast.toml, holdfast.service); the addresses are what differs.
#
#   run_cluster.sh [--nodes N] [--data FOLDER] [--offset NUMBER]
#
# Node N serves HTTP on 8000+N and gRPC on 9000+N, and its peers on 7000+N; --offset is added to all
# of them (where the installed node runs, it has 7001, 8001 and 9001). The program is $HOLDFAST, that
# of this checkout's build, or the installed one.
set -euo pipefail

die() { printf 'run_cluster.sh: %s\n' "$*" >&2; exit 1; }

nodes=3 data=data/run_cluster offset=0
while [ $# -gt 0 ]; do
  case $1 in
    --nodes) nodes=${2:-} ;;
    --data) data=${2:-} ;;
    --offset) offset=${2:-} ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit ;;
    *) die "unknown argument $1 (--help)" ;;
  esac
  [ $# -ge 2 ] || die "$1 needs a value"
  shift 2
done
[[ $nodes =~ ^[1-7]$ ]] || die "--nodes is a number from 1 to 7"
[[ $offset =~ ^[0-9]{1,5}$ ]] && [ $((10#$offset)) -le 56000 ] || die "--offset is a number up to 56000"
offset=$((10#$offset))
[ -n "$data" ] || die "--data is a folder"

build=$(dirname "$0")/../build/release/holdfast
program=${HOLDFAST:-$([ -x "$build" ] && echo "$build" || echo holdfast)}
command -v "$program" >/dev/null || die "found no program: install the package, or ./dev build holdfast"

members=""
for ((i = 1; i <= nodes; i++)); do
  members+="${members:+,}$i=127.0.0.1:$((7000 + offset + i))"
done
endpoint() { echo "127.0.0.1:$((9000 + offset + $1))"; }

pids=()
# Kills nobody who did not start here; each node hands over and finishes what it has begun.
stop() {
  trap '' INT TERM
  [ ${#pids[@]} = 0 ] || kill -TERM "${pids[@]}" 2>/dev/null || true
  wait
}
trap 'stop; echo; echo "stopped; the data stays in $data"; exit 0' INT TERM
trap stop EXIT

mkdir -p -m 700 "$data"
for ((i = 1; i <= nodes; i++)); do
  # A session of its own: Ctrl-C reaches this script alone.
  setsid "$program" serve --id "$i" --data "$data/$i" --members "$members" \
    --http "127.0.0.1:$((8000 + offset + i))" --grpc "$(endpoint "$i")" \
    >>"$data/$i.log" 2>&1 </dev/null &
  pids+=($!)
done

for ((i = 1; i <= nodes; i++)); do
  deadline=$((SECONDS + 30))
  until "$program" cluster ready --endpoints "$(endpoint "$i")" --timeout 1s >/dev/null 2>&1; do
    if ! kill -0 "${pids[i - 1]}" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      tail -n 3 "$data/$i.log" >&2
      die "node $i did not become ready; its log is $data/$i.log"
    fi
    sleep 0.1
  done
done

endpoints=$(for ((i = 1; i <= nodes; i++)); do endpoint "$i"; done | paste -sd ,)
cat <<TXT
Ready: $nodes nodes, data and logs in $data. In another terminal:

  curl localhost:$((8001 + offset))/payment -d '{"transaction_id":"t1","from_account":"alice","to_account":"bob","amount":100}'
  curl localhost:$((8000 + offset + nodes))/transactions
  $program status --endpoints $endpoints

Ctrl-C stops them.
TXT
# What ends by itself is worth a word; with one of three gone, the others go on.
for ((left = nodes; left > 0; left--)); do
  wait -n -p ended "${pids[@]}" || true
  for ((i = 1; i <= nodes; i++)); do
    [ "${pids[i - 1]:-}" = "$ended" ] || continue
    unset "pids[i - 1]"
    echo "node $i has ended; its log is $data/$i.log"
    break
  done
done
die "no node is left"
