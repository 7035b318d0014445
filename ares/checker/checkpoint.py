"""Trained parameters out of a file, as data: nothing of the file is ever executed.

Files of safetensors, and what `torch.save` writes of `model.state_dict()`, alone or as one entry of a checkpoint
(Lightning's, or `{"model": ...}`). A pickle is read by torch's restricted unpickler, which knows tensors and plain
containers; one that names other code is refused. Whatever is wrong raises `CheckError` with one line: the file, what
was found, what to do.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ares.checker.inputs import CheckError

LARGEST_FILE = 2**33
_ARES_STATE = "ares"
_LONGEST_MESSAGE = 200
_NAMED_KEYS = 3
_NAMED_ENTRIES = 8
# The entry of a checkpoint that holds the state dict, as Lightning and training scripts call it.
_STATES = ("state_dict", "model_state_dict", "model")
# What DataParallel, torch.compile and a wrapper with a member `model` put before every name; a file may have several.
_PREFIXES = ("module.", "_orig_mod.", "model.")
_MOST_PREFIXES = 6
_SAFETENSORS = "save it with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
_CODE = re.compile(
    r"unsupported (?:global|class|operand)\W+(?:GLOBAL )?([\w.]+)|([\w.]+) was not an allowed global",
    re.IGNORECASE,
)


def holds_state_of_zoo(path: Path) -> bool:
    """Whether a file is the stored state of a network of the zoo (golden/<network>/state.safetensors)."""
    if path.suffix != ".safetensors":
        return False
    _require_file(path)
    try:
        with safe_open(path, "pt") as file:
            return _ARES_STATE in (file.metadata() or {})
    except Exception as error:
        # Broad: nothing but the library's parser runs here, on bytes of anybody; the user is told.
        raise CheckError(f"{path} is not a safetensors file: {_short(error)}") from error


def load_state_dict(model: nn.Module, path: Path) -> tuple[str, ...]:
    """Give `model` the parameters in the file; every one must be there, with its shape, and no other.

    Returns what the user should know, a line each: which entry of a checkpoint was read and which were ignored, and
    what was taken off the names (`module.`, `model.`, `_orig_mod.`) so that all of them fit. Empty for a plain state.
    """
    found, notes = _read(path)
    own = {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    prefix = _prefix_to_drop(found, own)
    tensors = {key.removeprefix(prefix): tensor for key, tensor in found.items()}
    where = f"{path} does not fit the model"
    if prefix:
        where += f" with {prefix!r} taken off its names"
        notes += (f"{path}: {prefix!r} is taken off every name, and all of them fit the model",)
    for key, tensor in tensors.items():
        _require_numbers(path, key, tensor)
        if key in own:
            _require_like(where, key, tensor, own[key])
    # A model that was loaded in part is thrown away, so nothing is lost by trying.
    try:
        result = model.load_state_dict(dict(tensors), strict=False)
    except Exception as error:
        # Broad: the modules' own hooks take part in loading; the user is told.
        raise CheckError(f"{where}: {_short(error)}") from error
    missing, unexpected = sorted(result.missing_keys), sorted(result.unexpected_keys)
    if missing or unexpected:
        parts = [
            f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} {what} ({_first(keys)})"
            for what, keys in (("missing", missing), ("unexpected", unexpected))
            if keys
        ]
        raise CheckError(f"{where}: {', '.join(parts)}; {_advice(missing, unexpected)}")
    return notes


def _prefix_to_drop(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
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


def _advice(missing: Sequence[str], unexpected: Sequence[str]) -> str:
    if missing and not unexpected and all("_impl." in key for key in missing):
        return (
            "quantisers have no scale in it: calibrate or train the model before its state is saved"
        )
    return "save model.state_dict() of this very class, made with the same arguments"


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise CheckError(f"{path}: no such file; expected .safetensors or a saved state_dict()")
    size = path.stat().st_size
    if size == 0:
        raise CheckError(f"{path} is empty; save model.state_dict() again")
    if size > LARGEST_FILE:
        raise CheckError(f"{path} has {size} bytes, at most {LARGEST_FILE} are read")


def _read(path: Path) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """The state dict in a file, and what there is to say about where in it that stands."""
    _require_file(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path), ()
        except Exception as error:
            # Broad: nothing but the library's parser runs here, on bytes of anybody; the user is told.
            kind = (
                "is not a safetensors file"
                if isinstance(error, SafetensorError)
                else "cannot be read"
            )
            raise CheckError(f"{path} {kind}: {_short(error)}") from error
    _refuse_packed(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Broad: nothing but torch's unpickler runs here, on bytes of anybody; the user is told.
        raise CheckError(_unreadable(path, error)) from error
    if _is_state(found):
        return found, ()
    if not isinstance(found, Mapping):
        raise CheckError(_no_state(path, type(found).__name__))
    states = [name for name in _STATES if _is_state(found.get(name)) and found[name]]
    if len(states) > 1:
        raise CheckError(
            f"{path} holds {len(states)} state dicts ({', '.join(states)}); save the one that you mean alone"
        )
    if not states:
        raise CheckError(_no_state(path, _entries(found)))
    others = [key for key in found if key != states[0]]
    ignored = f", ignored: {_entries(others)}" if others else ""
    return found[states[0]], (f"{path}: the entry {states[0]!r} is read{ignored}",)


def _is_state(found: object) -> bool:
    return isinstance(found, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    )


def _no_state(path: Path, kinds: str) -> str:
    return f"{path} is no state dict, it holds {kinds}; save model.state_dict() alone"


def _entries(keys: Iterable[object]) -> str:
    """The first names among the keys of a file; of what is no name its kind."""
    names = [key if isinstance(key, str) else type(key).__name__ for key in keys]
    more = ["..."] if len(names) > _NAMED_ENTRIES else []
    return _cut(", ".join(names[:_NAMED_ENTRIES] + more))


def _refuse_packed(path: Path) -> None:
    """torch stores its tensors as they are: what unpacks to more than the file is no checkpoint but a bomb."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckError(_unreadable(path, error)) from error
    if declared > path.stat().st_size:
        raise CheckError(
            f"{path} unpacks to {declared} bytes, the file has {path.stat().st_size}: no file of torch.save; "
            + _SAFETENSORS
        )


