#!/usr/bin/env bash
# Feeds crafted input to everything that reads files, prompts or options, under the sanitizers.
#   scripts/fuzz.sh [--coverage] [TARGET] [SECONDS]
# Without TARGET all of them, 20 seconds each; SECONDS 0: the corpora alone. Inputs that reach new code
# are kept in build/fuzz/corpus, those that crash in build/fuzz/crashes. GROMA_FUZZ_JOBS processes at a
# time, 1. --coverage: afterwards, which share of the readers' lines the corpora reach.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '3,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }

coverage=0
case ${1-} in
  --coverage) coverage=1; shift ;;
  -*) usage ;;
esac
targets=() seconds=20
for argument in "$@"; do
  if [[ $argument =~ ^[0-9]+$ ]]; then seconds=$argument; else targets+=("$argument"); fi
done
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls tests/fuzz/corpus)
for target in "${targets[@]}"; do
  [ -d "tests/fuzz/corpus/$target" ] ||
    { echo "fuzz: no target '$target'; there are: $(ls tests/fuzz/corpus | xargs)" >&2; exit 2; }
done

scripts/setup.sh --fuzz
scripts/build.sh fuzz groma_fuzz
program=build/fuzz/bin/groma_fuzz
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# Runs a target; prints its count of inputs, or what happened.
fuzz() {
  local target=$1 seeds=tests/fuzz/corpus/$1 found=build/fuzz/corpus/$1 log=build/fuzz/$1.log
  local limits=(-timeout=20 -rss_limit_mb=2560 -max_len=4096 -print_final_stats=1)
  mkdir -p "$found" build/fuzz/crashes
  [ "$seconds" -gt 0 ] && limits+=("-max_total_time=$seconds") || limits+=(-runs=0)
  if GROMA_FUZZ_TARGET=$target nice "$program" "${limits[@]}" -dict=tests/fuzz/words.dict \
      "-artifact_prefix=build/fuzz/crashes/$target-" "$found" "$seeds" >"$log" 2>&1; then
    printf '%-14s %12d inputs\n' "$target" "$(awk '/^stat::number_of_executed_units/ { print $2 }' "$log")"
  else
    printf '%-14s FAILED, the whole is in %s:\n' "$target" "$log"
    grep -E 'ERROR|SUMMARY|broken promise|terminate|what\(\)|Test unit' "$log" | head -n 8 || tail "$log"
    return 1
  fi
}

status=0
if [ "${GROMA_FUZZ_JOBS:-1}" -gt 1 ]; then
  export -f fuzz
  export program seconds
  printf '%s\n' "${targets[@]}" |
    xargs -P "$GROMA_FUZZ_JOBS" -I{} bash -euo pipefail -c 'fuzz {}' || status=1
else
  for target in "${targets[@]}"; do fuzz "$target" || status=1; done
fi
[ "$coverage" = 1 ] || exit "$status"

# Coverage: the same corpora without sanitizers, each source file of a reader with its share of lines.
scripts/build.sh coverage groma_fuzz
profiles=build/coverage/profiles
rm -rf "$profiles"
mkdir -p "$profiles"
for target in "${targets[@]}"; do
  GROMA_FUZZ_TARGET=$target LLVM_PROFILE_FILE=$profiles/$target.raw build/coverage/bin/groma_fuzz \
    -runs=0 "tests/fuzz/corpus/$target" $(ls -d "build/fuzz/corpus/$target" 2>/dev/null) >/dev/null 2>&1
done
llvm-profdata merge -o "$profiles/all" "$profiles"/*.raw
readers=(src/answer/answer_json.cpp src/answer/grounding.cpp src/answer/pointing.cpp src/answer/typed_shape.cpp src/config.cpp src/config_shapes.cpp src/config_validate.cpp
  src/eval/annotations.cpp src/eval/coco_shaped.cpp src/eval/conversations.cpp src/eval/grit.cpp
  src/eval/json_reader.cpp src/eval/jsonl.cpp src/eval/open_images.cpp src/eval/segments.cpp
  src/eval/list_files.cpp src/eval/prediction.cpp src/eval/refer.cpp src/eval/refer_pickle.cpp
  src/eval/run_record.cpp src/image/codecs.cpp src/image/header.cpp src/io/archive_header.cpp
  src/io/json.cpp src/io/safetensors_header.cpp src/io/unpickle.cpp src/io/weight_index.cpp
  src/io/zip.cpp src/language/charsmap.cpp src/language/piece_table.cpp src/language/prompt.cpp
  src/language/sentencepiece_model.cpp src/language/stream_decoder.cpp src/language/tokenizer.cpp
  src/language/tokenizer_files.cpp src/language/unicode.cpp src/regions/given_boxes.cpp
  src/saved_session.cpp src/train/instruct_answers.cpp src/train/recipe.cpp src/train/tagged_text.cpp)
llvm-cov report build/coverage/bin/groma_fuzz "-instr-profile=$profiles/all" "${readers[@]}" |
  awk '/\.cpp|^TOTAL/ { printf "%-40s %5d lines %7s\n", $1, $8, $10 }'
exit "$status"
