"""One network through all stages; every stage is computed once and ends in a Verdict.

Stages in order: `check` (nothing in the model stands in the way), `extract` (a valid Graph that fits the golden),
`reference` (the integer reference equals the golden), `torch` (the float64 Brevitas model accepts the golden),
then `c[<target>]` for each target (the compiled C equals the golden, every layer of every case: `Subject`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ares.extract import Analysis, ExtractionError, analyse
from ares.golden import Golden, GoldenError, load_golden, required, sha256
from ares.ir import Graph
from ares.pipeline.catalogue import ZOO_STAGES, ZooPaths
from ares.pipeline.stored_state import read_state, restore_state
from ares.pipeline.subject import Subject
from ares.verdict import Verdict, blame
from ares.witness import Judgement, Witness, WitnessError
from ares.zoo.network_file import NetworkFile, NetworkFileError, load_network_file
from ares.zoo.state import StateError, StateInfo

STAGES = ZOO_STAGES


class NetworkSubject(Subject):
    """Lazily computed stages of one network of the zoo."""

    STAGES = STAGES
    FAULTS = (*Subject.FAULTS, ExtractionError, NetworkFileError, StateError, WitnessError)

    def __init__(self, paths: ZooPaths) -> None:
        self.paths = paths
        self.name = paths.name

    # What the stages share. Each raises one of FAULTS with a line for the user.

    @cached_property
    def network(self) -> NetworkFile:
        return load_network_file(self.paths.source)

    @cached_property
    def restored(self) -> tuple[Any, StateInfo]:
        return restore_state(self.network, read_state(self.paths))

    @cached_property
    def analysis(self) -> Analysis:
        inputs = self.network.example_inputs()
        return analyse(self.restored[0], inputs, self.name, allow_uncalibrated=False)

    @cached_property
    def graph(self) -> Graph:
        for finding in self.analysis.errors:
            raise ExtractionError(self.name, finding)
        assert self.analysis.graph is not None
        return self.analysis.graph

    @cached_property
    def golden(self) -> Golden:
        return load_golden(self.paths.golden)

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """The torch witness on the golden codes of all cases, in one forward pass."""
        return self._judge(range(len(self.golden.cases)))

    def _judge(self, cases: Sequence[int]) -> tuple[Judgement, ...]:
        inputs = [
            np.concatenate([self.golden.cases[k].inputs[i] for k in cases])
            for i in range(len(self.graph.inputs))
        ]
        names = [tensor.name for _, tensor in self.graph.produced()]
        tensors = {name: np.concatenate([self.expected(k)[name] for k in cases]) for name in names}
        return Witness(self.restored[0], self.graph).judge(inputs, tensors)

    # The stages.

    def stages(self) -> Mapping[str, Callable[[], Verdict]]:
        return {
            "check": self._check,
            "extract": self._extract,
            "reference": self._reference,
            "torch": self._torch,
        }

    def _check(self) -> Verdict:
        errors = self.analysis.errors
        if errors:
            return self._fail(
                "check",
                "\n".join(str(finding) for finding in errors),
                fault="not mappable",
                layer=errors[0].layer,
            )
        return self._pass("check", f"{len(self.analysis.findings)} findings, no error")

    def check_golden(self) -> None:
        graph = self.graph  # a state that is missing says more than a golden that is
        required(self.golden, graph)
        if self.golden.provenance.get("state_sha256") != sha256(read_state(self.paths)):
            raise GoldenError(
                f"{self.name}: the golden was made from another state than the one beside it; restore both "
                f"with git checkout, or run python tools/regenerate_golden.py {self.name}"
            )

    def _extract(self) -> Verdict:
        self.check_golden()
        return self._pass("extract", f"{len(self.graph.operations)} operations")

    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None = None) -> str:
        try:
            judgements = self._judge([case])
        except WitnessError as error:
            return f"torch could not be asked: {error}"
        accepted = all(j.accepted for j in judgements if j.tensor == tensor and not j.of_weights)
        if not self._knows(case, tensor):
            # Torch judged the reference's codes: those, accepted, speak against the golden.
            accepted = not accepted
        return blame(
            reference_agrees=self.reference_agrees(case, tensor),
            torch_agrees=accepted,
            c_agrees=c_agrees,
        )

    def _knows(self, case: int, name: str) -> bool:
        """Whether `expected` is the golden itself: stored whole, or equal to it by its digest."""
        return name in self.golden.cases[case].arrays or self.reference_agrees(case, name)

    def _torch(self) -> Verdict:
        self.check_golden()
        rejected = [judgement for judgement in self.judgements if not judgement.accepted]
        if not rejected:
            worst = max(judgement.deviation for judgement in self.judgements)
            return self._pass("torch", f"largest deviation {worst:.2g}")
        first = rejected[0]
        producer = {tensor.name: op for op, tensor in self.graph.produced()}[first.tensor]
        if first.of_weights:
            where, what = "(weights)", "the weights"
            who = "the weights in the Graph are not the model's: fault in the extraction"
        else:
            case = first.index[0]
            where, who = self.golden.cases[case].name, self.whose_fault(case, first.tensor)
            what = "the golden" if self._knows(case, first.tensor) else "what the reference makes"
        return self._fail(
            "torch",
            f"{self.name}: case {where}: {self.place(producer.name, producer.OP_TYPE)}: "
            f"the Brevitas model does not accept {what} of {first.tensor} at {first.event}\n"
            f"worst of {first.elements} elements at {list(first.index)}: code {first.code:g}, "
            f"model means {first.real:.9g}; deviation {first.deviation:.3g}, allowed {first.eps:.3g}\n"
            + who,
            fault="difference",
            layer=producer.name,
        )
