#!/usr/bin/env bash
# What containers_test.py runs in the root that it has made, with the sources in /src.
set -euo pipefail
cd /src
log=/containers.log  # What podman says to itself.

wrong() { printf 'wrong: %s\n' "$*"; tail -n 30 $log; exit 1; }
expect() { [ "$2" = "$3" ] || wrong "$1: expected '$2', got '$3'"; }
podman() { command podman "$@" 2>>$log; }
compose() { podman-compose -f deploy/compose.yaml "$@" >>$log 2>&1 || wrong "compose $*"; }

build() {
  local container
  container=$(buildah from scratch)
  buildah add -q "$container" /base.tar / >>$log
  buildah commit -q --rm "$container" base >>$log 2>&1
  BUILDAH_ISOLATION=chroot buildah bud --format docker --build-arg BASE=localhost/base \
    --build-arg DEB="$1" -t holdfast -f deploy/Dockerfile . >>$log 2>&1 || wrong "buildah bud"
  buildah images --format '{{.Name}} {{.Size}}' | grep -v none
  expect user 8001:8001 "$(podman image inspect -f '{{.Config.User}}' holdfast)"
  expect "health check" "[CMD holdfast cluster ready" \
    "$(podman image inspect -f '{{.Config.Healthcheck.Test}}' holdfast | cut -d ' ' -f 1-4)"
}

pay() {  # PORT ID
  curl -sS -m 10 "localhost:$1/payment" \
    -d "{\"transaction_id\":\"$2\",\"from_account\":\"ann\",\"to_account\":\"bob\",\"amount\":100}" |
    grep -o '^{"outcome":"[a-z_]*"' | cut -d '"' -f 4
}
balance() { curl -sS -m 10 "localhost:$1/v1/ledger/accounts/bob" | grep -o '"balance":[0-9]*' | cut -d : -f 2; }

healthy() {
  local node tries
  for node in 1 2 3; do
    for ((tries = 0; ; tries++)); do
      podman healthcheck run "deploy_node${node}_1" >>$log && break
      [ $tries -lt 100 ] || wrong "node $node is not healthy"
      sleep 0.2
    done
  done
}

up() {
  # Debian's docker-compose knows all of it but the project's name.
  grep -v '^name:' deploy/compose.yaml | docker-compose -f - config -q >>$log 2>&1 ||
    wrong "docker-compose config"
  ip link set lo up
  compose up -d --no-build
  healthy
  expect "who runs it" 8001 "$(podman exec deploy_node1_1 id -u)"
  expect "the volume" "holdfast 700" "$(podman exec deploy_node1_1 stat -c '%U %a' /var/lib/holdfast)"
  expect payment created "$(pay 8001 p1)"
  expect "the same elsewhere" already_exists "$(pay 8002 p1)"
  expect "read elsewhere" 100 "$(balance 8003)"
  podman exec deploy_node1_1 holdfast status --endpoints node1:9001,node2:9001,node3:9001 |
    tail -n 1

  podman kill -s KILL deploy_node3_1 >>$log
  expect "payment with a node less" created "$(pay 8001 p2)"

  compose down
  compose up -d --no-build
  healthy
  expect "what the volumes hold" 200 "$(balance 8003)"
  # The last one to go looks for the others' names in vain.
  local node
  for node in 1 2 3; do
    podman stop -t 20 "deploy_node${node}_1" >>$log
    podman logs "deploy_node${node}_1" >>$log 2>&1
    expect "its end" 0 "$(podman inspect -f '{{.State.ExitCode}}' "deploy_node${node}_1")"
  done
  compose down
}

"$@"
