"""The model is left as it was, whatever its forward does; an error says where it came from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import _global_forward_pre_hooks
from torch.utils._device import DeviceContext

from ares.capture import CaptureError, capture
from tests.capture.models import MODELS, Applies, Composite, Holder, calibrated, linear, noise

modes: Any = torch.overrides  # untyped


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("name", MODELS)
def test_model_and_inputs_are_unchanged(name: str) -> None:
    build, shapes, _ = MODELS[name]
    model = calibrated(build(), *shapes)
    model.register_forward_hook(lambda *_: None)
    state = copy.deepcopy(model.state_dict())
    names = {id(module): sorted(vars(module)) for module in model.modules()}
    inputs = noise(shapes, 1)
    capture(model, inputs)
    assert hooks_of(model) == 1
    assert names == {id(module): sorted(vars(module)) for module in model.modules()}
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert all(torch.equal(*pair) for pair in zip(inputs, noise(shapes, 1), strict=True))


def test_error_names_the_innermost_module() -> None:
    model = calibrated(nn.Sequential(nn.Sequential(linear(4, 4)), nn.Flatten()), (2, 4))
    with pytest.raises(
        CaptureError, match=r"module '0\.0' \(QuantLinear\): RuntimeError: "
    ) as caught:
        capture(model, noise([(2, 5)], 1))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert hooks_of(model) == 0
    with pytest.raises(CaptureError, match=r"the model \(Sequential\): TypeError: "):
        capture(model, noise([(2, 4), (2, 4)], 1))
    assert capture(model, noise([(2, 4)], 1)).problems == ()


def test_errors_of_the_callback_pass() -> None:
    model = calibrated(nn.Sequential(linear(4, 4)), (2, 4))

    def refuse(key: str, index: int, value: torch.Tensor) -> None:
        if key == "0#0":
            raise LookupError(key)

    with pytest.raises(LookupError, match="0#0"):
        capture(model, noise([(2, 4)], 1), on_output=refuse)
    assert hooks_of(model) == 0


def test_error_that_forward_handles() -> None:
    def fallback(m: Any, x: torch.Tensor) -> Any:
        try:
            return m.fc(x[:, :3])
        except RuntimeError:
            return m.fc(x) + 1

    model = calibrated(Holder(fallback), (2, 4))
    flow = capture(model, noise([(2, 4)], 1))
    assert [node.key for node in flow.nodes] == ["input:0", "fc#0", ":add#0"]
    assert flow.problems == ()


def test_runs_in_any_gradient_mode() -> None:
    model = calibrated(Composite(), (1, 3, 6, 6))
    inputs = noise([(1, 3, 6, 6)], 1)
    plain_keys = [node.key for node in capture(model, inputs).nodes]
    with torch.inference_mode():
        assert [node.key for node in capture(model, noise([(1, 3, 6, 6)], 1)).nodes] == plain_keys
        (problem,) = capture(Applies(lambda x: [x.view(-1), x.add_(1)][0]).eval(), inputs).problems
        assert problem.kind == "inplace_view"
    inputs[0].requires_grad_()
    flow = capture(model, inputs)
    assert [node.key for node in flow.nodes] == plain_keys


class UnderModes(nn.Module):
    """Puts modes of its own around a leaf, leaves one on the stack, and fails where it is told to."""

    def __init__(self, *, stays: bool = False, fails: bool = False) -> None:
        super().__init__()
        self.first, self.second = linear(4, 4), linear(4, 4)
        self.stays, self.fails = stays, fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.device("cpu"):
            x = self.first(x).relu()
        if self.stays:
            DeviceContext(torch.device("cpu")).__enter__()  # type: ignore[no-untyped-call]
        if self.fails:
            x = x[:, :3]
        result: torch.Tensor = self.second(x).relu()
        return result


def test_functions_are_seen_behind_leaves_whatever_modes_forward_has() -> None:
    keys = [node.key for node in capture(UnderModes().eval(), noise([(2, 4)], 1)).nodes]
    assert keys == ["input:0", "first#0", ":relu#0", "second#0", ":relu#1"]


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_listens_afterwards(stays: bool, fails: bool) -> None:
    before = len(modes._get_current_function_mode_stack()), len(_global_forward_pre_hooks)
    model = UnderModes(stays=stays, fails=fails).eval()
    try:
        if fails:
            with pytest.raises(CaptureError, match=r"module 'second'"):
                capture(model, noise([(2, 4)], 1))
        else:
            capture(model, noise([(2, 4)], 1))
    finally:
        left = len(modes._get_current_function_mode_stack()) - before[0]
        for _ in range(left):
            modes._pop_mode()
    assert left == stays
    assert len(_global_forward_pre_hooks) == before[1]


def test_what_forward_makes_is_seen_behind_leaves() -> None:
    class Makes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = nn.Linear(4, 4)(self.first(x))
            return result

    (found,) = (
        p for p in capture(Makes().eval(), noise([(2, 4)], 1)).problems if p.kind != "random"
    )
    assert found.kind == "made_in_forward"
