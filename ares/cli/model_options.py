"""What `check`, `verify`, `export` and `extract` share: which model, how it is made, on which inputs it runs.

Light to import; `load` and `given_inputs` import torch. Everything that is wrong with the user's choice or file
ends in one line on stderr and exit code 2.
"""

from __future__ import annotations

import ast
import atexit
import gc
import importlib
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ares.cli.leaving import no_silent_exit
from ares.cli.output import complain, fail_usage, shown
from ares.pipeline.catalogue import UnknownNetwork, Zoo
from ares.resources import ResourceError, checkout_dir, current_dir
from ares.versions import require_supported_versions

if TYPE_CHECKING:
    from rich.console import Console

    from ares.pipeline.subject import Subject
    from ares.user_files import Inputs, Samples
    from ares.verifier.user_subject import UserSubject
    from ares.zoo.network_file import NetworkFile

ModelFile = Annotated[
    Path | None, typer.Option("--model-file", metavar="F", help="Python file with the model.")
]
TestNetwork = Annotated[
    str | None,
    typer.Option("--test-network", metavar="N", help="Network of tests/test_networks, by name."),
]
ZooNetwork = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="A network of the zoo, with its stored golden."),
]
ModelClass = Annotated[
    str | None,
    typer.Option(
        "--model-class",
        metavar="C",
        help="Class in the file; default: create_model(), or the only nn.Module defined there.",
    ),
]
InitKwarg = Annotated[
    list[str] | None,
    typer.Option(
        "--init-kwarg",
        metavar="K=V",
        help="Argument of the constructor: a Python literal, else a string. Repeatable.",
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="S",
        help="Shape of an input with its batch, 1,1,28,28 or 1x1x28x28; one option per input. "
        "Default: example_inputs() of the file, else inferred.",
    ),
]
StateDict = Annotated[
    Path | None,
    typer.Option(
        "--state-dict",
        metavar="P",
        help="Trained parameters: .safetensors, or a state_dict() saved by torch.save. "
        "Default for a test network: its stored state.",
    ),
]
InputData = Annotated[
    Path | None,
    typer.Option(
        "--inputs",
        metavar="D",
        help="Your own data: a .npz file (numpy.savez), one array an input, samples along its first axis.",
    ),
]

_LONGEST_SIZE = 9  # digits: any longer one is too large
_MOST_SIZES = 32
_SHAPE = re.compile(r"\d+(?:([,x])\d+(?:\1\d+)*)?")
_LARGEST_INPUT = 2**28


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A checked choice: the file exists in no promise yet. `state` is the stored state of a test network.

    `state_dict` and `data` are the user's files of parameters and of inputs.
    """

    source: Path
    model_class: str | None
    init_kwargs: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    state: Path | None
    state_dict: Path | None = None
    data: Path | None = None


def choose(
    model_file: Path | None,
    test_network: str | None,
    model_class: str | None,
    init_kwargs: Sequence[str] | None,
    input_shapes: Sequence[str] | None,
    state_dict: Path | None = None,
    data: Path | None = None,
) -> ModelChoice:
    """The options, parsed; a usage error where they contradict each other or cannot be read."""
    if (model_file is None) == (test_network is None):
        fail_usage(
            "give one of --model-file and --test-network, "
            + ("not both" if model_file is not None else "for example --model-file my_model.py")
        )
    kwargs: dict[str, Any] = {}
    for text in init_kwargs or ():
        name, value = _init_kwarg(text)
        if name in kwargs:
            fail_usage(f"--init-kwarg {name} is given twice")
        kwargs[name] = value
    shapes = tuple(_shape(text) for text in input_shapes or ())
    if shapes and data is not None:
        fail_usage("give one of --inputs and --input-shape: the data have their own shape")
    if model_file is not None:
        return ModelChoice(model_file, model_class, kwargs, shapes, None, state_dict, data)
    try:
        paths = Zoo(checkout_dir()).paths(test_network or "")
    except (UnknownNetwork, ResourceError) as error:
        fail_usage(str(error))
    stored = paths.golden / "state.safetensors"
    return ModelChoice(paths.source, model_class, kwargs, shapes, stored, state_dict, data)


def import_torch() -> None:
    """Import all that deals with models, which takes seconds; the collector rests meanwhile.

    The hundred thousand objects of torch and Brevitas stay until the end. Searching them for garbage, again and
    again while they are made and once more at exit, took two of the five seconds that `ares check` needed.
    """
    try:
        current_dir()
    except ResourceError as error:
        fail_usage(str(error))
    if "ares.checker" not in sys.modules:
        require_supported_versions()
        gc.disable()
        importlib.import_module("ares.checker")
        gc.freeze()
        gc.enable()
        if "triton" in sys.modules:
            # torch for CUDA brings it, and its bindings list on stderr, at exit, what the collector did not visit.
            atexit.register(gc.unfreeze)


@contextmanager
def code_of_the_user(console: Console | None = None) -> Iterator[None]:
    """Around all that runs the user's file: its faults are one line on stderr, its warnings are silent.

    What it prints goes where the `console` writes: not between a result and the program that reads it from stdout.
    """
    from ares.user_files import UserInputError
    from ares.zoo.network_file import NetworkFileError

    elsewhere = console is not None and console.stderr
    with (
        redirect_stdout(sys.stderr) if elsewhere else nullcontext(),
        warnings.catch_warnings(),
        no_silent_exit(),
    ):
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        try:
            yield
        except (NetworkFileError, UserInputError) as error:
            fail_usage(str(error))
        except SystemExit as error:
            # Else a model that calls sys.exit(0) would pass for a compatible one.
            fail_usage(f"the model's code called sys.exit({error.code!r})")


def open_file(choice: ModelChoice) -> NetworkFile:
    """The file, imported; inside `code_of_the_user`."""
    from ares.zoo.network_file import load_network_file

    return load_network_file(choice.source, choice.model_class, choice.init_kwargs)


def given_samples(choice: ModelChoice, model: Any) -> Samples | None:
    """The user's own data, None if there are none; inside `code_of_the_user`."""
    from ares.user_files import read_inputs

    return None if choice.data is None else read_inputs(model, choice.data)


