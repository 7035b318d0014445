"""The stored state of a network: everything of it that counter-based weights cannot reproduce.

`golden/<name>/state.safetensors` holds float32 tensors and one metadata entry, `ares`, a JSON object.
For a trained network (`content` = "all") that is the whole state dict; for the others ("scales") only
the parameters of the activation quantisers, while the weights come from the network's file.

`make_state` trains or calibrates, and is called when a network is new or on purpose (`--retrain`):
training on another machine gives other numbers, which is why the result is stored.
`load_state` is exact, and refuses a state that does not fit the model.
"""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version

from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ares.zoo.network_file import NetworkFile
from ares.zoo.training import calibrate, train

_METADATA_KEY = "ares"
_LARGEST = 3 * 1024 * 1024
_CALIBRATION_SAMPLES = 16
_PACKAGES = ("torch", "brevitas", "numpy", "scikit-learn")


class StateError(Exception):
    """A stored state that does not fit the model, or cannot be read; one line."""


@dataclass(frozen=True, slots=True)
class StateInfo:
    """The metadata. `seed` is the key of the counter-based generator; accuracies: held-out digits.

    `float_accuracy` belongs to the same trained weights with every quantiser switched off.
    """

    network: str
    content: str
    seed: str
    recipe: Mapping[str, object]
    float_accuracy: float | None
    brevitas_accuracy: float | None
    versions: Mapping[str, str]


def make_state(network: NetworkFile) -> bytes:
    """Trains (networks with a data set) or calibrates the network and returns the file's bytes."""
    model = network.create_model()
    network.initialise(model)
    float_accuracy = brevitas_accuracy = None
    if network.is_trained:
        recipe = network.recipe()
        result = train(model, network.dataset(), network.name, recipe)
        float_accuracy, brevitas_accuracy = result.float32, result.brevitas
        described: dict[str, object] = asdict(recipe)
        tensors = _state_dict(model)
    else:
        calibrate(model, [network.example_inputs(i) for i in range(_CALIBRATION_SAMPLES)])
        described = {"calibration_samples": _CALIBRATION_SAMPLES}
        scales = _scale_keys(model)
        tensors = {key: value for key, value in _state_dict(model).items() if key in scales}
    info = StateInfo(
        network=network.name,
        content="all" if network.is_trained else "scales",
        seed=network.name,
        recipe=described,
        float_accuracy=float_accuracy,
        brevitas_accuracy=brevitas_accuracy,
        versions={"python": platform.python_version()}
        | {name: version(name) for name in _PACKAGES},
    )
    data: bytes = save(
        {key: value.detach().float().contiguous() for key, value in tensors.items()},
        {_METADATA_KEY: json.dumps(asdict(info), sort_keys=True)},
    )
    if len(data) > _LARGEST:
        raise StateError(
            f"{network.name}: the state is {len(data)} bytes, at most {_LARGEST} allowed"
        )
    return data


def load_state(model: nn.Module, data: bytes) -> StateInfo:
    """Loads the state into a newly created and initialised model, and leaves it in eval mode.

    Raises StateError for unreadable bytes, missing or unknown keys (a missing scale would leave its
    quantiser uncalibrated) and wrong shapes.
    """
    info = read_info(data)
    try:
        stored = load(data)
    except SafetensorError as error:
        raise StateError(f"{info.network}: the stored state is damaged: {error}") from error
    # Brevitas forgives a scale that is missing, so load_state_dict does not look for it.
    scales = _scale_keys(model)
    for name in sorted(scales - stored.keys()):
        raise StateError(f"{info.network}: the stored state lacks scale {name!r}")
    if info.content == "scales":
        for name in sorted(stored.keys() - scales):
            raise StateError(f"{info.network}: the stored state has an unknown scale {name!r}")
        stored = {**_state_dict(model), **stored}
    try:
        model.load_state_dict(stored, strict=True)
    except RuntimeError as error:
        raise StateError(
            f"{info.network}: the stored state does not fit the model: {' '.join(str(error).split())}"
        ) from error
    model.eval()
    return info


def read_info(data: bytes) -> StateInfo:
    """The metadata alone."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        return StateInfo(**json.loads(header["__metadata__"][_METADATA_KEY]))
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"not a state file of ARES: {type(error).__name__}: {error}") from error


def restore(network: NetworkFile, data: bytes) -> tuple[nn.Module, StateInfo]:
    """The network as it was stored: constructed, initialised, loaded, in eval mode."""
    model = network.create_model()
    network.initialise(model)
    return model, load_state(model, data)


def _state_dict(model: nn.Module) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        # Brevitas' zero points call state_dict() in a way that torch has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        return dict(model.state_dict())


def _quantisers(model: nn.Module) -> Iterator[tuple[str, ActQuantProxyFromInjectorBase]]:
    for name, module in model.named_modules():
        if isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled:
            yield name, module


def _scale_keys(model: nn.Module) -> set[str]:
    """State dict keys of the activation quantisers' parameters (scales and zero points).

    A quantiser that saw no data leaves its scale out of the state dict, so names come from the modules.
    """
    return {
        f"{name}.{key}" for name, proxy in _quantisers(model) for key, _ in proxy.named_parameters()
    }
