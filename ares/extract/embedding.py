"""Embeddings: the table meets the quantiser here, once; what is left is a gather of codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from brevitas import nn as qnn
from torch import nn

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer, is_enabled
from ares.extract._registry import on_module
from ares.extract._rescaling import real_value
from ares.extract._values import Codes, Unknown, Value
from ares.extract._weights import read_weights, require_trained
from ares.ir import DType, Tensor, frozen_array
from ares.ops.embedding import Embedding


@on_module(nn.Embedding)
def embedding(call: Call) -> Value:
    """A float table: its codes are those of the quantiser that the rows meet."""
    ids = _ids(call)
    if isinstance(ids, Unknown):
        return ids
    table = call.single.weight.detach().double().numpy()

    def finish(quantizer: Quantizer) -> str:
        # In the model's own order of operations, as the witness evaluates it.
        real = quantizer.pointwise.evaluate(table) / quantizer.scale + quantizer.zero_point
        codes = np.clip(np.rint(real), quantizer.lo, quantizer.hi)
        return call.add(
            Embedding, (ids.tensor,), quantizer, table=frozen_array(codes, quantizer.dtype.numpy)
        )

    return real_value(call, finish, what=f"the rows of {call.name}", axes=())


@on_module(qnn.QuantEmbedding)
def quant_embedding(call: Call) -> Value:
    """A quantised table: rows of codes with the weight's scale."""
    ids = _ids(call)
    if isinstance(ids, Unknown):
        return ids
    layer = call.single
    if not is_enabled(layer.weight_quant):
        reject("its weights are not quantised", "use torch.nn.Embedding and a QuantIdentity")
    weights = read_weights(layer)
    # Brevitas looks up rows in tables with one scale only.
    like = Tensor("", (1,), DType.S8, float(weights.scale[0]), 0, weights.lo, weights.hi)
    return Codes(call.add(Embedding, (ids.tensor,), like, table=weights.codes))


def _ids(call: Call) -> Codes | Unknown:
    """The ids, which are an input of the network; from now on only those that the table has."""
    value = call.x
    if isinstance(value, Unknown):
        return value
    layer = call.single
    ids = codes_of(call, value, "its ids")
    if call.tensor(ids).dtype is not DType.S32:
        reject("its ids are quantised values", "give it the integers themselves: an int64 input")
    if layer.max_norm is not None:
        reject(
            f"its rows are scaled to max_norm={layer.max_norm:g} when they are looked up",
            "scale the rows once and set max_norm=None",
        )
    require_trained(layer, "weight")
    tensors = call.builder.tensors
    known = tensors[ids.tensor]
    tensors[known.name] = replace(
        known, lo=max(known.lo, 0), hi=min(known.hi, layer.num_embeddings - 1)
    )
    return ids
