"""The Python door: `ares.check`, `ares.verify` and `ares.export`, for a model that is there already, in a session.

Each does what the command of its name does, by the same stages and in the same words: what it returns is a record
whose `str()` is what the command prints. The model is left as it is; a copy of it is put into evaluation mode, on the
CPU, and run. A model that cannot be mapped, or whose C differs, is a result; where there is none, `AresError` says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ares import checker
from ares import exporter as exporting
from ares.checker import check_model
from ares.exporter import Export, ExportError
from ares.files import is_taken
from ares.pipeline.trial import named_targets
from ares.tables import plain
from ares.toolchain import TARGETS, Target, ToolchainError, default_targets, select
from ares.user_files import Inputs, NoInputs, UserInputError, find_inputs
from ares.user_files.inputs import evaluated_copy
from ares.verifier import verification
from ares.verifier.rendering import text
from ares.verifier.reproduction import reproduction_of
from ares.verifier.user_subject import Given, Row, UserSubject

__all__ = [
    "AresError",
    "Export",
    "Report",
    "Verification",
    "check",
    "export",
    "own_target",
    "read_targets",
    "verify",
]

Array = npt.NDArray[Any]
Values = Tensor | Array
"""What one input of `forward` is given: samples along the first axis."""

MOST_CASES = 10_000
_REPORT_WIDTH = 80
_EXPECTED = "a tensor, an array, or a list with one for each input of forward"


class AresError(Exception):
    """No result can be given; one line says what was found and what was expected.

    `forward` does not run on the inputs, the samples do not fit it, no target has this name, the folder is not empty,
    or there is no C of this model to export: what a command ends with instead of a report.
    """


class Report(checker.Report):
    """What `ares.check` found: `compatible`, `errors`, `warnings`, `summary`; `str()` is the whole report."""

    __slots__ = ()

    def __str__(self) -> str:
        return plain(checker.render(self, _REPORT_WIDTH), _REPORT_WIDTH)

    def __repr__(self) -> str:
        return f"<Report on {self.network}: {self.summary}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))


@dataclass(frozen=True, slots=True, repr=False)
class Verification(verification.Verification):
    """What `ares.verify` found: `passed`, `summary`, `layers`, `exact_targets`; `str()` is the whole report.

    `kept`: the folder that repeats the failure without ARES, None where there is none.
    """

    kept: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """The result as plain values, as the command writes it."""
        kept = None if self.kept is None else str(self.kept)
        return {**verification.Verification.as_json(self), "reproduction": kept}

    def __str__(self) -> str:
        return text(self, self.kept)

    def __repr__(self) -> str:
        return f"<Verification of {self.network}: {self.summary}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))


def check(
    model: nn.Module,
    example_inputs: Values | Sequence[Values] | None = None,
    *,
    name: str = "model",
) -> Report:
    """Whether ARES can turn `model` into C, and what to change where it cannot.

    `example_inputs`: a tensor or array, or one for each input of `forward`, batch first; None infers shapes from the
    first layers. The model need not be calibrated. Raises AresError when `forward` does not run on given inputs.
    """
    with _errors():
        inputs = None
        if example_inputs is not None:
            arrays = _arrays("example_inputs", example_inputs)
            inputs = Inputs(tuple(map(torch.from_numpy, arrays)), "example_inputs")
        found = check_model(_evaluated(model), inputs, name, is_ours=True)
    return Report(**_values(found))


def verify(
    model: nn.Module,
    example_inputs: Values | Sequence[Values],
    *,
    targets: str | Target | Sequence[str | Target] | None = None,
    cases: int | None = None,
    inputs: Values | Sequence[Values] | None = None,
    name: str = "model",
    jobs: int | None = None,
    out: str | PathLike[str] | None = None,
) -> Verification:
    """Show that the generated C computes the very integers of `model`, in every layer, on every chosen target.

    `example_inputs`: a tensor or array, or one for each input of `forward`, batch first. `inputs`: more of the same,
    your own data; None takes all samples of `example_inputs`. Real values are float32, ids int64.
    `targets`: names or patterns (`"gcc-O2"`, `["s390x-*", "wasm32*"]`), or what `own_target` and `read_targets` return;
    None for the default ones. `cases`: how many, 1
    to 10,000: the samples, then random and edge values; None: the samples (at most 64) and two. `jobs`: targets side
    by side, None for one per core. `out`: a new folder in which a failure is kept, to be repeated without ARES.

    A target that is not installed is no failure, but `passed` wants at least one that is. Raises AresError where
    there is nothing to judge: unknown targets, inputs that `forward` does not run on, samples of another shape.
    """
    with _errors():
        chosen = _targets(targets)
        _require_number("cases", cases, MOST_CASES)
        _require_number("jobs", jobs)
        folder = None if out is None else _free(out)
        subject = _user_model(model, example_inputs, inputs, cases, name)
        found = verification.verify(subject, chosen, jobs, lambda _: None)
        result = Verification(**_values(found))
        return result if folder is None else _keep(subject, result, folder)


def export(
    model: nn.Module,
    folder: str | PathLike[str],
    example_inputs: Values | Sequence[Values],
    *,
    inputs: Values | Sequence[Values] | None = None,
    cases: int = 3,
    name: str = "model",
    io: str = "float",
) -> Export:
    """Write the C project of `model`: sources, weights, runtime, self-test, Makefile, CMake.

    `folder` must not exist or be empty; it is written whole or not at all. `example_inputs`, `inputs`: as for `verify`.
    `cases`: golden cases of the self-test, 1 to 100: the samples first. `name`: what the C functions are called after.
    `io`: "float", or "codes" for inputs and outputs of 8 bits: those behind the first quantisers, and at the end.
    Raises AresError when the model cannot be mapped, does not accept its golden cases or has no codes at an end, or
    nothing can be written.
    """
    with _errors():
        _require_number("cases", cases, 100)
        if io not in ("float", "codes"):
            raise AresError(f"io is {io!r}, expected 'float' or 'codes'")
        free = _free(folder)
        subject = _user_model(model, example_inputs, inputs, cases, name)
        try:
            return exporting.export(subject, free, codes=io == "codes")
        except OSError as error:
            raise AresError(f"cannot write {free}: {error.strerror or error}") from error


@contextmanager
def _errors() -> Iterator[None]:
    """What the stages raise for users becomes one kind of error; the warnings of the model's code are silent.

    As in the commands, and because a test suite that makes errors of warnings would else see Brevitas' as ours.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (UserInputError, ExportError, ToolchainError) as error:
            raise AresError(" ".join(str(error).split())) from error


