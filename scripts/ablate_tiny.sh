#!/usr/bin/env bash
# What parts of the model are worth: short instruction stages that differ in one thing each, from the
# same first two stages, each measured on the same drawn scenes.
#   scripts/ablate_tiny.sh DETECTION_STATE ALIGNMENT_STATE
# STEPS (300), SCENES (100), SEED (20243), THREADS (all cores) and OUT (build/ablations) can be set.
# Arms that are there already are not trained again.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 2 ] || { sed -n '2,6s/^# *//p' "$0" >&2; exit 2; }
detection=$1 alignment=$2
steps=${STEPS:-300} scenes=${SCENES:-100} seed=${SEED:-20243} threads=${THREADS:-$(nproc)}
out=${OUT:-build/ablations} groma=${GROMA:-build/bin/groma}
export OMP_NUM_THREADS=1 GOMP_SPINCOUNT=0 OMP_WAIT_POLICY=passive
mkdir -p "$out"

arm() {  # NAME, EXTRA KEYS OF THE RECIPE, EXTRA KEYS OF config.json
  local folder=$out/$1
  mkdir -p "$folder/start"
  cp models/groma-tiny-start/* "$folder/start/"
  python3 - "$folder" "$steps" "$2" "$3" <<'PYTHON'
import json, sys
folder, steps, recipe_keys, config_keys = sys.argv[1:]
config = json.load(open(folder + "/start/config.json"))
config.update(json.loads(config_keys))
json.dump(config, open(folder + "/start/config.json", "w"), indent=2)
recipe = json.load(open("models/stages/instruction.json"))
recipe["schedule"].update(steps=int(steps), warmup=20, decay=int(steps) // 2)
recipe["validate_every"] = int(steps)
recipe.update(json.loads(recipe_keys))
json.dump(recipe, open(folder + "/recipe.json", "w"), indent=2)
PYTHON
  if [ ! -f "$folder/run/model/config.json" ]; then
    "$groma" train --config "$folder/recipe.json" --model "$folder/start" --from "$detection" \
      "$alignment" --out "$folder/run" --threads "$threads" --seed 5 >"$folder/log.txt" 2>&1
  fi
  "$groma" measure --model "$folder/run/model" --scenes "$scenes" --seed "$seed" \
    --threads "$threads" >"$folder/measured.txt"
}
arm whole '{}' '{}'
arm frozen-language-model '{"frozen": ["llm.", "extra_lm_head.", "new_input_embs."]}' '{}'
arm patches-not-merged '{}' '{"token_merge": 1}'
arm boxes-only '{"zeroed": ["region_encoder.roi_align.flatten_linear."]}' '{}'
arm geometry-as-released '{}' '{"roi_geometry": "released"}'

for folder in "$out"/*/; do
  printf '== %s\n' "$(basename "$folder")"
  cat "$folder/measured.txt"
done
