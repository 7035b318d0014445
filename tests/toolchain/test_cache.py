"""Where the cache is, who may have written to it, and what is made anew."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ares.toolchain import Cache, ToolchainError, open_cache
from ares.toolchain import cache as cache_module

Patch = pytest.MonkeyPatch


@pytest.fixture
def home(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A home of one's own; what the cache puts into the environment goes with the test."""
    monkeypatch.setenv("ARES_CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cache_module.atexit, "register", lambda *_: None)
    return tmp_path


def test_a_new_cache_is_for_its_owner_alone(home: Path) -> None:
    mask = os.umask(0)
    try:
        root = open_cache().root
    finally:
        os.umask(mask)
    assert root == home / ".cache" / "ares"
    assert {folder.stat().st_mode & 0o777 for folder in (root, root.parent)} == {0o700}


def test_a_home_that_cannot_be_written_gives_a_temporary_cache_that_is_said(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / ".cache").write_text("no folder", encoding="utf-8")
    root = open_cache().root
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"ares: cannot keep built files: {home}/.cache/ares: Not a directory; ")
    assert line.endswith(f"they go to {root} until this command ends")
    # Said once, and the same for all that the process starts.
    assert open_cache().root == root == Path(os.environ["ARES_CACHE_DIR"])
    assert not capfd.readouterr().err


def test_a_user_without_a_home(
    home: Path, monkeypatch: Patch, capfd: pytest.CaptureFixture[str]
) -> None:
    def nobody(_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(nobody))
    assert open_cache().root.is_dir()
    assert "you have no home folder" in capfd.readouterr().err


def test_a_temporary_cache_goes_with_its_process_but_for_what_failed(tmp_path: Path) -> None:
    script = (
        "from ares.toolchain import open_cache\n"
        "cache = open_cache()\n"
        "cache.put('kind', 'aa', 'file', b'content')\n"
        "print(cache.root)\n"
        "import pathlib, sys\n"
        "if sys.argv[1:]: cache.keep_failed('key', pathlib.Path(sys.argv[1]))\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": ""}
    environment.pop("ARES_CACHE_DIR", None)
    (tmp_path / "file").touch()
    (tmp_path / "failed").mkdir()
    for words, left in (([], False), ([str(tmp_path / "failed")], True)):
        ended = subprocess.run(
            [sys.executable, "-P", "-c", script, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        root = Path(ended.stdout.strip())
        assert root.exists() == left
        if left:
            assert [path.name for path in root.iterdir()] == ["failed"]
            (root / "failed" / "key").rmdir()


def test_a_place_that_was_chosen_is_not_exchanged(
    home: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    (tmp_path / "file").touch()
    for place, words in (
        (tmp_path / "file", "file is no folder"),
        (tmp_path / "file" / "below", "Not a directory"),
    ):
        monkeypatch.setenv("ARES_CACHE_DIR", str(place))
        with pytest.raises(ToolchainError, match=f"{words}; set ARES_CACHE_DIR"):
            open_cache()


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_cache_that_others_can_write_to_is_refused(
    home: Path, tmp_path: Path, monkeypatch: Patch, mode: int
) -> None:
    """Programs in it are run, verdicts in it are believed."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(mode)
    monkeypatch.setenv("ARES_CACHE_DIR", str(place))
    with pytest.raises(ToolchainError, match="others can write to"):
        open_cache()
    place.chmod(0o755)
    assert open_cache().root == place


def test_a_cache_in_a_folder_where_all_can_rename_is_refused(
    home: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    place = tmp_path / "open" / "cache"
    place.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("ARES_CACHE_DIR", str(place))
    place.parent.chmod(0o777)
    with pytest.raises(ToolchainError, match=rf"anybody can write to {place.parent}"):
        open_cache()
    place.parent.chmod(0o1777)  # as /tmp is: only owners rename
    assert open_cache().root == place


def test_a_cache_of_another_user_is_refused(home: Path, monkeypatch: Patch) -> None:
    """Root with somebody's home, or a folder that several share."""
    place = home / "theirs"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("ARES_CACHE_DIR", str(place))
    monkeypatch.setattr(cache_module.os, "getuid", lambda: place.stat().st_uid + 1)
    with pytest.raises(ToolchainError, match="his programs would run as you"):
        open_cache()


def test_a_link_to_a_folder_is_judged_by_the_folder(
    home: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "link"))
    with pytest.raises(ToolchainError, match="others can write to"):
        open_cache()


# --- what is made anew


def test_an_entry_from_before_is_made_again_in_its_place(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    made: list[str] = []

    def make(content: str, since: float = 0.0) -> str:
        def write(folder: Path) -> None:
            made.append(content)
            (folder / "file").write_text(content, encoding="utf-8")

        path = cache.obtain("kind", "aa", "file", write, since)
        return path.read_text(encoding="utf-8")

    assert make("first") == make("second") == "first"
    with (tmp_path / "kind" / "aa" / "file").open() as open_before:
        now = time.time()
        assert make("third", now) == make("fourth", now) == make("fifth") == "third"
        assert open_before.read() == "first"
    assert made == ["first", "third"]


def test_an_entry_without_a_date_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.put("kind", "aa", "file", b"content")
    record = path.with_name("record.json")
    record.write_text(record.read_text(encoding="utf-8").replace("made", "born"), encoding="utf-8")
    assert cache.find("kind", "aa", "file") is None


def test_an_error_of_the_maker_is_not_taken_for_a_lock_that_cannot_be_had(tmp_path: Path) -> None:
    def unfinished(_: Path) -> None:
        raise NotImplementedError("of the maker")

    with pytest.raises(NotImplementedError, match="of the maker"):
        Cache(tmp_path).obtain("kind", "aa", "file", unfinished)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: Patch) -> None:
    def none(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(cache_module.FileLock, "acquire", none)
    with pytest.raises(ToolchainError, match="set ARES_CACHE_DIR to a folder on a local disk"):
        Cache(tmp_path).put("kind", "aa", "file", b"content")
