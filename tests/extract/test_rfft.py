"""RFFTFeatures in real models: what is extracted means what the model computes, code by code (N16)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brevitas.graph.calibrate import calibration_mode
from brevitas.quant_tensor import QuantTensor

from ares.extract import extract
from ares.nn.spectrum import RFFT, RFFTFeature, RFFTFeatures
from ares.ops import run_reference
from ares.witness import Witness
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    seeded,
    set_scale,
)


def features(length: int, **options: object) -> Net:
    return Net(
        lambda m, x: m.head(m.rfft(m.entry(x))),
        entry=identity(),
        rfft=RFFTFeatures(length, **options),
        head=linear(2 * (length // 2 + 1), 3),
    )


@pytest.mark.parametrize("length", [2, 3, 4, 5, 7, 16, 40, 50, 97, 256, 1024])
def test_every_length(length: int) -> None:
    model = seeded(lambda: features(length))
    graph = checked(model, (1, 3, length), c=length in (3, 40, 1024))
    assert kinds(graph) == ["quantize", "rfft", "rfft", "concat", "linear_fp32"]
    magnitude, phase, joined = graph.tensors[2:5]
    assert joined.shape == (1, 3, 2 * (length // 2 + 1))
    assert joined.scale == phase.scale
    gain = model.rfft.gain
    assert abs(gain * (phase.scale or 0) / (magnitude.scale or 1) - 1) < 2.0**-20


@pytest.mark.parametrize("kind", [RFFT, RFFTFeature])
def test_other_names_other_ranks_and_fewer_bits(kind: type[RFFTFeatures]) -> None:
    model = Net(lambda m, x: m.rfft(m.entry(x)), entry=plain_identity(), rfft=kind(9, 4, False))
    graph = checked(model, (1, 2, 3, 9), c=True)
    # A plain tensor goes through the composite's own quantiser first.
    assert kinds(graph)[-3:] == ["rfft", "rfft", "concat"]
    assert not isinstance(model(torch.zeros(2, 2, 3, 9)), QuantTensor)


def rows_of_interest(length: int) -> np.ndarray:
    n = np.arange(length)
    draw = np.random.Generator(np.random.PCG64(3))
    noise = draw.normal(0, 1, length)
    rows = [
        np.zeros(length),
        np.full(length, 0.7),
        np.full(length, -9.0),
        noise + noise[-n % length],
        noise - noise[-n % length],
        np.where(n < length // 2, 9.0, -9.0),
        np.where(n % 2, 9.0, -9.0),
        np.cos(2 * np.pi * n / length),
        np.sin(2 * np.pi * (length // 3) * n / length),
        0.01 * noise,
    ]
    return np.array(rows, np.float32)[None]


@pytest.mark.parametrize("length", [3, 5, 16, 40, 50, 97, 256, 1024])
def test_rows_on_which_a_plain_dft_has_any_phase(length: int) -> None:
    model = calibrated(seeded(lambda: features(length)), (1, 10, length))
    graph = extract(model, [torch.zeros(1, 10, length)], "net")
    rows = rows_of_interest(length)
    arrays = run_reference(graph, [rows])
    judgements = Witness(model, graph).judge([rows], arrays)
    assert all(judgement.accepted for judgement in judgements)
    bins = length // 2 + 1
    joined = arrays["rfft.join"]
    assert (joined[0, 0] == 0).all(), "a row of zeros has features of zero"
    assert (joined[0, 1, bins + 1 :] == 0).all(), "a constant row has one bin"
    phases = joined[0, 3, bins:]
    assert set(np.unique(phases)) <= {0, phases.max()}, "an even row has real bins"


def test_both_parts_keep_their_resolution() -> None:
    model = calibrated(features(40), (1, 50, 40))
    graph = extract(model, [torch.zeros(1, 50, 40)], "net")
    draw = np.random.Generator(np.random.PCG64(9))
    arrays = run_reference(graph, [draw.normal(0, 1, (1, 50, 40)).astype(np.float32)])
    magnitudes, phases = np.split(arrays["rfft.join"], 2, axis=-1)
    assert len(np.unique(magnitudes)) > 90
    assert len(np.unique(phases)) > 200


def test_the_float_model_computes_a_dft() -> None:
    model = calibrated(features(40), (1, 50, 40))
    rfft: RFFTFeatures = model.rfft
    with torch.no_grad():
        x = model.entry(torch.randn(1, 50, 40))
        found = rfft(x).value
        ideal = torch.fft.rfft(x.value.double())
    magnitudes, phases = torch.split(found, 21, dim=-1)
    step = float(rfft.magnitude.quant.act_quant.scale())
    clipped = ideal.abs().clamp(max=127 * step)
    assert float((magnitudes * rfft.gain - clipped).abs().max()) < 0.51 * step
    clear = (ideal.real.abs() > 1e-2) & (ideal.imag.abs() > 1e-2)
    assert float((phases - ideal.angle())[clear].abs().max()) < 0.03


def test_training_gives_finite_gradients() -> None:
    model = features(16)
    model.train()
    rows = torch.tensor(rows_of_interest(16), requires_grad=True)
    result = model(rows)
    assert result.dtype is torch.float32
    result.square().sum().backward()
    assert rows.grad is not None
    assert bool(torch.isfinite(rows.grad).all())
    assert float(rows.grad.abs().sum()) > 0
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


def test_calibration_and_stored_state() -> None:
    """Brevitas' calibration hides QuantTensors; the scales it finds must serve afterwards, also when reloaded."""
    model = seeded(lambda: features(40)).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad(), calibration_mode(model):
        for _ in range(3):
            model(torch.randn(8, 3, 40, generator=generator))
    model.eval()
    checked(model, (1, 3, 40), calibrate=False)
    other = features(40)
    other.load_state_dict(model.state_dict())
    other.eval()
    x = torch.randn(2, 3, 40, generator=generator)
    assert torch.equal(other(x), model(x))


def test_refusals() -> None:
    for size in (1, 1025):
        with pytest.raises(ValueError, match="expected 2 to 1024"):
            RFFTFeatures(size)
    model = calibrated(features(8), (1, 2, 8))
    with pytest.raises(ValueError, match="expected 8 elements"):
        model(torch.zeros(1, 2, 9))
    set_scale(model, "rfft.phase.quant.act_quant", 0.1)
    assert "phase scale" in refused(model, (1, 2, 8)).reason
    model = calibrated(features(8), (1, 2, 8))
    set_scale(model, "rfft.magnitude.quant.act_quant", 1e-4)
    assert "at most 512" in refused(model, (1, 2, 8)).reason
    unquantised = Net(
        lambda m, x: m.rfft.magnitude(m.fc(m.entry(x))),
        entry=identity(),
        fc=linear(8, 8),
        rfft=RFFTFeatures(8),
    )
    assert "not quantised" in refused(calibrated(unquantised, (1, 2, 8)), (1, 2, 8)).reason
