"""Figures of the page of an exported network: size, time of a clip, memory, beside Python.

    PYTHONPATH=. python tests/nurture_jax/measure_page.py FILE.onnx DATASET

DATASET is one of `python -m nurture_jax.synthetic`; ten of its videos are told to the page and to
Python, some of them written again as phones do, turned and with frames of uneven lengths.
"""
from __future__ import annotations

import contextlib
import csv
import gzip
import os
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np
from app_browser import chromium, served
from make_videos import write_video
from page_states import PHONE, opened

from nurture_jax.app.build import build
from nurture_jax.deploy.file_model import open_predictor

FILES = 10
KINDS = ("as it is", "turned", "uneven")
CLIP_S, CLIP_FPS, CLIP_PX = 10, 30, (1080, 1920)
KNOWN = ("age_days", "birth_weight_g", "sex", "gestational_age_days")
ANSWER = "#line, .wrong:not(:empty)"
SAMPLED_S = 0.1
MEASURED = 5  # of the same clip, one after the other


def first_load(folder: Path) -> dict[str, int]:
    """Bytes of every file of a page, compressed as a server does it (gzip)."""
    return {path.relative_to(folder).as_posix(): len(gzip.compress(path.read_bytes(), 9))
            for path in sorted(folder.rglob("*")) if path.is_file()}


