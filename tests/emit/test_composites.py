"""Composites in the generated C: one line in the table, its operations as stages, seen one by one."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from ares.emit import emit
from ares.extract import extract
from ares.ir import Graph, Project
from ares.nn import QuantCrossAttention, QuantMambaBlock, QuantMultiHeadAttention, QuantPatchEmbed
from ares.ops import run_reference
from ares.plan import plan
from ares.toolchain import build, run
from tests.extract.models import Net, calibrated, fast_target, identity, linear, seeded

LAYERS: dict[str, tuple[Callable[[], nn.Module], str, tuple[int, ...]]] = {
    "attention": (lambda: QuantMultiHeadAttention(6, 2, 5, "none"), "OP_MHSA", (1, 5, 6)),
    "queries": (lambda: QuantCrossAttention(6, 2, 3, 5), "OP_CROSS_ATTENTION", (1, 5, 6)),
    "mamba": (lambda: QuantMambaBlock(6, 8, 2), "OP_MAMBA_BLOCK", (1, 5, 6)),
    "patches": (
        lambda: QuantPatchEmbed((4, 6), 2, 2, embed_dim=3),
        "OP_PATCH_EMBED",
        (1, 1, 4, 6),
    ),
}
ROW = re.compile(
    r'^    \{(OP_\w+), "([^"]+)", (\w+), .*, (stages_\d+|NULL), (\d+)\},$', re.MULTILINE
)


def network(name: str) -> Graph:
    """A quantiser, the composite, and a layer after it."""
    make, _, shape = LAYERS[name]
    model = seeded(
        lambda: Net(lambda m, x: m.fc(m.layer(m.x(x))), x=identity(), layer=make(), fc=linear(6, 3))
    )
    calibrated(model, shape)
    generator = torch.Generator().manual_seed(3)
    return extract(model, [torch.randn(shape, generator=generator)], "net")


def tables(project: Project) -> dict[str, list[tuple[str, ...]]]:
    """Rows (OpType, name, kernel, stages, their number) of every table of layers."""
    text = project.files[project.sources[0]].decode()
    found = {}
    for table in re.finditer(
        r"static const ares_layer (\w+)\[\] = \{\n(.*?)\n\};", text, re.DOTALL
    ):
        lines = ROW.findall(table[2] + "\n")
        assert len(lines) == len(table[2].splitlines()), "a line that this test cannot read"
        found[table[1]] = lines
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_one_line_with_stages(name: str) -> None:
    graph = network(name)
    (composite,) = graph.composites
    assert (composite.name, composite.op_type) == ("layer", LAYERS[name][1])
    project = emit(plan(graph))
    found = tables(project)
    layers = found.pop("layers")
    (row,) = (row for row in layers if row[1] == "layer")
    assert [row[1] for row in layers] == ["x", "layer", "fc"]
    assert row[0] == composite.op_type
    assert row[2] == "NULL", "a composite has no kernel"
    assert all(other[3:] == ("NULL", "0") for other in layers if other is not row)
    ((table, stages),) = found.items()
    assert (row[3], row[4]) == (table, str(len(stages)))
    assert all(stage[3:] == ("NULL", "0") for stage in stages), "stages have no stages"
    names = [stage[1] for stage in stages]
    assert [stage for stage in names if stage in composite.members] == list(composite.members)


@pytest.mark.parametrize("name", LAYERS)
def test_the_observer_sees_every_stage(name: str) -> None:
    graph = network(name)
    (composite,) = graph.composites
    project = emit(plan(graph))
    x = np.random.Generator(np.random.PCG64(7)).normal(0, 1, LAYERS[name][2]).astype(np.float32)
    expected = run_reference(graph, [x])
    (trace,) = run(build(project, fast_target()), project, [[x]])
    made = [t.name for op, t in graph.produced() if op.name in composite.members]
    assert made
    assert set(made) <= trace.tensors.keys()
    for tensor in made:
        assert np.array_equal(trace.tensors[tensor], expected[tensor]), tensor


@pytest.mark.parametrize("name", LAYERS)
def test_nobody_looking_changes_nothing(name: str) -> None:
    """The same outputs without an observer as from a run that is watched."""
    graph = network(name)
    project = emit(plan(graph))
    x = np.random.Generator(np.random.PCG64(8)).normal(0, 1, LAYERS[name][2]).astype(np.float32)
    binary = build(project, fast_target())
    (watched,) = run(binary, project, [[x]])
    (unwatched,) = run(binary, project, [[x]], mode="outputs")
    assert watched.tensors
    assert not unwatched.tensors, "nobody was to look"
    for a, b in zip(watched.outputs, unwatched.outputs, strict=True):
        assert np.array_equal(a.view(np.uint8), b.view(np.uint8))
    assert np.array_equal(watched.outputs[0], run_reference(graph, [x])[graph.outputs[0]])
