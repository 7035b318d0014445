"""Inputs with which `forward` runs: the given ones, or shapes inferred from the first layers.

Inference tries: a layer tells the channels or features that it takes, a list of usual sizes does the rest, and
`forward` itself says whether they fit. Tries run in float32 on a copy; nothing of them is kept but the shapes.
"""

from __future__ import annotations

import dis
import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, nn

from ares.capture import CaptureError, Node, capture, evaluated, faithful_copy
from ares.extract import Finding, Status
from ares.nn.errors import MappingError
from ares.user_files.error import UserInputError

Shape = tuple[int, ...]

# What people use first; then the rest, small ones first, since a try costs what a forward pass costs.
_SIZES = (28, 32, 64, 96, 224)
_MORE_SIZES = (8, 10, 12, 14, 16, 20, 24, 36, 40, 48, 50, 56, 80, 100, 112, 128, 160, 192, 256)
_LENGTHS = (16, 32, 64, 100, 128, 196, 200, 256, 400, 512, 1000, 1024, 1280, 2000, 16000)
_WITHOUT_LAYERS: tuple[Shape, ...] = ((1, 1, 28, 28), (1, 3, 32, 32), (1, 16), (1, 16, 16))
_MOST_SEEDS = 6
_MOST_TRIES = 150
_MOST_INPUTS = 4
_LARGEST_GUESS = 2**19  # elements

# Layers that also take one sample without a batch: the rank of a batch.
_RANKS: tuple[tuple[tuple[type[nn.Module], ...], int], ...] = (
    ((nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d), 3),
    ((nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), 4),
    ((nn.AdaptiveMaxPool1d,), 3),
    ((nn.AdaptiveMaxPool2d,), 4),
    ((nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d), 5),
)

# Refusals that are about how layers are put together, never about the shape of the input. Attention and
# recurrent layers of Brevitas also raise for wrong shapes, so theirs do not count.
_ABOUT_SHAPES = ("brevitas.nn.quant_mha", "brevitas.nn.quant_rnn")
_REFUSALS = (
    (
        ("Scaling factors are", "Zero points are", "Bit widths are", "Signs are"),
        "x + y and torch.cat of QuantTensors need equal quantisers: use ares.nn.QuantAdd, "
        "or ares.nn.QuantConcatenate for torch.cat",
    ),
    (
        ("Input scale required",),
        "a quantised bias needs the scale of the input: put a QuantIdentity with "
        "return_quant_tensor=True before the layer",
    ),
    (
        ("not correctly configured", "QuantTensor not valid"),
        "set return_quant_tensor=False on the layer, or give it a QuantTensor: put a QuantIdentity with "
        "return_quant_tensor=True before it",
    ),
)


SAY_INPUTS = "say --input-shape, or define example_inputs() in the file"


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Tensors for `forward`, and in words where they come from.

    `only_shapes`: nothing but the shapes is given, so an input may hold token ids just as well. `casts` say how the
    numbers in a file became the tensors.
    """

    tensors: tuple[Tensor, ...]
    origin: str
    only_shapes: bool = False
    casts: tuple[str, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(tuple(tensor.shape) for tensor in self.tensors)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to the inputs before `forward` runs on them, a line each."""
        batch = max((shape[0] for shape in self.shapes if shape), default=1)
        if batch == 1:
            return self.casts
        cut = f"inputs: a batch of {batch} ({self.origin}) was cut to its first sample"
        return (*self.casts, cut)


@dataclass(frozen=True, slots=True, eq=False)
class NoInputs:
    """Nothing fitted: why, and the error if Brevitas refuses the model whatever its input."""

    reason: str
    refusal: Finding | None


@dataclass(frozen=True, slots=True)
class _Seed:
    """Shapes that one layer would take, likely ones first."""

    shapes: tuple[Shape, ...]
    is_integer: bool = False

    def tensor(self, place: int) -> Tensor:
        """The guess at `place`, the last one beyond the end."""
        shape = self.shapes[min(place, len(self.shapes) - 1)]
        return example_tensor(shape, is_integer=self.is_integer)


def example_tensor(shape: Shape, *, is_integer: bool = False) -> Tensor:
    """A tensor to run `forward` with: values spread evenly from -1 to 1, or zeros where indices are wanted."""
    if is_integer:
        return torch.zeros(shape, dtype=torch.int64)
    return torch.linspace(-1.0, 1.0, prod(shape)).reshape(shape)


