"""Files of strangers are data: thousands of mutated ones end in a refusal of one line, or in what they say.

Seeds are fixed; a failure names the kind, the seed and the number of the mutation, which makes it again. Nobody may
crash, hang, take memory that the file does not account for, or write outside the folder that was named.
"""

from __future__ import annotations

import copy
import io
import json
import random
import resource
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors
from torch import nn

from ares.emit import emit
from ares.golden.operations import load_operation_suite
from ares.ir import Graph, GraphError, GraphFileError, save_graph
from ares.ir.names import carried
from ares.ops import read_graph
from ares.plan import PlanError, plan
from ares.user_files import UserInputError, read_samples
from ares.user_files.checkpoint import holds_state_of_zoo, load_state_dict
from ares.verifier.trace import TraceError, judge_trace
from tests.checker.models import READY, write
from tests.cli.outcome import Outcome
from tests.slow import one_in
from tests.verifier.test_trace import expected, good_lines, text

ROOT = Path(__file__).resolve().parents[2]
SEED = 20_261_129
LONGEST = 5.0
MOST_MEMORY = 2**29
LONGEST_LINE = 1000

Run = Callable[..., Outcome]


@contextmanager
def limited(kind: str) -> Iterator[Callable[[int], None]]:
    """Time for every mutation, told by its number, and memory for all of them."""
    started = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def done(number: int) -> None:
        nonlocal started
        now = time.monotonic()
        assert now - started < LONGEST, f"{kind}, seed {SEED}, mutation {number}: {now - started} s"
        started = now

    yield done
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MOST_MEMORY, f"{kind}, seed {SEED}: {grown} bytes"


@contextmanager
def mutation(kind: str, number: int) -> Iterator[None]:
    """Any exception that ends it says which mutation it was."""
    try:
        yield
    except Exception as error:
        # Broad, and raised again: a fuzz test is after the exceptions that nobody expects.
        raise AssertionError(f"{kind}, seed {SEED}, mutation {number}") from error


def one_line(error: Exception) -> None:
    line = str(error)
    assert line
    assert len(line.splitlines()) == 1, repr(line)
    assert len(line) < LONGEST_LINE, line


SIZES = (0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**62, 2**63, 2**64 - 1)


def damaged(data: bytes, source: random.Random, front: int) -> bytes:
    """Bytes cut off, flipped, doubled, removed, exchanged, or read as another size; mostly in the first `front`."""
    changed = bytearray(data)
    for _ in range(source.randrange(1, 4)):
        if not changed:
            break
        end = len(changed) if source.random() < 0.2 else min(front, len(changed))
        place, length = source.randrange(end), source.randrange(1, 40)
        kind = source.randrange(7)
        if kind == 0:
            del changed[source.randrange(len(changed)) :]
        elif kind == 1:
            changed[place] ^= 1 << source.randrange(8)
        elif kind == 2:
            changed[place:place] = changed[place : place + length]
        elif kind == 3:
            del changed[place : place + length]
        elif kind == 4:
            changed[place : place + length] = source.randbytes(length)
        elif kind == 5:
            form = source.choice(("<Q", "<I", ">I"))
            number = struct.pack(form, source.choice(SIZES) % 2 ** (8 * struct.calcsize(form)))
            changed[place : place + len(number)] = number
        else:
            other = source.randrange(len(changed))
            changed[place : place + length] = changed[other : other + length]
    return bytes(changed)


# Graph files.

NESTED: Any = []
for _ in range(200):
    NESTED = [NESTED]

VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 7, 127, 128, 255, 256, -128, 2**15, -(2**31), 2**31 - 1, 2**31, 2**40, 2**63),
    *(2**70, -(2**70), 10**400, 0.5, -0.0, 1e-320, 1e300, -1e300, float("nan"), float("inf")),
    *(True, False, None, "", "x", "../../x", "/tmp/x", "a\x00b", "\ud800", "\u202e", "x" * 100_000),
    *([], {}, [0], [1, 2], [1.5], ["x"], [[1, 2]], [2**40, 2**40], [-1, -1], NESTED, {"a": NESTED}),
    *({"array": "constant00000"}, {"array": "no"}, {"array": []}, {"array": {}}, {"enum": "DType"}),
    *({"enum": "DType", "value": "s8"}, {"enum": "DType", "value": "f32"}, {"enum": "x"}),
    *({"enum": "DType", "value": "s32"}, {"enum": "DType", "value": []}, {"record": "os.system"}),
    *({"record": "Graph", "fields": {}}, {"record": "Tensor", "fields": {}}, {"record": []}),
)  # fmt: skip


def _range(array: np.ndarray) -> tuple[int, int]:
    if array.dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(array.dtype)
    return int(limits.min), int(limits.max)


ARRAYS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda a: a.reshape(-1)[:-1],
    lambda a: np.concatenate([a.reshape(-1)] * 2),
    lambda a: a[None],
    lambda a: a.reshape(-1),
    lambda a: np.zeros(0, a.dtype),
    lambda a: np.zeros((0, *a.shape), a.dtype),
    lambda a: a.astype(np.float64),
    lambda a: a.astype(np.float32),
    lambda a: a.astype(np.int64),
    lambda a: a.astype(np.int8),
    lambda a: a.astype(bool),
    lambda a: np.full_like(a, np.nan if a.dtype.kind == "f" else _range(a)[1]),
    lambda a: np.full_like(a, np.inf if a.dtype.kind == "f" else _range(a)[0]),
    lambda a: np.zeros_like(a),
    lambda a: -a if a.dtype.kind in "if" else a ^ 1,
)


def _small_graphs() -> Iterator[tuple[str, Graph]]:
    """For every operation a small Graph with it, cut out of the stored unit cases."""
    chosen: dict[str, Graph] = {}
    for folder in sorted((ROOT / "golden").glob("ops_*")):
        whole = load_operation_suite(folder).graph
        for graph in _parts(whole):
            for operation in graph.operations:
                kind = type(operation).__name__
                if kind not in chosen or _weight(graph) < _weight(chosen[kind]):
                    chosen[kind] = graph
    yield from sorted(chosen.items())


def _weight(graph: Graph) -> int:
    return sum(tensor.size for tensor in graph.tensors)


def _parts(whole: Graph) -> Iterator[Graph]:
    """The connected parts of a Graph that is many cases side by side."""
    root: dict[str, str] = {tensor.name: tensor.name for tensor in whole.tensors}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for operation in whole.operations:
        names = (*operation.inputs, *operation.outputs)
        for name in names[1:]:
            root[find(name)] = find(names[0])
    found: dict[str, list[Any]] = {}
    for operation in whole.operations:
        found.setdefault(find(operation.outputs[0]), []).append(operation)
    for key, operations in found.items():
        tensors = tuple(tensor for tensor in whole.tensors if find(tensor.name) == key)
        names = {tensor.name for tensor in tensors}
        own = {operation.name for operation in operations}
        yield Graph(
            name="part",
            tensors=tensors,
            inputs=tuple(name for name in whole.inputs if name in names),
            outputs=tuple(name for name in whole.outputs if name in names),
            operations=tuple(operations),
            composites=tuple(c for c in whole.composites if own.issuperset(c.members)),
        ).validate()


@pytest.fixture(name="graphs", scope="module")
def graphs_fixture() -> dict[str, bytes]:
    return {kind: save_graph(graph) for kind, graph in _small_graphs()}


