"""A state dict in a file, as data: first what it declares, then the tensors, if they are no more than is asked for.

Files of safetensors, and what `torch.save` writes of `model.state_dict()`, alone or as one entry of a checkpoint
(Lightning's, or `{"model": ...}`). Nothing of a file is ever executed. A header says how many tensors there are and how
large, before any is read; a pickle is read in a child process (`unpickle.py`) that may take so much time and memory.
Whatever is wrong raises `UserInputError` with one line: the file, what was found, what to do.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load
from torch import Tensor

from ares.files import why_no_file
from ares.toolchain.process import run_process
from ares.user_files import unpickle
from ares.user_files.archives import DAMAGED, opened
from ares.user_files.error import UserInputError

LARGEST_FILE = 2**31
LARGEST_HEADER = 2**22
LARGEST_DIRECTORY = 2**23
MOST_DIMENSIONS = 32
# For the child that unpickles: beside what the file and the model account for, in bytes; then per file and per byte.
_MEMORY = 2**28
_SECONDS = 10
_BYTES_PER_SECOND = 2**26
# From its start on, when torch is not there yet: a cold disk takes half a minute.
_WALL = 180
_LONGEST_MESSAGE = 200
_SAFETENSORS = "save it with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
_CODE = re.compile(
    r"unsupported (?:global|class|operand)\W+(?:GLOBAL )?([\w.]+)|([\w.]+) was not an allowed global",
    re.IGNORECASE,
)
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file says of a tensor. `is_ordinary`: dense, of numbers, and with elements."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    is_ordinary: bool = True

    @property
    def size(self) -> int:
        """In bytes."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """All tensors that the file declares, and those of them that were read; `notes` on where in the file they stand."""

    declared: Mapping[str, Declared]
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def read_state(path: Path, most: int) -> Stored:
    """The state dict in a file. All of its tensors are read where they are at most `most` bytes, else some or none."""
    require_file(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path, most)
    _refuse_packed(path)
    try:
        with tempfile.TemporaryDirectory(prefix="ares-") as folder:
            _unpickle(path, Path(folder), most)
            return _unpickled(path, Path(folder), most)
    except OSError as error:
        raise UserInputError(
            f"{path} cannot be read by a process of its own, in a temporary folder: {cut(str(error))}"
        ) from error


def require_file(path: Path, largest: int = LARGEST_FILE) -> None:
    """Raise UserInputError for what is no ordinary file, empty, or larger than `largest` bytes."""
    if why := why_no_file(path):
        raise UserInputError(f"{path}: {why}; expected .safetensors or a saved state_dict()")
    size = path.stat().st_size
    if size == 0:
        raise UserInputError(f"{path} is empty; save model.state_dict() again")
    if size > largest:
        raise UserInputError(f"{path} has {size} bytes, at most {largest} are read")


def metadata_of(path: Path) -> Mapping[str, object]:
    """The metadata of a file of safetensors."""
    require_file(path)
    with _opened(path) as file:
        found = _header(path, file).get("__metadata__")
    return found if isinstance(found, dict) else {}


def short(error: BaseException) -> str:
    """An error of somebody else's code in a few words on one line."""
    return cut(" ".join(f"{type(error).__name__}: {error}".split()))


def cut(text: str) -> str:
    """Short, and on one line: names in a file may hold any character."""
    shown = text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)


# Files of safetensors.


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserInputError(f"{path} cannot be read: {error.strerror}") from error


def _read_safetensors(path: Path, most: int) -> Stored:
    with _opened(path) as file:
        header = _header(path, file)
        declared = {
            name: _declared(path, name, entry)
            for name, entry in header.items()
            if name != "__metadata__"
        }
        total = sum(entry.size for entry in declared.values())
        if total > most:
            return Stored(declared, {})
        end = file.tell() + total
        file.seek(0)
        data = file.read(end + 1)  # one more, so that a file that is too long is noticed
    try:
        tensors = load(data)
    except Exception as error:
        # Broad: nothing but the library's parser runs here, on bytes of anybody; the user is told.
        raise UserInputError(f"{path} is not a safetensors file: {short(error)}") from error
    seen = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    if seen != {name: (entry.shape, entry.dtype) for name, entry in declared.items()}:
        raise UserInputError(
            f"{path} is not a safetensors file: its header can be read in two ways"
        )
    return Stored(declared, tensors)


def _header(path: Path, file: IO[bytes]) -> Mapping[str, Any]:
    """The JSON at the front, and the file is where the tensors begin."""
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > LARGEST_HEADER:
        found = (
            f"its header has {length} bytes, at most {LARGEST_HEADER} are read"
            if len(prefix) == 8
            else "it is cut off"
        )
        raise UserInputError(f"{path} is not a safetensors file: {found}")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise UserInputError(f"{path} is not a safetensors file: {short(error)}") from error
    if not isinstance(header, dict):
        raise UserInputError(f"{path} is not a safetensors file: its header is no object")
    return header


def _declared(path: Path, name: str, entry: object) -> Declared:
    match entry:
        case {"dtype": str(code), "shape": [*sizes]} if code in _DTYPES and _is_shape(sizes):
            return Declared(tuple(sizes), _DTYPES[code])
    raise UserInputError(
        f"{path} is not a safetensors file: entry {cut(name)!r} has no type and shape that are known"
    )


def _is_shape(sizes: list[object]) -> bool:
    return len(sizes) <= MOST_DIMENSIONS and all(
        type(size) is int and 0 <= size < 2**63 for size in sizes
    )


# Files of torch.save.


