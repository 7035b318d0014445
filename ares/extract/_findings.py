"""What extraction has to say about each layer: supported, with a warning, or not mappable and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NoReturn

from ares.ir.names import one_line, path_of


class Status(enum.Enum):
    """`SUPPORTED` is mapped exactly, `WARNING` is mapped but deserves a look, `ERROR` is not mapped."""

    SUPPORTED = "supported"
    WARNING = "warning"
    ERROR = "error"


TAKEN_INTO = "taken into "
"""How the reason of a layer begins that another one computes: then the name of that one."""

NOT_JUDGED = "not judged: a layer around it cannot be mapped"
"""The reason of a layer that may be fine, but whose input or quantiser is unknown for now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `layer` is the module path or `scope.function`, as `ares.ir.names.carried` writes it;
    `layer_type` its class or name.

    `op_type` is what the layer became in the Graph, "" where it is part of another operation or was not mapped.
    """

    layer: str
    layer_type: str
    status: Status
    reason: str
    suggestion: str = ""
    op_type: str = ""

    def __post_init__(self) -> None:
        # Users' names stand in all of these; a terminal must not obey them.
        for field in ("layer", "layer_type", "reason", "suggestion"):
            object.__setattr__(self, field, one_line(getattr(self, field)))

    @property
    def module(self) -> str:
        """The layer's module, or scope and function, as the user has it: no number of the call, no escapes."""
        return path_of(self.layer)

    def __str__(self) -> str:
        advice = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.layer or '(model)'} ({self.layer_type}): {self.reason}{advice}"


class ExtractionError(ValueError):
    """A model that cannot be mapped; the message names network, layer, what was found and what to do."""

    def __init__(self, network: str, finding: Finding) -> None:
        super().__init__(f"{network}: {finding}")
        self.finding = finding


class Unmappable(Exception):
    """Raised by a detector; the walk turns it into a Finding.

    It is about the layer that the walk was looking at, unless `at` named another one: an operation is built when
    its quantiser is met, and then the operation's own layer is at fault.
    """

    def __init__(self, reason: str, suggestion: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion
        self.layer = ""
        self.layer_type = ""

    def at(self, layer: str, layer_type: str) -> Unmappable:
        """Name the layer at fault, if that was not done before."""
        if not self.layer:
            self.layer, self.layer_type = layer, layer_type
        return self


class Unquantised(Unmappable):
    """A real value came where codes are wanted: about the value before the layer, not about the layer."""


def reject(reason: str, suggestion: str = "") -> NoReturn:
    """The layer cannot be mapped: why, and what its author can do."""
    raise Unmappable(reason, suggestion)
