"""A Verification for people: what is wrong first, then every layer and stage, one line that says it all last.

What a command shows on a terminal and what a record shows in a notebook are the same `parts`; `text` and `plain` make
lines without colours of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ares.tables import Column, fitting_table, plain
from ares.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from ares.verifier.verification import LayerLine, Verification

_UNCUT = 400  # columns: a table is as wide as it needs to be


def parts(
    result: Verification, kept: Path | None = None, width: int = _UNCUT
) -> Iterator[Text | Table]:
    """All of it: texts, and the table of layers. A text that is `no_wrap` holds commands: it is to be broken nowhere.

    `kept`: the folder that repeats the failure, where one was written. `width`: columns of the terminal.
    """
    cases = f", cases: {_listed(result.cases)}" if result.cases else ""
    yield Text(f"{result.network}: {result.model}, inputs: {result.inputs}{cases}")
    for verdict in result.matrix.failures:
        yield Text(f"--- {verdict.stage}: {verdict.fault}", "red")
        yield Text(verdict.message, no_wrap=True)
    if result.layers:
        yield _table(result, width)
    for verdict in result.matrix.verdicts:
        yield Text.from_markup(_stage(verdict))
    for name, facts in result.matrix.patterns.items():
        yield Text(f"{name}: only targets that are {', '.join(facts)} fail", "red")
    for warning in result.warnings:
        yield Text(f"warning: with the given inputs {warning}: they show little of it", "yellow")
    for note in result.notes:
        yield Text(note, "yellow")
    if result.float32 is not None:
        yield Text(str(result.float32), "red" if result.float32.unexplained else "")
    if kept is not None:
        yield Text(
            f"to repeat it without ARES: sh {quote(str(kept / 'reproduce.sh'))}",
            "red",
            no_wrap=True,
        )
    yield Text(result.summary, f"bold {'green' if result.passed else 'red'}")


def text(result: Verification, kept: Path | None = None) -> str:
    """The parts as the command writes them to a file."""
    shown = (
        part.plain if isinstance(part, Text) else plain(part, _UNCUT)
        for part in parts(result, kept)
    )
    return "\n".join(shown)


def _listed(names: Sequence[str]) -> str:
    if len(names) <= 6:
        return ", ".join(names)
    return f"{', '.join(names[:3])} ... {', '.join(names[-2:])}"


def _stage(verdict: Verdict) -> str:
    facts = verdict.outcome.facts
    said = verdict.message if verdict.outcome is not Outcome.FAIL else f"{verdict.fault}, see above"
    tail = f": {escape(said)}" if said else ""
    when = "known from an earlier run" if verdict.kept else f"{verdict.seconds:.1f} s"
    return f"{escape(verdict.stage)} [{facts.style}]{facts.word}[/]{tail} ({when})"


_COLUMNS = (
    Column("layer"),
    Column("OpType", spare=2),
    Column("type", spare=3),
    Column("scale", right=True, spare=5),
    Column("zero", right=True, spare=6),
    Column("clipped", right=True, spare=4),
    Column("codes", right=True, spare=7),
    Column("off by", right=True, spare=1),
    Column("exact on", wraps=True),
)
_SHOWN = Column("shown for", spare=8)


def _table(result: Verification, width: int) -> Table:
    rows = []
    shown = ""
    proven = any(line.shown_for for line in result.layers)
    columns = (*_COLUMNS, _SHOWN) if proven else _COLUMNS
    for line in result.layers:
        if line.composite and line.composite != shown:
            rows.append([Text(line.composite), *(Text("") for _ in columns[1:])])
        shown = line.composite
        rows.append([*_cells(line, result), *([Text(line.shown_for)] if proven else [])])
    return fitting_table(columns, rows, width)


def _cells(line: LayerLine, result: Verification) -> list[Text]:
    name = f"  {line.layer}" if line.composite else line.layer
    name += "" if line.tensor == line.layer else f" {line.tensor}"
    codes = line.scale is not None
    return [
        Text(name),
        Text(line.op_type),
        Text(line.dtype),
        Text(f"{line.scale:.4g}" if codes else ""),
        Text(str(line.zero_point) if codes else ""),
        Text(f"{100 * line.saturated:.1f} %" if codes else ""),
        Text(str(line.distinct)),
        Text("" if line.deviation is None else f"{line.deviation:.1g}" if line.deviation else "0"),
        _exact(line, result),
    ]


def _exact(line: LayerLine, result: Verification) -> Text:
    if line.differs:
        return Text(f"DIFFERS on {', '.join(line.differs)}", "bold red")
    if line.folded_into:
        return Text(f"in {', '.join(line.folded_into)}", "dim")
    count, planned = len(line.exact), len(result.matrix.targets)
    if not count:
        return Text("-", "dim")
    return Text(f"{count} of {planned}", "green" if count == planned else "yellow")
