"""Other browsers: one that installs the page, and those that lack something.

What is lacking is told in one sentence that says what to do next, and nothing is lost.
"""
import json
import shutil

import pytest
from app_browser import BLOCKED, chromium, own_chromium, served
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


def installability(context, address):
    """What Chromium itself has against installing the page, and the manifest."""
    page = context.new_page()
    opened(page, address)
    page.wait_for_selector("html[data-offline=ready]", state="attached")
    session = context.new_cdp_session(page)
    told = session.send("Page.getAppManifest")
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    return told["errors"] + [each["errorId"] for each in errors], json.loads(told["data"])


def test_it_can_be_installed(folder, tmp_path):
    with own_chromium(tmp_path / "profile") as context, served(folder) as (address, _):
        errors, manifest = installability(context, address)
        assert errors == []
        assert (manifest["display"], manifest["start_url"]) == ("standalone", "./")
        assert all("maskable" in icon["purpose"] for icon in manifest["icons"])
        drawn = context.pages[-1].evaluate("""(icons) => Promise.all(icons.map(async ({src}) => {
            const {width, height} = await createImageBitmap(await (await fetch(src)).blob());
            return `${width}x${height}`;
        }))""", manifest["icons"])
        assert drawn == [icon["sizes"] for icon in manifest["icons"]] == ["192x192", "512x512"]


def test_a_page_that_cannot_be_installed(folder, tmp_path):
    """The check above sees a manifest without icons."""
    spoilt = tmp_path / "spoilt"
    shutil.copytree(folder, spoilt)
    manifest = json.loads((spoilt / "manifest.webmanifest").read_text())
    (spoilt / "manifest.webmanifest").write_text(json.dumps(manifest | {"icons": []}))
    with own_chromium(tmp_path / "profile") as context, served(spoilt) as (address, _):
        assert installability(context, address)[0]


def test_a_browser_that_keeps_nothing(folder, tmp_path):
    """It estimates and exports all the same."""
    with own_chromium(tmp_path / "profile", cookies=BLOCKED) as context, \
            served(folder) as (where, _):
        page = context.new_page()
        opened(page, where)
        fill(page)
        answer(page, baby(tmp_path / "v.mp4"))
        assert page.query_selector(".value")
        assert told(page).startswith("Not compared with earlier visits of A7: This browser keeps")
        page.click("#keep")
        page.wait_for_selector("#keep-wrong:text-matches('^This browser')")
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
        assert told(page) == ("The camera cannot be used; allow it for this page in the settings "
                              "of the browser, or choose a video that was recorded before.")
        assert_nothing_lost(page)
        answer(page, baby(tmp_path / "v.mp4"))
        assert page.query_selector(".value")
