"""A stored golden is what was stored, or one line that says what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from ares.golden import (
    MANIFEST,
    Golden,
    GoldenCase,
    GoldenError,
    GoldenLayer,
    Statistics,
    audit,
    changes,
    load_golden,
    pack,
    required,
    sha256,
    statistics,
    store,
)
from ares.golden.store import tensor_digest
from ares.ir import DType, Graph, Tensor, frozen_array
from ares.ops.requantize import Requantize

CASES = ("realistic", "random", "edge")
SHAPE = (1, 2, 3)


def _array(seed: int, name: str) -> np.ndarray:
    random = np.random.Generator(np.random.Philox([seed, len(name)]))
    return random.integers(-128, 128, SHAPE, np.int8)


def _record(name: str, array: np.ndarray) -> GoldenLayer:
    shown = (array.dtype.name, array.shape, tensor_digest(array))
    return GoldenLayer(name, name, "requantize", "OP_REQUANTIZE", *shown, 0.0, 6)


def _case(number: int, names: tuple[str, ...] = ("a", "bb")) -> GoldenCase:
    arrays = {name: _array(number, name) for name in names}
    layers = tuple(_record(name, array) for name, array in arrays.items())
    return GoldenCase(CASES[number], (_array(number, "input"),), layers, arrays)


def _golden() -> Golden:
    return Golden("net", {"seed": "net"}, tuple(_case(number) for number in range(3)))


def _write(folder: Path, golden: Golden | None = None) -> Path:
    for name, data in pack(golden or _golden(), 0).items():
        (folder / name).write_bytes(data)
    return folder


def _edit_manifest(folder: Path, edit: Callable[[Any], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _replace_case(folder: Path, data: bytes) -> None:
    """Other bytes for the first case, and their digest in the manifest."""
    (folder / "case_realistic.safetensors.zst").write_bytes(data)
    _edit_manifest(folder, lambda manifest: manifest["cases"][0].update(sha256=sha256(data)))


def _refused(folder: Path, *says: str) -> str:
    with pytest.raises(GoldenError) as caught:
        load_golden(folder)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "python tools/regenerate_golden.py" in text
    for words in says:
        assert words in text
    return text


# --- what was stored


def test_round_trip(tmp_path: Path) -> None:
    golden, found = _golden(), load_golden(_write(tmp_path))
    assert found.network == golden.network
    assert found.provenance == golden.provenance
    for number, (have, want) in enumerate(zip(found.cases, golden.cases, strict=True)):
        assert (have.name, have.layers) == (want.name, want.layers)
        assert [array.tobytes() for array in have.inputs] == [x.tobytes() for x in want.inputs]
        assert sorted(have.arrays) == (sorted(want.arrays) if number == 0 else [])
    assert changes(found, golden) == []


def test_the_same_bytes_for_the_same_content() -> None:
    assert pack(_golden(), 0) == pack(_golden(), 0)


def test_eleven_inputs_keep_their_order(tmp_path: Path) -> None:
    """By name, `input:10` would come before `input:2`."""
    inputs = tuple(np.full((1, 1), number, np.int8) for number in range(12))
    cases = [replace(case, inputs=inputs) for case in _golden().cases]
    found = load_golden(_write(tmp_path, replace(_golden(), cases=tuple(cases))))
    assert [int(array[0, 0]) for array in found.cases[0].inputs] == list(range(12))


def test_what_the_budget_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUDGET", 0)
    found = load_golden(_write(tmp_path))
    assert not found.cases[0].arrays
    assert found.cases[0].layers == _golden().cases[0].layers


# --- damage


def test_no_golden(tmp_path: Path) -> None:
    _refused(tmp_path, str(tmp_path / MANIFEST), "there is no golden")


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", '"x"', "null", "\udcff", '{"format": 1', "[" * 100_000]
)
def test_manifests_that_are_none(tmp_path: Path, text: str) -> None:
    _write(tmp_path)
    (tmp_path / MANIFEST).write_bytes(text.encode(errors="surrogateescape"))
    _refused(tmp_path)


@pytest.mark.parametrize("format_", [0, 2, "1", None, True, [1]])
def test_another_format(tmp_path: Path, format_: object) -> None:
    _edit_manifest(_write(tmp_path), lambda manifest: manifest.update(format=format_))
    _refused(tmp_path, f"format {format_!r}, expected 1")


def _keys() -> list[tuple[str, str]]:
    manifest = json.loads(pack(_golden(), 0)[MANIFEST])
    case = manifest["cases"][0]
    layers = [("layer", key) for key in case["layers"][0]]
    own = [("case", key) for key in case if key != "file"]
    return [*(("manifest", key) for key in manifest), *own, *layers]


def _holder(manifest: Any, where: str) -> Any:
    case = manifest["cases"][0]
    return {"manifest": manifest, "case": case, "layer": case["layers"][0]}[where]


@pytest.mark.parametrize(("where", "key"), _keys())
def test_a_key_is_missing(tmp_path: Path, where: str, key: str) -> None:
    _edit_manifest(_write(tmp_path), lambda manifest: _holder(manifest, where).pop(key))
    _refused(tmp_path, "format None" if key == "format" else "damaged manifest")


@pytest.mark.parametrize("value", [None, 7, "x", "../x", [], [7], {}, {"x": 1}, True, -1.5])
@pytest.mark.parametrize(("where", "key"), _keys())
def test_a_value_is_something_else(tmp_path: Path, where: str, key: str, value: object) -> None:
    """Refused in one line; or a fact that `required` looks at, or that is for people."""
    _edit_manifest(_write(tmp_path), lambda manifest: _holder(manifest, where).update({key: value}))
    for_required = {"network", "dtype", "shape", "layer"}
    for_people = {"provenance", "stem", "op_type", "saturated", "distinct"}
    if key in for_required | for_people:
        with suppress(GoldenError):
            load_golden(tmp_path)
    else:
        _refused(tmp_path)


def test_an_unknown_key_in_a_record(tmp_path: Path) -> None:
    _edit_manifest(
        _write(tmp_path), lambda manifest: manifest["cases"][0]["layers"][0].update(extra=1)
    )
    _refused(tmp_path, "damaged manifest")


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "a/b", "/etc/passwd", "..", "", "a\0b", "x/../../secret", "A", "é", "a b"),
        *(7, 7.5, True, None, ["realistic"], {}),
    ],
)
def test_a_case_cannot_name_a_file_elsewhere(tmp_path: Path, name: Any) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    _write(folder)
    # Everything on the way exists: only the name itself can be what is refused.
    for made in (tmp_path / "case_..", folder / "case_..", folder / "case_x", folder / "case_a"):
        made.mkdir()
    (tmp_path / "secret.safetensors.zst").write_bytes(b"")
    _edit_manifest(folder, lambda manifest: manifest["cases"][0].update(name=name))
    _refused(folder, "is no name of a case")


@pytest.mark.parametrize("names", [[], ["realistic"], ["realistic", "edge"], ["realistic"] * 3])
def test_cases_that_are_missing_or_repeated(tmp_path: Path, names: list[str]) -> None:
    """A golden without cases would agree with everything."""

    def keep(manifest: Any) -> None:
        by_name = {case["name"]: case for case in manifest["cases"]}
        manifest["cases"] = [by_name[name] for name in names]

    _edit_manifest(_write(tmp_path), keep)
    _refused(tmp_path, "expected each of realistic, random, edge once")


def test_a_case_file_is_missing(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "case_random.safetensors.zst").unlink()
    _refused(tmp_path, "case_random.safetensors.zst: is missing")


def test_a_case_file_is_cut(tmp_path: Path) -> None:
    path = _write(tmp_path) / "case_realistic.safetensors.zst"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    _refused(tmp_path, "its bytes are not those that the manifest records")
    for length in (0, 1, 5, len(whole) // 2, len(whole) - 1):
        _replace_case(tmp_path, whole[:length])
        _refused(tmp_path, "cannot be unpacked")


def test_a_case_file_holds_something_else(tmp_path: Path) -> None:
    _write(tmp_path)
    for content in (b"", b"x", b"\xff" * 100, b"\x08" + bytes(7) + b"{}      "):
        _replace_case(tmp_path, zstandard.ZstdCompressor().compress(content))
        _refused(tmp_path)


def test_a_case_file_stores_other_tensors(tmp_path: Path) -> None:
    """Right digests for what is there, but not for all that should be."""
    for arrays in ({"bb": "bb"}, {"a": "a", "bb": "bb", "c": "a"}):
        case = _case(0)
        kept = {name: case.arrays[source] for name, source in arrays.items()}
        golden = _golden()
        other = pack(replace(golden, cases=(replace(case, arrays=kept), *golden.cases[1:])), 0)
        _write(tmp_path)
        _replace_case(tmp_path, other["case_realistic.safetensors.zst"])
        _refused(tmp_path, "stores other tensors than the manifest says")


def test_a_stored_tensor_is_not_the_recorded_one(tmp_path: Path) -> None:
    case = _case(0)
    changed = case.arrays["bb"].copy()
    changed[0, 1, 2] ^= 1
    golden = _golden()
    wrong = replace(case, arrays={**case.arrays, "bb": changed})
    _write(tmp_path, replace(golden, cases=(wrong, *golden.cases[1:])))
    _refused(tmp_path, "tensor 'bb' is not the one in the manifest")


def test_a_digest_covers_type_and_shape() -> None:
    array = _array(0, "a")
    others = (array.reshape(2, 3), array.view(np.uint8), array.astype(np.int16))
    assert tensor_digest(array) not in {tensor_digest(other) for other in others}
    swapped = array.astype(np.int16).astype(">i2")
    assert tensor_digest(swapped) == tensor_digest(array.astype(np.int16))


def test_a_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = _write(tmp_path) / "case_realistic.safetensors.zst"
    os.truncate(path, 40 * 1024**3)  # no disk is used
    _refused(tmp_path, f"{40 * 1024**3} bytes, at most")


def test_a_small_file_that_announces_a_terabyte(tmp_path: Path) -> None:
    """The size stands in the frame's header; the decompressor would allocate it."""
    _write(tmp_path)
    frame = b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + b"\x03\x00\x00"
    assert zstandard.frame_content_size(frame) == 2**40
    _replace_case(tmp_path, frame)
    _refused(tmp_path, "cannot be unpacked")


