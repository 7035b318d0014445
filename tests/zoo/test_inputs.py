"""Digits, signals and random bits: exact, structured, and the same on every machine (digests)."""

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from ares.zoo import digits, philox, signals


def digest(x: Tensor | np.ndarray) -> str:
    array = x.numpy() if isinstance(x, Tensor) else x
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()[:16]


def test_philox_bits_are_fixed_and_keyed() -> None:
    assert digest(philox.bits("a key", 1000)) == "4ff505824084087d"
    assert np.array_equal(philox.bits("a key", 10), philox.bits("a key", 1000)[:10])
    assert not np.array_equal(philox.bits("a key", 10), philox.bits("another key", 10))


def test_signed_units_are_exact_and_never_zero() -> None:
    units = philox.signed_units("units", 100_000)
    assert np.array_equal(units.astype(np.float32).astype(np.float64), units)
    assert np.all(np.abs(units) < 1)
    assert np.all(units != 0)
    assert abs(units.mean()) < 0.01


def test_integers_reach_both_ends() -> None:
    found = philox.integers("integers", 1000, -3, 4)
    assert sorted(set(found.tolist())) == list(range(-3, 5))


def test_permutation() -> None:
    order = philox.permutation("order", 500)
    assert sorted(order.tolist()) == list(range(500))
    assert order.tolist() != list(range(500))


def test_dataset_is_a_fixed_stratified_split() -> None:
    data = digits.dataset(8)
    assert data.train_x.shape == (1433, 1, 8, 8)
    assert data.heldout_x.shape == (364, 1, 8, 8)
    counts = torch.bincount(data.heldout_y)
    assert counts.tolist() == [36, 37, 36, 37, 37, 37, 37, 36, 35, 36]
    total = counts + torch.bincount(data.train_y)
    assert total.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_at_its_own_size_a_digit_is_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    data = digits.dataset(8)
    first_of_each = [int(np.flatnonzero(original.target == digit)[0]) for digit in range(10)]
    pixels = (data.heldout_x[:10, 0] * 64 + 80) / 16
    assert torch.equal(pixels, torch.from_numpy(original.images[first_of_each]).float())
    assert data.heldout_y[:10].tolist() == original.target[first_of_each].tolist()


@pytest.mark.parametrize("size", [28, 96, 9])
def test_enlarged_digits_are_rounded_bilinear(size: int) -> None:
    """Against the textbook formula in exact fractions."""
    small = digits.dataset(8).heldout_x[17, 0] * 64 + 80
    large = digits.example(size, 17)[0, 0] * 64 + 80

    def at(y: int, x: int) -> Fraction:
        return Fraction(int(small[min(y, 7), min(x, 7)]))

    for row in range(0, size, 3):
        for column in range(size):
            y, x = Fraction(7 * row, size - 1), Fraction(7 * column, size - 1)
            top, left = math.floor(y), math.floor(x)
            dy, dx = y - top, x - left
            exact = (1 - dy) * ((1 - dx) * at(top, left) + dx * at(top, left + 1)) + dy * (
                (1 - dx) * at(top + 1, left) + dx * at(top + 1, left + 1)
            )
            assert int(large[row, column]) == math.floor(exact + Fraction(1, 2))


@pytest.mark.parametrize(("size", "expected"), [(28, "bb185d9f1105bae8"), (96, "746f4ca5f7532162")])
def test_digits_are_the_same_everywhere(size: int, expected: str) -> None:
    data = digits.dataset(size)
    assert digest(data.heldout_x) == expected
    assert data.heldout_x.dtype == torch.float32
    assert torch.equal(data.heldout_x * 64, torch.round(data.heldout_x * 64))
    assert (float(data.train_x.min()), float(data.train_x.max())) == (-1.25, 2.75)


def test_example_is_a_held_out_digit() -> None:
    data = digits.dataset(28)
    assert torch.equal(digits.example(28), data.heldout_x[:1])
    assert torch.equal(digits.example(28, 5), data.heldout_x[5:6])


def test_digits_are_not_shrunk() -> None:
    with pytest.raises(ValueError, match="expected size >= 8, got 7"):
        digits.example(7)


SIGNALS = {
    "eeg": (lambda k: signals.eeg(8, 2200, k), (1, 1, 8, 2200), "6eecb7dd555ce106"),
    "short eeg": (lambda k: signals.eeg(8, 64, k), (1, 1, 8, 64), "9ed149017190434c"),
    "ppg": (lambda k: signals.ppg(2, 2200, k), (1, 1, 2, 2200), "9019e64eb3e9e18a"),
    "tokens": (lambda k: signals.tokens(49, 192, k), (1, 49, 192), "13f8f53ffa245441"),
    "vector": (lambda k: signals.vector(64, k), (1, 64), "2df9cd0350de7325"),
    "picture": (lambda k: signals.picture(3, 64, 64, k), (1, 3, 64, 64), "b345aec53a59de71"),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_signals(name: str) -> None:
    make: Callable[[int], Tensor]
    make, shape, expected = SIGNALS[name]
    x = make(0)
    assert x.shape == shape
    assert x.dtype == torch.float32
    assert digest(x) == expected
    assert torch.equal(x * 1024, torch.round(x * 1024))
    assert 0.2 < float(x.std()) < 2
    assert float(x.min()) < -0.5
    assert float(x.max()) > 0.5
    assert len(x.unique()) > 50
    assert not torch.equal(x, make(1))


def test_sine_is_the_sine() -> None:
    phases = np.arange(0, 1 << 32, 999_983, dtype=np.int64)
    exact = np.array([1024 * math.sin(2 * math.pi * phase / (1 << 32)) for phase in phases])
    assert np.max(np.abs(signals._sine(phases) - exact)) <= 0.51
    quarters = np.arange(-4, 5, dtype=np.int64) * (1 << 30)
    assert signals._sine(quarters).tolist() == [0, 1024, 0, -1024, 0, 1024, 0, -1024, 0]


def test_eeg_channels_are_related_but_differ() -> None:
    x = signals.eeg(8, 2200)[0, 0].double().numpy()
    correlations = np.corrcoef(x)[np.triu_indices(8, 1)]
    assert np.max(np.abs(correlations)) > 0.3
    assert np.max(np.abs(correlations)) < 0.99
