"""A folder that shows a failure without ARES: the C, the input, what should come out, and one command.

`sh reproduce.sh` builds the project as the target did, runs it, and compares every byte: exit code 0 when all are as
expected, 1 with the layer and the element of the first that is not. It needs the target's compiler (and emulator) and
what every Unix has (cmp, awk, od). The folder is written whole or not at all.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

import ares
from ares.files import write_folder
from ares.ir import Project, Recipe
from ares.toolchain import BuildFailure, Target, build, recipe_of
from ares.toolchain.build import PROGRAM, failed_part
from ares.toolchain.run import DEFAULT_TIMEOUT
from ares.verdict import Verdict
from ares.verifier.user_subject import UserSubject
from ares.verifier.verification import Verification

Array = npt.NDArray[Any]

_SCRIPT = "reproduce.sh"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
# Nothing that another run of the same C would show.
_NOT_THE_C = (
    *("missing tool", "disk full", "toolchain", "unexpected pass"),
    *("GraphError", "PlanError", "GoldenError", "WitnessError"),
)
_COLUMNS = ("offset", "bytes", "type", "case", "layer", "tensor", "op_type", "shape", "layout")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Files by path within the folder, and the command that shows the failure in it."""

    files: Mapping[str, bytes]
    command: str

    def write(self, folder: Path) -> None:
        """Write all under a temporary name beside `folder`, then rename; raises OSError, and FileExistsError first."""
        write_folder(folder, self.files, executable={_SCRIPT})


def reproduction_of(subject: UserSubject, result: Verification) -> Reproduction | None:
    """What shows the first failure on a target, else what the torch witness rejects; None where no C can show it."""
    failures = result.matrix.failures
    by_stage = {target.stage: target for target in result.matrix.targets}
    failing = {failed.target.name: failed.cases for failed in result.failing}
    everything = range(len(result.cases))
    for verdict in failures:
        target = by_stage.get(verdict.stage)
        if target is not None and verdict.fault not in _NOT_THE_C:
            alone = [number for number, _ in failing.get(target.name, ())]
            return reproduction(subject, target, alone[:1] or everything, verdict)
    exact = [target for target in result.matrix.targets if target.name in result.exact_targets]
    torch = next((verdict for verdict in failures if verdict.stage == "torch"), None)
    if torch is None or torch.fault != "difference" or not exact:
        return None
    rejected = next(j for j in subject.judgements if not j.accepted)
    if rejected.of_weights:
        return None  # shown by no run: the C has the weights that the Graph has
    case, tensor = rejected.index[0], subject.graph.tensor(rejected.tensor)
    array = subject.expected(case)[tensor.name].copy()
    integer = tensor.dtype.is_integer
    want = min(max(round(rejected.real), tensor.lo), tensor.hi) if integer else rejected.real
    array[(0, *rejected.index[1:])] = want
    return reproduction(subject, exact[0], [case], torch, {(case, tensor.name): array})


def reproduction(
    subject: UserSubject,
    target: Target,
    cases: Sequence[int],
    verdict: Verdict,
    meant: Mapping[tuple[int, str], Array] | None = None,
) -> Reproduction:
    """What failed on a target, as a folder; its input holds only these cases.

    `meant`: tensors by case and name that are expected in place of the golden's.
    """
    project = subject.project_for(target)
    recipe = _recipe(project, target)
    runner = _runner(target)
    pieces = list(_pieces(subject, project, cases, meant or {}))
    outputs = [piece for piece in pieces if not piece.op_type]
    text = _script_text(subject, target, recipe, runner.words)
    content = {f"project/{name}": data for name, data in recipe.files.items()} | {
        "input.bin": b"".join(_input_bytes(subject, project, number) for number in cases),
        "expected.bin": b"".join(piece.data for piece in pieces),
        "expected.tsv": _table(pieces),
        "expected_outputs.bin": b"".join(piece.data for piece in outputs),
        "expected_outputs.tsv": _table(outputs),
        "report.txt": f"{verdict.message}\n".encode(),
        _SCRIPT: text.encode(),
        **runner.files,
    }
    return Reproduction(content, f"sh {_SCRIPT}")


@dataclass(frozen=True, slots=True)
class _Piece:
    """One tensor in what the program writes; `layout` is the order of its axes there. An output has no `op_type`."""

    case: str
    layer: str
    tensor: str
    op_type: str
    dtype: str
    shape: tuple[int, ...]
    layout: tuple[int, ...]
    data: bytes


