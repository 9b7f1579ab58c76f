"""Decoded clips on disk: every video is decoded once, then read at the speed of the disk.

    CACHE/SETTINGS/clips-HASH.array_record   frames of some visits, uint8, uncompressed
    CACHE/SETTINGS/clips-HASH.json           which visits; written last, so it means "complete"

Which visits share a shard is drawn by their ids, not by their rows: where a child is taken out of
the table, one shard is decoded anew. HASH covers the content of the videos, the times of annotated
frames and the settings. A shard is therefore never stale: after a change its name is another one.
An interrupted build goes on with the first shard that is missing. Labels and masks are not in the
cache; they can be mended without decoding again. Splits are not, either: a clip holds its evenly
spaced frames, which an estimate sees, and the annotated ones beside them.

Any number of processes may build and read at once. One decodes, the others wait for it; nothing is
deleted from a folder of settings that another process uses.

Start with `build`, then `open_cache`.
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from tqdm import tqdm

from deps_jax.common.files import locks, sealed
from nurture_jax.records.problems import LeftOut
from nurture_jax.records.video import Clip, ClipSettings, sample_clip
from nurture_jax.records.video_file import VideoError
from nurture_jax.records.visit import Visit
from nurture_jax.records.visits import Records

FORMAT = 3  # raise it when decoding or the layout changes: every cache is then rebuilt
VISITS_PER_SHARD = 16  # at most: 60 MB at 25 frames of 224 px
_EDGE_BYTES = 1 << 20  # of a video, at both ends, that its fingerprint reads


@dataclasses.dataclass(frozen=True)
class Shard:
    """Some visits that are decoded together: what a worker needs.

    Attributes:
      folder: Folder of the data set, to which `videos` are relative.
      stem: Name of the files without what follows the point.
      videos, visits, exact_times_s: Of each visit its video, its key and the times of its annotated
        frames.
      settings: How clips are cut.
    """

    folder: str
    stem: str
    videos: tuple[str, ...]
    visits: tuple[str, ...]
    exact_times_s: tuple[tuple[float, ...], ...]
    settings: ClipSettings


@dataclasses.dataclass(frozen=True)
class ClipCache:
    """A complete cache of some records.

    Attributes:
      records: The visits that could be decoded, in order.
      settings: How the clips were cut.
      left_out: Those that could not be decoded, with the reason.
      paths: Paths of all shards.
      places: Of every visit the number of its shard and the position in it.
    """

    records: Records
    settings: ClipSettings
    left_out: tuple[LeftOut, ...]
    paths: tuple[str, ...]
    places: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Clip:
        shard, position = self.places[index]
        return from_bytes(_reader(self.paths[shard]).read([position])[0])

    def of_infants(self, infants: Iterable[str]) -> ClipCache:
        """The part of the cache with these infants, such as one split."""
        chosen = frozenset(infants)
        keep = [i for i, visit in enumerate(self.records.visits) if visit.infant_id in chosen]
        return dataclasses.replace(self, records=self.records.of_infants(chosen),
                                   places=tuple(self.places[i] for i in keep))


def build(records: Records, folder: str | Path, settings: ClipSettings | None = None, *,
          workers: int = 0, visits_per_shard: int = VISITS_PER_SHARD) -> ClipCache:
    """Decodes the visits that are not yet in the cache, drops what is stale, and opens it.

    Args:
      folder: Folder of all caches; this one gets a folder of its settings in it.
      settings: How clips are cut; None is the default.
      workers: Number of processes that decode; 0 decodes in this one.
      visits_per_shard: Most visits that are decoded together.

    Raises:
      ValueError: If no video can be decoded, or one is gone since the records were read.
    """
    settings = settings or ClipSettings()
    shards, own = _plan(records, settings, visits_per_shard), own_folder(folder, settings)
    # Newborns can be seen in it. A folder that is there keeps its mode: a group may share it.
    own.mkdir(0o700, parents=True, exist_ok=True)
    locks.use(own, lambda: _drop_stale(own, {shard.stem for shard in shards}, records.folder))
    if _missing(shards, own):
        with locks.alone(own, f"waiting for another run that decodes videos into {own}"):
            _decode(_missing(shards, own), own, workers)
    return open_cache(records, folder, settings, visits_per_shard=visits_per_shard)


def open_cache(records: Records, folder: str | Path, settings: ClipSettings | None = None, *,
               visits_per_shard: int = VISITS_PER_SHARD) -> ClipCache:
    """The cache of these records.

    Raises:
      ValueError: If it is incomplete, or was made of other videos or with other settings.
    """
    settings = settings or ClipSettings()
    shards, folder = _plan(records, settings, visits_per_shard), own_folder(folder, settings)
    locks.use(folder)
    missing = _missing(shards, folder)
    if missing:
        stale = len(list(folder.glob("clips-*.json"))) > len(shards) - len(missing)
        why = "was made of other videos" if stale else "is not complete"
        raise ValueError(f"the clip cache in {folder} {why} ({len(missing)} of {len(shards)} "
                         f"parts are missing); build it again")
    places, lost = {}, {}
    for number, shard in enumerate(shards):
        content = json.loads((folder / f"{shard.stem}.json").read_text())
        places |= {key: (number, place) for place, key in enumerate(content["visits"])}
        lost |= {visit["visit"]: visit for visit in content["left_out"]}
    left_out = tuple(LeftOut(visit.infant_id, **lost[visit.key], mother_id=visit.mother_id)
                     for visit in records.visits if visit.key in lost)
    if not places:
        raise ValueError(f"no video of {records.folder} could be decoded; the first says: "
                         f"{left_out[0].sentence}")
    visits = tuple(visit for visit in records.visits if visit.key in places)
    kept = Records(records.folder, visits, (*records.left_out, *left_out))
    paths = tuple(str(folder / f"{shard.stem}.array_record") for shard in shards)
    return ClipCache(kept, settings, left_out, paths, tuple(places[visit.key] for visit in visits))


def fingerprint(path: Path) -> str:
    """Digest of a video's size and both its ends, so that a copy has the same one."""
    found = path.stat()
    return _fingerprint(path, found.st_size, found.st_mtime_ns)


