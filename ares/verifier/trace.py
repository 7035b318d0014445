"""What an exported project's self-test printed, somewhere, against what it should have: `expected.json` of the project.

The lines are those of docs/trace-protocol.md. What stands before the first and behind the last of them is not
looked at (boot messages, a prompt), nor are carriage returns; between them nothing is forgiven. Both files are data
from elsewhere: their size is limited, and whatever is wrong with them has words of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ares.files import why_no_file
from ares.toolchain.transcript import BYTE_ORDER, PROTOCOL
from ares.verdict import Outcome, Verdict

EXPECTED = "expected.json"
LARGEST_FILE = 64 * 2**20
_WORD = PROTOCOL.split()[0] + " "
_COMPLAINT = PROTOCOL.split()[0] + ": "
_DIGEST = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[^\s\x00-\x1f]{1,4000}")  # ares.ir.names.is_carried
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
_LAYER = re.compile(r"layer (0|[1-9][0-9]{0,9}) ")
_MOST = 10**6
_LONGEST_QUOTE = 120


class TraceError(ValueError):
    """A file that cannot be judged at all: not there, too large, no project's. One line."""


@dataclass(frozen=True, slots=True)
class ExpectedLayer:
    """One line `layer`, and the operation that it is about.

    `index`: of the layer in the project's table, None where `expected.json` does not say it.
    """

    index: int | None
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


