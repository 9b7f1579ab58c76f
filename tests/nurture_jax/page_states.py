"""Leads a page of the tiny network through every state that it can be in."""
import contextlib

import numpy as np
from make_videos import picture, write_video

FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
ANSWER = "#line, .wrong:not(:empty)"
PHONE = {"width": 360, "height": 740}
TYPED = ("infant_id", "age_days", "gestational_age_days", "gestation_rest", "birth_weight_g")


def reddish(frames=30, width=320, height=240):
    """Pictures in which the tiny network finds a newborn."""
    shift = np.array([30, 0, -20])
    return [np.clip(picture(width, height, i, frames).astype(int) + shift, 0, 255).astype(np.uint8)
            for i in range(frames)]


def baby(path):
    """A video in which the tiny network finds a newborn."""
    return write_video(path, images=reddish(), width=320, height=240)


def opened(page, address):
    page.goto(address)
    page.wait_for_selector("#file", state="attached")


def fill(page, **more):
    for name, value in {"infant_id": "A7", "age_days": "8", "gestational_age_days": "38",
                        "gestation_rest": "3", "birth_weight_g": "2890", **more}.items():
        page.fill(f"#{name}", value)
    page.click("label:has(input[value=F])")


def answer(page, video):
    page.set_input_files("#file", video)
    page.wait_for_selector(ANSWER, timeout=60000)
    return page.inner_text("main")


def download(page, what):
    """The text of an export of the result on show."""
    with page.expect_download() as waiting:
        page.click(f"#export-{what}")
    return waiting.value.path().read_bytes().decode("utf-8")


def kept(page):
    """All that the browser keeps: the database, local storage, and names in caches."""
    return page.evaluate("""async () => {
        const names = (await indexedDB.databases()).map((each) => each.name);
        const request = names.length ? indexedDB.open(names[0]) : null;
        const rows = !request ? [] : await new Promise((resolve) => {
            request.onsuccess = () => {
                const all = request.result.transaction("children").objectStore("children").getAll();
                all.onsuccess = () => { request.result.close(); resolve(all.result); };
            };
        });
        const urls = [];
        for (const name of await caches.keys()) {
            for (const each of await (await caches.open(name)).keys()) urls.push(each.url);
        }
        return {rows, urls, local: JSON.stringify(localStorage), href: location.href};
    }""")


def assert_nothing_lost(page, **typed):
    expected = dict(zip(TYPED, ("A7", "8", "38", "3", "2890"), strict=True)) | typed
    assert {name: page.input_value(f"#{name}") for name in expected} == expected
    assert page.is_checked("input[value=F]")


def told(page):
    """The one sentence on the page that says what is wrong."""
    found = [each.inner_text() for each in page.query_selector_all(".wrong:not(:empty)")]
    assert len(found) == 1, found
    return found[0]


def observed(page, frames, visit):
    """What the network of the page says of frames [t, size, size, 3]: means, keypoints, cells."""
    return page.evaluate("""async ([frames, count, size, visit]) => {
        const {observe, openModel} = await import("/model.mjs");
        const [card, truth] = await Promise.all(["card.json", "handed_over.json"]
            .map(async (name) => (await fetch(name)).json()));
        const session = await openModel(location.href, card);
        const seen = await observe(session, truth,
            {frames: Uint8Array.from(frames), count, size}, visit);
        return [Object.values(seen.estimates).map((each) => each.mean),
                Array.from(seen.keypoints), seen.cells];
    }""", [frames.ravel().tolist(), len(frames), frames.shape[2], visit])


def in_view(page, selector):
    """Whether all of an element can be seen without scrolling."""
    return page.locator(selector).evaluate("""(element) => {
        const {top, bottom} = element.getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
    }""")


def tab(page, number):
    page.click(f"#tabs button:nth-of-type({number})")


@contextlib.contextmanager
def held(page, what):
    """Requests for `what` get no answer until the end."""
    waiting = []
    page.route(what, lambda route: waiting.append(route))
    yield
    for route in waiting:
        route.continue_()
    page.unroute(what)


def states(page, address, folder):
    """Yields the name of every state while the page is in it.

    Args:
      page: Of a context without service workers and with `FAKE_CAMERA`.
      folder: Where videos are made.
    """
    video = baby(folder / "baby.mp4")
    opened(page, address)
    yield "form"
    fill(page, age_days="400", birth_weight_g="2.9")
    answer(page, video)
    yield "fields_wrong"
    fill(page)
    with held(page, "**/model.onnx"):
        page.click("#go-on")
        page.wait_for_selector("progress:not([value])")
        yield "progress"
        page.click("#cancel")
    yield from _camera(page)
    (folder / "empty.mp4").write_bytes(b"")
    answer(page, folder / "empty.mp4")
    yield "no_video"
    answer(page, write_video(folder / "none.mp4", width=320, height=240))
    yield "refused"
    page.click("#again")
    yield from _results(page, video)
    yield from _children(page, video)
    tab(page, 3)
    yield "about"


def _camera(page):
    page.click("#record")
    page.wait_for_selector("#start")
    page.locator("video").evaluate("""(video) =>
        video.videoWidth || new Promise((resolve) => { video.onloadedmetadata = resolve; })""")
    yield "camera"
    page.click("#start")
    page.wait_for_selector("#stop")
    yield "recording"
    page.click("#cancel")
    page.wait_for_selector("#record")


def _results(page, video):
    fill(page, birth_weight_g="4900")
    answer(page, video)
    yield "unsure"
    page.click("#again")
    fill(page, birth_weight_g="7900", age_days="30", infant_id="")
    answer(page, video)
    yield "refer"
    page.click("#keep")
    yield "needs_a_name"
    page.click("#again")
    fill(page)
    answer(page, video)
    yield "result"
    page.click("#export-qr")
    yield "code"


def _children(page, video):
    tab(page, 2)
    page.wait_for_selector("#main h2")
    yield "no_children"
    tab(page, 1)
    page.click("#keep")
    page.wait_for_selector("#see-child")
    yield "kept"
    page.click("#again")
    fill(page, age_days="19")
    answer(page, video)
    page.click("#keep")
    page.click("#see-child")
    page.wait_for_selector("svg.curve")
    yield "curve"
    page.click("#erase-child")
    yield "erase"
    tab(page, 2)
    page.wait_for_selector(".list")
    yield "children"
