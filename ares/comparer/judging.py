"""A runtime's codes beside the golden ones: how many differ, by how much, where first, who is nearer to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.comparer.causes import cause_of
from ares.ir import Operation, Tensor

Array = npt.NDArray[Any]
EQUAL, DIFFERS, FAILED, UNSAID = "equal", "differs", "failed", "unsaid"
# Of real outputs behind which there is no sum of codes (moved ones): of the largest magnitude, what the 24 bits of
# binary32 lose in a sum of 4,096 terms in another order.
_REAL = 2.0**-12


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, or one output of the whole network, in one runtime.

    `verdict`: equal, differs, failed (the runtime did not run it) or unsaid (its format has no words for it); `words`
    say why. `differing` of `codes` differ, by `largest` at most; `first`: case and index of the first one, what the
    golden holds and what was found. `theirs`, `ours`: the largest distance from the real value behind a code, beyond
    half a step. `cause`: what explains every difference, where the numbers say so.
    """

    layer: str
    op_type: str
    tensor: str
    verdict: str
    words: str = ""
    codes: int = 0
    differing: int = 0
    largest: float = 0.0
    first: tuple[int, tuple[int, ...], float, float] | None = None
    theirs: float = 0.0
    ours: float = 0.0
    cause: str = ""

    @property
    def share(self) -> float:
        """Of the codes, those that differ."""
        return self.differing / self.codes if self.codes else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A tensor in some cases: golden, found, and (None where nobody knows) the real values behind the codes."""

    operation: Operation
    tensor: Tensor
    inputs: Sequence[Tensor]
    given: Sequence[Sequence[Array]]
    golden: Sequence[Array]
    found: Sequence[Array]
    before: Sequence[Array] | None

    def row(self) -> Row:
        """The comparison in integers; in reals where the tensor holds such."""
        operation, tensor = self.operation, self.tensor
        shapes = [array.shape for array in self.found]
        if any(shape != tensor.shape for shape in shapes):
            words = f"its output has shape {list(shapes[0])}, ours {list(tensor.shape)}"
            return Row(operation.path, operation.OP_TYPE, tensor.name, FAILED, words)
        golden, found = (
            np.stack([np.asarray(each, np.float64) for each in arrays])
            for arrays in (self.golden, self.found)
        )
        differs = self._differing(golden, found)
        count = int(differs.sum())
        verdict = DIFFERS if count else EQUAL
        size = golden.size
        row = Row(operation.path, operation.OP_TYPE, tensor.name, verdict, "", size, count)
        if not count:
            return row
        place = tuple(int(i) for i in np.argwhere(differs)[0])
        theirs, ours = self._beyond(golden, found)
        return replace(
            row,
            largest=float(np.abs(golden - found).max()),
            first=(place[0], place[1:], float(golden[place]), float(found[place])),
            theirs=theirs,
            ours=ours,
            cause=cause_of(self, golden, found) if tensor.scale is not None else "",
        )

    def _differing(self, golden: Array, found: Array) -> npt.NDArray[np.bool_]:
        if self.tensor.scale is not None:
            differs: npt.NDArray[np.bool_] = golden != found
            return differs
        # Where a sum of codes is behind it: whether it is another sum.
        unit = np.broadcast_to(self.operation.unit(self.tensor), golden.shape)
        allowed = np.where(unit > 0.0, unit / 2, _REAL * float(np.abs(golden).max()))
        near: npt.NDArray[np.bool_] = np.abs(golden - found) < allowed
        equal: npt.NDArray[np.bool_] = near | (golden == found)
        return ~equal

    def _beyond(self, golden: Array, found: Array) -> tuple[float, float]:
        """Theirs and ours: codes beyond half a step from the real value."""
        if self.before is None or self.tensor.scale is None:
            return 0.0, 0.0
        real = np.clip(np.stack(self.before), self.tensor.lo, self.tensor.hi)
        theirs, ours = (float(np.abs(codes - real).max()) - 0.5 for codes in (found, golden))
        return max(0.0, theirs), max(0.0, ours)
