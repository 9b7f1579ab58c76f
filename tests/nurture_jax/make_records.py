"""A small data set on disk: four infants, two visits each, some frames annotated."""
from __future__ import annotations

import csv
import json
import struct
from pathlib import Path

import numpy as np
from make_videos import write_video

COLUMNS = ("infant_id", "visit_id", "video", "age_days", "sex", "gestational_age_days",
           "birth_weight_g", "site", "device", "weight_g", "length_cm", "head_cm", "chest_cm",
           "arm_cm")
BODY = [[10 + 2 * i, 12 + i, 2] for i in range(17)]


def rows(infants: int = 4) -> list[dict]:
    return [dict(
        infant_id=f"n{i}", visit_id=str(j), video=f"videos/n{i}_{j}.mp4", age_days=str(1 + 7 * j),
        sex="FM"[i % 2], gestational_age_days=str(265 + i), birth_weight_g=str(2800 + 100 * i),
        site="a", device="phone", weight_g=str(2750 + 100 * i + 50 * j), length_cm="48.5",
        head_cm="34", chest_cm="" if j else "32", arm_cm="") for i in range(infants)
        for j in range(2)]


def write_csv(folder: Path, table: list[dict], columns=COLUMNS) -> None:
    with open(folder / "visits.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)


def coco(width: int = 96, height: int = 64) -> dict:
    """Two frames of the first video, one of the third, polygons and RLE."""
    images = [dict(id=1, video="videos/n0_0.mp4", frame_index=9, width=width, height=height),
              dict(id=2, video="videos/n0_0.mp4", time_s=1.25, width=width, height=height),
              dict(id=3, video="videos/n1_0.mp4", frame_index=0, width=width, height=height)]
    runs = [width * height // 2, width * height - width * height // 2]  # the right half
    marks = [dict(id=1, image_id=1, category_id=1, keypoints=np.ravel(BODY).tolist(),
                  segmentation=[[12, 20, 28, 20, 28, 36, 12, 36]]),
             dict(id=2, image_id=1, category_id=2, keypoints=[40, 50, 2, 70, 50, 1],
                  segmentation=[[40, 48, 70, 48, 70, 52, 40, 52]]),
             dict(id=3, image_id=2, category_id=1,
                  segmentation=dict(size=[height, width], counts=runs))]
    return dict(images=images, annotations=marks,
                categories=[dict(id=1, name="newborn"), dict(id=2, name="reference_object")])


def mark(video: Path, number: int) -> None:
    """Makes a file of its own out of a copy: a box that players skip holds the number."""
    with video.open("ab") as file:
        file.write(struct.pack(">I4sI", 12, b"free", number))


def write_records(folder: Path, infants: int = 4, marks: bool = True, first: int = 0) -> Path:
    """`first`: number of the first recording; other numbers are other files."""
    (folder / "videos").mkdir(parents=True)
    table = rows(infants)
    for i, row in enumerate(table):
        write_video(folder / row["video"], times_s=np.arange(20 + i % 3) / 15)
        mark(folder / row["video"], first + i)
    write_csv(folder, table)
    if marks:
        (folder / "annotations.json").write_text(json.dumps(coco()))
    return folder
