"""A recipe as a Brevitas model: `build`.

The model is an ordinary module whose forward calls its nodes in order. Nothing is trained; scales stand in the recipe,
and those inside of composites are taken from one run on a drawn input, rounded coarsely.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from brevitas import inject
from torch import Tensor, nn

from ares.fuzzer.composites import COMPOSITES
from ares.fuzzer.layers import KINDS as LAYERS
from ares.fuzzer.quantizers import settle_all
from ares.fuzzer.recipe import InputSpec, Recipe
from ares.fuzzer.shapes import shapes_of
from ares.fuzzer.sites import Site
from ares.fuzzer.weights import Source
from ares.zoo.philox import bits

KINDS = {**LAYERS, **COMPOSITES}


class DrawnModel(nn.Module):
    """The model of a recipe. Modules bear the names of their nodes."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        shapes = shapes_of(recipe)
        self._steps: list[tuple[str, str, dict[str, Any], tuple[int, ...]]] = []
        self._outputs = recipe.outputs
        self._count = len(recipe.inputs)
        options: dict[str, dict[str, Any]] = {}
        for node in recipe.nodes:
            kind = KINDS[node.kind]
            holder = str(node.options.get("same_as", node.name))
            options[node.name] = dict(options.get(holder, node.options))
            if holder == node.name:
                source = Source(recipe.seed, node.name, recipe.weights)
                site = Site(node.options, [shapes[i] for i in node.inputs], source, recipe.inputs)
                module = kind.make(site)
                if module is not None:
                    self.add_module(node.name, module)
            self._steps.append((node.kind, holder, options[node.name], node.inputs))

    def forward(self, *inputs: Tensor) -> Any:
        values: list[Any] = list(inputs)
        for kind, name, options, operands in self._steps:
            module = self._modules.get(name)
            values.append(KINDS[kind].call(module, options, [values[i] for i in operands]))
        outputs = tuple(values[i] for i in self._outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def has_composites(self) -> bool:
        return any(KINDS[kind].composite for kind, *_ in self._steps)

    def calibrate(self, inputs: tuple[Tensor, ...]) -> None:
        """Give the quantisers of composites the thresholds of one run, rounded, layer after layer."""
        values: list[Any] = list(inputs)
        with torch.no_grad():
            for word, name, options, operands in self._steps:
                kind = KINDS[word]
                module: Any = self._modules.get(name)
                arguments = [values[i] for i in operands]
                if kind.composite:
                    module.train()
                    kind.call(module, options, arguments)
                    module.eval()
                    settle_all(module)
                values.append(kind.call(module, options, arguments))


def build(recipe: Recipe) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The model, in evaluation mode, and one example of its inputs. Raises RecipeError."""
    example = tuple(
        torch.from_numpy(example_input(recipe.seed, number, spec))
        for number, spec in enumerate(recipe.inputs)
    )
    with _unquestioned():
        model = DrawnModel(recipe).eval()
    if model.has_composites:
        model.calibrate(example)
    return model, example


@contextmanager
def _unquestioned() -> Iterator[None]:
    """Within, Brevitas looks for no circles among what its quantisers depend on.

    It does at every step of making one, which is a fifth of what a model takes; its own quantisers have none.
    """
    injection: Any = inject
    look = injection._check_circles
    injection._check_circles = lambda _dependencies: None
    try:
        yield
    finally:
        injection._check_circles = look


def example_input(seed: int, number: int, spec: InputSpec) -> Any:
    """Values of one input: uniform below its amplitude, or ids."""
    count = int(np.prod(spec.shape))
    words = bits(f"ares fuzz/{seed}/input {number}", count)
    if spec.ids:
        return (words % np.uint64(spec.ids)).astype(np.int64).reshape(spec.shape)
    units = (words >> np.uint64(40)).astype(np.int64) / 2.0**23 - 1.0
    return (units * spec.amplitude).astype(np.float32).reshape(spec.shape)
