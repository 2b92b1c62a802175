#!/usr/bin/env bash
# Runs the models of seawall-policy: two threads on one machine, in every order in which they can
# run. Builds with loom's atomics in a directory of its own, so that nothing else is built anew.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null # Nothing here may wait for a person.

target=$(cargo metadata --locked --no-deps --format-version 1 |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
export CARGO_TARGET_DIR="$target/loom" RUSTFLAGS="--cfg loom"
cargo test --locked -p seawall-policy --lib models "$@"
