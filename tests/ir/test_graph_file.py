"""A Graph file gives back the Graph, byte for byte; anything else is one line that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ares.ir import Graph, GraphFileError, graph_digest, save_graph
from ares.ir.graph_file import FORMAT
from ares.ops import read_graph, run_reference
from ares.pipeline.network import NetworkSubject
from tests.checkout import ZOO

NETWORKS = ("test_37_zeropad2d", "test_5_densenet_basic", "test_4_resnet_basic")
SEED = 20_250_711


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: NetworkSubject(ZOO.paths(name)).graph for name in NETWORKS}


@pytest.fixture(scope="module")
def files(graphs: dict[str, Graph]) -> list[bytes]:
    return [save_graph(graph) for graph in graphs.values()]


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(graphs: dict[str, Graph], name: str) -> None:
    graph = graphs[name]
    data = save_graph(graph)
    again = read_graph(data)
    assert save_graph(again) == data
    assert graph_digest(again) == graph_digest(graph)
    assert again.tensors == graph.tensors
    assert [type(op) for op in again.operations] == [type(op) for op in graph.operations]
    inputs = [np.zeros(graph.tensor(n).shape, np.float32) + np.float32(0.3) for n in graph.inputs]
    expected = run_reference(graph, inputs)
    for tensor, array in run_reference(again, inputs).items():
        assert array.tobytes() == expected[tensor].tobytes()


def test_the_digest_sees_every_constant(files: list[bytes]) -> None:
    for data in files:
        structure, arrays = _parts(data)
        before = graph_digest(read_graph(data))
        for key in [key for key in arrays if key != "format" and arrays[key].size]:
            changed = arrays[key].copy()
            changed.reshape(-1).view(np.uint8)[-1] ^= 1
            other = _file(structure, {**arrays, key: changed})
            assert graph_digest(read_graph(other)) != before, key


# --- damage


def test_cut_files(files: list[bytes]) -> None:
    for data in files:
        for length in (0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1):
            _refused(data[:length])


def test_bytes_changed_at_random(files: list[bytes]) -> None:
    """In the header, where the structure is."""
    random = np.random.Generator(np.random.Philox(SEED))
    refused = 0
    for data in files:
        header = 8 + int.from_bytes(data[:8], "little")
        for _ in range(150):
            damaged = bytearray(data)
            for position in random.integers(0, header, random.integers(1, 4)):
                damaged[position] = random.integers(0, 256)
            refused += _read_or_refused(bytes(damaged))
    assert refused > 300, f"seed {SEED}"


VALUES: tuple[Any, ...] = (
    *(None, "", "x", [], {}, [1, 2], [[]], float("nan"), float("inf"), -1, 3),
    *({"array": "constant00000"}, {"array": "nope"}, {"array": []}, {"enum": "DType"}),
    *({"enum": "DType", "value": "s8"}, {"enum": "DType", "value": []}, {"enum": "Other"}),
    *({"record": "Tensor"}, {"record": "Graph", "fields": {}}, {"record": "os"}, {"record": []}),
)


def test_structures_changed_at_random(files: list[bytes]) -> None:
    """Well-formed files that mean something else: values replaced, keys and items removed."""
    random = np.random.Generator(np.random.Philox(SEED))
    refused = 0
    for data in files:
        structure, arrays = _parts(data)
        places = list(_places(structure))
        for _ in range(150):
            changed = json.loads(json.dumps(structure))
            *path, last = places[random.integers(len(places))]
            container = changed
            for key in path:
                container = container[key]
            if random.integers(4) == 0:
                del container[last]
            else:
                container[last] = VALUES[random.integers(len(VALUES))]
            refused += _read_or_refused(_file(changed, arrays))
    assert refused > 300, f"seed {SEED}"


def test_constants_changed_at_random(files: list[bytes]) -> None:
    random = np.random.Generator(np.random.Philox(SEED))
    edits: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
        lambda array: array.reshape(-1)[:-1],
        lambda array: array.astype(np.float64),
        lambda array: np.zeros(0, array.dtype),
        lambda array: array[None],
    )
    for data in files:
        structure, arrays = _parts(data)
        for key in [key for key in arrays if key != "format"][:40]:
            edit = edits[random.integers(len(edits))]
            _read_or_refused(_file(structure, {**arrays, key: edit(arrays[key])}))


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        ("MaxPool2d", "stride", [0, 0]),
        ("MaxPool2d", "padding", [2**70, 0, 0, 0]),
        ("Conv2d", "padding", {"array": "constant00000"}),
        ("Conv2d", "groups", 0),
        ("Conv2d", "stride", [0, 1]),
        ("MaxPool2d", "padding", [2**50, 0, 0, 0]),
    ],
)
def test_impossible_parameters(files: list[bytes], record: str, field: str, value: Any) -> None:
    structure, arrays = _parts(files[0])
    operations = structure["fields"]["operations"]
    chosen = next(operation for operation in operations if operation["record"] == record)
    chosen["fields"][field] = value
    _refused(_file(structure, arrays))


def test_another_format(files: list[bytes]) -> None:
    structure, arrays = _parts(files[0])
    other = np.frombuffer(b"ares-graph-2", np.uint8)
    with pytest.raises(GraphFileError, match=r"format b'ares-graph-2', expected 'ares-graph-1'"):
        read_graph(_file(structure, {**arrays, "format": other}))


def test_nothing_is_executed_on_load(files: list[bytes]) -> None:
    structure, arrays = _parts(files[0])
    structure["record"] = "__import__('os').system"
    with pytest.raises(GraphFileError, match="unknown record"):
        read_graph(_file(structure, arrays))


def test_an_invalid_graph_is_named(files: list[bytes]) -> None:
    structure, arrays = _parts(files[0])
    del structure["fields"]["operations"][1]
    with pytest.raises(GraphFileError, match="is not computed before it is used"):
        read_graph(_file(structure, arrays))


def _parts(data: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """The structure and the constants of a Graph file."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["graph"]), load_arrays(data)


def _file(structure: Any, arrays: dict[str, np.ndarray]) -> bytes:
    ready = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    return save_arrays(ready, metadata={"graph": json.dumps(structure)})


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from _places(item, (*path, key))


def _refused(data: bytes) -> None:
    with pytest.raises(GraphFileError) as caught:
        read_graph(data)
    assert len(str(caught.value).splitlines()) == 1


def _read_or_refused(data: bytes) -> bool:
    """Whether it was refused; any other exception is a failure of the test."""
    try:
        read_graph(data)
    except GraphFileError:
        return True
    return False


def test_constants_that_are_not_finite_are_refused() -> None:
    """No C literal stands for them: the file is refused, not what is made of it (found by mutation)."""
    arrays = {
        "constant00000": np.array([1.0, np.inf], np.float32),
        "format": np.frombuffer(FORMAT.encode(), np.uint8),
    }
    structure = {"record": "Tensor", "fields": {"name": {"array": "constant00000"}}}
    with pytest.raises(GraphFileError, match="constant00000' holds values that are not finite"):
        read_graph(save_arrays(arrays, metadata={"graph": json.dumps(structure)}))
    structure = {"record": "Tensor", "fields": {"scale": float("nan")}}
    arrays.pop("constant00000")
    with pytest.raises(GraphFileError, match="the number nan, which is not finite"):
        read_graph(save_arrays(arrays, metadata={"graph": json.dumps(structure)}))
