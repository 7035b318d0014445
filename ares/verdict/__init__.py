"""Comparing integers: equal, or the first difference and whose fault it is. No tolerance exists here."""

from ares.verdict.compare import Difference, first_difference
from ares.verdict.pattern import Facets, shared_facets
from ares.verdict.verdict import Outcome, Verdict, blame

__all__ = [
    "Difference",
    "Facets",
    "Outcome",
    "Verdict",
    "blame",
    "first_difference",
    "shared_facets",
]
