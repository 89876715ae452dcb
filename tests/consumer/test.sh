#!/usr/bin/env bash
# Installs a build, builds this project against it and runs it:
#   test.sh SOURCE_DIR BUILD_DIR [COMPILER_FLAGS]
set -euo pipefail
source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null
cmake -S "$source/tests/consumer" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_FLAGS="${3-}" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/prefix/bin/groma" init --config "$source/tests/data/tiny_config.json" --out "$work/model"
"$work/build/consumer" "$work/model" "$source/tests/data/photo.jpg" | tee "$work/boxes"
grep -qE '^box [0-9.e+-]+ [0-9.e+-]+ [0-9.e+-]+ [0-9.e+-]+$' "$work/boxes"
