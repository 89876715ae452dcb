#!/usr/bin/env bash
# Installs what is missing, builds the program and asks it about a picture of this repository.
#   scripts/demo.sh
# Leaves build/bin/groma, and the program of the test named golden for ctest.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh release groma_cli golden_test

out=build/demo
mkdir -p "$out"
if [ -e models/groma-tiny/config.json ]; then
  model=models/groma-tiny  # knows drawn shapes, not photographs
  picture=tests/data/shapes.png
  options=()
else
  model=$out/random-model
  picture=tests/data/photo.jpg
  options=(--box-score 0 --max-regions 5 -n 32)
  rm -rf "$model"
  echo "No trained model in models/: showing a random one. Its words and boxes mean nothing." >&2
  build/bin/groma init --config tests/data/tiny_config.json --out "$model"
fi

run() {
  printf '\n$' >&2
  printf ' %q' "$@" >&2
  printf '\n' >&2
  "$@"
}
run build/bin/groma info -m "$model"
run build/bin/groma chat -m "$model" --image "$picture" -p "Is there a cross?" \
  -o "$out/answer.png" "${options[@]}"
printf '\nThe answer drawn on the picture: %s\n' "$PWD/$out/answer.png" >&2
