#!/usr/bin/env python3
"""Compares `groma eval score` with the reference tools, number for number.

    python3 -m venv /tmp/metrics && /tmp/metrics/bin/pip install \
        pycocotools==2.0.11 lvis==0.5.3 pycocoevalcap==1.2
    /tmp/metrics/bin/python scripts/compare_metrics.py --groma build/bin/groma [--cases 1000]

Boxes: the edge cases of the LVIS and COCO rules, random cases (ties, empty classes, crowds, ignored,
out of range, negative and non-exhaustive categories, empty boxes, more than 300 detections, ids of 0)
and, with --lvis FILE, seeded random detections on a real annotation file. The whole precision and
recall arrays must be equal; the means may differ by 1e-12.
Captions: random corpora on tokenised text; CIDEr-D, BLEU and ROUGE-L may differ by 1e-9. With
--captions FILE (one caption a line) and Java: how many captions our tokenizer splits differently.

--record FOLDER writes small cases with the reference's numbers, which the C++ tests read.
Exit status 1 when anything differs.
"""

import argparse
import contextlib
import copy
import io
import json
import logging
import os
import random
import subprocess
import sys
import tempfile

import numpy

if not hasattr(numpy, "float"):
    numpy.float = float  # lvis 0.5.3 uses the name that NumPy 1.24 dropped

from lvis import LVIS, LVISEval, LVISResults
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

logging.disable(logging.WARNING)  # lvis warns of every list it is given

COCO_NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR@1", "AR@10", "AR@100", "ARs", "ARm",
              "ARl"]
TOLERANCE = 1e-12


class Case:
    """Truth and detections, with the rules to score them by."""

    def __init__(self, name, metric, truth, detections, strict=False, one_class=False):
        self.name, self.metric, self.truth, self.detections = name, metric, truth, detections
        self.strict, self.one_class = strict, one_class


# --- the reference tools --------------------------------------------------------------------------


def renumbered(truth):
    """Ids from 1: the reference tools never count a truth of id 0 as found."""
    truth = copy.deepcopy(truth)
    for number, box in enumerate(truth["annotations"]):
        box["id"] = number + 1
    return truth


