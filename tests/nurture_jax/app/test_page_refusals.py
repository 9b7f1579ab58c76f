"""Bad input: one sentence that says what to do next, and nothing lost."""
import datetime
import json
import shutil

import numpy as np
import pytest
from app_browser import served
from make_videos import write_sound, write_video
from page_states import answer, assert_nothing_lost, baby, fill, in_view, opened, reddish, told
from phone_videos import write_phone, write_two_sizes
from tiny_page_model import write_model

from nurture_jax.app.build import build

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
    ("gestational_age_days", "5", "5+3 weeks is not 22+0 weeks to 45+0 weeks; correct it or leave"),
    ("reference_cm", "300", "is not 5 to 100 cm; millimetres?"),
    ("age_days", "x", "x is not a number; give days without the unit, or leave it empty"),
    ("reference_cm", "0x1E", "0x1E is not a number; give cm without the unit"),
    ("birth_weight_g", "2,850", "2,850 is not a number; a thousands separator? Write 2850"),
    ("gestation_rest", "8", "38+8 is not a gestation of whole weeks and 0 to 6 days; correct it."),
    ("gestational_age_days", "", "3 days of gestation are without weeks; give the completed weeks"),
    ("gestational_age_days", "38.5", "38.5+3 is not a gestation of whole weeks and 0 to 6 days")])
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


def test_an_age_that_does_not_fit_the_date_of_birth(page, tmp_path):
    """A day apart it may be counted otherwise; a date in the future is told alone."""
    video = baby(tmp_path / "v.mp4")
    date = lambda days: (datetime.date.today() - datetime.timedelta(days)).isoformat()
    fill(page)
    page.fill("#birth_date", date(10))
    page.fill("#age_days", "8")
    answer(page, video)
    assert told(page) == ("Age 8 does not fit the date of birth, by which today is day 10. Correct "
                          "one, or leave the date empty for an earlier video.")
    page.fill("#birth_date", date(-2))
    page.fill("#age_days", "8")
    page.click("#go-on")
    assert told(page) == "The date of birth lies in the future; correct it."
    page.fill("#birth_date", date(9))
    page.fill("#age_days", "8")
    page.click("#go-on")
    page.wait_for_selector(".value")


@pytest.mark.parametrize("way", ["webcodecs", "seeking"])
def test_a_video_that_changes_its_shape(page, tmp_path, way):
    """Another size of the same shape is no matter, nor are pixels that are not square."""
    if way == "seeking":
        page.evaluate("() => { delete window.VideoDecoder; }")
    two = lambda name, then: write_two_sizes(tmp_path / name, [(320, 240), then],
                                             pictures=reddish)
    fill(page)
    answer(page, two("b.webm", (240, 320)))
    assert told(page) == ("The video changes from 320 x 240 to 240 x 320 pixels; record without "
                          "turning the phone.")
    turned = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    for video in (two("a.webm", (160, 120)), oblong(tmp_path / "a.mp4"),
                  oblong(tmp_path / "t.mp4", matrix=turned)):
        answer(page, video)
        assert page.query_selector("#line"), video
        page.click("#again")


def oblong(path, **more):
    """A video whose pixels are 4 by 3."""
    return write_phone(path, reddish(), options={"preset": "ultrafast", "x264-params": "sar=4/3"},
                       **more)


def test_a_network_that_gives_no_number(browser, tmp_path):
    """What has an interval is named; it is not taken for what was never learnt."""
    model = write_model(tmp_path / "lost.onnx", lost=("head_cm", "chest_cm"))
    build(model, tmp_path / "page")
    with served(tmp_path / "page") as (address, _):
        page = browser.new_page()
        opened(page, address)
        fill(page)
        answer(page, baby(tmp_path / "v.mp4"))
        assert told(page) == ("Of this video head circumference, chest circumference came out as "
                              "no number, so nothing is told of it; record again, or load the page "
                              "anew.")
        assert_nothing_lost(page)
        page.close()


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
    assert video["suffix"] in (".mp4", ".webm") and 1 < video["duration"] < 5
    assert tracks(page) == ["ended"]
    page.click("#again")
    assert_nothing_lost(page)
    film(page)
    page.click("#tabs button:nth-of-type(3)")  # another view turns it off, too
    page.wait_for_timeout(300)
    assert tracks(page) == ["ended", "ended"]
    page.click("#tabs button:nth-of-type(1)")
    assert_nothing_lost(page)
