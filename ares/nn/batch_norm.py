"""`fold_batch_norm`: BatchNorm becomes part of the convolution or linear layer in front of it.

With s = gamma / sqrt(var + eps) per output channel: W' = W s, b' = (b - mean) s + beta. This module finds out which
layer feeds which BatchNorm, from the dataflow of `forward` and never from the order of registration. The arithmetic,
and what it does to quantised weights: `ares.nn.fold_effect`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from ares.nn.fold_effect import fold, require_harmless
from ares.nn.quant_tensor import tensors_in

_FOLDABLE = (nn.BatchNorm1d, nn.BatchNorm2d)
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def fold_batch_norm(
    model: nn.Module,
    example_inputs: Sequence[Tensor] | None = None,
    pairs: Mapping[str, str] | None = None,
    *,
    allow_change: bool = False,
) -> nn.Module:
    """Folds every BatchNorm1d/2d of `model`, in place, and returns the model in eval mode.

    It is right for float networks, before quantisers are calibrated or trained: folding changes weights, hence their
    scales. Afterwards it is not needed, for ares takes BatchNorm into the layer exactly; and where weights have one
    scale for all channels it does harm: they are rounded anew, which at 2 bits leaves next to nothing of a network.
    So, once an activation quantiser has a scale, folding is refused where a channel's quantised weights, or (with
    `example_inputs`) a layer's results on the example, would move by more than 1/128 of their size. The error says by
    how much the outputs, else the weights, would change. Weights with a scale per channel keep their integers and can
    always be folded. `allow_change=True` folds all the same: calibrate or train the model again after it.

    Each BatchNorm is replaced by `nn.Identity`. Which layer it belongs to is taken from

    - `pairs` (BatchNorm's name -> layer's name), when given;
    - a run on `example_inputs`, when given: sees any `forward` as it really is;
    - else a symbolic trace (torch.fx), which needs no input but cannot follow a `forward` that branches
      on data. It does not see shapes: a BatchNorm1d after a linear layer is taken to see [B, C].

    Raises ValueError, before anything is changed, naming the BatchNorm that cannot be folded and why.
    No shape changes, and there is no quantiser in it.

    >>> model = fold_batch_norm(nn.Sequential(Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
    >>> model[1], model(torch.zeros(1, 1, 5, 5)).shape
    (Identity(), torch.Size([1, 4, 3, 3]))
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        layer_of = _layers(model, example_inputs, pairs)
        if not allow_change:
            require_harmless(model, layer_of, example_inputs)
    except BaseException:
        for module, training in modes:
            module.training = training
        raise
    fold(model, layer_of)
    return model


def _layers(
    model: nn.Module,
    example_inputs: Sequence[Tensor] | None,
    pairs: Mapping[str, str] | None,
) -> dict[str, str]:
    """BatchNorm's name -> name of the layer that it can be folded into; ValueError where there is none."""
    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }
    if not norms:
        return {}
    if pairs is not None:
        layers = _layers_from_pairs(model, norms, pairs)
    else:
        flow = _observe(model, example_inputs) if example_inputs is not None else _trace(model)
        layers = {name: _layer_from_flow(name, norm, flow) for name, norm in norms.items()}
    for name, norm in norms.items():
        _check_norm(name, norm, *layers[name], model)
    return {name: layer_name for name, (layer_name, _) in layers.items()}


@dataclass(frozen=True, slots=True)
class _Flow:
    """What `forward` does: for each call of a leaf module, what it was given; who used each result."""

    names: dict[nn.Module, str]
    fed_by: dict[nn.Module, list[object]] = field(default_factory=dict)
    users: dict[nn.Module, list[str]] = field(default_factory=dict)
    shapes: dict[nn.Module, tuple[int, ...]] = field(default_factory=dict)  # of inputs, if known


def _fail(name: str, reason: str) -> ValueError:
    return ValueError(f"BatchNorm {name!r} cannot be folded: {reason}")


def _layer_from_flow(name: str, norm: nn.Module, flow: _Flow) -> tuple[str, nn.Module]:
    sources = flow.fed_by.get(norm, [])
    if not sources:
        raise _fail(name, "forward never calls it; remove it from the model")
    if len(sources) > 1:
        raise _fail(name, f"forward calls it {len(sources)} times")
    layer = sources[0]
    if not isinstance(layer, _LAYERS):
        found = (
            f"{flow.names[layer]!r} ({type(layer).__name__})"
            if isinstance(layer, nn.Module)
            else layer
        )
        raise _fail(name, f"its input comes from {found}, expected a convolution or linear layer")
    layer_name = flow.names[layer]
    if len(flow.fed_by[layer]) > 1:
        raise _fail(name, f"layer {layer_name!r} in front of it is called more than once")
    shape = flow.shapes.get(norm)
    if isinstance(layer, nn.Linear) and shape is not None and len(shape) != 2:
        raise _fail(
            name,
            f"it sees {list(shape)} from linear layer {layer_name!r}, whose channels are the last "
            "axis, but normalises axis 1",
        )
    others = [user for user in flow.users.get(layer, []) if user != flow.names[norm]]
    if others:
        raise _fail(name, f"the output of {layer_name!r} is also used by {', '.join(others)}")
    return layer_name, layer


def _layers_from_pairs(
    model: nn.Module, norms: Mapping[str, nn.Module], pairs: Mapping[str, str]
) -> dict[str, tuple[str, nn.Module]]:
    modules = dict(model.named_modules(remove_duplicate=False))
    unknown = [name for name in (*pairs, *pairs.values()) if name not in modules]
    if unknown:
        raise ValueError(f"pairs name {unknown[0]!r}, which is no module of the model")
    chosen: dict[str, tuple[str, nn.Module]] = {}
    for name, norm in norms.items():
        given = [layer for key, layer in pairs.items() if modules[key] is norm]
        if not given:
            raise _fail(name, "pairs does not name its layer")
        layer = modules[given[0]]
        if not isinstance(layer, _LAYERS):
            raise _fail(
                name, f"{given[0]!r} is a {type(layer).__name__}, no convolution or linear layer"
            )
        if any(layer is other for _, other in chosen.values()):
            raise _fail(name, f"pairs gives {given[0]!r} to more than one BatchNorm")
        chosen[name] = (given[0], layer)
    return chosen


def _check_norm(
    name: str, norm: nn.Module, layer_name: str, layer: nn.Module, model: nn.Module
) -> None:
    """Everything that does not depend on the dataflow."""
    if not isinstance(norm, _FOLDABLE):
        raise _fail(
            name, f"{type(norm).__name__} is not supported, only BatchNorm1d and BatchNorm2d"
        )
    if norm.weight is None:
        raise _fail(name, "affine=False; use affine=True (weight 1, bias 0 means the same)")
    if norm.running_mean is None:
        raise _fail(name, "track_running_stats=False, so it has no statistics to fold")
    assert isinstance(layer, _LAYERS)
    channels = layer.weight.shape[0]
    if norm.num_features != channels:
        raise _fail(
            name, f"it has {norm.num_features} channels but {layer_name!r} gives {channels} outputs"
        )
    output_quant = getattr(layer, "output_quant", None)
    if output_quant is not None and output_quant.is_quant_enabled:
        raise _fail(
            name, f"{layer_name!r} quantises its own output, so the values differ after folding"
        )
    for other_name, other in model.named_modules():
        if other is not layer and any(
            parameter is shared
            for parameter in other.parameters(recurse=False)
            for shared in layer.parameters(recurse=False)
        ):
            raise _fail(name, f"{layer_name!r} shares its weights with {other_name!r}")


def _is_leaf(module: nn.Module) -> bool:
    """Layers of torch, Brevitas and ares.nn are opaque; containers and users' classes are entered."""
    if isinstance(module, (*_LAYERS, nn.modules.batchnorm._BatchNorm)):
        return True
    library = type(module).__module__.startswith(("torch.", "brevitas.", "ares.nn."))
    return library and not isinstance(module, _CONTAINERS)


def _names(model: nn.Module) -> dict[nn.Module, str]:
    return {module: name for name, module in model.named_modules()}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _is_leaf(m)


def _trace(model: nn.Module) -> _Flow:
    try:
        graph = _Tracer().trace(model)
    except Exception as error:
        # Broad: tracing runs the user's forward on proxies, which may raise anything; the user is told.
        reason = " ".join(str(error).split())
        raise ValueError(
            "fold_batch_norm cannot follow forward without data "
            f"({type(error).__name__}: {reason}); pass example_inputs or pairs"
        ) from error
    flow = _Flow(_names(model))

    def described(node: fx.Node) -> object:
        if node.op == "call_module":
            return model.get_submodule(str(node.target))
        if node.op == "placeholder":
            return "the model's input"
        return f"a call of {getattr(node.target, '__name__', node.target)}"

    for node in graph.nodes:
        if node.op != "call_module":
            continue
        module = model.get_submodule(str(node.target))
        given = [*node.args, *node.kwargs.values()]
        source = given[0] if given else None
        flow.fed_by.setdefault(module, []).append(
            described(source) if isinstance(source, fx.Node) else "a constant"
        )
        for user in node.users:
            found = described(user) if user.op != "output" else "the model's output"
            name = flow.names[found] if isinstance(found, nn.Module) else str(found)
            flow.users.setdefault(module, []).append(name)
    return flow


class _Observer(TorchFunctionMode):
    """Sees every torch function called outside leaf modules, and (by hooks) every leaf module."""

    def __init__(self, flow: _Flow) -> None:
        super().__init__()
        self.flow = flow
        self.depth = 0
        self.made_by: dict[int, object] = {}
        self.kept: list[Tensor] = []  # ids are unique only among living objects

    def remember(self, data: object, maker: object) -> None:
        for tensor in tensors_in(data):
            self.made_by[id(tensor)] = maker
            self.kept.append(tensor)

    def use(self, data: object, user: str) -> None:
        for tensor in tensors_in(data):
            maker = self.made_by.get(id(tensor))
            if isinstance(maker, nn.Module):
                self.flow.users.setdefault(maker, []).append(user)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        # A result without tensors (shape, dim) is no use of the data.
        if self.depth == 0 and tensors_in(result):
            described = f"a call of {getattr(func, '__name__', func)}"
            self.use([args, kwargs], described)
            self.remember(result, described)
        return result

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self.depth == 0:
            given = tensors_in([args, kwargs])
            maker = self.made_by.get(id(given[0]), "an unknown tensor") if given else "no tensor"
            self.flow.fed_by.setdefault(module, []).append(maker)
            if given:
                self.flow.shapes[module] = tuple(given[0].shape)
            self.use(given, self.flow.names[module])
        self.depth += 1

    def leave(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.remember(result, module)


def _observe(model: nn.Module, example_inputs: Sequence[Tensor]) -> _Flow:
    flow = _Flow(_names(model))
    observer = _Observer(flow)
    observer.remember(list(example_inputs), "the model's input")
    hooks = []
    for module in model.modules():
        if _is_leaf(module):
            hooks.append(module.register_forward_pre_hook(observer.enter, with_kwargs=True))
            hooks.append(module.register_forward_hook(observer.leave, with_kwargs=True))
    try:
        with torch.no_grad(), observer:
            result = model(*example_inputs)
    finally:
        for hook in hooks:
            hook.remove()
    observer.use(result, "the model's output")
    return flow
