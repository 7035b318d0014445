"""One model judged from end to end in this process: `python -m tests.models.judging NAME [--target NAME]...`.

Prints one JSON object on standard output: what of the model is known, whichever way it ended.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from ares.checker import check_model
from ares.cli.interrupts import interruptible
from ares.extract import Finding
from ares.toolchain import Target, default_targets, select
from ares.user_files import UserInputError
from ares.verifier.user_subject import Given, UserSubject
from ares.verifier.verification import Verification, verify
from tests.models.agreement import agreement
from tests.models.catalogue import MODELS, Model
from tests.models.preparation import samples

_KIB_PER_MIB = 1024
# Samples that no preparation has seen.
_SEED = 99


def judge(model: Model, targets: Sequence[Target]) -> dict[str, Any]:
    """Build, check, and verify if it was accepted; seconds, memory and agreement with Brevitas besides."""
    row: dict[str, Any] = {
        "name": model.name,
        "group": model.group,
        "advice": model.advice,
        "shape": list(model.shape),
    }
    clock = _Clock()
    try:
        built = model.build()
        clock.end("build")
        row |= _checked(model, built)
        clock.end("check")
    except Exception as error:  # noqa: BLE001 - whatever Brevitas or a model raises is the finding
        return row | {"verdict": "does not run", "reasons": [_reason(error)]} | clock.facts()
    if row["verdict"] == "accepted":
        row |= _verified(model, built, targets)
        clock.end("verify")
    return row | clock.facts()


class _Clock:
    """Seconds of each part; in all, processor time and peak memory of this process and of the largest it started."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._seconds: dict[str, float] = {}

    def end(self, part: str) -> None:
        now = time.monotonic()
        self._seconds[part] = round(now - self._start, 1)
        self._start = now

    def facts(self) -> dict[str, Any]:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return {
            "seconds": self._seconds,
            "processor_seconds": round(sum(use.ru_utime + use.ru_stime for use in used), 1),
            "peak_mib": [round(use.ru_maxrss / _KIB_PER_MIB) for use in used],
        }


def _checked(model: Model, built: nn.Module) -> dict[str, Any]:
    report = check_model(built, (samples(1, model.shape, _SEED),), model.name)
    grouped: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in report.errors:
        # The same of many layers is one reason, though each names its own parts.
        words = finding.reason.replace(finding.layer, "") if finding.layer else finding.reason
        grouped.setdefault((finding.layer_type, words, finding.suggestion), []).append(finding)
    reasons = [
        {
            "type": findings[0].layer_type,
            "reason": findings[0].reason,
            "advice": findings[0].suggestion,
            "layer": findings[0].layer,
            "count": len(findings),
        }
        for findings in grouped.values()
    ]
    verdict = "accepted" if report.compatible else "refused"
    return {"verdict": verdict, "layers": len(report.layers), "reasons": reasons}


def _verified(model: Model, built: nn.Module, targets: Sequence[Target]) -> dict[str, Any]:
    given = samples(model.samples, model.shape, _SEED)
    subject = UserSubject(
        Given(
            name=model.name.replace("@", "_").replace("+", "_"),
            model=built,
            example=(given[:1],),
            rows=[(row[None].numpy(),) for row in given],
            origin="samples of tests/models",
            cases=None,
            again=f"python -m tests.models.judging {model.name}",
            vacuity={},
        )
    )
    result = verify(subject, targets, None, lambda _: None)
    found = _result(result)
    if result.passed:
        cases = subject.golden.cases[: model.samples]
        found["agreement"] = agreement(built, subject.graph, cases, given)
    return found


def _result(result: Verification) -> dict[str, Any]:
    found: dict[str, Any] = {
        "verdict": "EXACT" if result.passed else "not exact",
        "cases": len(result.cases),
        "exact": list(result.exact_targets),
        "deviation": float(f"{result.deviation:.1e}"),
        "operations": len(result.layers),
    }
    if not result.passed:
        found["reasons"] = [
            {"type": v.stage, "reason": v.message, "advice": "", "layer": v.layer, "count": 1}
            for v in result.matrix.failures
        ]
    return found


def _reason(error: Exception) -> dict[str, Any]:
    text = str(error).split("\n\n")[0].strip()
    words = text if isinstance(error, UserInputError) else f"{type(error).__name__}: {text}"
    return {"type": "", "reason": words, "advice": "", "layer": "", "count": 1}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.models.judging")
    parser.add_argument("name", choices=sorted(MODELS), metavar="NAME")
    parser.add_argument("--target", action="append", help="of ares networks --list-targets")
    options = parser.parse_args(arguments)
    targets = select(options.target) if options.target else default_targets()
    warnings.simplefilter("ignore")  # Brevitas' and torch's own, about themselves
    json.dump(judge(MODELS[options.name], targets), sys.stdout)
    return 0


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))
