"""A file that others read is never half a file."""

import os

import pytest

from drctl.kernel.replace import replace_text


def test_it_is_replaced_whole_readable_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "drctl.prom"
    replace_text(path, "old\n")
    before = path.stat().st_ino
    replace_text(path, "new\n")
    assert "new\n" == path.read_text()
    assert before != path.stat().st_ino
    assert 0o644 == path.stat().st_mode & 0o777
    assert ["drctl.prom"] == os.listdir(tmp_path)


def test_a_refused_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "drctl.prom"
    replace_text(path, "old\n")

    def refuse(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        replace_text(path, "new\n")
    assert ("old\n", ["drctl.prom"]) == (path.read_text(), os.listdir(tmp_path))
