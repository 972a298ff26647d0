#!/usr/bin/env bash
# Producers and consumers of payments, killed at random, and the proof that every message was paid
# once. Without --endpoints it starts three nodes of its own, and kills these at random, too.
#
#   run.sh --programs DIR [--endpoints HOST:PORT,...]
#          [--with execute | --dedup local]   how consumers pay once; default: execute
#          [--seconds 60]                     how long there is sending and killing
#          [--seed 1]                         whom it kills when follows from this
#          [--holdfast PROGRAM]               default: holdfast
#          [--port 17700]                     its nodes take this one and some of the next 30
#
# DIR holds producer, consumer and prove. The queue and the accounts must be new: a cluster that
# --endpoints names serves for one run. Ends with 0 if it is proven.
set -euo pipefail

readonly PRODUCERS=2 CONSUMERS=3 NODES=3 PER_SECOND=50
programs="" endpoints="" mode="--with execute" seconds=60 seed=1 holdfast=holdfast port=17700
while [ $# -gt 0 ]; do
  case "$1 ${2:-}" in
    "--with execute" | "--dedup local") mode="$1 $2" ;;
    "--programs "?*) programs=$2 ;;
    "--endpoints "?*) endpoints=$2 ;;
    "--seconds "?*) seconds=$2 ;;
    "--seed "?*) seed=$2 ;;
    "--holdfast "?*) holdfast=$2 ;;
    "--port "?*) port=$2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
  shift 2
done
[ -x "$programs/consumer" ] || { echo "run.sh: --programs: no consumer in '$programs'" >&2; exit 64; }

folder=$(mktemp -d)
RANDOM=$seed
count=$((PER_SECOND * seconds / 10 * 10))
declare -A pid=() kills=([producer]=0 [consumer]=0 [node]=0)

say() { printf '%s\n' "$*"; }
fail() { say "run.sh: $*; logs in $folder" >&2; exit 1; }

# start KIND NUMBER: a producer, a consumer or a node, in the background.
start() {
  local members="" i
  case $1 in
    producer)
      local knows=queue
      [ "$mode" = "--dedup local" ] && knows=consumer
      set -- "$1" "$2" "$programs/producer" "$endpoints" "$2" "$count" $PER_SECOND \
        "$folder/progress-$2" $knows ;;
    consumer)
      # shellcheck disable=SC2086  # Two words.
      if [ "$mode" = "--dedup local" ]; then
        set -- "$1" "$2" "$programs/consumer" "$endpoints" $mode "$folder/processed.db"
      else
        set -- "$1" "$2" "$programs/consumer" "$endpoints" $mode
      fi ;;
    node)
      for ((i = 1; i <= NODES; i++)); do members+="${members:+,}$i=127.0.0.1:$((port + i))"; done
      set -- "$1" "$2" "$holdfast" serve --id "$2" --data "$folder/node-$2" --members "$members" \
        --http "127.0.0.1:$((port + 10 + $2))" --grpc "127.0.0.1:$((port + 20 + $2))" ;;
  esac
  "${@:3}" >>"$folder/$1-$2.log" 2>&1 </dev/null &
  pid[$1-$2]=$!
}

# ended NAME: whether it has ended by itself, and then its exit status, in `status`.
ended() {
  kill -0 "${pid[$1]}" 2>/dev/null && return 1
  status=0
  wait "${pid[$1]}" || status=$?
}

# As a machine that loses its power: nothing of it is cleaned up.
kill_one() {
  kill -KILL "${pid[$1-$2]}" 2>/dev/null || return 0
  wait "${pid[$1-$2]}" 2>/dev/null || true
  kills[$1]=$((kills[$1] + 1))
}

stop_all() {
  local name
  for name in "${!pid[@]}"; do kill -TERM "${pid[$name]}" 2>/dev/null || true; done
  for name in "${!pid[@]}"; do wait "${pid[$name]}" 2>/dev/null || true; done
}
trap stop_all EXIT
trap 'exit 130' INT TERM

own_nodes=0
if [ -z "$endpoints" ]; then
  own_nodes=1
  for ((n = 1; n <= NODES; n++)); do
    start node $n
    endpoints+="${endpoints:+,}127.0.0.1:$((port + 20 + n))"
  done
fi
for ((n = 1; n <= PRODUCERS; n++)); do start producer $n; done
for ((n = 1; n <= CONSUMERS; n++)); do start consumer $n; done

# A consumer is there again at once, and a producer as long as it is not done.
revive() {
  local n status
  for ((n = 1; n <= CONSUMERS; n++)); do
    ended "consumer-$n" || continue
    [ "$status" = 3 ] && fail "consumer $n: $(tail -n 1 "$folder/consumer-$n.log")"
    start consumer $n
  done
  for ((n = 1; n <= PRODUCERS; n++)); do
    ended "producer-$n" || continue
    [ "$status" = 0 ] || start producer $n
  done
}
producing() {
  local n
  for ((n = 1; n <= PRODUCERS; n++)); do
    [ "$(cat "$folder/progress-$n" 2>/dev/null || echo 0)" = "$count" ] || return 0
  done
  return 1
}

say "$mode: $((PRODUCERS * count)) messages in $seconds s or more, seed $seed"
end=$((SECONDS + seconds))
node_down=0
while [ $SECONDS -lt $end ]; do
  sleep "0.$((1 + RANDOM % 7))"
  if [ $node_down != 0 ]; then  # One at a time: two of three are a quorum.
    start node $node_down
    node_down=0
  fi
  case $((RANDOM % 9)) in
    0 | 1 | 2) kill_one producer $((1 + RANDOM % PRODUCERS)) ;;
    3 | 4 | 5 | 6 | 7) kill_one consumer $((1 + RANDOM % CONSUMERS)) ;;
    8)
      if [ $own_nodes = 1 ]; then
        node_down=$((1 + RANDOM % NODES))
        kill_one node $node_down
      fi ;;
  esac
  revive
done
[ $node_down = 0 ] || start node $node_down

end=$((SECONDS + seconds + 60))
while producing; do
  [ $SECONDS -lt $end ] || fail "the producers do not come to an end"
  sleep 0.2
  revive
done
say "killed ${kills[producer]} producers, ${kills[consumer]} consumers, ${kills[node]} nodes"
if [ "$mode" = "--dedup local" ]; then
  cat "$folder"/consumer-*.log >"$folder/consumers.log"
  say "consumers discarded $(grep -c '^discarded ' "$folder/consumers.log" || true) messages and" \
    "found $(grep -c '^unknown ' "$folder/consumers.log" || true) that they could not know of"
fi
"$programs/prove" "$endpoints" $PRODUCERS "$count" 60 || fail "not proven"
revive  # Had one found a message that was paid before?
trap - EXIT
stop_all
rm -rf "$folder"
