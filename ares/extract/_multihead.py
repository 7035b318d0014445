"""Brevitas' QuantMultiheadAttention: its forward, replayed on values through the detectors of what it calls.

Inside, Brevitas has the batch as the second axis of tokens, and elsewhere as one axis with the heads; here it is the
first axis. What of that the witness must know is noted at the tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ares.capture import Ref
from ares.extract._affine import Affine, affine_input, read_affine
from ares.extract._arranged import Arranged, arranged
from ares.extract._call import Call
from ares.extract._findings import Unmappable, Unquantised, reject
from ares.extract._inner_calls import Seen, inner_call, note_axes, quantizer_events
from ares.extract._masks import mask_of
from ares.extract._quantizers import Quantizer, is_enabled
from ares.extract._registry import function_detector, module_detector
from ares.extract._rescaling import real_value, rescale_for
from ares.extract._values import (
    ChannelCodes,
    Codes,
    Constant,
    Real,
    Unknown,
    Value,
    array_of,
)
from ares.ir import frozen_array
from ares.ops.linear import Linear

_SECOND = (1, 0, 2)  # tokens with the batch as their second axis
_PROJECTIONS = ("in_proj", "q_proj", "k_proj", "v_proj", "out_proj")
_MASKS = ((5, "attn_mask"), (3, "key_padding_mask"))
_SIGNED, _UNSIGNED = "Int8ActPerTensorFloat", "Uint8ActPerTensorFloat"
_QUANTIZERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "q_scaled_quant": ("the queries are", _SIGNED),
        "k_transposed_quant": ("the keys are", _SIGNED),
        "softmax_input_quant": ("the scores are", _SIGNED),
        "attn_output_weights_quant": ("the weights behind softmax are", _UNSIGNED),
        "v_quant": ("the values are", _SIGNED),
    }
)
"""Constructor argument and member -> what stays without codes where it is None, and what to give it."""


def multihead_attention(call: Call) -> Value:
    """The module's output; its second result, the weights, is for nobody here."""
    tokens = _tokens(call)
    if any(isinstance(seen.value, Unknown) for seen in tokens):
        return Unknown()
    if any(isinstance(call.argument(name, place), Unknown) for place, name in _MASKS):
        return Unknown()
    mask = _mask(call)
    inside, before = _Inside(call), quantizer_events(call)
    query, key, value = tokens
    result = inside.run(query, key, value, mask)
    note_axes(call, before, dict.fromkeys(_PROJECTIONS, "1,0,2"), "1,2,3")
    return result if call.module.batch_first else arranged(call, result, _SECOND)


def _tokens(call: Call) -> list[Seen]:
    """Queries, keys and values, batch first."""
    module, found = call.module, []
    if module.bias_k is not None:
        reject("it has add_bias_kv=True", "make it with add_bias_kv=False")
    if module.add_zero_attn:
        reject("it has add_zero_attn=True", "make it with add_zero_attn=False")
    for place, name in enumerate(("query", "key", "value")):
        value, shape = call.argument(name, place), call.shape_of(name, place)
        if len(shape) != 3:
            reject(f"its {name} has shape {list(shape)}", "give it [batch, tokens, features]")
        if not isinstance(value, Value):
            reject(f"its {name} is no tensor of the model", "give it tensors")
        if not module.batch_first:
            shape = (shape[1], shape[0], shape[2])
            if not isinstance(value, Unknown) and getattr(value, "order", None) != _SECOND:
                reject(
                    f"it has batch_first=False, and its {name} has the batch first",
                    "make it with batch_first=True, or call x.transpose(0, 1) right in front of it and right behind it",
                )
        inner = value.inner if isinstance(value, Arranged) and not module.batch_first else value
        if isinstance(inner, Constant):
            reject(
                f"its {name} is a constant of the model", "quantise it with a QuantIdentity first"
            )
        found.append(Seen(inner, shape))
    return found


