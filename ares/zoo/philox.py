"""Counter-based random bits: the same on every machine, in every version, in any order.

`bits(key, count)` is a pure function: numpy's Philox (4x64, 10 rounds) keyed by a hash of `key`, raw
output, no stream that other code could advance.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def bits(key: str, count: int) -> npt.NDArray[np.uint64]:
    """The first `count` 64-bit words that belong to `key`."""
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    return np.asarray(generator.random_raw(count), dtype=np.uint64)


def signed_units(key: str, count: int) -> npt.NDArray[np.float64]:
    """Odd multiples of 2^-24 in (-1, 1), uniform, never 0, exact in float32 and float64."""
    top = (bits(key, count) >> np.uint64(40)).astype(np.int64)  # 0 .. 2^24-1
    return (2 * top + 1 - (1 << 24)).astype(np.float64) / (1 << 24)


def integers(key: str, count: int, low: int, high: int) -> npt.NDArray[np.int64]:
    """Integers in low .. high inclusive (the bias of the modulus is below 2^-40 for small ranges)."""
    span = np.uint64(high - low + 1)
    return (bits(key, count) % span).astype(np.int64) + low


def permutation(key: str, count: int) -> npt.NDArray[np.int64]:
    """0 .. count-1 in an order that depends on `key` only."""
    return np.argsort(bits(key, count), kind="stable").astype(np.int64)
