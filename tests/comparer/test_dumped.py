"""Tensors that somebody dumped: matched by name, size and codes, and each layer judged on what it was fed with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.comparer import Comparison
from ares.comparer.dumped import DumpError, Unmatched, compare_dump, read_dump
from ares.ir import Tensor
from tests.comparer.test_comparing import small_parts

Arrays = Mapping[str, Any]


@pytest.fixture(name="codes")
def _codes() -> dict[str, Any]:
    parts = small_parts()
    names = [layer.output.name for layer in parts.layers]
    return {name: parts.cases[0][name].astype(_tensor(name).dtype.numpy) for name in names}


def _tensor(name: str) -> Tensor:
    return small_parts().graph.tensor(name)


def _judge(folder: Path, arrays: Arrays) -> tuple[Comparison, tuple[Unmatched, ...]]:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return compare_dump(small_parts(), folder)


def _wrong(found: Comparison) -> list[str]:
    return [row.layer for row in found.layers if row.verdict not in ("equal", "unsaid")]


def test_by_name(tmp_path: Path, codes: dict[str, Any]) -> None:
    found, unmatched = _judge(tmp_path, codes)
    assert unmatched == ()
    assert {row.verdict for row in (*found.layers, *found.deployed)} == {"equal"}


def test_a_fault_does_not_travel(tmp_path: Path, codes: dict[str, Any]) -> None:
    """All behind a wrong layer is what the device made of its codes: only that layer is to blame."""
    parts = small_parts()
    wrong = dict(codes)
    wrong["deep"] = np.clip(codes["deep"].astype(int) + 1, -128, 127).astype(np.int8)
    case: dict[str, Any] = {**parts.cases[0], **wrong}
    from ares.ops import Site

    behind = [layer for layer in parts.layers if layer.output.name not in ("x", "conv", "deep")]
    for layer in behind:
        given = [case[name].astype(np.int64) for name in layer.operation.inputs]
        site = Site(layer.graph.tensors_of(layer.operation.inputs), (layer.output,))
        made = layer.operation.reference(site, given)[0]
        case[layer.output.name] = made.astype(layer.output.dtype.numpy)
    found, _ = _judge(tmp_path, {name: case[name] for name in codes})
    assert _wrong(found) == ["deep"]
    assert {row.tensor: row.verdict for row in found.deployed}["gelu"] == "differs"


@pytest.mark.parametrize("how", ["last", "batchless", "moved", "real", "renamed", "npz", "raw"])
def test_strange_forms(tmp_path: Path, codes: dict[str, Any], how: str) -> None:
    """Channels last, no batch, codes moved by 128, real values, other names, other files."""
    conv = codes["conv"]
    if how == "last":
        _judge(tmp_path, {"conv": conv.transpose(0, 2, 3, 1)})
    elif how == "batchless":
        _judge(tmp_path, {"conv": conv[0].transpose(1, 2, 0)})
    elif how == "moved":
        _judge(tmp_path, {"conv": (conv.astype(int) - 128).astype(np.int8)})
    elif how == "real":
        _judge(tmp_path, {"conv": conv.astype(np.float32) * np.float32(0.25)})
    elif how == "renamed":
        _judge(tmp_path, {"StatefulPartitionedCall-17": conv})
    elif how == "npz":
        np.savez(tmp_path / "all.npz", conv=conv)
    else:
        (tmp_path / "t0.bin").write_bytes(conv.tobytes())
        entry = {"file": "t0.bin", "shape": [1, 6, 8, 8], "dtype": "uint8"}
        (tmp_path / "manifest.json").write_text(json.dumps({"net/conv:0": entry}))
    found, unmatched = compare_dump(small_parts(), tmp_path)
    assert unmatched == ()
    assert [row.layer for row in found.layers if row.verdict == "equal"] == ["conv"]
    assert _wrong(found) == []


def test_what_is_none_of_ours_is_said(tmp_path: Path, codes: dict[str, Any]) -> None:
    _, unmatched = _judge(
        tmp_path, {"odd": np.zeros(7), "conv": codes["conv"], "conv_2": codes["conv"]}
    )
    assert [str(each) for each in unmatched] == [
        "conv_2: is conv, as conv is",
        "odd: none of ours has its 7 elements",
    ]


def test_what_may_be_several_is_said(tmp_path: Path, codes: dict[str, Any]) -> None:
    """Of one size, and unlike either."""
    noise = np.random.default_rng(5).integers(-128, 128, (1, 6, 4, 4)).astype(np.int8)
    _, (unmatched,) = _judge(tmp_path, {"noise": noise})
    assert unmatched.why.startswith("its codes are like none of top, mean, turned, total")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no .npy, no .npz and no manifest.json"),
        ({"x.npy": b"nothing"}, "x.npy: not an array"),
        ({"x.npz": b"PK"}, "x.npz: not an array"),
        ({"manifest.json": b"[]"}, "manifest.json: not an array"),
        ({"manifest.json": b"{"}, "manifest.json: not an array"),
        (
            {"manifest.json": b'{"a": {"file": "b", "shape": [2], "dtype": "int8"}}'},
            "no file of 2 b",
        ),
        (
            {"manifest.json": b'{"a": {"file": "b", "shape": [99999999999], "dtype": "i8"}}'},
            "no file",
        ),
        (
            {"manifest.json": b'{"a": {"file": "b", "shape": [2], "dtype": "object"}}'},
            "manifest.json",
        ),
    ],
)
def test_no_dump(tmp_path: Path, files: Mapping[str, bytes], said: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DumpError) as caught:
        read_dump(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="no such folder"):
        read_dump(tmp_path / "none")
