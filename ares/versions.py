"""The versions of torch, Brevitas and numpy that ARES works with, asked for before the first of them is imported.

pip keeps to the same ranges (pyproject.toml), but packages are also installed past pip's objections, and an old
Brevitas otherwise shows as an ImportError from deep inside. Imports nothing that takes time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType

Version = tuple[int, ...]

SUPPORTED: Mapping[str, tuple[Version, Version]] = MappingProxyType(
    {"brevitas": ((0, 12), (0, 14)), "numpy": ((1, 26), (3,)), "torch": ((2, 4), (3,))}
)
"""Package -> (the first version that works, the first that is not known to)."""

NEWEST_TORCH: Mapping[Version, Version] = MappingProxyType(
    {(0, 13, 1): (2, 13), (0, 13, 3): (2, 14)}
)
"""Brevitas before this version -> the first torch that it does not work with.

Its layers call `Tensor.rename`, which torch 2.13 has not; its graph mode imports what torch 2.14 has not.
"""


class UnsupportedVersionError(ImportError):
    """A package is missing, too old or too new. The message is one line: what was found, expected, and to do."""


def requirement(package: str, low: Version = (), high: Version = ()) -> str:
    """What pip calls the versions of a package that ARES works with: `torch>=2.4,<3`; `low` and `high` narrow it."""
    least, most = SUPPORTED[package]
    return f"{package}>={_text(low or least)},<{_text(high or most)}"


def require_supported_versions() -> None:
    """Return when every package is there in a version that ARES works with, else raise UnsupportedVersionError."""
    found = {package: _installed(package) for package in SUPPORTED}
    wrong = [package for package, version in found.items() if not _supported(package, version)]
    if wrong:
        versions = " and ".join(f"{package} {found[package]}" for package in wrong)
        ranges = " ".join(f'"{requirement(package)}"' for package in wrong)
        raise UnsupportedVersionError(
            f"ARES does not work with {versions} that is installed here: pip install {ranges}"
        )
    brevitas, torch = found["brevitas"], found["torch"]
    for before, too_new in NEWEST_TORCH.items():
        if _numbers(brevitas) < before and _numbers(torch) >= too_new:
            newer = requirement("brevitas", low=max(NEWEST_TORCH))
            older = requirement("torch", high=too_new)
            raise UnsupportedVersionError(
                f"brevitas {brevitas} does not work with torch {torch}: "
                f'pip install "{newer}", or pip install "{older}"'
            )


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(missing)"


def _supported(package: str, version: str) -> bool:
    low, high = SUPPORTED[package]
    return low <= _numbers(version) < high


def _numbers(version: str) -> Version:
    """`2.13.0+cpu` as (2, 13, 0); what does not start with numbers is smaller than every version."""
    start = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in start[0].split(".")) if start else ()


def _text(version: Version) -> str:
    return ".".join(str(number) for number in version)
