"""Composites: modules of `ares.nn` and Brevitas that are one layer to the user, whatever operations they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from ares.ir import Composite, GraphError
from ares.ir.names import ROOT, carried
from ares.ops import COMPOSITES, CompositeKind, KernelOperation

_CLASSES = frozenset(name for kind in COMPOSITES for name in kind.classes)


def composite_kind(module: nn.Module) -> CompositeKind | None:
    """The kind of a module whose class, or a base of it, is a composite."""
    bases = type(module).__mro__
    if _CLASSES.isdisjoint(cls.__name__ for cls in bases):
        return None
    return next((kind for kind in COMPOSITES if any(_is_of(kind, cls) for cls in bases)), None)


def _is_of(kind: CompositeKind, cls: type) -> bool:
    return cls.__name__ in kind.classes and f"{cls.__module__}.".startswith(f"{kind.package}.")


def composite_roots(modules: Mapping[str, nn.Module]) -> dict[str, CompositeKind]:
    """Path -> kind of the outermost composites; what is inside one of them is part of it."""
    roots: dict[str, CompositeKind] = {}
    for path, module in modules.items():
        kind = composite_kind(module)
        if kind is not None and root_of(path, roots) is None:
            roots[path] = kind
    return roots


def root_of(path: str, roots: Iterable[str]) -> str | None:
    """The composite that a module path lies in."""
    return next((root for root in roots if not root or f"{path}.".startswith(f"{root}.")), None)


def gather(
    operations: Sequence[KernelOperation], roots: Mapping[str, CompositeKind]
) -> tuple[tuple[Composite, ...], tuple[KernelOperation, ...]]:
    """The composites among operations in execution order, and the operations with each composite's together.

    An operation of another layer that stands between those of a composite (it waited for its quantiser) moves
    before it. A composite that is called again is another layer, `name#1`; one of whose operations some are called
    once was called once, however often it calls a function.
    """
    order = list(operations)
    inside: dict[str, list[KernelOperation]] = {}
    for operation in operations:
        root = root_of(operation.path, roots)
        if root is not None:
            inside.setdefault(root, []).append(operation)
    members: dict[tuple[str, str], list[KernelOperation]] = {}
    for root, own in inside.items():
        calls = Counter(operation.path for operation in own)
        for operation in own:
            call = operation.name.partition("#")[2] if min(calls.values()) > 1 else ""
            members.setdefault((root, call), []).append(operation)
    composites = []
    for (root, call), own in members.items():
        name = (carried(root) or ROOT) + (f"#{call}" if call else "")
        kind = roots[root]
        _put_together(name, order, own)
        names = tuple(operation.name for operation in own)
        composites.append(Composite(name, kind.op_type, kind.layer_type, names))
    return tuple(composites), tuple(order)


def _put_together(name: str, order: list[KernelOperation], inside: list[KernelOperation]) -> None:
    start, end = order.index(inside[0]), order.index(inside[-1]) + 1
    between = [operation for operation in order[start:end] if operation not in inside]
    made = {tensor for operation in inside for tensor in operation.outputs}
    for operation in between:
        if made.intersection(operation.inputs):
            raise GraphError(
                f"{name}: {operation.name} uses a value inside it before it has ended; quantise what it returns"
            )
    order[start:end] = [*between, *inside]
