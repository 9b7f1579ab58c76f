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

from nurture_jax.measures import BODY_POINTS, CATEGORIES, KEYPOINTS, REFERENCE_POINTS
from nurture_jax.records.problems import Problem
from nurture_jax.records.video import VideoInfo, frame_time

ImageId = int | str  # of an image or a category in the file
Segment = list[list[float]] | dict  # polygons, or RLE
Parts = tuple[list[dict], list[dict], list[dict]]  # images, categories, annotations
FILE = "annotations.json"
_POINT_COUNTS = {"newborn": (17, 19), "reference_object": (2,)}
MAX_SIDE_PX = 16384  # no video is larger


@dataclasses.dataclass(frozen=True)
class Frame:
    """One annotated frame of a video, in shown pixels.

    Attributes:
      width, height: Size of the shown picture in pixels.
      time_s: Time of the frame; None until the video has been looked at.
      frame_index: Number of the frame, counted from 0; None where the time was given.
      segments: Names of categories with polygons or RLE as in the file.
      keypoints: x, y and v of the 19 points.
    """

    width: int
    height: int
    time_s: float | None
    frame_index: int | None
    segments: tuple[tuple[str, Segment], ...]
    keypoints: tuple[tuple[float, float, int], ...]

    @property
    def has_reference(self) -> bool:
        """Whether an end of the reference object is marked."""
        return any(v > 0 for _, _, v in self.keypoints[-len(REFERENCE_POINTS):])

    def mask(self) -> np.ndarray:
        """The outlines filled: 1 newborn (on top), 2 reference object, 0 neither.

        Returns:
          [height, width] uint8.
        """
        mask = np.zeros((self.height, self.width), np.uint8)
        for name in reversed(CATEGORIES):
            for category, segment in self.segments:
                if category == name:
                    inside = coco_mask.decode(_to_rle(segment, self.height, self.width))
                    mask[inside > 0] = CATEGORIES.index(name) + 1
        return mask


def read(folder: Path) -> tuple[dict[str, list[tuple[ImageId, Frame]]], list[Problem]]:
    """Annotated frames by video, with the ids of their images, and what is wrong with the file.

    Without the file there are none.
    """
    if not (folder / FILE).is_file():
        return {}, []
    parts, problems = load(folder / FILE)
    return parse(*parts) if parts else ({}, problems)


def load(path: Path) -> tuple[Parts | None, list[Problem]]:
    """Images, categories and annotations of a COCO file, or why there are none."""
    wrong = lambda sentence: (None, [Problem(path.name, sentence)])
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = tuple(content[name] for name in ("images", "categories", "annotations"))
    except (ValueError, RecursionError) as error:  # 5000 digits, 1000 brackets
        return wrong(f"is not JSON ({error}); export it again as COCO")
    except (KeyError, TypeError):
        return wrong("lacks images, categories or annotations; export it as COCO")
    if not all(isinstance(part, list) and all(isinstance(entry, dict) for entry in part)
               for part in parts):
        return wrong("holds something else than lists of images, categories and annotations; "
                     "export it as COCO")
    return parts, []


def parse(images: list[dict], categories: list[dict], annotations: list[dict]
          ) -> tuple[dict[str, list[tuple[ImageId, Frame]]], list[Problem]]:
    """Annotated frames by video, as `read`, of the parts of a file."""
    names, problems = _category_names(categories)
    grouped, found = _by_image(images, annotations)
    problems += found
    frames: dict[str, list] = {}
    for image in images:
        image_id = image.get("id")
        # Of two images with one id, the first gets the annotations; the file is refused anyway.
        marks = grouped.pop(image_id, []) if _is_id(image_id) else []
        frame, found = _frame(image, marks, names)
        problems += found
        if frame is not None:
            frames.setdefault(image["video"], []).append((image_id, frame))
    return frames, problems


def place(frame: Frame, image_id: ImageId, info: VideoInfo, video: str
          ) -> tuple[Frame, list[Problem]]:
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


def _is_id(value: object) -> bool:
    return type(value) in (int, str)  # not bool


def _are_numbers(values: object) -> bool:
    """Whether it is a list of finite numbers; no coordinate is anywhere near the limit."""
    return isinstance(values, list) and all(
        type(value) in (int, float) and -1e9 < value < 1e9 for value in values)


def _category_names(categories: list[dict]) -> tuple[dict[ImageId, str], list[Problem]]:
    """Names by id, and ids and names that cannot be used."""
    names, problems = {}, []
    for category in categories:
        category_id, name = category.get("id"), category.get("name")
        if not _is_id(category_id) or category_id in names:
            problems.append(Problem(FILE, f"of category {name!r} is not an id of its own; number "
                                          f"the categories", column="id", value=str(category_id)))
        else:
            names[category_id] = name
        if name not in CATEGORIES:
            problems.append(Problem(
                FILE, f"is not a known category; use {' and '.join(CATEGORIES)}",
                column="categories", value=str(name)))
    return names, problems


def _by_image(images: list[dict], annotations: list[dict]
              ) -> tuple[dict[ImageId, list[dict]], list[Problem]]:
    """Annotations by the id of their image, and ids that cannot be used."""
    grouped, problems = {}, []
    for image in images:
        image_id = image.get("id")
        if _is_id(image_id) and image_id not in grouped:
            grouped[image_id] = []
            continue
        fault = "is also the id of another image" if _is_id(image_id) else "is not an id"
        problems.append(Problem(FILE, f"of an image of {image.get('video')!r} {fault}; give every "
                                      f"image a number of its own", column="id",
                                value=str(image_id)))
    for annotation in annotations:
        image_id = annotation.get("image_id")
        if _is_id(image_id) and image_id in grouped:
            grouped[image_id].append(annotation)
        else:
            problems.append(Problem(
                FILE, f"of annotation {annotation.get('id')} is not an image of the file; give "
                      f"one that is", column="image_id", value=str(image_id)))
    return grouped, problems


