"""Fidelity without teacher forcing: the integers end to end against the float64 model end to end.

The torch witness corrects the model after every layer, so it says nothing of how errors add up; this does. The C's
codes are the golden's, which the matrix shows for every target. Against float32 every difference is explained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.golden import GoldenCase
from ares.ir import Graph
from ares.witness import Witness
from ares.witness_float32 import explain, free_running
from ares.witness_partings import Float32Run

Array = npt.NDArray[Any]


def fidelity(model: Any, graph: Graph, cases: Sequence[GoldenCase]) -> dict[str, Any]:
    """The network's last codes and, where it ends in binary32, its outputs, over all cases.

    `equal`: share of codes that are the same, by case and in all; `largest`: largest difference in codes; `outputs`:
    largest error of binary32 outputs relative to the largest output; `same_class`: share of cases with the same
    largest output.
    """
    inputs = [np.concatenate([case.inputs[i] for case in cases]) for i in range(len(graph.inputs))]
    names = last_codes(graph)
    real = tuple(name for name in graph.outputs if graph.tensor(name).scale is None)
    model_says = free_running(model, graph, inputs, (*names, *real))
    c_says = {
        name: np.concatenate([case.arrays[name] for case in cases]).astype(np.float64)
        for name in (*names, *real)
    }
    differences = np.concatenate(
        [np.abs(model_says[name] - c_says[name]).reshape(len(cases), -1) for name in names], axis=1
    )
    facts: dict[str, Any] = {
        "codes": int(differences.size),
        "equal": round(float((differences == 0).mean()), 4),
        "equal_by_case": {
            case.name: round(float((row == 0).mean()), 4)
            for case, row in zip(cases, differences, strict=True)
        },
        "largest": int(differences.max()),
    }
    if real:
        facts |= _outputs([(model_says[name], c_says[name]) for name in real])
    return facts


def _outputs(
    pairs: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]],
) -> Mapping[str, Any]:
    error = max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)) for a, b in pairs)
    same = np.concatenate(
        [
            (a.reshape(len(a), -1).argmax(axis=1) == b.reshape(len(b), -1).argmax(axis=1))
            for a, b in pairs
        ]
    )
    return {"outputs": float(f"{error:.1e}"), "same_class": round(float(same.mean()), 4)}


def last_codes(graph: Graph) -> tuple[str, ...]:
    """Of each output, the nearest tensor at or before it that a quantiser of the model makes."""
    return tuple(dict.fromkeys(_last_codes(graph, name) for name in graph.outputs))


def against_float32(
    model: Any, witness: Witness, inputs: Sequence[Array], tensors: Mapping[str, Array]
) -> Float32Run:
    """The exact tensors against the float32 model's own run, and why they differ (`ares.witness_float32`)."""
    return explain(witness, model, inputs, tensors, last_codes(witness.graph))


def _last_codes(graph: Graph, name: str) -> str:
    producers = {tensor.name: operation for operation, tensor in graph.produced()}
    while not any(origin.startswith("quantizer:") for origin in graph.tensor(name).origins):
        name = producers[name].inputs[0]
    return name
