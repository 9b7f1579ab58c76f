"""An assessment as lines for a screen: measures, why this standard, birth weight, the advice."""
from __future__ import annotations

import math
from collections.abc import Sequence

from nurture_jax.clinic.assessment import Assessment, Finding
from nurture_jax.growth import CLASS_TEXTS, NoStandard
from nurture_jax.measures import MEASURES
from nurture_jax.rules import TABLE


def lines(found: Assessment, not_checked: Sequence[str] = ()) -> list[str]:
    """A line for each measure, then what follows from them; the advice is the last.

    Args:
      found: The assessment.
      not_checked: Checks of the recording that were not done.
    """
    told = [_measured(finding) for finding in found.findings.values()]
    whys = [finding.place.why for finding in found.findings.values()
            if not isinstance(finding.place, NoStandard)]
    if whys:
        told.append(_say("why", why=whys[0]))  # it is of the infant, so all are alike
    if found.birth_weight_class is None:
        told.append(_say("born_not_known"))
    else:
        told.append(_say("born", weight=f"{found.visit.birth_weight_g:.0f}",
                         class_text=CLASS_TEXTS[found.birth_weight_class]))
    if found.change_percent is not None:
        told.append(_say("change", change=f"{found.change_percent:+.1f}"))
    if found.lacks:
        told.append(_say("lacks", lacks="; ".join(found.lacks)))
    if not_checked:
        told.append(_say("not_checked", checks=", ".join(not_checked)))
    return [*told, _say("advice", advice=found.advice)]


def _measured(finding: Finding) -> str:
    """One measure: "weight    3000 g  (90 % interval ...); z -0.78, centile 22, ..."."""
    measure, place = MEASURES[finding.measure], finding.place
    span = _say("interval", low=measure.text(finding.low), high=measure.text(finding.high),
                unit=measure.unit) if math.isfinite(finding.low) else _say("no_interval")
    stands = _say("no_place", reason=place.reason) if isinstance(place, NoStandard) else \
        _say("place", z=f"{place.z:+.2f}", centile=f"{place.centile:.0f}", standard=place.standard)
    value = f"{measure.text(finding.estimate):>6} {measure.unit:<3}"
    return f"{measure.short:<8}{value}{span}; {stands}"


def _say(name: str, **parts: object) -> str:
    return TABLE["screen"][name].format(**parts)
