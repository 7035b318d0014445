"""Right subjects: each with its golden, kept from run to run under a key of all that made it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ares.evidence import sources_digest
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.network import NetworkSubject
from ares.pipeline.regenerate import regenerate
from ares.plan import Plan, plan
from ares.toolchain import Target, open_cache
from ares.verdict import STAGES, Outcome
from tests.checkout import ROOT
from tests.planted.workbench import Workbench

Array = npt.NDArray[Any]
SUBJECTS = Path(__file__).parent / "subjects"
# Whatever makes a golden.
PATTERNS = ("ares/**/*.py", "constraints.txt")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A right subject on a target: nothing in it may be changed."""

    session: NetworkSubject
    target: Target
    folder: Path

    @cached_property
    def workbench(self) -> Workbench:
        return Workbench(self.session.project, self.target, self.folder)

    @cached_property
    def plan(self) -> Plan:
        return plan(self.session.graph)

    @cached_property
    def float_outputs(self) -> tuple[tuple[Array, ...], ...]:
        """What the Brevitas model itself, as it was handed in, puts out for every case: binary32."""
        found = []
        for case in self.session.golden.cases:
            tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in case.inputs]
            with torch.no_grad():
                given = self.session.model(*tensors)
            several = given if type(given) in (tuple, list) else (given,)
            found.append(tuple(_values(one) for one in several))
        return tuple(found)


def _values(output: Any) -> Array:
    array: Array = getattr(output, "value", output).detach().numpy()
    return array


def subjects() -> tuple[str, ...]:
    """The names of all."""
    return tuple(sorted(path.stem for path in SUBJECTS.glob("*.py")))


def prepared(name: str, target: Target, folder: Path) -> Prepared:
    """A subject in a folder of its own, with a golden that the witnesses have accepted."""
    folder = folder / name
    golden = folder / "golden"
    golden.mkdir(parents=True)
    paths = ZooPaths(name, SUBJECTS / f"{name}.py", golden)
    with zipfile.ZipFile(io.BytesIO(_golden(paths, folder).read_bytes())) as archive:
        archive.extractall(golden)
    return Prepared(NetworkSubject(paths), target, folder)


def _golden(paths: ZooPaths, folder: Path) -> Path:
    """A zip of its files, in the cache."""
    source = paths.source.read_bytes()
    key = hashlib.sha256(sources_digest(ROOT, PATTERNS).encode() + source).hexdigest()[:32]

    def make(work: Path) -> None:
        made = ZooPaths(paths.name, paths.source, folder / "made")
        regenerate(made).write()
        session = NetworkSubject(made)
        for verdict in map(session.stage, STAGES):
            assert verdict.outcome is Outcome.PASS, verdict.message
        with zipfile.ZipFile(work / "golden.zip", "w") as archive:
            for path in sorted(made.golden.iterdir()):
                archive.write(path, path.name)

    return open_cache().obtain(f"planted-{paths.name}", key, "golden.zip", make)
