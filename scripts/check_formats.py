#!/usr/bin/env python3
"""Reads folders written by `groma chat --out` again with the tools that the formats are meant for.

    python3 -m venv venv && venv/bin/pip install pycocotools supervision
    groma chat -m MODEL --image PICTURES --grounded -p "Describe the image." --out coco --format coco
    groma chat -m MODEL --image PICTURES --grounded -p "Describe the image." --out yolo --format yolo
    venv/bin/python scripts/check_formats.py PICTURES coco yolo

With --masks a line of YOLO is the outline of a part, not a box; leave it out here. Fails unless
pycocotools and supervision find in both the boxes that answers.jsonl holds.
"""

import json
import os
import sys

import numpy
import supervision
from pycocotools.coco import COCO


def boxes_of(answers):
    """All boxes of the answers about each picture, in order."""
    return {
        answer["image"]["file"]: numpy.array(
            [region["box"] for phrase in answer["phrases"] for region in phrase["regions"]]
        ).reshape(-1, 4)
        for answer in answers
    }


def read_answers(folder):
    with open(os.path.join(folder, "answers.jsonl"), encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def check(name, found, expected, tolerance):
    difference = 0.0
    assert set(found) >= {file for file in expected if len(expected[file])}, f"{name}: files differ"
    for file, boxes in expected.items():
        if not len(boxes):
            continue
        assert len(found[file]) == len(boxes), f"{name}: {file}: {len(found[file])} boxes"
        difference = max(difference, float(abs(found[file] - boxes).max()))
    assert difference <= tolerance, f"{name}: boxes differ by {difference} pixels"
    count = sum(map(len, expected.values()))
    print(f"{name}: {count} boxes of {len(expected)} pictures, largest difference {difference:.2g}")


def main(pictures, coco_folder, yolo_folder):
    expected = boxes_of(read_answers(coco_folder))
    annotations = os.path.join(coco_folder, "annotations.json")
    coco = COCO(annotations)
    found = {}
    for image in coco.loadImgs(coco.getImgIds()):
        boxes = [coco.anns[i]["bbox"] for i in coco.getAnnIds(imgIds=image["id"])]
        boxes = numpy.array(boxes).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found[image["file_name"]] = boxes
    check("pycocotools", found, expected, 1e-3)

    by_path = lambda dataset: {
        os.path.relpath(path, pictures): detections.xyxy for path, _, detections in dataset
    }
    dataset = supervision.DetectionDataset.from_coco(pictures, annotations)
    check("supervision, coco", by_path(dataset), expected, 1e-3)
    dataset = supervision.DetectionDataset.from_yolo(
        pictures, os.path.join(yolo_folder, "labels"), os.path.join(yolo_folder, "data.yaml")
    )
    # Six decimals of a side.
    check("supervision, yolo", by_path(dataset), boxes_of(read_answers(yolo_folder)), 0.01)
    print("classes:", ", ".join(dataset.classes[:5]), "...")


if __name__ == "__main__":
    main(*sys.argv[1:])
