"""Targets of nurture_jax: tables, annotations, videos, what a run keeps of its data."""
import csv
import io
import json

import mutations
import numpy as np
from make_records import COLUMNS, coco, rows
from make_videos import write_video

from deps_jax.common.files import workdir
from nurture_jax.measures import LABELS, TABULAR
from nurture_jax.network.scaling import Scaling
from nurture_jax.records import annotations, coco_exports, frame_list, splits, visit_table, visits
from nurture_jax.records.frame_list import ListedFrame
from nurture_jax.records.video import full_frames, sample_clip
from nurture_jax.training import experiment, model_file

CELLS = ("", "0", "-1", "nan", "inf", "1e999", "1,5", "2,750", "=1+1", "x", "F", "m", "None", "ä",
         "9" * 400, "videos/../a.mp4", "C:\\a.mp4", "2026-02-30", "01.02.2026", "\x00", '"',
         "\u0661")


def coco_files(folder):
    content = coco()
    boxes = [{**mark, "bbox": [1, 2, 3, 4], "iscrowd": 0} for mark in content["annotations"]]
    labels = [{**each, "keypoints": ["nose", "left_eye"]} for each in content["categories"]]
    export = {"images": [{"id": 1, "file_name": "images/0123abcd-a.jpg", "width": 96, "height": 64},
                         {"id": 2, "file_name": "frame_000012.PNG", "width": 96, "height": 64}],
              "categories": labels, "annotations": boxes}
    frames = {"a.jpg": ListedFrame("a.jpg", "videos/n0_0.mp4", 9, 0.6, 96, 64)}

    def case(draw):
        if draw.randint(0, 1):
            (folder / annotations.FILE).write_bytes(mutations.json_bytes(draw, content))
            found, problems = annotations.read(folder)
        else:
            (folder / "export.json").write_bytes(mutations.json_bytes(draw, export))
            imported = coco_exports.read([folder / "export.json"], frames, video="videos/a.mp4")
            problems, found = list(imported.problems), {}
            str(imported)
            if not problems:
                found, problems = annotations.parse(*imported.content.values())
        told = [str(problem) for problem in problems]
        assert all(told)
        if not problems:  # only then are they used
            for listed in found.values():
                for _, frame in listed:
                    # Large ones are drawn by the same code, and only take longer.
                    if frame.width * frame.height < 1e6:
                        assert frame.mask().shape == (frame.height, frame.width)

    return case


def tables(folder):
    """visits.csv and frames.csv: other cells, and damaged bytes."""
    table = rows()

    def written(draw, content, columns):
        content = [dict(row) for row in content]
        for _ in range(draw.randint(0, 4)):
            draw.choice(content)[draw.choice(columns)] = draw.choice(CELLS)
        text = io.StringIO(newline="")
        out = csv.DictWriter(text, columns, extrasaction="ignore")
        out.writeheader()
        out.writerows(content)
        data = text.getvalue().encode()
        return mutations.of_bytes(draw, data) if draw.randint(0, 1) else data

    listed = [dict(file_name=f"a{i}.jpg", video="videos/a.mp4", frame_index=i, time_s=0.5,
                   width=96, height=64) for i in range(3)]

    def case(draw):
        if draw.randint(0, 3):
            (folder / visit_table.FILE).write_bytes(written(draw, table, COLUMNS))
            _, problems = visit_table.read(folder)
            assert all(str(problem) for problem in problems)
        else:
            (folder / frame_list.FILE).write_bytes(written(draw, listed, tuple(listed[0])))
            frame_list.read(folder)

    return case


def videos(folder):
    """mp4 and Matroska of a few frames, damaged anywhere; half of the times in the header."""
    small = {"a.mp4": dict(times_s=np.arange(18) / 15, width=64, height=48, gop=6),
             "b.mp4": dict(times_s=np.arange(18) / 15, width=48, height=64, rotation=90,
                           faststart=True, gop=6),
             "c.mkv": dict(times_s=np.arange(18) / 15, width=64, height=48, gop=6)}
    whole = {name: write_video(folder / name, **how).read_bytes() for name, how in small.items()}
    folder.joinpath("changed").mkdir()

    def case(draw):
        name = draw.choice(list(whole))
        data = whole[name]
        header = data.find(b"moov")
        if header > 0 and draw.randint(0, 1):
            end = header + int.from_bytes(data[header - 4:header], "big")
            data = data[:header] + mutations.of_bytes(draw, data[header:end]) + data[end:]
        else:
            data = mutations.of_bytes(draw, data, most=12)
        path = folder / "changed" / name
        path.write_bytes(data)
        if draw.randint(0, 1):
            clip = sample_clip(path, frames=4, size=16)
            assert clip.images.shape == (4, 16, 16, 3) and np.isfinite(clip.affine).all()
        else:
            for _, time_s, image in full_frames(path, 3):
                assert np.isfinite(time_s) and image.ndim == 3

    return case


def newborn_runs(folder):
    """The config, the splits, the network's description and what the data set says of itself."""
    from configs import nurture

    config = json.loads(json.dumps(nurture.get_config("real").to_dict()))
    labels, tabular = [1.0] * len(LABELS), [1.0] * len(TABULAR)
    model = {"standard": {"label_mean": labels, "label_std": labels, "tabular_mean": tabular,
                          "tabular_std": tabular, "gain_mean": 0.1, "gain_std": 0.2,
                          "labels": list(LABELS), "reference_cm": [20.0, 30.0]},
             "backbone": {"kind": "resnet", "depth": 18, "width": 8, "stages": 4}}
    placed = {"train": ["n0", "n1"], "validation": ["n2"], "test": ["n3"]}
    workdir.claim(folder, {"a": 1})
    assert Scaling.from_dict(model["standard"])

    def case(draw):
        kind = draw.randint(0, 3)
        name, content = ((workdir.CONFIG, config), (splits.FILE, placed),
                         (model_file.MODEL, model), (visits.DESCRIPTION, {"synthetic": True}))[kind]
        (folder / name).write_bytes(mutations.json_bytes(draw, content))
        if kind == 0:
            workdir.understood(folder, experiment.Experiment.from_dict)
        elif kind == 1:
            splits.infants(folder)
        elif kind == 2:
            model_file.read_model(folder)
        else:
            visits._read_description(folder)

    return case


TARGETS = {"coco": (coco_files, 100), "csv": (tables, 40), "mp4": (videos, 40),
           "newborn_runs": (newborn_runs, 60)}
