"""Zip archives of strangers: opened without believing what they say about their size."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, OSError, RuntimeError, UnicodeDecodeError),
)
"""What zipfile and its decompressors raise for a damaged, encrypted or exotic archive; our mistakes raise others."""


class _InPortions(io.FileIO):
    """A file of which nobody reads more than `portion` bytes at once: zipfile reads a directory of any size."""

    def __init__(self, path: Path, portion: int) -> None:
        super().__init__(path, "rb")
        self._portion = portion

    def read(self, size: int | None = -1, /) -> Any:
        asked = self._portion + 1 if size is None or size < 0 else size
        data = super().read(min(asked, self._portion + 1)) or b""
        if len(data) > self._portion:
            raise zipfile.BadZipFile(f"its directory has more than {self._portion} bytes")
        return data


@contextmanager
def opened(path: Path, portion: int) -> Iterator[zipfile.ZipFile | None]:
    """The archive, None for what is none. Raises one of DAMAGED, also for a directory above `portion` bytes."""
    with _InPortions(path, portion) as file:
        if not zipfile.is_zipfile(file):
            yield None
            return
        try:
            archive = zipfile.ZipFile(file)
        except ValueError as error:  # a place before the beginning, by a directory that lies
            raise zipfile.BadZipFile(str(error)) from error
        with archive:
            yield archive
