"""The C files of a folder are those that lie there now."""

from __future__ import annotations

from pathlib import Path

from ares.emit.c_files import c_files
from ares.files import write_file


def test_sources_and_headers_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.c", "a.h", "notes.md", "c.h"):
        (tmp_path / name).write_bytes(name.encode())
    assert list(c_files(tmp_path, "runtime/x").items()) == [
        (f"runtime/x/{name}", name.encode()) for name in ("a.h", "b.c", "c.h")
    ]


def test_what_was_edited_added_or_removed_since_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_bytes(b"int a;")
    assert c_files(tmp_path, "x") == {"x/a.c": b"int a;"}
    write_file(file, b"int b;")  # of the same size
    assert c_files(tmp_path, "x") == {"x/a.c": b"int b;"}
    (tmp_path / "b.h").write_bytes(b"")
    file.unlink()
    assert c_files(tmp_path, "x") == {"x/b.h": b""}
