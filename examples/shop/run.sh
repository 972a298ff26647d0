#!/usr/bin/env bash
# Sells a product out to 200 buyers at once, kills the node that leads while they buy, and looks at
# the books: exactly the stock is sold, and goods, money, orders and parcels agree, at every node.
#
#   run.sh --programs DIR | --curl       with the program shop in DIR, or with shop.sh
#          [--pieces 20000]              how many there are; with --curl 400
#          [--holdfast PROGRAM]          default: holdfast
#          [--port 17800]                its three nodes take this one and the next 8
#
# Ends with 0 if all is as it should be.
set -euo pipefail

readonly BUYERS=200 PRICE=500
shop="" kind="" pieces="" holdfast=holdfast port=17800
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
while [ $# -gt 0 ]; do
  case "$1 ${2:-}" in
    "--curl "*) shop=$here/shop.sh kind=http; shift; continue ;;
    "--programs "?*) shop=$2/shop kind=grpc ;;
    "--pieces "?*) pieces=$2 ;;
    "--holdfast "?*) holdfast=$2 ;;
    "--port "?*) port=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[ -n "$shop" ] || usage
[ -x "$shop" ] || { echo "run.sh: there is no $shop" >&2; exit 64; }
[ -n "$pieces" ] || { pieces=20000; [ $kind = grpc ] || pieces=400; }

folder=$(mktemp -d)
declare -A pid=()
say() { printf '%s\n' "$*"; }
fail() {
  say "run.sh: $*; logs in $folder, which end with:" >&2
  tail -n 2 "$folder"/[123].log >&2
  exit 1
}
stop_all() {
  local name
  for name in "${!pid[@]}"; do kill -TERM "${pid[$name]}" 2>/dev/null || true; done
  for name in "${!pid[@]}"; do wait "${pid[$name]}" 2>/dev/null || true; done
}
trap stop_all EXIT
trap 'exit 130' INT TERM

declare -A after=([grpc]=-1 [http]=2 [peer]=5)
address() { echo "127.0.0.1:$((port + after[$1] + $2))"; }  # grpc|http|peer NODE
# The number of a field of what a node says over HTTP; nothing when it does not answer.
told() {  # NODE PATH FIELD
  local body
  body=$(curl -s -m 2 "http://$(address http "$1")$2") || return 0
  if [[ $body =~ \"$3\":\"?([0-9a-f]+) ]]; then echo "${BASH_REMATCH[1]}"; fi
}
start() {  # NODE
  local members="" i
  for i in 1 2 3; do members+="${members:+,}$i=$(address peer $i)"; done
  "$holdfast" serve --id "$1" --data "$folder/$1" --members "$members" \
    --http "$(address http "$1")" --grpc "$(address grpc "$1")" >>"$folder/$1.log" 2>&1 </dev/null &
  pid[$1]=$!
}
wait_until() {  # WHAT COMMAND...: within 30 s
  local what=$1 end=$((SECONDS + 30))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || fail "$what: not in 30 s"
    sleep 0.02
  done
}
leads() { leader=$(told 1 /leader leader); [ "${leader:-0}" != 0 ]; }
is_under_way() {  # A fifth is sold, as a node says that will live on.
  [ "$(told $((leader % 3 + 1)) '/v1/products/cup?consistency=stale' reserved || true)" -ge $((pieces / 5)) ] 2>/dev/null
}
hold_the_same() {
  local first
  first=$(told 1 /status applied)-$(told 1 /status digest)
  [ "$first" != - ] && [ "$first" = "$(told 2 /status applied)-$(told 2 /status digest)" ] &&
    [ "$first" = "$(told 3 /status applied)-$(told 3 /status digest)" ]
}

all=""
for n in 1 2 3; do
  start $n
  all+="${all:+,}$(address $kind $n)"
done
wait_until "a leader" leads
"$shop" "$all" stock cup $PRICE "$pieces"
"$shop" "$all" sale cup $BUYERS >"$folder/sale.log" 2>&1 &
pid[sale]=$!
wait_until "a fifth is sold" is_under_way
kill -KILL "${pid[$leader]}"
wait "${pid[$leader]}" 2>/dev/null || true
kill -0 "${pid[sale]}" 2>/dev/null || fail "the sale was over before a node could be killed"
say "killed node $leader, which led"
wait "${pid[sale]}" || fail "the sale: $(tail -n 3 "$folder/sale.log")"
unset "pid[sale]"
cat "$folder/sale.log"
[ "$(cat "$folder/sale.log")" = "cup: $pieces sold to $BUYERS buyers, none is left" ] ||
  fail "not exactly the stock"

start "$leader"
wait_until "three equal nodes" hold_the_same
for n in 1 2 3; do
  "$shop" "$(address $kind $n)" audit >"$folder/audit-$n.log" || fail "the books: $(cat "$folder/audit-$n.log")"
  printf '%s\n' "cup: $pieces received, $pieces sold, 0 left" \
    "goods for $((pieces * PRICE)), $((pieces * PRICE)) spent, $((pieces * PRICE)) in the till; $pieces orders, $pieces parcels: they agree" |
    diff - "$folder/audit-$n.log" >&2 || fail "the books of node $n"
done
cat "$folder/audit-1.log"
trap - EXIT
stop_all
rm -rf "$folder"
