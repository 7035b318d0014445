"""Faults planted on purpose, and the drawn graphs that must see each.

A graph is judged up to its Graph once; a fault is planted behind that where it lies behind it: in a file of the C of a
drawn project, in a reference, in the planner. Faults of extraction have the model looked at anew.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

import ares.extract._quantizers as quantizers
import ares.extract._weights as weights
import ares.extract.batch_norm as batch_norm
import ares.plan.planner as planner
from ares.emit import emit
from ares.fuzzer.drawing import draw
from ares.fuzzer.judging import DrawnSubject, prepare
from ares.fuzzer.recipe import Node
from ares.fuzzer.shapes import DEPTHWISE
from ares.ops.add import Add
from ares.ops.conv2d import Conv2d
from ares.ops.linear import Linear
from ares.ops.mul import Mul
from ares.ops.softmax import Softmax
from ares.pipeline.compiled import judge_ran
from ares.plan import plan
from ares.toolchain import Target
from ares.toolchain.library import Work, run_batch
from ares.verdict import Outcome
from tests.witness.planting import patched

MOST = 300
"""Graphs among which each fault must be seen."""
_BATCH = 8


Wanted = Callable[[Node], bool]
"""Whether a node is one by which a fault can be seen: of other graphs nobody need ask."""


class Graphs:
    """Drawn graphs that all witnesses accept, of the first seeds, made when they are first asked for."""

    def __init__(self) -> None:
        self._recipes = [draw(seed) for seed in range(1, 1 + MOST)]
        self._made: dict[int, DrawnSubject | None] = {}

    def having(self, wanted: Wanted) -> Iterator[DrawnSubject]:
        """Those with such a node, in the order of their seeds."""
        for recipe in self._recipes:
            if any(map(wanted, recipe.nodes)):
                if recipe.seed not in self._made:
                    front = prepare(recipe)
                    self._made[recipe.seed] = front.subject if front.judged is None else None
                subject = self._made[recipe.seed]
                if subject is not None:
                    yield subject

    def make(self, wanted: Wanted, count: int = 10) -> None:
        """Have the first so many made before a fault is planted."""
        for _ in itertools.islice(self.having(wanted), count):
            pass

    def batches(self, wanted: Wanted) -> Iterator[list[DrawnSubject]]:
        subjects = self.having(wanted)
        while batch := list(itertools.islice(subjects, _BATCH)):
            yield batch


def of_kind(*kinds: str) -> Wanted:
    return lambda node: node.kind in kinds


def any_node(_node: Node) -> bool:
    return True


def again(subject: DrawnSubject, *kept: str) -> DrawnSubject:
    """The same subject, that has computed nothing but what is kept."""
    found = copy.copy(subject)
    for name in [name for name in vars(found) if _is_cached(name) and name not in kept]:
        del vars(found)[name]
    return found


def _is_cached(name: str) -> bool:
    return isinstance(getattr(DrawnSubject, name, None), cached_property)


# Where a fault is seen: the seed of the first graph, and the stage.

Seen = tuple[int, str]


def seen_in_c(
    graphs: Graphs, target: Target, path: str, old: str, new: str, wanted: Wanted
) -> Seen | None:
    """A fault in a file of the C."""
    for batch in graphs.batches(wanted):
        works = [
            Work(
                patched(subject.project_for(target), path, old, new),
                [case.inputs for case in subject.cases],
            )
            for subject in batch
        ]
        found = _in_batch(batch, works, target)
        if found is not None:
            return found
    return None


def seen_in_plan(graphs: Graphs, target: Target) -> Seen | None:
    """A fault in the planner, which is planted already."""
    for batch in graphs.batches(any_node):
        works = [
            Work(emit(plan(subject.graph)), [case.inputs for case in subject.cases])
            for subject in batch
        ]
        found = _in_batch(batch, works, target)
        if found is not None:
            return found
    return None


def _in_batch(batch: list[DrawnSubject], works: list[Work], target: Target) -> Seen | None:
    for subject, ran in zip(batch, run_batch(works, target), strict=True):
        # Who is at fault is not asked, which would run the model once more.
        verdict = judge_ran(again(subject, *_ALL), target, ran)
        if verdict.outcome is Outcome.FAIL:
            return subject.recipe.seed, f"c: {verdict.fault}"
    return None


_ALL = tuple(name for name in dir(DrawnSubject) if _is_cached(name))


def seen_by_torch(graphs: Graphs, wanted: Wanted, *kept: str) -> Seen | None:
    """A fault in what comes before the C, which is planted already; `kept`: what lies before the fault."""
    for subject in graphs.having(wanted):
        other = again(subject, *kept)
        for stage in other.stages():
            verdict = other.stage(stage)
            if verdict.outcome is not Outcome.PASS:
                return subject.recipe.seed, f"{stage.name}: {verdict.fault}"
    return None


# The faults.

_ADDS = of_kind("add", "quant_add", "residual_block", "transformer_block")

IN_C: dict[str, tuple[str, str, str, Wanted]] = {
    "add: one coefficient twice": (
        "runtime/src/add.c",
        "const int32_t a1 = p->coefficient1;",
        "const int32_t a1 = p->coefficient0;",
        _ADDS,
    ),
    "concat: the first part again": (
        "runtime/src/concat.c",
        "+ o * part->length",
        "+ 0 * part->length",
        of_kind("concat", "quant_concat"),
    ),
    "average: zero points of one row": (
        "runtime/src/avg_pool2d.c",
        "w.zeros = w.rows * w.columns * p->input_zero_point;",
        "w.zeros = w.columns * p->input_zero_point;",
        of_kind("avg_pool"),
    ),
    "depthwise: no dilation": (
        "runtime/src/depthwise.c",
        "column += p->across.dilation;",
        "column += 1;",
        lambda node: node.options.get("groups") == DEPTHWISE,
    ),
    "permute: an axis restarts a step late": (
        "runtime/src/permute.c",
        "offset -= p->strides[axis] * p->dims[axis];",
        "offset -= p->strides[axis] * (p->dims[axis] - 1);",
        of_kind("permute"),
    ),
    "maximum: begins at zero": (
        "runtime/src/max_pool2d.c",
        "p->input_signed ? INT8_MIN : 0",
        "p->input_signed ? 0 : 0",
        of_kind("max_pool"),
    ),
    "zero padding: left for right": (
        "runtime/src/zero_pad2d.c",
        "out = put_zeros(out + in_row, p, p->pad_right * p->channels);",
        "out = put_zeros(out + in_row, p, p->pad_left * p->channels);",
        of_kind("pad"),
    ),
    "conv2d: padded with code 0": (
        "runtime/src/conv2d.c",
        "ares_code_byte(conv->input_zero_point), (size_t)conv->length",
        "ares_code_byte(0), (size_t)conv->length",
        of_kind("conv2d"),
    ),
    "ties of the finisher go up": (
        "runtime/inc/finisher.h",
        "int32_t value = rounded & ~is_tie;",
        "int32_t value = rounded | (is_tie & 0);",
        _ADDS,
    ),
}

Plant = Callable[[Any], None]


def _changed(cls: Any, **fields: Callable[[Any], Any]) -> Plant:
    """The reference computes with other parameters."""

    def plant(monkeypatch: Any) -> None:
        real = cls.reference

        def reference(self: Any, site: Any, arrays: Any) -> Any:
            other = replace(
                self, **{word: edit(getattr(self, word)) for word, edit in fields.items()}
            )
            return real(other, site, arrays)

        monkeypatch.setattr(cls, "reference", reference)

    return plant


def _result(cls: Any, edit: Callable[[Any], Any]) -> Plant:
    """The reference computes something else."""

    def plant(monkeypatch: Any) -> None:
        real = cls.reference
        monkeypatch.setattr(
            cls, "reference", lambda self, site, arrays: tuple(map(edit, real(self, site, arrays)))
        )

    return plant


def _operands(cls: Any, edit: Callable[[Any], Any]) -> Plant:
    def plant(monkeypatch: Any) -> None:
        real = cls.reference
        monkeypatch.setattr(
            cls, "reference", lambda self, site, arrays: real(self, site, edit(arrays))
        )

    return plant


def _one_less(array: Any) -> Any:
    """The largest element is one too small."""
    found = array.copy()
    place = np.unravel_index(found.argmax(), found.shape)
    found[place] -= found.dtype.type(1 if found[place] > np.iinfo(found.dtype).min else 0)
    return found


IN_REFERENCE: dict[str, tuple[Plant, Wanted]] = {
    "add: coefficients exchanged": (_changed(Add, coefficients=lambda pair: pair[::-1]), _ADDS),
    "conv2d: padding on the other sides": (
        _changed(Conv2d, padding=lambda p: (p[2] + 1, p[3], p[0] - 1, p[1]) if p[0] else p),
        of_kind("conv2d"),
    ),
    "softmax: the largest one code less": (_result(Softmax, _one_less), of_kind("softmax")),
    "linear: weights of one output too small": (
        _changed(Linear, weight=lambda w: np.where(w == w.min(), w + 1, w).astype(np.int8)),
        of_kind("linear"),
    ),
    "mul: the first factor squared": (
        _operands(Mul, lambda arrays: (arrays[0], arrays[0])),
        of_kind("mul", "quant_mul"),
    ),
}


def _addends_negative(monkeypatch: Any) -> None:
    real = batch_norm.Step
    monkeypatch.setattr(
        batch_norm, "Step", lambda kind, values: real(kind, -values if kind == "add" else values)
    )


def _narrow_weights(monkeypatch: Any) -> None:
    real = weights.frozen_array
    monkeypatch.setattr(
        weights, "frozen_array", lambda codes, dtype: real(np.clip(codes, -127, 127), dtype)
    )


def _zero_points_off(monkeypatch: Any) -> None:
    real = quantizers.read_scales

    def read(*arguments: Any) -> Any:
        scale, zero_point, scales = real(*arguments)
        return scale, zero_point - 1 if zero_point else 0, scales

    monkeypatch.setattr(quantizers, "read_scales", read)


IN_EXTRACTION: dict[str, tuple[Plant, Wanted]] = {
    "BatchNorm: addends of the other sign": (_addends_negative, of_kind("batch_norm")),
    "weights: never -128": (
        _narrow_weights,
        lambda node: node.options.get("weight_narrow") is False,
    ),
    "quantiser: zero point one less": (
        _zero_points_off,
        lambda node: bool(node.options.get("zero_point")),
    ),
}


def overlapping(monkeypatch: Any) -> None:
    """The planner puts the last two buffers that live at once at one place."""
    real = planner.place

    def place(buffers: Any, guard: int = 0) -> Any:
        offsets, size = real(buffers, guard)
        found = dict(offsets)
        for one in reversed(buffers):
            for other in buffers:
                if one is not other and one.meets(other):
                    found[one.name] = found[other.name]
                    return found, size
        return found, size

    monkeypatch.setattr(planner, "place", place)
