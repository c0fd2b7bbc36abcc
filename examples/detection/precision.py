"""Mean average precision of detections, by pycocotools."""

import io
from contextlib import redirect_stdout

import numpy as np
from canvases import CLASSES, SIDE
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def mean_average_precision(detections, canvases):
    """mAP at IoU 0.5, and its mean over 0.5, 0.55 … 0.95."""
    if not any(detections):
        return 0.0, 0.0
    truth = [
        {"id": 0, "image_id": i, "category_id": int(label), "iscrowd": 0, **_place(box)}
        for i, canvas in enumerate(canvases)
        for box, label in zip(canvas.boxes, canvas.labels)
    ]
    for number, one in enumerate(truth, 1):
        one["id"] = number
    found = [
        {"image_id": i, "category_id": label, "score": score, **_place(box)}
        for i, image in enumerate(detections)
        for label, score, box in image
    ]
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "height": SIDE, "width": SIDE} for i in range(len(canvases))],
            "categories": [{"id": label} for label in range(CLASSES)],
            "annotations": truth,
        }
        coco.createIndex()
        scored = COCOeval(coco, coco.loadRes(found), "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return float(scored.stats[1]), float(scored.stats[0])


def _place(box):
    left, top, right, bottom = np.asarray(box, float).tolist()
    width, height = right - left, bottom - top
    return {"bbox": [left, top, width, height], "area": width * height}
