"""A faithful copy is what `copy.deepcopy` makes: equal, of the same structure, sharing nothing with the original."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import FunctionType
from typing import Any

import pytest
import torch
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import nn

from ares.capture import faithful_copy
from ares.capture.walks import all_names, first_names, held, of_kind
from ares.fuzzer.drawing import draw
from ares.fuzzer.models import build


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.again = self.conv
        self.bn = nn.BatchNorm2d(2)
        self.tied = nn.Linear(2, 2)
        self.tied.weight = nn.Parameter(torch.eye(2))
        self.other = nn.Linear(2, 2)
        self.other.weight = self.tied.weight
        self.register_buffer("table", torch.arange(6.0))
        self.register_module("absent", None)
        self.part = self.get_buffer("table")[2:]
        self.row = torch.arange(6.0).reshape(2, 3).t()
        self.grown = torch.ones(2, requires_grad=True)
        self.held = [nn.ReLU(), {"key": (torch.ones(1), "text")}]
        self.held.append(self.held)
        self.kept = OrderedDict(first=self.conv)


class OwnWay(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.made = "built"

    def __deepcopy__(self, memo: Any) -> OwnWay:
        other = OwnWay()
        other.made = "copied"
        return other


class OwnState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cache = [torch.ones(1)]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "cache": [torch.zeros(1)], "fresh": [torch.ones(2)]}


class Delegating(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ReLU()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)


def outline(value: Any, seen: dict[int, int]) -> Any:
    """What a value is made of, and where the same object comes again."""
    kind = type(value)
    if isinstance(value, type | FunctionType):
        return value
    if not isinstance(value, list | tuple | dict | set) and not hasattr(value, "__dict__"):
        return value
    if id(value) in seen:
        return f"again {seen[id(value)]}"
    seen[id(value)] = len(seen)
    if isinstance(value, torch.Tensor):
        facts = (value.dtype, value.stride(), value.storage_offset(), value.requires_grad)
        return kind, facts, value.tolist()
    if isinstance(value, dict):
        return kind, [(outline(k, seen), outline(v, seen)) for k, v in value.items()]
    if isinstance(value, list | tuple | set):
        return kind, [outline(item, seen) for item in value]
    return kind, outline(vars(value), seen)


def alike(one: nn.Module, other: nn.Module) -> bool:
    """A word for it: what differs is too long to be shown."""
    return bool(outline(one, {}) == outline(other, {}))


def objects(model: nn.Module) -> set[int]:
    """ids of all that copies may not share: modules, tensors, containers."""
    found: set[int] = set()
    pending: list[Any] = [model]
    while pending:
        value = pending.pop()
        if id(value) in found or not isinstance(value, nn.Module | torch.Tensor | dict | list):
            continue
        if isinstance(value, nn.Module):
            pending += vars(value).values()
        elif not isinstance(value, torch.Tensor):
            pending += value.values() if isinstance(value, dict) else value
        found.add(id(value))
    return found


@pytest.mark.parametrize("seed", range(900, 906))
def test_a_copy_is_what_deepcopy_makes(seed: int) -> None:
    model = build(draw(seed))[0]
    duplicate = faithful_copy(model)
    assert alike(duplicate, copy.deepcopy(model))
    assert alike(duplicate, model)
    assert not objects(duplicate) & objects(model)


def test_what_is_shared_stays_shared_and_nothing_else() -> None:
    model = Model()
    duplicate: Any = faithful_copy(model)
    assert alike(duplicate, copy.deepcopy(model))
    assert not objects(duplicate) & objects(model)
    assert duplicate.again is duplicate.conv is duplicate.kept["first"]
    assert duplicate.tied.weight is duplicate.other.weight
    assert duplicate.held[2] is duplicate.held
    duplicate.table[2] = 50.0
    assert float(duplicate.part[0]) == 50.0
    assert float(model.part[0]) == 2.0


def test_a_view_that_comes_before_what_it_is_of_shares_its_memory_too() -> None:
    model = nn.Module()
    whole = torch.arange(4.0)
    model.part, model.whole = whole[:2], whole
    duplicate: Any = faithful_copy(model)
    duplicate.whole[0] = 9.0
    assert float(duplicate.part[0]) == 9.0
    assert float(whole[0]) == 0.0


@pytest.mark.parametrize("kind", [OwnWay, OwnState, Delegating])
def test_what_a_class_says_of_its_copies_is_done(kind: type[nn.Module]) -> None:
    model = nn.Sequential(kind(), nn.ReLU())
    duplicate: Any = faithful_copy(model)
    assert alike(duplicate, copy.deepcopy(model))
    assert duplicate[0] is not model[0]


def test_a_walk_is_named_modules() -> None:
    for model in (Model(), build(draw(901))[0], nn.ReLU()):
        modules = all_names(model)
        assert modules == list(model.named_modules(remove_duplicate=False))
        assert first_names(modules) == list(model.named_modules())


def test_what_is_held_beside_what_every_module_has() -> None:
    names = [(path, name) for path, name, _ in held([("", Model())]) if "_hooks" not in name]
    assert names == [("", name) for name in ("part", "row", "grown", "held", "kept")]


def test_empty_containers_hold_nothing() -> None:
    module: Any = nn.ReLU()
    module.nothing, module.none, module.some = [], {}, [1]
    assert held([("path", module)]) == [("path", "some", [1])]


def test_modules_of_a_kind_are_those_that_isinstance_finds() -> None:
    modules = all_names(build(draw(901))[0])
    for kind in (ActQuantProxyFromInjectorBase, QuantProxyFromInjector, nn.Module, nn.ReLU):
        expected = [(path, module) for path, module in modules if isinstance(module, kind)]
        assert of_kind(modules, kind) == expected


def test_hooks_that_modules_share_are_shared_by_their_copies() -> None:
    first: Any = nn.ReLU()
    other = copy.copy(first)
    duplicate: Any = faithful_copy(nn.Sequential(first, other))
    assert duplicate[0]._forward_hooks is duplicate[1]._forward_hooks
    assert duplicate[0]._forward_hooks is not first._forward_hooks
