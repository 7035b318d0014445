"""What the planner may choose without changing an integer that a layer makes: a record, and what a seed draws of it.

`plan(graph, choices=...)` takes any such record: each gives a valid plan. The default is what ships. The others are for
comparing: the same Graph by another path must give equal integers (`ares.fuzzer.variants`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")

# Nothing in a Graph has this number: what `drawn_choices` asks for itself.
_THE_RECORD = 2**32 - 1


class Share(enum.Enum):
    """Of all the places where something may be done, those where it is: of SOME, every other one is drawn."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Choices:
    """`seed` draws what the other fields leave open; each field draws for itself, whatever the others are.

    order: the layers in another order in which each finds its operands; a composite stays together.
    layouts: operands are offered to layers in other orders of their axes; where a layer takes one, it is copied.
    calls: another kernel call for a layer, where its operation has some (`KernelOperation.other_calls`).
    aliases: results that are their operand's memory, read in another shape; the rest are copied.
    in_place: results that take over the memory of an operand that dies, where the kernel allows it.
    folded: frames of zeros that are left to the layers behind, where those can do it.
    callers: outputs of the network that are made in the caller's buffer; the rest are copied there at the end.
    places: buffers go to the lowest free offset in a drawn order, however large the arena becomes.
    tables: the C's table of tensors in a drawn order.
    """

    seed: int = 0
    order: bool = False
    layouts: bool = False
    calls: bool = False
    aliases: Share = Share.ALL
    in_place: Share = Share.ALL
    folded: Share = Share.ALL
    callers: Share = Share.ALL
    places: bool = False
    tables: bool = False

    def __str__(self) -> str:
        """The fields that are not as shipped: `seed 7: order, in_place=none`."""
        words = [
            name if value is True else f"{name}={value.value}"
            for name, value in self._changed().items()
        ]
        return f"seed {self.seed}: {', '.join(words) or 'as shipped'}"

    def alone(self) -> tuple[Choices, ...]:
        """For each field that is not as shipped, the record that has only that: which of them is it?"""
        return tuple(
            replace(Choices(self.seed), **{name: value}) for name, value in self._changed().items()
        )

    def takes(self, field: str, number: int) -> bool:
        """Whether the thing of this number is done."""
        share: Share = getattr(self, field)
        return share is Share.ALL or (share is Share.SOME and self.pick(field, number, 2) == 1)

    def pick(self, field: str, number: int, count: int) -> int:
        """One of 0 .. count - 1, for the thing of this number."""
        return int(self._words(field, number, 1)[0]) % count

    def shuffled(self, field: str, number: int, items: Sequence[Item]) -> tuple[Item, ...]:
        """The items in a drawn order."""
        ranks = self._words(field, number, len(items)).tolist()
        return tuple(items[at] for at in sorted(range(len(items)), key=lambda at: ranks[at]))

    def _changed(self) -> dict[str, Any]:
        """The fields that are not as shipped."""
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)[1:]}
        return {name: value for name, (value, shipped) in values.items() if value != shipped}

    def _words(self, field: str, number: int, count: int) -> npt.NDArray[np.uint64]:
        """What hangs on the seed, the field and the number, and on nothing else: no name, no order of a dict."""
        place = [each.name for each in fields(self)].index(field)
        key = np.array([self.seed % 2**64, place * 2**32 + number], np.uint64)
        return np.random.Philox(key=key).random_raw(count) >> np.uint64(16)


SHIPPED = Choices()
"""What every project is planned by that is not made to be compared."""


def drawn_choices(seed: int) -> Choices:
    """A record, from its seed alone: each field is as shipped in half of them."""
    draw = Choices(seed)
    shares = (Share.ALL, Share.ALL, Share.SOME, Share.NONE)
    drawn: dict[str, Any] = {}
    for field in fields(draw)[1:]:
        answer = draw.pick(field.name, _THE_RECORD, 4)
        drawn[field.name] = answer % 2 == 1 if field.default is False else shares[answer]
    return Choices(seed, **drawn)
