#!/usr/bin/env bash
# Runs the long tests at their whole length: 1,000 turns, 2,000 chats, eight conversations at a time,
# 200 kills of an evaluation and of a training, every flipped bit of a checkpoint's header. Hours.
#   scripts/endurance.sh [GTEST FILTER]      for example: scripts/endurance.sh 'LongRun.*'
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1-} in -*) sed -n '2,4s/^# *//p' "$0" >&2; exit 2 ;; esac

scripts/build.sh release endurance_test kill_test
export GROMA_ENDURANCE=1 OMP_WAIT_POLICY=passive
status=0
for program in endurance_test kill_test; do
  build/bin/$program "--gtest_filter=${1-*}" || status=1
done
exit "$status"
