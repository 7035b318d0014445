"""Whether a model can be mapped, and what to change where it cannot: `ares check`.

`check_model` runs `forward` once, judges every layer and function it sees (`ares.extract.analyse`) and returns a
`Report`. Inputs that nobody gave are inferred from the first layers. Compatibility is structural: a model that was
never calibrated is compatible, with warnings. Without `forward` nothing is called compatible.
"""

from ares.checker.causes import judge
from ares.checker.model import check_model, unbuildable
from ares.checker.render import render
from ares.checker.report import Report, first_reason

__all__ = ["Report", "check_model", "first_reason", "judge", "render", "unbuildable"]
