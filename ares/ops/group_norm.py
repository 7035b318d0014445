"""GroupNorm with everything up to the next quantiser: exact moments, one inverse root a group, one rounding.

eps: see `ares.ops._norms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ares.ir import Tensor
from ares.ops._norms import NormOperation
from ares.ops._operation import Layout, Site, default_layout, require


@dataclass(frozen=True, slots=True, eq=False)
class GroupNorm(NormOperation):
    """`out[c,...] = finish(gamma[c] * (n * x - S1) / sqrt(n * S2 - S1^2 + n^2 * eps / scale^2) + beta[c])`

    Input N C ... of rank 2 or more; x = in - z; S1, S2: sums of x and of x^2 over the n codes of the channel's
    group, at most 2^17; `groups` divides C. `rescale` holds gamma (signed) and beta, of one or C channels.
    """

    OP_TYPE = "OP_GROUPNORM"
    LAYER_TYPE = "GroupNorm"
    PYTHON_CLASS = "torch.nn.GroupNorm"

    groups: int

    def check_shape(self, source: Tensor) -> None:
        require(
            len(source.shape) >= 2 and self.groups >= 1 and source.shape[1] % self.groups == 0,
            f"{self.name}: input {list(source.shape)} has no channels (axis 1) for {self.groups} groups",
        )

    def split(self, source: Tensor) -> tuple[int, int, int, int]:
        rows, channels, *rest = source.shape
        return rows, self.groups, channels // self.groups, prod(rest)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        # The order of the positions does not matter, as long as all of them are neighbours.
        (order,) = given
        if order[0] != 0 or 1 not in (order[1], order[-1]):
            order = default_layout(site.inputs[0])
        return (order,), (order,)

    def channels_innermost(self, site: Site) -> bool:
        return site.input_layouts[0][-1] == 1
