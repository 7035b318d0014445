"""Several recipes at once: each through the stages before the C, then all on a target from one shared library."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

from ares.fuzzer.crosschecks import Beside, beside, compare, relate
from ares.fuzzer.findings import Judged
from ares.fuzzer.judging import Front, conclude, finish, prepare
from ares.fuzzer.recipe import Recipe
from ares.pipeline.compiled import judge_ran
from ares.toolchain import Target
from ares.toolchain.library import Work, run_batch


def judge_batch(recipes: Sequence[Recipe], targets: Sequence[Target]) -> tuple[Judged, ...]:
    """What becomes of each recipe; the first target on which something is wrong is the one that is told of.

    A share of them, by their seeds, is judged by `ares.fuzzer.crosschecks` as well.
    """
    with warnings.catch_warnings():
        # Of torch and Brevitas, about what is drawn here on purpose.
        warnings.simplefilter("ignore")
        fronts = [prepare(recipe) for recipe in recipes]
        besides = [item for front in fronts for item in beside(front)]
        for target in targets:
            # Whoever was found out on one target is not run on the next.
            going = [front for front in fronts if front.judged is None]
            _run(going, [item for item in besides if item.front.judged is None], target)
        for front in fronts:
            relate(front, targets)
    return tuple(conclude(front, targets) for front in fronts)


def _run(fronts: Sequence[Front], besides: Sequence[Beside], target: Target) -> None:
    works = []
    for front in fronts:
        assert front.subject is not None
        inputs = [case.inputs for case in front.subject.cases]
        works.append(Work(front.subject.project_for(target), inputs))
    if not works:
        return
    # Sanitizers say nothing new of a run that nobody observes, slowly.
    variants = [item.work for item in besides]
    found = run_batch([*works, *variants], target, unobserved=not target.guarded)
    for front, ran in zip(fronts, found[: len(works)], strict=True):
        assert front.subject is not None
        with front.timed(target.stage):
            finish(front, target, partial(judge_ran, front.subject, target, ran))
    for item, ran in zip(besides, found[len(works) :], strict=True):
        compare(item, ran, target.name)
