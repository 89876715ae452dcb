#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests.
#   scripts/test.sh [CTEST OPTION...]        for example: scripts/test.sh -R golden
# The last line counts them: "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${GROMA_PRESET:-release}

scripts/build.sh "$preset"
build=build
[ "$preset" = release ] || build=build/$preset
results=$PWD/$build/test-results.xml
rm -f "$results"
status=0
ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$results" "$@" || status=$?

count() { sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" "$results" | head -n 1; }
[ -s "$results" ] || { echo "no test ran" >&2; exit 1; }
total=$(count tests) failed=$(count failures) skipped=$(($(count skipped) + $(count disabled)))
echo "$((total - failed - skipped)) passed, $failed failed, $skipped skipped"
[ "$status" = 0 ] && [ "$total" -gt 0 ]