def images_of(video: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Pictures of a video as they are shown, [h, w, 3] RGB, and their times in seconds."""
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
    images = [np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"),
                                            round(frame.rotation / 90) % 4)) for frame in frames]
    return images, np.array([frame.time for frame in frames]) - frames[0].time


def as_phone(video: Path, kind: str, number: int, path: Path) -> Path:
    """The video, or written again with the pixels turned, or with frames left out unevenly."""
    if kind == KINDS[0]:
        return video
    images, times = images_of(video)
    height, width = images[0].shape[:2]
    if kind == KINDS[1]:
        return write_video(path, images=images, times_s=times, width=width, height=height,
                           rotation=90 * (1 + number // len(KINDS) % 3))
    kept = np.flatnonzero(np.random.default_rng(number).random(len(images)) < 0.6)
    kept = np.union1d(kept, [0, len(images) - 1])
    return write_video(path, images=[images[i] for i in kept], times_s=times[kept], width=width,
                       height=height, end_s=times[-1] + times[1])


def ten_files(dataset: Path, folder: Path, count: int = FILES) -> list[tuple[Path, dict]]:
    """Videos with what is known of their infants, evenly spread over a data set."""
    with (dataset / "visits.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = [rows[i] for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
    number = lambda text: float(text) if text else None
    return [(as_phone(dataset / row["video"], KINDS[i % len(KINDS)], i, folder / f"{i}.mp4"),
             {name: row[name] if name == "sex" else number(row[name]) for name in KNOWN})
            for i, row in enumerate(rows)]


def of_page(page, address: str, video: Path, known: dict) -> dict:
    """What the page shows: estimates before they are rounded, checks not passed, the line."""
    opened(page, address)
    for name in ("age_days", "birth_weight_g"):
        page.fill(f"#{name}", "" if known[name] is None else f"{known[name]:g}")
    if known["gestational_age_days"] is not None:
        weeks, days = divmod(known["gestational_age_days"], 7)
        page.fill("#gestational_age_days", f"{weeks:g}")
        page.fill("#gestation_rest", f"{days:g}")
    page.check(f"input[name=sex][value='{known['sex'] or ''}']", force=True)
    page.set_input_files("#file", video)
    page.wait_for_selector(ANSWER, timeout=120000)
    checks = page.eval_on_selector_all("[data-check]", "(all) => all.map((e) => e.dataset.check)")
    estimates = page.eval_on_selector_all(
        ".measure", "(all) => all.map((e) => [e.dataset.measure, "
                    "Number(e.querySelector('.value').dataset.value)])")
    return {"estimates": dict(estimates), "checks": checks,
            "line": "" if checks else page.inner_text("#line").lower()}


def of_python(predictor, video: Path, known: dict) -> dict:
    """The same of Python, with onnxruntime."""
    told = predictor(video, **known)
    found = told.assessment
    return {"estimates": {name: each.estimate for name, each in found.findings.items()}
            if found else {}, "checks": [each.check for each in told.gate.failures],
            "line": found.advice.line if found else ""}


def compare(model: Path, dataset: Path, page, address: str, folder: Path
            ) -> list[tuple[str, dict, dict]]:
    """Every file with what the page and what Python says of it."""
    predictor = open_predictor(model)
    return [(video.name, of_page(page, address, video, known), of_python(predictor, video, known))
            for video, known in ten_files(dataset, folder)]


def long_clip(video: Path, path: Path) -> Path:
    """Ten seconds of 1080p out of a small video, with the noise that a phone's camera has."""
    images = [cv2.resize(image, CLIP_PX) for image in images_of(video)[0]]
    draw = np.random.default_rng(0)
    grain = draw.integers(0, 20, (4, *images[0].shape), dtype=np.uint8)
    count = CLIP_S * CLIP_FPS
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=CLIP_FPS, options={
            "preset": "ultrafast", "g": str(CLIP_FPS)})
        stream.width, stream.height = CLIP_PX
        stream.pix_fmt, stream.bit_rate = "yuv420p", 12_000_000
        for i in range(count):
            image = cv2.add(images[i * len(images) // count], grain[i % len(grain)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def browsers() -> list[Path]:
    """Folders under /proc of Chromium's processes that this process has started."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            parents[int(folder.name)], names[int(folder.name)] = int(rest.split()[1]), name

    def ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and ours(parents[pid]))

    return [Path(f"/proc/{pid}") for pid, name in names.items() if "chrom" in name and ours(pid)]


def processor_s() -> float:
    """Seconds of processors that Chromium has taken, all its processes together."""
    total = 0
    for folder in browsers():
        with contextlib.suppress(OSError):
            total += sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def memory_mb() -> dict[str, float]:
    """Of Chromium: of all its processes, shared pages counted once; of its largest, the page's."""
    sizes = [0.0]
    for folder in browsers():
        with contextlib.suppress(OSError):
            [line] = [line for line in (folder / "smaps_rollup").read_text().splitlines()
                      if line.startswith("Pss:")]
            sizes.append(int(line.split()[1]) * 1024 / 1e6)
    return {"browser_mb": sum(sizes), "page_mb": max(sizes)}


SILENCE = """() => {
    const host = document.querySelector("#main");
    window.silence = {last: performance.now(), longest: 0, changes: 0};
    let before = "";
    new MutationObserver(() => {
        const seen = `${host.textContent} ${host.querySelector("progress")?.value}`;
        if (seen === before) return;
        before = seen;
        const now = performance.now();
        silence.longest = Math.max(silence.longest, now - silence.last);
        silence.last = now;
        silence.changes += 1;
    }).observe(host, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


def timed(page, video: Path) -> dict:
    """Of one video more: seconds on the clock and of processors, memory, longest silence in s."""
    if again := page.query_selector("#again"):
        again.click()
    page.evaluate(SILENCE)
    page.wait_for_timeout(1000 * SAMPLED_S)
    before, used = memory_mb(), processor_s()
    most = dict(before)
    began = time.monotonic()
    page.evaluate("() => { silence.last = performance.now(); }")
    page.set_input_files("#file", video)
    while not page.query_selector(ANSWER):
        most = {name: max(size, most[name]) for name, size in memory_mb().items()}
        page.wait_for_timeout(1000 * SAMPLED_S)
    told = {"clock_s": time.monotonic() - began, "processor_s": processor_s() - used, **most,
            "silent_s": page.evaluate("silence.longest") / 1000}
    assert page.evaluate("silence.changes") > 5 and told["processor_s"] > 0 and before["page_mb"]
    return told


def main(model: str, dataset: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        build(model, folder / "page")
        sizes = first_load(folder / "page")
        own = sizes["model.onnx"]
        print(f"first load {sum(sizes.values()) / 1e6:.2f} MB compressed, {own / 1e6:.2f} MB of it "
              f"the network", flush=True)
        clip = long_clip(ten_files(Path(dataset), folder)[0][0], folder / "clip.mp4")
        with chromium() as browser, served(folder / "page") as (address, _):
            page = browser.new_page(viewport=PHONE)
            opened(page, address)
            for _ in range(MEASURED):
                told = timed(page, clip)
                print(f"clip of {clip.stat().st_size / 1e6:.1f} MB: " + ", ".join(
                    f"{name} {value:.2f}" for name, value in told.items()), flush=True)
            apart = []
            for name, ours, theirs in compare(Path(model), Path(dataset), page, address, folder):
                same = (ours["checks"], ours["line"]) == (theirs["checks"], theirs["line"])
                both = ours["estimates"] and theirs["estimates"]
                apart += [abs(ours["estimates"]["weight_g"] - theirs["estimates"]["weight_g"])] \
                    if both else []
                print(f"{name}: {'same' if same else 'ANOTHER'} gate and line "
                      f"{ours['line'] or ours['checks']}"
                      + (f", {apart[-1]:.2f} g apart" if both else ""), flush=True)
    print(f"{len(apart)} weights: median {np.median(apart):.2f} g, worst {max(apart):.2f} g apart")


if __name__ == "__main__":
    main(*sys.argv[1:])
