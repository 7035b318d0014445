"""Frama-C's Eva on one harness: what it could not show, and which statements it reached."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ares.toolchain.process import run_process
from tests.proof.catalogue import HERE, MACHINES, ROOT, Proof, program, read_table, sources

FINDINGS = HERE / "findings.ml"
# Eva states nothing of code for one processor: plain C, and no 128-bit type, which Frama-C has not.
DEFINITIONS = ("-D__TINYC__", "-U__SSE2__", "-U__SIZEOF_INT128__")
OPTIONS = (
    "-eva-precision",
    "7",
    "-eva-slevel",
    "20000",
    "-eva-auto-loop-unroll",
    "200",
    "-eva-no-alloc-returns-null",
    # Not -warn-invalid-pointer: where loops step by rows, pointers go on to a row behind the last one, which nobody
    # reads. Counted instead of pointed at, the same loops take 2 to 6 % more instructions (s390x, Cortex-M3).
    "-warn-signed-overflow",
    "-warn-left-shift-negative",
    # NaN and infinities are values of binary32 (N9); a conversion that leaves its type is an alarm all the same.
    "-warn-special-float",
    "none",
    # A function without its source has no meaning here.
    "-kernel-warn-key",
    "annot:missing-spec=abort",
)
# On this machine right shifts of negative numbers, which C leaves to the implementation, are alarms.
STRICT = "32"
_COPY = "strict"
_KEEPS_SIGN = "if ((-1 >> 1) == -1)"
TIMEOUT_S = 600.0


class EvaError(Exception):
    """Frama-C could not be run to its end on a harness."""


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    """What could not be shown: in `function`, `file`:`line`, a `kind` of fault, excluded only by `text`."""

    file: str
    function: str
    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of Frama-C's normal form, counted within its function."""

    file: str
    function: str
    number: int
    line: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one run found."""

    alarms: tuple[Alarm, ...]
    reached: frozenset[Statement]
    unreached: frozenset[Statement]
    seconds: float


def missing_tools() -> list[str]:
    """Debian packages without which nothing can be proved here."""
    wanted = {"frama-c": "frama-c-base", "ocamlfind": "ocaml-findlib", "gcc": "gcc"}
    return [package for tool, package in wanted.items() if shutil.which(tool) is None]


def prove(proof: Proof, folder: Path, root: Path = ROOT) -> Found:
    """Run Eva in an empty folder on the runtime below `root`; raises EvaError where it does not come to its end."""
    return prove_program(program(proof), proof, folder, root)


def prove_program(text: str, proof: Proof, folder: Path, root: Path) -> Found:
    """The same of a harness whose text is given."""
    (folder / "harness.c").write_text(text, encoding="utf-8")
    # It is compiled beside its source.
    shutil.copy(FINDINGS, folder / FINDINGS.name)
    options = [*OPTIONS, *read_table()["kernel"][proof.kernel].get("options", ())]
    if proof.machine == STRICT:
        root = _without_signed_shifts(root, folder / _COPY)
        options.append("-warn-right-shift-negative")
    definitions = [*DEFINITIONS, *([] if proof.runs else ["-DARES_PORTABLE"]), f"-I{root}"]
    command = [
        "frama-c",
        "-load-script",
        FINDINGS.name,
        "-machdep",
        MACHINES[proof.machine],
        "-cpp-extra-args=" + " ".join(definitions),
        *options,
        "harness.c",
        *([str(HERE / "runs_model.c")] if proof.runs else []),
        *(str(root / f"runtime/src/{stem}.c") for stem in sources(proof)),
    ]
    start = time.monotonic()
    # Frama-C asks the shell's variable where it is.
    done = run_process(command, folder=folder, timeout=TIMEOUT_S, environment={"PWD": str(folder)})
    seconds = time.monotonic() - start
    lines = done.stdout.splitlines()
    if done.code is None:
        raise EvaError(f"not done after {TIMEOUT_S:.0f} s")
    if done.code != 0 or "@done" not in lines:
        said = [line for line in (*lines, *done.stderr.splitlines()) if "rror" in line]
        raise EvaError("frama-c ended without an answer: " + (" / ".join(said[:3]) or "no word"))
    return _found(lines, root, seconds)


def _without_signed_shifts(root: Path, copy: Path) -> Path:
    """A copy of the runtime as a compiler compiles it that does not keep the sign in `>>`: no such shift is left."""
    for name in ("inc", "src"):
        shutil.copytree(root / "runtime" / name, copy / "runtime" / name)
    path = copy / "runtime/inc/numerics.h"
    text = path.read_text(encoding="utf-8")
    if _KEEPS_SIGN not in text:
        raise EvaError(f"runtime/inc/numerics.h does not ask {_KEEPS_SIGN!r} any more")
    path.write_text(text.replace(_KEEPS_SIGN, "if (0)"), encoding="utf-8")
    return copy


def _found(lines: list[str], root: Path, seconds: float) -> Found:
    alarms: set[Alarm] = set()
    statements: dict[bool, set[Statement]] = {True: set(), False: set()}
    for line in lines:
        word, *fields = line.split("\t")
        if word == "@statement":
            function, number, where, reached = fields
            file, at = _place(where, root)
            statements[reached == "true"].add(Statement(file, function, int(number), at))
        elif word == "@alarm":
            function, where, kind, text = fields
            file, at = _place(where, root)
            alarms.add(Alarm(file, function, kind, _plain(text), at))
    return Found(
        tuple(sorted(alarms)), frozenset(statements[True]), frozenset(statements[False]), seconds
    )


def _place(where: str, root: Path) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    # Frama-C shortens what lies below the folder that it runs in.
    path = Path(file.removeprefix(f"{_COPY}/"))
    file = path.as_posix()
    if path.is_absolute() and path.is_relative_to(root):
        file = path.relative_to(root).as_posix()
    return file, int(line)


def _plain(text: str) -> str:
    """Without numbers of statements, which any edit changes."""
    return re.sub(r" at stmt \d+|^assert (Eva: )?", "", text)