def _frame(image: dict, annotations: list[dict], names: dict[ImageId, str]
           ) -> tuple[Frame | None, list[Problem]]:
    """The frame of one COCO image and its annotations, and what is wrong with them.

    Args:
      names: Names of categories by id.
    """
    problem = lambda column, value, sentence: Problem(
        FILE, f"of image {image.get('id')} {sentence}", column=column, value=str(value))
    if faults := _image_faults(image):
        return None, [problem(*fault) for fault in faults]
    segments, points, marked = [], np.zeros((len(KEYPOINTS), 3)), set()
    for annotation in annotations:
        category_id = annotation.get("category_id")
        name = names.get(category_id) if _is_id(category_id) else None
        if name not in CATEGORIES:
            faults.append(("category_id", category_id, "is not a category of the file"))
            continue
        segment = annotation.get("segmentation")
        if sentence := _segment_fault(segment, image["height"], image["width"]):
            faults.append(("segmentation", name, sentence))
        elif segment:
            segments.append((name, segment))
        flat = annotation.get("keypoints")
        if sentence := _add_points(points, name, flat):
            faults.append(("keypoints", name, sentence))
        elif flat and any(flat[2::3]):
            # Several outlines may be parts of one; other points would replace those of the first.
            if name in marked:
                faults.append(("keypoints", name, "is marked twice; leave a picture of two out"))
            marked.add(name)
    keypoints = tuple((float(x), float(y), int(v)) for x, y, v in points)
    # The frame number is exact, a time has been rounded.
    return Frame(image["width"], image["height"], image.get("time_s"), image.get("frame_index"),
                 tuple(segments), keypoints), [problem(*fault) for fault in faults]


def _image_faults(image: dict) -> list[tuple[str, object, str]]:
    """What is wrong with an entry of `images`, as column, value and sentence."""
    faults = []
    if not isinstance(image.get("video"), str):
        faults.append(("video", image.get("video"), "is not a path; every image needs its video"))
    for key in ("width", "height"):
        value = image.get(key)
        if type(value) is not int or not 1 <= value <= MAX_SIDE_PX:
            faults.append((key, value, f"is not 1 to {MAX_SIDE_PX} pixels; give that of the shown "
                                       f"frame"))
    time_s, index = image.get("time_s"), image.get("frame_index")
    if type(time_s) not in (int, float, NoneType) or type(index) not in (int, NoneType) \
            or (time_s is None and index is None):
        faults.append(("time_s, frame_index", f"{time_s}, {index}",
                       "is not a time in seconds or a number of a frame; give one of them"))
    return faults


def _segment_fault(segment: object, height: int, width: int) -> str:
    """Why the outline of an annotation cannot be drawn, or nothing."""
    if segment is None or segment == []:
        return ""
    if isinstance(segment, dict):
        size, counts = segment.get("size"), segment.get("counts")
        if size != [height, width]:
            return f"is RLE of size {size}; it must be [{height}, {width}]"
        runs = _uncompressed(counts) if isinstance(counts, str) else counts
        if not isinstance(runs, list) or any(type(run) is not int or run < 0 for run in runs):
            return "is RLE without run lengths that can be read; export it again"
        return "" if sum(runs) == height * width else ("is RLE that does not fill the picture; "
                                                       "export it again")
    if not isinstance(segment, list) or not all(
            _are_numbers(polygon) and len(polygon) >= 6 and len(polygon) % 2 == 0
            for polygon in segment):
        return "is no polygon of three points or more (finite numbers), and no RLE"
    # A little outside is cut off; far outside is another picture, and drawing it takes for ever.
    far = [xy for polygon in segment for xy in zip(polygon[::2], polygon[1::2], strict=True)
           if not (-width <= xy[0] <= 2 * width and -height <= xy[1] <= 2 * height)]
    return f"has a point at {far[0]}, far outside of {width} x {height} pixels" if far else ""


def _uncompressed(counts: str) -> list[int] | None:
    """Run lengths of COCO's compressed text; None when it is something else.

    Of every character from "0" on, 5 bits are value and the sixth says that more follow; from the
    fourth run on, a run is told as the difference from the one before the last. Written here,
    because pycocotools reads past the end of a damaged text or makes an empty mask of it.
    """
    runs, value, shift = [], 0, 0
    for byte in (ord(character) - 48 for character in counts):
        if not 0 <= byte < 64 or shift > 30:
            return None
        value |= (byte & 31) << shift
        shift += 5
        if byte & 32:
            continue
        if byte & 16:  # negative
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return None if shift else runs


def _add_points(points: np.ndarray, name: str, flat: object) -> str:
    """Writes the keypoints of one annotation into [19, 3]; returns what is wrong."""
    if flat is None or flat == []:
        return ""
    if not _are_numbers(flat):
        return "is not a list of finite numbers; give x, y, v of every point"
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


def _to_rle(segment: Segment, height: int, width: int) -> dict:
    """An outline as COCO's compressed run lengths."""
    if isinstance(segment, list):
        return coco_mask.merge(coco_mask.frPyObjects(segment, height, width))
    if isinstance(segment["counts"], list):
        return coco_mask.frPyObjects(segment, height, width)
    return segment
