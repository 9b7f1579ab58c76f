"""One synthetic visit: its row of the table, its scene, its pictures and what is marked on them.

All of it follows from the settings, the infant and the number of the visit; nothing depends on the
other visits, on their order or on the machine's cores.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import jax
import numpy as np
from pycocotools import mask as coco_mask

from nurture_jax.measures import BODY_POINTS, MEASURES, NEWBORN, REFERENCE
from nurture_jax.records.video import MINIMUM_S
from nurture_jax.synthetic.bodies import (
    BODIES,
    BOTH,
    ELLIPSOIDS,
    check_installed,
    make_body,
    of_infant,
)
from nurture_jax.synthetic.ellipsoids.body import draw_traits
from nurture_jax.synthetic.world import rulers
from nurture_jax.synthetic.world.dress import (
    DEVICES,
    SURROUNDINGS,
    USUAL,
    Device,
    frame_count,
    frame_times,
)
from nurture_jax.synthetic.world.population import (
    PRETERM_SHARE,
    VISIT_DAYS,
    Infant,
    draw_infant,
    generator,
    measures_at,
)
from nurture_jax.synthetic.world.pose import Pose
from nurture_jax.synthetic.world.render import NOISE_ROOM, Frame, render
from nurture_jax.synthetic.world.scene import Placed, Scene, draw_scene, project

ASPECT = 16 / 9
SHORT_SIDES_PX = (64, 1080)  # allowed
FPS = (2.0, 60.0)
LONGEST_S = 60.0
# How often a cell of the table is empty: of the infant (no card from the birth), of the visit.
MISSING_OF_INFANT = {"sex": 0.02, "gestational_age_days": 0.15, "birth_weight_g": 0.20}
MISSING_OF_VISIT = {"length_cm": 0.02, "chest_cm": 0.05, "arm_cm": 0.10}
STEP_G = 5  # a scale shows steps of 5 g
BIRTH_STEP_G = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a synthetic data set; every field changes what is in it.

    Attributes:
      infants: Number of infants.
      visits_per_infant: Most visits of an infant; every one has one to so many.
      seconds: Length of a video, rounded up to whole frames.
      short_sides_px: Short sides of the phones' pictures, in the order of DEVICES, again from the
        start where there are fewer; the long side is 16 / 9 of it.
      fps: Frame rate of all videos; None is every phone's own, 24 to 30.
      seed: Seed of everything.
      ruler: Whether the reference object is in the pictures.
      annotated_frames: Number of annotated frames of every video, evenly spaced.
      body: What the infants are made of, one of BODIES, or BOTH in turn.
      rulers: What lies beside them, see `rulers.names`; "30" is the set as it was before there were
        others.
      preterm: Share of the infants who are born preterm.
      surroundings: Phones, sites and light, one of SURROUNDINGS.

    Raises:
      ValueError: If a setting is out of its range, or its bodies are not installed.
    """

    infants: int = 400
    visits_per_infant: int = 3
    seconds: float = 3.0
    short_sides_px: tuple[int, ...] = (240, 360, 480, 720)
    fps: float | None = None
    seed: int = 0
    ruler: bool = True
    annotated_frames: int = 4
    body: str = ELLIPSOIDS
    rulers: str = rulers.MIXED
    preterm: float = PRETERM_SHARE
    surroundings: str = USUAL

    def __post_init__(self) -> None:
        low, high = SHORT_SIDES_PX
        if self.infants < 1:
            raise ValueError(f"infants {self.infants} is less than 1; ask for at least one")
        if not 1 <= self.visits_per_infant <= len(VISIT_DAYS):
            raise ValueError(f"visits_per_infant {self.visits_per_infant} is not in "
                             f"1..{len(VISIT_DAYS)}; one video belongs to one visit window")
        if not MINIMUM_S <= self.seconds <= LONGEST_S:
            raise ValueError(f"seconds {self.seconds:g} is not in {MINIMUM_S:g}..{LONGEST_S:g}; "
                             f"shorter videos are refused later, longer ones are of no use")
        if not 1 <= len(self.short_sides_px) <= len(DEVICES) or any(
                not low <= side <= high or side % 2 for side in self.short_sides_px):
            raise ValueError(f"short_sides_px {self.short_sides_px} are not one to {len(DEVICES)} "
                             f"even numbers in {low}..{high}; give for example 240,720")
        if self.fps is not None and not FPS[0] <= self.fps <= FPS[1]:
            raise ValueError(f"fps {self.fps:g} is not in {FPS[0]:g}..{FPS[1]:g}; leave it out for "
                             f"the phones' own")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed} is negative; give 0 or more")
        if self.surroundings not in SURROUNDINGS:
            raise ValueError(f"surroundings {self.surroundings!r} are not one of "
                             f"{', '.join(SURROUNDINGS)}; give one of them")
        frames = min(frame_count(self.seconds, self.fps or device.fps)
                     for device in SURROUNDINGS[self.surroundings].devices)
        if not 1 <= self.annotated_frames <= frames:
            raise ValueError(f"annotated_frames {self.annotated_frames} is not in 1..{frames}, the "
                             f"frames of a video; ask for fewer or record longer")
        if self.body not in (*BODIES, BOTH):
            raise ValueError(f"body {self.body!r} is not one of {', '.join((*BODIES, BOTH))}; give "
                             f"one of them")
        if not 0 <= self.preterm <= 1:
            raise ValueError(f"preterm {self.preterm:g} is not in 0..1; give a share such as 0.3")
        check_installed(self.body)
        rulers.names(self.rulers)


