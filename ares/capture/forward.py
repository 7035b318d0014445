"""One forward pass, watched: hooks around modules, a `TorchFunctionMode` around functions.

The mode is silent inside leaves. Our hooks run directly around `forward`, so what the user's own
hooks compute is recorded like any other function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Any

import torch
from brevitas.quant_tensor import QuantTensor
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode
from torch.utils.hooks import RemovableHandle

from ares.capture.compiled import in_training, uncompiled
from ares.capture.dataflow import CaptureError, Dataflow, flatten
from ares.capture.functions import (
    CHANGES_FIRST_ARGUMENT,
    function_name,
    has_shape_from_values,
    is_about_the_tensor,
    reveals_values,
)
from ares.capture.leaves import (
    hooked_modules,
    is_library_leaf,
    owned_tensors,
    registered_tensors,
)
from ares.capture.record import PendingCall, Recorder, called_by_brevitas, tensors_in
from ares.capture.walks import Held, Named, all_names, first_names, held

_innermost_mode: Callable[[], object] = _get_current_function_mode


def capture(
    model: nn.Module,
    inputs: Sequence[torch.Tensor],
    *,
    is_leaf: Callable[[nn.Module], bool] | None = None,
    on_output: Callable[[str, int, torch.Tensor], None] | None = None,
) -> Dataflow:
    """Run `model(*inputs)` once, in evaluation mode and without gradients, and record what it did.

    Leaves, one node a call, are layers of torch.nn and brevitas.nn and what `is_leaf` adds. The model
    gets clones of the inputs and is left as it was, hooks and training flags included.
    `on_output(key, index, value)` is called for each input and each output of a module or function as
    the forward runs, dead ones included; for a QuantTensor `value` is its dequantised tensor.

    What `torch.compile` wraps runs as it was written. Raises CaptureError if forward raises, or for a model
    that is TorchScript; faults that leave a record are `Dataflow.problems`.
    """
    _refuse_scripted(model)

    def leaf(module: nn.Module) -> bool:
        return is_library_leaf(module) or (is_leaf is not None and is_leaf(module))

    modules = all_names(model)
    named = first_names(modules)
    attributes = held(named)
    recorder = Recorder(owned_tensors(modules, attributes, leaf), on_output)
    watch = _Watch(recorder, named, attributes)
    training = in_training(named)
    if training:
        path = next(iter(training))
        first = repr(path) if path else "the model itself"
        message = f"{len(training)} modules are in training mode, the first is {first}"
        recorder.report("training", None, path, message)
    before = registered_tensors(named)
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        _evaluating(training.values()),
        watch.hooks(hooked_modules(modules, leaf)),
    ):
        clones = [tensor.clone() for tensor in inputs]
        for clone in clones:
            recorder.add_input(clone)
        with _NamedErrors(model, watch, recorder), uncompiled(), watch.listening():
            result = model(*clones)
        after = registered_tensors(first_names(all_names(model)))
        for name in sorted({name for name, _ in before.items() ^ after.items()}):
            recorder.report("inplace_state", None, "", f"forward assigned {name!r} anew")
        return recorder.finish(result)


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """A module that is executing; `call` only for a leaf that is not inside another leaf."""

    module: nn.Module
    path: str
    muted: bool
    call: PendingCall | None
    error: BaseException | None


class _Watch:
    """Which modules are executing, and what of it the recorder is told.

    `modules`: those of the model, by their first names; `attributes`: what they hold.
    """

    def __init__(self, recorder: Recorder, modules: Named, attributes: Sequence[Held]) -> None:
        self.failure: tuple[BaseException | None, str] = (None, "")
        self._recorder = recorder
        self._frames: list[_Frame] = []
        self._mode: Any = _Mode(self)
        self._strangers = _Strangers(modules, attributes, self, recorder)
        # Of what listens to all functions and all modules: None while nothing does.
        self._ear: RemovableHandle | None = None

    @property
    def muted(self) -> bool:
        return bool(self._frames) and self._frames[-1].muted

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(frame.path for frame in self._frames if not frame.muted)

    @contextmanager
    def hooks(self, modules: Iterable[tuple[str, nn.Module, bool]]) -> Iterator[None]:
        """(path, module, leaf) of those that are told of."""
        told = list(modules)
        hooked = {id(module): (path, leaf) for path, module, leaf in told}

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._enter(module, *hooked[id(module)], args, kwargs)

        def leave(module: nn.Module, args: object, kwargs: object, result: object) -> None:
            self.leave(module, result)

        handles = []
        try:
            for _, module, _ in told:
                handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
                handles.append(
                    module.register_forward_hook(
                        leave, with_kwargs=True, always_call=True, prepend=True
                    )
                )
            yield
        finally:
            for handle in (*handles, *self._strangers.handles):
                handle.remove()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within, all functions come by, and the modules that nobody registered."""
        self._listen()
        try:
            yield
        finally:
            self._stop()

    def _listen(self) -> None:
        if self._ear is None:
            self._mode.__enter__()
            self._ear = register_module_forward_pre_hook(self._strangers.enter)

    def _rest(self) -> None:
        """Listen to nothing until `_listen`: inside a leaf it would only take time, most of what a leaf of Brevitas
        takes. Not where forward has put a mode of its own upon ours, which comes off in its turn.
        """
        if self._ear is not None and _innermost_mode() is self._mode:
            self._stop()

    def _stop(self) -> None:
        if self._ear is not None:
            self._mode.__exit__(None, None, None)
            self._ear.remove()
            self._ear = None

    def enter_muted(self, module: nn.Module) -> None:
        """A module that is no part of the model: its forward shows nothing but its result."""
        self._push(_Frame(module, (self.scopes or ("",))[-1], True, None, sys.exc_info()[1]))

    def is_executing(self, module: nn.Module) -> bool:
        return bool(self._frames) and self._frames[-1].module is module

    def _enter(
        self, module: nn.Module, path: str, leaf: bool, args: Any, kwargs: dict[str, Any]
    ) -> None:
        call = None
        if leaf and not self.muted:
            with torch._C.DisableTorchFunction():  # not muted yet
                call = self._recorder.begin(args, kwargs, self.scopes)
        self._push(_Frame(module, path, leaf or self.muted, call, sys.exc_info()[1]))

    def _push(self, frame: _Frame) -> None:
        self._frames.append(frame)
        if frame.muted:
            self._rest()

    def leave(self, module: nn.Module, result: object) -> None:
        if not self._frames or self._frames[-1].module is not module:
            return  # another hook raised before ours was entered
        frame = self._frames[-1]
        error = sys.exc_info()[1]
        if error is not frame.error:
            if error is not self.failure[0]:
                self.failure = error, frame.path
        elif frame.call is not None:
            self._recorder.end("module", frame.call, frame.path, module, result)
        self._frames.pop()
        if not self.muted:
            self._listen()

    def function(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function that PyTorch dispatched to the mode, and have it recorded."""
        if self.muted or is_about_the_tensor(name := function_name(function)):
            return function(*args, **kwargs)
        call = self._recorder.begin(args, kwargs, self.scopes)
        result = function(*args, **kwargs)
        shown = args[0] if name in CHANGES_FIRST_ARGUMENT else result
        if tensors_in(shown):
            key = self._recorder.end("function", call, name, None, shown)
            if has_shape_from_values(name, args):
                message = f"the shape of {key} depends on the values"
                self._recorder.report_data_dependent(call, key, message)
        elif reveals_values(result) and not called_by_brevitas():
            # QuantTensor arithmetic reads values, too, but only to raise on invalid operands
            message = f"{name!r} hands to Python the values"
            self._recorder.report_data_dependent(call, None, message)
        return result


class _Strangers:
    """Modules with a state that forward calls and the model does not register: one node a call, and a problem.

    They hold what forward made of them, float32 where the model is in float64, and are run in the type of their input.
    """

    def __init__(
        self, modules: Named, attributes: Sequence[Held], watch: _Watch, recorder: Recorder
    ) -> None:
        self._model = modules[0][1]
        self._watch = watch
        self._recorder = recorder
        self._registered = {id(module) for _, module in modules}
        self._held = dict(_held_in_containers(attributes, self._registered))
        self._watched: dict[int, tuple[nn.Module, RemovableHandle]] = {}

    @property
    def handles(self) -> list[RemovableHandle]:
        return [handle for _, handle in self._watched.values()]

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self._watch.muted or id(module) in self._registered or _is_stateless(module):
            return
        if (
            id(module) not in self._watched
        ):  # not of the global hooks, which see no keyword arguments
            handle = module.register_forward_hook(
                self._leave, with_kwargs=True, always_call=True, prepend=True
            )
            self._watched[id(module)] = module, handle
        self._watch.enter_muted(module)
        given = [item.value if isinstance(item, QuantTensor) else item for item in tensors_in(args)]
        # Global hooks do not see keyword arguments; they are of the model's type.
        for real in [x for x in (*given, *self._model.parameters()) if x.is_floating_point()][:1]:
            module.to(real.dtype)

    def _leave(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: object
    ) -> None:
        if not self._watch.is_executing(module):
            return
        name = type(module).__name__
        if tensors_in(result):  # else it raised
            with torch._C.DisableTorchFunction():
                call = self._recorder.begin(args, kwargs, self._watch.scopes)
                key = self._recorder.end("function", call, name, None, result)
            self._report(module, name, key, call.scope)
        self._watch.leave(module, result)

    def _report(self, module: nn.Module, name: str, key: str, scope: str) -> None:
        holder = self._held.get(id(module))
        kind, found = ("made_in_forward", f"a {name} is made anew in forward")
        if holder is not None:
            kind, found = ("unregistered", f"a {name} is held in the plain container {holder}")
        self._recorder.report(kind, key, scope, found)


_CONTAINERS = (list, tuple, dict)


def _held_in_containers(
    attributes: Sequence[Held], registered: Collection[int]
) -> Iterator[tuple[int, str]]:
    """id of every module in a plain list, tuple or dict that is an attribute of a module -> the attribute's name.

    Not of those whose ids are `registered`: Brevitas' quantisers list the layers that they serve.
    """
    for path, attribute, value in attributes:
        if isinstance(value, _CONTAINERS) and value:
            for _, item in flatten(value):
                if isinstance(item, nn.Module) and id(item) not in registered:
                    for _, inner in all_names(item):
                        yield id(inner), f"{path}.{attribute}".lstrip(".")


def _is_stateless(module: nn.Module) -> bool:
    """Whether calling it means what its functions mean: an activation or a pooling made in forward."""
    state = chain(module.parameters(), module.buffers())
    return isinstance(module, torch.jit.ScriptModule) or next(state, None) is None


class _Mode(TorchFunctionMode):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self._watch.function(func, args, kwargs or {})


class _NamedErrors:
    """Turns what forward raises, of whatever type, into a CaptureError; not what `on_output` raises."""

    def __init__(self, model: nn.Module, watch: _Watch, recorder: Recorder) -> None:
        self._model = model
        self._watch = watch
        self._recorder = recorder

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or self._recorder.calling_back:
            return
        failed, path = self._watch.failure
        path = path if failed is error else ""
        module = type(self._model.get_submodule(path)).__name__
        where = f"module {path!r} ({module})" if path else f"the model ({module})"
        text = (str(error).strip().splitlines() or ["no message"])[0]
        message = f"forward raised in {where}: {type(error).__name__}: {text}"
        raise CaptureError(message) from error


@contextmanager
def _evaluating(training: Collection[nn.Module]) -> Iterator[None]:
    """The training flags of these off, and as they were afterwards: a training forward would change scales."""
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _refuse_scripted(model: nn.Module) -> None:
    """The whole model; a part that is scripted shows as a problem of the record."""
    if isinstance(model, torch.jit.ScriptModule):
        raise CaptureError(
            "the model is TorchScript, which shows nothing of its layers: give the nn.Module that was scripted "
            "or traced"
        )