def reference_lvis(truth, detections, folder):
    path = os.path.join(folder, "reference_truth.json")
    with open(path, "w") as file:
        json.dump(truth, file)
    gt = LVIS(path)
    run = LVISEval(gt, LVISResults(gt, copy.deepcopy(detections)), "bbox")
    run.run()
    values = {name: run.results[name] for name in
              ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"]}
    values["AR"] = run.results["AR@300"]
    values["AR50"] = run._summarize("ar", iou_thr=0.5)
    values["AR75"] = run._summarize("ar", iou_thr=0.75)
    for size in "sml":
        values["AR" + size] = run.results["AR%s@300" % size]
    precision = run.eval["precision"][..., None]
    recall = run.eval["recall"][..., None]
    return values, precision, recall


def reference_coco(truth, detections, one_class):
    gt = COCO()
    gt.dataset = copy.deepcopy(truth)
    gt.createIndex()
    run = COCOeval(gt, gt.loadRes(copy.deepcopy(detections)), "bbox")
    if one_class:
        run.params.useCats = 0
    run.evaluate()
    run.accumulate()
    run.summarize()
    return dict(zip(COCO_NAMES, run.stats)), run.eval["precision"], run.eval["recall"]


def reference(case, folder):
    truth = case.truth if case.strict else renumbered(case.truth)
    with contextlib.redirect_stdout(io.StringIO()):
        if case.metric == "lvis":
            return reference_lvis(truth, case.detections, folder)
        return reference_coco(truth, case.detections, case.one_class)


# --- ours -----------------------------------------------------------------------------------------


def ours(groma, case, folder):
    truth, found, arrays = (os.path.join(folder, name) for name in
                            ["truth.json", "detections.json", "arrays.json"])
    for path, value in [(truth, case.truth), (found, case.detections)]:
        with open(path, "w") as file:
            json.dump(value, file)
    command = [groma, "eval", "score", "--metric", case.metric, "--annotations", truth,
               "--detections", found, "--json", "--arrays", arrays]
    command += ["--strict-reference"] if case.strict else []
    command += ["--one-class"] if case.one_class else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s: groma failed: %s" % (case.name, done.stderr))
    figures = json.loads(done.stdout)
    with open(arrays) as file:
        whole = json.load(file)
    t, r, k, a, m = (int(n) for n in whole["shape"])
    precision = numpy.array(whole["precision"]).reshape(t, r, k, a, m)
    recall = numpy.array(whole["recall"]).reshape(t, k, a, m)
    return {name: entry["value"] for name, entry in figures.items()
            if isinstance(entry, dict)}, precision, recall


def compare(groma, case, folder):
    """Largest difference of a summary number; raises when an array differs at all."""
    values, precision, recall = reference(case, folder)
    our_values, our_precision, our_recall = ours(groma, case, folder)
    for name, a, b in [("precision", precision, our_precision), ("recall", recall, our_recall)]:
        if a.shape != b.shape or not numpy.array_equal(a, b):
            raise RuntimeError("%s: %s arrays differ" % (case.name, name))
    if set(values) != set(our_values):
        raise RuntimeError("%s: other numbers: %s" % (case.name, set(values) ^ set(our_values)))
    worst = max(abs(values[name] - our_values[name]) for name in values)
    if not worst <= TOLERANCE:
        raise RuntimeError("%s: off by %g" % (case.name, worst))
    return worst, values


# --- cases ----------------------------------------------------------------------------------------


def lvis_truth(boxes, images=1, categories=(1,), negative=(), size=100):
    """boxes: (id, image, category, [x, y, w, h])."""
    return {
        "images": [{"id": i + 1, "width": size, "height": size, "file_name": "%d.jpg" % (i + 1),
                    "neg_category_ids": list(negative), "not_exhaustive_category_ids": []}
                   for i in range(images)],
        "categories": [{"id": c, "name": "c%d" % c, "frequency": "rcf"[c % 3]}
                       for c in categories],
        "annotations": [{"id": i, "image_id": image, "category_id": c, "bbox": b,
                         "area": b[2] * b[3], "iscrowd": 0} for i, image, c, b in boxes]}


def found(boxes):
    """boxes: (image, category, [x, y, w, h])."""
    return [{"image_id": i, "category_id": c, "bbox": b, "score": 1.0} for i, c, b in boxes]


def edge_cases():
    """Each with the six average recalls that both tools must give."""
    box, other = [10, 10, 50, 50], [70, 70, 20, 20]
    one = lvis_truth([(1, 1, 1, box)])
    two = lvis_truth([(1, 1, 1, box), (2, 1, 1, other)])
    zero = lvis_truth([(0, 1, 1, box)])
    means = lvis_truth([(1, 1, 1, box), (2, 2, 1, box), (3, 3, 1, box), (4, 1, 2, box)], images=3,
                       categories=(1, 2))
    return [
        ("one", one, found([(1, 1, box)]), False, [1, 1, 1, -1, 1, -1]),
        ("id 0, strict", zero, found([(1, 1, box)]), True, [0, 0, 0, -1, 0, -1]),
        ("id 0", zero, found([(1, 1, box)]), False, [1, 1, 1, -1, 1, -1]),
        ("twice", two, found([(1, 1, box)] * 2), False, [0.5, 0.5, 0.5, 0, 1, -1]),
        ("both", two, found([(1, 1, box), (1, 1, other)]), False, [1, 1, 1, 1, 1, -1]),
        ("thin", one, found([(1, 1, [10, 10, 0, 50])]), False, [0, 0, 0, -1, 0, -1]),
        ("empty truth", lvis_truth([(1, 1, 1, box), (2, 1, 1, [10, 10, 0, 0])]),
         found([(1, 1, box)]), False, [1, 1, 1, -1, 1, -1]),
        ("unknown category", lvis_truth([(1, 1, 1, box)], categories=(1, 2)),
         found([(1, 1, box), (1, 2, box)]), False, [1, 1, 1, -1, 1, -1]),
        ("two images", lvis_truth([(1, 1, 1, box), (2, 2, 1, box)], images=2),
         found([(1, 1, box)]), False, [0.5, 0.5, 0.5, -1, 0.5, -1]),
        ("two categories", means, found([(i, 1, box) for i in (1, 2, 3)]), False,
         [0.5, 0.5, 0.5, -1, 0.5, -1]),
        ("IoU 0.75", lvis_truth([(1, 1, 1, [0, 0, 4, 1])]), found([(1, 1, [0, 0, 3, 1])]), False,
         [0.6, 1, 1, 0.6, -1, -1]),
        ("IoU 0.6", lvis_truth([(1, 1, 1, [0, 0, 5, 1])]), found([(1, 1, [0, 0, 3, 1])]), False,
         [0.3, 1, 0, 0.3, -1, -1]),
        ("301 detections", one, found([(1, 1, [0, 0, 1, 1])] * 300 + [(1, 1, box)]), False,
         [0, 0, 0, -1, 0, -1]),
        ("equal overlaps", lvis_truth([(1, 1, 1, [0, 0, 10, 10]), (2, 1, 1, [0, 0, 10, 9])]),
         found([(1, 1, [0, 0, 10, 9.5]), (1, 1, [0, 0, 10, 10])]), False,
         [0.95, 1, 1, 0.95, -1, -1]),
    ]


def random_box(rng, side):
    """On a coarse grid, so that overlaps tie; some empty, some outside the image."""
    step = rng.choice([1, 2, 4, 0.5])
    grid = lambda low, high: rng.randint(low, high) * step
    if rng.random() < 0.3:
        return [rng.uniform(-20, side), rng.uniform(-20, side), rng.uniform(0, side),
                rng.uniform(0, side)]
    return [grid(-2, 12), grid(-2, 12), grid(0, 10), grid(0, 10)]


def near(rng, box):
    """A detection that overlaps a truth."""
    if rng.random() < 0.3:
        return list(box)
    return [v + rng.choice([0, 0, 0.5, 1, -1, rng.uniform(-3, 3)]) for v in box[:2]] + \
           [max(0, v + rng.choice([0, 0, 0.5, -0.5, 1, rng.uniform(-2, 2)])) for v in box[2:]]


def random_case(number, metric, small=False):
    rng = random.Random("%s %d" % (metric, number))
    lvis = metric == "lvis"
    images = rng.sample(range(1, 50), rng.randint(1, 3 if small else 6))
    categories = rng.sample(range(1, 30), rng.randint(1, 3 if small else 5))
    side = rng.choice([20, 40, 100, 300])
    first_id = rng.choice([0, 1, 1, 5])
    annotations = []
    for _ in range(rng.choice([0, 1, 3, 6] if small else [0, 1, 3, 10, 40])):
        box = random_box(rng, side)
        area = box[2] * box[3] * rng.choice([1, 1, 0.7, 0.3])
        area = rng.choice([area, area, area, 0, 1024, 9216, 5000.0, 20000.0])
        annotations.append({
            "id": first_id + len(annotations), "image_id": rng.choice(images),
            "category_id": rng.choice(categories[:-1] or categories), "bbox": box, "area": area,
            "iscrowd": int(rng.random() < 0.15)})
        if rng.random() < 0.2:
            annotations[-1]["ignore"] = rng.randint(0, 1)
    many = not small and rng.random() < 0.1
    scores = rng.choice([[1.0], [0.2, 0.5, 0.9], None])
    detections = []
    for _ in range(rng.randint(301, 700) if many else rng.randint(1, 8 if small else 60)):
        base = rng.choice(annotations) if annotations and rng.random() < 0.7 else None
        detections.append({
            "image_id": base["image_id"] if base and rng.random() < 0.95 else rng.choice(images),
            "category_id": base["category_id"] if base and rng.random() < 0.9 else
                           rng.choice(categories),
            "bbox": near(rng, base["bbox"]) if base else random_box(rng, side),
            "score": rng.choice(scores) if scores else rng.random()})
    if many:
        for detection in detections[: len(detections) * 3 // 4]:
            detection["image_id"] = images[0]
    truth = {
        "images": [{"id": i, "width": side, "height": side, "file_name": "%d.jpg" % i}
                   for i in images],
        "categories": [{"id": c, "name": "c%d" % c, "frequency": rng.choice("rcf")}
                       for c in categories],
        "annotations": annotations}
    if lvis:
        for image in truth["images"]:
            image["neg_category_ids"] = [c for c in categories if rng.random() < 0.4]
            image["not_exhaustive_category_ids"] = [c for c in categories if rng.random() < 0.3]
    return Case("%s case %d" % (metric, number), metric, truth, detections,
                strict=rng.random() < 0.3, one_class=not lvis and rng.random() < 0.2)


def detections_on(truth, seed, per_image):
    """Made-up detections near and away from the truths of a real file."""
    rng = random.Random(seed)
    by_image = {}
    for box in truth["annotations"]:
        by_image.setdefault(box["image_id"], []).append(box)
    categories = [c["id"] for c in truth["categories"]]
    out = []
    for image in truth["images"]:
        boxes = by_image.get(image["id"], [])
        for _ in range(rng.randint(0, per_image)):
            base = rng.choice(boxes) if boxes and rng.random() < 0.6 else None
            w, h = rng.uniform(1, 300), rng.uniform(1, 300)
            out.append({"image_id": image["id"],
                        "category_id": base["category_id"] if base else rng.choice(categories),
                        "bbox": near(rng, base["bbox"]) if base else
                        [rng.uniform(0, 400), rng.uniform(0, 400), w, h],
                        "score": round(rng.random(), rng.choice([1, 2, 6]))})
    return out


# --- checks ---------------------------------------------------------------------------------------


def check_edges(groma, folder):
    names = ["AR", "AR50", "AR75", "ARs", "ARm", "ARl"]
    for name, truth, detections, strict, expected in edge_cases():
        case = Case(name, "lvis", truth, detections, strict=strict)
        _, values = compare(groma, case, folder)
        if any(abs(values[n] - e) > TOLERANCE for n, e in zip(names, expected)):
            raise RuntimeError("%s: the reference itself gives %s" % (name, values))
    crowd = lvis_truth([(1, 1, 1, [10, 10, 50, 50]), (2, 1, 1, [70, 70, 20, 20])])
    crowd["annotations"][0]["iscrowd"] = 1
    case = Case("crowd", "coco", crowd, found([(1, 1, [12, 12, 20, 20]), (1, 1, [70, 70, 20, 20])]))
    _, values = compare(groma, case, folder)
    expected = [("AP", 1), ("AR@1", 0), ("AR@10", 1)]
    if any(abs(values[name] - value) > TOLERANCE for name, value in expected):
        raise RuntimeError("crowd: the reference itself gives %s" % values)
    print("edge cases: %d agree" % (len(edge_cases()) + 1))


def check_random(groma, folder, cases):
    for metric in ["coco", "lvis"]:
        worst = 0
        for number in range(cases):
            worst = max(worst, compare(groma, random_case(number, metric), folder)[0])
        print("%s: %d random cases agree, arrays equal, summary within %g" % (metric, cases, worst))


def check_file(groma, folder, path):
    with open(path) as file:
        truth = json.load(file)
    for box in truth["annotations"]:
        box.setdefault("iscrowd", 0)
        box.pop("segmentation", None)
    for metric, per_image in [("lvis", 60), ("lvis", 700), ("coco", 60), ("coco", 700)]:
        case = Case("%s on %s" % (metric, path), metric, truth,
                    detections_on(truth, "seed %d" % per_image, per_image))
        worst, values = compare(groma, case, folder)
        print("%s: %d detections, AP %.6f, arrays equal, summary within %g" %
              (case.name, len(case.detections), values["AP"], worst))


# --- captions -------------------------------------------------------------------------------------

CAPTION_NAMES = ["CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"]


def reference_captions(references, hypotheses):
    """Both: {id: [text, ...]}, tokenised."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    cider = Cider().compute_score(references, hypotheses)[0]
    bleu = Bleu(4).compute_score(references, hypotheses, verbose=0)[0]
    rouge = Rouge().compute_score(references, hypotheses)[0]
    return dict(zip(CAPTION_NAMES, [cider, *bleu, rouge]))


def random_captions(number, small=False):
    rng = random.Random("captions %d" % number)
    words = ["w%d" % i for i in range(rng.choice([3, 10, 200]))] + ["café", "'s", "a.b", "\u00e9\u00a0x"]

    def text():
        length = rng.choice([0, 1, 2, 5, 10, 20])
        return rng.choice([" ", " ", " ", "  "]).join(rng.choice(words) for _ in range(length))

    references, hypotheses = {}, {}
    for i in range(rng.choice([1, 2, 5] if small else [1, 2, 5, 30, 100])):
        references[str(i)] = [text() or "w0" if k == 0 else text() for k in range(rng.randint(1, 5))]
        copied = rng.choice(references[str(i)]).split(" ")
        changed = [rng.choice(words) if rng.random() < 0.2 else word for word in copied]
        hypotheses[str(i)] = [" ".join(changed) if rng.random() < 0.7 else text()]
    return references, hypotheses


def our_captions(groma, references, hypotheses, folder, extra=("--tokenized",)):
    paths = [os.path.join(folder, name) for name in ["references.json", "hypotheses.json"]]
    for path, value in zip(paths, [references, hypotheses]):
        with open(path, "w") as file:
            json.dump(value, file)
    done = subprocess.run([groma, "eval", "score", "--metric", "caption", "--references", paths[0],
                           "--hypotheses", paths[1], "--json", *extra],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("captions: groma failed: %s" % done.stderr)
    return {name: entry["value"] for name, entry in json.loads(done.stdout).items()
            if isinstance(entry, dict)}


def check_captions(groma, folder, cases):
    worst = 0
    for number in range(cases):
        references, hypotheses = random_captions(number)
        expected = reference_captions(references, hypotheses)
        values = our_captions(groma, references, hypotheses, folder)
        off = max(abs(expected[name] - values[name]) for name in CAPTION_NAMES)
        if not off <= 1e-9:
            raise RuntimeError("captions case %d: off by %g: %s, %s" % (number, off, expected, values))
        worst = max(worst, off)
    print("captions: %d random corpora agree within %g" % (cases, worst))


def check_tokenizer(groma, folder, path):
    """Tokenises every caption with both, and scores a corpus made of them, METEOR too."""
    import pycocoevalcap.meteor.meteor as meteor
    import pycocoevalcap.tokenizer.ptbtokenizer as ptb
    with open(path) as file:
        texts = [line.rstrip("\n") for line in file if line.strip()]
    theirs = ptb.PTBTokenizer().tokenize({i: [{"caption": t}] for i, t in enumerate(texts)})
    # A corpus in which each caption is its own reference agrees wholly where the words agree.
    by_id = {str(i): theirs[i] for i in range(len(texts))}
    source, target = (os.path.join(folder, name) for name in ["texts", "words"])
    with open(source, "w") as file:
        file.write("\n".join(texts) + "\n")
    done = subprocess.run([groma, "eval", "tokenize", source], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("tokenize: groma failed: %s" % done.stderr)
    lines = done.stdout.split("\n")
    different = [i for i in range(len(texts)) if by_id[str(i)][0] != lines[i]]
    print("tokenizer: %d of %d captions differ" % (len(different), len(texts)))
    for i in different[:5]:
        print("  %r\n    %r\n    %r" % (texts[i], by_id[str(i)][0], lines[i]))
    jars = os.path.dirname(meteor.__file__)
    references = {str(i): [texts[i], texts[i - 1]] for i in range(200)}
    hypotheses = {str(i): [texts[i - 2]] for i in range(200)}
    values = our_captions(groma, references, hypotheses, folder,
                          ["--meteor-jar", os.path.join(jars, "meteor-1.5.jar"), "--ptb-jar",
                           os.path.join(os.path.dirname(ptb.__file__), ptb.STANFORD_CORENLP_3_4_1_JAR)])
    words = {str(i): theirs[i][0] for i in range(len(texts))}
    expected = meteor.Meteor().compute_score(
        {str(i): [words[str(i)], words[str((i - 1) % len(texts))]] for i in range(200)},
        {str(i): [words[str((i - 2) % len(texts))]] for i in range(200)})[0]
    print("METEOR: %.12f, the reference gives %.12f" % (values["METEOR"], expected))
    if abs(values["METEOR"] - expected) > 1e-9:
        raise RuntimeError("METEOR differs")


def record_captions(folder, cases=30):
    path = os.path.join(folder, "captions.jsonl")
    with open(path, "w") as file:
        for number in range(cases):
            references, hypotheses = random_captions(10**6 + number, small=True)
            file.write(json.dumps({
                "references": list(references.values()),
                "hypotheses": [texts[0] for texts in hypotheses.values()],
                "values": {n: float(v) for n, v in
                           reference_captions(references, hypotheses).items()}},
                separators=(",", ":")) + "\n")
    print("recorded %s" % path)


def record(folder, scratch, cases=40):
    """Small random cases with the reference's summary numbers, a line each."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "box_metrics.jsonl")
    with open(path, "w") as file:
        for metric in ["coco", "lvis"]:
            for number in range(cases):
                case = random_case(10**6 + number, metric, small=True)
                values, precision, recall = reference(case, scratch)
                # A checksum of the arrays that the order of their entries changes.
                weigh = lambda a: float(numpy.sum(a.ravel() * (1 + numpy.arange(a.size) % 97)))
                file.write(json.dumps({
                    "metric": metric, "strict": case.strict, "one_class": case.one_class,
                    "truth": case.truth, "detections": case.detections,
                    "values": {n: float(v) for n, v in values.items()},
                    "precision": weigh(precision), "recall": weigh(recall)},
                    separators=(",", ":")) + "\n")
    print("recorded %s" % path)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groma", default="build/bin/groma")
    parser.add_argument("--cases", type=int, default=1000, help="random cases of each metric")
    parser.add_argument("--lvis", help="a real LVIS annotation file")
    parser.add_argument("--captions", help="captions, one a line; needs Java")
    parser.add_argument("--record", help="folder for the C++ tests' recorded cases")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.record:
            record(args.record, folder)
            record_captions(args.record)
            return 0
        try:
            check_edges(args.groma, folder)
            check_random(args.groma, folder, args.cases)
            if args.lvis:
                check_file(args.groma, folder, args.lvis)
            check_captions(args.groma, folder, args.cases)
            if args.captions:
                check_tokenizer(args.groma, folder, args.captions)
        except RuntimeError as failure:
            print("DIFFERENT: %s" % failure)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