@dataclasses.dataclass(frozen=True)
class Visit:
    """A visit that is ready to be rendered.

    Attributes:
      row: Row of visits.csv, cells as text.
      truth: weight_g, length_cm, head_cm, chest_cm, arm_cm of the body, [5] unrounded.
      scene: What is filmed.
      device: What it is filmed with.
      height, width: Size of the pictures in pixels.
      end_s: Time of the end of the video.
      noise: Standard normal noise of the sensor, [h + NOISE_ROOM, w + NOISE_ROOM, 3] float32.
    """

    row: dict[str, str]
    truth: np.ndarray
    scene: Scene
    device: Device
    height: int
    width: int
    end_s: float
    noise: np.ndarray


def plan(settings: Settings) -> list[tuple[int, int]]:
    """Infant and number of the visit, from 1, of every visit in the order of the table."""
    return [(i, number) for i in range(settings.infants) for number in
            range(1, 1 + len(_infant(settings, i).visit_days))]


def name_of(infant: int, number: int) -> str:
    """The name of the files of a visit, without what follows the point."""
    return f"n{infant:05d}_{number}"


def draw_visit(settings: Settings, index: int, number: int,
               place: Callable[[Pose], Placed] | None = None) -> Visit:
    """Visit `number` (from 1) of infant `index`; `place` lays down something else in its place."""
    seed = settings.seed
    infant = _infant(settings, index)
    age_days = infant.visit_days[number - 1]
    lasting = generator(seed, index, 0)  # what stays with the infant
    traits = draw_traits(lasting)  # for either kind, so that what follows is drawn alike
    kind = of_infant(settings.body, index)
    body = make_body(kind, measures_at(infant, age_days), infant.density_g_cm3, infant.sex, traits,
                     generator(seed, index, 0, 1))
    truth = body.truth
    rng = generator(seed, index, number)
    around = SURROUNDINGS[settings.surroundings]
    chosen = rng.integers(len(around.devices))
    device = around.devices[chosen]
    device = dataclasses.replace(device, fps=settings.fps or device.fps)
    short = settings.short_sides_px[chosen % len(settings.short_sides_px)]
    height, width = 2 * round(short * ASPECT / 2), short
    times_s = frame_times(rng, device, settings.seconds)
    own = generator(seed, index, number, 1)
    ruler = rulers.draw(own, settings.rulers)
    scene = draw_scene(rng, place or body.place, device, times_s, height, width, settings.ruler,
                       ruler, own, around)
    noise = rng.standard_normal((height + NOISE_ROOM, width + NOISE_ROOM, 3), np.float32)
    row = {"infant_id": f"n{index:05d}", "visit_id": str(number),
           "video": f"videos/{name_of(index, number)}.mp4", "age_days": str(age_days),
           "sex": infant.sex, "gestational_age_days": str(infant.gestational_age_days),
           "birth_weight_g": str(BIRTH_STEP_G * round(infant.birth_weight_g / BIRTH_STEP_G)),
           "site": around.sites[lasting.integers(len(around.sites))], "device": device.name,
           "body": kind, "reference_cm": f"{ruler.length_cm:g}",
           "weight_g": str(STEP_G * round(truth[0] / STEP_G)),
           **{measure.name: measure.text(value) for measure, value in zip(
               list(MEASURES.values())[1:], truth[1:], strict=True)}}
    _forget(row, MISSING_OF_INFANT, lasting)
    _forget(row, MISSING_OF_VISIT, generator(seed, index, number, 0))
    return Visit(row, truth, scene, device, height, width, len(times_s) / device.fps, noise)


