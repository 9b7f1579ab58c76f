"""Real photos of six classes, from a run on digits to the report, in one command."""
import re

import pytest
from html_pages import Page
from launch_here import ROOT, launch_here
from tiny_run import tiny_config
from tiny_spaces import save_run

ACCURACY = re.compile(r"\d+\.\d\d%")
INTERVAL = re.compile(r"\d+\.\d\d% \(\d+\.\d to \d+\.\d\)")


@pytest.mark.long
def test_from_weights_to_a_report(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    save_run(tmp_path / "digits", tiny_config())
    arguments = [f"--photos={shared}/data/photos", f"--weights={tmp_path}/digits",
                 f"--workdir={tmp_path}/photos", "--epochs=5"]
    code, said, errors = launch_here("own_photos", *arguments)
    assert code == 0, errors
    assert "knows 10 other classes; a new one is fitted" in said and "digits are grey" in said
    assert "30 test images cannot tell 52% from 83%" in said
    page = Page((tmp_path / "photos" / "report.html").read_text())
    for text in (said, page.text):
        assert len(ACCURACY.findall(text)) == len(INTERVAL.findall(text)) > 4
    # The same command again has nothing to train, and says the same.
    again = launch_here("own_photos", *arguments)[1]
    assert said.splitlines()[-5:] == again.splitlines()[-5:]
    code, _, told = launch_here("own_photos", *arguments[:-1], "--epochs=6")
    assert code == 2 and "training.epochs is 5.0 there and 6.0 now" in told
