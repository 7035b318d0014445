"""A network is a Python file; this module loads one, whether from the zoo or from a user.

What a network's file holds:

- a docstring that says why the network exists, and its `nn.Module` class;
- `create_model()`, only when the file defines more than one `nn.Module` class;
- `example_inputs()`: a tuple of realistic tensors, batch 1. In the zoo it takes a `sample` number;
- `dataset()`, only for networks that are trained (`ares.zoo.digits.Dataset`), and `RECIPE`
  (`ares.zoo.training.Recipe`), only when the default one does not suit;
- `initialise(model)`, only when the counter-based weights of `ares.zoo.weights` are not wanted;
- `VACUITY`, only when a layer may be constant or saturated: layer's name -> reason;
- `DIMENSIONS` (`ares.zoo.dimensions.Dimensions`), where the network's description promises any, and `ACCURACY`, only
  when a trained network does not reach the usual share of the held-out samples: tests compare.

Relative imports make the file a member of its package, `ares.zoo.imports` says of which one.

Which model: the class that is named, else `create_model()`, else the only `nn.Module` subclass that the
file itself defines. Whatever is wrong raises `NetworkFileError` with one line for the user.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, cast

from torch import Tensor, nn

from ares.files import why_no_file
from ares.ir.names import one_line
from ares.zoo import weights
from ares.zoo.digits import Dataset
from ares.zoo.dimensions import Dimensions
from ares.zoo.imports import import_file, surroundings
from ares.zoo.training import Recipe

USUAL_ACCURACY = 0.97
_NO_KWARGS: Mapping[str, object] = MappingProxyType({})


class NetworkFileError(Exception):
    """A network's file that cannot be used; the message is one line: found, expected, what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkFile:
    """One loaded file and the choice of a model in it. `name` is the file's stem, printable."""

    path: Path
    name: str
    module: ModuleType
    model_name: str
    init_kwargs: Mapping[str, object]
    vacuity: Mapping[str, str]

    @property
    def is_trained(self) -> bool:
        """Whether the network has a data set to be trained on."""
        return self._function("dataset") is not None

    @property
    def has_example_inputs(self) -> bool:
        return self._function("example_inputs") is not None

    def create_model(self) -> nn.Module:
        """A new instance, with the weights its constructor gives it."""
        factory = getattr(self.module, self.model_name)
        try:
            with surroundings(self.path):
                model = factory(**self.init_kwargs)
        except Exception as error:
            # Broad: the constructor is the user's code, which may raise anything; the user is told.
            arguments = ", ".join(f"{key}={value!r}" for key, value in self.init_kwargs.items())
            raise self._error(
                f"{self.model_name}({arguments}) cannot be constructed: {_one_line(error)}; "
                f"its signature is {self.model_name}{_signature(factory)}"
            ) from error
        if not isinstance(model, nn.Module):
            raise self._error(
                f"{self.model_name}() returned {_an(type(model).__name__)}, expected an nn.Module"
            )
        return model

    def initialise(self, model: nn.Module) -> None:
        """Gives `model` its initial weights, in place: the file's own way, or counter-based ones."""
        own = self._function("initialise")
        if own is None:
            weights.initialise(model, self.name)
        else:
            self._call("initialise", model)

    def example_inputs(self, sample: int = 0) -> tuple[Tensor, ...]:
        """Realistic inputs, batch 1. Files of users need not support a `sample` other than 0."""
        if not self.has_example_inputs:
            raise self._error(
                "it defines no example_inputs(); expected a function that returns a tuple of tensors"
            )
        found = self._call("example_inputs", sample) if sample else self._call("example_inputs")
        if isinstance(found, Tensor):
            found = (found,)
        if not isinstance(found, (tuple, list)) or not all(isinstance(x, Tensor) for x in found):
            raise self._error(
                f"example_inputs() returned {_an(type(found).__name__)}, expected a tuple of tensors"
            )
        return tuple(found)

    def dataset(self) -> Dataset:
        """The data set of a trained network."""
        found = self._call("dataset") if self.is_trained else None
        if not isinstance(found, Dataset):
            raise self._error(
                f"dataset() gave {_an(type(found).__name__)}, expected an ares.zoo.digits.Dataset"
            )
        return found

    def recipe(self) -> Recipe:
        """How a trained network is trained."""
        found = getattr(self.module, "RECIPE", Recipe())
        if not isinstance(found, Recipe):
            raise self._error(
                f"RECIPE is {_an(type(found).__name__)}, expected an ares.zoo.training.Recipe"
            )
        return found

    def dimensions(self) -> Dimensions | None:
        """What the file promises of the network's size, if anything."""
        found = getattr(self.module, "DIMENSIONS", None)
        if not isinstance(found, Dimensions | None):
            raise self._error(
                f"DIMENSIONS is {_an(type(found).__name__)}, expected an ares.zoo.dimensions.Dimensions"
            )
        return found

    def least_accuracy(self) -> float:
        """The share of held-out samples that a trained network has to classify correctly."""
        found = getattr(self.module, "ACCURACY", USUAL_ACCURACY)
        if not isinstance(found, float):
            raise self._error(f"ACCURACY is {_an(type(found).__name__)}, expected a float")
        return found

    def _function(self, name: str) -> Callable[..., object] | None:
        found = getattr(self.module, name, None)
        return cast("Callable[..., object]", found) if callable(found) else None

    def _call(self, name: str, *arguments: object) -> object:
        function = self._function(name)
        assert function is not None
        try:
            with surroundings(self.path):
                return function(*arguments)
        except Exception as error:
            # Broad: the function is the user's code, which may raise anything; the user is told.
            raise self._error(f"{name}() failed: {_one_line(error)}") from error

    def _error(self, message: str) -> NetworkFileError:
        return NetworkFileError(f"{self.path}: {message}")


