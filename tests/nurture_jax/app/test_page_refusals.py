"""Bad input: one sentence that says what to do next, and nothing lost."""
import json
import shutil

import numpy as np
import pytest
from app_browser import served
from make_videos import write_sound, write_video
from page_states import answer, assert_nothing_lost, baby, fill, in_view, opened, reddish, told

HUGE_BYTES = 3 << 30


def damaged(path, kind):
    """A file of one kind that is no video of a baby."""
    small = {"images": reddish(6), "width": 320, "height": 240}
    times = {"short.mp4": np.arange(6) / 15, "long.mp4": np.array([0, 1, 2, 3, 4, 3700.0])}
    if kind in times:
        write_video(path, times_s=times[kind], **small)
    elif kind == "sound.wav":
        write_sound(path)
    elif kind == "wide.mp4":
        write_video(path, images=[np.zeros((16, 8208, 3), np.uint8)] * 30, width=8208, height=16)
    elif kind == "huge.mp4":
        with path.open("wb") as file:
            file.truncate(HUGE_BYTES)
    elif kind == "broken.mp4":
        content = bytearray(baby(path).read_bytes())
        frames = slice(*(content.index(b"mdat") + len(content) * part // 10 for part in (3, 5)))
        content[frames] = np.random.default_rng(1).bytes(frames.stop - frames.start)
        path.write_bytes(content)
    elif kind in ("cut_off.mp4", "no_end.mp4"):
        whole = baby(path) if kind == "no_end.mp4" else write_video(
            path, images=reddish(), width=320, height=240, faststart=True)
        path.write_bytes(whole.read_bytes()[:whole.stat().st_size // 2])
    else:
        path.write_bytes({"picture.png": b"\x89PNG\r\n\x1a\n", "empty.mp4": b""}.get(
            kind, np.random.default_rng(0).bytes(5000)))
    return path


@pytest.mark.parametrize("kind, sentence", [
    ("picture.png", "This is a picture, not a video; record or choose a video."),
    ("empty.mp4", "The file is empty; record the video again."),
    ("noise.mp4", "cannot be read as a video in this browser; record it again, or choose another"),
    ("no_end.mp4", "cannot be read as a video in this browser; record it again, or choose another"),
    ("huge.mp4", "cannot be read as a video in this browser; record it again, or choose another"),
    ("cut_off.mp4", "; copy it again, or record it again."),
    ("broken.mp4", "cannot be read after "),
    ("sound.wav", "The file has sound but no picture; record a video."),
    ("short.mp4", "The video lasts 0.4 s; record at least 1 s."),
    ("long.mp4", "more than 3,600 s; cut out the part with the baby."),
    ("wide.mp4", "at most 8,192 a side can be read. Record with a lower resolution.")])
def test_files_that_are_no_video_of_a_baby(page, tmp_path, kind, sentence):
    fill(page)
    answer(page, damaged(tmp_path / kind, kind))
    assert sentence in told(page) and in_view(page, ".wrong:not(:empty)")
    assert_nothing_lost(page)
    answer(page, baby(tmp_path / "baby.mp4"))
    assert page.query_selector(".value")


def test_a_good_video_in_a_huge_file(page, tmp_path):
    """It is read where it is needed, and not as a whole for its hash."""
    video = baby(tmp_path / "v.mp4")
    with video.open("ab") as file:  # a box of a length of its own, which every reader passes over
        file.write((1).to_bytes(4, "big") + b"free" + HUGE_BYTES.to_bytes(8, "big"))
        file.truncate(video.stat().st_size + HUGE_BYTES)
    fill(page)
    answer(page, video)
    assert page.query_selector(".value")
    with page.expect_download() as waiting:
        page.click("#export-json")
    assert json.loads(waiting.value.path().read_bytes())["video"]["sha256"] is None


@pytest.mark.parametrize("field, value, sentence", [
    ("birth_weight_g", "2.9", "2.9 is not 500 to 8000 grams; kilograms?"),
    ("age_days", "400", "400 is not 0 to 60 days; correct it or leave it empty"),
    ("gestational_age_days", "5", "is not 154 to 315 days"),
    ("reference_cm", "300", "is not 5 to 100 cm; millimetres?"), ("age_days", "x", "correct it")])
def test_numbers_that_cannot_be(page, tmp_path, field, value, sentence):
    """The video that was chosen need not be chosen again."""
    fill(page, **{field: value})
    answer(page, baby(tmp_path / "v.mp4"))
    assert sentence in told(page)
    assert page.get_attribute(f"#{field}", "aria-invalid") == "true"
    if field != "reference_cm":
        assert_nothing_lost(page, **{field: value})
    fill(page, reference_cm="30")
    page.click("#go-on")
    page.wait_for_selector("#line")


def test_digits_of_hindi_and_a_comma(page, tmp_path):
    fill(page, birth_weight_g="२८९०", age_days="8,5")
    answer(page, baby(tmp_path / "v.mp4"))
    with page.expect_download() as waiting:
        page.click("#export-json")
    visit = json.loads(waiting.value.path().read_bytes())["visit"]
    assert (visit["birth_weight_g"], visit["age_days"]) == (2890, 8.5)


def test_an_altered_network_is_not_used_until_the_page_is_loaded_anew(browser, folder, tmp_path):
    """Loading it anew asks for a connection first, and leaves kept children where they are."""
    altered = tmp_path / "altered"
    shutil.copytree(folder, altered)
    with (altered / "model.onnx").open("ab") as file:
        file.write(b"\0")
    video = baby(tmp_path / "v.mp4")
    with served(altered) as (address, _):
        page = browser.new_page()
        opened(page, address)
        page.wait_for_selector("html[data-offline=ready]", state="attached")
        fill(page)
        answer(page, video)
        assert "was altered and is not used; load the page anew with a connection" in told(page)
        assert_nothing_lost(page)
        page.context.set_offline(True)
        page.click("#load-anew")
        page.wait_for_selector("text=There is no connection; try again when there is one.")
        page.context.set_offline(False)
        shutil.copy(folder / "model.onnx", altered / "model.onnx")
        with page.expect_navigation():
            page.click("#load-anew")
        page.wait_for_selector("#file", state="attached")
        answer(page, video)
        assert page.query_selector(".value")
        page.close()


def film(page):
    page.click("#record")
    page.click("#start")
    page.wait_for_timeout(2500)


def tracks(page):
    """Whether the camera that the page was given still runs."""
    return page.evaluate("window.tracks.map((each) => each.readyState)")


def test_a_recording_with_the_camera(page):
    """With the moving picture that Chromium has for tests; the camera is turned off behind it."""
    page.evaluate("""() => {
        const {mediaDevices} = navigator;
        const ask = mediaDevices.getUserMedia.bind(mediaDevices);
        window.tracks = [];
        mediaDevices.getUserMedia = async (wish) => {
            const stream = await ask(wish);
            tracks.push(...stream.getTracks());
            return stream;
        };
    }""")
    fill(page)
    film(page)
    assert tracks(page) == ["live"]
    page.click("#stop")
    page.wait_for_selector("#line", timeout=60000)
    with page.expect_download() as waiting:
        page.click("#export-json")
    video = json.loads(waiting.value.path().read_bytes())["video"]
    assert video["name"].startswith("recording.") and 1 < video["duration"] < 5
    assert tracks(page) == ["ended"]
    page.click("#again")
    assert_nothing_lost(page)
    film(page)
    page.click("#tabs button:nth-of-type(3)")  # another view turns it off, too
    page.wait_for_timeout(300)
    assert tracks(page) == ["ended", "ended"]
    page.click("#tabs button:nth-of-type(1)")
    assert_nothing_lost(page)
