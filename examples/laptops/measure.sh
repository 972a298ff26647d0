#!/usr/bin/env bash
# Orders, reads of one record and bulk reads by ever more customers, on three servers of its own: a
# table, a line for each. Nothing else should run on the machine meanwhile.
#
#   measure.sh --programs DIR [--customers "1 2 4 16 100 1000"] [--requests 20000] [--port 8080]
#
# DIR holds server and client. The customers of a line share so many requests; in a bulk read each
# asks once, for 100 records. The servers take PORT and the next two, and the same plus 1000 and 2000.
set -euo pipefail

programs="" customers="1 2 4 16 100 1000" requests=20000 port=8080
while [ $# -gt 0 ]; do
  case "$1 ${2:-}" in
    "--programs "?*) programs=$2 ;;
    "--customers "?*) customers=$2 ;;
    "--requests "?*) requests=$2 ;;
    "--port "?*) port=$2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
  shift 2
done
[ -x "$programs/server" ] || { echo "measure.sh: --programs: no server there" >&2; exit 64; }
programs=$(cd "$programs" && pwd)
read -ra counts <<<"$customers"

folder=$(mktemp -d)
cd "$folder"
pids=()
stop() {
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  wait || true
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM
for id in 0 1 2; do
  peers=()
  for other in 0 1 2; do
    [ $other = $id ] || peers+=("$other" localhost $((port + other)))
  done
  "$programs/server" $((port + id)) $id 2 "${peers[@]}" >"$id.log" 2>&1 </dev/null &
  pids+=($!)
done
end=$((SECONDS + 30))
until curl -fsS -o /dev/null "http://127.0.0.1:$((port + 2000))/health" 2>/dev/null; do
  [ $SECONDS -lt $end ] || { cat 0.log >&2; exit 1; }
  sleep 0.1
done

# line WHAT CUSTOMERS EACH TYPE
line() {
  "$programs/client" localhost "$port" "$2" "$3" "$4" >client.log || { cat client.log >&2; exit 1; }
  awk -v what="$1" -v customers="$2" '
    /^latency us/ { gsub(",", ""); average = $4; min = $6; max = $8; p50 = $10; p99 = $12 }
    /^under 1 ms/ { under = $4 }
    /^throughput/ { rate = $2 }
    END { printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s %% |\n",
                 what, customers, rate, average, min, max, p50, p99, under }' client.log
}
echo "load average before: $(cut -d' ' -f1-3 /proc/loadavg)"
echo "| requests | customers | per second | average us | min | max | p50 | p99 | under 1 ms |"
echo "|---|---|---|---|---|---|---|---|---|"
most=$(printf '%s\n' "${counts[@]}" | sort -n | tail -1)
"$programs/client" localhost "$port" $((most < 100 ? 100 : most)) 1 1 >/dev/null  # Warms up.
for count in "${counts[@]}"; do line "orders" "$count" $((requests / count)) 1; done
for count in "${counts[@]}"; do line "one record" "$count" $((requests / count)) 2; done
for count in "${counts[@]}"; do
  [ "$count" -lt 100 ] || line "100 records" "$count" 100 3
done
