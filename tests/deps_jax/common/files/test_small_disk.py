"""Files on a disk that is really full: what was whole before stays, and one sentence is told."""
import shutil

import pytest
from small_disk import small_disk

from deps_jax.common.command.mendable import is_mendable, sentence
from deps_jax.common.files import sealed


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as made:
        made.resize(64 * 1024)
        made.inside.mkdir()
        yield made


def test_a_log_ends_with_a_whole_line_and_goes_on(disk):
    path, written = disk.inside / "log.jsonl", 0
    with pytest.raises(sealed.FullDisk, match=r"log\.jsonl is full, what was there before is kept"):
        while True:
            sealed.append(path, {"number": written, "text": "x" * 37})
            written += 1
    assert written > 100 and path.read_bytes().endswith(b"\n")
    assert len(sealed.read_lines(path)) == written
    with pytest.raises(sealed.FullDisk):  # a part of it would fit: none is written
        sealed.add(path, "y\n" * 20_000)
    disk.resize()
    sealed.append(path, {"number": written})
    assert [line["number"] for line in sealed.read_lines(path)] == list(range(written + 1))


def test_a_half_line_of_any_length_is_dropped(tmp_path):
    for length in (0, 5, 70_000, 200_000):  # a long log is read from its end, in pieces
        path = tmp_path / f"{length}.jsonl"
        path.write_bytes(sealed.line({"a": 1}).encode() + b"x" * length)
        sealed.append(path, {"a": 2})
        assert sealed.read_lines(path) == [{"a": 1}, {"a": 2}]


def test_a_last_line_that_lacks_its_end_alone_stays(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}')  # as an editor may leave it
    sealed.add(path, '{"a": 3}\n')
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n{"a": 3}\n'


def test_a_record_stays_what_it_was(disk):
    path = disk.inside / "record.json"
    sealed.write(path, {"a": 1})
    with pytest.raises(sealed.FullDisk):
        sealed.write(path, {"a": "x" * 100_000})
    assert sealed.read(path, "") == {"a": 1}
    assert [path.name for path in disk.inside.iterdir()] == ["record.json"]


def test_what_libraries_say_of_a_full_disk_is_understood(disk, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for i in range(40):
        (many / str(i)).write_bytes(b"x" * 4096)
    with pytest.raises(shutil.Error) as error:  # an OSError without a number
        shutil.copytree(many, disk.inside / "copy")
    assert is_mendable(error.value) and "is full; free some space" in sentence(error.value)
    array_record = pytest.importorskip("array_record.python.array_record_module",
                                       reason="array_record is not installed (extra 'nurture')")
    shutil.rmtree(disk.inside / "copy")
    with pytest.raises(RuntimeError) as error:
        writer = array_record.ArrayRecordWriter(str(disk.inside / "a"), "group_size:1,uncompressed")
        for _ in range(200):
            writer.write(b"x" * 1000)
        writer.close()
    assert is_mendable(error.value) and "is full; free some space" in sentence(error.value)
