#!/usr/bin/env bash
# Runs every fuzz target for a while: scripts/fuzz.sh [seconds each, 60] [target...]
# Begins with the test corpora, and keeps what it finds in fuzz/corpus and fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(requests responses rewritten paths templates headers frames header_blocks retry_after newlines settings)

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
cargo run --quiet --example seed

# The sanitizer's flags are unstable ones; the compiler is the stable one all the same.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
  features=()
  [ "$target" != settings ] || features=(--features settings)
  cargo fuzz run "${features[@]}" "$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=2 -rss_limit_mb=1024
done