def _values(record: Any) -> dict[str, Any]:
    """The fields of a record, to make one of a class that extends its own."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def own_target(cc: str, *, runner: str | None = None, board: str | None = None) -> Target:
    """A compiler of your own with its flags, for `verify(..., targets=...)`; it is called `cc`.

    `runner`: the command that runs its programs, None for this machine. `board`: one of ours, for its start-up code
    and emulator. What the compiler compiles for is asked of it, and the smallest network is tried. Raises AresError,
    one line, where that does not work.
    """
    with _errors():
        (target,) = named_targets(cc=cc, runner=runner, board=board)
        return target


def read_targets(path: str | PathLike[str]) -> tuple[Target, ...]:
    """The targets of a TOML file (docs/own-targets.md), tried, for `verify(..., targets=...)`.

    One that cannot be used here is among them, and will be *not run*. Raises AresError, one line, where something in
    the file is wrong, or none can be used.
    """
    with _errors():
        return named_targets(targets_file=Path(path))


def _targets(named: str | Target | Sequence[str | Target] | None) -> Sequence[Target]:
    if named is None:
        return default_targets()
    given = [named] if isinstance(named, (str, Target)) else list(named)
    if not given:
        raise AresError("targets is empty; name one, or leave it out for the default targets")
    for each in given:
        if not isinstance(each, (str, Target)):
            raise AresError(f"targets holds something {_kind(each)}, expected names or Targets")
    patterns = [each for each in given if isinstance(each, str)]
    own = [each for each in given if isinstance(each, Target)]
    chosen = (*own, *(target for target in select(patterns) if target not in own))
    names = [target.name for target in chosen]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise AresError(f"targets holds two different ones called {twice}")
    return chosen


def _require_number(what: str, number: int | None, most: int | None = None) -> None:
    if number is not None and not 1 <= number <= (most or number):
        limit = f"1 to {most:,}" if most else "at least 1"
        raise AresError(f"{what} is {number}, expected {limit}")


def _free(path: str | PathLike[str]) -> Path:
    folder = Path(path)
    if is_taken(folder):
        raise AresError(
            f"{folder} is there already and not empty; name a new folder or remove it first"
        )
    return folder


def _keep(subject: UserSubject, result: Verification, folder: Path) -> Verification:
    """The result with the folder that repeats its first failure, where C can show one."""
    found = reproduction_of(subject, result) if result.matrix.failures else None
    if found is None:
        return result
    try:
        found.write(folder)
    except OSError as error:
        # What was found counts, and is not lost because a disk is full.
        note = f"cannot write {folder}: {error.strerror or 'it is there now'}"
        return replace(result, notes=(*result.notes, note))
    return replace(result, kept=folder)


# The model and its inputs.


def _again(target: str) -> str:
    """A session has no command: the call that says it again."""
    ours = any(target == each.name for each in TARGETS)
    # Another is one that the caller has made, and has by a name of its own.
    chosen = f', targets="{target}"' if ours else f", targets=[{target}]" if target else ""
    return f"ares.verify(model, example_inputs{chosen})"


def _user_model(
    model: nn.Module,
    example_inputs: Values | Sequence[Values],
    inputs: Values | Sequence[Values] | None,
    cases: int | None,
    name: str,
) -> UserSubject:
    copied = _evaluated(model)
    example = _arrays("example_inputs", example_inputs)
    origin = "example_inputs" if inputs is None else "inputs"
    rows = _rows(origin, example if inputs is None else _arrays(origin, inputs))
    tensors = tuple(torch.from_numpy(array[:1].copy()) for array in example)
    first = Inputs(tensors, "example_inputs")
    found = find_inputs(copied, first)
    given = Given(
        name=name,
        model=copied,
        example=first.tensors,
        # One sample of example_inputs is the example and no more.
        rows=rows if inputs is not None or len(rows) > 1 else [],
        origin=origin,
        notes=first.notes,
        cases=cases,
        again=_again,
        vacuity={},
        refusal=found.refusal if isinstance(found, NoInputs) else None,
    )
    return UserSubject(given)


def _rows(where: str, arrays: Sequence[Array]) -> list[Row]:
    """Each sample of all inputs, with its batch axis; an input of one sample goes with all others, as in torch."""
    counts = {len(array) for array in arrays} - {1} or {1}
    if len(counts) > 1:
        listed = ", ".join(str(len(array)) for array in arrays)
        raise AresError(f"{where} hold different numbers of samples: {listed}")
    return [
        tuple(array if len(array) == 1 else array[k : k + 1] for array in arrays)
        for k in range(max(counts))
    ]


def _evaluated(model: nn.Module) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise AresError(f"model is {_kind(model)}, expected a torch.nn.Module")
    return evaluated_copy(model).cpu()


def _arrays(where: str, values: Values | Sequence[Values]) -> tuple[Array, ...]:
    """One array an input of `forward`, float32 or int64, every value as it was."""
    if isinstance(values, (Tensor, np.ndarray)):
        return (_numbers(where, values),)
    # A QuantTensor of Brevitas is a named tuple of its parts.
    if not isinstance(values, (list, tuple)) or hasattr(values, "_fields"):
        raise AresError(f"{where} is {_kind(values)}, expected {_EXPECTED}")
    return tuple(_numbers(f"{where}[{index}]", value) for index, value in enumerate(values))


def _numbers(where: str, values: Values) -> Array:
    if isinstance(values, Tensor):
        array = _array(where, values)
    elif isinstance(values, np.ndarray):
        array = values
    else:
        raise AresError(f"{where} is {_kind(values)}, expected {_EXPECTED}")
    if array.ndim == 0 or array.size == 0:
        raise AresError(
            f"{where} has shape {array.shape}, expected samples along the first axis, at least one"
        )
    if array.dtype.kind in "iu" and array.dtype != np.uint64:
        return np.ascontiguousarray(array.astype(np.int64))
    if array.dtype.kind != "f":
        raise AresError(f"{where} holds {array.dtype}, expected float32, or int64 for ids")
    finite = np.isfinite(array)
    if not finite.all():
        index = [int(i) for i in np.unravel_index(int(np.argmin(finite)), array.shape)]
        raise AresError(
            f"{where}: element {index} is {array[tuple(index)]}; every value must be finite"
        )
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array.astype(np.float32))
    if not np.array_equal(single, array):
        raise AresError(
            f"{where} holds {array.dtype} values that float32 cannot hold, which is what the network takes; "
            f"give {where}.astype(numpy.float32), or .float() of a tensor"
        )
    return single


def _array(where: str, tensor: Tensor) -> Array:
    try:
        dense = tensor.detach().cpu()
        # numpy has no bfloat16; binary32 holds every one.
        real = dense.dtype is torch.bfloat16
        array: Array = (dense.float() if real else dense).numpy()
    except (RuntimeError, TypeError) as error:
        # Sparse, quantised by torch itself, or without data.
        raise AresError(f"{where} is no ordinary tensor: {error}") from error
    return array


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"
