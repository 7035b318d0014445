"""Embeddings: the table meets the quantiser here, once; what is left is a gather of codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from brevitas import nn as qnn
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer, code_range, is_enabled, require_plain
from ares.extract._registry import on_module
from ares.extract._values import Codes, Real, Unknown, Value
from ares.ir import DType, Tensor, constant
from ares.ops.embedding import Embedding

# Codes times a binary32 scale, divided by it again, are off by 2**-17 at most.
_OFF_GRID = 2.0**-12


@on_module(nn.Embedding)
def embedding(call: Call) -> Value:
    """A float table: its codes are those of the quantiser that the rows meet."""
    ids = _ids(call)
    if isinstance(ids, Unknown):
        return ids
    table = call.single.weight.detach().double().numpy()

    def finish(quantizer: Quantizer) -> str:
        # In the model's own order of operations, as the witness evaluates it.
        real = quantizer.function.evaluate(table) / quantizer.scale + quantizer.zero_point
        codes = np.clip(np.rint(real), quantizer.lo, quantizer.hi)
        return call.add(
            Embedding, (ids.tensor,), quantizer, table=constant(codes, quantizer.dtype.numpy)
        )

    return Real(f"the rows of {call.name}", finish)


@on_module(qnn.QuantEmbedding)
def quant_embedding(call: Call) -> Value:
    """A quantised table: rows of codes with the weight's scale."""
    ids = _ids(call)
    if isinstance(ids, Unknown):
        return ids
    layer = call.single
    if not is_enabled(layer.weight_quant):
        reject("its weights are not quantised", "use torch.nn.Embedding and a QuantIdentity")
    integer = require_plain(layer.weight_quant.tensor_quant, "its weight quantiser")
    if not integer.signed:
        reject("its weights are unsigned, with a zero point", "use a symmetric weight quantiser")
    if len(layer.weight_quant.tracked_module_list) != 1:
        reject(
            "its weight quantiser serves several layers",
            "give each layer a weight_quant of its own",
        )
    with torch.no_grad():
        quantized = layer.quant_weight()
        exact = quantized.value.double() / quantized.scale.double()
        codes = torch.round(exact)
    bits = float(quantized.bit_width)
    if not 2 <= bits <= 8:
        reject(f"its weights have {bits:g} bits", "use 2 to 8 bits")
    if not float((exact - codes).abs().max()) < _OFF_GRID:
        reject("its weights are not multiples of their scale", "use an integer weight quantiser")
    # Brevitas looks up rows in tables with one scale only.
    lo, hi = code_range(int(bits), True, bool(integer.narrow_range))
    like = Tensor("", (1,), DType.S8, float(quantized.scale), 0, lo, hi)
    table = constant(codes.numpy(), np.int8)
    return Codes(call.add(Embedding, (ids.tensor,), like, table=table))


def _ids(call: Call) -> Codes | Unknown:
    """The ids, which are an input of the network; from now on only those that the table has."""
    value = call.x
    if isinstance(value, Unknown):
        return value
    layer = call.single
    ids = call.codes(value, "its ids")
    if call.tensor(ids).dtype is not DType.S32:
        reject("its ids are quantised values", "give it the integers themselves: an int64 input")
    if layer.max_norm is not None:
        reject(
            f"its rows are scaled to max_norm={layer.max_norm:g} when they are looked up",
            "scale the rows once and set max_norm=None",
        )
    if not isinstance(layer.weight, nn.Parameter):
        reject(
            "its weight is computed anew at every call (pruning, weight normalisation)",
            "make that permanent, for example torch.nn.utils.prune.remove(layer, 'weight')",
        )
    if not bool(torch.isfinite(layer.weight).all()):
        reject("its weights contain NaN or infinity", "train or load the model again")
    tensors = call.builder.tensors
    known = tensors[ids.tensor]
    tensors[known.name] = replace(
        known, lo=max(known.lo, 0), hi=min(known.hi, layer.num_embeddings - 1)
    )
    return ids
