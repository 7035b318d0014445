"""scikit-learn's handwritten digits (1797 real images, 8x8, values 0..16) at any size, exactly.

`images` are enlarged bilinearly in integers (corners aligned), so a pixel is an integer p in 0..256,
and the float is (p - 80) / 64: an exact multiple of 2^-6 in [-1.25, 2.75], about standardised, with
both signs. Equal on every machine. The split is a rule, not a draw: of each digit's images, in the
order of the data set, every fifth is held out.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_FILE = "datasets/data/digits.csv.gz"
_HELD_OUT_EVERY = 5


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images [N, 1, size, size] float32 and labels [N] int64; training and held-out part."""

    train_x: Tensor
    train_y: Tensor
    heldout_x: Tensor
    heldout_y: Tensor


def dataset(size: int) -> Dataset:
    """All digits at size x size: 1433 to train on, 364 held out (35 to 37 of each digit)."""
    small, labels = _digits()
    held_out = _held_out(labels)
    x = _normalised(_enlarged(small, size))
    y = torch.from_numpy(labels)
    mask = torch.from_numpy(held_out)
    return Dataset(x[~mask], y[~mask], x[mask], y[mask])


def example(size: int, index: int = 0) -> Tensor:
    """Held-out digit number `index` as a batch of one, [1, 1, size, size]."""
    small, labels = _digits()
    chosen = np.flatnonzero(_held_out(labels))[index]
    return _normalised(_enlarged(small[chosen : chosen + 1], size))


@functools.cache
def _digits() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Images [1797, 8, 8] and labels [1797].

    The file is read directly where it lies in the package: `import sklearn.datasets` takes two seconds.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn: pip install scikit-learn")
    with gzip.open(Path(found.origin).parent / _FILE, "rt") as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].copy()


def _held_out(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(len(labels), dtype=np.bool_)
    for digit in range(10):
        mask[np.flatnonzero(labels == digit)[::_HELD_OUT_EVERY]] = True
    return mask


def _enlarged(small: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """[N, 8, 8] in 0..16 -> [N, size, size] in 0..256: bilinear, rounded half up, all in integers."""
    if size < 8:
        raise ValueError(f"digits are 8x8 and are only enlarged; expected size >= 8, got {size}")
    last = size - 1
    position = np.arange(size) * 7
    left = np.minimum(position // last, 6)
    weights = np.zeros((size, 8), dtype=np.int64)  # each row sums to last
    weights[np.arange(size), left] = (left + 1) * last - position
    weights[np.arange(size), left + 1] = position - left * last
    sums: npt.NDArray[np.int64] = weights @ small @ weights.T
    return np.asarray((32 * sums + last * last) // (2 * last * last))


def _normalised(pixels: npt.NDArray[np.int64]) -> Tensor:
    values = ((pixels - 80).astype(np.float32) / np.float32(64))[:, np.newaxis]
    return torch.from_numpy(np.ascontiguousarray(values))
