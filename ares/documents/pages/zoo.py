"""`docs/zoo.md`: the networks, their operations, and how well the trained ones are trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ares.documents.manifests import accuracies, read_manifests
from ares.documents.markdown import document

PATH = "docs/zoo.md"
_INTRODUCTION = (
    "Held-out accuracy on scikit-learn's handwritten digits, for the networks that are trained: with all",
    "quantisers off (float), as Brevitas computes it, and as the generated C does on every held-out sample.",
    "The other networks have counter-based weights and calibrated scales.",
    "",
    "| network | layers | operations | float | Brevitas | C | samples |",
    "|---|---|---|---|---|---|---|",
)


def content(root: Path, _current: str) -> str:
    """The page."""
    return document("The zoo", [*_INTRODUCTION, *_networks(root)])


def _networks(root: Path) -> Iterator[str]:
    for name, manifest in read_manifests(root).items():
        layers = manifest["cases"][0]["layers"]
        kinds = sorted({str(layer["op_type"]).removeprefix("OP_") for layer in layers})
        yield (
            f"| `{name}` | {len(layers)} | {', '.join(kinds)} | {' | '.join(accuracies(manifest))} |"
        )
