"""Ours and another runtime in turns: a turn of ours, one of theirs, and so on, each in a process of its own."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.bench.against.topology import Topology, one_number, topology
from ares.bench.measuring import Bench
from ares.bench.record import BenchError, Comparison, Cost, Spread
from ares.toolchain.machines import PYTHON
from ares.toolchain.process import run_process

Array = npt.NDArray[Any]
_TURNS = 9
_TIMEOUT = 600.0
_LINES = 3
_CHILD = "ares.bench.against.runtimes"


def compared(bench: Bench, cost: Cost, runtimes: Sequence[str], seconds: float) -> Cost:
    """The cost with a comparison for each runtime. `seconds`: about how long each of the two runs.

    Raises BenchError where a layer cannot be expressed, or where the other runtime does not run the model.
    """
    if not runtimes:
        return cost
    expected = bench.subject.expected(0)
    shape = topology(bench.subject.graph, expected)
    share = seconds / _TURNS
    return replace(
        cost, against=tuple(_compare(bench, shape, runtime, share) for runtime in runtimes)
    )


def _compare(bench: Bench, shape: Topology, runtime: str, share: float) -> Comparison:
    last = runtime == "litert"
    call = _call(bench, runtime, share)
    rounds, runs = bench.plan_rounds(share)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="ares-against-") as name:
        folder = Path(name)
        (folder / "model").write_bytes(_maker(runtime)(shape))
        for number, array in enumerate(bench.inputs):
            np.save(folder / f"input{number}.npy", _placed(array, last))
        for _ in range(_TURNS):
            measured = bench.run(rounds + 1, runs).rounds[1:]
            ours.append(statistics.median(each.plain for each in measured))
            turn = _turn(bench, runtime, folder, share)
            theirs.append(turn.median)
        outputs = [
            _logical(np.load(folder / f"output{k}.npy"), last) for k in range(len(shape.outputs))
        ]
    return Comparison(
        runtime=runtime,
        version=turn.version,
        ours=Spread.of(ours),
        theirs=Spread.of(theirs),
        ratio=Spread.of([own / other for own, other in zip(ours, theirs, strict=True)]),
        call=call,
        largest_difference=_difference(bench, shape, outputs),
    )


def _call(bench: Bench, runtime: str, share: float) -> float:
    """Nanoseconds of an inference that computes next to nothing."""
    with tempfile.TemporaryDirectory(prefix="ares-against-") as name:
        folder = Path(name)
        (folder / "model").write_bytes(_maker(runtime)(one_number()))
        np.save(folder / "input0.npy", np.ones((1, 1), np.float32))
        return _turn(bench, runtime, folder, share).median


def _maker(runtime: str) -> Callable[[Topology], bytes]:
    # Imported here: each needs packages of its runtime.
    if runtime == "litert":
        from ares.bench.against.litert_model import litert_model

        return litert_model
    from ares.bench.against.onnx_model import onnx_model

    return onnx_model


@dataclass(frozen=True, slots=True)
class _Turn:
    median: float
    version: str


def _turn(bench: Bench, runtime: str, folder: Path, share: float) -> _Turn:
    command = (*PYTHON, "-m", _CHILD, runtime, str(folder), str(round(share * 1e9)))
    finished = run_process(command, folder=folder, timeout=_TIMEOUT)
    if finished.code != 0:
        last = " / ".join(finished.stderr.strip().splitlines()[-_LINES:])
        how = "took too long" if finished.code is None else f"ended with {finished.code}"
        raise BenchError(f"{bench.subject.name}: {runtime} {how}: {last or 'no message'}")
    turn = json.loads((folder / "turn.json").read_text(encoding="utf-8"))
    return _Turn(statistics.median(turn["times"]), turn["version"])


def _difference(bench: Bench, shape: Topology, outputs: Sequence[Array]) -> float:
    """The largest difference of an output, in steps of the other runtime's."""
    largest = 0.0
    expected = bench.subject.expected(0)
    for name, found in zip(shape.outputs, outputs, strict=True):
        ours, tensor, port = expected[name], shape.tensors[name], bench.subject.graph.tensor(name)
        assert tensor.scale is not None
        if port.dtype.is_integer:
            ours = (ours - tensor.zero_point) * tensor.scale
        if found.shape != ours.shape:
            raise BenchError(
                f"{bench.subject.name}: output {name} has shape {list(found.shape)} there, {list(ours.shape)} here"
            )
        largest = max(largest, float(np.abs(found - ours).max() / tensor.scale))
    return largest


def _placed(array: Array, last: bool) -> Array:
    moved = array.transpose(0, 2, 3, 1) if last and array.ndim == 4 else array
    return np.ascontiguousarray(moved, np.float32)


def _logical(array: Array, last: bool) -> Array:
    return array.transpose(0, 3, 1, 2) if last and array.ndim == 4 else array
