"""Pictures of the page, to look at: every state of a made-up network, or three of a trained one.

    PYTHONPATH=.:tests python tests/nurture_jax/page_pictures.py FOLDER
    PYTHONPATH=.:tests python tests/nurture_jax/page_pictures.py FOLDER FILE.onnx DATASET

The first writes LANGUAGE/NAME.png by the names of `page_states.states`, the second page_NAME.png as
docs/images has them: DATASET is one of `python -m nurture_jax.synthetic`, of which the first child
with three visits that the gate accepts is shown, and a video without a ruler.
"""
from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

from app_browser import chromium, served
from measure_page import KNOWN
from page_states import FAKE_CAMERA, PHONE, answer, fill, opened, states, tab
from tiny_page_model import write_model

from nurture_jax.app.build import build

SCREEN = {"width": 360, "height": 720}
LOCALES = {"en": "en-GB", "hi": "hi-IN"}


def pictures(folder: Path, languages=tuple(LOCALES)) -> list[Path]:
    """Writes a picture of every state, as long as the page is, in twice the pixels."""
    written = []
    with tempfile.TemporaryDirectory() as made, chromium(*FAKE_CAMERA) as browser:
        build(write_model(Path(made) / "tiny.onnx"), Path(made) / "page")
        with served(Path(made) / "page") as (address, _):
            for language in languages:
                context = browser.new_context(viewport=PHONE, locale=LOCALES[language],
                                              device_scale_factor=2, service_workers="block")
                page = context.new_page()
                for name in states(page, address, Path(made)):
                    written.append(folder / language / f"{name}.png")
                    page.screenshot(path=written[-1], full_page=True)
                context.close()
    return written


def pictures_for_docs(folder: Path, model: Path, dataset: Path) -> list[Path]:
    """Writes a result, a growth curve and a refusal in Hindi, of a trained network."""
    with tempfile.TemporaryDirectory() as made, chromium() as browser:
        build(model, Path(made) / "page")
        with served(Path(made) / "page") as (address, _):
            context = browser.new_context(viewport=SCREEN, device_scale_factor=1.5)
            page = context.new_page()
            opened(page, address)
            for visits in three_visits(dataset):
                if result := _kept_visits(page, dataset, visits, folder):
                    break
            curve, refusal = folder / "page_curve.png", folder / "page_refusal.png"
            page.click("#see-child")
            page.wait_for_selector("svg.curve")
            page.locator(".card:has(svg.curve)").first.evaluate("(card) => card.scrollIntoView()")
            page.screenshot(path=curve)
            tab(page, 1)
            page.select_option("#language", "hi")
            nobody = min((dataset / "negatives" / "no_ruler").glob("*.mp4"))
            _told(page, {**visits[0], "infant_id": "B12"}, nobody)
            page.screenshot(path=refusal)
    return [result, curve, refusal]


def three_visits(dataset: Path) -> list[list[dict]]:
    """Rows of visits.csv of every child that has three, a ruler of 30 cm and all inputs."""
    with (dataset / "visits.csv").open() as file:
        rows = [row for row in csv.DictReader(file)
                if row["reference_cm"] == "30" and all(row[name] for name in KNOWN)]
    children = {}
    for row in rows:
        children.setdefault(row["infant_id"], []).append(row)
    return [visits for visits in children.values() if len(visits) == 3]


def _kept_visits(page, dataset: Path, visits: list[dict], folder: Path) -> Path | None:
    """Keeps all visits of a child: the picture of the last result, None if one is refused."""
    for visit in sorted(visits, key=lambda row: float(row["age_days"])):
        _told(page, visit, dataset / visit["video"])
        if not page.query_selector("#keep"):
            return None
        path = folder / "page_result.png"
        page.screenshot(path=path)
        page.click("#keep")
        page.wait_for_selector("#see-child")
    return path


def _told(page, visit: dict, video: Path) -> None:
    """Waits for what the page says of a recording."""
    if again := page.query_selector("#again"):
        again.click()
    weeks, days = divmod(int(float(visit["gestational_age_days"])), 7)
    fill(page, infant_id=visit["infant_id"], age_days=visit["age_days"],
         gestational_age_days=str(weeks), gestation_rest=str(days),
         birth_weight_g=visit["birth_weight_g"])
    page.click(f"label:has(input[value={visit['sex']}])")
    answer(page, video)


if __name__ == "__main__":
    made = pictures(Path(sys.argv[1])) if len(sys.argv) < 4 else pictures_for_docs(
        *map(Path, sys.argv[1:4]))
    print(*made, sep="\n")
