"""How near the C comes to the Brevitas model as people run it: from end to end, nothing corrected on the way.

Three computations of one network: the C, the model in binary32 (PyTorch's own), and the model in float64. The last two
are one model, so what lies between them is what rounding alone does to this network; a deep one with random weights
carries a single code that fell on the other side of a tie into all that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ares.golden import GoldenCase
from ares.ir import Graph
from ares.pipeline.fidelity import fidelity
from ares.witness_float32 import free_running

Array = npt.NDArray[np.float64]


def agreement(
    model: nn.Module, graph: Graph, cases: Sequence[GoldenCase], samples: Tensor
) -> dict[str, Any]:
    """Of a network's first output, over `samples` [cases, ...] and their golden cases.

    `equal_codes`: C and float64, the last quantised tensor. `apart` and `itself`: mean distance from binary32, of the
    C and of float64, relative to the largest output of binary32. `same_class` and `class_itself`: share of samples
    with the class of binary32; only for outputs [1, classes].
    """
    name = graph.outputs[0]
    shown = [case.arrays[name].astype(np.float64) for case in cases]
    c = _real(graph, name, np.concatenate(shown))
    with torch.no_grad():
        single = np.concatenate([_value(model(sample[None])) for sample in samples])
    double = _real(graph, name, free_running(model, graph, [samples.numpy()], (name,))[name])
    found: dict[str, Any] = {
        "pictures": len(cases),
        "equal_codes": fidelity(model, graph, cases)["equal"],
        "apart": _distance(c, single),
        "itself": _distance(double, single),
    }
    if single.ndim == 2:
        found |= {"same_class": _same(c, single), "class_itself": _same(double, single)}
    return found


def _real(graph: Graph, name: str, values: Array) -> Array:
    """What codes mean; binary32 means itself."""
    tensor = graph.tensor(name)
    return values if tensor.scale is None else (values - tensor.zero_point) * tensor.scale


def _value(output: Any) -> Array:
    if isinstance(output, dict):
        output = next(iter(output.values()))
    elif isinstance(output, (list, tuple)) and not hasattr(output, "value"):
        output = output[0]
    value = getattr(output, "value", output)  # a QuantTensor has one
    found: Array = value.double().numpy()
    return found


def _distance(some: Array, others: Array) -> float:
    return float(f"{np.abs(some - others).mean() / np.abs(others).max():.1e}")


def _same(some: Array, others: Array) -> float:
    """Equal largest values are one class."""
    chosen = np.take_along_axis(some, others.argmax(axis=1)[:, None], axis=1)[:, 0]
    return round(float((chosen == some.max(axis=1)).mean()), 4)
