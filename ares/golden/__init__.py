"""Golden tensors: cases, vacuity audit and the store under `golden/<network>/`."""

from ares.golden.audit import Statistics, audit, statistics
from ares.golden.cases import Case, make_cases
from ares.golden.store import (
    MANIFEST,
    STATE,
    Golden,
    GoldenCase,
    GoldenError,
    GoldenLayer,
    changes,
    golden_case,
    load_golden,
    pack,
    required,
    sha256,
)

__all__ = [
    "MANIFEST",
    "STATE",
    "Case",
    "Golden",
    "GoldenCase",
    "GoldenError",
    "GoldenLayer",
    "Statistics",
    "audit",
    "changes",
    "golden_case",
    "load_golden",
    "make_cases",
    "pack",
    "required",
    "sha256",
    "statistics",
]