def test_a_small_file_that_does_not_say_how_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path)
    monkeypatch.setattr(store, "_LARGEST_FILE", 100_000)
    stream = zstandard.ZstdCompressor().compressobj()
    data = stream.compress(bytes(10_000_000)) + stream.flush()
    assert len(data) < 2000
    _replace_case(tmp_path, data)
    _refused(tmp_path, "cannot be unpacked")


# --- whether it fits the Graph


def _tensor(name: str, shape: tuple[int, ...] = SHAPE, dtype: DType = DType.S8) -> Tensor:
    return Tensor(name, shape, dtype, 0.5, 0, 0 if dtype is DType.U8 else -128, 127)


def _graph(*names: str, shape: tuple[int, ...] = SHAPE, dtype: DType = DType.S8) -> Graph:
    table = frozen_array(np.arange(256), np.uint8)
    sources = ("x", *names[:-1])
    operations = tuple(
        Requantize(name, (source,), (name,), table=table)
        for name, source in zip(names, sources, strict=True)
    )
    made = tuple(_tensor(name, shape, dtype) for name in names)
    tensors = (_tensor("x", shape), *made)
    return Graph("net", tensors, operations, ("x",), names[-1:]).validate()


def test_a_golden_of_this_graph() -> None:
    required(_golden(), _graph("a", "bb"))


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (_graph("a"), "bb: golden int8[1, 2, 3], Graph nothing"),
        (_graph("a", "bb", "c"), "c: golden nothing, Graph int8[1, 2, 3]"),
        (_graph("a", "c"), "c: golden nothing, Graph int8[1, 2, 3]"),
        (_graph("bb", "a"), "their order"),
        (_graph("a", "bb", shape=(1, 3, 2)), "x: golden int8[1, 2, 3], Graph int8[1, 3, 2]"),
        (_graph("a", "bb", dtype=DType.U8), "a: golden int8[1, 2, 3], Graph uint8[1, 2, 3]"),
        (replace(_graph("a", "bb"), name="other"), "its golden is of another network, net"),
    ],
)
def test_a_golden_of_another_graph(graph: Graph, says: str) -> None:
    with pytest.raises(GoldenError) as caught:
        required(_golden(), graph)
    assert says in str(caught.value)
    assert f"python tools/regenerate_golden.py {graph.name}" in str(caught.value)


