"""COCO files of annotation tools, as they export them, into one annotations.json.

What differs from ours, by the sources of the exporters (CVAT 2 with its Datumaro, Label Studio's
SDK 1 and 2), both read in 2026:

    pictures    `file_name` instead of a video and a frame: CVAT keeps the folders of the upload;
                Label Studio writes images/HASH-NAME.jpg, with \\ on Windows, or a path outside
    CVAT        outlines and skeletons are two files (COCO 1.0, COCO Keypoints 1.0); all labels are
                listed as categories, points of skeletons too; brush masks are RLE with `iscrowd`;
                pictures without any mark are in the file; frames of a video are frame_000012.PNG
    Label       all points of a picture are one annotation of a category "default", always visible,
    Studio      in whole pixels; a picture that two people annotated is there twice

Points are told by the names that the category lists, never by their order alone.
"""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nurture_jax.measures import BODY_POINTS, CATEGORIES, KEYPOINTS, REFERENCE_POINTS
from nurture_jax.records import annotations
from nurture_jax.records.frame_list import ListedFrame
from nurture_jax.records.problems import Problem

# Names of labels; a tool does not give an outline and a skeleton the same name.
CATEGORY_OF = {"newborn": "newborn", "newborn_points": "newborn",
               "reference_object": "reference_object", "reference_points": "reference_object"}
POINTS_OF = {"newborn": BODY_POINTS, "reference_object": REFERENCE_POINTS}
_CVAT_VIDEO_FRAME = re.compile(r"frame_(\d{6,})(\.\w+)?")
_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-")


@dataclasses.dataclass(frozen=True)
class Imported:
    """What came of some exports.

    Attributes:
      content: Images, categories and annotations as annotations.json has them.
      problems: What has to be mended first.
      unmarked: Number of pictures without any mark, which are left out unless asked for.
      boxes: Number of annotations that are only a box, which nobody reads.
    """

    content: dict[str, list[dict]]
    problems: tuple[Problem, ...]
    unmarked: int
    boxes: int

    def __str__(self) -> str:
        images = self.content["images"]
        lines = [f"{len(images)} annotated frames of {len({each['video'] for each in images})} "
                 f"videos, {len(self.content['annotations'])} annotations"]
        if self.unmarked:
            lines.append(f"left out: {self.unmarked} pictures without any mark; if they are "
                         f"finished and nothing is in them, give --keep_unmarked")
        if self.boxes:
            lines.append(f"ignored: {self.boxes} boxes without an outline")
        return "\n".join(lines)


def read(exports: Sequence[str | Path], frames: Mapping[str, ListedFrame], *, video: str = "",
         keep_unmarked: bool = False) -> Imported:
    """One annotations.json of what one person annotated, from one or more files of a tool.

    Args:
      exports: COCO files; marks of one picture in several of them are put together.
      frames: The pictures that were given to annotate, by name, see `frame_list.read`.
      video: The video whose frames are called frame_000012, where it was uploaded as a whole.
      keep_unmarked: Whether pictures without any mark are frames in which nothing is.
    """
    merge = _Merge(frames, video)
    for path in map(Path, exports):
        if not path.is_file():
            merge.problems.append(Problem(str(path), "does not exist; give a COCO file"))
            continue
        parts, problems = annotations.load(path)
        merge.problems += problems
        if parts:
            merge.add(path.name, *parts)
    images = {name: image for name, image in merge.images.items()
              if keep_unmarked or merge.marks[name]}
    content = {
        "images": list(images.values()),
        "categories": [{"id": i, "name": name} for i, name in enumerate(CATEGORIES, start=1)],
        "annotations": [{"id": number, **mark} for number, mark in enumerate(
            (mark for name in images for mark in merge.marks[name]), start=1)]}
    problems = merge.problems + annotations.parse(*content.values())[1]
    return Imported(content, tuple(problems), len(merge.images) - len(images), merge.boxes)


