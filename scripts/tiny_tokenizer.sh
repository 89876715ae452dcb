#!/usr/bin/env bash
# Makes the tokenizer of models/groma-tiny anew and compares it byte for byte.
#   scripts/tiny_tokenizer.sh [BUILD]      (a folder with lib/libgroma.so; default: build)
# It was learnt from the worlds' sentences as they were in commit c21fd0c, before `groma tokenizer`
# existed, together with 600 openings of a conversation.
set -euo pipefail
cd "$(dirname "$0")/.."
library=$(cd "${1:-build}/lib" && pwd)
commit=c21fd0c
if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
  echo "tiny_tokenizer.sh: commit $commit is not in this clone; fetch the whole history" \
    "(git fetch --unshallow)" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git archive "$commit" src include | tar x -C "$work"
cat >"$work/learn.cpp" <<'CPP'
#include "language/prompt.h"
#include "language/tokenizer_writer.h"
#include "train/worlds/questions.h"

int main(int, char** arguments) {
  using namespace groma;
  auto sentences = train::vocabulary_sentences(train::World::kBoth, 500);
  for (int i = 0; i < 600; ++i) {
    for (const auto& piece : conversation({})) {
      std::string line;  // what stands before, between and after the tokens
      for (size_t at = 0; at < piece.text.size(); ++at) {
        if (piece.text[at] != '<') {
          line += piece.text[at];
          continue;
        }
        at = piece.text.find('>', at);
        sentences.push_back(std::exchange(line, ""));
      }
    }
    sentences.push_back("USER: hello ASSISTANT: hello");
  }
  write_trained_tokenizer(arguments[1], sentences, 1152, 100);
}
CPP
worlds=()
for source in "$work"/src/train/worlds/*.cpp; do
  case $source in */set_*.cpp | */write_set.cpp) continue ;; esac  # files of sets: not needed
  worlds+=("$source")
done
g++ -std=c++20 -O1 -w -I"$work/src" -I"$work/include" -I/usr/include/freetype2 -I/usr/include/opencv4 \
  "$work/learn.cpp" "${worlds[@]}" -o "$work/learn" -L"$library" -lgroma -Wl,-rpath,"$library" \
  -Wl,--unresolved-symbols=ignore-in-shared-libs -lfreetype -lopencv_core -lopencv_imgproc -lopencv_imgcodecs
"$work/learn" "$work/tokenizer"
cmp "$work/tokenizer/tokenizer.model" models/groma-tiny/tokenizer.model
echo "the same bytes"
