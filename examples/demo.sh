#!/bin/sh
# A region is lost; drctl fails over; a client that knows nothing of drctl says how long it hurt.
# Usage: demo.sh [plain|loss|alive]   Leaves build/demo/verdict.json and debts.json. Takes the lab down, however it ends.
set -eu

mode=${1:-plain}
drctl=${DRCTL:-drctl}
build=${BUILD:-build/demo}
mkdir -p "$build"
rm -rf "$build"/*
XDG_STATE_HOME=$(cd "$build" && pwd)/state
export XDG_STATE_HOME

say() { printf '\n== %s\n' "$*"; }
trap '$drctl lab down >"$build/down.txt" 2>&1 || cat "$build/down.txt"' EXIT
trap 'exit 130' INT TERM

# Says go as the incident commander would from another terminal, as soon as the gate is open.
commander() {
    tries=0
    until $drctl approve latest go --reason "demo: the region is gone" >>"$build/approve.txt" 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || return 1
        sleep 0.2
    done
}

failover() {
    commander &
    helper=$!
    code=0
    $drctl failover region -e lab --confirm us-west-2 --no-input "$@" || code=$?
    kill "$helper" 2>/dev/null || true
    wait "$helper" 2>/dev/null || true
    return "$code"
}

say "the estate comes up: PostgreSQL in two regions, an application, balancers, DNS"
$drctl lab down >/dev/null 2>&1 || true
$drctl lab up
say "an independent client starts to write through the public name"
$drctl lab traffic
sleep 4

case $mode in
plain)
    say "us-east-1 is lost"
    $drctl lab break region us-east-1
    say "drctl failover region -e lab"
    failover
    ;;
loss)
    say "the standby stops receiving, and nobody notices for 15 seconds; then us-east-1 is lost"
    $drctl lab break replication
    sleep 15
    $drctl lab break region us-east-1
    say "drctl failover region -e lab: must refuse, more than the RPO would be lost"
    code=0
    $drctl failover region -e lab --confirm us-west-2 --no-input >"$build/refused.txt" 2>&1 || code=$?
    tail -n 5 "$build/refused.txt"
    [ "$code" -eq 5 ] || { echo "expected exit 5, got $code"; exit 1; }
    say "drctl failover region -e lab --accept-data-loss 10m"
    code=0
    failover --accept-data-loss 10m --reason "demo: the standby is all there is" || code=$?
    # 8: it worked, and the RPO was missed, which is what happened.
    [ "$code" -eq 8 ] || { echo "expected exit 8, got $code"; exit 1; }
    ;;
alive)
    say "nothing is lost: the old primary lives, and clients reach it"
    say "drctl failover region -e lab"
    failover
    ;;
*)
    echo "usage: $0 [plain|loss|alive]" >&2
    exit 2
    ;;
esac

sleep 3
$drctl lab traffic --stop >/dev/null
say "what the client saw, beside what drctl says"
$drctl lab verdict latest
$drctl lab verdict latest -o json >"$build/verdict.json"
$drctl runs verify latest
say "what is left to put right; drctl status says so until somebody has"
$drctl debt list || test $? -eq 8
$drctl debt list -o json >"$build/debts.json" || test $? -eq 8
