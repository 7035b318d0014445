"""Tables for people that break no word: where a terminal is narrow, whole columns give way, and the table says so."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_GAP = 2  # columns of the terminal between two columns of the table


@dataclass(frozen=True, slots=True)
class Column:
    """`spare`: 0 is always shown, the largest number gives way first. `wraps`: at its spaces, into several lines."""

    heading: str
    right: bool = False
    spare: int = 0
    wraps: bool = False


def fitting_table(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> Table:
    """The table, at most `width` wide, with as many of its columns as that has room for."""
    needs = _needs(columns, rows)
    kept = list(range(len(columns)))
    spare = sorted((k for k in kept if columns[k].spare), key=lambda k: -columns[k].spare)
    while spare and _total(needs, kept) > width:
        kept.remove(spare.pop(0))
    gone = [column.heading for k, column in enumerate(columns) if k not in kept]
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
        caption=Text(f"(too narrow for: {', '.join(gone)})", "dim") if gone else None,
        caption_justify="left",
    )
    # Where not even the names fit, they are folded: a part of a name would be another name.
    fits = _total(needs, kept) <= width
    for k in kept:
        column = columns[k]
        table.add_column(
            Text(column.heading),
            justify="right" if column.right else "left",
            no_wrap=fits and not column.wraps,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(row[k] for k in kept))
    return table


def fits(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> bool:
    """Whether there is room for every column."""
    return _total(_needs(columns, rows), range(len(columns))) <= width


def plain(renderable: RenderableType, width: int) -> str:
    """What a console of this many columns shows, as lines of text without colours, wherever Python runs."""
    # Of its own, and of no kind: rich would find out whether it is in a notebook, and how wide that is.
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
    )
    lines = console.render_lines(renderable, pad=False)
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def _needs(columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> list[int]:
    """The least width of each column."""
    return [
        max(_need(Text(column.heading), column), *(_need(row[k], column) for row in rows), 1)
        for k, column in enumerate(columns)
    ]


def _need(cell: Text, column: Column) -> int:
    words = cell.plain.split() if column.wraps else [cell.plain]
    return max(map(cell_len, words), default=0)


def _total(needs: Sequence[int], kept: Sequence[int]) -> int:
    return sum(needs[k] for k in kept) + _GAP * (len(kept) - 1)
