#!/usr/bin/env python3
"""Measures pointing, masks, confidence and tiles on drawn scenes, whose truth is known.

    groma synth --out scenes --scenes 150 --seed 777 --test --world both
    python3 scripts/measure_beyond_boxes.py pointing -m models/groma-tiny scenes
    python3 scripts/measure_beyond_boxes.py masks -m models/groma-tiny scenes
    python3 scripts/measure_beyond_boxes.py masked -m models/groma-tiny scenes
    python3 scripts/measure_beyond_boxes.py confidence -m models/groma-tiny scenes [--fit OUT.json]
    python3 scripts/measure_beyond_boxes.py tiles -m models/groma-tiny scenes
    python3 scripts/measure_beyond_boxes.py far -m models/groma-tiny scenes

`--program` names the program (default build/bin/groma). Needs numpy and Pillow.
"""

import argparse
import json
import math
import os
import random
import subprocess
import tempfile
import time

import numpy
from PIL import Image


def runs_to_mask(size, counts):
    """Decodes COCO's lengths of runs, a list or the compressed string."""
    if isinstance(counts, str):
        text, counts, at = counts, [], 0
        while at < len(text):
            value, shift, more = 0, 0, True
            while more:
                bits = ord(text[at]) - 48
                value |= (bits & 0x1F) << shift
                shift += 5
                at += 1
                more = bits & 0x20
                if not more and bits & 0x10:
                    value |= -1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    flat = numpy.zeros(size[0] * size[1], bool)
    at, inside = 0, False
    for run in counts:
        flat[at : at + run] = inside
        at, inside = at + run, not inside
    return flat.reshape(size[1], size[0]).T


def read_scenes(folder):
    """Yields (picture, [(box, mask)]) of every scene."""
    with open(os.path.join(folder, "instances.json"), encoding="utf-8") as file:
        truth = json.load(file)
    objects = {}
    for one in truth["annotations"]:
        x, y, w, h = one["bbox"]
        mask = runs_to_mask(one["segmentation"]["size"], one["segmentation"]["counts"])
        objects.setdefault(one["image_id"], []).append(((x, y, x + w, y + h), mask))
    for image in truth["images"]:
        yield os.path.join(folder, image["file_name"]), objects.get(image["id"], [])


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
    return width * height / (area(a) + area(b) - width * height)