def evaluated_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode; raises UserInputError for a model that cannot be copied."""
    try:
        return evaluated(faithful_copy(model))
    except Exception as error:
        # Broad: copying runs the code of whatever the user's model holds, which may raise anything; the user is told.
        message = " ".join(str(error).split())
        raise UserInputError(
            f"the model cannot be copied: {type(error).__name__}: {message}; "
            "hold tensors as parameters or buffers, and no files, locks or generators"
        ) from error


def find_inputs(model: nn.Module, given: Inputs | None) -> Iterator[Inputs] | NoInputs:
    """Inputs on which `forward` runs, at least one and the best guess first, or why there are none.

    Given inputs are the only candidates. Raises UserInputError when `forward` does not run on them for a reason that
    is not Brevitas' refusal of the model.
    """
    trial = evaluated_copy(model).float()
    if given is not None:
        _require_samples(given)
        failure = _try(trial, given.tensors)
        if failure is None:
            return iter((given,))
        if given.only_shapes and any(isinstance(m, nn.Embedding) for m in trial.modules()):
            for tensors in _with_ids(given.shapes):
                if _try(trial, tensors) is None:
                    return iter((replace(given, tensors=tensors),))
        if failure.refusal is not None:
            return failure
        shapes = ", ".join(map(str, given.shapes)) or "none"
        raise UserInputError(f"{failure.reason} (inputs {shapes}, {given.origin})")
    count = _count_of_inputs(trial)
    if count is None:
        reason = "its signature asks for keyword arguments or for more inputs than can be guessed"
        return NoInputs(reason, None)
    return _infer(trial, count)


def runs(trial: nn.Module, inputs: Inputs) -> bool:
    """Whether `forward` of a float32 copy in evaluation mode runs on the inputs."""
    return all(shape and 0 not in shape for shape in inputs.shapes) and (
        _try(trial, inputs.tensors) is None
    )


def _with_ids(shapes: Sequence[Shape]) -> Iterator[tuple[Tensor, ...]]:
    """Every choice of the inputs that hold ids, at least one; zero is an id of every table."""
    for chosen in itertools.product((True, False), repeat=len(shapes)):
        if any(chosen):
            yield tuple(
                example_tensor(shape, is_integer=ids)
                for shape, ids in zip(shapes, chosen, strict=True)
            )


def _infer(trial: nn.Module, count: int) -> Iterator[Inputs] | NoInputs:
    """Tries until one works; the iterator goes on from there."""
    failures: list[NoInputs] = []

    def working() -> Iterator[Inputs]:
        for tensors in itertools.islice(_candidates(trial, count), _MOST_TRIES):
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "no input"
            failure = _try(trial, tensors, guessed=True)
            if failure is None:
                yield Inputs(tensors, f"inferred from the first layers: {shapes}")
            else:
                failures.append(NoInputs(f"with {shapes}, {failure.reason}", failure.refusal))

    found = working()
    first = next(found, None)
    if first is not None:
        return itertools.chain((first,), found)
    refused = next((failure for failure in failures if failure.refusal is not None), None)
    if refused is not None:
        return refused
    return NoInputs(f"{len(failures)} guesses of its input failed; {failures[0].reason}", None)


def _candidates(model: nn.Module, count: int) -> Iterator[tuple[Tensor, ...]]:
    """One input: all sizes for the first layer, then the next layer. Several: all layers, then the next size."""
    seeds = _seeds(model)
    places = range(max(len(seed.shapes) for seed in seeds))
    if count == 0:
        yield ()
    elif count == 1:
        for seed in seeds:
            for place in range(len(seed.shapes)):
                yield (seed.tensor(place),)
    else:
        for place, chosen in itertools.product(places, itertools.product(seeds, repeat=count)):
            if any(place < len(seed.shapes) for seed in chosen):
                yield tuple(seed.tensor(place) for seed in chosen)


def _seeds(model: nn.Module) -> list[_Seed]:
    """One for each kind and width of layer, in order of registration."""
    seeds = (_seed(module) for module in model.modules())
    found = dict.fromkeys(seed for seed in seeds if seed is not None and seed.shapes)
    return list(found)[:_MOST_SEEDS] or [_Seed(_WITHOUT_LAYERS)]


def _seed(module: nn.Module) -> _Seed | None:
    match module:
        case nn.Conv2d() | nn.ConvTranspose2d():
            return _Seed(_images(module.in_channels))
        case nn.Conv1d() | nn.ConvTranspose1d():
            sequences = _sequences(module.in_channels)
            return _Seed(tuple((1, features, length) for _, length, features in sequences))
        case nn.Conv3d() | nn.ConvTranspose3d():
            return _Seed(tuple((1, module.in_channels, size, size, size) for size in (8, 16, 32)))
        case nn.Linear():
            return _Seed(((1, module.in_features), *_sequences(module.in_features)))
        case nn.RNNBase():
            return _Seed(_sequences(module.input_size))
        case nn.RNNCellBase():
            return _Seed(((1, module.input_size),))
        case nn.MultiheadAttention():
            return _Seed(_sequences(module.embed_dim))
        case nn.BatchNorm2d():
            return _Seed(_images(module.num_features))
        case nn.BatchNorm1d():
            return _Seed(((1, module.num_features), (1, module.num_features, 16)))
        case nn.LayerNorm():
            shape = tuple(module.normalized_shape)
            return _Seed(((1, *shape), (1, 16, *shape)))
        case nn.Embedding():
            return _Seed(((1, 16), (1,)), is_integer=True)
    return None


def _images(channels: int) -> tuple[Shape, ...]:
    sizes = (*_SIZES, *_MORE_SIZES)
    return tuple(
        (1, channels, size, size) for size in sizes if channels * size * size <= _LARGEST_GUESS
    )


def _sequences(features: int) -> tuple[Shape, ...]:
    return tuple(
        (1, length, features) for length in _LENGTHS if length * features <= _LARGEST_GUESS
    )


def _count_of_inputs(model: nn.Module) -> int | None:
    """How many tensors `forward` asks for; None if that cannot be said, or they are too many."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.default is p.empty]
    if any(p.kind is p.KEYWORD_ONLY for p in required):
        return None
    count = sum(p.kind in positional for p in required)
    takes_one = any(p.kind in positional or p.kind is p.VAR_POSITIONAL for p in parameters)
    # forward(x=None) and forward(*inputs) ask for nothing and are given one.
    count = max(count, int(takes_one))
    return count if count <= _MOST_INPUTS else None


