"""Suites and networks as what mutants of the Python are judged by: a subject from its files to its verdicts."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from ares.mutator.limits import TookLong
from ares.mutator.outcome import first_line
from ares.verdict.verdict import OF_THE_EQUIPMENT

NETWORKS = (
    "test_37_zeropad2d",
    "test_12_gelu_basic",
    "test_9_padding",
    "test_4_resnet_basic",
    "test_18_mamba_block",
    "test_13_transformer_simple",
    "test_46_tcn",
)
TARGET = "gcc-portable"
"""Where the C is run that a mutant makes otherwise."""
_RAN_OUT = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class OfTheMachine(Exception):
    """Nothing was compared, for want of something here: no mutant is killed by that."""


def subjects(root: Path) -> list[str]:
    """The suites, then the networks."""
    return [*sorted(path.name for path in (root / "golden").glob("ops_*")), *NETWORKS]


def is_suite(name: str) -> bool:
    """Whether a subject is a suite of unit cases, not a network."""
    return name.startswith("ops_")


def data(root: Path, name: str) -> list[str]:
    """What a subject is made from beside modules, and what its C is made with."""
    found = ["runtime", f"golden/{name}"]
    network = f"tests/test_networks/{name}.py"
    return [*found, network] if (root / network).is_file() else found


def judged(root: Path, name: str, project: str) -> tuple[str, str]:
    """What is wrong with a subject, "" where nothing is, and the digest of its C; run where it is not `project`."""
    try:
        return _verdicts(root, name, project)
    except OfTheMachine:
        raise
    except (Exception, SystemExit, TookLong) as error:
        # Broad: whatever a mutant does on right input, it is seen.
        if isinstance(error, OSError) and error.errno in _RAN_OUT:
            raise OfTheMachine(str(error)) from error
        return f"{type(error).__name__}: {error}", ""


def _verdicts(root: Path, name: str, project: str) -> tuple[str, str]:
    from ares.pipeline.catalogue import Zoo
    from ares.toolchain import select

    zoo = Zoo(root)
    if zoo.is_suite(name):
        from ares.pipeline.suite import SuiteSubject

        subject: Any = SuiteSubject(zoo.golden / name)
    else:
        from ares.pipeline.network import NetworkSubject

        subject = NetworkSubject(zoo.paths(name))
    for stage in subject.stages():
        verdict = subject.stage(stage)
        if verdict.outcome.name != "PASS":
            _require_compared(verdict)
            return f"{stage.name}: {verdict.message}", ""
    digest = f"{subject.project.digest} {subject.guarded_project.digest}"
    if project and digest != project:
        (target,) = select([TARGET])
        verdict = subject.target(target)
        if verdict.outcome.name not in ("PASS", "LEFT_OUT"):
            _require_compared(verdict)
            return verdict.message or verdict.stage, digest
    return "", digest


def _require_compared(verdict: Any) -> None:
    """`verdict` is of modules that were imported anew, one of them mutated: what it says of itself is not asked."""
    if verdict.fault in OF_THE_EQUIPMENT:
        raise OfTheMachine(first_line(verdict.message, 400))
