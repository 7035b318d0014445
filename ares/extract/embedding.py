"""Embeddings: the table meets the quantiser here, once; what is left is a gather of codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from brevitas import nn as qnn
from torch import nn

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer, is_enabled
from ares.extract._registry import on_module
from ares.extract._rescaling import real_value
from ares.extract._values import Codes, Constant, Unknown, Value
from ares.extract._weights import read_weights, require_trained
from ares.ir import DType, Tensor, frozen_array
from ares.ops.constant import Constant as ConstantOperation
from ares.ops.embedding import Embedding


@on_module(nn.Embedding)
def embedding(call: Call) -> Value:
    """A float table: its codes are those of the quantiser that the rows meet. Rows of constant ids are a constant."""
    table = call.single.weight.detach().double().numpy()
    rows = _constant_rows(call)
    if rows is not None:
        return Constant(f"{call.node.path}.weight", table[rows])
    ids = _ids(call)
    if isinstance(ids, Unknown):
        return ids

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
    layer = call.single
    rows = _constant_rows(call)
    ids = _ids(call) if rows is None else None
    if isinstance(ids, Unknown):
        return ids
    if not is_enabled(layer.weight_quant):
        reject("its weights are not quantised", "use torch.nn.Embedding and a QuantIdentity")
    weights = read_weights(layer)
    # Brevitas looks up rows in tables with one scale only.
    like = Tensor("", (1,), DType.S8, float(weights.scale[0]), 0, weights.lo, weights.hi)
    if ids is None:
        codes = frozen_array(weights.codes[rows], np.int16)
        return Codes(call.add(ConstantOperation, (), like, codes=codes))
    return Codes(call.add(Embedding, (ids.tensor,), like, table=weights.codes))


def _constant_rows(call: Call) -> npt.NDArray[np.int64] | None:
    """The ids where they are a constant of the model, positions as a rule; None where they are not."""
    value = call.x
    if not isinstance(value, Constant) or value.array is None:
        return None
    _require_plain(call)
    if value.array.ndim < 2 or value.array.shape[0] != 1:
        reject(
            f"its ids are a constant of shape {list(value.array.shape)}",
            "give them a first axis of one, for the batch: [1, ...]",
        )
    return value.array.astype(np.int64)


def _require_plain(call: Call) -> None:
    """Refuse a table that is none of trained rows as they are."""
    layer = call.single
    if layer.max_norm is not None:
        reject(
            f"its rows are scaled to max_norm={layer.max_norm:g} when they are looked up",
            "scale the rows once and set max_norm=None",
        )
    require_trained(layer, "weight")


def _ids(call: Call) -> Codes | Unknown:
    """The ids, an input of the network or moved from there; from now on only those that the table has."""
    value = call.x
    if isinstance(value, Unknown):
        return value
    ids = codes_of(call, value, "its ids")
    if call.tensor(ids).dtype is not DType.S32:
        reject("its ids are quantised values", "give it the integers themselves: an int64 input")
    _require_plain(call)
    _limit(call, ids.tensor, call.single.num_embeddings)
    return ids


def _limit(call: Call, tensor: str, rows: int) -> None:
    """Let ids, and those that they were moved from, be rows of a table only."""
    tensors = call.builder.tensors
    makers = {operation.outputs[0]: operation for operation in call.builder.operations}
    waiting = [tensor]
    while waiting:
        known = tensors[waiting.pop()]
        tensors[known.name] = replace(known, lo=max(known.lo, 0), hi=min(known.hi, rows - 1))
        if known.name in makers:
            waiting.extend(makers[known.name].inputs)
