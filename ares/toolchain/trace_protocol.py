"""The lines that a traced program prints (docs/trace-protocol.md), and their one reader.

Every line is known beforehand but for the values at the ends of some, so there is nothing to parse and nothing to
forgive: `read` says how far a text is what was due. What a deviation is called is for the one who asks: `run` knows the
machine and the exit code, `ares trace` has a text from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ares.toolchain.target import Machine

ANY_PROTOCOL = "ares-trace "
PROTOCOL = f"{ANY_PROTOCOL}3 "
COMPLAINT = "ares-trace: "
"""On standard error, before the program gives up; on a board it may stand between the lines."""
BYTE_ORDER = "byte order "
PROBE_OK = "probe ok"
PROBE_FAILED = "probe failed "
INSTRUCTION_SET = "instruction set "
_CASE = "case "
_STACK = "stack "


@dataclass(frozen=True, slots=True)
class Value:
    """What ends a line and is not known beforehand: its name in messages, and how it is written."""

    name: str
    pattern: re.Pattern[str]


DIGEST = Value("DIGEST", re.compile(r"[0-9a-f]{16}"))
BYTES = Value("BYTES", re.compile(r"[1-9][0-9]{0,9}"))
ORDER = Value("little or big", re.compile(r"little|big"))
NAME = Value("NAME", re.compile(r"[A-Za-z0-9]+(?:[ .+-][A-Za-z0-9]+)*"))


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is due: `text`, and `value` behind it. One that is `optional` may be left out."""

    text: str
    value: Value | None = None
    optional: bool = False

    def __str__(self) -> str:
        return self.text if self.value is None else f"{self.text}{self.value.name}"

    def fit(self, line: str) -> str | None:
        """The value of a line that is this one, "" where it has none; None for any other line."""
        if self.value is None:
            return "" if line == self.text else None
        value = line.removeprefix(self.text)
        fits = line.startswith(self.text) and self.value.pattern.fullmatch(value)
        return value if fits else None


def layer_line(index: int, layer: str, tensor: str) -> Line:
    """The line of an observed tensor."""
    return Line(f"layer {index} {layer} {tensor} ", DIGEST)


def output_line(index: int) -> Line:
    """The line of an output of the network."""
    return Line(f"output {index} ", DIGEST)


def lines_of_run(
    signature: str,
    cases: Mapping[int, Iterable[Line]],
    machine: Machine | None,
    instruction_set: str | None = None,
) -> tuple[Line, ...]:
    """Every line of a good run: `cases` by their numbers, each with what it shows.

    Where the `machine` is not known, either byte order will do, and so will a measured stack or none.
    `instruction_set`: whose micro-kernels must run, None where any may.
    """
    if machine is None:
        order, stack = Line(BYTE_ORDER, ORDER), [Line(_STACK, BYTES, optional=True)]
    else:
        order = Line(f"{BYTE_ORDER}{machine.byte_order}")
        stack = [Line(_STACK, BYTES)] if machine.board is not None else []
    kernels = (
        Line(INSTRUCTION_SET, NAME)
        if instruction_set is None
        else Line(f"{INSTRUCTION_SET}{instruction_set}")
    )
    head = (Line(f"{PROTOCOL}{signature}"), order, Line(PROBE_OK), kernels)
    shown = [line for number, case in cases.items() for line in (Line(f"{_CASE}{number}"), *case)]
    return (*head, *shown, *stack, Line(f"end {len(cases)}"))


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a text is as it should be: its lines with their values, and the line that is `due` behind them.

    `due` is None where every line is there.
    """

    lines: tuple[tuple[Line, str], ...]
    due: Line | None

    def values(self, kind: Value) -> tuple[str, ...]:
        """The values of one kind, in the order shown."""
        return tuple(value for line, value in self.lines if line.value is kind)

    @property
    def place(self) -> str:
        """Where it ended, in words: before which line of which case."""
        if self.due is None:
            return "after its last line"
        due = f"before {self.due.text.strip()!r}"
        texts = (line.text for line, _ in reversed(self.lines))
        case = next((text for text in texts if text.startswith(_CASE)), None)
        return due if case is None else f"{due} of {case}"


def read(shown: Sequence[str], due: Iterable[Line]) -> Reading:
    """Go through lines, without their newlines, as far as they are the ones that are due."""
    right: list[tuple[Line, str]] = []
    for wanted in due:
        line = shown[len(right)] if len(right) < len(shown) else ""
        value = wanted.fit(line)
        if value is not None:
            right.append((wanted, value))
        elif not wanted.optional or line.startswith(wanted.text):
            return Reading(tuple(right), wanted)
    return Reading(tuple(right), None)
