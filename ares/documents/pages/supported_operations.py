"""`docs/supported_operations.md`: a row an operation and a composite, and the networks that show it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ares.documents.manifests import composites, read_manifests, stems
from ares.documents.markdown import document, eps
from ares.ops import COMPOSITES, KernelOperation, operations

PATH = "docs/supported_operations.md"
_HEADER = (
    "| layer type | Python class | OpType | formula | eps | networks |",
    "|---|---|---|---|---|---|",
)
_INTRODUCTION = (
    "One row per operation of `ares/ops`, in the order of its files. `eps`: how far a code may lie from the real",
    "value beyond half a step, in output codes (`docs/numerics.md`); measured values are in",
    "[deviations.md](deviations.md). Networks: those of the zoo whose goldens hold such a layer.",
    "",
)


def content(root: Path, _current: str) -> str:
    """The page."""
    manifests = read_manifests(root)
    return document(
        "Supported operations",
        [
            *_INTRODUCTION,
            *_HEADER,
            *_operations(manifests),
            "",
            "Composites are one layer with one descriptor; their stages are operations of the table above, each judged",
            "and compared on its own.",
            "",
            *_HEADER,
            *_composites(manifests),
        ],
    )


def _operations(manifests: Mapping[str, Any]) -> Iterator[str]:
    for stem, operation in operations().items():
        users = [name for name, manifest in manifests.items() if stem in stems(manifest)]
        yield (
            f"| `{operation.LAYER_TYPE}` | `{operation.PYTHON_CLASS}` | `{operation.OP_TYPE}` "
            f"| {_formula(operation)} | {eps(operation.EPS)} | {_networks(users)} |"
        )


def _composites(manifests: Mapping[str, Any]) -> Iterator[str]:
    for kind in COMPOSITES:
        users = [
            name for name, manifest in manifests.items() if kind.op_type in composites(manifest)
        ]
        classes = ", ".join(f"`{name}`" for name in kind.python_classes)
        yield (
            f"| `{kind.layer_type}` | {classes} | `{kind.op_type}` | {kind.formula} | its stages' "
            f"| {_networks(users)} |"
        )


def _formula(operation: type[KernelOperation]) -> str:
    """The first line of the class docstring, safe inside a table."""
    first = (inspect.getdoc(operation) or "").split("\n\n")[0]
    return " ".join(first.split()).replace("|", "\\|")


def _networks(users: Sequence[str]) -> str:
    if not users:
        return "none"
    shown = ", ".join(re.sub(r"^test_(\d+)_.*", r"\1", name) for name in users)
    return f"test {shown}"
