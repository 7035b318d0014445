"""`docs/fidelity.md`: whole networks in C against whole networks in Brevitas, nothing corrected on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ares.documents.float32_record import read_record
from ares.documents.manifests import accuracies, read_manifests
from ares.documents.markdown import document
from ares.golden.cases import EDGE, RANDOM, REALISTIC

PATH = "docs/fidelity.md"
_FLOAT32 = (
    "The C computes from end to end what the Brevitas model means; here it is compared with the model as people run",
    "it, in float32, from end to end, over all cases of the golden. Nothing is corrected on the way. Two",
    "computations that round differently part ways where a value lies on the tie between two codes, or so near that",
    "float32 cannot tell; what follows in the layers behind is the consequence of that one code. Every code that",
    "differs is followed back to where it began: an element all of whose inputs agree. There the value that the",
    "float64 model means, from the same codes, must lie no farther from the tie than float32 may have rounded in",
    "that layer: a running error analysis of its functions, nothing fitted (`ares/witness_rounding.py`). What no",
    "tie explains fails the network (`ares verify` and `ares networks`, stage `torch`).",
    "",
    "`codes`: the last tensor of codes of each output; `differ`: how many of them are others in the float32 run;",
    "`ties` and `layers`: where the run and the integers part ways, in all layers of the network; `farthest`: of",
    "these, the largest distance from the tie, in codes, and beside it what that layer's rounding explains. Within",
    "a composite (attention, Mamba) every quantiser is judged, softmax and norms as part of the layer that ends in",
    "the next one. Binary32 outputs that no difference reaches must be the run's own to what float32 rounds.",
    "Recorded by `python tools/record_fidelity.py`: how many ties there are depends on the order in which a machine",
    "adds.",
    "",
    "| network | codes | differ | ties | layers | farthest | explained up to | unexplained |",
    "|---|---|---|---|---|---|---|---|",
)
_FLOAT64 = (
    "",
    "## Against float64",
    "",
    "The same against the Brevitas model in float64 from end to end, over all cases of the golden. Here, too,",
    "nothing is corrected on the way: single codes may fall on the other side of a tie, and the difference may grow",
    "from layer to layer. `codes`: the last tensor of codes of each output; `equal`: the share that is the same, in",
    "all cases and in each (inputs of the edge case lie on the ties of the input quantiser, which binary32 and",
    "float64 round differently); `largest`: the largest difference in codes. For networks that end in binary32",
    "logits: the largest error relative to the largest logit, and the share of cases with the same class.",
    "Accuracies of the trained networks: [zoo.md](zoo.md). That every single layer is right is the witness's",
    "business: [deviations.md](deviations.md).",
    "",
    "| network | codes | equal | realistic | random | edge | largest | logits | same class | accuracy Brevitas "
    "| accuracy C |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def content(root: Path, _current: str) -> str:
    """The page."""
    return document("Fidelity", [*_FLOAT32, *_against_float32(root), *_FLOAT64, *_networks(root)])


def _against_float32(root: Path) -> Iterator[str]:
    record = read_record(root)
    for name in read_manifests(root):
        facts = record.get(name)
        if facts is None:
            yield f"| `{name}` | not recorded yet | | | | | | |"
            continue
        near = ("distance", "allowed")
        distance, allowed = (f"{facts[key]:.1e}" if key in facts else "" for key in near)
        yield (
            f"| `{name}` | {facts['codes']} | {facts['differing']} | {facts['ties']} | {facts['layers']} "
            f"| {distance} | {allowed} | {facts['unexplained']} |"
        )


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
