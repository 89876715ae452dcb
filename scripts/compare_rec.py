#!/usr/bin/env python3
"""Scores made-up answers to the lists of RefCOCO twice: with `groma eval score`, and here.

    python3 scripts/compare_rec.py --groma build/bin/groma --lists FOLDER

FOLDER holds lists of img_id, sents, bbox, height, width (refcoco_val.json ...). Without --lists a list
of 57,457 made-up expressions takes their place. The counts of right answers must be equal by every
rule; time and memory of `groma eval score` over all lists are printed. Exit status 1 when a count
differs or scoring takes more than 500 MiB. Needs nothing but Python's standard library.
"""

import argparse
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def made_up_list(path, count=57457):
    rng = random.Random(5)
    rows = []
    for i in range(count):
        width, height = rng.randint(200, 640), rng.randint(200, 640)
        w, h = rng.uniform(30, width / 2), rng.uniform(30, height / 2)
        rows.append({"img_id": "COCO_train2014_%012d_%d" % (i // 7, i % 7), "sents": "thing %d" % i,
                     "bbox": [rng.uniform(0, width - w), rng.uniform(0, height - h), w, h],
                     "height": height, "width": width})
    with open(path, "w") as file:
        json.dump(rows, file)


def overlap(a, b):
    """IoU and generalised IoU of corners."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    joint = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / joint, shared / joint - (hull - joint) / hull


def keys_of(groma, path, folder):
    """The label of each row, as the program calls it: that of its JSONL."""
    out = os.path.join(folder, "keys.jsonl")
    subprocess.run([groma, "eval", "convert", "--annotations", path, "--to", "jsonl", "-o", out],
                   check=True, capture_output=True)
    with open(out) as file:
        return [json.loads(line)["id"] for line in file]


def answer(groma, path, run, rng):
    """Writes predictions near the targets; returns the right ones by rule and the number of rows."""
    with open(path) as file:
        rows = json.load(file)
    right = {"groma": 0, "mdetr": 0, "ferret": 0}
    with open(os.path.join(run, "predictions.jsonl"), "w") as out:
        for key, row in zip(keys_of(groma, path, run), rows):
            x, y, w, h = row["bbox"]
            xs = sorted([x + rng.uniform(-.4, .4) * w, x + w + rng.uniform(-.4, .4) * w])
            ys = sorted([y + rng.uniform(-.4, .4) * h, y + h + rng.uniform(-.4, .4) * h])
            box = [float32(v) for v in (xs[0], ys[0], xs[1], ys[1])]
            W, H = row["width"], row["height"]
            unit = [float32(v) for v in ((box[0] + box[2]) / 2 / W, (box[1] + box[3]) / 2 / H,
                                         (box[2] - box[0]) / W, (box[3] - box[1]) / H)]
            region = {"region": 0, "cxcywh": unit, "xyxy": box, "score": .5, "logprob": -.1}
            out.write(json.dumps({"key": f"{key}/0/0", "regions": [region], "error": None}) + "\n")

            said = [unit[0] - unit[2] / 2, unit[1] - unit[3] / 2, unit[0] + unit[2] / 2,
                    unit[1] + unit[3] / 2]
            target = [min(max(v, 0), 1) for v in (x / W, y / H, (x + w) / W, (y + h) / H)]
            right["groma"] += overlap(said, target)[0] > .5
            corners = [x, y, x + w, y + h]
            right["mdetr"] += overlap(box, corners)[1] >= .5
            right["ferret"] += overlap([int(v) for v in box], corners)[0] >= .5
    return right, len(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--groma", required=True)
    parser.add_argument("--lists")
    args = parser.parse_args()
    rng = random.Random(1)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        if args.lists:
            paths = [os.path.join(args.lists, name) for name in sorted(os.listdir(args.lists))]
        else:
            paths = [os.path.join(folder, "made_up.json")]
            made_up_list(paths[0])
        runs = []
        for i, path in enumerate(paths):
            run = os.path.join(folder, str(i))
            os.mkdir(run)
            runs.append((path, run) + answer(args.groma, path, run, rng))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = 0
        for rule in ("groma", "mdetr", "ferret"):
            start = time.time()
            for path, run, right, count in runs:
                out = subprocess.run([args.groma, "eval", "score", run, "--protocol", "rec",
                                      "--annotations", path, "--rule", rule, "--json"],
                                     check=True, capture_output=True, text=True).stdout
                figure = json.loads(out)["accuracy"]
                same = (figure["numerator"], figure["denominator"]) == (right[rule], count)
                bad += not same
                print("%-8s %-24s %6d / %6d  %s" % (rule, os.path.basename(path), right[rule], count,
                                                    "equal" if same else f"NOT {figure}"))
            seconds = max(seconds, time.time() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 3
        memory = after.ru_maxrss / 1024
        count = sum(run[3] for run in runs)
        print("%d expressions: %.2f s processor time with program starts, %.2f s by the clock, at "
              "most %.0f MiB" % (count, processor, seconds, memory))
        bad += memory > 500
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
