"""Offsets for buffers whose lifetimes are known, and the bound that no placement can beat.

Greedy: one buffer after the other, each at the lowest offset where it overlaps no buffer that lives at the same time,
the largest first; or the longest-lived, or in their order, where that takes less. Sizes are rounded up to ALIGNMENT
bytes. With a guard, that many bytes and more before and behind each buffer are no buffer's while it lives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class Buffer:
    """`size` bytes that must survive from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    @property
    def aligned(self) -> int:
        return (self.size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    def meets(self, other: Buffer) -> bool:
        """Whether both live at some step."""
        return self.first <= other.last and other.first <= self.last


_Order = Callable[[Buffer], tuple[int, int, str]]
_ORDERS: Sequence[_Order] = (
    lambda b: (-b.aligned, b.first, b.name),
    lambda b: (b.first - b.last, -b.aligned, b.name),
    lambda b: (b.first, -b.aligned, b.name),
    lambda b: (-b.last, -b.aligned, b.name),
)


def live_set_bound(buffers: Sequence[Buffer]) -> int:
    """Bytes of the largest set of buffers alive at one step: no arena can be smaller."""
    steps = {step for buffer in buffers for step in (buffer.first, buffer.last)}
    return max(
        (sum(b.aligned for b in buffers if b.first <= step <= b.last) for step in steps), default=0
    )


def place(buffers: Sequence[Buffer], guard: int = 0) -> tuple[Mapping[str, int], int]:
    """Offset of every buffer, and the arena's size in bytes; `guard` in bytes, rounded up to ALIGNMENT."""
    gap = (guard + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    # The first of equals wins.
    return min((_greedy(sorted(buffers, key=order), gap) for order in _ORDERS), key=lambda p: p[1])


def _greedy(buffers: Sequence[Buffer], gap: int) -> tuple[Mapping[str, int], int]:
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
        neighbours = sorted(
            ((offset, other) for offset, other in placed if other.meets(buffer)),
            key=lambda pair: pair[0],
        )
        offset = gap
        for start, other in neighbours:
            if offset + buffer.aligned + gap <= start:
                break
            offset = max(offset, start + other.aligned + gap)
        placed.append((offset, buffer))
    offsets = {buffer.name: offset for offset, buffer in placed}
    return offsets, max((offset + b.aligned + gap for offset, b in placed), default=0)
