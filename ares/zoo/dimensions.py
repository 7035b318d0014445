"""What a network's description promises of its size, which `tests/zoo/test_networks.py` compares with the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dimensions:
    """`DIMENSIONS` of a network's file, counted by hand from the description of the network, never from the model.

    Shapes are PyTorch's, with a batch of 1. `macs`: multiply-accumulates of convolutions and linear layers, one a
    weight use. `parameters`: norms, tables, queries and state spaces included, quantisers not. Linear with a bias:
    (in + 1) out; LayerNorm 2 D; RMSNorm D; attention 4 (D + 1) D; MLP (D + 1) H + (H + 1) D; Mamba block of d features,
    inner i, n states, rank r: 2 d i + 5 i + i r + (r + 1) i + 2 i n + i n + i + i d.
    """

    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    macs: int
    parameters: int