@cache  # a start asks several times, and reads 2 MB a video only once
def _fingerprint(path: Path, size: int, _changed_ns: int) -> str:
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with open(path, "rb") as file:
        digest.update(file.read(_EDGE_BYTES))
        file.seek(max(size - _EDGE_BYTES, 0))
        digest.update(file.read(_EDGE_BYTES))
    return digest.hexdigest()


def fingerprints(records: Records) -> list[str]:
    """The fingerprint of the video of every visit.

    Raises:
      ValueError: If one is gone since the records were read.
    """
    try:
        return [fingerprint(records.folder / visit.video) for visit in records.visits]
    except OSError as error:
        raise ValueError(f"{error.filename} is gone since the records were read; validate them "
                         f"again") from error


def to_bytes(clip: Clip) -> bytes:
    """A clip as a line of JSON, then its pixels."""
    header = dict(shape=clip.images.shape, times_s=clip.times_s.tolist(), width=clip.width,
                  height=clip.height, affine=clip.affine.tolist(), duration_s=clip.duration_s,
                  exact_times_s=clip.exact_times_s.tolist())
    return b"".join([json.dumps(header).encode(), b"\n", clip.images.tobytes(),
                     clip.exact_images.tobytes()])


def from_bytes(data: bytes) -> Clip:
    """The clip of `to_bytes`; its pixels are a view of `data`, so they are read-only."""
    end = data.index(b"\n")
    header = json.loads(data[:end])
    frames, *size = header["shape"]
    images = np.frombuffer(data, np.uint8, offset=end + 1).reshape(-1, *size)
    return Clip(images[:frames], np.array(header["times_s"], np.float32), header["width"],
                header["height"], np.array(header["affine"], np.float32), header["duration_s"],
                images[frames:], np.array(header["exact_times_s"], np.float32))


def own_folder(folder: str | Path, settings: ClipSettings) -> Path:
    """The folder of clips with these settings, in the folder of all caches."""
    return Path(folder) / (f"{settings.frames}x{settings.size}_{settings.fit}_"
                           f"{settings.minimum_s:g}s_format{FORMAT}")


def _drop_stale(folder: Path, stems: set[str], data: Path) -> None:
    """Deletes what dead builds have left, and shards of earlier states of the data set `data`.

    Shards of another data set stay as long as that one is there.
    """
    # Backwards, so that the .json, which says "complete", goes before what it speaks of.
    for path in sorted(folder.glob("clips-*"), reverse=True):
        stem = path.name.split(".")[0]
        side = folder / f"{stem}.json"
        if path.suffix != ".part" and side.is_file():
            source = Path(json.loads(side.read_text())["data"])
            if stem in stems or (source != data.resolve() and source.is_dir()):
                continue
        path.unlink()


