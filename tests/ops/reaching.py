"""What a case says that it reaches, and that it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from ares.ir import Tensor

HALF = Fraction(1, 2)


def assert_reaches(
    names: Iterable[str],
    facts: Mapping[str, Any],
    reals: Iterable[Fraction] = (),
    target: Tensor | None = None,
) -> set[str]:
    """All that a case reaches: names of facts that hold, and what its answers put rounding and clamp to.

    `reals`: the answers in codes of `target`, with its zero point, before rounding. Fails unless all `names` are there.
    """
    __tracebackhide__ = True
    found = {name for name, holds in facts.items() if holds}
    if target is not None:
        found |= of_answers(reals, target)
    missed = {*names} - found
    assert not missed, f"the case does not reach {sorted(missed)}; it reaches {sorted(found)}"
    return found


def of_answers(reals: Iterable[Fraction], target: Tensor) -> set[str]:
    """Clips, ties between them, and signs: of values, which zero is the zero point of, and of codes.

    Beside a tie: nearer to one than 2^-15 of the value.
    """
    low, high, zero = target.lo - HALF, target.hi + HALF, target.zero_point
    found = set()
    for real in reals:
        found |= {"negative"} if real < zero else {"positive"} if real > zero else set()
        if real < low:
            found.add("low clip")
        elif real > high:
            found.add("high clip")
        elif real.denominator == 2:
            found |= {"tie", f"tie to the code {'below' if (real - HALF) % 2 == 0 else 'above'}"}
            found.add("negative tie" if real < zero else "positive tie")
            found |= {"tie of negative codes"} if real < 0 else set()
        elif real > 127:
            found.add("answer above 127")
        distance = abs(abs(real - round(real)) - HALF)
        if low < real < high and 0 < distance * 2**15 < abs(real - zero):
            found.add("beside a tie")
    return found
