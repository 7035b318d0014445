"""The stored state: exact round trip, and refusal of what does not fit."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from ares.zoo import state
from ares.zoo.network_file import NetworkFile, load_network_file
from ares.zoo.state import StateError, load_state, make_state, read_info, restore

NETWORK = """
from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import ShiftedUint8ActPerTensorFloat
from torch import nn
from ares.zoo import digits, training

class Net(nn.Sequential):
    def __init__(self, hidden=12):
        super().__init__(
            QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat), nn.Flatten(),
            QuantLinear(64, hidden, bias=True), QuantReLU(), QuantLinear(hidden, 10, bias=True))

def example_inputs(sample=0):
    return (digits.example(8, sample),)
"""
TRAINED = """
RECIPE = training.Recipe(float_epochs=4, quantised_epochs=1)

def dataset():
    return digits.dataset(8)
"""


def written(folder: Path, trained: bool) -> NetworkFile:
    path = folder / "test_99_net.py"
    path.write_text(NETWORK + (TRAINED if trained else ""))
    return load_network_file(path)


@pytest.fixture(params=["scales", "all"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> NetworkFile:
    return written(tmp_path, trained=request.param == "all")


def test_round_trip(network: NetworkFile) -> None:
    data = make_state(network)
    assert make_state(network) == data
    model, info = restore(network, data)
    assert info == read_info(data)
    assert info.network == info.seed == "test_99_net"
    assert set(info.versions) == {"python", "torch", "brevitas", "numpy", "scikit-learn"}
    if network.is_trained:
        assert info.content == "all"
        assert info.recipe["float_epochs"] == 4
        assert 0.3 < info.brevitas_accuracy <= 1
        assert 0.3 < info.float_accuracy <= 1
        # Everything comes from the bytes, whatever the model held before.
        other = network.create_model()
        load_state(other, data)
        assert torch.equal(other[2].weight, model[2].weight)
    else:
        assert info.content == "scales"
        assert info.recipe == {"calibration_samples": 16}
        assert info.brevitas_accuracy is None
        assert sorted(key.split(".")[0] for key in load(data)) == ["0", "0", "3"]
    assert all(tensor.dtype == torch.float32 for tensor in load(data).values())
    assert not any(module.training for module in model.modules())
    again, _ = restore(network, data)
    x = network.example_inputs(3)
    assert torch.equal(model(*x), again(*x))
    assert float(model[0].act_quant.zero_point().detach()) > 0


def rewritten(data: bytes, drop: str = "", add: str = "") -> bytes:
    """The same file with a tensor taken out or put in."""
    tensors = load(data)
    if drop:
        del tensors[drop]
    if add:
        tensors[add] = torch.zeros(())
    length = int.from_bytes(data[:8], "little")
    return save(tensors, json.loads(data[8 : 8 + length])["__metadata__"])


def test_states_that_do_not_fit(network: NetworkFile) -> None:
    data = make_state(network)
    # What the file holds in which order is chance, so every tensor is dropped in turn.
    for key in load(data):
        with pytest.raises(StateError, match=r"test_99_net: the stored state (lacks|does not fit)"):
            restore(network, rewritten(data, drop=key))
    kind = "does not fit the model" if network.is_trained else "unknown scale"
    with pytest.raises(StateError, match=f"test_99_net: the stored state .*{kind}"):
        restore(network, rewritten(data, add="5.new"))
    with pytest.raises(StateError, match="not a state file of ARES"):
        load_state(network.create_model(), b"nothing of the kind")
    with pytest.raises(StateError, match="not a state file of ARES"):
        load_state(network.create_model(), save({"x": torch.zeros(1)}))
    with pytest.raises(StateError, match="is damaged"):
        load_state(network.create_model(), data[:-1])


def test_another_width_does_not_fit(tmp_path: Path) -> None:
    network = written(tmp_path, trained=True)
    with pytest.raises(StateError, match="does not fit the model"):
        load_state(network.module.Net(hidden=7), make_state(network))


def test_a_quantiser_without_scale_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brevitas can be told to ignore missing keys; then the quantiser would stay uncalibrated."""
    network = written(tmp_path, trained=True)
    monkeypatch.setattr("brevitas.config.IGNORE_MISSING_KEYS", True)
    data = make_state(network)
    scale = next(key for key in load(data) if key.startswith("3.act_quant"))
    with pytest.raises(StateError, match=r"lacks scale '3\.act_quant"):
        restore(network, rewritten(data, drop=scale))


def test_too_large_a_state_is_refused(
    network: NetworkFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_LARGEST", 200)
    with pytest.raises(StateError, match="at most 200 allowed"):
        make_state(network)