def converse(args, lines, *options):
    """Feeds lines to one conversation; returns its answers."""
    command = [args.program, "chat", "-m", args.model, "--json", "-t", str(args.threads), *options]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode or "groma:" in done.stderr:
        raise SystemExit(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def share(name, hits, total):
    """A line with Wilson's 95 % interval."""
    p, z = hits / max(1, total), 1.96
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    print(f"{name}: {p:.3f} ({hits} / {total}; {middle - half:.3f} to {middle + half:.3f})")


def hull(points):
    """Corners of the convex hull, in order."""
    points = sorted(set(map(tuple, points)))

    def half(sequence):
        out = []
        for p in sequence:
            while len(out) > 1 and (out[-1][0] - out[-2][0]) * (p[1] - out[-2][1]) <= (
                out[-1][1] - out[-2][1]
            ) * (p[0] - out[-2][0]):
                out.pop()
            out.append(p)
        return out[:-1]

    return half(points) + half(points[::-1])


def shapes_of(mask, choose):
    """Ways to point at an object: a click, a click near its middle, a scribble, a polygon."""
    ys, xs = numpy.nonzero(mask)
    pick = lambda: (k := choose.randrange(len(xs)), (xs[k] + 0.5, ys[k] + 0.5))[1]
    yield "click anywhere on it", "/point", [pick()]
    # Where people click: as far from the edge as may be.
    inner, last = mask.copy(), mask
    while inner.any():
        last = inner
        padded = numpy.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    cy, cx = numpy.argwhere(last)[choose.randrange(int(last.sum()))]
    yield "click in its middle", "/point", [(cx + 0.5, cy + 0.5)]
    line = [pick() for _ in range(4)]
    yield "scribble of four places", "/scribble", line
    corners = hull([(x + dx, y + dy) for x, y in zip(xs, ys) for dx in (0, 1) for dy in (0, 1)])
    if len(corners) >= 3:
        yield "polygon", "/polygon", corners


def measure_pointing(args):
    choose = random.Random(args.seed)
    plans, lines = [], []
    for picture, objects in read_scenes(args.scenes):
        plan = []
        lines.append(f"/image {picture}")
        for number, (_, mask) in enumerate(objects):
            if not mask.any():
                continue
            for kind, command, places in shapes_of(mask, choose):
                plan.append((kind, number))
                text = ";".join(f"{x:g},{y:g}" for x, y in places)
                lines.append(f"{command} {text}")
        lines.append("?")
        plans.append((plan, objects))
    answers = converse(args, lines, "-n", "1")
    assert len(answers) == len(plans), "an answer is missing"
    hits, totals, without = {}, {}, 0
    for answer, (plan, objects) in zip(answers, plans):
        proposed = [r["box"] for r in answer["regions"] if not r["given"]]
        for (kind, number), referent in zip(plan, answer["referents"]):
            truth = objects[number][0]
            if not any(iou(box, truth) > 0.5 for box in proposed):
                without += 1
                continue
            totals[kind] = totals.get(kind, 0) + 1
            hits[kind] = hits.get(kind, 0) + (iou(referent["box"], truth) > 0.5)
    for kind, total in totals.items():
        share(f"{kind}: region with IoU > 0.5", hits[kind], total)
    print(f"left out, as no region has IoU > 0.5: {without}")


def measure_masks(args):
    """Mask IoU of the regions that describe an object, beside that of the plain boxes."""
    scenes = list(read_scenes(args.scenes))
    lines = [line for picture, _ in scenes for line in (f"/image {picture}", "Describe the image.")]
    answers = converse(args, lines, "--masks", "--grounded")
    found, plain, exact = [], [], []
    for answer, (_, objects) in zip(answers, scenes):
        named = {r["region"]: r for phrase in answer["phrases"] for r in phrase["regions"]}
        for region in named.values():
            box, mask = max(objects, key=lambda o: iou(region["box"], o[0]))
            if iou(region["box"], box) <= 0.5:
                continue
            cut = runs_to_mask(region["mask"]["size"], region["mask"]["counts"])
            whole = numpy.zeros_like(cut)
            x1, y1, x2, y2 = (round(v) for v in region["box"])
            whole[y1:y2, x1:x2] = True
            overlap = lambda a: (a & mask).sum() / (a | mask).sum()
            found.append(overlap(cut))
            plain.append(overlap(whole))
    print(f"mask IoU: mean {numpy.mean(found):.3f}, median {numpy.median(found):.3f}, ", end="")
    print(f"above 0.5 {numpy.mean(numpy.array(found) > 0.5):.3f}, of {len(found)} regions")
    print(f"the plain boxes instead: mean {numpy.mean(plain):.3f}")


def logit(p):
    p = numpy.clip(p, 1e-6, 1 - 1e-6)
    return numpy.log(p / (1 - p))


def calibration_error(confidence, right, bins=10):
    error = 0.0
    for low in range(bins):
        inside = (confidence >= low / bins) & (confidence < (low + 1) / bins + (low == bins - 1))
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return error


def area_under_curve(positive, negative):
    wins = sum((p > negative).sum() + 0.5 * (p == negative).sum() for p in positive)
    return wins / (len(positive) * len(negative))


def expressions_of(folder):
    """(picture, expression, boxes of its target) and (picture, expression that fits nothing)."""
    here, absent = [], []
    with open(os.path.join(folder, "rec.jsonl"), encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            here.append((line["image"], line["text"], line["boxes"][0]))
    # What is said of another scene, where this one has nothing of these words: the chat's own
    # questions about absent things.
    with open(os.path.join(folder, "chat.jsonl"), encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["kind"] == "absent" and "<p>" in line["text"]:
                words = line["text"].split("<p>")[1].split("</p>")[0]
                absent.append((line["image"], words, None))
    return here, absent


def measure_confidence(args):
    here, absent = expressions_of(args.scenes)
    choose = random.Random(args.seed)
    for asked in (here, absent):
        choose.shuffle(asked)
        del asked[args.limit :]
    rows = []
    for picture, expression, target in here + absent:
        command = [args.program, "rank", "-m", args.model, "--json", "--top", "1"]
        command += ["-t", str(args.threads), "--image", os.path.join(args.scenes, picture)]
        command += ["-p", expression]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        best = found["regions"][0]
        right = target is not None and iou(best["box"], target) > 0.5
        p = found["present"] * best["probability"]
        rows.append((target is not None, right, best["score"], p, best["confidence"]))
    rows = numpy.array(rows, float)
    there, right, score, p, confidence = rows.T
    there, right = there > 0, right > 0
    if args.fit:
        x = numpy.stack([numpy.ones(len(rows)), logit(score), logit(p)], 1)
        w = numpy.zeros(3)
        for _ in range(50):  # Newton's method; a little ridge keeps it from running away
            q = 1 / (1 + numpy.exp(-x @ w))
            step = x.T @ (q - right) + 1e-3 * w
            w -= numpy.linalg.solve((x * (q * (1 - q))[:, None]).T @ x + 1e-3 * numpy.eye(3), step)
        with open(args.fit, "w", encoding="utf-8") as file:
            names = dict(zip(("bias", "score", "token"), (round(float(v), 4) for v in w)))
            file.write(json.dumps(names) + "\n")
        print(f"wrote {args.fit}: {names}")
        confidence = 1 / (1 + numpy.exp(-x @ w))
    share("first of the ranking is right", int(right[there].sum()), int(there.sum()))
    for name, values in (("confidence", confidence), ("token", p), ("proposal score", score)):
        print(f"{name}: calibration error {calibration_error(values, right):.3f}, ", end="")
        print(f"of expressions for things that are there {calibration_error(values[there], right[there]):.3f}")
        print(f"  AUROC of there / not there {area_under_curve(values[there], values[~there]):.3f}")
    print(f"{there.sum()} expressions for things that are there, {(~there).sum()} for absent ones")


def measure_tiles(args):
    """Recall of small objects: scenes joined to mosaics, so that each is a fraction of its size."""
    scenes = list(read_scenes(args.scenes))
    side, per = args.mosaic, args.mosaic * args.mosaic
    with tempfile.TemporaryDirectory() as folder:
        mosaics = []
        for first in range(0, len(scenes) - per + 1, per):
            objects = []
            tile = Image.open(scenes[first][0]).size[0]
            picture = Image.new("RGB", (tile * side, tile * side))
            for k, (name, found) in enumerate(scenes[first : first + per]):
                x, y = tile * (k % side), tile * (k // side)
                picture.paste(Image.open(name).convert("RGB"), (x, y))
                objects += [(b[0] + x, b[1] + y, b[2] + x, b[3] + y) for b, _ in found]
            path = os.path.join(folder, f"{first}.png")
            picture.save(path)
            mosaics.append((path, objects, tile * side))
        for tiles in ("1", "3", *args.tiles):
            small = [0, 0]
            every = [0, 0]
            begun = time.time()
            for path, objects, width in mosaics:
                command = [args.program, "propose", "-m", args.model, "--json", "--image", path]
                command += ["-t", str(args.threads), "--tiles", tiles]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                boxes = [r["box"] for r in json.loads(done.stdout)["regions"]]
                for truth in objects:
                    hit = any(iou(box, truth) > 0.5 for box in boxes)
                    every[0] += hit
                    every[1] += 1
                    # COCO's limit of small, in a picture of 640 pixels a side
                    area = (truth[2] - truth[0]) * (truth[3] - truth[1]) * (640 / width) ** 2
                    if area < 32 * 32:
                        small[0] += hit
                        small[1] += 1
            print(f"--tiles {tiles}: {(time.time() - begun) / len(mosaics):.2f} s a picture")
            share("  recall of small objects at IoU 0.5", *small)
            share("  recall of all objects at IoU 0.5", *every)


def measure_far(args):
    """REC where things are far away: each scene is a small part of a wide picture of its own."""
    side = args.mosaic
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(args.scenes, "rec.jsonl"), encoding="utf-8") as lines:
            asked = [json.loads(line) for line in lines]
        # "Large" is said of what is large in its picture, which nothing is any more.
        asked = [q for q in asked if not {"small", "medium", "large"} & set(q["text"].split())]
        choose, corners = random.Random(args.seed), {}
        for question in asked:
            name = question["image"]
            if name not in corners:
                scene = Image.open(os.path.join(args.scenes, name)).convert("RGB")
                width, height = scene.size
                ground = scene.resize((1, 1)).getpixel((0, 0))
                wide = Image.new("RGB", (width * side, height * side), ground)
                corner = (choose.randrange(width * (side - 1)), choose.randrange(height * (side - 1)))
                wide.paste(scene, corner)
                os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
                wide.save(os.path.join(folder, name))
                corners[name] = corner, wide.size
            (x, y), (question["width"], question["height"]) = corners[name]
            question["boxes"] = [[a + x, b + y, c + x, d + y] for a, b, c, d in question["boxes"]]
        truth = os.path.join(folder, "far.jsonl")
        with open(truth, "w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(question) + "\n" for question in asked)
        for number, options in enumerate(([], ["--tiles", "3"],
                                          ["--tiles", "3", "--tile-features"])):
            command = [args.program, "eval", "run", "--protocol", "rec", "-m", args.model, "--json"]
            command += ["--annotations", truth, "--images", folder, "-t", str(args.threads)]
            command += ["-o", os.path.join(folder, f"run{number}"), *options]
            begun = time.time()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds = (time.time() - begun) / len(corners)
            found = json.loads(done.stdout)
            print(f"{' '.join(options) or 'whole picture'}: {seconds:.2f} s a picture")
            share("  REC", int(found["accuracy"]["numerator"]), len(asked))
            print(f"  not proposed: {found['errors']['not_proposed']}")


def measure_masked(args):
    """Captions of objects from box features and from features of their pixels alone."""
    lines, truths = [], []
    scenes = {name: objects for name, objects in read_scenes(args.scenes)}
    with open(os.path.join(args.scenes, "caption.jsonl"), encoding="utf-8") as captions:
        questions = [json.loads(line) for line in captions]
    right = {False: 0, True: 0}
    with tempfile.TemporaryDirectory() as folder:
        for question in questions:
            picture = os.path.join(args.scenes, question["image"])
            target = max(scenes[picture], key=lambda o: iou(o[0], question["boxes"][0]))
            file = os.path.join(folder, "mask.png")
            Image.fromarray(target[1]).convert("L").save(file)
            for masked in (False, True):
                command = [args.program, "chat", "-m", args.model, "--json", "--image", picture]
                command += ["-t", str(args.threads), "-p", "What is <box>?"]
                if masked:
                    command += ["--mask", file, "--masked"]
                else:
                    command += ["--join", "--box", ",".join(map(str, target[0]))]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                expected = set(question["refs"])
                right[masked] += json.loads(done.stdout)["text"].strip(" .") in expected
    share("caption exact, box features", right[False], len(questions))
    share("caption exact, masked features", right[True], len(questions))


def main():
    measures = {
        "pointing": measure_pointing,
        "masks": measure_masks,
        "masked": measure_masked,
        "confidence": measure_confidence,
        "tiles": measure_tiles,
        "far": measure_far,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=measures)
    parser.add_argument("scenes", help="a folder of groma synth")
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--program", default="build/bin/groma")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fit", help="confidence: fit on these scenes and write the file")
    parser.add_argument("--limit", type=int, default=10**6, help="confidence: most of each kind")
    parser.add_argument("--mosaic", type=int, default=3, help="tiles, far: scenes a side")
    parser.add_argument("--tiles", nargs="*", default=[], help="tiles: further values to try")
    args = parser.parse_args()
    measures[args.what](args)


if __name__ == "__main__":
    main()
