"""What folding a BatchNorm does to a layer whose weights are quantised, and the refusal to do harm.

The folded weights `w gamma / sigma` are rounded anew, on a grid of their own. Before calibration nothing is lost by
that: the quantisers are still to be set. Afterwards the network *is* its integer weights, and another rounding is
another network. With one scale per output channel the grid moves along with gamma, and the codes stay as they are (up
to their sign); with one scale for all of them they do not: at 2 bits most become zero.

Harm is measured layer by layer, by what the layer with its BatchNorm meant before and what the folded layer means:
each output channel's weights, and on an example also the layer's results, which show its bias too.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from brevitas.proxy.parameter_quant import (
    BiasQuantProxyFromInjectorBase,
    WeightQuantProxyFromInjectorBase,
)
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import Tensor, nn

from ares.nn.quant_tensor import tensors_in, value_of

LARGEST_CHANGE: Final = 2.0**-7
"""One code of 8 bits: a channel's weights (in the 2-norm) or a layer's results may move by this part of their size."""

_WIDE_BIAS: Final = 32

# Channels below this part of the largest one count as if they were this large: a gamma that training drove to nearly
# zero leaves weights below the smallest scale, which nobody sees.
_SMALLEST_CHANNEL: Final = 2.0**-10


@dataclass(frozen=True, slots=True)
class _Effect:
    """What of a layer folding moves, by which part of its size, and why."""

    what: str
    change: float
    reason: str


@dataclass(frozen=True, slots=True)
class _Run:
    """What a forward pass gave to each layer and got from each BatchNorm, and its results; empty without an example."""

    given: Mapping[nn.Module, Any]
    results: Mapping[nn.Module, Tensor]
    outputs: Sequence[Tensor]


def fold(model: nn.Module, layer_of: Mapping[str, str]) -> None:
    """Merge every BatchNorm (by name) into its layer, in place, and leave an Identity where it was."""
    modules = dict(model.named_modules(remove_duplicate=False))
    for norm_name, layer_name in layer_of.items():
        _merge(modules[layer_name], modules[norm_name])
        for parent in model.modules():
            for key, child in parent._modules.items():
                if child is modules[norm_name]:
                    parent._modules[key] = nn.Identity()
    # New weight and bias quantisers start in training mode.
    model.eval()


def require_harmless(
    model: nn.Module, layer_of: Mapping[str, str], example_inputs: Sequence[Tensor] | None
) -> None:
    """Raise ValueError, with the measure, where folding would change what a quantised layer means; on a copy.

    `layer_of`: BatchNorm's name -> layer's name. A model none of whose activation quantisers has a scale yet is still
    to be calibrated, and no harm can be done to it.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    quantised = {norm: layer for norm, layer in layer_of.items() if _is_quantised(modules[layer])}
    if not quantised or not _has_scales(model):
        return
    try:
        trial = copy.deepcopy(model)
        trial.eval()
    except Exception as error:
        # Broad: copying runs the code of whatever the user's model holds, which may raise anything; the user is told.
        raise ValueError(
            "fold_batch_norm tries on a copy what it would do to quantised weights, but the model cannot be copied "
            f"({type(error).__name__}: {' '.join(str(error).split())}); allow_change=True folds without a trial"
        ) from error
    with warnings.catch_warnings():
        # Brevitas' about layers that are wired wrongly: what comes of that is said in our own words.
        warnings.simplefilter("ignore")
        run = _run(trial, quantised, example_inputs)
        modules = dict(trial.named_modules(remove_duplicate=False))
        effects = [
            _effect(modules[norm], layer, modules[layer], run) for norm, layer in quantised.items()
        ]
        worst = max(effects, key=lambda effect: effect.change)
        if worst.change > LARGEST_CHANGE:
            raise ValueError(_refusal(worst, trial, layer_of, run, example_inputs))


def _refusal(
    worst: _Effect,
    trial: nn.Module,
    layer_of: Mapping[str, str],
    run: _Run,
    example_inputs: Sequence[Tensor] | None,
) -> str:
    what = f"{worst.what} by {_percent(worst.change)} of their size"
    if example_inputs is not None:
        fold(trial, layer_of)
        with torch.no_grad():
            after = tensors_in(trial(*example_inputs))
        change = max(map(_relative, run.outputs, after), default=0.0)
        # A blind example, such as zeros, does not see what others would.
        if change > LARGEST_CHANGE:
            what = f"the outputs by {_percent(change)} of their range (example input)"
    return (
        f"folding would change {what}, since {worst.reason}; leave BatchNorm where it is: ares takes it into the "
        "layer exactly (allow_change=True folds all the same)"
    )


def _merge(layer: Any, norm: Any) -> None:
    """As Brevitas' `merge_bn`, but the same on every machine: torch's square root (MKL) is rounded as the processor
    has it, numpy's as IEEE 754 wants it.
    """
    spread = np.sqrt((norm.running_var + norm.eps).numpy(force=True))
    factor = norm.weight.detach() / torch.from_numpy(spread).to(norm.weight.device)
    shift = norm.bias.detach() - norm.running_mean * factor
    with torch.no_grad():
        layer.weight.mul_(factor.reshape(-1, *(1 for _ in layer.weight.shape[1:])))
        if layer.bias is None:
            layer.bias = nn.Parameter(shift)
        else:
            layer.bias.mul_(factor).add_(shift)
    for proxy in (getattr(layer, "weight_quant", None), getattr(layer, "bias_quant", None)):
        if isinstance(proxy, (WeightQuantProxyFromInjectorBase, BiasQuantProxyFromInjectorBase)):
            proxy.init_tensor_quant()


