"""What a user named is written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ares.files import is_taken, write_file, write_folder

FILES = {"a.txt": b"a", "deep/b.sh": b"#!/bin/sh\n", "deep/er/c.bin": bytes(range(256))}


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["absent", "empty", "deep"])
def test_all_is_written(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / {"absent": "new", "empty": "empty", "deep": "not/yet/there"}[kind]
    if kind == "empty":
        folder.mkdir()
    assert not is_taken(folder)
    write_folder(folder, FILES, executable={"deep/b.sh"})
    assert found(folder) == FILES
    runs = [name for name in FILES if os.access(folder / name, os.X_OK)]
    assert runs == ["deep/b.sh"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert is_taken(folder)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_is_written_over(kind: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    if kind == "folder":
        mine.mkdir()
    kept = mine / "thesis.txt" if kind == "folder" else mine
    kept.write_text("years of work")
    with pytest.raises(FileExistsError, match="something is there already"):
        write_folder(mine, FILES)
    assert kept.read_text() == "years of work"
    assert os.listdir(tmp_path) == ["mine"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a\.txt"):
        write_folder(tmp_path / "new", {**FILES, "a.txt/below": b"no folder"})
    assert os.listdir(tmp_path) == []


def test_a_file_is_put_in_place_and_keeps_its_rights(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_file(link, b"new")
    assert (real.read_bytes(), real.stat().st_mode & 0o777, link.is_symlink()) == (
        b"new",
        0o640,
        True,
    )
    mask = os.umask(0o027)
    try:
        write_file(tmp_path / "fresh", b"x")
    finally:
        os.umask(mask)
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["fresh", "link", "real"]


def test_a_file_that_cannot_be_put_in_place_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").write_bytes(b"years of work")

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "mine", b"half")
    assert (tmp_path / "mine").read_bytes() == b"years of work"
    assert os.listdir(tmp_path) == ["mine"]
    with pytest.raises(OSError, match="mine"):
        write_file(tmp_path / "mine" / "below", b"x")
