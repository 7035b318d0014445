"""What became of networks that people really have: `docs/models.json`, from which `docs/models.md` is made.

The summary is written by `tools/record_models.py` from a run of every network of `tests/models`, never by hand. This
module knows only its form.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ares.documents.markdown import document, not_recorded

PATH = "docs/models.md"
SUMMARY = "docs/models.json"

EXACT = "EXACT"
_GROUPS = {
    "torchvision": "torchvision, by Brevitas' graph mode",
    "brevitas_examples.bnn_pynq": "Brevitas' examples: bnn_pynq",
    "brevitas_examples.imagenet_classification": "Brevitas' examples: imagenet_classification",
    "brevitas_examples.super_resolution": "Brevitas' examples: super_resolution",
    "brevitas_examples.text_to_speech": "Brevitas' examples: text_to_speech",
    "written": "Written for the purpose, in the idiom of what is published",
}
_HEADER = (
    "| network | input | layers | verdict | pictures | equal codes | same class (itself) | apart (itself) "
    "| build s | check s | verify s | processor s | MiB | tools MiB |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
)


def content(root: Path, _current: str) -> str:
    """The page."""
    return models_page(read_summary(root))


def read_summary(root: Path) -> Mapping[str, Any]:
    """What is known, nothing where no network was judged yet."""
    path = root / SUMMARY
    if not path.exists():
        return {"date": "", "versions": {}, "targets": [], "models": [], "absent": []}
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def models_page(summary: Mapping[str, Any]) -> str:
    """The page of a summary."""
    return document(
        "Networks that people have", [*_introduction(summary), *_groups(summary["models"])]
    )


def _introduction(summary: Mapping[str, Any]) -> Sequence[str]:
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    return (
        f"{_count(summary['models'])} Recorded on {summary['date']} with {versions}.",
        *not_recorded(summary.get("absent", ())),
        "",
        "    python tools/record_models.py mobilenet_v2 tfc_2w2a    judges these two again",
        "    python tools/record_models.py                          judges all, in an hour or two",
        "",
        "Weights are random with a fixed seed; BatchNorm has drawn gammas (some negative) and measured statistics;",
        "scales come from calibration (torchvision) or forward passes in training mode (Brevitas' examples, whose",
        "gammas are at least 0.5, so that no channel is dead; and what was written for the purpose). The builders are",
        "in `tests/models`. `+advice`: the same network after what `ares check` advises for it was done, as said below",
        "the table; for shufflenet_v2, which Brevitas itself cannot run, after our way round that.",
        "",
        f"EXACT: on {', '.join(f'`{name}`' for name in summary['targets'])}, in every case (pictures, a random and an",
        "edge case), every layer's integers are the ones that the model means, and the witness agrees.",
        "",
        "The columns after it compare whole networks, nothing corrected on the way, over the pictures. `equal codes`:",
        "share of codes of the last quantised tensor that the C and the Brevitas model in float64 have in common.",
        "`same class`, `apart`: the C against the Brevitas model as PyTorch runs it, in binary32: share of pictures",
        "with the same largest output, and mean distance of the outputs relative to the largest. In brackets the same",
        "for the Brevitas model itself, float64 against binary32: what rounding alone does to such a network. Deep",
        "ones with random weights are chaotic: one code on the other side of a tie changes many that follow. Trained",
        "ones are in [fidelity.md](fidelity.md).",
        "",
        "Seconds by the clock, beside other work on the same two cores: to build and calibrate, to check, to verify on",
        "all targets; processor seconds: of all of it. Peak memory: of the process that does it, and of the largest",
        "tool that it starts (a compiler).",
    )


def _groups(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for group, title in _GROUPS.items():
        own = [row for row in rows if row["group"] == group]
        yield from ("", f"## {title}", "", *_HEADER, *(_row(row) for row in own))
        if any(_noted(row) for row in own):
            yield from ("", *_notes(own))


def _count(rows: Sequence[Mapping[str, Any]]) -> str:
    verdicts = Counter(row["verdict"] for row in rows)
    parts = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
    return f"{len(rows)} rows: {parts}."


def _row(row: Mapping[str, Any]) -> str:
    seconds = row["seconds"]
    cells = [
        f"`{row['name']}`",
        "x".join(str(size) for size in row["shape"]),
        str(row.get("operations", row.get("layers", ""))),
        row["verdict"],
        *_agreement(row.get("agreement")),
        *(str(seconds[part]) if part in seconds else "" for part in ("build", "check", "verify")),
        str(row["processor_seconds"]),
        *(str(peak) if peak else "" for peak in row["peak_mib"]),
    ]
    return f"| {' | '.join(cells)} |"


def _agreement(facts: Mapping[str, Any] | None) -> tuple[str, str, str, str]:
    if facts is None:
        return "", "", "", ""
    classes = ""
    if "same_class" in facts:
        classes = f"{_percent(facts['same_class'])} ({_percent(facts['class_itself'])})"
    return (
        str(facts["pictures"]),
        _percent(facts["equal_codes"]),
        classes,
        f"{100 * facts['apart']:.2g} % ({100 * facts['itself']:.2g} %)",
    )


def _noted(row: Mapping[str, Any]) -> bool:
    return bool(row["advice"] or row["reasons"])


def _notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Why a network is not exact, and what was changed of one."""
    for row in rows:
        if not _noted(row):
            continue
        yield f"- `{row['name']}`: {row['advice'] or row['verdict']}"
        for reason in row["reasons"]:
            yield f"  - {_reason(reason)}"


def _reason(reason: Mapping[str, Any]) -> str:
    place = f"`{reason['layer']}` ({reason['type']}): " if reason["layer"] else ""
    more = f" ({reason['count']} such)" if reason["count"] > 1 else ""
    advice = f"; advice: {reason['advice']}" if reason["advice"] else ""
    # Messages have a line for each fact.
    return f"{place}{'; '.join(reason['reason'].splitlines())}{more}{advice}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
