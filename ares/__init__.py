"""ARES: exact integer C from trained Brevitas models.

    report = ares.check(model)                          can it be mapped?
    result = ares.verify(model, example_inputs)         is the C what the model means, in every layer?
    ares.export(model, "firmware", example_inputs)      the C project

What they return says all of it when it is printed. Importing this package imports nothing else: torch comes with the
first function that is asked for. docs/python.md shows them at work, `ares.testing` puts them into your own tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "AresError",
    "Export",
    "Report",
    "Verification",
    "check",
    "export",
    "own_target",
    "read_targets",
    "verify",
]

if TYPE_CHECKING:
    from ares.door import (
        AresError,
        Export,
        Report,
        Verification,
        check,
        export,
        own_target,
        read_targets,
        verify,
    )
else:  # a type checker would take every name for granted

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ares.versions import require_supported_versions

        require_supported_versions()
        from ares import door

        return getattr(door, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