def _unreadable(path: Path, error: BaseException) -> str:
    text = " ".join(str(error).split())
    code = _CODE.search(text) if isinstance(error, pickle.UnpicklingError) else None
    if code is not None:
        return (
            f"{path} cannot be read without running code ({code[1] or code[2]}), which is not done: it holds more "
            f"than weights; {_SAFETENSORS}"
        )
    if isinstance(error, pickle.UnpicklingError):
        # torch's own words go on to recommend running the code.
        text = "damaged, or no file of torch.save"
    return f"{path} cannot be read: {type(error).__name__}: {_cut(text)}; {_SAFETENSORS}"


def _require_numbers(path: Path, key: str, tensor: Tensor) -> None:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise CheckError(
            f"{path}: {_cut(key)} is no ordinary tensor; save dense tensors of numbers"
        )
    # Zero strides make a tensor of any size out of a byte.
    if tensor.numel() * tensor.element_size() > LARGEST_FILE:
        raise CheckError(
            f"{path}: {_cut(key)} has {tensor.numel()} elements, which is no size of a parameter"
        )


def _require_like(where: str, key: str, tensor: Tensor, own: Tensor) -> None:
    if tensor.shape != own.shape:
        raise CheckError(
            f"{where}: {key} has shape {list(tensor.shape)}, the model's has {list(own.shape)}; "
            + _advice((), ())
        )
    if tensor.is_floating_point() != own.is_floating_point() or tensor.is_complex():
        raise CheckError(f"{where}: {key} is {_name(tensor)}, the model's is {_name(own)}")
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
        raise CheckError(f"{where}: {key} holds values that are not finite; train it again")


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _first(keys: Sequence[str]) -> str:
    named = ", ".join(keys[:_NAMED_KEYS])
    return f"{_cut(named)}, ..." if len(keys) > _NAMED_KEYS else _cut(named)


def _short(error: BaseException) -> str:
    return _cut(" ".join(f"{type(error).__name__}: {error}".split()))


def _cut(text: str) -> str:
    """Short, and on one line: names in a file may hold any character."""
    shown = text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
