#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu), then runs every check there is. The last lines are
# the test runner's own summary.
#
#   ./scripts/test.sh            everything: what must pass before a change lands
#   ./scripts/test.sh --quick    the inner loop: format, clippy, and the tests that are not heavy
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null # Nothing here may wait for a person.

quick=no
case "${1-}" in
  "") ;;
  --quick) quick=yes ;;
  *) echo "usage: scripts/test.sh [--quick]" >&2; exit 2 ;;
esac

step() { printf '\n== %s (after %s s)\n' "$1" "$SECONDS" >&2; }

# Installs the Debian packages whose commands are missing: `need command=package ...`.
need() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  step "install ${missing[*]}"
  local become=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || { echo "please install: ${missing[*]}" >&2; exit 2; }
    become=(sudo -n)
  fi
  "${become[@]}" apt-get update -qq
  # RUNLEVEL=1: the packages' services must not be started; the tests start their own.
  "${become[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

PATH="$HOME/.cargo/bin:$PATH:/usr/sbin" # Debian keeps nginx in /usr/sbin.
need cc=gcc curl=curl nginx=nginx python3=python3 strace=strace valgrind=valgrind \
  pg_ctlcluster=postgresql unshare=util-linux node=nodejs npm=npm chromium=chromium
command -v cargo >/dev/null || { echo "please install Rust (rustup)" >&2; exit 2; }
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
if ! cargo nextest --version >/dev/null 2>&1; then
  step "install cargo-nextest (a few minutes, once)"
  cargo install --locked cargo-nextest
fi
ulimit -n "$(ulimit -Hn)" # The tests hold thousands of sockets.

step "format"
cargo fmt --all --check

step "clippy"
cargo clippy --locked --workspace --all-targets -- -D warnings

if [ $quick = no ]; then
  step "docs"
  RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

  # The house tests of seawall-e2e hold the same lists over every dependency, so that nobody has
  # to build cargo-deny (many minutes on two cores) for a check of a second.
  if cargo deny --version >/dev/null 2>&1; then
    step "licences, bans and sources"
    cargo deny --offline --locked check licenses bans sources
  fi
fi

step "build"
# The whole workspace, as the tests need it: the binary alone would be built with fewer features
# of its dependencies, and all of them twice.
cargo nextest run --locked --workspace --no-run
target=$(cargo metadata --locked --no-deps --format-version 1 |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
export SEAWALL_BIN="$target/debug/seawall" # The end-to-end tests need not look for it.

# gRPC's own client and server, which are stricter than HTTP/2 itself.
grpcio="$target/grpcio-1.80.1"
if ! "$grpcio/bin/python" -c 'import grpc' 2>/dev/null; then
  step "install grpcio"
  # Debian keeps a part of `venv` in a package of its own, which brings no command.
  python3 -c 'import ensurepip' 2>/dev/null || need no-such-command=python3-venv
  python3 -m venv --clear "$grpcio"
  "$grpcio/bin/python" -m pip install --quiet --disable-pip-version-check \
    --only-binary :all: "grpcio==${grpcio##*-}"
fi
export SEAWALL_GRPC_PYTHON="$grpcio/bin/python"

# The library that most WebSocket servers of Node are made with.
ws="$target/ws-8.23.0"
if [ ! -d "$ws/node_modules/ws" ]; then
  step "install ws"
  npm install --silent --no-audit --no-fund --prefix "$ws" "ws@${ws##*-}"
fi
export SEAWALL_NODE_MODULES="$ws/node_modules"

if [ $quick = yes ]; then
  step "tests, without the heavy ones"
  exec cargo nextest run --locked --workspace -E 'not test(/^heavy::/)'
fi

step "examples in the documentation"
cargo test --locked --workspace --doc --quiet

step "instructions of a call, of a proxied request and of HTTP/2, beside the peers"
cargo bench --locked -p seawall-bench --bench instructions --bench request --bench http2

step "fuzz targets compile"
# Of the fuzzer itself nothing is needed for that, and it would be compiled by a compiler for C++.
CUSTOM_LIBFUZZER_PATH=/none/libnone.a CARGO_TARGET_DIR="$target/fuzz" \
  cargo check --locked --quiet --manifest-path fuzz/Cargo.toml --bins

step "every order of two threads"
./scripts/loom.sh --quiet

step "tests"
cargo nextest run --locked --workspace --no-fail-fast