@pytest.mark.parametrize("count", [0, 2])
def test_a_golden_with_other_inputs(count: int) -> None:
    cases = [replace(case, inputs=case.inputs * count) for case in _golden().cases]
    says = "x: golden nothing" if count == 0 else "input 1: golden int8"
    with pytest.raises(GoldenError, match=says):
        required(replace(_golden(), cases=tuple(cases)), _graph("a", "bb"))


# --- what would change, in words


def _changed(case: GoldenCase, **facts: Any) -> Golden:
    return replace(_golden(), cases=(replace(case, **facts), *_golden().cases[1:]))


def test_changes_of_codes() -> None:
    case = _case(0)
    array = case.arrays["bb"].copy()
    array[0, 0, 0], array[0, 1, 1] = np.int8(100), np.int8(-100)
    before = case.arrays["bb"].astype(int)
    largest = max(abs(100 - before[0, 0, 0]), abs(-100 - before[0, 1, 1]))
    layers = (case.layers[0], _record("bb", array))
    new = _changed(case, layers=layers, arrays={**case.arrays, "bb": array})
    line = f"net/realistic: bb: 2 of 6 elements differ, largest by {largest}"
    assert changes(_golden(), new) == [line]
    unstored = replace(new, cases=(replace(new.cases[0], arrays={}), *new.cases[1:]))
    assert changes(_golden(), unstored) == ["net/realistic: bb: changed (not stored whole)"]


