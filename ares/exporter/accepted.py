"""What is exported has been accepted first: by every stage before the C."""

from __future__ import annotations

from ares.emit import Vector
from ares.verdict import Outcome
from ares.verifier.user_subject import UserSubject


class ExportError(Exception):
    """There is no such file of this model: it cannot be mapped or said, does not accept its golden cases, or has no
    codes at its ends.

    One line.
    """


def accepted(subject: UserSubject) -> list[Vector]:
    """The golden cases, once every stage before the C has passed."""
    for stage in subject.stages():
        verdict = subject.stage(stage)
        if verdict.outcome is not Outcome.PASS:
            first = f"{verdict.message.splitlines()[0]} (ares verify says more)"
            raise ExportError(subject.refusal(verdict) or first)
    return [
        Vector(
            case.name,
            case.inputs,
            subject.expected(number),
            tuple(subject.expected(number)[name] for name in subject.graph.outputs),
        )
        for number, case in enumerate(subject.golden.cases)
    ]
