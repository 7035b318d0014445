"""Two tensors are equal in every bit, or there is a first difference; two witnesses outvote the third."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from ares.verdict import Difference, Outcome, Verdict, blame, first_difference

DETERMINED = settings(derandomize=True, deadline=None, database=None)


def _floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def _bits(*values: int) -> np.ndarray:
    return np.array(values, np.uint32).view(np.float32)


# --- equal, or not


@DETERMINED
@given(
    arrays_of.arrays(
        dtype=st.sampled_from([np.int8, np.uint8, np.int16, np.int32]),
        shape=arrays_of.array_shapes(max_dims=4, max_side=4),
        elements=st.integers(0, 100),
    ),
    st.data(),
)
def test_one_changed_element_is_found(array: np.ndarray, data: st.DataObject) -> None:
    assert first_difference("t", array, array.copy()) is None
    index = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    code = data.draw(st.integers(0, 127).filter(lambda code: code != array[index]))
    found = array.copy()
    found[index] = code
    difference = first_difference("t", array, found)
    assert difference is not None
    distance = code - int(array[index])
    assert difference == Difference(
        "t",
        wrong=1,
        total=array.size,
        index=index,
        expected=float(array[index]),
        found=float(found[index]),
        largest=abs(distance),
        histogram={distance: 1},
    )


@pytest.mark.parametrize(
    ("expected", "found", "distance"),
    [
        (_floats(0.0), _floats(-0.0), -1),
        (_floats(1.0), np.nextafter(_floats(1.0), np.float32(2)), 1),
        (_floats(1.0), np.nextafter(_floats(1.0), np.float32(0)), -1),
        (_floats(-1.0), np.nextafter(_floats(-1.0), np.float32(-2)), -1),
        (_bits(0), _bits(1), 1),
        (_bits(0x80000000), _bits(0x80000001), -1),
        (_bits(1), _bits(0x80000001), -3),
        (_bits(0x7F7FFFFF), _floats(np.inf), 1),
        (_bits(0x7FC00000), _bits(0x7FC00001), 1),
        (_bits(0x00800000), _bits(0x007FFFFF), -1),
    ],
)
def test_floats_differ_by_their_bits(
    expected: np.ndarray, found: np.ndarray, distance: int
) -> None:
    difference = first_difference("y", expected, found)
    assert difference is not None
    assert difference.histogram == {distance: 1}
    assert difference.largest == abs(distance)
    assert difference.lines()[1].startswith("first at [0]: expected ")


def test_floats_with_equal_bits_are_equal() -> None:
    values = _bits(0x7FC00001, 0xFFC00000, 0x80000000, 0, 1, 0x7F800000)
    assert first_difference("y", values, values.copy()) is None


def test_all_neighbours_of_binary32_are_one_apart() -> None:
    """Through both zeros, the subnormals and into infinity."""
    for start in (0x00000000, 0x007FFFF0, 0x3F800000, 0x7F7FFFF0):
        bits = np.arange(start, start + 17, dtype=np.uint32)
        for sign in (0, 0x80000000):
            values = (bits | np.uint32(sign)).view(np.float32)
            difference = first_difference("y", values[:-1], values[1:])
            assert difference is not None
            assert difference.histogram == {1 if sign == 0 else -1: 16}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (np.zeros((1, 6), np.int8), np.zeros((6, 1), np.int8)),
        (np.zeros((1, 6), np.int8), np.zeros(6, np.int8)),
        (np.zeros(6, np.int8), np.zeros(6, np.uint8)),
        (np.zeros(6, np.int8), np.zeros(6, np.int16)),
        (np.zeros(6, np.int32), np.zeros(6, np.float32)),
    ],
)
def test_shape_and_type_are_not_forgiven(expected: np.ndarray, found: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"t: .* cannot be compared with"):
        first_difference("t", expected, found)


@pytest.mark.parametrize("dtype", ["f8", "f2", ">f4", "c8", "i8", "u8", "?"])
def test_types_that_no_tensor_has(dtype: str) -> None:
    """As integers 0.25 and 0.75 would be equal."""
    expected, found = np.array([0.25]).astype(dtype), np.array([0.75]).astype(dtype)
    with pytest.raises(ValueError, match="is no element type of a tensor"):
        first_difference("t", expected, found)


def test_the_first_is_the_first_in_logical_order() -> None:
    """However the arrays lie in memory."""
    expected = np.zeros((1, 3, 4, 5), np.int8)
    found = np.asfortranarray(expected.copy())
    found[0, 2, 0, 0], found[0, 0, 3, 4] = 5, -7
    difference = first_difference("t", expected, found)
    assert difference is not None
    assert (difference.index, difference.found, difference.wrong) == ((0, 0, 3, 4), -7.0, 2)
    assert difference.largest == 7


def test_extremes_do_not_wrap() -> None:
    lo, hi = np.array([-(2**31)], np.int32), np.array([2**31 - 1], np.int32)
    difference = first_difference("t", lo, hi)
    assert difference is not None
    assert difference.largest == 2**32 - 1
    difference = first_difference("t", np.array([-128], np.int8), np.array([127], np.int8))
    assert difference is not None
    assert difference.histogram == {255: 1}


def test_nothing_is_equal_to_nothing() -> None:
    assert first_difference("t", np.zeros((0, 3), np.int8), np.zeros((0, 3), np.int8)) is None


def test_report() -> None:
    expected = np.zeros(1000, np.int8)
    found = expected.copy()
    found[10:20], found[500:503] = 1, -20
    difference = first_difference("t", expected, found)
    assert difference is not None
    assert difference.lines() == [
        "13 of 1000 elements differ (1.3 %), largest by 20",
        "first at [10]: expected 0, found 1",
        "     -20 ######### 3",
        "      +1 ############################## 10",
    ]


def test_report_of_many_differences_stays_short() -> None:
    expected = np.zeros((1, 200), np.int16)
    found = np.arange(1, 201, dtype=np.int16).reshape(1, 200)
    difference = first_difference("t", expected, found)
    assert difference is not None
    lines = difference.lines()
    assert lines[0] == "200 of 200 elements differ (100 %), largest by 200"
    assert len(lines) == 9


# --- whose fault


WORDS = {
    # reference, torch, C: whether each agrees with the golden
    (True, True, None): "every witness agrees with the golden",
    (True, True, True): "every witness agrees with the golden",
    (True, True, False): "fault in kernel, plan or compiler",
    (
        False,
        True,
        None,
    ): "torch agrees with the golden: fault in the integer reference or in the extraction",
    (
        False,
        True,
        True,
    ): "the C agrees with the golden: fault in the integer reference or in the extraction",
    (False, True, False): "torch agrees with the golden: fault in the extraction",
    (True, False, None): "both compute another integer than the model means",
    (True, False, True): "both compute another integer than the model means",
    (True, False, False): "the reference does: fault in the integer reference",
    (False, False, None): "the golden is damaged or out of date",
    (False, False, True): "the golden is damaged or out of date",
    (False, False, False): "the golden is damaged or out of date",
}


@pytest.mark.parametrize(
    "agrees", tuple(product((True, False), (True, False), (None, True, False)))
)
def test_blame(agrees: tuple[bool, bool, bool | None]) -> None:
    reference, torch, c = agrees
    text = blame(reference_agrees=reference, torch_agrees=torch, c_agrees=c)
    assert text.endswith(WORDS[agrees])
    assert "\n" not in text


def test_verdict_as_json() -> None:
    verdict = Verdict(
        *("net", "c[gcc-O2]", Outcome.FAIL, "text", "difference", "conv1", 1.23456), target="gcc-O2"
    )
    assert verdict.as_json() == {
        "network": "net",
        "stage": "c[gcc-O2]",
        "target": "gcc-O2",
        "outcome": "fail",
        "fault": "difference",
        "layer": "conv1",
        "message": "text",
        "seconds": 1.235,
        "kept": False,
        "stack": None,
    }
    assert Verdict.from_json(verdict.as_json()) == replace(verdict, seconds=1.235)
