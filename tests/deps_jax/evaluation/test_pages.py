"""What the pages of the supernet half show of fabricated results, and that markup stays text."""
import json

from html_pages import Page

from deps_jax.evaluation import report
from deps_jax.evaluation.certainty import warning
from deps_jax.export.export import Exported
from deps_jax.search import front_report, specialize

MARKUP = '<img src="http://x/y.png" onerror="f()">'
RESULTS = (report.SubnetResult("d2e2k3", 1_234_567, 45_678, 100, 0.51, 0.90, 1.234),
           report.SubnetResult(f"d1{MARKUP}", 2_345_678, 56_789, 100, 0.62, 0.95, 1.1))
POINTS = [{"subnet": "d2e2k3@24", "top1": 0.5, "predicted_top1": 0.52, "macs": 1e6, "params": 4e4,
           "latency_ms": 0.3, "file_bytes_fp32": 2e5},
          {"subnet": f"d1{MARKUP}", "top1": 0.6123, "predicted_top1": 0.62, "macs": 2e6,
           "params": 5e4, "latency_ms": 0.4, "file_bytes_fp32": 3e5}]
GROUPS = {"searched": POINTS, "random search": [{**POINTS[0], "macs": 1.5e6}],
          "uniform subnets": [{**POINTS[1], "top1": 0.4}]}
SHOWN = [["d2e2k3@24", "50.00%", "52.00%", "1", "0.04", "0.3", "0.2"],
         [f"d1{MARKUP}", "61.23%", "62.00%", "2", "0.05", "0.4", "0.3"]]


def test_report_of_subnets(tmp_path):
    details = {"method": "deps", "data_dir": f"photos of {MARKUP}", "images": 100}
    records = [{"step": step, "loss": 1 / (step + 1), "top1": 0.1 * step} for step in range(5)]
    config = {"data": {"dir": MARKUP, "classes": ["cat", MARKUP]}, "seed": 3}
    report.write_html(tmp_path / "report.html", RESULTS, details, records, config,
                      warning(100))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.rows[1:3] == [
        ["d2e2k3", "1.23", "0.046", "51.00% (41.3 to 60.6)", "90.00% (82.6 to 94.5)", "1.234"],
        [f"d1{MARKUP}", "2.35", "0.057", "62.00% (52.2 to 70.9)", "95.00% (88.8 to 97.8)", "1.100"]]
    assert "100 images cannot tell 60% from 78%" in page.text
    assert page.rows[3:] == [["data.dir", MARKUP], ["data.classes", str(["cat", MARKUP])],
                             ["seed", "3"]]
    assert f"method: deps; data dir: photos of {MARKUP}; images: 100" in page.text
    assert page.count("img") == 2