def _pieces(
    subject: UserSubject,
    project: Project,
    cases: Sequence[int],
    meant: Mapping[tuple[int, str], Array],
) -> Iterator[_Piece]:
    for number in cases:
        case = subject.cases[number].name
        arrays = subject.expected(number)
        arrays = {**arrays, **{name: array for (k, name), array in meant.items() if k == number}}
        for point in project.points:
            yield _Piece(
                case,
                point.layer,
                point.tensor,
                point.op_type,
                point.dtype.value,
                point.shape,
                point.layout,
                point.to_memory(arrays[point.tensor]),
            )
        for name, port in zip(subject.graph.outputs, project.outputs, strict=True):
            axes = tuple(range(len(port.shape)))
            data = port.to_bytes(arrays[name])
            yield _Piece(case, "(output)", name, "", port.dtype.value, port.shape, axes, data)


def _table(pieces: Sequence[_Piece]) -> bytes:
    """Where each tensor lies, for people and for the script."""
    lines = ["\t".join(_COLUMNS)]
    offset = 0
    for piece in pieces:
        shape, layout = (",".join(map(str, axes)) for axes in (piece.shape, piece.layout))
        words = (piece.dtype, piece.case, piece.layer, piece.tensor, piece.op_type or "-")
        lines.append("\t".join([str(offset), str(len(piece.data)), *words, shape, layout]))
        offset += len(piece.data)
    return ("\n".join(lines) + "\n").encode()


def _input_bytes(subject: UserSubject, project: Project, number: int) -> bytes:
    pairs = zip(project.inputs, subject.cases[number].inputs, strict=True)
    return b"".join(port.to_bytes(array) for port, array in pairs)


# The commands of a target, so that they work in any folder.

_SELF = sys.executable
_MODE = "@MODE@"
_Words = tuple[str, ...]


def _recipe(project: Project, target: Target) -> Recipe:
    """Everything that builds the program, or the one command that failed."""
    try:
        return build(project, target).recipe
    except BuildFailure as error:
        return failed_part(recipe_of(project, target), error)


@dataclass(frozen=True, slots=True)
class _Runner:
    """The words that run the program, and the files of ARES that are among them."""

    words: _Words
    files: Mapping[str, bytes]


def _runner(target: Target) -> _Runner:
    package = Path(ares.__file__).parent
    program = Path("/PROGRAM")
    files: dict[str, bytes] = {}
    words = []
    for word in target.machine.command(program, ("input", "output", _MODE)):
        path = Path(word)
        if word == str(program):
            words.append(f"./{PROGRAM}")
        elif path.is_absolute() and package in path.parents and path.is_file():
            files[path.name] = path.read_bytes()
            words.append(f"../{path.name}")
        else:
            words.append(word)
    return _Runner(tuple(words), files)


def _shell(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    if word == _SELF:
        return '"$PYTHON"'
    if _MODE in word:  # alone, or in the one line that a board is given
        return f'"{word.replace(_MODE, "$1")}"'
    return shlex.quote(word)


def _script_text(
    subject: UserSubject, target: Target, recipe: Recipe, runner: Sequence[str]
) -> str:
    environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in target.run_environment)
    commands = recipe.commands
    python = any(_SELF in words for words in (*commands, runner))
    run = f"limit env {environment} {_shell(runner)}" if environment else f"limit {_shell(runner)}"
    tools = dict.fromkeys(words[0] for words in (*commands, runner) if words[0][:1].isalpha())
    return _TEMPLATE.format(
        name=_UNSAFE.sub("_", subject.name),  # a file's name, which may be anything
        version=ares.__version__,
        target=target.name,
        description=target.description,
        tools=" ".join(map(shlex.quote, (*tools, "cmp", "awk", "od"))),
        install=target.install or "nothing else",
        python=f"PYTHON=${{PYTHON:-{shlex.quote(_SELF)}}}\n" if python else "",
        built=_BUILT if not recipe.whole else "",
        build=" &&\n    ".join(_shell(command) for command in commands),
        run=run,
        seconds=int(DEFAULT_TIMEOUT),
        compare=_COMPARE,
    )


def free_folder(name: str) -> Path:
    """`./ares-failure-<name>`, or the first of its numbered kin that is not there."""
    stem = f"ares-failure-{name}"
    number = 1
    while True:
        folder = Path(stem if number == 1 else f"{stem}-{number}")
        if not os.path.lexists(folder):
            return folder
        number += 1


