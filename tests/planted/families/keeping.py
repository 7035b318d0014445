"""Goldens, caches, comparators and evidence."""

from typing import Any

from tests.planted.faults import Fault, InHarness


def _harness(
    name: str, what: str, place: str, plant: str, *values: Any, stage: str, **more: Any
) -> Fault:
    subject, _, layer = place.partition(" ")
    return Fault(name, what, subject, layer, InHarness(plant, values), stage=stage, **more)


FAULTS = (
    _harness(
        "golden/byte-of-a-case",
        "a byte of a stored case",
        "coarse ",
        "golden_byte",
        "realistic",
        40,
        stage="extract",
        fault="GoldenError",
    ),
    _harness(
        "golden/last-byte",
        "the last byte of a stored case",
        "coarse ",
        "golden_byte",
        "edge",
        -1,
        stage="extract",
        fault="GoldenError",
    ),
    _harness(
        "golden/code",
        "a code, with all digests",
        "probe average",
        "golden_code",
        0,
        "average",
        stage="reference",
    ),
    _harness(
        "golden/code-of-another-case",
        "a code of a case that is not stored whole, with its digest",
        "probe conv",
        "golden_code",
        1,
        "conv",
        stage="reference",
    ),
    _harness(
        "golden/input",
        "a stored input, with all digests",
        "probe quant_in",
        "golden_input",
        stage="reference",
    ),
    _harness(
        "golden/zeros",
        "a regeneration has made zeros of a layer",
        "probe pairs",
        "golden_zeros",
        "pairs",
        stage="reference",
    ),
    _harness(
        "golden/case-gone",
        "a case is gone",
        "coarse ",
        "golden_without_case",
        stage="extract",
        fault="GoldenError",
    ),
    _harness(
        "golden/cases-exchanged",
        "two cases' inputs exchanged",
        "probe quant_in",
        "golden_of_another",
        stage="reference",
    ),
    _harness(
        "golden/state",
        "the state beside it is another one",
        "coarse ",
        "state_byte",
        stage="extract",
        fault="GoldenError",
    ),
    _harness(
        "evidence/never-calibrated",
        "a scale far too small: all is saturated",
        "residual stem",
        "saturated",
        "relu",
        "stem",
        stage="golden",
        fault="GoldenError",
    ),
    _harness(
        "evidence/constant",
        "a scale far too large: a layer gives one code only",
        "residual conv",
        "constant",
        "quant_conv",
        "conv",
        stage="golden",
        fault="GoldenError",
    ),
    _harness(
        "evidence/dt-rank",
        "dt_rank is not forwarded: another network",
        "mamba ",
        "dt_rank",
        stage="dimensions",
        fault="parameters",
    ),
    _harness(
        "cache/stale-binary",
        "the program of another project, recorded as good",
        "coarse ",
        "stale_binary",
        stage="c",
        fault="signature",
    ),
    _harness(
        "comparator/prefix",
        "eight elements are compared, and the last are wrong",
        "coarse conv",
        "comparator",
        "prefix",
        "unwritten",
        stage="c",
    ),
    _harness(
        "comparator/tolerance",
        "three codes are allowed",
        "coarse conv",
        "comparator",
        "tolerant",
        "one code",
        stage="c",
    ),
    _harness(
        "comparator/digest-of-a-prefix",
        "digests of goldens are those of eight elements",
        "coarse conv",
        "digest_of_prefix",
        stage="c",
    ),
    _harness(
        "comparator/digest-is-constant",
        "Python's digest of a trace is always the same",
        "coarse ",
        "digest_is_constant",
        stage="c",
        fault="digest",
    ),
)