def test_changes_of_everything_else() -> None:
    old, case = _golden(), _case(0)
    assert changes(None, old) == ["net: new, 3 cases"]
    assert changes(old, replace(old, cases=old.cases[:2])) == ["net/edge: case is gone"]
    assert changes(replace(old, cases=old.cases[:2]), old) == ["net/edge: new case"]
    assert changes(old, replace(old, provenance={"seed": "x"})) == ["net: seed: net -> x"]
    fewer = _changed(case, layers=case.layers[:1])
    assert changes(old, fewer) == ["net/realistic: bb: tensor is gone"]
    assert changes(fewer, old) == ["net/realistic: bb: new tensor"]
    other = replace(case.layers[1], saturated=0.5)
    assert changes(old, _changed(case, layers=(case.layers[0], other))) == [
        "net/realistic: bb: record changed"
    ]
    moved = (case.inputs[0] + np.int8(1),)
    assert changes(old, _changed(case, inputs=moved)) == ["net/realistic: input 0 changed"]
    wide = case.arrays["bb"].astype(np.int16)
    layers = (case.layers[0], _record("bb", wide))
    new = _changed(case, layers=layers, arrays={**case.arrays, "bb": wide})
    assert changes(old, new) == ["net/realistic: bb: int8[1, 2, 3] -> int16[1, 2, 3]"]


# --- vacuity


def test_what_counts_as_saturated() -> None:
    codes = np.array([-128, -128, 0, 127], np.int8)
    signed = _tensor("a")
    assert statistics(signed, codes) == Statistics(0.75, 3)
    # A ReLU puts its zeros at the lower end: those are not clipped away.
    after_relu = replace(signed, dtype=DType.U8, lo=0, hi=255)
    assert statistics(after_relu, np.array([0, 0, 255, 3], np.uint8)) == Statistics(0.25, 3)
    shifted = replace(after_relu, zero_point=3)
    assert statistics(shifted, np.array([0, 0, 255, 3], np.uint8)) == Statistics(0.75, 3)
    real = Tensor("y", (2,), DType.F32)
    assert statistics(real, np.array([1e30, -1e30], np.float32)) == Statistics(0.0, 2)


def test_audit() -> None:
    found = {
        "fine": (10, Statistics(0.2, 2)),
        "clipped": (10, Statistics(0.21, 5)),
        "constant": (10, Statistics(0.0, 1)),
        "single": (1, Statistics(0.0, 1)),
        "both": (10, Statistics(1.0, 1)),
    }
    assert audit(found, 0.2, {}) == [
        "clipped is 21 % saturated (limit 20 %)",
        "constant is constant",
        "both is constant",
        "both is 100 % saturated (limit 20 %)",
    ]
    assert audit(found, 0.2, {"clipped": "why", "constant": "why", "both": "why"}) == []