def _is_quantised(layer: nn.Module) -> bool:
    return bool(getattr(getattr(layer, "weight_quant", None), "is_quant_enabled", False))


def _has_scales(model: nn.Module) -> bool:
    """Whether some activation quantiser has seen data, or a stored scale, or needs none (constant ones)."""
    for module in model.modules():
        if isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled:
            quant = module.fused_activation_quant_proxy.tensor_quant
            if getattr(getattr(quant, "scaling_impl", None), "counter", 1) > 0:
                return True
    return False


def _run(
    trial: nn.Module, quantised: Mapping[str, str], example_inputs: Sequence[Tensor] | None
) -> _Run:
    if example_inputs is None:
        return _Run({}, {}, [])
    modules = dict(trial.named_modules(remove_duplicate=False))
    given: dict[nn.Module, Any] = {}
    results: dict[nn.Module, Tensor] = {}

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given[module] = (args, kwargs)

    def leave(module: nn.Module, args: Any, result: Any) -> None:
        results[module] = value_of(result)

    hooks = [
        modules[layer].register_forward_pre_hook(enter, with_kwargs=True)
        for layer in quantised.values()
    ]
    hooks += [modules[norm].register_forward_hook(leave) for norm in quantised]
    try:
        with torch.no_grad():
            outputs = tensors_in(trial(*example_inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return _Run(given, results, outputs)


def _effect(norm: nn.Module, name: str, layer: nn.Module, run: _Run) -> _Effect:
    folded: Any = copy.deepcopy(layer)
    _merge(folded, norm)
    folded.eval()
    effects = []
    with torch.no_grad():
        if layer not in run.given:
            _require_no_run(name, folded)
        if not _is_input_aware(folded):
            weight = folded.quant_weight()
            bits = f" to {int(weight.bit_width)} bits" if hasattr(weight, "bit_width") else ""
            reason = f"the folded weights are rounded{bits} anew"
            change = _change_of_weights(norm, layer, value_of(weight))
            effects.append(_Effect(f"the weights of {name!r}", change, reason))
        if layer in run.given and norm in run.results:
            args, kwargs = run.given[layer]
            try:
                result = value_of(folded(*args, **kwargs))
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise ValueError(
                    f"with its BatchNorm folded, {name!r} does not run: {reason}"
                ) from error
            change = _relative(run.results[norm], result)
            reason = "the folded weights and bias are rounded anew"
            effects.append(_Effect(f"the results of {name!r}", change, reason))
    return max(effects, key=lambda effect: effect.change)


def _is_input_aware(layer: Any) -> bool:
    """Whether its weights depend on the quantiser of its input, as accumulator-aware ones do."""
    return bool(getattr(layer.weight_quant, "requires_quant_input", False))


def _require_no_run(name: str, layer: Any) -> None:
    """Raise ValueError for a layer whose weights do not say all of what it means: it takes an input to see that."""
    bias = getattr(layer, "bias_quant", None)
    if _is_input_aware(layer):
        reason = f"the weights of {name!r} depend on the quantiser of its input"
    elif bias is not None and bias.is_quant_enabled and _bits_of(bias) != _WIDE_BIAS:
        reason = f"the bias of {name!r} is quantised, to fewer bits than an accumulator has"
    else:
        return
    raise ValueError(
        f"what folding would do shows on data only: {reason}; pass example_inputs (allow_change=True folds "
        "without a look)"
    )


def _bits_of(bias_quant: Any) -> int | None:
    """Bits of a bias quantiser, which tells its own only with an input's scale; None where it is of another kind."""
    width = getattr(bias_quant.tensor_quant, "msb_clamp_bit_width_impl", None)
    return None if width is None else int(width())


def _change_of_weights(norm: Any, layer: Any, folded: Tensor) -> float:
    """The largest change of an output channel's weights, as a part of their 2-norm."""
    factor = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    meant = value_of(layer.quant_weight()).double().flatten(1) * factor[:, None]
    moved = folded.double().flatten(1) - meant
    sizes = meant.norm(dim=1)
    seen = sizes.clamp_min(float(sizes.max()) * _SMALLEST_CHANNEL)
    return _ratio(moved.norm(dim=1), seen)


def _relative(before: Tensor, after: Tensor) -> float:
    """The largest difference, as a part of the range of values before."""
    if not before.numel() or not before.is_floating_point():
        return 0.0
    spread = (before.max() - before.min()).double()
    return _ratio((after.double() - before.double()).abs().flatten(), spread)


def _ratio(difference: Tensor, size: Tensor) -> float:
    """The largest quotient; a difference of nothing is none, of something from nothing is all of it."""
    quotient = torch.where(difference == 0.0, 0.0, difference / size)
    return float(quotient.nan_to_num(nan=1.0, posinf=1.0).max())


def _percent(part: float) -> str:
    if part > 10.0:
        return "more than 1000 %"
    return f"{100 * part:.0f} %" if part >= 0.1 else f"{100 * part:.1f} %"
