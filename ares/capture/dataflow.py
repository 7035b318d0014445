"""Records of a captured forward pass: nodes, edges and what is wrong with them.

Everything here is frozen. A `Node` holds torch objects (modules, constants, dtypes) and is compared
by identity; its `key` is what is stable between two captures of one model.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from brevitas.quant_tensor import QuantTensor
from torch import nn

PROBLEM_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "training": "call model.eval() after the last change of the model",
        "data_dependent": "compute with tensor operations only, or decide in __init__",
        "random": "remove it from the inference path, or draw it once in __init__",
        "inplace_view": "write the operation out of place: y = x + 1 for x += 1",
        "inplace_state": "do not write to parameters or buffers in forward",
        "unknown_origin": "register it (register_buffer, nn.ModuleList), or compute it with torch functions",
        "made_in_forward": "register it in __init__, else it has no trained weights and no calibrated scale",
        "unregistered": "use an nn.ModuleList or nn.ModuleDict, else it is neither saved nor calibrated with the model",
        "bypassed_leaf": "call the layer itself: layer(x)",
        "autocast": "remove torch.autocast from forward, or from around the call: what float32 does is mapped",
        "reduced_precision": "compute in float32: remove .half(), .bfloat16() and their like",
        "type_dependent": "make forward do the same for every type of real numbers: do not ask for x.dtype",
        "unsupported_output": "return tensors, alone or in tuples, lists and dicts",
        "changed_structure": "make forward do the same operations for every input",
    }
)
"""Every `Problem.kind`, with what its author can change."""

LESS_PRECISE = ("autocast", "reduced_precision")
"""Kinds of problems by which the model computes with fewer digits than float32."""

_WIDER = {torch.float32: torch.float64, torch.complex64: torch.complex128}
_ROUNDED = 2.0**-12
"""Numbers that forward computed from parameters on its way to Python: float32 has 24 bits, the next type 11."""


class CaptureError(Exception):
    """The model's forward raised; the message names the innermost module and the exception."""


