"""What a program must print, line by line (docs/trace-protocol.md), and where it went astray.

The host knows every line beforehand but for digests and the depth of the stack, so there is nothing to parse and
nothing to forgive.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ares.ir import Project, TracePoint
from ares.toolchain.faults import RunFailure
from ares.toolchain.target import Machine

PROTOCOL = "ares-trace 2 "
BYTE_ORDER = "byte order "
_STACK = "stack "
_DIGEST = re.compile(r"[0-9a-f]{16}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a good transcript tells: digests in the order shown, and the bytes of stack where they are measured."""

    digests: tuple[str, ...]
    stack: int | None


def expected_lines(
    signature: str, project: Project, machine: Machine, cases: int, mode: str
) -> list[str]:
    """Every line of a good run, without its newline; one that ends in a blank is followed by a value."""
    points = project.points if mode in ("full", "digests") else ()
    layers = [_layer_line(point) for point in points]
    outputs = [f"output {index} " for index in range(len(project.outputs))]
    lines = []
    for number in range(cases):
        lines += [f"case {number}", *layers, *outputs]
    return [*_head(signature, machine), *lines, *_tail(machine, cases)]


def dump_lines(
    signature: str, project: Project, machine: Machine, case: int, point: int
) -> list[str]:
    """The same of a run that dumps one observed tensor of one case."""
    shown = [f"case {case}", _layer_line(project.points[point])]
    return [*_head(signature, machine), *shown, *_tail(machine, 1)]


def _head(signature: str, machine: Machine) -> list[str]:
    return [f"{PROTOCOL}{signature}", f"{BYTE_ORDER}{machine.byte_order}", "probe ok"]


def _layer_line(point: TracePoint) -> str:
    return f"layer {point.layer_index} {point.layer} {point.tensor} "


def _tail(machine: Machine, cases: int) -> list[str]:
    return [*([_STACK] if machine.board is not None else []), f"end {cases}"]


def check_transcript(target: str, expected: Sequence[str], stdout: str) -> Shown:
    """What was shown; raises RunFailure at the first line that is not as expected."""
    if stdout and not stdout.endswith("\n"):
        raise RunFailure("truncated", target, f"the last line is not whole: {_last(stdout)!r}")
    shown = stdout.split("\n")[:-1]
    digests = []
    stack = None
    for number, (line, want) in enumerate(zip(shown, expected, strict=False), 1):
        value = _fit(line, want)
        if value is None:
            what = want + ("DIGEST" if want.endswith(" ") else "")
            what = f"{_STACK}BYTES" if want == _STACK else what
            raise RunFailure("malformed", target, f"line {number} is {line!r}, expected {what!r}")
        if want == _STACK:
            stack = int(value)
        elif value:
            digests.append(value)
    if len(shown) < len(expected):
        raise RunFailure(
            "truncated",
            target,
            f"{len(shown)} lines of {len(expected)}, {last_event(expected, stdout)}",
        )
    if len(shown) > len(expected):
        extra = shown[len(expected)]
        raise RunFailure("malformed", target, f"{extra!r} after the end")
    return Shown(tuple(digests), stack)


def last_event(expected: Sequence[str], stdout: str) -> str:
    """How far a program came that stopped too early: the last good line and the one that was due."""
    shown = stdout.split("\n")[:-1]
    good = 0
    while good < min(len(shown), len(expected)) and _fit(shown[good], expected[good]) is not None:
        good += 1
    case = next((line for line in reversed(expected[:good]) if line.startswith("case ")), None)
    due = f"before {expected[good].strip()!r}" if good < len(expected) else "after its last line"
    return f"{due} of {case}" if case is not None and good < len(expected) else due


def _fit(line: str, want: str) -> str | None:
    """The value of a line that is as it should be, "" for one without; None for any other line."""
    if not want.endswith(" "):
        return "" if line == want else None
    value = line.removeprefix(want)
    pattern = _NUMBER if want == _STACK else _DIGEST
    return value if line.startswith(want) and pattern.fullmatch(value) else None


def _last(stdout: str) -> str:
    return stdout.rsplit("\n", 1)[-1]
