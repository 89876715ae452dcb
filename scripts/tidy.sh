#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over the sources that are given, by default over all of them.
#   scripts/tidy.sh [FILE.cpp...]            needs a build of the preset release
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(git ls-files 'src/*.cpp' 'tools/*.cpp'); fi
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build --quiet --extra-arg=-Wno-unknown-warning-option
