"""The table of detectors: which module class or function is handled by which file of this folder.

A detector takes a `Call` and returns the Value of the call's first output, or a tuple with one for each output. A
user's subclass of a layer is found by its base; a library's own subclass is another layer (Brevitas' TruncAvgPool2d
is no AvgPool2d).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from torch import nn

from ares.capture.leaves import library_class
from ares.extract._arranged import lifted
from ares.extract._call import Call
from ares.extract._values import Value

Detector = Callable[[Call], Value | tuple[Value, ...]]

_MODULES: dict[type[nn.Module], Detector] = {}
_FUNCTIONS: dict[str, Detector] = {}


def on_module(*classes: type[nn.Module]) -> Callable[[Detector], Detector]:
    """Register a detector for leaf modules of these classes and of users' subclasses."""

    def register(detector: Detector) -> Detector:
        for cls in classes:
            if cls in _MODULES:
                raise TypeError(f"{cls.__name__} has two detectors")
            _MODULES[cls] = detector
        return detector

    return register


def on_function(*names: str) -> Callable[[Detector], Detector]:
    """Register a detector for recorded functions, by normalised name."""

    def register(detector: Detector) -> Detector:
        for name in names:
            if name in _FUNCTIONS:
                raise TypeError(f"function {name} has two detectors")
            _FUNCTIONS[name] = detector
        return detector

    return register


@cache
def load_detectors() -> tuple[str, ...]:
    """Import every detector file (names without underscore), sorted; return the stems.

    Calls that change nothing have detectors too, but no operation: `_passthrough` is no stem.
    """
    importlib.import_module(f"{__package__}._passthrough")
    stems = sorted(
        module.name
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
        if not module.name.startswith("_")
    )
    for stem in stems:
        importlib.import_module(f"{__package__}.{stem}")
    return tuple(stems)


def module_detector(module: nn.Module) -> Detector | None:
    """The detector of a module's nearest class, None if there is none."""
    load_detectors()
    library = library_class(module)
    for cls in type(module).__mro__:
        if cls in _MODULES:
            return partial(lifted, "", _MODULES[cls], function_detector)
        if cls is library:
            break
    return None


def function_detector(name: str) -> Detector | None:
    load_detectors()
    found = _FUNCTIONS.get(name)
    return None if found is None else partial(lifted, name, found, function_detector)


def known_names() -> tuple[str, ...]:
    """Names of all module classes and functions that have a detector, for suggestions."""
    load_detectors()
    return (*sorted(cls.__name__ for cls in _MODULES), *sorted(_FUNCTIONS))
