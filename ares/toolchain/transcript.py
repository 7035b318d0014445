"""What a program must print, line by line (docs/trace-protocol.md), and where it went astray.

The host knows every line beforehand but for the digests, so there is nothing to parse and nothing to forgive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ares.ir import Project
from ares.toolchain.faults import RunFailure

_DIGEST = re.compile(r"[0-9a-f]{16}")


def expected_lines(signature: str, project: Project, cases: int, mode: str) -> list[str]:
    """Every line of a good run, without its newline; one that ends in a blank is followed by a digest."""
    layers = [
        f"layer {point.layer_index} {point.layer} {point.tensor} "
        for point in (project.points if mode == "full" else ())
    ]
    outputs = [f"output {index} " for index in range(len(project.outputs))]
    lines = [f"ares-trace 1 {signature}", "probe ok"]
    for number in range(cases):
        lines += [f"case {number}", *layers, *outputs]
    return [*lines, f"end {cases}"]


def check_transcript(target: str, expected: Sequence[str], stdout: str) -> Iterator[str]:
    """The digests in the order shown; raises RunFailure at the first line that is not as expected."""
    if stdout and not stdout.endswith("\n"):
        raise RunFailure("truncated", target, f"the last line is not whole: {_last(stdout)!r}")
    shown = stdout.split("\n")[:-1]
    digests = []
    for number, (line, want) in enumerate(zip(shown, expected, strict=False), 1):
        digest = _fit(line, want)
        if digest is None:
            what = want + ("DIGEST" if want.endswith(" ") else "")
            raise RunFailure("malformed", target, f"line {number} is {line!r}, expected {what!r}")
        if digest:
            digests.append(digest)
    if len(shown) < len(expected):
        raise RunFailure(
            "truncated",
            target,
            f"{len(shown)} lines of {len(expected)}, {last_event(expected, stdout)}",
        )
    if len(shown) > len(expected):
        extra = shown[len(expected)]
        raise RunFailure("malformed", target, f"{extra!r} after the end")
    return iter(digests)


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
    """The digest of a line that is as it should be, "" for one without; None for any other line."""
    if not want.endswith(" "):
        return "" if line == want else None
    digest = line.removeprefix(want)
    return digest if line.startswith(want) and _DIGEST.fullmatch(digest) else None


def _last(stdout: str) -> str:
    return stdout.rsplit("\n", 1)[-1]
