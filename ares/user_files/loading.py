"""A model out of a network's file, with the trained parameters that go with it, and the inputs to run it on."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from ares.capture import evaluated
from ares.extract import ExtractionError
from ares.user_files.checkpoint import holds_state_of_zoo, load_state_dict
from ares.user_files.data import Samples, read_samples
from ares.user_files.error import UserInputError
from ares.user_files.inputs import (
    SAY_INPUTS,
    Inputs,
    NoInputs,
    evaluated_copy,
    find_inputs,
    runs,
)
from ares.user_files.stored import require_file
from ares.zoo.network_file import NetworkFile
from ares.zoo.state import StateError, read_info, restore

LARGEST_ZOO_STATE = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model with its parameters.

    `notes` say what was done to a checkpoint to read it; `problem` why a stored state was not used, "" if it was or
    there is none.
    """

    model: nn.Module
    notes: tuple[str, ...] = ()
    problem: str = ""


def structural_model(network: NetworkFile, state: Path | None, state_dict: Path | None) -> Loaded:
    """A model to judge the structure of; the stored state is used where it is there and fits.

    A `state_dict` that the user names has to fit: raises UserInputError where it does not.
    """
    if state_dict is not None:
        return trained_model(network, state, state_dict)
    model = network.create_model()
    if state is None or not state.exists():
        return Loaded(model)
    try:
        return Loaded(restore(network, state.read_bytes())[0])
    except StateError as error:
        return Loaded(model, problem=f"its stored state is not used: {error}")


def trained_model(network: NetworkFile, state: Path | None, state_dict: Path | None) -> Loaded:
    """The model with its parameters from `state_dict`, else from the stored `state`, in evaluation mode.

    With neither, the model is as its constructor makes it. `state_dict` may also be the stored state of a network
    of the zoo, whatever the file is called now. Raises UserInputError for what cannot be read or does not fit.
    """
    if state_dict is not None:
        if holds_state_of_zoo(state_dict):
            return Loaded(_restored_copy(network, state_dict))
        model = network.create_model()
        notes = load_state_dict(model, state_dict)
        return Loaded(evaluated(model), notes)
    if state is None:
        return Loaded(evaluated(network.create_model()))
    if not state.exists():
        raise UserInputError(
            f"{network.name} has no stored state ({state}): "
            f"python tools/regenerate_golden.py {network.name} makes one"
        )
    try:
        return Loaded(restore(network, state.read_bytes())[0])
    except StateError as error:
        raise UserInputError(f"{state}: {error}") from error


def _restored_copy(network: NetworkFile, state: Path) -> nn.Module:
    """A network of the zoo that was copied elsewhere: the name in its state is the key of its weights."""
    require_file(state, LARGEST_ZOO_STATE)
    try:
        data = state.read_bytes()
        return restore(replace(network, name=read_info(data).network), data)[0]
    except (StateError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise UserInputError(
            f"{state} does not fit the model in {network.path}: {text[:300]}"
        ) from error


def example(model: nn.Module, given: Inputs | None, name: str) -> Inputs:
    """Inputs on which `forward` runs: the given ones, else inferred ones.

    Raises ExtractionError for a model that Brevitas refuses whatever its input, UserInputError where there are none.
    """
    found = find_inputs(model, given)
    if not isinstance(found, NoInputs):
        return next(found)
    if found.refusal is not None:
        raise ExtractionError(name, found.refusal)
    raise UserInputError(f"{name}: no inputs to run forward with: {found.reason}; {SAY_INPUTS}")


def read_inputs(model: nn.Module, path: Path) -> Samples:
    """The user's own data for `model`: small integers are real values where `forward` runs on those, else ids.

    Raises UserInputError for a file that cannot be read.
    """
    samples = read_samples(path, names_of_inputs(model))
    if not samples.small:
        return samples
    trial = evaluated_copy(model).float()
    fitting = (reading for reading in samples.readings() if runs(trial, reading.first()))
    return next(fitting, samples)


def names_of_inputs(model: nn.Module) -> Sequence[str] | None:
    """The positional parameters of `forward`; None where it takes any number."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind in positional]
