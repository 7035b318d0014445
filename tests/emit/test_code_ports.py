"""`ares export --io codes`: the quantiser of the input is the caller's, every layer behind it is as exact as before."""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from brevitas.graph.calibrate import calibration_mode
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import nn

import ares
from ares.emit import Vector, emit
from ares.exporter.accepted import accepted
from ares.exporter.c_project import _of_ports
from ares.ir import DType, Graph, Tensor, frozen_array
from ares.numerics import FloatStep, FloatStepKind
from ares.ops import KernelOperation, run_reference
from ares.ops.quantize import Quantize
from ares.ops.requantize import Requantize
from ares.pipeline.network import NetworkSubject
from ares.plan import PortError, code_ports, plan
from ares.toolchain import build
from ares.toolchain.process import run_process
from tests.checkout import ZOO
from tests.slow import slow_but
from tests.toolchain.tiny_network import any_target, usable

Array = npt.NDArray[Any]
X = torch.rand(4, 1, 6, 5, generator=torch.Generator().manual_seed(1)) - 0.3


class Net(nn.Module):
    """Real values to codes: u8 of a ReLU, or with logits at its end."""

    def __init__(self, logits: bool = False) -> None:
        super().__init__()
        self.quant = QuantIdentity(return_quant_tensor=True)
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.conv = QuantConv2d(1, 3, 2)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(90, 4, bias=True) if logits else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc(self.flatten(self.relu(self.conv(self.pad(self.quant(x))))))
        return found


def model(logits: bool = False) -> nn.Module:
    torch.manual_seed(0)
    net = Net(logits).eval()
    with torch.no_grad(), calibration_mode(net):
        net(X)
    return net


def check(folder: Path) -> str:
    found = subprocess.run(
        ["make", "-s", "check", "CC=gcc", "CFLAGS=-O2 -Wall -Wextra -Wpedantic -Werror"],
        *(),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_a_model_takes_and_gives_codes(tmp_path: Path) -> None:
    """The same digests in every layer, and macros from which the caller makes the codes that the golden cases hold."""
    real = ares.export(model(), tmp_path / "real", X, name="net")
    codes = ares.export(model(), tmp_path / "codes", X, name="net", io="codes")
    shown = [re.findall(r"layer \d+ (.*)|output (.*)", check(x.folder)) for x in (real, codes)]
    assert shown[1] == [line for line in shown[0] if not line[0].startswith("quant ")]
    assert len(shown[0]) - len(shown[1]) == len(real.cases)
    assert codes.layers == real.layers - 1
    header = (codes.folder / "net.h").read_text()
    assert "net_run(const int8_t *input, uint8_t *output0, void *arena)" in header
    assert "codes from -128 to 127" in header
    facts = {
        name: float.fromhex(value.rstrip("f")) if "x" in value else int(value)
        for name, value in re.findall(r"#define NET_INPUT_(SCALE|ZERO_POINT) (\S+)", header)
    }
    golden = subprocess.run(
        ["sh", "-c", "sed -n '/golden_input\\[/,/;/p' selftest.c"],
        *(),
        cwd=codes.folder,
        capture_output=True,
        text=True,
    ).stdout
    octal = "".join(re.findall(r'"(.*)"', golden))
    found = ast.literal_eval(f"b'{octal}'")
    made = np.rint(X[0].numpy() / np.float32(facts["SCALE"])) + facts["ZERO_POINT"]
    assert found[:30] == np.clip(made, -128, 127).astype(np.int8).tobytes()


def test_real_logits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ares.AresError) as caught:
        ares.export(model(logits=True), tmp_path / "net", X, name="net", io="codes")
    why = "net: output fc of layer fc (OP_LINEAR_FP32) cannot be codes: no quantiser stands behind it; "
    assert str(caught.value).startswith(why)
    assert not (tmp_path / "net").exists()
    with pytest.raises(ares.AresError, match="io is 'int8', expected 'float' or 'codes'"):
        ares.export(model(), tmp_path / "net", X, io="int8")


PUT = b"""\
#include "board.h"
#include "selftest.h"

void ares_selftest_put(const char *text)
{
    ares_semihost(SEMIHOST_WRITE0, text);
}
"""


@pytest.mark.parametrize("network", slow_but([0], ["net", "test_48_superres"]))
def test_the_self_test_passes_on_a_board(network: str, tmp_path: Path) -> None:
    """A Cortex-M4 in QEMU."""
    board = usable("m4-gcc-O2")
    subject = (
        ares.door._user_model(model(), X, None, 3, network)
        if network == "net"
        else NetworkSubject(ZOO.paths(network))
    )
    ports = code_ports(subject.graph)
    vectors = [_of_ports(vector, ports) for vector in _vectors(subject)]
    project = emit(plan(ports.graph), vectors)
    sources = (*project.sources, "selftest/selftest.c", "put.c")
    files = {**project.files, "put.c": PUT}
    binary = build(replace(project, files=files, sources=sources, main="selftest.c"), board)
    finished = run_process(board.machine.command(binary.path, ()), folder=tmp_path, timeout=300)
    assert finished.code == 0, finished
    count = len(vectors) * (len(project.points) + len(project.outputs))
    assert finished.stdout.splitlines()[-1] == f"self-test passed: {count} digests are right"