def given_inputs(
    choice: ModelChoice, network: NetworkFile, samples: Samples | None = None
) -> Inputs | None:
    """The inputs that the options or the file name, None if neither does; inside `code_of_the_user`."""
    from ares.user_files import Inputs, example_tensor

    if samples is not None:
        return samples.first()
    if choice.shapes:
        tensors = tuple(example_tensor(shape) for shape in choice.shapes)
        return Inputs(tensors, "--input-shape", only_shapes=True)
    if network.has_example_inputs:
        return Inputs(network.example_inputs(), "example_inputs() of the file")
    return None


def refuse(why: str) -> NoReturn:
    """The model cannot be mapped: one line on stderr, exit code 1."""
    complain(why)
    raise typer.Exit(1) from None


def user_model(choice: ModelChoice, cases: int | None, again: str) -> UserSubject:
    """The chosen model, loaded, with its cases; inside `code_of_the_user`.

    `cases`: how many, None for the default; `again`: the command that repeats what is done with it.
    """
    from ares.extract import ExtractionError
    from ares.user_files import example, trained_model
    from ares.verifier.user_subject import Given, UserSubject

    network = open_file(choice)
    loaded = trained_model(network, choice.state, choice.state_dict)
    model = loaded.model
    samples = given_samples(choice, model)
    try:
        found = example(model, given_inputs(choice, network, samples), network.name)
    except ExtractionError as error:
        refuse(str(error))
    return UserSubject(
        Given(
            name=network.name,
            model=model,
            example=found.tensors,
            rows=() if samples is None else samples,
            origin=found.origin,
            notes=(*loaded.notes, *found.notes),
            cases=cases,
            again=lambda target: again + (f" --target {target}" if target else ""),
            vacuity=network.vacuity,
        )
    )


def _init_kwarg(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        fail_usage(f"--init-kwarg {shown(text)} is not of the form K=V, for example num_classes=10")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return name, value


def _shape(text: str) -> tuple[int, ...]:
    plain = re.sub(r"\s", "", text).lower()
    if plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1].removesuffix(",")
    words = re.split("[,x]", plain) if _SHAPE.fullmatch(plain) else []
    if any(len(word.lstrip("0")) > _LONGEST_SIZE for word in words):
        fail_usage(f"--input-shape {shown(text)} has more than {_LARGEST_INPUT} elements")
    if len(words) > _MOST_SIZES:
        fail_usage(
            f"--input-shape {shown(text)} has {len(words)} sizes, expected at most {_MOST_SIZES}"
        )
    sizes = tuple(int(word.lstrip("0") or "0") for word in words)
    if not sizes or 0 in sizes:
        fail_usage(
            f"--input-shape {shown(text)} is not a shape; expected positive sizes, batch first, "
            "such as 1,1,28,28 or 1x1x28x28"
        )
    elements = 1
    for size in sizes:
        elements *= size
    if elements > _LARGEST_INPUT:
        fail_usage(f"--input-shape {shown(text)} has more than {_LARGEST_INPUT} elements")
    return sizes


def zoo_subject(name: str) -> Subject:
    """A network of the zoo with its golden, by its name or its beginning; else a usage error."""
    from ares.pipeline.jobs import subject_of

    try:
        zoo = Zoo(checkout_dir())
        return subject_of(zoo, zoo.paths(name).name)
    except (UnknownNetwork, ResourceError) as error:
        fail_usage(str(error))
