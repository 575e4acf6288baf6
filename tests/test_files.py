"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from segdemo.files import whole, write_whole


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "fcn.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(path) as unfinished:
        unfinished.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with whole(path) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("木" * 81 + ".overlay.wp")  # 254 bytes
    write_whole(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_what_cannot_be_written_is_told_under_the_name_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "chart.svg", tmp_path / "folder"):
        with pytest.raises(OSError) as told:
            write_whole(path, b"whole")
        assert told.value.filename == str(path)


def test_two_runs_may_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.mask.png"
    with whole(path) as one, whole(path) as other:
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert path.read_bytes() == b"one" and list(tmp_path.iterdir()) == [path]
