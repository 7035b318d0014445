"""Proofs as verdicts, a stage for each target beside that of the compiled C; networks of the zoo side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace

from ares.pipeline.catalogue import Zoo
from ares.pipeline.jobs import subject_of
from ares.pipeline.matrix import Matrix
from ares.pipeline.subject import Subject
from ares.pipeline.workers import Workers, end_workers
from ares.prover.proving import Proof, ProveError, prove
from ares.toolchain import BuildFailure, RunFailure, Target, ToolchainError, select
from ares.verdict import Outcome, Verdict, proof_stage

NOT_RIGHT = "not right"


@dataclass(frozen=True, slots=True)
class Judged:
    """Of one subject a verdict a target, and the proofs, of those targets that could be probed."""

    verdicts: tuple[Verdict, ...]
    proofs: tuple[Proof, ...]


def judge_proofs(subject: Subject, targets: Sequence[Target]) -> Judged:
    """What `ares prove` shows of a subject whose stages before the C passed."""
    start = time.monotonic()
    found = {target.name: _settled(subject, target) for target in targets}
    usable = [target for target in targets if found[target.name] is None]
    proofs: tuple[Proof, ...] = ()
    faults: tuple[type[Exception], ...] = (ProveError, *subject.FAULTS)
    try:
        proofs = prove(subject, usable).proofs if usable else ()
    except (BuildFailure, RunFailure) as error:
        found |= {t.name: _failed(subject, t, str(error), error.kind) for t in usable}
    except ToolchainError as error:
        found |= {t.name: _failed(subject, t, str(error), "toolchain") for t in usable}
    except faults as error:
        found |= {t.name: _failed(subject, t, str(error), type(error).__name__) for t in usable}
    found |= {proof.target: _verdict(subject, proof) for proof in proofs}
    each = (time.monotonic() - start) / max(1, len(usable))
    timed = [
        replace(verdict, seconds=each if verdict.outcome.facts.judged else 0.0)
        for verdict in found.values()
        if verdict is not None
    ]
    return Judged(tuple(timed), proofs)


def prove_networks(
    zoo: Zoo,
    names: Sequence[str],
    targets: Sequence[Target],
    jobs: int,
    tell: Callable[[Judged], None] = lambda _: None,
) -> list[Judged]:
    """The same of subjects of the zoo, in so many processes; `tell` hears of each as it ends."""
    pool = Workers(jobs)
    chosen = tuple(target.name for target in targets)
    try:
        futures: list[Future[Judged]] = [pool.submit(_judge, zoo, n, chosen) for n in names]
        for future in as_completed(futures):
            tell(future.result())
        return [future.result() for future in futures]
    except BaseException:
        end_workers()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def with_proofs(matrix: Matrix, judged: Sequence[Judged], seconds: float) -> Matrix:
    """The matrix with the proofs' verdicts behind those of each subject."""
    of_subject = {
        name: [v for v in matrix.verdicts if v.network == name] for name in matrix.subjects
    }
    for each in judged:
        for verdict in each.verdicts:
            of_subject[verdict.network].append(verdict)
    verdicts = tuple(verdict for own in of_subject.values() for verdict in own)
    return Matrix(verdicts, matrix.seconds + seconds, matrix.targets)


def _judge(zoo: Zoo, name: str, targets: tuple[str, ...]) -> Judged:
    return judge_proofs(subject_of(zoo, name), select(targets))


def _settled(subject: Subject, target: Target) -> Verdict | None:
    """The verdict of a target that cannot be probed here."""
    lacking, missing = target.lacking(), target.missing()
    if target.machine.board is not None:
        outcome, why = (
            Outcome.LEFT_OUT,
            "a board reads no files, so that its layers cannot be probed",
        )
    elif lacking is not None:
        outcome, why = Outcome.LEFT_OUT, lacking
    elif missing is not None:
        outcome, why = Outcome.NOT_RUN, missing
    else:
        return None
    stage = proof_stage(target.name)
    return Verdict(subject.name, stage, outcome, why, "not probed", target=target.name)


def _failed(subject: Subject, target: Target, message: str, fault: str, layer: str = "") -> Verdict:
    text = f"{message}\nto repeat it: ares prove {subject.name} --target {target.name}"
    stage = proof_stage(target.name)
    return Verdict(subject.name, stage, Outcome.FAIL, text, fault, layer=layer, target=target.name)


def _verdict(subject: Subject, proof: Proof) -> Verdict:
    stage = proof_stage(proof.target)
    if not proof.faults:
        return subject.succeed(stage, proof.summary(), target=proof.target)
    lines = [f"{layer.layer} ({layer.op_type}): {layer.fault}" for layer in proof.faults]
    return subject.fail(
        stage,
        "\n".join([f"{subject.name}: {proof.said()}", *lines]),
        fault=NOT_RIGHT,
        layer=proof.faults[0].layer,
        target=proof.target,
    )
