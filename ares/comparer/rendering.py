"""Comparisons for people: a table of layers and runtimes, every difference in a line, a summary a runtime."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ares.comparer.comparing import Comparison
from ares.comparer.judging import DIFFERS, FAILED, UNSAID, Row
from ares.comparer.result_files import said

_STYLES = {DIFFERS: "bold red", FAILED: "bold red", UNSAID: "dim"}


def parts(comparisons: Sequence[Comparison]) -> list[Table | str]:
    """What is shown, in order."""
    shown: list[Table | str] = [_table(comparisons)]
    for each in comparisons:
        shown += [
            f"{each.runtime}: {view} {row.layer} ({row.op_type}): {said(row)}"
            for view, rows in (("layer", each.layers), ("as deployed", each.deployed))
            for row in rows
            if row.verdict in (DIFFERS, FAILED)
        ]
    shown += list(dict.fromkeys(str(d) for each in comparisons for d in each.departures))
    return [*shown, *map(summary, comparisons)]


def _table(comparisons: Sequence[Comparison]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "operation", *(each.runtime for each in comparisons)):
        table.add_column(name, no_wrap=True)
    for rows in zip(*(each.layers for each in comparisons), strict=True):
        table.add_row(rows[0].layer, rows[0].op_type, *map(_cell, rows))
    for rows in zip(*(each.deployed for each in comparisons), strict=True):
        table.add_row(rows[0].layer, "as deployed", *map(_cell, rows))
    return table


def _cell(row: Row) -> Text:
    words = row.verdict
    if row.verdict == DIFFERS:
        words = f"{100 * row.share:.2g} % by {row.largest:.3g}"
    return Text(words, _STYLES.get(row.verdict, ""))


def summary(comparison: Comparison) -> str:
    """A comparison in a line."""
    layers, deployed = comparison.layers, comparison.deployed
    counts = {
        verdict: sum(row.verdict == verdict for row in layers)
        for verdict in ("equal", DIFFERS, FAILED, UNSAID)
    }
    words = ", ".join(
        f"{count} {what}"
        for what, count in (
            ("equal", counts["equal"]),
            ("differ", counts[DIFFERS]),
            ("failed", counts[FAILED]),
            ("cannot be said", counts[UNSAID]),
        )
        if count
    )
    first = next((row for row in layers if row.verdict in (DIFFERS, FAILED)), None)
    begin = f"; first {first.layer}" if first else ""
    ends = {row.verdict for row in deployed}
    whole = "equal" if ends == {"equal"} else " and ".join(sorted(ends))
    verdict = "EQUAL" if comparison.is_equal else "NOT EQUAL"
    return (
        f"{verdict}: {comparison.network} in {comparison.runtime} {comparison.version}: "
        f"of {len(layers)} layers {words}{begin}; as deployed {whole}"
    )
