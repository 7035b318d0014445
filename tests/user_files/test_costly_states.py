"""Small files of parameters that would cost minutes or gigabytes: what they declare is compared, pickles have limits.

Pickles are read by the real child here. `limited` holds every test to its time, and this process and its children to
their memory (tests/README.md has the command that measures the whole).
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ares.user_files import UserInputError
from ares.user_files import stored as stored_module
from ares.user_files.checkpoint import load_state_dict
from ares.user_files.stored import read_state
from ares.user_files.unpickle import ANSWER, TENSORS
from tests.checker.models import READY, refused, write
from tests.cli.outcome import Outcome
from tests.slow import one_in
from tests.user_files.costly import MEGA, directory, limited

Run = Callable[..., Outcome]


def refusal(path: Path, model: nn.Module | None = None) -> str:
    """Why the state in a file is refused; one line, in time."""
    with limited(), pytest.raises(UserInputError) as caught:
        load_state_dict(nn.Linear(3, 4) if model is None else model, path)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert len(line) < 1000
    assert line.startswith(str(path))
    return line


# Pickles.


def torch_file(path: Path, pickled: bytes, **records: bytes) -> Path:
    """A file as torch.save writes it, with any pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"data.pkl": pickled, "byteorder": b"little", **records}.items():
            archive.writestr(f"archive/{name.replace('_', '/')}", content)
        archive.writestr("archive/version", b"3\n")
    return path


def nested_key(depth: int) -> bytes:
    """`{t: 1}`, t a tuple of twice a tuple of twice ...: its hash takes 2 ** depth steps."""
    twice = b"".join(b"q" + bytes([k]) + b"h" + bytes([k]) + b"\x86" for k in range(depth))
    return b"\x80\x02})" + twice + b"K\x01s."


def deep_key(depth: int) -> bytes:
    """`{t: 1}`, t a tuple in a tuple in a tuple ...: its hash overflows the stack."""
    return b"\x80\x02})" + depth * b"\x85" + b"K\x01s."


def large_bytes(size: int) -> bytes:
    """`bytearray(size)`, which torch's unpickler knows."""
    return b"\x80\x02cbuiltins\nbytearray\nJ" + struct.pack("<i", size) + b"\x85R."


@pytest.mark.slow
def test_a_key_whose_hash_never_ends(tmp_path: Path, check: Run) -> None:
    """1 KB; through the command, for the child is to end and be told of in one line."""
    path = torch_file(tmp_path / "s.pt", nested_key(100))
    assert path.stat().st_size < 1024
    model = write(tmp_path, READY)
    with limited():
        outcome = check("--model-file", model, "--state-dict", path)
    refused(outcome, str(path), "takes more than 10 s", "safetensors.torch.save_file")


@pytest.mark.slow
def test_a_key_that_overflows_the_stack(tmp_path: Path) -> None:
    line = refusal(torch_file(tmp_path / "s.pt", deep_key(3_000_000)))
    assert "ended with code -11" in line or "RecursionError" in line or "no state dict" in line


def test_bytes_out_of_nothing(tmp_path: Path) -> None:
    line = refusal(torch_file(tmp_path / "s.pt", large_bytes(2**31 - 1)))
    # torch 2.4 does not know bytearray.
    assert "fills more memory than its size accounts for" in line or "without running code" in line


def packed_record(size: int) -> tuple[bytes, int]:
    """`size` zeros, deflated, and their CRC; made a megabyte at a time."""
    packer, crc, parts = zlib.compressobj(9, wbits=-15), 0, []
    for _ in range(size // MEGA):
        parts.append(packer.compress(bytes(MEGA)))
        crc = zlib.crc32(bytes(MEGA), crc)
    return b"".join((*parts, packer.flush())), crc


def two_directories(path: Path, tensor: dict[str, torch.Tensor], size: int) -> Path:
    """Two archives in one: zipfile takes the directory before the end, torch the one that the end points to."""
    buffer = io.BytesIO()
    torch.save(tensor, buffer)
    data, crc = packed_record(size)
    content, rows = b"", []
    with zipfile.ZipFile(buffer) as archive:
        small = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    for name, record in small.items():
        is_bomb = name.endswith("data/0")
        stored, method = (data, 8) if is_bomb else (record, 0)
        total, check = (size, crc) if is_bomb else (len(record), zlib.crc32(record))
        facts = (name.encode(), method, check, len(stored), total, len(content))
        content += struct.pack(
            "<4s2B4HL2L2H", b"PK\3\4", 20, 0, 0, method, 0, 33, check, len(stored), total,
            len(name), 0,
        ) + name.encode() + stored  # fmt: skip
        rows.append(facts)
    bomb = directory(rows)
    harmless = directory([(name, 0, crc, 1, 1, place) for name, _, crc, _, _, place in rows])
    assert len(bomb) == len(harmless)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(rows), len(rows), len(bomb), len(content), 0)
    path.write_bytes(content + bomb + harmless + end)
    return path


