#!/usr/bin/env bash
# Measures a model on drawn scenes with every protocol of groma eval and prints README's table.
#   scripts/evaluate_tiny.sh [MODEL]        default: models/groma-tiny
# SCENES (100), SEED (2024), WORLD (shapes), THREADS (1) and OUT (build/evaluation) choose the scenes
# and where the set, the run folders and their reports go.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:-models/groma-tiny}
scenes=${SCENES:-100} seed=${SEED:-2024} world=${WORLD:-shapes} out=${OUT:-build/evaluation}
threads=${THREADS:-1}  # of a model this small, one does as much as several
groma=${GROMA:-build/bin/groma}
export OMP_WAIT_POLICY=passive

set=$out/$world-$scenes-$seed
[ -d "$set" ] ||
  "$groma" synth --out "$set" --scenes "$scenes" --seed "$seed" --world "$world" --test >/dev/null

measure() {  # PROTOCOL FILE
  rm -rf "${out:?}/$1"
  "$groma" eval run --protocol "$1" -m "$model" -t "$threads" --annotations "$set/$2" \
    --out "$out/$1" --report 30 >"$out/$1.txt"
}
measure rec rec.jsonl
measure lvis-ground ground.json
measure caption caption.jsonl
measure proposals instances.json
measure grounded-chat chat.jsonl

row() {  # TITLE PROTOCOL FIGURE
  awk -v title="$1" -v name="$3" '
    $1 == name {
      interval = ""
      if ($3 ~ /^\[/) { low = $3; high = $4; gsub(/[][,]/, "", low); gsub(/[][,]/, "", high)
                        interval = sprintf("%.3f to %.3f", low, high) }
      split($0, halves, " / "); n = split(halves[1], parts, " ")
      printf "| %s | %s | %s | %.6g / %.6g |\n", title, $2 == "-" ? "-" : sprintf("%.3f", $2),
             interval, parts[n], halves[2]
    }' "$out/$2.txt"
}
echo "| figure | value | 95 % interval | of |"
echo "| --- | --- | --- | --- |"
row "REC accuracy" rec accuracy
row "... by attributes" rec accuracy_attr
row "... by relations" rec accuracy_rel
row "... by superlatives" rec accuracy_sup
row "... by ordinals" rec accuracy_ord
row "... of any object that fits the target's words (blind)" rec blind_baseline
row "... of small objects" rec accuracy_small
row "... of medium objects" rec accuracy_medium
row "... of large objects" rec accuracy_large
row "target among the proposals (the ceiling of REC)" rec proposer_recall
row "calibration error of the region score" rec ece_score
row "calibration error of the region token" rec ece_token
row "categories: AR, as many boxes as there are" lvis-ground AR
row "... AR at IoU 0.5" lvis-ground AR50
row "... AR of small objects" lvis-ground ARs
row "... AR of medium objects" lvis-ground ARm
row "... AR of large objects" lvis-ground ARl
row "caption CIDEr" caption CIDEr
row "caption BLEU-4" caption BLEU-4
row "caption exact match" caption exact_match
row "proposals: AP" proposals AP_proposed
row "... AR@100" proposals AR@100_proposed
row "kept boxes: AP" proposals AP_kept
row "... AR@100" proposals AR@100_kept
row "... recall at IoU 0.5" proposals proposer_recall
row "grounded descriptions: F1 of phrase and box" grounded-chat f1
sed -n 's/^errors: /\nErrors of REC: /p' "$out/rec.txt"
