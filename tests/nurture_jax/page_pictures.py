"""Pictures of every state of the page in every language, of a made-up network, to look at.

    PYTHONPATH=.:tests python tests/nurture_jax/page_pictures.py FOLDER

FOLDER gets LANGUAGE/NAME.png by the names of `page_states.states`.
"""
from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from app_browser import chromium, served
from page_states import FAKE_CAMERA, PHONE, states
from tiny_page_model import write_model

from nurture_jax.app.build import build

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


if __name__ == "__main__":
    for each in pictures(Path(sys.argv[1])):
        print(each)
