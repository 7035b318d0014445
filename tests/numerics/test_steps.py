"""The index of N5: what the search answers, for every value, and refused where it does not."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from ares.numerics import NumericsError, StepIndex, index_steps
from ares.numerics import steps as subject
from tests.numerics.oracle import INT32, S8, U8, step_code

LOW, HIGH = INT32


def _index(thresholds: list[int], codes: list[int], *, is_shared: bool = True) -> StepIndex:
    return index_steps(
        np.array(thresholds, np.int32), np.array(codes, np.int16), is_shared=is_shared
    )


def _values(thresholds: list[int], draw: random.Random) -> list[int]:
    near = [t + d for t in thresholds for d in (-2, -1, 0, 1)]
    ends = [LOW, LOW - 1, HIGH, HIGH + 1, -(2**62), 2**62, -(2**32), 2**32, 0]
    return near + ends + [draw.randrange(-(2**bits), 2**bits) for bits in range(2, 40)]


def _tables() -> dict[str, list[int]]:
    draw = random.Random(20260713)
    spread = sorted(draw.randrange(LOW + 1, HIGH) for _ in range(255))
    return {
        "one": [7],
        "one that changes nothing": [HIGH],
        "the first possible": [LOW + 1],
        "both ends": [LOW + 1, HIGH],
        "gaps of one": list(range(-100, 155)),
        "gaps of one at the end": list(range(HIGH - 254, HIGH + 1)),
        "two crowds": [*range(LOW + 1, LOW + 100), *range(HIGH - 100, HIGH + 1)],
        "a crowd in a wide span": [LOW + 1, *range(1000, 1200), HIGH - 1],
        "spread": spread,
        "equal": [-5, -5, -5, 3, 3, 1000, 1000],
        "filled up": [-9, 4, *[HIGH] * 9],
        "filled up, the last is its own": [-9, HIGH, *[HIGH] * 9],
        "only filling": [HIGH] * 11,
        "the most": sorted(draw.sample(range(LOW + 1, HIGH), 511)),
        "the most, crowded": [*range(510), 2**30],
        "dense": [3 * i + i // 7 for i in range(255)],
        "of two": [-1, 1],
    }


@pytest.mark.parametrize("is_shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("bounds", [S8, U8], ids=["s8", "u8"])
@pytest.mark.parametrize("name", _tables())
def test_the_index_answers_what_the_search_does(
    name: str, bounds: tuple[int, int], *, is_shared: bool
) -> None:
    thresholds = _tables()[name]
    draw = random.Random(name)
    codes = [draw.randint(*bounds) for _ in range(len(thresholds) + 1)]
    if "filling" in name or name.startswith("filled"):
        codes = [code if i < 3 else codes[2] for i, code in enumerate(codes)]
    index = _index(thresholds, codes, is_shared=is_shared)
    for value in _values(thresholds, draw):
        found = int(index.find(np.array([value]))[0])
        assert found == step_code(value, thresholds, codes) & 0xFF, value


def test_it_stays_small() -> None:
    """An index of 255 spread steps has at most 512 bytes, one of a channel's own less than its codes save."""
    thresholds = _tables()["spread"]
    codes = [0] * 256
    shared, own = (_index(thresholds, codes, is_shared=kind) for kind in (True, False))
    assert shared.starts.size <= 512
    assert shared.half <= 4
    assert own.starts.size <= 256
    few = _index([0, 100, 10_000_000], [1, 2, 3, 4])
    assert few.starts.size <= 16


def test_even_steps_need_one_comparison_or_none() -> None:
    wide = _index([i * 2**23 - 2**30 for i in range(254)], list(range(255)))
    assert wide.half <= 1
    assert _index([0], [3, 4]).half == 0


def test_a_filled_table_is_kept_without_its_filling() -> None:
    index = _index([-9, 4, *[HIGH] * 9], [1, 2, *[3] * 10], is_shared=False)
    assert index.last == 4
    assert index.thresholds.size < 6


@pytest.mark.parametrize(
    "field", ["starts", "thresholds", "codes", "below", "last", "bits", "half"]
)
def test_an_index_that_is_wrong_is_refused(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of it is wrong, wherever."""
    right = subject._at
    thresholds = _tables()["spread"]

    def wrong(*arguments: object) -> StepIndex:
        index = right(*arguments)  # type: ignore[arg-type]
        value = getattr(index, field)
        if isinstance(value, np.ndarray):
            value = value.copy()
            value[value.size // 3] += 1
        else:
            value = {"below": value + 1, "last": value - 1, "bits": value + 1, "half": value >> 1}[
                field
            ]
        return dataclasses.replace(index, **{field: value})

    monkeypatch.setattr(subject, "_at", wrong)
    with pytest.raises(NumericsError, match="wrong at"):
        _index(thresholds, list(range(256)))


@pytest.mark.parametrize(
    ("thresholds", "codes", "says"),
    [
        ([], [1], "no steps"),
        ([1, 2], [1, 2], "no steps"),
        ([2, 1], [1, 2, 3], "ascend"),
        ([LOW, 5], [1, 2, 3], "ascend"),
        ([1], [-129, 0], "one byte"),
        ([1], [-1, 128], "one byte"),
        ([1], [0, 256], "one byte"),
    ],
)
def test_what_is_no_table_is_refused(thresholds: list[int], codes: list[int], says: str) -> None:
    with pytest.raises(NumericsError, match=says):
        _index(thresholds, codes)
