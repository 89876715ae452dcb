#!/usr/bin/env bash
# Builds with the address and undefined behaviour sanitizers and runs the tests.
#   scripts/sanitize.sh [--base | --threads]
# --base: only the units that need no LibTorch, in a few minutes. --threads: the thread sanitizer
# instead, on chats that run at once on one model and on the pool of threads.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=() selection=()
case ${1-} in
  "") ;;
  --base) targets=(base_tests) selection=(-L '^base$') ;;
  --threads)
    scripts/build.sh tsan endurance_test ops_test
    export TSAN_OPTIONS="suppressions=$PWD/tests/tsan_suppressions.txt halt_on_error=1"
    build/tsan/bin/endurance_test --gtest_filter='LongRun.ConcurrentChats*'
    build/tsan/bin/ops_test --gtest_filter='ThreadPool.*'
    exit ;;
  *) echo "usage: scripts/sanitize.sh [--base | --threads]" >&2; exit 2 ;;
esac

scripts/build.sh asan "${targets[@]}"
# LibTorch keeps some memory until the process ends; leaks are looked for in the units without it.
leaks=1
[ ${#targets[@]} -gt 0 ] || leaks=0
export ASAN_OPTIONS=detect_leaks=$leaks:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
ctest --preset asan --parallel "$(nproc)" "${selection[@]}"
