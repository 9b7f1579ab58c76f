"""Frames of videos as pictures for an annotation tool, and the list that tells where they are from.

    FOLDER/NAME.jpg           upright, in full size; the name is unique in the data set
    FOLDER/frames.csv         of every picture its video, frame and size; written last
    FOLDER/label_studio.xml   labels for Label Studio, whose points stand in the order of ours

A tool gives back names of pictures. The list turns them into frames of videos, so that pictures
may be in any folder, and be called HASH-NAME.jpg, as Label Studio calls what was uploaded.
"""
from __future__ import annotations

import csv
import dataclasses
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import cv2
from tqdm import tqdm

from deps_jax.common.files import sealed
from nurture_jax.measures import CATEGORIES, KEYPOINTS
from nurture_jax.records.problems import LeftOut
from nurture_jax.records.video import full_frames
from nurture_jax.records.video_file import VideoError
from nurture_jax.records.visits import SHOWN, Report

FILE = "frames.csv"
LABELS_FILE = "label_studio.xml"
QUALITY = 95  # of JPEG
FRAMES_PER_VIDEO = 4


@dataclasses.dataclass(frozen=True)
class ListedFrame:
    """One picture that is annotated.

    Attributes:
      file_name: Name of the picture, without a folder.
      video: Video in the data set.
      frame_index: Number of the frame, counted from 0.
      time_s: Time of the frame from the first one.
      width, height: Size of the shown picture in pixels.
    """

    file_name: str
    video: str
    frame_index: int
    time_s: float
    width: int
    height: int


def check_free(folder: str | Path) -> None:
    """Raises ValueError for a folder that holds a list of frames."""
    if (Path(folder) / FILE).exists():
        raise ValueError(f"{folder} holds {FILE} already; give another folder, so that what is "
                         f"being annotated keeps its list")


def extract(report: Report, folder: str | Path, per_video: int = FRAMES_PER_VIDEO
            ) -> tuple[list[ListedFrame], list[LeftOut]]:
    """Writes evenly spaced frames of every usable video, and the list of them.

    Args:
      report: What `visits.validate` found; problems of other kinds do not matter here.
      folder: Where to; it must not hold a list of frames.
      per_video: Number of frames of each video.

    Returns:
      The list, and the visits whose video could not be decoded.

    Raises:
      ValueError: If there is nothing to write, or it would overwrite something.
    """
    folder = Path(folder)
    if per_video < 1:
        raise ValueError(f"{per_video} frames a video are too few; give 1 or more")
    check_free(folder)
    if not report.visits:
        raise ValueError(f"{report} - there is no video to take frames from")
    folder.mkdir(parents=True, exist_ok=True)
    listed, left_out = [], []
    for visit in tqdm(report.visits, desc="frames", unit="video", leave=False):
        try:
            listed += _write(report.folder, visit.video, folder, per_video)
        except VideoError as error:
            left_out.append(LeftOut(visit.infant_id, visit.key, error.reason, str(error)))
    sealed.replace(folder / LABELS_FILE, label_studio_config())
    # Last: a folder that has a list is whole.
    sealed.replace(folder / FILE, sealed.rows(list(map(dataclasses.asdict, listed))))
    return listed, left_out


def _write(data: Path, video: str, folder: Path, per_video: int) -> list[ListedFrame]:
    listed = []
    for index, time_s, image in full_frames(data / video, per_video):
        name = picture_name(video, index)
        _, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        sealed.replace(folder / name, content.tobytes())
        height, width = image.shape[:2]
        listed.append(ListedFrame(name, video, index, round(time_s, 4), width, height))
    return listed


def picture_name(video: str, index: int) -> str:
    """Name of the picture of a frame; plain letters, so that no tool changes it."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", PurePosixPath(video).stem)
    digest = hashlib.blake2b(video.encode(), digest_size=3).hexdigest()  # of the whole path
    return f"{plain}_{digest}_f{index:06d}.jpg"


def read(folder: str | Path) -> dict[str, ListedFrame]:
    """The frames of a folder by the names of their pictures.

    Raises:
      ValueError: If there is no list, or it is damaged.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no {FILE}; give the folder that annotation_frames wrote")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if any(None in row.values() for row in rows):
            raise ValueError("a row ends early")
        return {row["file_name"]: ListedFrame(
            row["file_name"], sealed.text_of(row["video"]), int(row["frame_index"]),
            float(row["time_s"]), int(row["width"]), int(row["height"])) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); write the frames again") from error


def described(listed: Iterable[ListedFrame], left_out: list[LeftOut], folder: Path) -> str:
    """What was written, in lines."""
    listed = list(listed)
    lines = [f"{len(listed)} pictures of {len({each.video for each in listed})} videos in {folder}"]
    if left_out:
        lines.append(f"left out: {len(left_out)} videos that cannot be decoded")
        lines += [f"  {each}" for each in left_out[:SHOWN]]
    return "\n".join(lines)


def label_studio_config() -> str:
    """Labels for Label Studio: outlines by name, points with the `model_index` of our order.

    Its COCO export puts points in the order of `model_index` and their names in the order in which
    they are written; here both are the same.
    """
    outlines = "\n".join(f'    <Label value="{name}"/>' for name in CATEGORIES)
    points = "\n".join(f'    <Label value="{name}" model_index="{i}"/>'
                       for i, name in enumerate(KEYPOINTS))
    return f"""<View>
  <Image name="image" value="$image" zoom="true" zoomControl="true"/>
  <PolygonLabels name="outline" toName="image">
{outlines}
  </PolygonLabels>
  <KeyPointLabels name="point" toName="image">
{points}
  </KeyPointLabels>
  <RectangleLabels name="box" toName="image">
    <Label value="box"/>
  </RectangleLabels>
</View>
"""
