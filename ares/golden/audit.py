"""The vacuity audit: evidence that is constant or clipped away is no evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, Tensor


@dataclass(frozen=True, slots=True)
class Statistics:
    """Share of elements at an end of the code range, and number of distinct values.

    The lower end does not count where it is the zero point: that is what a ReLU does.
    """

    saturated: float
    distinct: int


def statistics(tensor: Tensor, array: npt.NDArray[Any]) -> Statistics:
    """What the audit needs to know of one tensor of one case."""
    distinct = int(np.unique(array).size)
    if tensor.dtype not in CODES:  # real numbers, and ids, which no quantiser has clipped
        return Statistics(0.0, distinct)
    clipped = array == tensor.hi
    if tensor.lo != tensor.zero_point:
        clipped = clipped | (array == tensor.lo)
    return Statistics(round(float(clipped.mean()), 6), distinct)


def audit(
    tensors: Mapping[str, tuple[int, Statistics]], limit: float, accepted: Mapping[str, str]
) -> list[str]:
    """One line per vacuous tensor that `accepted` (tensor -> reason) does not excuse.

    `tensors`: name -> (elements, statistics); `limit`: largest share of saturated codes.
    """
    findings = []
    for name, (size, found) in tensors.items():
        if name in accepted:
            continue
        if size > 1 and found.distinct == 1:
            findings.append(f"{name} is constant")
        if found.saturated > limit:
            findings.append(
                f"{name} is {100 * found.saturated:.0f} % saturated (limit {100 * limit:.0f} %)"
            )
    return findings
