#!/usr/bin/env bash
# What the first program of README.md costs its user: crates, seconds to build from nothing, bytes.
# Builds it as a package of its own in a temporary folder, twice in each profile, and keeps the quicker time.
# Downloads nothing: run any build of this checkout before.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
package=$(mktemp -d)
trap 'rm -rf "$package"' EXIT
cd "$package"

block() { awk -v fence='```'"$1" '$0 == fence { inside = 1; next } inside && /^```$/ { exit } inside' "$root/README.md"; }

mkdir src
block rust >src/main.rs
printf '[package]\nname = "quickstart"\nedition = "2024"\n\n' >Cargo.toml
block toml | sed "s|path = \"[^\"]*\"|path = \"$root/teleport\"|" >>Cargo.toml
cp "$root/Cargo.lock" .
export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$package/target CARGO_NET_OFFLINE=true

# Seconds on the clock, which others on this machine lengthen, and of all CPUs together.
build() {
  local TIMEFORMAT='%1R s (CPU %1U s)'
  for _ in 1 2; do
    rm -rf target
    { time cargo build --quiet "$@"; } 2>&1
  done | sort -n | head -1
}

megabytes() { awk -v bytes="$(stat -c %s "$1")" 'BEGIN { printf "%.1f MB", bytes / 1e6 }'; }

crates=$(cargo tree --edges normal,build --prefix none --format '{p}' | sed 's/ (.*//' | sort -u | grep -vc '^quickstart ')
printf 'crates, with teleport and tokio: %s\n' "$crates"
printf 'debug build: %s\n' "$(build)"
printf 'release build: %s\n' "$(build --release)"
cp target/release/quickstart stripped
strip stripped
printf 'program: %s, %s stripped\n' "$(megabytes target/release/quickstart)" "$(megabytes stripped)"
printf '\n%s\n' "$(./stripped)"