def _refuse_packed(path: Path) -> None:
    """torch stores its tensors as they are: what unpacks to more than the file is no checkpoint but a bomb.

    A first look, for a clear word, and all there is where a child's memory has no limit. An archive that two readers
    read differently gets past it, and meets the limits.
    """
    try:
        with opened(path, LARGEST_DIRECTORY) as archive:
            if archive is None:
                return
            declared = sum(entry.file_size for entry in archive.infolist())
    except DAMAGED as error:
        raise UserInputError(_unreadable(path, type(error).__name__, str(error))) from error
    if declared > path.stat().st_size:
        raise UserInputError(
            f"{path} unpacks to {declared} bytes, the file has {path.stat().st_size}: no file of torch.save; "
            + _SAFETENSORS
        )


def _unpickle(path: Path, folder: Path, most: int) -> None:
    """Have a child read the file and leave its answer in `folder`. Raises UserInputError where it comes to none."""
    size = path.stat().st_size
    memory = _MEMORY + 2 * size + most
    seconds = _SECONDS + size // _BYTES_PER_SECOND
    program = (sys.executable, "-P", unpickle.__file__)
    numbers = (str(most), str(memory), str(seconds))
    finished = run_process(
        (*program, str(path.absolute()), *numbers), folder=folder, timeout=_WALL + 2 * seconds
    )
    if finished.code == 0:
        return
    if finished.code is None or finished.code == -getattr(signal, "SIGXCPU", 0):
        found = f"reading it takes more than {seconds} s, for {size} bytes"
    else:
        # Out of memory where nobody looks for it, a stack that overflowed, a full disk.
        last = (finished.stderr.strip().splitlines() or [""])[-1]
        found = f"the process that read it ended with code {finished.code} {last}".rstrip()
    raise UserInputError(f"{path} cannot be read: {cut(found)}; {_SAFETENSORS}")


def _unpickled(path: Path, folder: Path, most: int) -> Stored:
    """What the child left, which may be anything: it read a file of anybody."""
    try:
        with (folder / unpickle.ANSWER).open("rb") as file:
            answer = json.loads(file.read(unpickle.LARGEST_ANSWER))
        match answer:
            case {"tensors": [*rows]}:
                listed = {str(row[0]): (_row(row), bool(row[4])) for row in rows}
                if len(listed) < len(rows):
                    raise ValueError("a name stands there twice")
                read = {name: entry for name, (entry, is_here) in listed.items() if is_here}
                tensors = dict(_elements(folder / unpickle.TENSORS, read, most))
                declared = {name: entry for name, (entry, _) in listed.items()}
                return Stored(declared, tensors, _notes(path, answer))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise UserInputError(_unreadable(path, type(error).__name__, str(error))) from error
    raise UserInputError(_refusal(path, answer))


def _row(row: Any) -> Declared:
    _, sizes, dtype, is_ordinary, _ = row
    found = getattr(torch, dtype)
    if not isinstance(found, torch.dtype) or not _is_shape(sizes):
        raise ValueError(f"{dtype} {sizes}")
    return Declared(tuple(sizes), found, bool(is_ordinary))


def _elements(
    path: Path, entries: Mapping[str, Declared], most: int
) -> Iterator[tuple[str, Tensor]]:
    """The tensors out of the child's file, which holds one after the other."""
    total = sum(entry.size for entry in entries.values())
    if path.stat().st_size != total or total > most:
        raise ValueError(f"{path.stat().st_size} bytes of tensors, expected {total} <= {most}")
    with path.open("rb") as file:
        for name, entry in entries.items():
            data = bytearray(file.read(entry.size))
            flat = torch.frombuffer(data, dtype=entry.dtype) if data else torch.empty(0)
            yield name, flat.to(entry.dtype).reshape(entry.shape)


def _notes(path: Path, about: Mapping[str, Any]) -> tuple[str, ...]:
    if "entry" not in about:
        return ()
    ignored = f", ignored: {cut(about['ignored'])}" if about["ignored"] else ""
    return (f"{path}: the entry {about['entry']!r} is read{ignored}",)


def _refusal(path: Path, answer: object) -> str:
    """Why there is no state dict, in the words of the child's answer."""
    match answer:
        case {"holds": str(kinds)}:
            return f"{path} is no state dict, it holds {cut(kinds)}; save model.state_dict() alone"
        case {"states": [*names]}:
            listed = cut(", ".join(map(str, names)))
            return f"{path} holds {len(names)} state dicts ({listed}); save the one that you mean alone"
        case {"count": int(count)}:
            return f"{path} holds {count} tensors, at most {unpickle.MOST_TENSORS} are read"
        case {"names": int(count)}:
            return f"{path} is no state dict: the names in it fill {count} bytes; save model.state_dict() alone"
        case {"memory": True}:
            return f"{path} cannot be read: it fills more memory than its size accounts for; {_SAFETENSORS}"
        case {"error": str(kind), "text": str(text), "unpickling": bool(unpickling)}:
            return _unreadable(path, kind, text, unpickling=unpickling)
    return _unreadable(path, "ValueError", "no answer")


def _unreadable(path: Path, kind: str, text: str, *, unpickling: bool = False) -> str:
    text = " ".join(text.split())
    code = _CODE.search(text) if unpickling else None
    if code is not None:
        named = cut(code[1] or code[2])
        return (
            f"{path} cannot be read without running code ({named}), which is not done: it holds more "
            f"than weights; {_SAFETENSORS}"
        )
    if unpickling:
        # torch's own words go on to recommend running the code.
        text = "damaged, or no file of torch.save"
    return f"{path} cannot be read: {cut(kind)}: {cut(text)}; {_SAFETENSORS}"
