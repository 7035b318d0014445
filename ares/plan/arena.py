"""Offsets for buffers whose lifetimes are known, and the bound that no placement can beat.

Sizes are rounded up to ALIGNMENT bytes. Without a guard a search looks for places that reach the bound, else for the
least that its steps suffice for; it takes the same steps on every machine. With a guard, that many bytes and more
before and behind each buffer are no buffer's while it lives, and one buffer after the other goes to the lowest offset
where it meets none that lives at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 16
# Of the search, times buffers: about a second where no placement is good enough.
_STEPS = 2_000_000


@dataclass(frozen=True, slots=True)
class Buffer:
    """`size` bytes that must survive from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    @property
    def aligned(self) -> int:
        return _aligned(self.size)

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
    gap = _aligned(guard)
    # The first of equals wins.
    found = min((_greedy(sorted(buffers, key=order), gap) for order in _ORDERS), key=lambda p: p[1])
    bound = live_set_bound(buffers)
    return found if gap or found[1] == bound else _searched(buffers, found, bound)


def place_in_turn(buffers: Sequence[Buffer], guard: int = 0) -> tuple[Mapping[str, int], int]:
    """As `place`, but no search: one buffer after the other goes to the lowest offset that is free."""
    return _greedy(buffers, _aligned(guard))


def _searched(
    buffers: Sequence[Buffer], found: tuple[Mapping[str, int], int], bound: int
) -> tuple[Mapping[str, int], int]:
    """Places that reach the bound, else the best between it and those `found`, as far as _STEPS carry."""
    search = _Search(buffers, _STEPS // len(buffers))
    impossible, limit = bound - ALIGNMENT, bound
    while impossible + ALIGNMENT < found[1]:
        offsets = search.within(limit)
        if offsets is None:
            impossible = limit
        else:
            found = offsets, max(offsets[b.name] + b.aligned for b in buffers)
        limit = (impossible + found[1]) // 2 // ALIGNMENT * ALIGNMENT
    return found


class _Search:
    """Goes through the placements in which every buffer rests on the floor or on one below it, lowest offset first.

    Any placement becomes one of these by letting buffers sink. Between two steps at which buffers begin nothing new
    meets, so that only these count. Given up where, at one of them, those that are yet to come do not fit above those
    that are there, or where a buffer would leave room below itself for one that is left: that one could sink.
    """

    def __init__(self, buffers: Sequence[Buffer], steps: int) -> None:
        self.order = sorted(buffers, key=lambda b: ((b.first - b.last - 1) * b.aligned, b.name))
        begins = sorted({buffer.first for buffer in buffers})
        self.alive = [
            [at for at, step in enumerate(begins) if buffer.first <= step <= buffer.last]
            for buffer in self.order
        ]
        self.moments = len(begins)
        self.steps = steps

    def within(self, limit: int) -> Mapping[str, int] | None:
        """Offsets below `limit`; None where there are none, or no step is left to find them."""
        self.tops = [0] * self.moments
        self.waiting = [0] * self.moments
        for number, alive in enumerate(self.alive):
            for at in alive:
                self.waiting[at] += self.order[number].aligned
        left = set(range(len(self.order)))
        placed: list[tuple[int, int, list[int]]] = []  # offset, number, tops before
        choices = [self._choices(left, (0, -1))]
        while left:
            if self.steps == 0:
                return None
            if not choices[-1]:
                choices.pop()
                if not placed:
                    return None
                left.add(self._lift(*placed.pop()))
                continue
            self.steps -= 1
            offset, number = choices[-1].pop()
            placed.append((offset, number, self._lower(offset, number)))
            left.remove(number)
            fits = all(self.tops[at] + self.waiting[at] <= limit for at in self.alive[number])
            choices.append(self._choices(left, (offset, number)) if fits else [])
        return {self.order[number].name: offset for offset, number, _ in placed}

    def _choices(self, left: Collection[int], last: tuple[int, int]) -> list[tuple[int, int]]:
        """Offset and number of what may come next, the first to be tried at the end."""
        lowest = [(max(self.tops[at] for at in self.alive[number]), number) for number in left]
        ceiling = min((at + self.order[number].aligned for at, number in lowest), default=0)
        return sorted((each for each in lowest if each > last and each[0] < ceiling), reverse=True)

    def _lower(self, offset: int, number: int) -> list[int]:
        """Put a buffer there; the tops as they were."""
        tops = [self.tops[at] for at in self.alive[number]]
        for at in self.alive[number]:
            self.tops[at] = offset + self.order[number].aligned
            self.waiting[at] -= self.order[number].aligned
        return tops

    def _lift(self, offset: int, number: int, tops: list[int]) -> int:
        """Undo `_lower`."""
        del offset
        for at, top in zip(self.alive[number], tops, strict=True):
            self.tops[at] = top
            self.waiting[at] += self.order[number].aligned
        return number


def _aligned(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


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