@pytest.mark.slow
def test_an_archive_that_two_readers_read_differently(tmp_path: Path) -> None:
    path = two_directories(tmp_path / "s.pt", {"weight": torch.zeros(4, 3)}, 1024 * MEGA)
    assert path.stat().st_size < 2 * MEGA
    with zipfile.ZipFile(path) as archive:
        assert sum(entry.file_size for entry in archive.infolist()) < 100
    line = refusal(path)
    assert "memory" in line or "PytorchStreamReader" in line


@pytest.mark.slow
def test_a_tensor_of_any_size_out_of_a_byte(tmp_path: Path) -> None:
    """Strides of zero: nothing of that size is ever made, whatever it is called."""
    for number, shape in enumerate([(2**30,), (2**20, 2**20), (2**31 - 1, 2**31 - 1, 2)]):
        path = tmp_path / f"{number}.pt"
        torch.save({"tail": torch.zeros(1).expand(shape)}, path)
        line = refusal(path)
        assert "tail" in line


@pytest.mark.parametrize("part", one_in(3, ["size", "stride", "offset"]))
def test_a_tensor_that_reaches_beyond_its_storage(part: str, tmp_path: Path) -> None:
    """48 bytes of storage; torch would make one that is large enough."""
    torch.save({"weight": torch.zeros(4, 3)}, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as archive:
        pickled = archive.read("whole/data.pkl")
    # Offset 0, size (4, 3), stride (3, 1): the last is reached twice from the memo.
    offset, size, stride = b"K\x00", b"K\x04K\x03", b"K\x03K\x01"
    large = b"J\xff\xff\xff\x7f"
    old = {"size": size, "stride": stride, "offset": offset + size}[part]
    new = {"size": large + size[2:], "stride": large + stride[2:], "offset": large + size}[part]
    assert pickled.count(old) == 1
    path = torch_file(tmp_path / "s.pt", pickled.replace(old, new), data_0=bytes(48))
    line = refusal(path)
    assert "does not fit" in line or "cannot be read" in line


def test_views_of_one_storage(tmp_path: Path) -> None:
    """What a state dict may well hold: tied, cut and transposed tensors, exactly as they are."""
    base = torch.arange(24.0)
    model = nn.ParameterDict({name: nn.Parameter(torch.zeros(3, 4)) for name in "abc"})
    state = {
        "a": base.as_strided((3, 4), (1, 6)),
        "b": base[:12].reshape(4, 3).T,
        "c": torch.tensor([7.0]).expand(3, 4),
    }
    torch.save(state, tmp_path / "s.pt")
    load_state_dict(model, tmp_path / "s.pt")
    assert all(torch.equal(model[name].data, value) for name, value in state.items())


def test_types_are_kept(tmp_path: Path) -> None:
    values = {
        "half": torch.arange(6, dtype=torch.float16).reshape(2, 3),
        "brain": torch.arange(6, dtype=torch.bfloat16),
        "double": torch.tensor([0.1, -2.0], dtype=torch.float64),
        "flags": torch.tensor([True, False]),
        "count": torch.tensor(7),
        "none": torch.zeros(0, 3),
        "parameter": nn.Parameter(torch.ones(2)),
        "two\nlines \ud800": torch.ones(1),
    }
    torch.save(values, tmp_path / "s.pt")
    found = read_state(tmp_path / "s.pt", MEGA).tensors
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value.detach())


