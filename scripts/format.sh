#!/usr/bin/env bash
# Formats all sources in place; with --check only reports what is not formatted, and fails.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=-i
case ${1-} in
  "") ;;
  --check) mode="--dry-run -Werror" ;;
  *) echo "usage: scripts/format.sh [--check]" >&2; exit 2 ;;
esac
# shellcheck disable=SC2086
git ls-files -z '*.h' '*.cpp' '*.cu' | xargs -0 clang-format $mode
