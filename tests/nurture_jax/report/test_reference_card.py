"""The printed card: every mark where it must be, in mm, as a reader of the PDF finds it."""
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'nurture')")

from nurture_jax.reference_objects import BANK_CARD_MM, STRIP, STRIP_MM
from nurture_jax.report.reference_card import PAPERS_MM, POINTS_PER_MM, card
from nurture_jax.synthetic.world.rulers import RULERS

MM = 1e-4


def pages(content: bytes) -> list[tuple[tuple[float, ...], np.ndarray]]:
    """Size in mm, and left, bottom, width, height of the closed paths of every page."""
    found = []
    for box, stream in re.findall(rb"/MediaBox \[ 0 0 ([\d. ]+) \].*?stream\n(.*?)endstream",
                                  content, re.DOTALL):
        size = tuple(np.array(box.split(), float) / POINTS_PER_MM)
        number = rb"(-?[\d.]+) (-?[\d.]+) "
        back = rb"(?:-?[\d.]+ -?[\d.]+ l\n)?"  # to the first corner
        paths = re.findall(number + rb"m\n" + (number + rb"l\n") * 3 + back + rb"h", stream)
        corners = np.array(paths, float).reshape(-1, 4, 2) / POINTS_PER_MM
        low, high = corners.min(1), corners.max(1)
        found.append((size, np.concatenate([low, high - low], 1)))
    return found


def has(boxes, wanted) -> bool:
    return bool((np.abs(boxes - np.array(wanted)) < MM).all(1).any())


def test_every_mark_is_where_it_must_be():
    found = pages(card())
    assert len(found) == 2
    for (size, boxes), paper in zip(found, PAPERS_MM.values(), strict=True):
        np.testing.assert_allclose(size, paper, atol=MM)
        left = (paper[0] - 200) / 2
        assert left > 20  # further from the edge than any printer leaves white
        for bottom in (160, 122):
            for x, y, wide, high in STRIP:
                assert has(boxes, (left + x, bottom + y, wide, high))
            marks = boxes[np.abs(boxes[:, 1] + boxes[:, 3] - bottom - 30) < MM]
            assert marks[:, 0].min() == pytest.approx(left, abs=MM)
            assert (marks[:, 0] + marks[:, 2]).max() == pytest.approx(left + 200, abs=MM)
            middles = np.sort(marks[:, 0] + marks[:, 2] / 2 - left)[1:-1]
            np.testing.assert_allclose(middles, np.arange(1, 200), atol=MM)
        assert has(boxes, (left, 12, 100, 100))  # the square that is measured
        assert (boxes[:, :2] > -MM).all() and (boxes[:, :2] + boxes[:, 2:] < np.array(paper)
                                               + MM).all()


def test_the_same_bytes_and_papers():
    assert card() == card()
    assert len(pages(card(["Letter"]))) == 1
    for papers in (["A5"], []):
        with pytest.raises(ValueError, match="A4, Letter; give one of them"):
            card(papers)


def test_it_is_what_the_renderer_draws():
    assert (STRIP_MM[0] / 10, STRIP_MM[1] / 20) == (RULERS["strip"].length_cm,
                                                     RULERS["strip"].half_width_cm[0])
    assert BANK_CARD_MM == (85.60, 53.98)  # ID-1, ISO/IEC 7810
    for x, y, wide, high in STRIP:
        assert x > -MM and x + wide < 200 + MM and y > -MM and y + high < 30 + MM