def _missing(shards: list[Shard], folder: Path) -> list[Shard]:
    return [shard for shard in shards if not (folder / f"{shard.stem}.json").is_file()]


def _decode(shards: list[Shard], folder: Path, workers: int) -> None:
    tasks = [(shard, str(folder)) for shard in shards]
    total = sum(len(shard.visits) for shard in shards)
    with tqdm(total=total, desc="decoding videos", unit="video", disable=not shards) as bar:
        if workers and tasks:
            # Spawned: forking a process in which JAX runs can hang.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                try:
                    for count in pool.map(_write_shard, *zip(*tasks, strict=True)):
                        bar.update(count)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        else:
            for task in tasks:
                bar.update(_write_shard(*task))


def _plan(records: Records, settings: ClipSettings, visits_per_shard: int) -> list[Shard]:
    if visits_per_shard < 1:
        raise ValueError(f"visits_per_shard {visits_per_shard} is not positive; use 16")
    ranked = sorted(zip(map(_rank, records.visits), records.visits, fingerprints(records),
                        strict=True), key=lambda each: each[0])
    return [_shard(records.folder, [visit for _, visit, _ in group],
                   [found for _, _, found in group], settings)
            for group in _groups(ranked, visits_per_shard)]


def _rank(visit: Visit) -> int:
    """A random place of 128 bits that depends on ids alone; visits of an infant are neighbours."""
    infant, own = (hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
                   for text in (visit.infant_id, visit.key))
    return int(infant + own, 16)


def _groups(ranked: list[tuple], most: int, bit: int = 127) -> list[list[tuple]]:
    """At most `most` neighbours each: halved by one bit of the rank, until they are few enough.

    So a visit more or less changes the group that it is in, or halves or joins that; all others
    stay what they are.
    """
    if len(ranked) <= most:
        return [ranked] if ranked else []
    halves = ([each for each in ranked if each[0] >> bit & 1 == side] for side in (0, 1))
    return [group for half in halves for group in _groups(half, most, bit - 1)]


def _shard(folder: Path, visits: list[Visit], prints: list[str], settings: ClipSettings) -> Shard:
    times = tuple(tuple(frame.time_s for frame in visit.frames) for visit in visits)
    what = json.dumps([FORMAT, dataclasses.asdict(settings),
                       [[visit.key, found, exact] for visit, found, exact
                        in zip(visits, prints, times, strict=True)]])
    stem = "clips-" + hashlib.blake2b(what.encode(), digest_size=10).hexdigest()
    return Shard(str(folder), stem, tuple(visit.video for visit in visits),
                 tuple(visit.key for visit in visits), times, settings)


def _write_shard(shard: Shard, folder: str) -> int:
    """Decodes one shard and returns how many visits it has; a failure leaves nothing of it."""
    final, side = (Path(folder) / f"{shard.stem}.{kind}" for kind in ("array_record", "json"))
    part = Path(folder) / f"{shard.stem}.{os.getpid()}.part"
    try:
        with sealed.told_if_full(Path(folder), "the parts that are complete are kept"):
            visits, left_out = _write_clips(shard, part)
            part.replace(final)
            sealed.replace(side, json.dumps(dict(
                data=str(Path(shard.folder).resolve()), visits=visits, left_out=left_out)))
    finally:
        part.unlink(missing_ok=True)
    return len(shard.visits)


def _write_clips(shard: Shard, part: Path) -> tuple[list[str], list[dict]]:
    """Decodes the visits of a shard into a file; those that it has, and those it must leave out."""
    settings, visits, left_out = shard.settings, [], []
    # One clip a group: random access reads no more than it needs. Noise does not compress.
    writer = ArrayRecordWriter(str(part), "group_size:1,uncompressed")
    for key, video, exact in zip(shard.visits, shard.videos, shard.exact_times_s, strict=True):
        try:
            clip = sample_clip(Path(shard.folder) / video, settings.frames, settings.size,
                               fit=settings.fit, minimum_s=settings.minimum_s, exact_times_s=exact)
        except VideoError as error:
            left_out.append(dict(visit=key, reason=error.reason, sentence=str(error)))
            continue
        writer.write(to_bytes(clip))
        visits.append(key)
    writer.close()
    return visits, left_out


_READERS: dict[str, ArrayRecordReader] = {}  # of this process; a reader cannot be pickled


def _reader(path: str) -> ArrayRecordReader:
    if path not in _READERS:
        _READERS[path] = ArrayRecordReader(path, "readahead_buffer_size:0")
    return _READERS[path]
