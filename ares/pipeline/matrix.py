"""What a run over subjects x targets found, and what it tells while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ares.toolchain import Target
from ares.verdict import STAGES, Outcome, Verdict, proof_stage, shared_facets


@dataclass(frozen=True, slots=True)
class Matrix:
    """All verdicts, in the order of subjects and stages; `seconds`: the time that the run took."""

    verdicts: tuple[Verdict, ...]
    seconds: float
    targets: tuple[Target, ...] = ()

    def having(self, outcome: Outcome) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.outcome is outcome)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        return self.having(Outcome.FAIL)

    @property
    def not_run(self) -> tuple[Verdict, ...]:
        return self.having(Outcome.NOT_RUN)

    @property
    def stages(self) -> tuple[str, ...]:
        order = [*(stage.name for stage in STAGES), *(target.stage for target in self.targets)]
        order += [proof_stage(target.name) for target in self.targets]
        return tuple(sorted({verdict.stage for verdict in self.verdicts}, key=order.index))

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(verdict.network for verdict in self.verdicts))

    @property
    def patterns(self) -> Mapping[str, tuple[str, ...]]:
        """Subject -> what the targets share on which it fails, and no target has on which it is exact."""
        facets = {target.stage: target.facets for target in self.targets}
        found = {}
        for name in self.subjects:
            cells = [v for v in self.verdicts if v.network == name and v.stage in facets]
            shared = shared_facets(
                [facets[v.stage] for v in cells if v.outcome is Outcome.FAIL],
                [facets[v.stage] for v in cells if v.outcome is Outcome.PASS],
            )
            if shared:
                found[name] = tuple(shared)
        return found


@dataclass(frozen=True, slots=True)
class Event:
    """What a run tells while it goes on: the jobs that run, how many verdicts there are and will be, the new ones.

    `told`: a step that takes long, in words.
    """

    running: tuple[str, ...]
    done: int
    planned: int
    verdicts: tuple[Verdict, ...] = ()
    told: str = ""