def load_network_file(
    path: str | Path, class_name: str | None = None, init_kwargs: Mapping[str, object] = _NO_KWARGS
) -> NetworkFile:
    """Imports the file and chooses its model; nothing is constructed yet."""
    path = Path(path)
    module = _import(path)
    model_name = _choose(path, module, class_name)
    vacuity = getattr(module, "VACUITY", {})
    if not isinstance(vacuity, dict) or not all(
        isinstance(text, str) for item in vacuity.items() for text in item
    ):
        raise NetworkFileError(f"{path}: VACUITY must be a dict from layer name to reason")
    return NetworkFile(
        path=path,
        name=one_line(path.stem),
        module=module,
        model_name=model_name,
        init_kwargs=dict(init_kwargs),
        vacuity=MappingProxyType(dict(vacuity)),
    )


def load_model(
    path: str | Path, class_name: str | None = None, init_kwargs: Mapping[str, object] = _NO_KWARGS
) -> nn.Module:
    """The model of the file, newly constructed."""
    return load_network_file(path, class_name, init_kwargs).create_model()


def _choose(path: Path, module: ModuleType, class_name: str | None) -> str:
    own = _own_classes(module)
    if class_name is not None:
        if _is_model_class(getattr(module, class_name, None)):
            return class_name
        if hasattr(module, class_name):
            raise NetworkFileError(
                f"{path}: {class_name} is not an nn.Module class; {_listed(own)}"
            )
        raise NetworkFileError(f"{path}: no class named {class_name}; {_listed(own)}")
    if callable(getattr(module, "create_model", None)):
        return "create_model"
    if len(own) == 1:
        return own[0]
    if not own:
        raise NetworkFileError(
            f"{path}: defines no nn.Module class; expected one, or a create_model() function"
        )
    raise NetworkFileError(
        f"{path}: defines {len(own)} nn.Module classes and none was named; "
        f"name one of {', '.join(own)}, or define create_model()"
    )


def _is_model_class(found: object) -> bool:
    return inspect.isclass(found) and issubclass(found, nn.Module)


def _own_classes(module: ModuleType) -> list[str]:
    """Names of the nn.Module classes that the file defines itself, in its order."""
    return [
        name
        for name, found in vars(module).items()
        if _is_model_class(found) and found.__module__ == module.__name__ and name == found.__name__
    ]


def _listed(own: list[str]) -> str:
    return f"it defines {', '.join(own)}" if own else "it defines no nn.Module class"


def _import(path: Path) -> ModuleType:
    if why := why_no_file(path):
        raise NetworkFileError(f"{path}: {why}, expected a Python file")
    try:
        return import_file(path)
    except SyntaxError as error:
        place = f", line {error.lineno}" if error.lineno else ""
        if error.filename not in (None, str(path.resolve())):
            place += f" of {error.filename}"
        raise NetworkFileError(f"{path}: syntax error{place}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        advice = (
            "; put an __init__.py into each folder of its package"
            if _reaches_too_far(error)
            else ""
        )
        raise NetworkFileError(f"{path}: cannot be imported: {_one_line(error)}{advice}") from error


def _reaches_too_far(error: BaseException) -> bool:
    """Whether a relative import, of this file or of one that it imports, leaves the package as far as it shows."""
    return isinstance(error, ImportError) and "beyond top-level package" in str(error)


def _signature(factory: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(factory))
    except (TypeError, ValueError):
        return "(...)"


def _an(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
