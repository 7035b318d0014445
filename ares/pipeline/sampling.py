"""Which networks run on which targets today: everything on everything, but for large networks.

The rule: a network of more than `LARGE` multiply-accumulates an inference runs on every default target every time. On
the others it takes turns: with both tables numbered, network i runs on target j on the days d (counted from
1 January of year 1) on which (i + j + d) is a multiple of `ROUND`, with one case of its golden: the next one each time.
Every pair therefore comes round every `ROUND` days, and on every day each such network meets one target in `ROUND`,
and each target one such network in `ROUND`. Networks of the convolutional and dense table and the operations' own cases
are never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ares.toolchain import TARGETS, Target

LARGE = 50_000_000
ROUND = 8
# The one network of the convolutional and dense table that is larger.
TABLE_A = ("test_27_linear3d_bench",)


@dataclass(frozen=True, slots=True)
class Sample:
    """The turns of one day. `day` None: nothing is left out."""

    day: int | None
    networks: Sequence[str]

    def left_out(self, network: str, target: Target, macs: int) -> str | None:
        """Why a pair does not run on this day, None when it does."""
        if not self._takes_turns(network, target, macs) or self.day is None:
            return None
        row, column = list(self.networks).index(network), TARGETS.index(target)
        wait = -(row + column + self.day) % ROUND
        if wait == 0:
            return None
        days = "tomorrow" if wait == 1 else f"in {wait} days"
        return f"{macs / 1e6:.0f} M multiply-accumulates: sampled, next {days}; --all-cells runs it now"

    def only_case(self, network: str, target: Target, macs: int) -> int | None:
        """Which turn of its cases a pair runs, None for all of them; to be taken modulo their number."""
        if not self._takes_turns(network, target, macs) or self.day is None:
            return None
        return self.day // ROUND

    def _takes_turns(self, network: str, target: Target, macs: int) -> bool:
        return (
            self.day is not None and macs > LARGE and network not in TABLE_A and not target.default
        )
