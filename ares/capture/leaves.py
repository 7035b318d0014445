"""Which modules a capture shows as one node, and which tensors a model owns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import attrgetter

import torch
from torch import nn

from ares.capture.walks import Held, Named

_LIBRARIES = ("torch.nn.", "brevitas.nn.", "ares.nn.leaves.")
_CONTAINERS = (
    nn.Module,
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.ParameterList,
    nn.ParameterDict,
    nn.DataParallel,
)


def library_class(module: nn.Module) -> type | None:
    """The class of a layer library that a module is or derives from; containers are none."""
    for cls in type(module).__mro__:
        if f"{cls.__module__}.".startswith(_LIBRARIES):
            return None if cls in _CONTAINERS else cls
    return None


def is_library_leaf(module: nn.Module) -> bool:
    """Whether a module is a layer of torch.nn, brevitas.nn or ares.nn.leaves.

    A user's subclass counts as long as it overrides nothing but the constructor (a common way to set
    default quantisers): then it still means what the library's class means.
    """
    library = library_class(module)
    if library is None:
        return False
    mro = type(module).__mro__
    overridden = {
        name
        for cls in mro[: mro.index(library)]
        for name in vars(cls)
        if hasattr(library, name) and (not name.startswith("__") or name == "__call__")
    }
    return overridden <= {"extra_repr"}


def hooked_modules(
    modules: Named, is_leaf: Callable[[nn.Module], bool]
) -> Iterator[tuple[str, nn.Module, bool]]:
    """(path, module, leaf) of every module that is not inside a leaf, each once; `modules` is all of the model.

    `path` is the first of its names. Scripted modules take no hooks and are left out:
    what they compute then has an unknown origin.
    """
    paths: dict[int, str] = {}
    for path, module in modules:
        paths.setdefault(id(module), path)
    seen: set[int] = set()
    pending = [modules[0][1]]
    while pending:
        module = pending.pop()
        if id(module) in seen or isinstance(module, torch.jit.ScriptModule):
            continue
        seen.add(id(module))
        leaf = is_leaf(module)
        yield paths[id(module)], module, leaf
        if not leaf:
            pending.extend(module.children())


@dataclass(frozen=True, slots=True, eq=False)
class Owned:
    """A tensor that exists without the inputs.

    name: of the parameter, buffer, attribute or, for the scale of a QuantTensor, of its producer;
    owner: path of the leaf that owns it, None if no leaf does;
    path: `name`, but "" for what no module owns;
    flaw: why it is not a constant of the model, "" if it is one.
    """

    tensor: torch.Tensor
    name: str
    path: str
    owner: str | None
    flaw: str


def owned_tensors(
    modules: Named, attributes: Sequence[Held], is_leaf: Callable[[nn.Module], bool]
) -> dict[int, Owned]:
    """id -> parameter, buffer or plain tensor attribute of the model with these modules, by all their names.

    `attributes` are those of the modules by their first names. A tensor with several names gets the first one outside
    leaves, else the first one.
    """
    by_path = dict(modules)

    @cache
    def is_owner(path: str) -> bool:
        module = by_path.get(path)
        return module is not None and (is_leaf(module) or library_class(module) is not None)

    def owner(name: str) -> str | None:
        parts = name.split(".")
        return next((p for n in range(len(parts)) if is_owner(p := ".".join(parts[:n]))), None)

    found: dict[int, Owned] = {}
    for name, tensor in chain(members(modules, "_parameters"), members(modules, "_buffers")):
        known = found.get(id(tensor))
        if known is None or (known.owner is not None and owner(name) is None):
            found[id(tensor)] = Owned(tensor, name, name, owner(name), "")
    for path, attribute, tensor in attributes:
        if isinstance(tensor, torch.Tensor):
            name = f"{path}.{attribute}".removeprefix(".")
            flaw = f"{name} is a plain tensor attribute, not a parameter or buffer"
            found.setdefault(id(tensor), Owned(tensor, name, name, owner(name), flaw))
    return found


def members(modules: Named, registry: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters or buffers by all their names, in the order of `named_parameters` and `named_buffers`."""
    of = attrgetter(registry)
    for path, module in modules:
        if registered := of(module):
            for name, tensor in registered.items():
                if tensor is not None:
                    yield f"{path}.{name}" if path else name, tensor


def registered_tensors(modules: Named) -> dict[str, int]:
    """First name -> id of every parameter and buffer; `modules` by their first names."""
    found: dict[str, int] = {}
    for registry in ("_parameters", "_buffers"):
        first: dict[int, str] = {}
        for name, tensor in members(modules, registry):
            first.setdefault(id(tensor), name)
        found.update((name, key) for key, name in first.items())
    return found
