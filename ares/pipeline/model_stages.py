"""The stages that ask a subject's PyTorch model: can it be mapped, does its Graph fit, does it accept the codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ares.extract import Analysis, ExtractionError
from ares.ir import Graph, Operation
from ares.pipeline.subject import Subject
from ares.verdict import CHECK, EXTRACT, REFERENCE, TORCH, Stage, Verdict, blame
from ares.witness import Judgement, WitnessError
from ares.witness_partings import Float32Run
from ares.zoo.network_file import NetworkFileError
from ares.zoo.state import StateError

FAULTS = (*Subject.FAULTS, ExtractionError, NetworkFileError, StateError, WitnessError)
"""Errors with a line for the user, of a subject that has a model."""

NOT_MAPPABLE = "not mappable"
"""The fault of stage `check` itself."""


def mapped(name: str, analysis: Analysis) -> Graph:
    """The Graph of a model; raises ExtractionError with the first error where there is none."""
    for finding in analysis.errors:
        raise ExtractionError(name, finding)
    assert analysis.graph is not None
    return analysis.graph


@dataclass(frozen=True, slots=True, eq=False)
class ModelStages:
    """`analysis`: what extraction found. `judge`: the torch witness on the right codes of some cases, by number;
    `judgements`: on those of all cases. `float32`: the right codes of all cases against the float32 model's own.
    """

    subject: Subject
    analysis: Callable[[], Analysis]
    judge: Callable[[Sequence[int]], tuple[Judgement, ...]]
    judgements: Callable[[], tuple[Judgement, ...]]
    float32: Callable[[], Float32Run]

    def around(self, reference: Callable[[], Verdict]) -> Mapping[Stage, Callable[[], Verdict]]:
        """All stages of a subject that has a model; the one of the reference is its own."""
        return {
            CHECK: self.check,
            EXTRACT: self.extract,
            REFERENCE: reference,
            TORCH: self.torch,
        }

    def check(self) -> Verdict:
        """Nothing in the model stands in the way."""
        errors = self.analysis().errors
        if errors:
            text = "\n".join(str(finding) for finding in errors)
            return self.subject.fail(CHECK.name, text, fault=NOT_MAPPABLE, layer=errors[0].layer)
        return self.subject.succeed(
            CHECK.name, f"{len(self.analysis().findings)} findings, no error"
        )

    def extract(self) -> Verdict:
        """There is a valid Graph, and it fits the golden."""
        self.subject.check_golden()
        count = len(self.subject.graph.operations)
        return self.subject.succeed(EXTRACT.name, f"{count} operations")

    def torch(self) -> Verdict:
        """The model accepts every code of every case, and float32 differs at ties only."""
        subject = self.subject
        subject.check_golden()
        judgements = self.judgements()
        rejected = [judgement for judgement in judgements if not judgement.accepted]
        if not rejected:
            worst = max(judgement.deviation for judgement in judgements)
            return self._explained(f"largest deviation {worst:.2g}")
        first = rejected[0]
        producer = self._producer(first.tensor)
        if first.of_weights:
            where, what = "(weights)", "the weights"
            who = "the weights in the Graph are not the model's: fault in the extraction"
        else:
            case = first.index[0]
            where, who = subject.golden.cases[case].name, subject.whose_fault(case, first.tensor)
            what = "the golden" if self._knows(case, first.tensor) else "what the reference makes"
        return subject.fail(
            TORCH.name,
            f"{subject.name}: case {where}: {subject.place(producer.name, producer.OP_TYPE)}: "
            f"the Brevitas model does not accept {what} of {first.tensor} at {first.event}\n"
            f"worst of {first.elements} elements at {list(first.index)}: code {first.code:g}, "
            f"model means {first.real:.9g}; deviation {first.deviation:.3g}, allowed {first.eps:.3g}\n"
            + who,
            fault="difference",
            layer=producer.name,
        )

    def _explained(self, accepted: str) -> Verdict:
        """Whether every code that the float32 model has otherwise stems from ties; `accepted`: what float64 says."""
        subject, run = self.subject, self.float32()
        wrong = next((parting for parting in run.partings if parting.unexplained), None)
        if wrong is None:
            return subject.succeed(TORCH.name, f"{accepted}; {run}")
        producer = self._producer(wrong.tensor)
        case = subject.golden.cases[wrong.index[0]].name
        return subject.fail(
            TORCH.name,
            f"{subject.name}: case {case}: {subject.place(producer.name, producer.OP_TYPE)}: "
            f"float32 computes another {wrong.tensor} from the same codes, and no tie explains it\n{wrong}",
            fault="unexplained",
            layer=producer.name,
        )

    def _producer(self, tensor: str) -> Operation:
        return next(op for op, made in self.subject.graph.produced() if made.name == tensor)

    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None) -> str:
        """A sentence on whose fault a difference is, once the model was asked about the right codes of the case."""
        try:
            judgements = self.judge([case])
        except WitnessError as error:
            return f"torch could not be asked: {error}"
        accepted = all(j.accepted for j in judgements if j.tensor == tensor and not j.of_weights)
        if not self._knows(case, tensor):
            # Torch judged the reference's codes: those, accepted, speak against the golden.
            accepted = not accepted
        return blame(
            reference_agrees=self.subject.reference_agrees(case, tensor),
            torch_agrees=accepted,
            c_agrees=c_agrees,
        )

    def _knows(self, case: int, name: str) -> bool:
        """Whether `expected` is the golden itself: stored whole, or equal to it by its digest."""
        stored = self.subject.golden.cases[case].arrays
        return name in stored or self.subject.reference_agrees(case, name)
