"""Many small models through one runtime: a child takes them one after the other; where it dies, the next goes on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ares.runtimes.named import load_named, save_named
from ares.runtimes.rows import Runtime
from ares.toolchain.machines import PYTHON
from ares.toolchain.process import Finished, run_process

Array = npt.NDArray[Any]
_CHILD = "ares.runtimes.child"
_LINE = 300
# Seconds to start, and for each model beside.
_START, _EACH = 60.0, 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A model's bytes and its cases: inputs by name."""

    data: bytes
    cases: Sequence[Mapping[str, Array]]


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """Outputs by name, a case each."""

    cases: Sequence[Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Failed:
    """The runtime refused the model, died or did not end: its own words, in a line."""

    words: str


def run_models(runtime: Runtime, requests: Sequence[Request]) -> list[Ran | Failed]:
    """What a runtime makes of each model, in their order."""
    with tempfile.TemporaryDirectory(prefix="ares-runtime-") as name:
        folders = [Path(name) / str(number) for number in range(len(requests))]
        for folder, request in zip(folders, requests, strict=True):
            folder.mkdir()
            (folder / "model").write_bytes(request.data)
            for number, inputs in enumerate(request.cases):
                save_named(folder / f"case{number}.npz", inputs)
        left = list(folders)
        died: dict[Path, str] = {}
        while left:
            finished = _child(runtime, left, Path(name))
            untouched = [folder for folder in left if not (folder / "begun").exists()]
            if finished.code == 0:
                break
            begun = [folder for folder in left if folder not in untouched]
            died[begun[-1] if begun else left[0]] = _end(finished)
            left = untouched if begun else []
        return [
            _found(folder, len(request.cases), died.get(folder))
            for folder, request in zip(folders, requests, strict=True)
        ]


def _child(runtime: Runtime, folders: Sequence[Path], work: Path) -> Finished:
    settings = json.dumps(dict(runtime.settings))
    words = (*PYTHON, "-m", _CHILD, runtime.engine, settings, *map(str, folders))
    return run_process(words, folder=work, timeout=_START + _EACH * len(folders))


def _end(finished: Finished) -> str:
    said = finished.stderr.strip().splitlines()[-1:] or ["no message"]
    if finished.code is None:
        return "did not end"
    how = f"died of signal {-finished.code}" if finished.code < 0 else f"ended with {finished.code}"
    return f"{how}: {said[0]}"[:_LINE]


def _found(folder: Path, cases: int, died: str | None) -> Ran | Failed:
    paths = [folder / f"found{number}.npz" for number in range(cases)]
    refused = folder / "refused"
    if refused.exists():
        words = refused.read_text(encoding="utf-8").split()
        return Failed(f"refused: {' '.join(words)}"[:_LINE])
    if not all(path.exists() for path in paths):
        return Failed(died or "was not reached: the process before it died")
    return Ran([load_named(path) for path in paths])