def _vectors(subject: Any) -> list[Vector]:
    if not isinstance(subject, NetworkSubject):
        return accepted(subject)
    names = subject.graph.outputs
    pairs = zip(subject.golden.cases, subject.references, strict=True)
    return [Vector(c.name, c.inputs, r, tuple(r[name] for name in names)) for c, r in pairs]


# --- buffers of the caller

MAIN = """\
#include "net.h"

#include <stdio.h>
#include <string.h>

static _Alignas(16) unsigned char arena[NET_ARENA_BYTES];

int main(void)
{
    static const signed char codes[@n@] = {@codes@};
    static _Alignas(16) int8_t input[@n@ + 16];
    static _Alignas(16) uint8_t output[@m@ + 32];

    for (int shift = 0; shift < 16; ++shift) {
        memcpy(input + shift, codes, @n@);
        memset(output, 77, sizeof output);
        if (net_run(input + shift, output + shift, arena) != ARES_OK) {
            return 1;
        }
        for (int i = 0; i < (int)sizeof output; ++i) {
            if ((i < shift || i >= shift + @m@) && output[i] != 77) {
                return 2;
            }
        }
        for (int i = 0; i < @m@; ++i) {
            printf("%d ", output[shift + i]);
        }
        printf("\\n");
    }
    return 0;
}
"""


@pytest.mark.parametrize("name", slow_but([0], ["gcc-asan", "gcc-O2", "wasm32-zig-O2"]))
def test_codes_may_lie_at_any_address(name: str, tmp_path: Path) -> None:
    """Nothing is written beside an output, and nothing needs more than the alignment of a byte."""
    subject = ares.door._user_model(model(), X, None, 1, "net")
    (vector,) = accepted(subject)
    ports = code_ports(subject.graph)
    planned = plan(ports.graph)
    (codes,) = _of_ports(vector, ports).inputs
    (output,) = vector.outputs
    text = MAIN.replace("@codes@", ", ".join(map(str, codes.ravel())))
    text = text.replace("@n@", str(codes.size)).replace("@m@", str(output.size))
    project, target = emit(planned), usable(name)
    binary = build(replace(project, files={**project.files, "main.c": text.encode()}), target)
    finished = run_process(target.machine.command(binary.path, ()), folder=tmp_path, timeout=60)
    assert finished.code == 0, finished
    assert finished.stdout.split("\n") == [" ".join(map(str, output.ravel())) + " "] * 16 + [""]


# --- where there are no codes


def _quantize(name: str, source: str = "x", steps: tuple[FloatStep, ...] = ()) -> Quantize:
    return Quantize(name, (source,), (name,), steps=steps)


def _lookup(name: str, source: str) -> Requantize:
    return Requantize(name, (source,), (name,), table=frozen_array(np.arange(256), np.uint8))


def _graph(operations: list[KernelOperation], outputs: tuple[str, ...]) -> Graph:
    real = Tensor("x", (1, 6), DType.F32)
    made = [Tensor(each.name, (1, 6), DType.S8, 0.5, 3, -128, 127) for each in operations]
    return Graph("net", (real, *made), tuple(operations), ("x",), outputs).validate()


_STEP = FloatStep(int(FloatStepKind.SUB), frozen_array([0.5], np.float32), 6)
REFUSED = {
    "an output as well": (_graph([_quantize("a")], ("a", "x")), "it is an output as well"),
    "two quantisers": (
        _graph([_quantize("a"), _quantize("b")], ("a", "b")),
        "expected one quantiser that reads it, found a and b",
    ),
    "steps": (
        _graph([_quantize("a", steps=(_STEP,))], ("a",)),
        "layer a computes with constants before it rounds",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_an_input_is_refused(reason: str) -> None:
    graph, why = REFUSED[reason]
    with pytest.raises(PortError, match=f"net: input x cannot be codes: .*{why}"):
        code_ports(graph)


def test_codes_that_are_also_an_output() -> None:
    """The quantised input handed back: a copy of what the caller gave."""
    graph = _graph([_quantize("a"), _lookup("b", "a")], ("a", "b"))
    ports = code_ports(graph)
    assert ports.origins == {"x": "a"}
    assert ports.graph.outputs == ("x", "b")
    x = np.linspace(-3, 3, 6, dtype=np.float32).reshape(1, 6)
    before = run_reference(graph, [x])
    after = run_reference(ports.graph, [before["a"]])
    assert np.array_equal(after["b"], before["b"])
    vector = Vector("case", (x,), before, (before["a"], before["b"]))
    project, target = emit(plan(ports.graph), [_of_ports(vector, ports)]), any_target()
    sources = (*project.sources, *(f"selftest/{name}.c" for name in ("selftest", "selftest_put")))
    binary = build(replace(project, sources=sources, main="selftest.c"), target)
    finished = run_process(target.machine.command(binary.path, ()), folder=Path("/"), timeout=60)
    assert finished.code == 0, finished
