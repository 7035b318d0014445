"""Trained parameters out of a file into a model: every one, with its shape, and no other.

What the file declares (`ares.user_files.stored`) is compared with the model before any of it is read. Whatever is wrong
raises `UserInputError` with one line: the file, what was found, what to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from brevitas import config
from torch import Tensor, nn

from ares.user_files.error import UserInputError
from ares.user_files.stored import Declared, Stored, cut, metadata_of, read_state, short

_ARES_STATE = "ares"
_NAMED_KEYS = 3
# What a file may hold beside the parameters that the model has by now: scales of quantisers are unknown until loaded.
_ROOM = 2**24
_MOST_STRANGE = 5000
_WIDEST = 8  # bytes of an element
_LARGEST_TENSOR = 2**33
# What DataParallel, torch.compile and a wrapper with a member `model` put before every name; a file may have several.
_PREFIXES = ("module.", "_orig_mod.", "model.")
_MOST_PREFIXES = 6


def holds_state_of_zoo(path: Path) -> bool:
    """Whether a file is the stored state of a network of the zoo (golden/<network>/state.safetensors)."""
    if path.suffix != ".safetensors":
        return False
    return _ARES_STATE in metadata_of(path)


def load_state_dict(model: nn.Module, path: Path) -> tuple[str, ...]:
    """Give `model` the parameters in the file; every one must be there, with its shape, and no other.

    Returns what the user should know, a line each: which entry of a checkpoint was read and which were ignored, and
    what was taken off the names (`module.`, `model.`, `_orig_mod.`) so that all of them fit. Empty for a plain state.
    """
    own = {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    stored = read_state(path, _ROOM + _WIDEST * sum(value.numel() for value in own.values()))
    notes = stored.notes
    prefix = _prefix_to_drop(stored.declared, own)
    where = f"{path} does not fit the model"
    if prefix:
        where += f" with {prefix!r} taken off its names"
        notes += (f"{path}: {prefix!r} is taken off every name, and all of them fit the model",)
    _require_fit(path, where, prefix, stored, own)
    tensors = {key.removeprefix(prefix): tensor for key, tensor in stored.tensors.items()}
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise UserInputError(
                f"{where}: {cut(key)} holds values that are not finite; train it again"
            )
    # A model that was loaded in part is thrown away, so nothing is lost by trying.
    try:
        with _nothing_forgiven():
            result = model.load_state_dict(tensors, strict=False)
    except Exception as error:
        # Broad: the modules' own hooks take part in loading; the user is told.
        raise UserInputError(f"{where}: {short(error)}") from error
    if result.missing_keys or result.unexpected_keys:
        raise _misfit(where, result.missing_keys, result.unexpected_keys)
    return notes


@contextmanager
def _nothing_forgiven() -> Iterator[None]:
    """Brevitas says which scales are missing, also where it was told not to, as it tells itself: some of its functions
    set this for a while, and for ever when they fail.
    """
    before = config.IGNORE_MISSING_KEYS
    config.IGNORE_MISSING_KEYS = False
    try:
        yield
    finally:
        config.IGNORE_MISSING_KEYS = before


def _require_fit(
    path: Path, where: str, prefix: str, stored: Stored, own: Mapping[str, Tensor]
) -> None:
    """Compare what the file declares; once it is all right, all of its tensors were few enough to be read."""
    declared = {key.removeprefix(prefix): entry for key, entry in stored.declared.items()}
    for key, entry in declared.items():
        _require_numbers(path, key, entry)
        if key in own:
            _require_like(where, key, entry, own[key])
    strange = declared.keys() - own.keys()
    if len(strange) > _MOST_STRANGE or len(stored.tensors) < len(declared):
        # Else the modules say which names they know: some take scales that they do not have by now.
        raise _misfit(where, own.keys() - declared.keys(), strange)


def _misfit(where: str, missing: Collection[str], unexpected: Collection[str]) -> UserInputError:
    parts = [
        f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} {what} ({_first(sorted(keys))})"
        for what, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    ]
    return UserInputError(f"{where}: {', '.join(parts)}; {_advice(missing, unexpected)}")


def _prefix_to_drop(tensors: Collection[str], own: Mapping[str, Tensor]) -> str:
    """What to take off the front of every name so that most are names of the model; "" where that helps nothing.

    Names and no values decide, so that there is one attempt at loading, judged as strictly as any. Scales of
    quantisers are not among `own` as long as they are unknown: most names is more than none, all is for the attempt.
    """
    candidates = [""]
    for _ in range(_MOST_PREFIXES):
        longer = (candidates[-1] + prefix for prefix in _PREFIXES)
        common = next(
            (c for c in longer if tensors and all(k.startswith(c) for k in tensors)), None
        )
        if common is None:
            break
        candidates.append(common)
    return max(candidates, key=lambda prefix: sum(k.removeprefix(prefix) in own for k in tensors))


def _advice(missing: Collection[str], unexpected: Collection[str]) -> str:
    if missing and not unexpected and all("_impl." in key for key in missing):
        return (
            "quantisers have no scale in it: calibrate or train the model before its state is saved"
        )
    return "save model.state_dict() of this very class, made with the same arguments"


def _require_numbers(path: Path, key: str, entry: Declared) -> None:
    if not entry.is_ordinary:
        raise UserInputError(
            f"{path}: {cut(key)} is no ordinary tensor; save dense tensors of numbers"
        )
    if entry.size > _LARGEST_TENSOR:
        raise UserInputError(
            f"{path}: {cut(key)} has shape {cut(str(list(entry.shape)))}, which is no size of a parameter"
        )


def _require_like(where: str, key: str, entry: Declared, own: Tensor) -> None:
    if entry.shape != own.shape:
        raise UserInputError(
            f"{where}: {key} has shape {cut(str(list(entry.shape)))}, the model's has {list(own.shape)}; "
            + _advice((), ())
        )
    dtype = entry.dtype
    if dtype.is_floating_point != own.is_floating_point() or dtype.is_complex:
        raise UserInputError(f"{where}: {key} is {_name(dtype)}, the model's is {_name(own.dtype)}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first(keys: Sequence[str]) -> str:
    named = ", ".join(keys[:_NAMED_KEYS])
    return f"{cut(named)}, ..." if len(keys) > _NAMED_KEYS else cut(named)
