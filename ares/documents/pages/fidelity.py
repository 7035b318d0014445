"""`docs/fidelity.md`: whole networks in C against whole networks in Brevitas, nothing corrected on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ares.documents.manifests import accuracies, read_manifests
from ares.documents.markdown import document
from ares.golden.cases import EDGE, RANDOM, REALISTIC

PATH = "docs/fidelity.md"
_INTRODUCTION = (
    "What the C computes from end to end, against the Brevitas model in float64 from end to end, over all cases",
    "of the golden. Nothing is corrected on the way: single codes may fall on the other side of a tie, and the",
    "difference may grow from layer to layer. `codes`: the last tensor of codes of each output; `equal`: the share",
    "that is the same, in all cases and in each (inputs of the edge case lie on the ties of the input quantiser,",
    "which binary32 and float64 round differently); `largest`: the largest difference in codes. For networks that",
    "end in binary32 logits: the largest error relative to the largest logit, and the share of cases with the same",
    "class. Accuracies of the trained networks: [zoo.md](zoo.md). That every single layer is right is the",
    "witness's business: [deviations.md](deviations.md).",
    "",
    "| network | codes | equal | realistic | random | edge | largest | logits | same class | accuracy Brevitas "
    "| accuracy C |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def content(root: Path, _current: str) -> str:
    """The page."""
    return document("Fidelity", [*_INTRODUCTION, *_networks(root)])


def _networks(root: Path) -> Iterator[str]:
    for name, manifest in read_manifests(root).items():
        facts = manifest["provenance"].get("fidelity")
        if facts is None:
            continue
        logits = f"{facts['outputs']:.1e}" if "outputs" in facts else ""
        same = f"{100 * facts['same_class']:.0f} %" if "same_class" in facts else ""
        _, brevitas, c, _ = accuracies(manifest)
        cases = (_percent(facts["equal_by_case"][case]) for case in (REALISTIC, RANDOM, EDGE))
        yield (
            f"| `{name}` | {facts['codes']} | {_percent(facts['equal'])} "
            f"| {' | '.join(cases)} | {facts['largest']} "
            f"| {logits} | {same} | {brevitas} | {c} |"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
