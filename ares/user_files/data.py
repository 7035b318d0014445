"""The user's own inputs out of a .npz file, as data: no pickle, and no more memory than the file announces.

An archive is a zip of .npy files. Each is read by hand: its header says type and shape, which must be those of the
bytes that follow, before anything of that size is made. Every element is checked, a portion at a time; what `forward`
takes, which may be eight times as wide, is made of one sample at a time. Whatever is wrong raises `UserInputError` with
one line.
"""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import IO, Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib import format as npy

from ares.files import why_no_file
from ares.user_files.archives import DAMAGED, opened
from ares.user_files.error import UserInputError
from ares.user_files.inputs import Inputs

Array = npt.NDArray[Any]
Row = tuple[Array, ...]

LARGEST_DATA = 2**29
LARGEST_SAMPLE = 2**25  # elements of one input
MOST_ARRAYS = 124
_PORTION = 2**20
_LONGEST_HEADER = 4096
_HOW = "save them with numpy.savez(path, x=...), one array an input, samples along the first axis"


@dataclass(frozen=True, slots=True, eq=False)
class Samples(Sequence[Row]):
    """A sequence of samples, each with its batch axis: one array an input, in the order of `forward`.

    `arrays` are as they are in the file, samples along the first axis; a sample is float32 for real inputs, int64 for
    ids, and `real` holds the numbers of the former. `small`: number of an array -> its name and type in the file, for
    integers that may be real values just as well, since float32 holds all of that type. `casts` say which are.
    """

    path: Path
    arrays: tuple[Array, ...]
    real: frozenset[int]
    small: Mapping[int, tuple[str, str]]
    casts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrays[0])

    @overload
    def __getitem__(self, number: int) -> Row: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Row]: ...
    def __getitem__(self, number: int | slice) -> Row | Sequence[Row]:
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        index = range(len(self))[number]
        return tuple(
            np.ascontiguousarray(
                array[index : index + 1], np.float32 if place in self.real else np.int64
            )
            for place, array in enumerate(self.arrays)
        )

    def first(self) -> Inputs:
        """The first sample, to run `forward` with."""
        tensors = tuple(torch.from_numpy(array.copy()) for array in self[0])
        origin = f"the first of {len(self)} samples in {self.path}"
        return Inputs(tensors, origin, casts=self.casts)

    def readings(self) -> Iterator[Samples]:
        """Every choice of the arrays of small integers that are real values, all of them first, none last."""
        for chosen in itertools.product((True, False), repeat=len(self.small)):
            real = [number for number, is_real in zip(self.small, chosen, strict=True) if is_real]
            casts = (
                f"input {name}: {dtype} was read as float32, as torch casts it"
                for name, dtype in map(self.small.__getitem__, real)
            )
            yield replace(self, real=self.real.union(real), casts=tuple(casts))


def read_samples(path: Path, inputs: Sequence[str] | None) -> Samples:
    """The arrays of a file for the inputs of `forward` with these names (None: they are not known).

    Arrays are matched by name where all have the name of an input, else they are in the order in which they were saved.
    """
    arrays = _ordered(path, _read(path), inputs)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UserInputError(
            f"{path}: its arrays hold different numbers of samples: {listed}; {_HOW}"
        )
    names = inputs if inputs is not None and len(inputs) >= len(arrays) else list(arrays)
    small = {
        number: (names[number], str(array.dtype))
        for number, array in enumerate(arrays.values())
        if array.dtype.kind in "iub" and np.can_cast(array.dtype, np.float32)
    }
    for name, array in arrays.items():
        _require_numbers(f"{path}: array {_printable(name)}", array)
    found = tuple(arrays.values())
    real = frozenset(number for number, array in enumerate(found) if array.dtype.kind == "f")
    return Samples(path, found, real, small)


def _ordered(
    path: Path, arrays: Mapping[str, Array], inputs: Sequence[str] | None
) -> Mapping[str, Array]:
    if inputs is None:
        return arrays
    known = [name for name in arrays if name in inputs]
    strange = [name for name in arrays if name not in inputs]
    if known and strange:
        raise UserInputError(
            f"{path}: array {strange[0]!r} is no input of forward, {known[0]!r} is; "
            f"name the arrays {', '.join(inputs)}, or none of them"
        )
    if known:
        return {name: arrays[name] for name in inputs if name in arrays}
    return arrays


