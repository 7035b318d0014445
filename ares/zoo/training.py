"""How the zoo's networks get their numbers: a short training on the digits, or calibration alone.

Training is done once and its result stored (`ares.zoo.state`); nothing else depends on repeating it.
Three phases: float training with all quantisers off, calibration, quantisation-aware fine tuning with
learned activation scales. Batches are drawn by `ares.zoo.philox`, so no random stream is involved.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ares.zoo.digits import Dataset
from ares.zoo.philox import permutation


@dataclass(frozen=True, slots=True)
class Recipe:
    """Adam with a rate that falls linearly to zero within each of the two training phases."""

    float_epochs: int = 40
    quantised_epochs: int = 4
    batch_size: int = 32
    float_rate: float = 3e-3
    quantised_rate: float = 3e-4


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of the held-out digits that are classified correctly.

    `float32` is the trained network with every quantiser switched off (same weights, no rounding);
    `brevitas` the same network as it is, quantised, in float32. Five recipes (test_4, test_7, test_9,
    test_13, test_14) were chosen with these numbers in view, so they are no estimate of accuracy on new digits; they
    are there to be compared with each other and with the C's.
    """

    float32: float
    brevitas: float


def train(model: nn.Module, data: Dataset, key: str, recipe: Recipe) -> Accuracy:
    """Trains `model` in place, starting from the weights it has, and leaves it in eval mode.

    `key` names the order of the samples. Uses one thread, for a sum order that does not vary.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _quantisers_off(model):
            _descend(model, data, f"{key}/float", recipe.float_epochs, recipe, recipe.float_rate)
        calibrate(model, [(batch,) for batch in _slices(data.train_x, 64)])
        model.train()
        _descend(
            model, data, f"{key}/quantised", recipe.quantised_epochs, recipe, recipe.quantised_rate
        )
        model.eval()
        with _quantisers_off(model):
            unrounded = accuracy(model, data.heldout_x, data.heldout_y)
        return Accuracy(unrounded, accuracy(model, data.heldout_x, data.heldout_y))
    finally:
        torch.set_num_threads(threads)


def calibrate(model: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Sets every activation scale from `batches` (tuples of inputs); leaves the model in eval mode.

    A scale is the mean over the batches of the largest magnitude (99.999th percentile) seen in each:
    a few values saturate, as they do in practice.
    """
    with warnings.catch_warnings():
        # Importing brevitas.graph warns about brevitas.fx and about an optional CUDA extension.
        warnings.simplefilter("ignore")
        from brevitas.graph.calibrate import calibration_mode
    model.eval()
    with torch.no_grad(), calibration_mode(model):
        for batch in batches:
            model(*batch)
    model.eval()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of samples whose largest output is at the label."""
    hits = 0
    with torch.no_grad():
        for xs, ys in zip(_slices(x, 64), _slices(y, 64), strict=True):
            hits += int((model(xs).argmax(dim=1) == ys).sum())
    return hits / len(y)


def _descend(
    model: nn.Module, data: Dataset, key: str, epochs: int, recipe: Recipe, rate: float
) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    total = epochs * (len(data.train_y) // recipe.batch_size)
    for step, rows in enumerate(_batches(key, len(data.train_y), recipe.batch_size, epochs)):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / total)
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(data.train_x[rows]), data.train_y[rows])
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()


def _batches(key: str, count: int, size: int, epochs: int) -> Iterator[Tensor]:
    """Every epoch all rows once, in a new order; an incomplete last batch is dropped."""
    for epoch in range(epochs):
        order = torch.from_numpy(permutation(f"{key}/epoch {epoch}", count))
        yield from _slices(order[: count - count % size], size)


def _slices(x: Tensor, size: int) -> Iterator[Tensor]:
    for start in range(0, len(x), size):
        yield x[start : start + size]


@contextmanager
def _quantisers_off(model: nn.Module) -> Iterator[None]:
    """The float network: activations, weights and biases pass unrounded; ReLUs still apply."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas.graph.calibrate import quantization_status_manager
    with quantization_status_manager(
        model, disable_act_quant=True, disable_weight_quant=True, disable_bias_quant=True
    ):
        yield
