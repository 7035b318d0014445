"""Small files of inputs that would cost gigabytes, and what is no ordinary file at all."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.user_files import UserInputError, read_samples
from tests.checker.models import READY, refused, write
from tests.cli.outcome import Outcome
from tests.user_files.costly import MEGA, directory, limited

Run = Callable[..., Outcome]


def npz_refusal(path: Path) -> str:
    with limited(), pytest.raises(UserInputError) as caught:
        read_samples(path, ["x"])
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


def packed_npz(path: Path, shape: tuple[int, ...], dtype: type) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        facts = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, facts)
        with archive.open("x.npy", "w") as file:
            file.write(header.getvalue())
            for _ in range(int(np.prod(shape)) * np.dtype(dtype).itemsize // MEGA):
                file.write(bytes(MEGA))
    return path


def test_samples_are_widened_one_by_one(tmp_path: Path, check: Run) -> None:
    """96 KB that are 96 MB and would be 768 MB as int64, beside half of that as float32."""
    path = packed_npz(tmp_path / "x.npz", (3 * 2**17, 1, 16, 16), np.uint8)
    assert path.stat().st_size < 125_000
    model = write(tmp_path, READY)
    with limited():
        outcome = check("--model-file", model, "--inputs", path)
    refused(outcome, "(1, 1, 16, 16)", "x.npz")


def test_one_sample_that_is_too_large(tmp_path: Path) -> None:
    line = npz_refusal(packed_npz(tmp_path / "x.npz", (1, 64 * MEGA), np.uint8))
    assert "has samples of shape (67108864,), at most" in line


def test_an_archive_of_many_files(tmp_path: Path) -> None:
    """40,000 in a directory of 2 MB, which is not read whole."""
    name = b"x" * 10
    entry = directory([(name, 0, 0, 0, 0, 0)])
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 40_000 * len(entry), 0, 0)
    (tmp_path / "x.npz").write_bytes(40_000 * entry + end)
    assert "its directory has more than" in npz_refusal(tmp_path / "x.npz")


def test_other_ways_to_pack(tmp_path: Path) -> None:
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", kind) as archive:
            archive.writestr("x.npy", bytes(100))
        assert "not packed as numpy packs" in npz_refusal(tmp_path / "x.npz")


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_element_is_named_in_either_order(order: Any, tmp_path: Path) -> None:
    """Also beyond the first portion that is looked at."""
    array = np.zeros((600, 700, 2), np.float64, order=order)
    array[599, 698, 1] = np.inf
    np.savez(tmp_path / "x.npz", x=array)
    assert "element [599, 698, 1] is inf" in npz_refusal(tmp_path / "x.npz")
    array[599, 698, 1] = 0.1
    np.savez(tmp_path / "x.npz", x=array)
    assert "float32 cannot hold" in npz_refusal(tmp_path / "x.npz")
    array[599, 698, 1] = 0.5
    np.savez(tmp_path / "x.npz", x=array)
    (last,) = read_samples(tmp_path / "x.npz", ["x"])[-1]
    assert last.dtype == np.float32
    assert np.array_equal(last[0], array[599])


@pytest.mark.parametrize("descr", [1000 * "[" + 1000 * "]", 3000 * "(", "'" + 3000 * "9" + "f4'"])
def test_headers_of_arrays(descr: str, tmp_path: Path) -> None:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n".encode()
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(4)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", npy)
    assert "array 'x'" in npz_refusal(tmp_path / "x.npz")


# What is no ordinary file.


@pytest.fixture(name="strange")
def strange_fixture(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(kind: str, name: str) -> Path:
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "loop":
            path.symlink_to(path)
        else:
            path = path.with_name(300 * "x" + name)
        return path

    return make


KINDS = {
    "pipe": "is a pipe",
    "folder": "is a directory",
    "device": "is a device",
    "loop": "cannot be read: Too many levels",
    "long": "cannot be read: File name too long",
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_ordinary_files_are_opened(
    kind: str, tmp_path: Path, strange: Callable[[str, str], Path], check: Run
) -> None:
    model = write(tmp_path, READY)
    for option, name in (
        ("--model-file", "m.py"),
        ("--state-dict", "s.pt"),
        ("--state-dict", "s.safetensors"),
        ("--inputs", "x.npz"),
    ):
        before = () if option == "--model-file" else ("--model-file", model)
        refused(check(*before, option, strange(kind, name)), name, KINDS[kind])
