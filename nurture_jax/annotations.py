"""annotations.json (COCO): where the newborn, the reference object and 19 points are.

    images       one for each annotated frame: id, video, width, height (shown pixels), and
                 time_s or frame_index
    categories   newborn, reference_object
    annotations  image_id, category_id, segmentation (polygons or RLE); keypoints as x, y, v:
                 17 body points of a newborn (or all 19), 2 ends of a reference object

Visibility v: 0 not labelled, 1 hidden, 2 seen. A frame in the file is taken as fully annotated.
"""
from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import NoneType

import numpy as np
from pycocotools import mask as coco_mask

from nurture_jax.problems import Problem
from nurture_jax.video import VideoInfo, frame_time

FILE = "annotations.json"
CATEGORIES = ("newborn", "reference_object")  # 1 and 2 in a mask, 0 is neither
BODY_POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle")
REFERENCE_POINTS = ("reference_start", "reference_end")
KEYPOINTS = BODY_POINTS + REFERENCE_POINTS
_POINT_COUNTS = {"newborn": (17, 19), "reference_object": (2,)}


@dataclasses.dataclass(frozen=True)
class Frame:
    """One annotated frame of a video, in shown pixels.

    Attributes:
      time_s: of the frame; None until the video has been looked at.
      frame_index: counted from 0; None where the time was given.
      segments: (category name, polygons or RLE as in the file).
      keypoints: 19 of (x, y, v).
    """

    width: int
    height: int
    time_s: float | None
    frame_index: int | None
    segments: tuple[tuple[str, object], ...]
    keypoints: tuple[tuple[float, float, int], ...]

    def mask(self) -> np.ndarray:
        """[height, width] uint8: 1 newborn (on top), 2 reference object, 0 neither."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for name in reversed(CATEGORIES):
            for category, segment in self.segments:
                if category == name:
                    inside = coco_mask.decode(_to_rle(segment, self.height, self.width))
                    mask[inside > 0] = CATEGORIES.index(name) + 1
        return mask


def read(folder: Path) -> tuple[dict[str, list[tuple[int, Frame]]], list[Problem]]:
    """Annotated frames by video as (image id, frame), and what is wrong with the file.

    Without the file there are none.
    """
    path = folder / FILE
    if not path.is_file():
        return {}, []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = [content[name] for name in ("images", "categories", "annotations")]
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        return {}, [Problem(FILE, f"is not JSON ({error}); export it again as COCO")]
    except (KeyError, TypeError):
        return {}, [Problem(FILE, "lacks images, categories or annotations; export it as COCO")]
    if not all(isinstance(part, list) and all(isinstance(entry, dict) for entry in part)
               for part in parts):
        return {}, [Problem(FILE, "holds something else than lists of images, categories and "
                                  "annotations; export it as COCO")]
    images, categories, annotations = parts
    names, problems = _category_names(categories)
    grouped = {image.get("id"): [] for image in images}
    for annotation in annotations:
        if annotation.get("image_id") in grouped:
            grouped[annotation["image_id"]].append(annotation)
        else:
            problems.append(Problem(
                FILE, f"of annotation {annotation.get('id')} is not an image of the file; give "
                      f"one that is", column="image_id", value=str(annotation.get("image_id"))))
    frames: dict[str, list] = {}
    for image in images:
        frame, found = _frame(image, grouped[image.get("id")], names)
        problems += found
        if frame is not None:
            frames.setdefault(image["video"], []).append((image["id"], frame))
    return frames, problems


def place(frame: Frame, image_id, info: VideoInfo, video: str) -> tuple[Frame, list[Problem]]:
    """The frame with its time in the video, and why it cannot be in it."""
    wrong = lambda column, value, sentence: Problem(
        FILE, f"of image {image_id} {sentence}", column=column, value=str(value))
    problems = []
    if (frame.width, frame.height) != (info.width, info.height):
        problems.append(wrong("width, height", f"{frame.width} x {frame.height}",
                              f"is not the size of {video} as it is shown, {info.width} x "
                              f"{info.height}; annotate upright frames in full size"))
    time_s, count = frame.time_s, len(info.times_s)
    if frame.frame_index is not None and not 0 <= frame.frame_index < count:
        problems.append(wrong("frame_index", frame.frame_index,
                              f"is not a frame of {video}; it has 0 to {count - 1}"))
    elif frame.frame_index is not None:
        time_s = float(info.times_s[frame.frame_index])
    elif not 0 <= time_s <= info.duration_s:
        problems.append(wrong("time_s", time_s, f"is not a time of {video}; it lasts "
                                                f"{info.duration_s:.2f} s"))
    else:
        time_s = frame_time(info, time_s)
    return dataclasses.replace(frame, time_s=time_s), problems


def _category_names(categories) -> tuple[dict, list[Problem]]:
    names = {category.get("id"): category.get("name") for category in categories}
    unknown = [name for name in names.values() if name not in CATEGORIES]
    return names, [Problem(FILE, f"is not a known category; use {' and '.join(CATEGORIES)}",
                           column="categories", value=str(name)) for name in unknown]


def _frame(image: dict, annotations: list, names: dict) -> tuple[Frame | None, list[Problem]]:
    """A Frame of one COCO image and its annotations."""
    problems = []

    def wrong(column, value, sentence):
        problems.append(Problem(FILE, f"of image {image.get('id')} {sentence}", column=column,
                                value=str(value)))

    if not isinstance(image.get("video"), str):
        wrong("video", image.get("video"), "is not a path; every image needs its video")
    for key in ("width", "height"):
        if not isinstance(image.get(key), int) or image[key] < 1:
            wrong(key, image.get(key), "is not a number of pixels; give that of the shown frame")
    time_s, index = image.get("time_s"), image.get("frame_index")
    if not isinstance(index, int if time_s is None else (int, NoneType)) \
            or not isinstance(time_s, (int, float, NoneType)):
        wrong("time_s, frame_index", f"{time_s}, {index}", "is not a time in seconds or a number "
                                                           "of a frame; give one of them")
    if problems:
        return None, problems
    segments, points = [], np.zeros((len(KEYPOINTS), 3))
    for annotation in annotations:
        name = names.get(annotation.get("category_id"))
        if name not in CATEGORIES:
            wrong("category_id", annotation.get("category_id"), "is not a category of the file")
            continue
        if sentence := _check_segment(annotation.get("segmentation"), image):
            wrong("segmentation", name, sentence)
        elif annotation.get("segmentation"):
            segments.append((name, annotation["segmentation"]))
        if sentence := _add_points(points, name, annotation.get("keypoints")):
            wrong("keypoints", name, sentence)
    keypoints = tuple((float(x), float(y), int(v)) for x, y, v in points)
    # The frame number is exact, a time has been rounded.
    return Frame(int(image["width"]), int(image["height"]), time_s, index, tuple(segments),
                 keypoints), problems


def _check_segment(segment, image: dict) -> str:
    if not segment:
        return ""
    if isinstance(segment, dict):
        size = segment.get("size")
        if size != [image["height"], image["width"]]:
            return f"is RLE of size {size}; it must be [{image['height']}, {image['width']}]"
        if not isinstance(segment.get("counts"), (str, list)):
            return "is RLE without counts; export it again"
        if isinstance(segment["counts"], list) and sum(segment["counts"]) != size[0] * size[1]:
            return "is RLE that does not fill the picture; export it again"
        return ""
    polygons_ok = isinstance(segment, list) and all(
        isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
        for polygon in segment)
    return "" if polygons_ok else "is no polygon of three points or more, and no RLE"


def _add_points(points: np.ndarray, name: str, flat) -> str:
    """Writes the keypoints of one annotation into [19, 3]; returns what is wrong."""
    if not flat:
        return ""
    counts = _POINT_COUNTS[name]
    if len(flat) not in [3 * count for count in counts]:
        return (f"has {len(flat)} numbers; it takes x, y, v of "
                f"{' or '.join(map(str, counts))} points")
    found = np.array(flat, float).reshape(-1, 3)
    if not np.isin(found[:, 2], (0, 1, 2)).all():
        return "has a visibility that is not 0, 1 or 2"
    start = 0 if name == "newborn" else len(BODY_POINTS)
    target = points[start:start + len(found)]
    target[found[:, 2] > 0] = found[found[:, 2] > 0]
    return ""


def _to_rle(segment, height: int, width: int):
    if isinstance(segment, list):
        return coco_mask.merge(coco_mask.frPyObjects(segment, height, width))
    if isinstance(segment["counts"], list):
        return coco_mask.frPyObjects(segment, height, width)
    return segment