class _Merge:
    """Images by the name of the picture, and their marks, as exports are added."""

    def __init__(self, frames: Mapping[str, ListedFrame], video: str) -> None:
        self.frames, self.video = frames, video
        self.images: dict[str, dict] = {}
        self.marks: dict[str, list[dict]] = {}
        self.problems: list[Problem] = []
        self.files: dict[tuple[str, ...], str] = {}  # of a picture, a category and a field
        self.boxes = 0

    def add(self, file: str, images: list[dict], categories: list[dict], marks: list[dict]) -> None:
        """Adds the pictures of one file, and what is drawn on them; what is wrong is collected.

        Args:
          file: Name of the file, for messages.
          images, categories, marks: Its lists in the form of COCO.
        """
        by_image: dict[object, list[dict]] = {}
        for mark in marks:
            by_image.setdefault(_key(mark.get("image_id")), []).append(mark)
        names = {_key(category.get("id")): category for category in categories}
        seen: dict[str, bool] = {}
        for image in images:
            own = by_image.pop(_key(image.get("id")), [])
            found = self._place(file, image)
            if found is None:
                continue
            name = found["id"]
            if name in seen and own and seen[name]:
                self._wrong(file, "file_name", name, "is annotated twice; export the work of one "
                                                     "annotator at a time")
                continue
            seen[name] = seen.get(name, False) or bool(own)
            self.images.setdefault(name, found)
            self.marks.setdefault(name, [])
            for mark in own:
                self._add_mark(file, name, mark, names.get(_key(mark.get("category_id")), {}))
        for image_id in by_image:
            self._wrong(file, "image_id", image_id, "is not an image of the file; export it again")

    def _wrong(self, file: str, column: str, value: object, sentence: str) -> None:
        self.problems.append(Problem(file, sentence, column=column, value=str(value)))

    def _place(self, file: str, image: dict) -> dict | None:
        """The image as ours, or None where its frame is not known."""
        told = str(image.get("file_name", ""))
        name = re.split(r"[\\/=]", told)[-1]
        if name not in self.frames:
            name = _UPLOAD_PREFIX.sub("", name, count=1) if _UPLOAD_PREFIX.match(name) else name
        frame, size = self.frames.get(name), (image.get("width"), image.get("height"))
        if frame:
            if None not in size and size != (frame.width, frame.height):
                self._wrong(file, "width, height", f"{size[0]} x {size[1]}",
                            f"of {name} is not its size, {frame.width} x {frame.height}; annotate "
                            f"the pictures as they were written")
                return None
            return dict(id=name, video=frame.video, frame_index=frame.frame_index,
                        width=frame.width, height=frame.height)
        numbered = _CVAT_VIDEO_FRAME.fullmatch(name)
        if numbered and self.video:
            return dict(id=name, video=self.video, frame_index=int(numbered[1]), width=size[0],
                        height=size[1])
        self._wrong(file, "file_name", told, "is not a picture of frames.csv; " + (
            "it is a frame of a video that was uploaded as a whole: give --video too" if numbered
            else "give the folder whose pictures were annotated"))
        return None

    def _add_mark(self, file: str, name: str, mark: dict, category: dict) -> None:
        label = _plain(category.get("name"))
        segment, points = mark.get("segmentation"), mark.get("keypoints")
        if not segment and not points:
            self.boxes += 1
            return
        if segment and label not in CATEGORY_OF:
            self._wrong(file, "category", category.get("name"), f"of {name} is not a label that is "
                        f"known; use {', '.join(CATEGORY_OF)}")
            return
        marks = {CATEGORY_OF[label]: {"segmentation": segment}} if segment else {}
        if points:
            found, sentence = _points(points, category)
            if sentence:
                self._wrong(file, "keypoints", category.get("name"), f"of {name} {sentence}")
                return
            for kind, flat in found.items():
                marks.setdefault(kind, {})["keypoints"] = flat
        for kind, fields in marks.items():
            for field in fields:
                self._check_once(file, name, kind, field)
        self.marks[name] += [
            {"image_id": name, "category_id": CATEGORIES.index(kind) + 1, **fields}
            for kind, fields in marks.items()]


    def _check_once(self, file: str, name: str, kind: str, field: str) -> None:
        """Several outlines are parts of one, in one file; points are there once."""
        first = self.files.setdefault((name, kind, field), file)
        again = (name, kind, field, "again")
        if first != file or (field == "keypoints" and again in self.files):
            self._wrong(file, field, kind, f"of {name} is there twice"
                        + (f", also in {first}" if first != file else "")
                        + "; give the work of one annotator, with one of each")
        self.files[again] = file


def _key(value: object) -> object:
    return value if isinstance(value, int | str) else repr(value)


def _plain(name: object) -> str:
    """A label as ours are written: "Left Eye" is "left_eye"."""
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def _points(flat: object, category: dict) -> tuple[dict[str, list[float]], str]:
    """x, y, v of our points by kind, or why there are none.

    Without names they must be exactly those of the label.
    """
    label = CATEGORY_OF.get(_plain(category.get("name")), "")
    listed = category.get("keypoints")
    names = [_plain(name) for name in listed] if isinstance(listed, list) and listed else list(
        POINTS_OF.get(label, ()))
    if strange := [name for name in names if name not in KEYPOINTS] or not names:
        strange = ", ".join(strange) if isinstance(strange, list) else "without names"
        return {}, f"has points that are not known ({strange}); use {', '.join(KEYPOINTS)}"
    if len(set(names)) < len(names):
        return {}, "names a point twice; name every point once"
    if not isinstance(flat, list) or len(flat) != 3 * len(names):
        count = len(flat) if isinstance(flat, list) else "no"
        return {}, f"has {count} numbers for {len(names)} points; export it again"
    by_name = {name: flat[3 * i:3 * i + 3] for i, name in enumerate(names)}
    found = {kind: [number for name in points for number in by_name.get(name, (0, 0, 0))]
             for kind, points in POINTS_OF.items()}
    return {kind: values for kind, values in found.items() if any(values[2::3])}, ""
