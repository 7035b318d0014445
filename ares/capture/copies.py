"""Copies of a model that differ from it in nothing."""

from __future__ import annotations

import copy
import copyreg
from collections import OrderedDict
from operator import itemgetter
from types import FunctionType
from typing import Any

import torch
from torch import nn

from ares.capture.walks import all_names

# What deepcopy hands back as it is.
_SAME = frozenset(
    (bool, int, float, complex, str, bytes, type(None), type, FunctionType, torch.dtype)
)
# What every module has for itself, a dozen containers that are nearly always empty.
_HOOKS = tuple(name for name, value in vars(nn.Module()).items() if type(value) is OrderedDict)
_ARE_HOOKS = frozenset(_HOOKS)
_hooks_of = itemgetter(*_HOOKS)
_NEW: Any = vars(copyreg)["__newobj__"]
"""What pickle is told to make most objects with."""


def evaluated(model: nn.Module) -> nn.Module:
    """The model itself, put into evaluation mode: an `eval` that it defines may return nothing."""
    model.eval()
    return model


def faithful_copy(model: nn.Module) -> nn.Module:
    """A deep copy with every module in the mode, training or evaluation, that it had.

    Brevitas' GraphModule makes its containers anew when it is copied, in training mode. Raises whatever copying
    raises: it runs the code of what the model holds.
    """
    duplicate: nn.Module = _Copying().copied(model)
    modes = {path: module.training for path, module in all_names(model)}
    for path, module in all_names(duplicate):
        if module.training is not modes.get(path, module.training):
            module.training = modes[path]
    return duplicate


class _Copying:
    """`copy.deepcopy`, in a sixth of its time for what models of Brevitas are made of: modules in modules, each with
    a dozen containers, most of them empty, and tensors of one number. All else, and what has its own way of being
    copied, is left to deepcopy.
    """

    def __init__(self) -> None:
        self._memo: dict[Any, Any] = {}  # deepcopy's: id -> copy
        self._storages: dict[int, Any] = self._memo.setdefault("torch", {})  # torch's, in there
        self._states: list[Any] = []  # kept, as ids are what is known of their items
        self._are_plain: dict[type, bool] = {}

    def copied(self, value: Any) -> Any:
        kind = type(value)
        known = self._memo.get(id(value))
        if known is not None:
            return known
        if kind is dict or (kind is OrderedDict and not vars(value)):
            container: dict[Any, Any] = kind()
            self._memo[id(value)] = container
            if value:
                for key, item in value.items():
                    container[self.copied(key)] = self.copied(item)
            return container
        if kind in _SAME or isinstance(value, type):
            return value
        if kind is torch.Tensor:
            return self._tensor(value)
        if kind is list:
            items: list[Any] = []
            self._memo[id(value)] = items
            items += map(self.copied, value)
            return items
        if kind is set and not value:
            return self._memo.setdefault(id(value), set())
        if isinstance(value, nn.Module) and self._is_plain(kind):
            return self._module(value)
        return copy.deepcopy(value, self._memo)

    def _module(self, module: nn.Module) -> Any:
        """As deepcopy does what pickle has no word in."""
        how: Any = module.__reduce_ex__(4)
        if how[0] is not _NEW or how[1] != (type(module),) or type(how[2]) is not dict:
            return copy.deepcopy(module, self._memo)
        self._states.append(how)
        duplicate: Any = type(module).__new__(type(module))
        self._memo[id(module)] = duplicate
        state = dict(how[2])
        has_new = self._are_new_hooks(state)
        for name, item in state.items():
            if type(item) not in _SAME and not (has_new and name in _ARE_HOOKS):
                state[name] = self.copied(item)
        duplicate.__setstate__(state)
        return duplicate

    def _are_new_hooks(self, state: dict[str, Any]) -> bool:
        """Put new containers for hooks in the place of those of a module, where none is in them: in one go."""
        if not state.keys() >= _ARE_HOOKS:
            return False
        hooks = _hooks_of(state)
        keys = set(map(id, hooks))
        are_usual = len(keys) == len(hooks) and set(map(type, hooks)) == {OrderedDict}
        if any(hooks) or not are_usual or not self._memo.keys().isdisjoint(keys):
            return False
        new: list[OrderedDict[Any, Any]] = [OrderedDict() for _ in hooks]
        self._memo.update(zip(map(id, hooks), new, strict=True))
        state.update(zip(_HOOKS, new, strict=True))
        return True

    def _is_plain(self, kind: type[nn.Module]) -> bool:
        """Whether a class of modules says nothing of how it is copied, and nothing that is not there is asked of it."""
        if kind not in self._are_plain:
            self._are_plain[kind] = (
                not hasattr(kind, "__deepcopy__")
                and kind not in copyreg.dispatch_table
                and kind.__getattr__ is nn.Module.__getattr__
            )
        return self._are_plain[kind]

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """The memory of a tensor that has its own is copied with it; of what shares it torch makes the copy."""
        storage = tensor.untyped_storage() if tensor.layout is torch.strided else None
        if storage is None or storage._cdata in self._storages or not _fills(tensor, storage):
            duplicate: torch.Tensor = copy.deepcopy(tensor, self._memo)
            return duplicate
        duplicate = tensor.clone()
        self._memo[id(tensor)] = duplicate
        self._storages[storage._cdata] = duplicate.untyped_storage()
        return duplicate


def _fills(tensor: torch.Tensor, storage: torch.UntypedStorage) -> bool:
    """Whether a tensor is its memory and nothing more."""
    return (
        tensor.is_cpu
        and tensor.is_contiguous()
        and storage.nbytes() == tensor.nbytes
        and not (tensor.requires_grad or tensor.is_inference() or tensor.is_quantized)
        and not (tensor.is_conj() or tensor.is_neg() or any(getattr(tensor, "names", ())))
        and tensor.grad is None
        and not vars(tensor)
    )