_TEMPLATE = """\
#!/bin/sh
# {name} on {target} ({description}): what `ares verify` {version} found, without ARES.
# Builds project/ in work/, runs it on input.bin and compares every tensor with expected.bin.
# Exit code 0: every byte is as expected; 1: not, or it does not build or run; 2: a tool is missing.
# Needs: {install}; cmp, awk and od. Change project/ and run it again to see whether that repairs it.
set -u
cd "$(dirname "$0")" || exit 2
{python}
for tool in {tools}; do
    command -v "$tool" >/dev/null || {{ echo "$tool is not on the PATH ({install})" >&2; exit 2; }}
done

build() {{
    {build}
}}

limit() {{
    if command -v timeout >/dev/null; then timeout {seconds} "$@"; else "$@"; fi
}}

# run MODE: every case of input; the file output gets the tensors, bare.
run() {{
    {run}
}}

{compare}
rm -rf work && cp -R project work && cp input.bin work/input && cd work || exit 2
echo "building for {target}"
build || {{ echo "{name} does not build for {target}" >&2; exit 1; }}
{built}for mode in full outputs; do
    if [ "$mode" = full ]; then expected=expected; else expected=expected_outputs; fi
    rm -f output
    run "$mode" >"trace-$mode.txt"
    code=$?
    if [ "$code" -ne 0 ]; then
        echo "the program ended with exit code $code behind: $(tail -n 1 "trace-$mode.txt")" >&2
        exit 1
    fi
    difference output "../$expected.bin" "../$expected.tsv" || exit 1
done
echo "equal: every byte of every layer is as expected"
"""

_BUILT = """\
echo "the command that failed succeeds now; ares verify runs what it made"
exit 0
"""

_COMPARE = r"""# difference FOUND EXPECTED TABLE: fails, and names the first element that is not as expected.
difference() {
    summary=$(cmp "$1" "$2" 2>&1) && return 0
    at=$(cmp -l "$1" "$2" 2>/dev/null | awk 'NR == 1 { print $1; exit }')
    [ -n "$at" ] || { echo "$summary" >&2; return 1; }
    place=$(awk -F '\t' -v at="$((at - 1))" '
        NR > 1 && at >= $1 && at < $1 + $2 {
            size = ($3 == "s16") ? 2 : ($3 == "s32" || $3 == "f32") ? 4 : 1
            element = int((at - $1) / size)
            axes = split($8, shape, ","); split($9, layout, ",")
            rest = element
            for (i = axes; i >= 1; --i) {
                axis = layout[i] + 1
                index_of[axis] = rest % shape[axis]; rest = int(rest / shape[axis])
            }
            text = index_of[1]
            for (i = 2; i <= axes; ++i) text = text ", " index_of[i]
            printf "%s\t%d\t%d\tcase %s: layer %s (%s): tensor %s: element [%s]\n", \
                $3, $1 + element * size, size, $4, $5, $7, $6, text
            exit
        }' "$3")
    # A name may hold backslashes, which some shells' echo obeys.
    kind=$(column 1); from=$(column 2); size=$(column 3)
    printf 'DIFFERENT: %s: expected %s, found %s\n' "$(column 4)" "$(value "$2")" "$(value "$1")" >&2
    echo "$(cmp -l "$1" "$2" 2>/dev/null | wc -l) bytes differ" >&2
    return 1
}

# column NUMBER: of $place.
column() {
    printf '%s\n' "$place" | cut -f "$1"
}

# value FILE: the little-endian number of $size bytes at $from, of type $kind.
value() {
    od -An -v -t u1 -j "$from" -N "$size" "$1" | awk -v kind="$kind" '{
        number = 0; unit = 1
        for (i = 1; i <= NF; ++i) { number += $i * unit; unit *= 256 }
        if (kind ~ /^s/ && number >= unit / 2) number -= unit
        if (kind != "f32") { print number; exit }
        sign = number >= 2147483648 ? -1 : 1
        if (sign < 0) number -= 2147483648
        exponent = int(number / 8388608); mantissa = number % 8388608
        if (exponent == 255) { print (mantissa ? "nan" : sign < 0 ? "-inf" : "inf"); exit }
        if (exponent == 0) exponent = 1; else mantissa += 8388608
        printf "%.9g\n", sign * mantissa * 2 ^ (exponent - 150)
    }'
}
"""