@dataclass(frozen=True, slots=True)
class Expected:
    """The content of `expected.json`."""

    signature: str
    cases: tuple[ExpectedCase, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a trace; `wrong` counts the tensors that differ, of `total`. `byte_order` as the board saw it.

    `summary` is one line that leaves the kind of a fault to the verdict.
    """

    verdict: Verdict
    wrong: int
    total: int
    byte_order: str
    summary: str

    def as_json(self) -> dict[str, Any]:
        return {
            "format": "ares-trace-verdict-1",
            "passed": self.verdict.outcome is Outcome.PASS,
            "summary": self.summary,
            "wrong": self.wrong,
            "total": self.total,
            "byte_order": self.byte_order,
            "verdict": self.verdict.as_json(),
        }


class _Fault(Exception):
    """A line that is not as the protocol has it: kind and words."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _Shown:
    """A digest that was shown, beside the one that is right."""

    case: str
    place: str
    layer: str
    digest: str
    right: str


def judge_trace(trace: Path, project: Path) -> Judged:
    """The verdict on the lines in `trace`, of the project exported to `project`. Raises TraceError."""
    expected = read_expected(project)
    text = _read(trace, "what the self-test printed").decode(errors="backslashreplace")
    lines = [line.rstrip("\r ") for line in text.split("\n")]
    # What was copied by hand may lack the newline at its end.
    complete = lines[-1] == f"end {len(expected.cases)}"
    whole, rest = (lines, "") if complete else (lines[:-1], lines[-1])
    shown: list[_Shown] = []
    order = [""]
    fault: _Fault | None = None
    try:
        _follow(whole, rest, expected, shown, order)
    except _Fault as error:
        fault = error
    wrong = [line for line in shown if line.digest != line.right]
    total = sum(len(case.layers) + len(case.outputs) for case in expected.cases)
    return _judged(project, expected, wrong, total, order[0], fault)


def _judged(
    project: Path,
    expected: Expected,
    wrong: Sequence[_Shown],
    total: int,
    order: str,
    fault: _Fault | None,
) -> Judged:
    name = project.resolve().name
    first = wrong[0] if wrong else None
    differs = (
        ""
        if first is None
        else (
            f"case {first.case}: {first.place} differs\n"
            f"expected digest {first.right}, found {first.digest}; {len(wrong)} of {total} tensors differ"
        )
    )
    if fault is not None:
        parts = [f"{fault.kind}: {fault}"]
        if differs:
            parts.append(f"before that, {differs}")
        message, kind, summary = "\n".join(parts), fault.kind, str(fault)
    elif first is not None:
        rest = "layers behind it differ because of it; the ones before it are exact"
        message, kind, summary = f"{differs}\n{rest}", "difference", differs
    else:
        count = len(expected.cases)
        words = f"{count} case{'' if count == 1 else 's'}, {total} tensors: every digest is right"
        verdict = Verdict(name, "trace", Outcome.PASS, words)
        return Judged(verdict, 0, total, order, f"{words} ({order}-endian)")
    layer = first.layer if first is not None else ""
    verdict = Verdict(name, "trace", Outcome.FAIL, message, kind, layer)
    return Judged(verdict, len(wrong), total, order, summary.splitlines()[0])


# The lines.


def _follow(
    lines: Sequence[str],
    rest: str,
    expected: Expected,
    shown: list[_Shown],
    order: list[str],
) -> None:
    """Go through the lines of a run, and note the digests; raises _Fault at the first line that is out of place."""
    start = next((number for number, line in enumerate(lines) if line.startswith(_WORD)), None)
    if start is None:
        due = f"{PROTOCOL}{expected.signature}"
        if rest.startswith(_WORD):
            raise _Fault("truncated", f"it ends with {_quoted(rest)}, expected {due!r} and more")
        raise _Fault("malformed", f"no line begins with {_WORD!r}; a self-test begins with {due!r}")
    reader = _Reader(lines, start, rest)
    _head(reader, expected, order)
    for number, case in enumerate(expected.cases):
        reader.exactly(f"case {number}")
        for layer in case.layers:
            digest = reader.layer(layer)
            place = f"layer {layer.layer} ({layer.op_type}), tensor {layer.tensor}"
            shown.append(_Shown(case.name, place, layer.layer, digest, layer.digest))
        for index, right in enumerate(case.outputs):
            digest = reader.value(f"output {index} ", _DIGEST, "DIGEST")
            shown.append(_Shown(case.name, f"output {index}", "", digest, right))
    if reader.peek().startswith("stack "):
        reader.value("stack ", _NUMBER, "BYTES")
    reader.exactly(f"end {len(expected.cases)}")


def _head(reader: _Reader, expected: Expected, order: list[str]) -> None:
    line = reader.next("")
    if not line.startswith(PROTOCOL):
        raise _Fault(
            "malformed",
            f"{reader.at} is {_quoted(line)}: another protocol than {PROTOCOL.strip()!r}, which this ARES knows; "
            "export the project and judge it with the same version",
        )
    signature = line.removeprefix(PROTOCOL)
    if signature != expected.signature:
        raise _Fault(
            "signature",
            f"{reader.at}: the program is a build of something else: it says {_quoted(signature)}, the project's "
            f"{EXPECTED} {expected.signature!r}; build this project and run it again",
        )
    order[0] = reader.value(BYTE_ORDER, re.compile("little|big"), "little or big")
    if reader.peek().startswith("probe failed "):
        fault = reader.next("").removeprefix("probe failed ")
        raise _Fault(
            "probe",
            f"binary32 arithmetic of this build is not what clause N9 of docs/numerics.md needs: {_quoted(fault)}; "
            "build without -ffast-math and with -ffp-contract=off",
        )
    reader.exactly("probe ok")


class _Reader:
    """The lines of one run, in their order."""

    def __init__(self, lines: Sequence[str], start: int, rest: str) -> None:
        self._lines = lines
        self._position = start
        self._rest = rest

    @property
    def at(self) -> str:
        """Where the line that was read last stands in the file."""
        return f"line {self._position}"

    def peek(self) -> str:
        return self._lines[self._position] if self._position < len(self._lines) else ""

    def next(self, due: str) -> str:
        if self._position >= len(self._lines):
            end = f"; its last line {_quoted(self._rest)} is not whole" if self._rest else ""
            raise _Fault(
                "truncated", f"it ends after line {self._position}, where {due!r} is due{end}"
            )
        self._position += 1
        line = self._lines[self._position - 1]
        if line.startswith(_COMPLAINT):
            raise _Fault(
                "crash", f"{self.at}: the program gave up: {_quoted(line)}, {due!r} was due"
            )
        if due and line.startswith(_WORD):
            raise _Fault(
                "truncated",
                f"{self.at}: the program started again, where {due!r} was due: a reset or a crash",
            )
        return line

    def exactly(self, due: str) -> None:
        line = self.next(due)
        if line != due:
            self._malformed(line, due)

    def value(self, prefix: str, pattern: re.Pattern[str], what: str) -> str:
        line = self.next(f"{prefix}{what}")
        value = line.removeprefix(prefix)
        if not line.startswith(prefix) or not pattern.fullmatch(value):
            self._malformed(line, f"{prefix}{what}")
        return value

    def layer(self, layer: ExpectedLayer) -> str:
        """The digest of a line `layer`."""
        number = str(layer.index)
        if layer.index is None:
            found = _LAYER.match(self.peek())
            number = found[1] if found is not None else "NUMBER"
        return self.value(f"layer {number} {layer.layer} {layer.tensor} ", _DIGEST, "DIGEST")

    def _malformed(self, line: str, due: str) -> None:
        raise _Fault("malformed", f"{self.at} is {_quoted(line)}, expected {due!r}")


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
        raise TraceError(f"{project}: no such folder; --project names what ares export wrote")
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
            _index(layer.get("index")),
            _text(layer["layer"], _NAME),
            _text(layer["tensor"], _NAME),
            _text(layer["op_type"], _NAME),
            _text(layer["digest"], _DIGEST),
        )
        for layer in _list(facts["layers"])
    )
    outputs = tuple(_text(digest, _DIGEST) for digest in _list(facts["outputs"]))
    return ExpectedCase(_text(facts["name"], _NAME), layers, outputs)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise TypeError(f"{type(value).__name__} where a list is expected")
    return value


def _index(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _MOST:
        raise TypeError(f"{str(value)[:40]!r} is no index of a layer")
    return value


def _text(value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{str(value)[:40]!r} is no such text")
    return value