def test_the_child_runs_nothing_of_the_users_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the folder that the command is called in nor of the temporary one."""
    for name in ("torch.py", "json.py", "pickle.py", "sitecustomize.py"):
        write(tmp_path, f"open({str(tmp_path / 'mark')!r}, 'w')\nraise SystemExit(0)\n", name)
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "s.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert load_state_dict(nn.Linear(3, 4), Path("s.pt")) == ()
    assert not (tmp_path / "mark").exists()


def test_the_legacy_format(tmp_path: Path) -> None:
    path = tmp_path / "s.pt"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert "cannot be read" in refusal(path)


def test_more_tensors_than_a_model_has(tmp_path: Path) -> None:
    shared = torch.zeros(1)
    torch.save({f"t{k}": shared for k in range(60_000)}, tmp_path / "s.pt")
    assert "holds 60000 tensors, at most" in refusal(tmp_path / "s.pt")


def test_long_names(tmp_path: Path) -> None:
    shared = torch.zeros(1)
    torch.save({f"{k}" + "x" * 10_000: shared for k in range(2000)}, tmp_path / "s.pt")
    assert "the names in it fill" in refusal(tmp_path / "s.pt")


ANSWERS: dict[str, Any] = {
    "nothing": None,
    "list": [],
    "number": 3,
    "deep": "[" * 100_000,
    "no_json": "{",
    "rows": {"tensors": [3]},
    "short_row": {"tensors": [["a", [1], "float32", True]]},
    "function": {"tensors": [["a", [1], "load", True, True]]},
    "no_type": {"tensors": [["a", [1], "no_such", True, True]]},
    "no_name": {"tensors": [["a", [1], 3, True, True]]},
    "negative": {"tensors": [["a", [-1], "float32", True, True]]},
    "fraction": {"tensors": [["a", [1.5], "float32", True, True]]},
    "too_long": {"tensors": [["a", [2], "float32", True, True]]},
    "too_large": {"tensors": [["a", [2**62], "float32", True, True]]},
    "twice": {"tensors": [["a", [1], "float32", True, True]] * 2},
    "ignored": {"tensors": [], "entry": "x", "ignored": 3},
    "error": {"error": "x\ny", "text": "z" * 10_000, "unpickling": False},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_the_child_would_not_give(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bytes of tensors come with it. Whatever got hold of the child, its answer is data."""
    answer = ANSWERS[name]

    def unpickled(path: Path, folder: Path, most: int) -> None:
        if answer is not None:
            text = answer if isinstance(answer, str) else json.dumps(answer)
            (folder / ANSWER).write_text(text)
            (folder / TENSORS).write_bytes(bytes(4))

    monkeypatch.setattr(stored_module, "_unpickle", unpickled)
    (tmp_path / "s.pt").write_bytes(b"any")
    assert "cannot be read" in refusal(tmp_path / "s.pt")


# Files of safetensors.


def safetensors(path: Path, header: str, data: bytes = b"") -> Path:
    packed = header.encode()
    path.write_bytes(len(packed).to_bytes(8, "little") + packed + data)
    return path


@pytest.mark.parametrize("count", [30_000, 1_000_000])
def test_many_keys(count: int, tmp_path: Path) -> None:
    entries = (f'"k{k}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for k in range(count))
    path = safetensors(tmp_path / "s.safetensors", "{" + ",".join(entries) + "}")
    line = refusal(path)
    assert f"{count} keys unexpected" in line or "its header has" in line


HEADERS = {
    "two_readings": (
        '{"weight":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]},'
        '"weight":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'
    ),
    "huge_shape": '{"weight":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,48]}}',
    "long_number": '{"weight":{"dtype":"F32","shape":[' + 5000 * "9" + '],"data_offsets":[0,48]}}',
    "many_axes": '{"weight":{"dtype":"F32","shape":[' + 9999 * "2," + '2],"data_offsets":[0,48]}}',
    "deep": '{"weight":' + 100_000 * "[",
    "no_type": '{"weight":{"dtype":"F99","shape":[4,3],"data_offsets":[0,48]}}',
    "list": "[]",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str, tmp_path: Path) -> None:
    path = safetensors(tmp_path / f"{name}.safetensors", HEADERS[name], bytes(48))
    line = refusal(path)
    words = ("is not a safetensors file", "no size of a parameter", "has shape [3, 4]")
    assert any(word in line for word in words)


def test_tensors_that_are_not_there_are_not_believed(tmp_path: Path) -> None:
    header = (
        '{"bias":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
        '"weight":{"dtype":"F32","shape":[4,3],"data_offsets":[16,64]}}'
    )
    for data in (bytes(63), bytes(65)):
        path = safetensors(tmp_path / "s.safetensors", header, data)
        assert "is not a safetensors file" in refusal(path)
    load_state_dict(nn.Linear(3, 4), safetensors(path, header, bytes(64)))
