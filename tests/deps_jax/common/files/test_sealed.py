"""Records, logs and lists of hashes: written whole, and every change is seen."""
import csv
import errno
import io
import json
import os
import subprocess
import sys

import pytest

from deps_jax.common.files import checksums, sealed

CONTENT = {"a": [1, 2.5, float("nan")], "b": {"c": "ü", "d": None}, "e": (1, 2)}
MEND = "make it again"


@pytest.fixture
def path(tmp_path):
    sealed.write(tmp_path / "x.json", {**CONTENT, "a": [1, 2.5]})
    return tmp_path / "x.json"


def test_a_record_is_read_as_it_was_written(path, capsys):
    assert sealed.read(path, MEND) == {"a": [1, 2.5], "b": {"c": "ü", "d": None}, "e": [1, 2]}
    assert capsys.readouterr() == ("", "")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items()))))  # order and white space are free
    assert sealed.read(path, MEND)["e"] == [1, 2]
    sealed.write(path, {"n": float("nan")})
    assert sealed.read(path, MEND)["n"] != 0


@pytest.mark.parametrize("place", range(0, 150, 7))
def test_every_flipped_byte_is_seen_or_changes_nothing(path, place, capsys):
    data = path.read_bytes()
    path.write_bytes(data[:place] + bytes([data[place] ^ 2]) + data[place + 1:])
    before = sealed.unseal(json.loads(data), path, MEND)
    try:
        after = sealed.read(path, MEND)
    except ValueError as error:
        assert str(path) in str(error) and MEND in str(error)
    else:
        told = "was written by an older version" in capsys.readouterr().err
        assert after == before or told


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text[:40], "is damaged, it is no longer JSON"),
    (lambda text: "", "is damaged, it is no longer JSON"),
    (lambda text: "[]", "is not JSON with named fields"),
    (lambda text: text.replace("2.5", "2.6"), "edited by hand, its content is not what was"),
    (lambda text: text.replace('"c"', '"k"'), "edited by hand"),
    (lambda text: text.replace('"format": 1', '"format": 7'), "edited by hand"),
    (lambda text: text.replace('"format"', '"fromat"'), "its field 'seal' is"),
])
def test_a_changed_record_is_refused_by_name(path, change, message):
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=message) as refused:
        sealed.read(path, MEND)
    assert str(path) in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_a_record_of_a_newer_version_is_refused(path, monkeypatch):
    monkeypatch.setattr(sealed, "FORMAT", 7)
    sealed.write(path, {"a": 1})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"x\.json was written by a newer version of this program "
                                         r".format 7, this one reads 1.; update this program"):
        sealed.read(path, MEND)


def test_a_record_without_its_seal_is_read_and_that_is_told(path, capsys):
    content = json.loads(path.read_text())
    del content["seal"]
    path.write_text(json.dumps(content))
    assert sealed.read(path, MEND)["a"] == [1, 2.5]
    assert "x.json was written by an older version" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"none\.json does not exist; make it again"):
        sealed.read(path.with_name("none.json"), MEND)


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_or_a_kill_leaves_the_old_file(path, step, monkeypatch):
    old = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*{"write": (json, "dumps"), "fsync": (os, "fsync"),
                          "replace": (type(path), "replace")}[step], full)
    with pytest.raises((ValueError, OSError)) as told:
        sealed.write(path, {"a": 2})
    monkeypatch.undo()
    assert path.read_bytes() == old and [p.name for p in path.parent.iterdir()] == ["x.json"]
    assert step == "write" or f"the disk of {path} is full, what was there before" in str(
        told.value)


def test_full_disks_are_known_in_every_form():
    assert sealed.is_full(OSError(errno.ENOSPC, "x")) and sealed.is_full(OSError(errno.EDQUOT, "x"))
    assert sealed.is_full(ValueError("RESOURCE_EXHAUSTED: ... [os_error_code='28']"))
    assert not sealed.is_full(OSError(errno.EACCES, "x")) and not sealed.is_full(ValueError("28"))


def test_damaged_lines_of_a_log_are_left_out_and_told(tmp_path, capsys):
    path, rows = tmp_path / "m.jsonl", [{"step": i, "loss": i / 7} for i in range(4)]
    path.write_text("".join(map(sealed.line, rows)) + '{"step": 4, "lo')
    assert sealed.read_lines(path) == rows and capsys.readouterr().err == ""
    path.write_text(path.read_text().replace("0.14285714285714285", "0.14285714285714385"))
    assert sealed.read_lines(path) == [rows[0], *rows[2:]]
    assert "m.jsonl is damaged in 1 of 5 lines (2), they are left out" in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:10] + b"\xff" + path.read_bytes()[11:])
    assert sealed.read_lines(path) == rows[2:]
    path.write_text(sealed.line(rows[0]) + '{"step": 1, "lo')
    sealed.append(path, rows[1])
    assert sealed.read_lines(path) == rows[:2] and path.read_text().count("\n") == 2
    path.write_text('{"step": 1}\n')  # of an older version
    assert sealed.read_lines(path) == [{"step": 1}]
    assert sealed.read_lines(tmp_path / "none.jsonl") == []