def _require_numbers(where: str, array: Array) -> None:
    """Refuse what is not, value by value, as it was in float32 or int64."""
    dtype = array.dtype
    if dtype.kind == "f" and dtype.itemsize > 8:
        raise UserInputError(
            f"{where} holds {dtype}; expected float32 for real inputs or int64 for ids"
        )
    if prod(array.shape[1:]) > LARGEST_SAMPLE:
        raise UserInputError(
            f"{where} has samples of shape {_cut(array.shape[1:])}, at most {LARGEST_SAMPLE} elements are read"
        )
    flat = array.ravel(order="K")  # no copy: it was read in one piece
    step = _PORTION // dtype.itemsize
    for start in range(0, flat.size, step):
        part = flat[start : start + step]
        if dtype.kind in "iub":
            # Ids: of numbers beyond int64 nothing can be an index.
            if int(part.max()) > np.iinfo(np.int64).max:
                raise UserInputError(f"{where} holds {int(part.max())}, which is no id; save int64")
            continue
        finite = np.isfinite(part)
        if not finite.all():
            place = start + int(np.argmin(finite))
            order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
            index = [int(i) for i in np.unravel_index(place, array.shape, order)]
            raise UserInputError(
                f"{where}: element {index} is {flat[place]}; every value must be finite"
            )
        with np.errstate(over="ignore"):
            single = part.astype(np.float32)
        if not np.array_equal(single, part):
            raise UserInputError(
                f"{where} holds {dtype} values that float32 cannot hold, which is what the network takes; "
                "save x.astype(numpy.float32)"
            )


def _read(path: Path) -> Mapping[str, Array]:
    if why := why_no_file(path):
        raise UserInputError(f"{path}: {why}; expected a .npz file with the inputs")
    try:
        with opened(path, _PORTION) as archive:
            if archive is None:
                raise UserInputError(f"{path} is not a .npz file; {_HOW}")
            return _members(path, archive)
    except DAMAGED as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserInputError(f"{path} cannot be read: {text}; {_HOW}") from error


def _members(path: Path, archive: zipfile.ZipFile) -> Mapping[str, Array]:
    # Not is_dir(), which trips over an entry without a name.
    entries = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
    declared = sum(entry.file_size for entry in entries)
    if not entries or len(entries) > MOST_ARRAYS:
        raise UserInputError(
            f"{path} holds {len(entries)} arrays, expected 1 to {MOST_ARRAYS}; {_HOW}"
        )
    if declared > LARGEST_DATA:
        raise UserInputError(
            f"{path} unpacks to {declared} bytes, at most {LARGEST_DATA} are read; save fewer samples"
        )
    arrays: dict[str, Array] = {}
    for entry in entries:
        name = entry.filename.removesuffix(".npy")
        if name in arrays or name == entry.filename:
            raise UserInputError(
                f"{path}: entry {_printable(entry.filename)} is not one .npy file; {_HOW}"
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserInputError(f"{path} is not packed as numpy packs; {_HOW}")
        with archive.open(entry) as file:
            arrays[name] = _array(f"{path}: array {_printable(name)}", file, entry.file_size)
    return arrays


def _array(where: str, file: IO[bytes], size: int) -> Array:
    """The array of a .npy file of `size` bytes."""
    shape, fortran, dtype = _header(where, file)
    if dtype.hasobject or dtype.kind not in "fiub" or dtype.subdtype is not None:
        what = "Python objects, which would have to be unpickled" if dtype.hasobject else str(dtype)
        raise UserInputError(f"{where} holds {what[:80]}; save numbers: float32, or int64 for ids")
    count = prod(shape)
    if count * dtype.itemsize != size - file.tell():
        raise UserInputError(
            f"{where} has shape {_cut(shape)} of {dtype}, but {size - file.tell()} bytes; it is damaged"
        )
    if len(shape) == 0 or count == 0:
        raise UserInputError(
            f"{where} has shape {_cut(shape)}; expected samples along the first axis, at least one"
        )
    array = np.empty(shape[::-1] if fortran else shape, dtype)
    data = array.reshape(-1).view(np.uint8)
    for start in range(0, data.size, _PORTION):
        portion = file.read(min(_PORTION, data.size - start))
        if len(portion) != min(_PORTION, data.size - start):
            raise UserInputError(f"{where} is cut off; it is damaged")
        data[start : start + _PORTION] = np.frombuffer(portion, np.uint8)
    return array.transpose() if fortran else array


def _header(where: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        version = npy.read_magic(file)
        shape, fortran, dtype = readers[version](file, max_header_size=_LONGEST_HEADER)
    except Exception as error:
        # Broad: nothing but numpy's parser runs here, on a Python literal of anybody; the user is told.
        raise UserInputError(f"{where} is no .npy file that can be read; {_HOW}") from error
    if len(shape) > 8 or any(not isinstance(size, int) or size < 0 for size in shape):
        raise UserInputError(f"{where} has shape {_cut(shape)}, which is none")
    return tuple(shape), fortran, dtype


def _cut(shape: Sequence[int]) -> str:
    text = str(tuple(shape))
    return text if len(text) <= 80 else f"{text[:80]}..."


def _printable(name: str) -> str:
    return repr(name[:80])
