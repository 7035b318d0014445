"""The folder that repeats a failure names the layer as the report does, whatever the user calls it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat
from torch import nn

import ares
from ares.emit import emit
from ares.ir import Project
from ares.ir.names import carried
from ares.plan import Plan
from tests.extract.models import Net, calibrated, identity, linear, seeded
from tests.slow import slow_but
from tests.witness.planting import patched

SHAPE = (1, 3)
ENDS = {"output_quant": Int8ActPerTensorFloat, "return_quant_tensor": True}


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
@pytest.mark.parametrize(
    "name", slow_but([2], ["(output)", "a\\tb\\c", "a\tb\nc", "$(ls) 'x'", "#", "%s%d"])
)
def test_the_script_names_the_layer(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers: dict[str, nn.Module] = {"x": identity(), name: linear(3, 3, **ENDS), "y": identity()}
    model = seeded(lambda: Net(lambda m, x: m.y(getattr(m, name)(m.x(x))), **layers))
    calibrated(model, SHAPE)

    def planted(plan: Plan) -> Project:
        sums = "p->weight + n * tokens.length, width, acc);"
        negated = "for (int32_t k = 0; k < width; ++k) { acc[k] = -acc[k]; }"
        return patched(emit(plan), "runtime/src/linear.c", sums, f"{sums} {negated}")

    monkeypatch.setattr("ares.pipeline.subject.emit", planted)
    found = ares.verify(
        model, torch.tensor([[0.5, -1.0, 2.0]]), targets="gcc-O2", cases=1, out=tmp_path / "kept"
    )
    assert not found.passed
    layer = carried(name)
    assert f"at layer {layer}" in found.summary
    done = subprocess.run(
        ["sh", "kept/reproduce.sh"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert (
        f"DIFFERENT: case realistic: layer {layer} (OP_LINEAR_INT8): tensor {layer}: element"
        in (done.stderr)
    )
