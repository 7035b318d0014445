"""All planted faults, family by family."""

from __future__ import annotations

from tests.planted.families import (
    attention,
    convolutions,
    joins,
    keeping,
    memory,
    moves,
    outputs,
    pooling,
    requantiser,
    runner,
    sequences,
    twins,
)
from tests.planted.faults import Fault

FAULTS: tuple[Fault, ...] = (
    *requantiser.FAULTS,
    *convolutions.FAULTS,
    *pooling.FAULTS,
    *joins.FAULTS,
    *moves.FAULTS,
    *attention.FAULTS,
    *sequences.FAULTS,
    *outputs.FAULTS,
    *memory.FAULTS,
    *twins.FAULTS,
    *runner.FAULTS,
    *keeping.FAULTS,
)

ESCAPES: tuple[Fault, ...] = (*requantiser.ESCAPES, *sequences.ESCAPES)
"""Realistic faults that nothing on these subjects sees, and why; they are recorded, and not counted."""