def test_numbers_that_json_does_not_have_are_null():
    content = {"a": [1, float("nan"), (float("-inf"), 2.5)], 3: {"b": None, "c": "nan"}}
    found = sealed.finite(content)
    assert found == {"a": [1, None, [None, 2.5]], "3": {"b": None, "c": "nan"}}
    assert sealed.finite({"a": (1, 2.5)}) == {"a": [1, 2.5]}


def test_a_table_has_the_columns_of_all_its_rows():
    text = sealed.rows([{"a": 1, "b": None}, {"c": "x, y", "a": 2}])
    assert text == 'a,b,c\r\n1,,\r\n2,,"x, y"\r\n'
    assert sealed.rows([{"a": 1, "b": "=1"}], head=False) == "1,'=1\r\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(A1)", " =1", "\t=1",
                                  "\uff1d1", "=HYPERLINK(\"http://x\")"])
def test_a_cell_is_no_formula(text):
    row, = csv.DictReader(io.StringIO(sealed.rows([{"a": text, "b": -1.5, "c": "a=b"}])))
    assert row == {"a": f"'{text}", "b": "-1.5", "c": "a=b"}


@pytest.mark.parametrize("text", ["=1", "\uff1d1", " =1", "'=1", "''\uff20a", "'a", "' =1", "a=1",
                                  "", "'", "\ufeff=1", "\x1f+1", "=1\r\n2, \"3\""])
def test_text_comes_back_out_of_its_cell(text):
    row, = csv.DictReader(io.StringIO(sealed.rows([{"a": text, "b": ""}]), newline=""))
    assert sealed.text_of(row["a"]) == text and not row["a"].strip("\ufeff\x1f ").startswith("=")


KILLED = """
import os, signal, sys
from deps_jax.common.files import sealed
with sealed.growing(sys.argv[1]) as add:
    add("a\\n")
    add("b\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_growing_file_is_its_part_until_it_is_whole(tmp_path, capsys):
    path, part = tmp_path / "x.csv", tmp_path / "x.csv.part"
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode < 0
    assert part.read_text() == "a\nb\n" and not path.exists()
    with sealed.growing(path) as add:
        add("c\n")
        assert part.read_text() == "c\n" and not path.exists()
        add("ü\n")
    assert path.read_text("utf-8") == "c\nü\n" and not part.exists()
    with pytest.raises(KeyError), sealed.growing(path) as add:
        raise KeyError("nothing yet")
    assert not part.exists() and capsys.readouterr().err == ""
    with pytest.raises(KeyboardInterrupt), sealed.growing(path) as add:
        add("d\n")
        raise KeyboardInterrupt
    assert path.read_text("utf-8") == "c\nü\n" and part.read_text() == "d\n"
    assert capsys.readouterr().err == f"note: {part} holds what was finished\n"


def test_a_full_disk_leaves_whole_pieces_of_a_growing_file(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    told = r"x\.csv is full, what was finished is in .*x\.csv\.part; free some"
    with pytest.raises(sealed.FullDisk, match=told), sealed.growing(path) as add:
        add("a\n")
        monkeypatch.setattr(os, "fsync", full)
    assert (tmp_path / "x.csv.part").read_text() == "a\n" and not path.exists()


@pytest.fixture
def listed(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a.bin", "d/b.bin"):
        (tmp_path / name).write_bytes(os.urandom(100))
    checksums.write(tmp_path, checksums.of_files(tmp_path))
    return tmp_path


def test_a_list_is_that_of_sha256sum(listed):
    found = subprocess.run(["sha256sum", "-c", checksums.LIST], cwd=listed, check=True,
                           capture_output=True, text=True)
    assert found.stdout == "a.bin: OK\nd/b.bin: OK\n"
    assert checksums.damage(listed) == "" and checksums.read(listed) == checksums.of_files(listed)


def rewrite(folder, change):
    path = folder / checksums.LIST
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(("damage", "told"), [
    (lambda f: (f / "d/b.bin").write_bytes(b"x"), "d/b.bin is not what was written"),
    (lambda f: (f / "a.bin").unlink(), "a.bin is missing"),
    (lambda f: (f / checksums.LIST).unlink(), "SHA256SUMS is missing"),
    (lambda f: (f / checksums.LIST).write_text(""), "SHA256SUMS is cut off"),
    (lambda f: rewrite(f, lambda text: text[:-1]), "is cut off"),
    (lambda f: rewrite(f, lambda text: f"x{text}"), "is damaged"),
    (lambda f: rewrite(f, lambda _: "0" * 64 + "  a.bin\n"), "a.bin is not what"),
])
def test_what_is_wrong_with_a_folder_is_said(listed, damage, told):
    damage(listed)
    assert told in checksums.damage(listed)