def pictures(visit: Visit, indices: Iterable[int] | None = None
             ) -> Iterator[tuple[jax.Array, jax.Array, jax.Array]]:
    """Yields picture, ids and depth (see `render`) of all frames, or of those at `indices`."""
    for k in range(len(visit.scene.times_s)) if indices is None else indices:
        frame = Frame(*(value[k] for value in visit.scene.frames))
        yield render(frame, visit.scene.look, partial(visit.scene.surface.look_at, k), visit.noise,
                     height=visit.height, width=visit.width)


def even_indices(visit: Visit, count: int) -> list[int]:
    """The indices of `count` frames, the middles of equal parts."""
    return [int((i + 0.5) * len(visit.scene.times_s) / count) for i in range(count)]


def keypoints(visit: Visit, index: int, depth: np.ndarray) -> np.ndarray:
    """The points of frame `index`: x and y in pixels, and visibility, [19, 3].

    Visibility is 2 for seen, 1 for behind something, 0 (and x = y = 0) for out of the picture.

    Args:
      depth: Depth of the frame, [h, w] in cm.
    """
    scene = visit.scene
    one = slice(index, index + 1)
    frame = Frame(*(value[one] for value in scene.frames))
    (pixels,), (distance,) = project(frame, scene.keypoints[one], visit.height, visit.width)
    column, row = np.floor(pixels).astype(int).T
    column_in, row_in = column.clip(0, visit.width - 1), row.clip(0, visit.height - 1)
    inside = (column == column_in) & (row == row_in)
    surface = depth[row_in, column_in]
    pixel_cm = distance * 2 * np.linalg.norm(frame.view[0, 1]) / visit.height
    seen = distance <= surface + scene.depth_slack + 0.7 * pixel_cm  # the surface slants
    points = np.concatenate([pixels, np.where(seen, 2, 1)[:, None]], 1) * inside[:, None]
    if not scene.look.ruler_shown:
        points[len(BODY_POINTS):] = 0
    return points


def marks(visit: Visit, index: int, ids: np.ndarray, depth: np.ndarray) -> dict:
    """A COCO image with its annotations, still without their numbers.

    Args:
      ids, depth: See `render`, [h, w] each.
    """
    points = keypoints(visit, index, depth)
    groups = {NEWBORN: points[:len(BODY_POINTS)], REFERENCE: points[len(BODY_POINTS):]}
    annotations = []
    for category, group in groups.items():
        runs = coco_mask.encode(np.asfortranarray(ids == category))
        if coco_mask.area(runs) == 0:
            continue
        annotations.append({
            "category_id": category, "iscrowd": 0, "area": int(coco_mask.area(runs)),
            "bbox": coco_mask.toBbox(runs).tolist(),
            "segmentation": {"size": runs["size"], "counts": runs["counts"].decode("ascii")},
            "keypoints": [value for x, y, v in group
                          for value in (round(float(x), 2), round(float(y), 2), int(v))],
            "num_keypoints": int((group[:, 2] > 0).sum())})
    image = {"video": visit.row["video"], "frame_index": index, "width": visit.width,
             "height": visit.height}
    return {"image": image, "annotations": annotations}


def _infant(settings: Settings, index: int) -> Infant:
    return draw_infant(settings.seed, index, settings.visits_per_infant, settings.preterm)


def _forget(row: dict[str, str], rates: dict[str, float], rng: np.random.Generator) -> None:
    """Empties cells of a row, each with its probability."""
    for name, rate in rates.items():
        if rng.random() < rate:
            row[name] = ""
