"""The stored state of a network, refused where it is missing or another network's."""

from __future__ import annotations

from typing import Any

from ares.golden import STATE
from ares.pipeline.catalogue import ZooPaths
from ares.zoo.network_file import NetworkFile
from ares.zoo.state import StateError, StateInfo, read_info, restore


def read_state(paths: ZooPaths) -> bytes:
    """The bytes of the state; raises StateError when there is none."""
    path = paths.golden / STATE
    if not path.exists():
        raise StateError(
            f"{path}: there is no state; python tools/regenerate_golden.py {paths.name} makes one"
        )
    return path.read_bytes()


def restore_state(network: NetworkFile, state: bytes) -> tuple[Any, StateInfo]:
    """The model as it was stored; raises StateError, also for the state of another network that would fit."""
    owner = read_info(state).network
    if owner != network.name:
        raise StateError(
            f"{network.name}: the stored state is of another network, {owner}; restore it with git checkout, or "
            f"remove it and run python tools/regenerate_golden.py {network.name}"
        )
    return restore(network, state)
