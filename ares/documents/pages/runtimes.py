"""`docs/runtimes.md`: what other runtimes compute of the networks of the zoo, layer by layer and as deployed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ares.documents.markdown import document
from ares.evidence import read_record

PATH = "docs/runtimes.md"
_INTRODUCTION = (
    "The same network, deployed by others: every network of the zoo is written as an ONNX file of its codes",
    "(`ares export --format onnx`: integer weights, scales and zero points as they are), run in each runtime, and",
    "compared with the golden integers. `ares compare MODEL` does it for yours.",
    "",
    "- *Layer by layer*: each layer is a file of its own, from codes to codes, fed with golden codes. Nothing",
    "  travels, and no probe changes what a runtime fuses.",
    "- *As deployed*: the whole network, its outputs alone. Outputs in reals are equal where binary32 that sums in",
    "  another order could give them.",
    "",
    "A layer differs where a single code of the golden cases does. Who is right is asked of the file's own meaning,",
    "evaluated in float64 by code that shares nothing with what wrote it (`ares/witness_onnx.py`): beside each runtime",
    "stands how far its codes lie from the real value, beyond half a step, and how far ours do.",
    "`cannot be said`: layers that ONNX has no words for.",
    "",
    "One thing ONNX says of every quantiser is not what Brevitas means: QuantizeLinear adds the zero point after",
    "rounding, half to even. Where it is odd, exact ties go to the other code; such layers are named with that cause.",
)
_CAUSES = (
    "",
    "## Causes",
    "",
    "A cause is named where a rule gives every code that a layer gave, in all cases: saturating pairs of products are",
    "computed anew in integers; binary32 explains differences of one code where the real value lies next to a tie.",
    "",
    "| runtime | cause | layers |",
    "|---|---|---|",
)
_LAYERS = (
    "",
    "## Layer by layer",
    "",
    "Of the layers that the format can say, those that differ; of all codes of these layers, the share that differs;",
    "the largest difference, in codes (of binary32 outputs in their own unit); the first layer that differs.",
    "",
)
_DEPLOYED = (
    "",
    "## As deployed",
    "",
    "Of the network's outputs, those that differ and by how much.",
    "",
)
_VECTORS = (
    "",
    "## Torture vectors",
    "",
    "The cases of [vectors](../vectors/README.md), each of one operation and for one class of fault, as ONNX models:",
    "`shown`: the runtime gives what that fault gives; `wrong`: something else. Classes without a row are right in all",
    "cases.",
    "",
    "| runtime | operation and class | right | shown | wrong | failed |",
    "|---|---|---|---|---|---|",
)
_COLUMNS = (
    *("runtime", "what", "networks equal", "layers equal", "differ", "failed", "cannot be said"),
    *("theirs", "ours"),
)
_NOT_RECORDED = "\nNot recorded yet: `python tools/record_runtimes.py`."


def content(root: Path, _current: str) -> str:
    """The page."""
    record = read_record(root, "runtimes")
    if record is None:
        return document("Other runtimes", [*_INTRODUCTION, _NOT_RECORDED])
    lines = [*_INTRODUCTION, "", *_machine(record), *_CAUSES, *_causes(record)]
    lines += [*_VECTORS, *_of_vectors(record)]
    lines += [*_LAYERS, *_table(record, _layers), *_DEPLOYED, *_table(record, _deployed)]
    return document("Other runtimes", lines)


def _machine(record: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"Recorded on {record['date']} by `{record['command']}` on a processor with {record['processor']} "
        "micro-kernels; what a runtime gives may depend on it."
    )
    yield ""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    for runtime, what in record["runtimes"].items():
        found = [network[runtime] for network in record["networks"].values()]
        counts: Counter[str] = Counter()
        for each in found:
            counts.update({key: each["layers"].get(key, 0) for key in _VERDICTS})
        equal = sum(_is_equal(each["layers"]) and _is_equal(each["deployed"]) for each in found)
        theirs, ours = (max(each[who] for each in found) for who in ("theirs", "ours"))
        numbers = " | ".join(str(counts[key]) for key in _VERDICTS)
        yield f"| `{runtime}` | {what} | {equal} of {len(found)} | {numbers} | {theirs:.3g} | {ours:.3g} |"


_VERDICTS = ("equal", "differs", "failed", "unsaid")


def _is_equal(counts: Mapping[str, Any]) -> bool:
    return not counts.get("differs") and not counts.get("failed") and bool(counts.get("equal"))


def _causes(record: Mapping[str, Any]) -> Iterator[str]:
    for runtime in record["runtimes"]:
        total: Counter[str] = Counter()
        for network in record["networks"].values():
            for cause, count in network[runtime]["causes"].items():
                total[cause.partition(":")[0]] += count
        for cause, count in total.most_common():
            yield f"| `{runtime}` | {cause} | {count} |"


def _of_vectors(record: Mapping[str, Any]) -> Iterator[str]:
    for runtime, classes in record.get("vectors", {}).items():
        for name, counts in classes.items():
            numbers = " | ".join(
                str(counts.get(what, 0)) for what in ("right", "shown", "wrong", "failed")
            )
            yield f"| `{runtime}` | {name} | {numbers} |"


def _table(record: Mapping[str, Any], cell: Any) -> Iterator[str]:
    runtimes = list(record["runtimes"])
    yield f"| network | {' | '.join(f'`{each}`' for each in runtimes)} |"
    yield "|---" * (1 + len(runtimes)) + "|"
    for name, found in record["networks"].items():
        yield f"| `{name}` | {' | '.join(cell(found[runtime]) for runtime in runtimes)} |"


def _layers(found: Mapping[str, Any]) -> str:
    counts = found["layers"]
    said = sum(counts.get(key, 0) for key in ("equal", "differs", "failed"))
    words = f"{counts.get('differs', 0)} of {said}"
    if counts.get("differs"):
        share = 100 * counts["differing"] / counts["codes"]
        words += f": {share:.2g} %, by {counts['largest']:.3g}, from `{found['first']}`"
    if counts.get("failed"):
        words += f"; {counts['failed']} failed ({found['failed'][0]})"
    if counts.get("unsaid"):
        words += f"; {counts['unsaid']} cannot be said"
    return words.replace("|", "\\|")


def _deployed(found: Mapping[str, Any]) -> str:
    counts = found["deployed"]
    if counts.get("differs"):
        share = 100 * counts["differing"] / counts["codes"]
        return f"{share:.2g} % differ, by {counts['largest']:.3g}"
    if counts.get("equal"):
        return "equal"
    return str(found["why"] or "failed").replace("|", "\\|")
