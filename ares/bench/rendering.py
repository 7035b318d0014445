"""What people read of a bench: one table of networks, one of layers for each network. Absent figures have no column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.text import Text

from ares.bench.record import Comparison, Cost, LayerCost, Spread
from ares.tables import Column, fitting_table

_TIME = (
    Column("time", right=True),
    Column("best", right=True, spare=8),
    Column("+-", right=True, spare=9),
)
_INSTRUCTIONS = (Column("instructions", right=True),)
_MACS = (Column("MACs", right=True, spare=7), Column("a MAC", right=True, spare=2))
_NETWORK = (Column("network"), Column("target"))
_SIZES = tuple(
    Column(name, right=True, spare=spare)
    for name, spare in (("code", 4), ("constants", 5), ("arena", 3), ("stack", 6))
)
_LAYER = (Column("layer"), Column("operation", spare=1))
_SHARE = (Column("share", right=True),)
# Of less than this the spread is the clock's.
_SHORT_NS = 200.0


def parts(costs: Sequence[Cost], width: int, *, layers: bool) -> Iterator[RenderableType]:
    """Tables and sentences, top to bottom."""
    for cost in costs if layers else ():
        if cost.time is None and cost.instructions is None:
            continue
        yield Text(f"{cost.network} on {cost.target} ({cost.processor}; {cost.compiler})")
        timed, counted = cost.time is not None, cost.instructions is not None
        columns = (*_LAYER, *_cost_columns(timed, counted), *_SHARE, *_MACS)
        rows = [_layer(cost, row, timed, counted) for row in cost.layers]
        yield fitting_table(columns, rows, width)
        yield Text("")
    timed = any(cost.time is not None for cost in costs)
    counted = any(cost.instructions is not None for cost in costs)
    columns = (*_NETWORK, *_cost_columns(timed, counted), *_MACS, *_SIZES)
    yield fitting_table(columns, [_network(cost, timed, counted) for cost in costs], width)
    for cost in costs:
        for found in cost.against:
            yield Text(versus(cost, found))
    yield from map(Text, _absences(costs))


def time(nanoseconds: float) -> str:
    """A time with its unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{three(nanoseconds / size)} {unit}"
    return f"{nanoseconds:.0f} ns"


def three(value: float) -> str:
    """Three digits, or all of them before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def per_mac(macs: int, spread: Spread | None, instructions: int | None) -> str:
    """Instructions, else nanoseconds, for each multiply-accumulate; nothing where there are none."""
    if macs and instructions is not None:
        return f"{instructions / macs:.2f}"
    return f"{spread.median / macs:.3f} ns" if macs and spread is not None else ""


def versus(cost: Cost, found: Comparison) -> str:
    """A comparison in one sentence."""
    ratio = found.ratio
    return (
        f"{cost.network} on {cost.target} takes {three(ratio.median)} x the time of {found.runtime} "
        f"{found.version} ({three(ratio.low)} to {three(ratio.high)}): {time(found.ours.median)} against "
        f"{time(found.theirs.median)}, one thread, in turns; its call from Python alone is {time(found.call)}; "
        f"outputs differ by at most {found.largest_difference:.1f} codes"
    )


def _cost_columns(timed: bool, counted: bool) -> tuple[Column, ...]:
    return (*(_TIME if timed else ()), *(_INSTRUCTIONS if counted else ()))


def _network(cost: Cost, timed: bool, counted: bool) -> list[Text]:
    sizes = (cost.code, cost.constants, cost.arena, cost.stack)
    return [
        Text(cost.network),
        Text(cost.target),
        *_costs(cost.time, cost.instructions, timed, counted),
        Text(f"{cost.macs:,}"),
        Text(per_mac(cost.macs, cost.time, cost.instructions)),
        *(Text("-" if size is None else f"{size:,}") for size in sizes),
    ]


def _layer(cost: Cost, row: LayerCost, timed: bool, counted: bool) -> list[Text]:
    return [
        Text(row.layer),
        Text(row.op_type),
        *_costs(row.time, row.instructions, timed, counted),
        Text(_share(cost, row)),
        Text(f"{row.macs:,}" if row.macs else ""),
        Text(per_mac(row.macs, row.time, row.instructions)),
    ]


def _share(cost: Cost, row: LayerCost) -> str:
    """Of all layers together: of time where there is one."""
    if row.time is not None:
        whole = sum(each.time.median for each in cost.layers if each.time is not None)
        return f"{row.time.median / whole:.1%}" if whole else ""
    whole = sum(each.instructions or 0 for each in cost.layers)
    return f"{(row.instructions or 0) / whole:.1%}" if whole else ""


def _costs(
    spread: Spread | None, instructions: int | None, timed: bool, counted: bool
) -> Iterator[Text]:
    if timed and spread is None:
        yield from (Text("-"), Text("-"), Text(""))
    elif timed and spread is not None:
        half = (spread.high - spread.low) / 2
        yield from (Text(time(spread.median)), Text(time(spread.best)))
        yield Text(f"{half / spread.median:.1%}" if spread.median >= _SHORT_NS else "")
    if counted:
        yield Text("-" if instructions is None else f"{instructions:,}")


def _absences(costs: Sequence[Cost]) -> Iterator[str]:
    """A line for each reason why a figure is absent."""
    reasons = sorted(
        (reason, what, cost.target) for cost in costs for what, reason in cost.without.items()
    )
    for (reason, what), group in groupby(reasons, key=lambda item: item[:2]):
        targets = ", ".join(sorted({target for _, _, target in group}))
        yield f"no {what} on {targets}: {reason}"
