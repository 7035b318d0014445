"""`docs/deviations.md`: each operation's eps beside the largest deviation that the witness has seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ares.documents.manifests import largest_deviations, read_manifests
from ares.documents.markdown import document, eps
from ares.ops import operations

PATH = "docs/deviations.md"

# eps of the exact int8 path: nobody asks for less, so it need not be within ten times of what is seen.
EPS_FLOOR = 2.0**-20
TIGHTNESS = 10.0
_INTRODUCTION = (
    "The torch witness judges every code of every golden: |code - clamp(r)| <= 0.5 + eps, with r computed in",
    "float64 from the golden codes of the layer before. `largest seen` is the largest excess over 0.5 in any",
    "golden (0: no element came that close to a tie), in output codes; for binary32 outputs the largest error",
    f"relative to the element's own |value| + |bias|. eps above {eps(EPS_FLOOR)} must be within {TIGHTNESS:.0f} times",
    "of what was seen (`tests/documents/test_pages.py`).",
    "",
    "| operation | OpType | eps | largest seen | in |",
    "|---|---|---|---|---|",
)


def content(root: Path, _current: str) -> str:
    """The page."""
    return document(
        "How far codes lie from what the model means", [*_INTRODUCTION, *_operations(root)]
    )


def _operations(root: Path) -> Iterator[str]:
    worst = largest_deviations(read_manifests(root))
    for stem, operation in operations().items():
        seen, network = worst.get(stem, (0.0, ""))
        yield f"| `{stem}` | `{operation.OP_TYPE}` | {eps(operation.EPS)} | {seen:.1e} | {network or '-'} |"
