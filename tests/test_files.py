"""A folder that a user named is written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ares.pipeline.folders import is_taken, write_whole

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
    write_whole(folder, FILES, executable={"deep/b.sh"})
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
        write_whole(mine, FILES)
    assert kept.read_text() == "years of work"
    assert os.listdir(tmp_path) == ["mine"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a\.txt"):
        write_whole(tmp_path / "new", {**FILES, "a.txt/below": b"no folder"})
    assert os.listdir(tmp_path) == []
