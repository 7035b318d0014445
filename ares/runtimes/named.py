"""Arrays with names of any kind in a file: npz alone has none for a tensor that is called `file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def save_named(path: Path, arrays: Mapping[str, Array]) -> None:
    """The names first, then the arrays in their order."""
    np.savez(path, np.array([*arrays], dtype=np.str_), *arrays.values())


def load_named(path: Path) -> dict[str, Array]:
    """What `save_named` saved."""
    with np.load(path) as found:
        names = found["arr_0"].tolist()
        return {name: found[f"arr_{number}"] for number, name in enumerate(names, start=1)}
