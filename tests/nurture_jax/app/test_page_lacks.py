"""What a browser or a phone may lack: one sentence that says what to do next, and nothing lost."""
import pytest
from app_browser import chromium, chromium_that_keeps_nothing, served
from page_states import (
    FAKE_CAMERA,
    answer,
    assert_nothing_lost,
    baby,
    fill,
    opened,
    tab,
    told,
)


def test_a_browser_that_keeps_nothing(folder, tmp_path):
    """It estimates and exports all the same."""
    with chromium_that_keeps_nothing(tmp_path / "profile") as context, served(folder) as (where, _):
        page = context.new_page()
        opened(page, where)
        fill(page)
        answer(page, baby(tmp_path / "v.mp4"))
        page.click("#keep")
        page.wait_for_selector(".wrong:not(:empty)")
        assert "keeps nothing" in told(page) and "take the result along as a file" in told(page)
        with page.expect_download():
            page.click("#export-csv")
        tab(page, 2)
        page.wait_for_selector(".wrong:not(:empty)")
        assert "keeps nothing" in told(page)
        tab(page, 3)
        page.wait_for_selector("text=does not open without a network")
        tab(page, 1)
        assert page.query_selector(".value")  # the result is still there


def test_a_browser_without_simd(folder, tmp_path):
    with chromium("--js-flags=--no-enable-sse4-1") as browser, served(folder) as (address, _):
        page = browser.new_page()
        opened(page, address)
        fill(page)
        answer(page, baby(tmp_path / "v.mp4"))
        assert "no WebAssembly SIMD" in told(page) and "update it, or use another" in told(page)
        assert_nothing_lost(page)


@pytest.mark.parametrize("switches", [(), FAKE_CAMERA[1:]], ids=["absent", "refused"])
def test_no_camera(folder, switches, tmp_path):
    """Headless Chromium has none of its own, and refuses one that nobody has allowed."""
    with chromium(*switches) as browser, served(folder) as (address, _):
        page = browser.new_page()
        opened(page, address)
        fill(page)
        page.click("#record")
        page.wait_for_selector(".wrong:not(:empty)")
        assert told(page) == ("The camera cannot be used; allow it, or choose a video that was "
                              "recorded before.")
        assert_nothing_lost(page)
        answer(page, baby(tmp_path / "v.mp4"))
        assert page.query_selector(".value")