def _mask(call: Call) -> npt.NDArray[np.float64] | None:
    """What is added to the scores, [heads or 1, queries, keys]; None where nothing is."""
    masks = []
    for place, name in _MASKS:
        value = call.argument(name, place)
        if value is None:
            continue
        array = array_of(value)
        if array is None:
            reject(
                f"its {name} depends on the input",
                "give it a mask that is a constant of the model: a buffer, or made in forward from sizes",
            )
        if _dtype(call, name, place) in (torch.bool, torch.uint8):
            array = np.where(array != 0, -np.inf, 0.0)
        masks.append(array if name == "attn_mask" else array[:, None, :])
    if len(masks) == 2 and not np.isneginf(masks[1][masks[1] != 0]).all():
        reject("it has two masks that add numbers", "give it one attn_mask, which is their sum")
    whole = sum(masks[1:], masks[0]) if masks else None
    if whole is not None and whole.any() and mask_of(whole) is None:
        reject(
            "its attn_mask adds numbers to the scores",
            "write the attention out, as docs/migration.md does, and give that table a QuantIdentity",
        )
    return whole


def _dtype(call: Call, name: str, place: int) -> torch.dtype:
    node = call.node
    ref = node.args[place] if len(node.args) > place else node.kwargs[name]
    assert isinstance(ref, Ref)
    return call.context.outputs[ref.node][ref.index].dtype


