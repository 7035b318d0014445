"""The target of tests of the fuzzer."""

from __future__ import annotations

import pytest

from ares.toolchain import Target, missing_tools, select

_NAMES = ("tcc", "gcc-O0", "zig-O2")


def quickest() -> Target:
    """The first that is here."""
    targets = {target.name: target for target in select(_NAMES)}
    absent = missing_tools(tuple(targets.values()))
    usable = [name for name in _NAMES if absent[name] is None]
    if not usable:
        pytest.skip(f"none of {', '.join(_NAMES)} is here")
    return targets[usable[0]]
