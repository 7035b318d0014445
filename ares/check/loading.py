"""A model out of a network's file, with the trained parameters that go with it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ares.check.inputs import CheckError
from ares.zoo.network_file import NetworkFile
from ares.zoo.state import StateError, restore

_LONGEST_MESSAGE = 300


def structural_model(network: NetworkFile, state: Path | None) -> tuple[nn.Module, str]:
    """A model to judge the structure of; the stored state is used where it is there and fits.

    The text says why a stored state was not used, "" if it was or there is none.
    """
    model = network.create_model()
    if state is None or not state.exists():
        return model, ""
    try:
        return restore(network, state.read_bytes())[0], ""
    except StateError as error:
        return model, f"its stored state is not used: {error}"


def trained_model(network: NetworkFile, state: Path | None, state_dict: Path | None) -> nn.Module:
    """The model with its parameters from `state_dict`, else from the stored `state`, in evaluation mode.

    With neither, the model is as its constructor makes it. Raises CheckError for what cannot be read or does not fit.
    """
    if state_dict is not None:
        model = network.create_model()
        _load_state_dict(model, state_dict)
        return model.eval()
    if state is None:
        return network.create_model().eval()
    if not state.exists():
        raise CheckError(
            f"{network.name} has no stored state ({state}): "
            f"python tools/regenerate_golden.py {network.name} makes one"
        )
    try:
        return restore(network, state.read_bytes())[0]
    except StateError as error:
        raise CheckError(f"{state}: {error}") from error


def _load_state_dict(model: nn.Module, path: Path) -> None:
    tensors = _read_state_dict(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckError(f"{path} does not fit the model: {_short(error)}") from error


def _read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name. Nothing of the file is executed: a pickle may hold plain tensors only."""
    if not path.is_file():
        raise CheckError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise CheckError(f"{path} is not a safetensors file: {_short(error)}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise CheckError(
            f"{path} cannot be read: {_short(error)}; "
            "save it with torch.save(model.state_dict(), path) or as .safetensors"
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(x, Tensor) for x in found.values()):
        keys = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise CheckError(
            f"{path} is no state dict, it holds {keys[:_LONGEST_MESSAGE]}; "
            "save model.state_dict() alone"
        )
    return found


def _short(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
