"""From a value to codes: the quantisers that a call meets, and what each makes of what it is given."""

from __future__ import annotations

from brevitas.nn.quant_layer import QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer
from torch import nn

from ares.extract._call import Call
from ares.extract._channel_codes import one_scale, quantize_by_channel, waiting
from ares.extract._findings import Finding, Status, Unquantised, reject
from ares.extract._quantizers import Quantizer, calibration_state, is_enabled, read_quantizer
from ares.extract._scales import CALIBRATE, ONE_SCALE
from ares.extract._values import ChannelCodes, Codes, Constant, Real, Unknown, Value
from ares.extract.constant import quantized_constant
from ares.numerics import RELU, lookup_table
from ares.ops import operations
from ares.ops.requantize import Requantize

# Layers of Brevitas whose quantisers go to `quantize`.
_BY_CHANNEL = (QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer)


def codes_of(call: Call, value: Value, role: str = "its input") -> Codes:
    """`value` as codes; refuses a real value, save codes times a number, with the advice to quantise it."""
    if isinstance(value, Codes):
        return value
    if isinstance(value, ChannelCodes):
        raise one_scale(call, value, role)
    if isinstance(value, Real):
        tensor = call.context.rescaled(value)
        if tensor is not None:
            return Codes(tensor)
        raise Unquantised(f"{role} is {value.what}, which is not quantised", value.advice)
    return reject(f"{role} is a constant of the model", "quantise it with a QuantIdentity first")


def quantizer_of(call: Call, proxy: nn.Module, *, one_is_usual: bool = False) -> Quantizer | None:
    """The numbers of a proxy for this call, None when it does not quantise. Counts the call.

    An untouched quantiser has the threshold 1, which earns a warning unless `one_is_usual` (probabilities).
    """
    if not is_enabled(proxy):
        return None
    context = call.context
    if id(proxy) not in context.proxy_paths:
        reject(f"it is quantised by a {type(proxy).__name__}", "use Brevitas' own quantisers")
    path = context.proxy_paths[id(proxy)]
    count = context.quantizer_calls.get(path, 0)
    context.quantizer_calls[path] = count + 1
    quantizer = read_quantizer(proxy, context.single[path], path, count)
    if quantizer.scales is not None and not isinstance(call.module, _BY_CHANNEL):
        reject(
            f"its quantiser {path} has {len(quantizer.scales.values)} scales, one for each channel",
            ONE_SCALE,
        )
    never, suspicious = calibration_state(context.single[path], context.single.values())
    if never and not context.allow_uncalibrated:
        reject(f"its quantiser {path} was never calibrated", CALIBRATE)
    if never or (suspicious and not one_is_usual):
        context.warnings.append(
            Finding(
                call.name,
                call.layer_type,
                Status.WARNING,
                f"its quantiser {path} "
                + ("was never calibrated" if never else "has the scale of an untouched one"),
                CALIBRATE,
            )
        )
    return quantizer


def quantized_input(call: Call) -> Value:
    """The first tensor argument, through the module's own input quantiser where it has one."""
    value = call.x
    if isinstance(value, Unknown):
        return value
    quantizer = quantizer_of(call, call.module.input_quant)
    if quantizer is None:
        return value
    shape = call.shape_of("input", 0)
    return quantize(call, value, quantizer, name=f"{call.name}.input_quant", shape=shape)


def quantize(
    call: Call,
    value: Value,
    quantizer: Quantizer,
    *,
    name: str | None = None,
    shape: tuple[int, ...] | None = None,
) -> Codes | ChannelCodes:
    """The codes that `quantizer` makes of a value. Codes on another grid go through a table.

    `shape` is the value's, where it is not the call's own.
    """
    if quantizer.scales is not None:
        return quantize_by_channel(call, value, quantizer, name, shape or call.out_shape)
    if isinstance(value, Codes):
        tensor = _requantized(call, value, quantizer, name)
    elif isinstance(value, ChannelCodes):
        tensor = waiting(call, value, Requantize, name).quantized(quantizer)
    elif isinstance(value, Real):
        tensor = value.quantized(quantizer)
    elif isinstance(value, Constant):
        tensor = quantized_constant(call, value, quantizer)
    else:
        raise TypeError(f"nothing to quantise in a {type(value).__name__}")
    call.builder.add_origin(tensor, quantizer.origin)
    return Codes(tensor)


def _requantized(call: Call, value: Codes, quantizer: Quantizer, name: str | None) -> str:
    source = call.tensor(value)
    operation = operations()["relu" if quantizer.function is RELU else "requantize"]
    if quantizer.leaves(source) and quantizer.keeps(source):
        return value.tensor
    table = lookup_table(quantizer.function, source, quantizer.tensor())
    return call.add(operation, (value.tensor,), quantizer, name=name, table=table)