def _require_samples(given: Inputs) -> None:
    for index, shape in enumerate(given.shapes):
        if not shape or 0 in shape:
            raise UserInputError(
                f"input {index} has shape {shape} ({given.origin}); "
                "expected a batch of at least one sample, such as (1, 1, 28, 28)"
            )
        strange = first_not_finite(given.tensors[index])
        if strange:
            raise UserInputError(
                f"input {index}: {strange} ({given.origin}); every value must be finite in float32"
            )


def first_not_finite(tensor: Tensor) -> str:
    """Which element is NaN or infinite, or would be in float32: `element [0, 3] is nan`; "" where none is."""
    values = tensor.detach()
    if not values.is_floating_point() or bool(torch.isfinite(values.float()).all()):
        return ""
    index = torch.nonzero(~torch.isfinite(values.float()))[0].tolist()
    return f"element {index} is {values[tuple(index)].item()}"


def _try(model: nn.Module, tensors: Sequence[Tensor], *, guessed: bool = False) -> NoInputs | None:
    """None when `forward` runs, else why not. A guess must not run as one sample without its batch."""
    first = [tensor[:1] for tensor in tensors]
    try:
        flow = capture(model, [t.float() if t.is_floating_point() else t for t in first])
    except CaptureError as error:
        cause = error.__cause__
        reason = " ".join(str(error).split())
        if isinstance(cause, MappingError):
            finding = Finding("", cause.layer, Status.ERROR, cause.reason, cause.advice)
            return NoInputs(cause.reason, finding)
        if cause is None or not _refused_by_brevitas(cause):
            return NoInputs(reason, None)
        text = str(cause)
        suggestion = next(
            (advice for parts, advice in _REFUSALS if any(part in text for part in parts)),
            "Brevitas itself cannot run this model in evaluation mode",
        )
        refusal = Finding("", type(model).__name__, Status.ERROR, reason, suggestion)
        return NoInputs(reason, refusal)
    highest = max((tensor.dim() for tensor in tensors), default=0)
    if guessed and any(_lacks_batch(node, highest) for node in flow.nodes):
        return NoInputs("a layer took the batch for channels", None)
    return None


def _lacks_batch(node: Node, highest: int) -> bool:
    """Whether a layer that PyTorch also lets run on a single sample was run so, for want of dimensions."""
    rank = next((rank for classes, rank in _RANKS if isinstance(node.module, classes)), 0)
    return highest < rank and bool(node.outputs) and len(node.outputs[0].shape) < rank


def _refused_by_brevitas(error: BaseException) -> bool:
    """Whether Brevitas' own code raised, and not a torch function that it called with the wrong shapes."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    name = str(trace.tb_frame.f_globals.get("__name__"))
    if not name.startswith("brevitas.") or name in _ABOUT_SHAPES:
        return False
    # Functions written in C leave no frame: only the instruction tells `raise` from a call that raised.
    instruction = dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]]
    return instruction == "RAISE_VARARGS" or isinstance(error, (AttributeError, TypeError))
