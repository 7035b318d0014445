"""What an exported project's self-test printed, somewhere, against what it should have: `expected.json` of the project.

The lines are those of docs/trace-protocol.md, and `ares.toolchain.trace_protocol` reads them. What stands before the
first and behind the last of them is not looked at (boot messages, a prompt), nor are carriage returns; between them
nothing is forgiven. Both files are data from elsewhere: their size is limited, and whatever is wrong with them has
words of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ares.files import why_no_file
from ares.toolchain.trace_protocol import (
    ANY_PROTOCOL,
    COMPLAINT,
    DIGEST,
    NAME,
    ORDER,
    PROBE_FAILED,
    PROBE_OK,
    PROTOCOL,
    Line,
    Reading,
    layer_line,
    lines_of_run,
    output_line,
    read,
)
from ares.verdict import Outcome, Verdict

EXPECTED = "expected.json"
LARGEST_FILE = 64 * 2**20
_NAME = re.compile(r"[^\s\x00-\x1f]{1,4000}")  # ares.ir.names.is_carried
_MOST = 10**6
_LONGEST_QUOTE = 120


class TraceError(ValueError):
    """A file that cannot be judged at all: not there, too large, no project's. One line."""


@dataclass(frozen=True, slots=True)
class ExpectedLayer:
    """One line `layer`, and the operation that it is about. `index`: of the layer in the project's table."""

    index: int
    layer: str
    tensor: str
    op_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class ExpectedCase:
    """What a right run shows of one case."""

    name: str
    layers: tuple[ExpectedLayer, ...]
    outputs: tuple[str, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        layers = [layer_line(layer.index, layer.layer, layer.tensor) for layer in self.layers]
        return (*layers, *map(output_line, range(len(self.outputs))))


@dataclass(frozen=True, slots=True)
class Expected:
    """The content of `expected.json`."""

    signature: str
    cases: tuple[ExpectedCase, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """What a right run prints, on any machine."""
        cases = {number: case.lines for number, case in enumerate(self.cases)}
        return lines_of_run(self.signature, cases, machine=None)


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a trace; `wrong` counts the tensors that differ, of `total`.

    `byte_order` as the board saw it, and whose micro-kernels ran there (`instruction_set`); "" where it did not come to
    say so. `summary` is one line that leaves the kind of a fault to the verdict.
    """

    verdict: Verdict
    wrong: int
    total: int
    byte_order: str
    instruction_set: str
    summary: str

    def as_json(self) -> dict[str, Any]:
        return {
            "format": "ares-trace-verdict-1",
            "passed": self.verdict.outcome is Outcome.PASS,
            "summary": self.summary,
            "wrong": self.wrong,
            "total": self.total,
            "byte_order": self.byte_order,
            "instruction_set": self.instruction_set,
            "verdict": self.verdict.as_json(),
        }


@dataclass(frozen=True, slots=True)
class _Fault:
    """A line that is not as the protocol has it: kind and words."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor that a run shows, and its right digest. An output has no `layer`."""

    case: str
    place: str
    layer: str
    right: str


def judge_trace(trace: Path, project: Path) -> Judged:
    """The verdict on the lines in `trace`, of the project exported to `project`. Raises TraceError."""
    expected = read_expected(project)
    text = _read(trace, "what the self-test printed").decode(errors="backslashreplace")
    lines = [line.rstrip("\r ") for line in text.split("\n")]
    due = expected.lines
    # What was copied by hand may lack the newline at its end.
    whole, rest = (lines, "") if lines[-1] == str(due[-1]) else (lines[:-1], lines[-1])
    start = next((n for n, line in enumerate(whole) if line.startswith(ANY_PROTOCOL)), len(whole))
    reading = read(whole[start:], due)
    fault = _fault(reading, whole, start, rest, expected)
    tensors = list(_tensors(expected))
    pairs = zip(tensors, reading.values(DIGEST), strict=False)
    wrong = [(tensor, found) for tensor, found in pairs if found != tensor.right]
    verdict, summary = _judged(project, expected, wrong, len(tensors), fault)
    order, kernels = (next(iter(reading.values(said)), "") for said in (ORDER, NAME))
    if verdict.outcome is Outcome.PASS:
        summary = f"{summary} ({order}-endian, {kernels} micro-kernels)"
    return Judged(verdict, len(wrong), len(tensors), order, kernels, summary)


def _tensors(expected: Expected) -> Iterator[_Tensor]:
    """In the order of the lines that end in a digest."""
    for case in expected.cases:
        for layer in case.layers:
            place = f"layer {layer.layer} ({layer.op_type}), tensor {layer.tensor}"
            yield _Tensor(case.name, place, layer.layer, layer.digest)
        for index, right in enumerate(case.outputs):
            yield _Tensor(case.name, f"output {index}", "", right)


def _judged(
    project: Path,
    expected: Expected,
    wrong: Sequence[tuple[_Tensor, str]],
    total: int,
    fault: _Fault | None,
) -> tuple[Verdict, str]:
    """And the summary."""
    name = project.resolve().name
    first, found = wrong[0] if wrong else (None, "")
    differs = ""
    if first is not None:
        differs = (
            f"case {first.case}: {first.place} differs\n"
            f"expected digest {first.right}, found {found}; {len(wrong)} of {total} tensors differ"
        )
    if fault is not None:
        before = f"\nbefore that, {differs}" if differs else ""
        message, kind = f"{fault.kind}: {fault.message}{before}", fault.kind
        summary = fault.message
    elif differs:
        rest = "layers behind it differ because of it; the ones before it are exact"
        message, kind, summary = f"{differs}\n{rest}", "difference", differs
    else:
        count = len(expected.cases)
        words = f"{count} case{'' if count == 1 else 's'}, {total} tensors: every digest is right"
        return Verdict(name, "trace", Outcome.PASS, words), words
    layer = "" if first is None else first.layer
    return Verdict(name, "trace", Outcome.FAIL, message, kind, layer), summary.splitlines()[0]


# The lines.


def _fault(
    reading: Reading, lines: Sequence[str], start: int, rest: str, expected: Expected
) -> _Fault | None:
    """What is wrong with the first line that is not the one that was due; None if all are there.

    The run begins at `lines[start]`; `rest` is what has no newline at the end.
    """
    if reading.due is None:
        return None
    position, due = start + len(reading.lines), str(reading.due)
    at = f"line {position + 1}"
    if start == len(lines):
        return _no_run(rest, due)
    if position == len(lines):
        end = f"; its last line {_quoted(rest)} is not whole" if rest else ""
        words = f"it ends after line {position}, where {due!r} is due{end}"
        return _Fault("truncated", words)
    line = lines[position]
    if position == start:
        return _another_program(at, line, expected)
    if line.startswith(COMPLAINT):
        return _Fault("crash", f"{at}: the program gave up: {_quoted(line)}, {due!r} was due")
    if line.startswith(ANY_PROTOCOL):
        words = f"the program started again, where {due!r} was due: a reset or a crash"
        return _Fault("truncated", f"{at}: {words}")
    if due == PROBE_OK and line.startswith(PROBE_FAILED):
        return _Fault(
            "probe",
            "binary32 arithmetic of this build is not what clause N9 of docs/numerics.md needs: "
            f"{_quoted(line.removeprefix(PROBE_FAILED))}; build without -ffast-math and with -ffp-contract=off",
        )
    return _Fault("malformed", f"{at} is {_quoted(line)}, expected {due!r}")


def _no_run(rest: str, due: str) -> _Fault:
    if rest.startswith(ANY_PROTOCOL):
        return _Fault("truncated", f"it ends with {_quoted(rest)}, expected {due!r} and more")
    words = f"no line begins with {ANY_PROTOCOL!r}; a self-test begins with {due!r}"
    return _Fault("malformed", words)


def _another_program(at: str, line: str, expected: Expected) -> _Fault:
    """Of the first line of a run: another protocol, or a build of something else."""
    if not line.startswith(PROTOCOL):
        return _Fault(
            "malformed",
            f"{at} is {_quoted(line)}: another protocol than {PROTOCOL.strip()!r}, which this ARES knows; "
            "export the project and judge it with the same version",
        )
    return _Fault(
        "signature",
        f"{at}: the program is a build of something else: it says {_quoted(line.removeprefix(PROTOCOL))}, "
        f"the project's {EXPECTED} {expected.signature!r}; build this project and run it again",
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}...")


# The files.


def _read(path: Path, what: str) -> bytes:
    if why := why_no_file(path):
        raise TraceError(f"{path}: {why}; expected {what}")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise TraceError(f"{path} has more than {LARGEST_FILE} bytes; expected {what}")
    return data


def read_expected(project: Path) -> Expected:
    """The digests that an exported project should show. Raises TraceError."""
    path = project / EXPECTED
    if not project.is_dir():
        raise TraceError(f"{project}: no such folder; expected the project that ares export wrote")
    data = _read(path, "the digests of a project that ares export wrote")
    try:
        facts = json.loads(data)
        cases = tuple(_case(case) for case in _list(facts["cases"]))
        signature = _text(facts["signature"], _NAME)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_QUOTE]
        raise TraceError(f"{path} is damaged ({text}); export the project again") from error
    if not cases or any(not case.outputs for case in cases):
        raise TraceError(f"{path} expects nothing of a run; export the project again")
    return Expected(signature, cases)


def _case(facts: Any) -> ExpectedCase:
    layers = tuple(
        ExpectedLayer(
            _index(layer["index"]),
            _text(layer["layer"], _NAME),
            _text(layer["tensor"], _NAME),
            _text(layer["op_type"], _NAME),
            _text(layer["digest"], DIGEST.pattern),
        )
        for layer in _list(facts["layers"])
    )
    outputs = tuple(_text(digest, DIGEST.pattern) for digest in _list(facts["outputs"]))
    return ExpectedCase(_text(facts["name"], _NAME), layers, outputs)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise TypeError(f"{type(value).__name__} where a list is expected")
    return value


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise TypeError(f"{str(value)[:40]!r} is no index of a layer")
    return value


def _text(value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{str(value)[:40]!r} is no such text")
    return value