class _Inside:
    """The calls that the module's forward makes, one after the other."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.module = call.module
        self.name = call.name.partition("#")[0]

    def run(
        self, query: Seen, key: Seen, value: Seen, mask: npt.NDArray[np.float64] | None
    ) -> Value:
        module = self.module
        if module.in_proj is not None:
            q, k, v = self._packed(query)
        else:
            q, k, v = (
                self._layer(f"{role}_proj", seen, (*seen.shape[:2], module.embed_dim))
                for role, seen in (("q", query), ("k", key), ("v", value))
            )
        q, k, v = (self._heads(role, seen) for role, seen in (("q", q), ("k", k), ("v", v)))
        q = self._function("q_scaled", "div", q, math.sqrt(module.head_dim), shape=q.shape)
        q = self._quantized("q_scaled_quant", q)
        turned_shape = (*k.shape[:2], k.shape[3], k.shape[2])
        k = self._function("k_transposed", "transpose", k, -2, -1, shape=turned_shape)
        k = self._quantized("k_transposed_quant", k)
        shape = (*q.shape[:3], k.shape[3])
        scores = self._function("scores", "matmul", q, k, shape=shape)
        if mask is not None and mask.any():
            added = Seen(Constant("", mask), mask.shape)
            scores = self._function("masked", "add", scores, added, shape=shape)
        scores = self._quantized("softmax_input_quant", scores)
        weights = self._function("weights", "softmax", scores, shape=shape, dim=-1)
        weights = self._quantized("attn_output_weights_quant", weights)
        v = self._quantized("v_quant", v)
        context = self._function("context", "matmul", weights, v, shape=q.shape)
        _, heads, length, depth = q.shape
        context = self._function(
            "context_tokens", "transpose", context, 1, 2, shape=(1, length, heads, depth)
        )
        tokens = (1, length, module.embed_dim)
        context = self._function("context_joined", "reshape", context, tokens, shape=tokens)
        if not is_enabled(module.out_proj.input_quant):
            reject(
                "its out_proj_input_quant is None, and the context is not quantised",
                f"give it out_proj_input_quant={_SIGNED}",
            )
        result: Value = self._layer("out_proj", context, tokens).value
        return result

    def _packed(self, tokens: Seen) -> tuple[Seen, Seen, Seen]:
        """Queries, keys and values of one linear layer: each has a quantiser, so each is an operation on its rows."""
        width = self.module.embed_dim
        shape = (*tokens.shape[:2], 3 * width)
        if is_enabled(self.module.in_proj.output_quant):
            whole = self._layer("in_proj", tokens, shape)
            q, k, v = (
                self._function(role, "narrow", whole, 2, place * width, width, shape=tokens.shape)
                for place, role in enumerate("qkv")
            )
            return q, k, v
        inner = self._inner("in_proj", tokens, shape)
        try:
            source = affine_input(inner)
            assert isinstance(source, Codes)
            affine = read_affine(inner, inner.tensor(source))
        except Unmappable as error:
            raise self._placed(error, inner) from None
        q, k, v = (
            Seen(_rows(inner, source, affine, place, role, width), tokens.shape)
            for place, role in enumerate("qkv")
        )
        return q, k, v

    def _heads(self, role: str, tokens: Seen) -> Seen:
        """[1, tokens, heads * d] as [1, heads, tokens, d]."""
        batch, length, width = tokens.shape
        heads = self.module.num_heads
        split = (batch, length, heads, width // heads)
        seen = self._function(f"{role}_split", "reshape", tokens, split, shape=split)
        shape = (batch, heads, length, width // heads)
        return self._function(f"{role}_heads", "transpose", seen, 1, 2, shape=shape)

    def _quantized(self, child: str, seen: Seen) -> Seen:
        """Through a quantiser of the module, which may be None where codes are there already."""
        what, quantizer = _QUANTIZERS[child]
        enabled = is_enabled(getattr(self.module, child).act_quant)
        found = self._layer(child, seen, seen.shape) if enabled else seen
        if isinstance(found.value, ChannelCodes):
            reject(f"its {child} has a scale for each channel", f"give it {child}={quantizer}")
        # Softmax takes the scores as they are.
        if isinstance(found.value, Real) and child != "softmax_input_quant":
            reject(f"its {child} is None, and {what} not quantised", f"give it {child}={quantizer}")
        return found

    def _layer(self, child: str, seen: Seen, shape: tuple[int, ...]) -> Seen:
        inner = self._inner(child, seen, shape)
        detector = module_detector(inner.module)
        assert detector is not None
        try:
            return Seen(detector(inner), shape)
        except Unmappable as error:
            raise self._placed(error, inner) from None

    def _placed(self, error: Unmappable, inner: Call) -> Unmappable:
        """A refusal about a layer in here; one about what comes into the attention stays the attention's."""
        if isinstance(error, Unquantised):
            return error
        return error.at(inner.name, inner.layer_type)

    def _inner(self, child: str, seen: Seen, shape: tuple[int, ...]) -> Call:
        module = getattr(self.module, child)
        path = f"{self.call.node.path}.{child}".lstrip(".")
        layer_type = type(module).__name__
        call = inner_call(self.call, self._named(child), layer_type, (seen,), {}, shape)
        return replace(call, node=replace(call.node, kind="module", module=module, path=path))

    def _named(self, part: str) -> str:
        """The name of a part; those of the model itself have no more."""
        return f"{self.name}.{part}".lstrip(".")

    def _function(
        self, name: str, function: str, *args: Any, shape: tuple[int, ...], **kwargs: Any
    ) -> Seen:
        detector = function_detector(function)
        assert detector is not None
        return Seen(
            detector(inner_call(self.call, self._named(name), function, args, kwargs, shape)), shape
        )


def _rows(inner: Call, source: Codes, affine: Affine, place: int, role: str, width: int) -> Real:
    """A third of the packed projection, as a layer of its own."""
    rows = slice(place * width, (place + 1) * width)

    def part(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return frozen_array(array[rows], array.dtype) if array.size > 1 else array

    own = Affine(
        part(affine.weight),
        part(affine.scale),
        part(affine.bias_codes),
        part(affine.bias),
        affine.input_scales,
    )
    call = replace(inner, name=f"{inner.name}.{role}")
    tensor = inner.tensor(source)

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = own.rescale_terms(tensor)
        return call.add(
            Linear,
            (source.tensor,),
            quantizer,
            weight=own.weight,
            rescale=rescale_for(call, quantizer, ratios, biases, own.bound(tensor)),
        )

    shape = (*tensor.shape[:-1], width)
    return real_value(call, finish, what=f"the {role} of {inner.name}", shape=shape, axes=(2,))