def _structure(data: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["graph"]), load_arrays(data)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from _places(item, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _mutated_graph(data: bytes, source: random.Random) -> bytes:
    structure, arrays = _structure(data)
    structure, arrays = copy.deepcopy(structure), dict(arrays)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        places = list(_places(structure))
        keys = sorted(
            key for key in arrays if key != "format"
        )  # safetensors gives them in any order
        *path, last = source.choice(places)
        container = _at(structure, tuple(path))
        kind = source.randrange(10)
        if kind < 5:
            container[last] = copy.deepcopy(source.choice(VALUES))
        elif kind == 5:
            del container[last]
        elif kind == 6 and isinstance(container, list):
            container.insert(source.randrange(len(container) + 1), copy.deepcopy(container[last]))
        elif kind == 7:
            container[last] = copy.deepcopy(_at(structure, source.choice(places)))
        elif keys:
            key = source.choice(keys)
            arrays[key] = source.choice(ARRAYS)(arrays[key])
    ready = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    return save_arrays(ready, metadata={"graph": json.dumps(structure)})


def _use_graph(data: bytes, *, with_c: bool) -> str:
    """How far the file got; anything but a refusal of one line is a failure of the test."""
    try:
        graph = read_graph(data)
    except GraphFileError as error:
        one_line(error)
        return "refused"
    assert graph.validate() is graph
    save_graph(graph)
    try:
        planned = plan(graph)
    except (PlanError, GraphError):
        return "not planned"
    if not with_c:
        return "planned"
    for name in emit(planned).files:
        path = PurePosixPath(name)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert "\\" not in name
    return "emitted"


@pytest.mark.slow
def test_graph_structures(graphs: Mapping[str, bytes]) -> None:
    counts: dict[str, int] = {}
    assert len(graphs) > 30
    with limited("structure") as done:
        for kind, data in graphs.items():
            source = random.Random(f"{SEED}/{kind}")
            for number in range(50):
                mutated = _mutated_graph(data, source)
                with mutation(kind, number):
                    end = _use_graph(mutated, with_c=number % 4 == 0)
                counts[end] = counts.get(end, 0) + 1
                done(number)
    assert counts["refused"] > 500
    assert counts["planned"] + counts["emitted"] > 50, counts


def test_graph_bytes(graphs: Mapping[str, bytes]) -> None:
    refused = 0
    with limited("bytes") as done:
        for kind, data in graphs.items():
            source = random.Random(f"{SEED}/{kind}/bytes")
            front = 8 + int.from_bytes(data[:8], "little")
            for number in range(40):
                with mutation(f"{kind}, bytes", number):
                    refused += _use_graph(damaged(data, source, front), with_c=False) == "refused"
                done(number)
    assert refused > 500


NAMES = (
    "../../evil",
    "/tmp/evil",
    "..",
    ".",
    "a/../../b",
    "C:\\evil",
    "a\nb",
    'a"; evil',
    "*/ evil",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_never_leave_the_folder(name: str, graphs: Mapping[str, bytes]) -> None:
    """Of the network and of a layer, which is one printable word or refused."""
    structure, arrays = _structure(graphs["Conv2d"])
    structure["fields"]["name"] = name
    layer = structure["fields"]["operations"][-1]["fields"]
    if name != carried(name):
        layer["name"] = name
        data = save_arrays(arrays, metadata={"graph": json.dumps(structure)})
        assert _use_graph(data, with_c=True) == "refused"
    layer["name"] = carried(name)
    data = save_arrays(arrays, metadata={"graph": json.dumps(structure)})
    assert _use_graph(data, with_c=True) == "emitted"
    for path, content in emit(plan(read_graph(data))).files.items():
        if not path.startswith("runtime/"):
            assert b"*/ evil" not in content, path
            assert b"a\nb" not in content, path


# Inputs.


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_inputs(tmp_path: Path) -> None:
    rows = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    whole = _npz(x=rows, ids=np.arange(6).reshape(2, 3))
    packed = io.BytesIO()
    np.savez_compressed(packed, x=rows, ids=np.arange(6).reshape(2, 3))
    path = tmp_path / "data.npz"
    refused = 0
    with limited("npz") as done:
        for number in range(1500):
            source = random.Random(f"{SEED}/npz/{number}")
            data = packed.getvalue() if number % 3 == 0 else whole
            path.write_bytes(damaged(data, source, len(data)))
            with mutation("npz", number):
                try:
                    samples = read_samples(path, ["x", "ids"])
                    assert len(samples) >= 1
                    assert all(array.dtype in (np.float32, np.int64) for array in samples[-1])
                    assert sum(array.size for array in samples.arrays) < 2**20
                except UserInputError as error:
                    one_line(error)
                    refused += 1
            done(number)
    assert refused > 400


# Trained parameters.


@pytest.mark.usefixtures("unpickled_here")
@pytest.mark.parametrize("suffix", one_in(2, [".safetensors", ".pt", ".old.pt"]))
def test_state_dicts(suffix: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    path = tmp_path / f"state{suffix}"
    if suffix == ".safetensors":
        whole = save_tensors(state)
    else:
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=suffix == ".pt")
        whole = buffer.getvalue()
    refused = 0
    with limited(suffix) as done:
        for number in range(600):
            source = random.Random(f"{SEED}/{suffix}/{number}")
            path.write_bytes(damaged(whole, source, len(whole) if number % 2 else 800))
            with mutation(suffix, number):
                try:
                    if not holds_state_of_zoo(path):
                        load_state_dict(model, path)
                except UserInputError as error:
                    one_line(error)
                    refused += 1
            done(number)
    assert refused > 250
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


# Traces and what they are judged by.


def test_traces(tmp_path: Path) -> None:
    project, trace = tmp_path / "project", tmp_path / "trace.txt"
    project.mkdir()
    trace_bytes = text(good_lines()).encode()
    facts = expected()
    places = list(_places(facts))
    refused = 0
    with limited("trace") as done:
        for number in range(1500):
            source = random.Random(f"{SEED}/trace/{number}")
            judged_by = json.dumps(facts).encode()
            printed = trace_bytes
            kind = number % 3
            if kind == 0:
                printed = damaged(trace_bytes, source, len(trace_bytes))
            elif kind == 1:
                judged_by = damaged(judged_by, source, len(judged_by))
            else:
                changed = copy.deepcopy(facts)
                *path, last = source.choice(places)
                _at(changed, tuple(path))[last] = source.choice(VALUES)
                judged_by = json.dumps(changed).encode()
            trace.write_bytes(printed)
            (project / "expected.json").write_bytes(judged_by)
            with mutation("trace", number):
                try:
                    judged = judge_trace(trace, project)
                    assert judged.summary
                    json.dumps(judged.as_json())
                except TraceError as error:
                    one_line(error)
                    refused += 1
            done(number)
    assert refused > 400


# A few through the commands.


@pytest.mark.parametrize("number", one_in(3, range(3)))
def test_commands(number: int, tmp_path: Path, check: Run, trace: Run) -> None:
    source = random.Random(f"{SEED}/commands/{number}")
    model = write(tmp_path, READY)
    project, printed = tmp_path / "project", tmp_path / "trace.txt"
    project.mkdir()
    (project / "expected.json").write_text(json.dumps(expected()))
    printed.write_bytes(damaged(text(good_lines()).encode(), source, 300))
    inputs, state = tmp_path / "data.npz", tmp_path / "state.safetensors"
    rows = np.zeros((2, 1, 8, 8), np.float32)
    inputs.write_bytes(damaged(_npz(x=rows), source, 200))
    state.write_bytes(damaged(save_tensors({"fc.bias": torch.zeros(10)}), source, 60))
    outcomes = (
        check("--model-file", model, "--inputs", inputs),
        check("--model-file", model, "--state-dict", state),
        trace(printed, project),
    )
    for outcome in outcomes:
        assert outcome.code in (0, 1, 2)
        assert outcome.err.count("\n") == (outcome.code == 2), outcome.err
        assert "Traceback" not in outcome.err + outcome.out
