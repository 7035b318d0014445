"""One network of the zoo: its file, its stored state, its golden."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.extract import Analysis, analyse
from ares.golden import Golden, GoldenError, load_golden, required, sha256
from ares.ir import Graph
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.fidelity import against_float32
from ares.pipeline.model_stages import FAULTS, ModelStages, mapped
from ares.pipeline.stored_state import read_state, restore_state
from ares.pipeline.subject import Subject
from ares.verdict import Stage, Verdict
from ares.witness import Judgement, Witness
from ares.witness_partings import Float32Run
from ares.zoo.network_file import NetworkFile, load_network_file

Array = npt.NDArray[Any]


class NetworkSubject(Subject):
    """Lazily computed stages of one network of the zoo. What they share raises one of FAULTS, with a line each."""

    FAULTS = FAULTS

    def __init__(self, paths: ZooPaths) -> None:
        self.paths = paths
        self.name = paths.name

    @cached_property
    def network(self) -> NetworkFile:
        return load_network_file(self.paths.source)

    @cached_property
    def model(self) -> Any:
        """The trained module, in evaluation mode."""
        return restore_state(self.network, read_state(self.paths))[0]

    @cached_property
    def analysis(self) -> Analysis:
        inputs = self.network.example_inputs()
        return analyse(self.model, inputs, self.name, allow_uncalibrated=False)

    @cached_property
    def graph(self) -> Graph:
        return mapped(self.name, self.analysis)

    @cached_property
    def golden(self) -> Golden:
        return load_golden(self.paths.golden)

    def check_golden(self) -> None:
        graph = self.graph  # a state that is missing says more than a golden that is
        required(self.golden, graph)
        if self.golden.provenance.get("state_sha256") != sha256(read_state(self.paths)):
            raise GoldenError(
                f"{self.name}: the golden was made from another state than the one beside it; restore both "
                f"with git checkout, or run python tools/regenerate_golden.py {self.name}"
            )

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """The torch witness on the golden codes of all cases, in one forward pass."""
        return self._judge(range(len(self.golden.cases)))

    def _judge(self, cases: Sequence[int]) -> tuple[Judgement, ...]:
        return self._witness.judge(*self._stacked(cases))

    @cached_property
    def float32(self) -> Float32Run:
        """The golden codes of all cases against the float32 model's own."""
        inputs, tensors = self._stacked(range(len(self.golden.cases)))
        return against_float32(self.model, self._witness, inputs, tensors)

    @cached_property
    def _witness(self) -> Witness:
        return Witness(self.model, self.graph)

    def _stacked(self, cases: Sequence[int]) -> tuple[list[Array], Mapping[str, Array]]:
        """Inputs and golden tensors, several cases along the batch axis."""
        inputs = [
            np.concatenate([self.golden.cases[k].inputs[i] for k in cases])
            for i in range(len(self.graph.inputs))
        ]
        names = [tensor.name for _, tensor in self.graph.produced()]
        tensors = {name: np.concatenate([self.expected(k)[name] for k in cases]) for name in names}
        return inputs, tensors

    @property
    def _model_stages(self) -> ModelStages:
        return ModelStages(
            self,
            lambda: self.analysis,
            self._judge,
            lambda: self.judgements,
            lambda: self.float32,
        )

    def stages(self) -> Mapping[Stage, Callable[[], Verdict]]:
        return self._model_stages.around(self.judge_reference)

    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None = None) -> str:
        return self._model_stages.whose_fault(case, tensor, c_agrees)