@dataclass(frozen=True, slots=True)
class Ref:
    """An edge: output `index` of the node whose key is `node`."""

    node: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor that a node produced.

    quantized: the node returned it, or a later call or the output took it, as a Brevitas QuantTensor.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    quantized: bool


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One call, input or constant of the forward pass.

    key: unique, the same in every capture of the model: `input:0`; path and call number of a module
        (`layer1.conv#0`); scope, function and number (`layer1:add#0`, `:add#0` in the model
        itself; `~` for `#` marks arithmetic on scales inside Brevitas' QuantTensor, so that it does
        not shift the numbers of the model's own calls); `constant:pos_embed`.
    scope: path of the non-leaf module that was executing, "" for the model itself; of a module node
        its own path, of a constant where it was used first.
    scopes: paths of the enclosing non-leaf modules, outermost (always "") first.
    module, path: the leaf and its first name in `named_modules`; `path` of a constant is the name
        of the parameter, buffer or attribute, else "".
    function: name after `functions.NAMES`, "" for other kinds.
    args, kwargs: as passed, with a `Ref` for every tensor, at any depth of tuples, lists, dicts and
        slices.
    outputs: the tensors of the result, flattened in order; `Ref.index` counts them. In-place
        functions, `__setitem__` included, have the changed tensor as output.
    tensor: the value of a constant, and of a function that depends on no input; else None.
    """

    key: str
    kind: Literal["input", "module", "function", "constant"]
    scope: str
    scopes: tuple[str, ...]
    module: nn.Module | None
    path: str
    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Output, ...]
    tensor: torch.Tensor | None

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The edges into this node, in the order of `args`, then `kwargs`."""
        return tuple(item for _, item in flatten((self.args, self.kwargs)) if isinstance(item, Ref))


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of the model: something by which the recorded nodes are not all of `forward`.

    node: key of the node concerned, None if there is none; where: path of the module; kind: a key
    of `PROBLEM_KINDS`; message: what was found; suggestion: what to change.
    """

    node: str | None
    where: str
    kind: str
    message: str
    suggestion: str


@dataclass(frozen=True, slots=True, eq=False)
class Dataflow:
    """What one forward pass did.

    nodes: in execution order. Functions that no output and no module needs are left out.
    inputs, outputs: the model's; `output_names` are "0", "1" or dict keys, nested ones "a.0".
    dead: keys of the calls among `nodes` that no output needs: leaf modules whose result is unused,
        and what only they consume.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    output_names: tuple[str, ...]
    problems: tuple[Problem, ...]
    dead: tuple[str, ...]

    def node(self, key: str) -> Node:
        """The node of that key; KeyError names the nearest keys."""
        for node in self.nodes:
            if node.key == key:
                return node
        near = difflib.get_close_matches(key, [node.key for node in self.nodes])
        raise KeyError(f"no node {key!r}; nearest: {near}")


_SINGLE = frozenset((Ref, torch.Tensor, torch.Size, bool, int, float, str, type(None)))
"""Most of what there is in containers, and none itself."""


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every item of nested tuples, lists, dicts and slices, with its dotted name.

    A QuantTensor, although a tuple, and a torch.Size are single items.
    """
    if isinstance(value, Mapping):
        entries = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, slice):
        entries = list(zip(("0", "1", "2"), (value.start, value.stop, value.step), strict=True))
    elif isinstance(value, list) or (
        isinstance(value, tuple) and not isinstance(value, torch.Size | QuantTensor)
    ):
        entries = [(str(place), item) for place, item in enumerate(value)]
    else:
        yield name, value
        return
    for key, item in entries:
        path = f"{name}.{key}" if name else key
        if type(item) in _SINGLE:
            yield path, item
        else:
            yield from flatten(item, path)


def structural_changes(first: Dataflow, second: Dataflow) -> tuple[Problem, ...]:
    """Where two captures of one model, on inputs of the same shapes, did not do the same.

    Finds what a single run cannot show: forward depending on a counter, on Python's or numpy's
    random numbers, on values that left torch unseen. Reports the first node that differs.
    """
    for index in range(max(len(first.nodes), len(second.nodes))):
        ours, theirs = (flow.nodes[index : index + 1] for flow in (first, second))
        if [_signature(node) for node in ours] != [_signature(node) for node in theirs]:
            node = (ours or theirs)[0]
            found = " and then ".join(
                nodes[0].key if nodes else "nothing" for nodes in (ours, theirs)
            )
            message = f"two runs of forward differ first at step {index}: {found}"
            return (problem("changed_structure", node.key, node.scope, message),)
    if (first.outputs, first.output_names) != (second.outputs, second.output_names):
        return (problem("changed_structure", None, "", "two runs return different outputs"),)
    return ()


def type_changes(single: Dataflow, double: Dataflow) -> tuple[Problem, ...]:
    """Where the float32 model, as people run it, does something else than its float64 copy, which is judged.

    Finds what asks for `x.dtype`. The first node that differs: another call, another type of its result than float32
    for float64, other arguments. Numbers are the same where they differ by less than half of float32's digits, and
    where float32 ends before float64 does: `torch.finfo(x.dtype).min` is the lowest number in both. Nothing is said of
    a model that computes with fewer digits than float32, which is its fault already.
    """
    if any(found.kind in LESS_PRECISE for found in single.problems):
        return ()
    for index in range(max(len(single.nodes), len(double.nodes))):
        ours, theirs = (flow.nodes[index : index + 1] for flow in (single, double))
        found = _type_change(ours[0], theirs[0]) if ours and theirs else _steps(ours, theirs)
        if found:
            node = (ours or theirs)[0]
            message = f"float32 and float64 differ first at step {index}: {found}"
            return (problem("type_dependent", node.key, node.scope, message),)
    if (single.outputs, single.output_names) != (double.outputs, double.output_names):
        return (
            problem("type_dependent", None, "", "float32 and float64 return different outputs"),
        )
    return ()


def _type_change(single: Node, double: Node) -> str:
    """What differs between a node of the float32 model and that of its float64 copy, "" if nothing."""
    if (single.key, single.function) != (double.key, double.function):
        return _steps((single,), (double,))
    pair = single.outputs, double.outputs
    if len(pair[0]) != len(pair[1]):
        return f"{single.key} gives {len(pair[0])} and {len(pair[1])} tensors"
    for one, two in zip(*pair, strict=True):
        if one.dtype != two.dtype and _WIDER.get(one.dtype) != two.dtype:
            return (
                f"{single.key} gives {_name(one.dtype)} in float32, {_name(two.dtype)} in float64"
            )
        if (one.shape, one.quantized) != (two.shape, two.quantized):
            return f"{single.key} gives {list(one.shape)} and {list(two.shape)}"
    arguments = [list(flatten((node.args, node.kwargs))) for node in (single, double)]
    if len(arguments[0]) != len(arguments[1]):
        return f"{single.key} is given other arguments"
    for (name, one), (other, two) in zip(*arguments, strict=True):
        if name != other or not _same_argument(one, two):
            return f"{single.key} is given {one!r} and {two!r}"
    return ""


def _steps(single: Sequence[Node], double: Sequence[Node]) -> str:
    keys = (nodes[0].key if nodes else "nothing" for nodes in (single, double))
    return " and ".join(keys)


def _same_argument(single: object, double: object) -> bool:
    if isinstance(double, torch.dtype) and (single is None or isinstance(single, torch.dtype)):
        # None: torch.get_default_dtype(), which the capture in float64 names.
        ours = torch.float32 if single is None else single
        return ours == double or _WIDER.get(ours) == double
    if isinstance(single, float) and isinstance(double, float):
        largest = torch.finfo(torch.float32).max
        held = double if math.isinf(double) else min(max(double, -largest), largest)
        return (
            single == held
            or abs(single - held) <= _ROUNDED * abs(single)
            or (math.isnan(single) and math.isnan(held))
        )
    # repr, since arguments may be arrays, whose == is not a truth value
    return repr(single) == repr(double)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def problem(kind: str, node: str | None, where: str, message: str) -> Problem:
    """A Problem with the suggestion of its kind."""
    return Problem(node, where, kind, message, PROBLEM_KINDS[kind])


def _signature(node: Node) -> tuple[object, ...]:
    # repr, since arguments may be arrays, whose == is not a truth value
    return (node.key, node.function, node.outputs, repr(node.args), repr(node.kwargs))
