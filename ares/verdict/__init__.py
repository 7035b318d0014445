"""Comparing integers: equal, or the first difference and whose fault it is. No tolerance exists here."""

from ares.verdict.compare import Difference, first_difference
from ares.verdict.outcome import Outcome
from ares.verdict.pattern import Facets, shared_facets
from ares.verdict.stage import CHECK, EXTRACT, REFERENCE, STAGES, TORCH, Stage, proof_stage
from ares.verdict.verdict import Verdict, blame

__all__ = [
    "CHECK",
    "EXTRACT",
    "REFERENCE",
    "STAGES",
    "TORCH",
    "Difference",
    "Facets",
    "Outcome",
    "Stage",
    "Verdict",
    "blame",
    "first_difference",
    "proof_stage",
    "shared_facets",
]