def test_lines_of_training_are_named_by_what_they_are(monkeypatch):
    """The first network need not be the full model, nor are the ends of the space validated."""
    drawn = []
    monkeypatch.setattr(report, "png", lambda figure: drawn.extend(
        [text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes))
    report.plot_training([{"step": 1, "loss": 2.0, "top1": 0.1},
                          {"step": 2, "loss": 1.0, "subnet_loss": 1.5, "top1": 0.2,
                           "validation/smallest": 0.1, "validation/d2e3k3": 0.3}])
    assert drawn == [["first network", "other subnets"], [
        "first network, training images", "smallest, validation", "d2e3k3, validation"]]


def test_table_that_compares_methods():
    """By method the mean of its runs and every run; a subnet that a run lacks is left empty."""
    run = lambda method, seed, *results: {"method": method, "seed": seed, "subnets": [
        report.SubnetResult(name, 1, 1, 10_000, top1, 1.0, 0.0) for name, top1 in results]}
    records = [run("deps", 8, ("d1", 0.5), ("d2", 0.75)), run("deps", 9, ("d1", 0.25), ("d2", 0.5)),
               run("own|way", 8, ("d1", 0.125))]
    assert report.comparison(records).splitlines() == [
        r"| subnet | deps (seeds 8, 9) | own\|way (seeds 8) |", "| --- | --- | --- |",
        "| d1 | 37.50% (50.00%, 25.00%) | 12.50% (12.50%) |",
        "| d2 | 62.50% (75.00%, 50.00%) |  |"]
    assert not report.comparison(records).endswith("\n")


def test_page_of_a_front(tmp_path):
    front_report.write_page(tmp_path / "front.html", GROUPS, "macs", f"searched in {MARKUP}")
    page = Page((tmp_path / "front.html").read_text(encoding="utf-8"))
    assert page.rows[0] == ["subnet", "top-1", "predicted", "million MACs", "million parameters",
                            "latency, ms", "file, MB (fp32)"]
    assert page.rows[1:] == SHOWN and f"searched in {MARKUP}" in page.text
    marks = [attributes for name, attributes in page.elements if name == "circle"]
    assert [mark["class"] for mark in marks] == ["searched"] * 2 + ["random", "uniform"]
    at = lambda mark: (float(mark["cx"]), float(mark["cy"]))
    assert at(marks[0])[0] < at(marks[2])[0] < at(marks[1])[0]  # by MACs
    assert at(marks[1])[1] < at(marks[0])[1] < at(marks[3])[1]  # a higher top-1 is further up
    assert f"d1{MARKUP} 61.23% top-1 2 million MACs 0.05 million parameters 0.4 latency" \
        in page.text
    assert not page.count("circle", stroke="black") and not page.count("tr", **{"class": "chosen"})


def test_page_of_a_specialized_network(tmp_path):
    card = {"subnet": f"d1{MARKUP}", "precision": "fp32", "preprocessing": {"resolution": 32},
            "space": {"resolution": 32}, "size_bytes": 123_456, "macs": 2_345_678,
            "check": {"top1": 0.5, "images": 10, "split": "test", "top1_supernet": 0.6,
                      "top1_agreement": 0.9},
            "latency": {"p10_ms": 0.3, "median_ms": 0.4, "device": {"processor": MARKUP}}}
    exported = Exported(tmp_path / f"{MARKUP[:4]}.onnx", card, (f"too large: {MARKUP}",))
    (tmp_path / "front.json").write_text(json.dumps(
        {"front": POINTS, **{name: GROUPS[name] for name in ("random search", "uniform subnets")},
         "goal": {"objectives": ["latency_ms"]}}))
    timed = {POINTS[0]["subnet"]: 0.31, POINTS[1]["subnet"]: 0.44}
    page = Page(specialize._page(exported, {"macs": 3e6}, tmp_path, timed))
    assert page.rows[:8] == [
        ["asked for", "macs at most 3e+06"], ["subnet", f"d1{MARKUP}"], ["file", "<img.onnx"],
        ["top-1 of the file",
         "50.00% (23.7 to 76.3) on 10 test images; in the supernet 60.00% (31.3 to 83.2), "
         "agreement 90.00% (59.6 to 98.2)"],
        ["size", "0.123 MB, fp32"], ["MACs", "2.35 million"],
        ["latency", f"0.300 ms (p10), 0.400 ms (median), {MARKUP}"],
        ["verdict", f"NOT OK: too large: {MARKUP}"]]
    assert page.rows[8][-1] == "measured, ms"
    assert page.rows[9:] == [[*SHOWN[0], "0.310"], [*SHOWN[1], "0.440"]]
    chosen = {"class": "chosen"}
    assert page.count("tr", **chosen) == 1 and page.count("circle", stroke="black") == 2
    for pixels, name in ((24, "d2e2k3@24"), (32, "d2e2k3")):
        card |= {"subnet": "d2e2k3", "preprocessing": {"resolution": pixels}, "latency": {}}
        page = Page(specialize._page(exported, {}, tmp_path, {}))
        assert page.rows[1] == ["subnet", name] and page.rows[6] == ["latency", "not measured"]
        assert page.count("tr", **chosen) == (pixels == 24)
