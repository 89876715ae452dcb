#!/usr/bin/env bash
# Installs what is missing and builds a preset, with as many jobs as cores and memory allow.
#   scripts/build.sh PRESET [TARGET...]      (presets: cmake --list-presets)
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '3s/^# *//p' "$0" >&2; exit 2; }
preset=$1
shift

scripts/setup.sh
jobs=$(nproc)
memory=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)  # a unit takes up to 1.5 GB
[ "$memory" -ge "$jobs" ] || jobs=$((memory > 0 ? memory : 1))

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
grep -E '^-- (LibTorch|CUDA kernels)' "$log" >&2 || true
cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"} >&2
