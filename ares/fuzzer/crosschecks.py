"""What a share of the drawn graphs are judged by besides the witnesses: variants, bytes that may not change, relations.

`judge_batch` runs the works of `beside` with the others of a target, `compare` judges what they showed, and `relate`
does the rest, once a graph. Which graphs, and which variant or relation, follows from the seed alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ares.fuzzer.findings import Finding
from ares.fuzzer.judging import Front, command
from ares.fuzzer.recipe import RecipeError
from ares.fuzzer.relations import Unrelated, changed, check
from ares.fuzzer.variants import Variant, variants, why_unstable
from ares.ir import Trace
from ares.toolchain import Target, ToolchainError
from ares.toolchain.library import Ran, Work
from ares.verdict import first_difference

VARIANT_EVERY, BYTES_EVERY, RELATION_EVERY = 8, 16, 16
"""One of so many seeds."""


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """A variant of the graph of a front, on the front's cases."""

    front: Front
    variant: Variant
    work: Work


def beside(front: Front) -> tuple[Beside, ...]:
    """The variants that run beside a graph that is still to be judged: none for most."""
    subject, seed = front.subject, front.recipe.seed
    if subject is None or front.judged is not None or seed % VARIANT_EVERY:
        return ()
    found: tuple[Variant, ...] = ()
    with _watched(front, "variants"):
        found = tuple(variants(subject.graph, seed // VARIANT_EVERY))
    inputs = [case.inputs for case in subject.cases]
    return tuple(Beside(front, each, Work(each.project, inputs)) for each in found)


def compare(item: Beside, ran: Ran, target: str) -> None:
    """Note in the front the first tensor of a variant that is not what the reference says."""
    front, graph = item.front, item.variant.graph
    assert front.subject is not None
    if front.judged is not None:
        return
    if ran.refused is not None:
        _note(front, "a variant does not compile", f"{item.variant}: {ran.refused}", target)
        return
    for expected, trace in zip(front.subject.references, ran.traces, strict=True):
        if not isinstance(trace, Trace):
            _note(front, "a variant does not run", f"{item.variant}: {trace}", target)
            return
        outputs = zip(graph.outputs, trace.outputs, strict=True)
        for name, found in (*trace.tensors.items(), *outputs):
            difference = first_difference(name, expected[name].astype(found.dtype), found)
            if difference is not None:
                layer = next(each for each in graph.operations if name in each.outputs)
                lines = (f"{item.variant}: tensor {name}", *difference.lines())
                what = f"a variant differs in {layer.OP_TYPE}"
                _note(front, what, "\n".join(lines), target, layer=layer.name)
                return


def relate(front: Front, targets: Sequence[Target]) -> None:
    """Bytes that may not change, and one relation, for the share of seeds that have their turn."""
    subject, seed = front.subject, front.recipe.seed
    if subject is None or front.judged is not None:
        return
    if seed % BYTES_EVERY == 1:
        with _watched(front, "bytes"):
            why = why_unstable(subject.graph, seed)
            if why is not None:
                _note(front, "other bytes of the same Graph", why)
    if seed % RELATION_EVERY == 2:
        with _watched(front, "relation"):
            _relation(front, targets)


@contextmanager
def _watched(front: Front, stage: str) -> Iterator[None]:
    """Timed; an exception is a finding, but where the target cannot be used."""
    try:
        with front.timed(stage):
            yield
    except ToolchainError:
        raise
    except Exception as error:  # noqa: BLE001 - what a drawn model raises is a finding, with its traceback
        text = "".join(traceback.format_exception(error))
        _note(front, f"{stage}: {type(error).__name__}", text)


def _relation(front: Front, targets: Sequence[Target]) -> None:
    seed = front.recipe.seed
    try:
        related = changed(front.recipe, seed)
    except (Unrelated, RecipeError):
        return  # nothing to compare: the relation drawn is of other models, or what it would make is no model
    checked = check(related, seed, targets)
    if checked.difference:
        _note(front, f"relation {checked.relation}", checked.difference)


def _note(front: Front, what: str, message: str, target: str = "", layer: str = "") -> None:
    seed = front.recipe.seed
    text = f"{message}\nto repeat it: {command(seed, target)}"
    front.found(Finding(seed, f"crosscheck: {what}", "crosscheck", text, layer, target))
