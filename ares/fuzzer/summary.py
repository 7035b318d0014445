"""What a campaign found, in ten seconds' reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from ares.fuzzer.campaign import Tally
from ares.fuzzer.coverage import by_dimension
from ares.fuzzer.findings import command
from ares.ops import operations

_MOST_REASONS = 8
_MOST_HOLES = 3
_CALLED = {"behind": "neighbour", "kernel function": "kernel variant"}


def lines_of(tally: Tally) -> Iterator[Text]:
    """The summary, a line each, the verdict last."""
    yield Text(_extent(tally))
    refused = tally.done - tally.accepted
    if refused:
        yield Text(f"refused by check, with a reason: {refused} ({_share(refused, tally.done)})")
        for reason, count in tally.refusals.most_common(_MOST_REASONS):
            yield Text(f"  {count:5}  {reason}", no_wrap=True)
        more = len(tally.refusals) - _MOST_REASONS
        if more > 0:
            yield Text(f"         and {more} reasons more")
    holes = unreached(tally)
    reached = len(_op_types()) - len(holes)
    what = f"; not reached: {', '.join(holes)}" if holes else ""
    yield Text(f"operations reached: {reached} of {len(_op_types())}{what}")
    yield from _coverage(tally)
    for finding in sorted(tally.firsts, key=lambda found: found.seed):
        count = len(tally.findings[finding.symptom])
        again = command(finding.seed, finding.target or " --target ".join(tally.targets))
        yield Text(f"FOUND {count:3}x {finding.symptom}", "red", no_wrap=True)
        yield Text(f"      first seed {finding.seed}: {again}", no_wrap=True)
    yield verdict(tally)


def _coverage(tally: Tally) -> Iterator[Text]:
    """Of each dimension of operations how many cells were drawn, and the first of its holes."""
    rows = by_dimension(tally.cells)
    drawn, known = sum(row[1] for row in rows), sum(row[2] for row in rows)
    yield Text(f"coverage: {drawn} of {known} cells drawn ({_share(drawn, known)})")
    for dimension, seen, cells, holes in rows:
        more = f" and {len(holes) - _MOST_HOLES} more" if len(holes) > _MOST_HOLES else ""
        named = f"  not drawn: {', '.join(holes[:_MOST_HOLES])}{more}" if holes else ""
        yield Text(
            f"  {_CALLED.get(dimension, dimension):16}{seen:4} of {cells:4}{named}", no_wrap=True
        )


def verdict(tally: Tally) -> Text:
    """One line that says it all."""
    cut = "" if tally.done == tally.planned else f" of {tally.planned} (stopped)"
    if tally.interrupted:
        cut = f" of {tally.planned} (interrupted)"
    graphs = f"{tally.done} graphs{cut}"
    if tally.findings:
        count = sum(map(len, tally.findings.values()))
        kinds = len(tally.findings)
        symptoms = "1 symptom" if kinds == 1 else f"{kinds} symptoms"
        return Text(f"FOUND: {count} of {graphs} are wrong, {symptoms}", "red")
    if not tally.layers:
        return Text(f"NOTHING COMPARED: {graphs}, none came as far as its C", "yellow")
    return Text(f"NONE FOUND: {graphs}: in each all witnesses agree, in every layer", "green")


def unreached(tally: Tally) -> tuple[str, ...]:
    """Types of operations that no accepted graph had."""
    return tuple(name for name in _op_types() if not tally.operations[name])


def _op_types() -> Sequence[str]:
    return sorted({operation.OP_TYPE for operation in operations().values()})


def _extent(tally: Tally) -> str:
    last = tally.first + tally.planned - 1
    targets = ", ".join(tally.targets) or "no target"
    return (
        f"seeds {tally.first} to {last}: {tally.done} graphs, {tally.accepted} accepted "
        f"({_share(tally.accepted, tally.done)}), {tally.cases} cases, {tally.layers} layers and outputs compared on "
        f"{targets}; {tally.seconds:.1f} s, {tally.rate:.1f} graphs a second"
    )


def _share(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:.0f} %" if whole else "0 %"
