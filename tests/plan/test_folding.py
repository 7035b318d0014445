"""Padding that the layer behind does: the same integers without the pad's kernel and memory, and seen where it is not.

The oracle is the reference of the Graph as it was extracted, which still pads: it knows nothing of folding.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.emit import emit
from ares.ir import DType, FoldedLayer, Graph, Tensor, frozen_array
from ares.numerics import Rescale, plan_rescale, plan_weighted_sum
from ares.ops import KernelOperation, run_reference
from ares.ops.add import Add
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.conv1d import Conv1d
from ares.ops.conv2d import Conv2d
from ares.ops.conv_fp32 import ConvFp32
from ares.ops.conv_sum import ConvSum
from ares.ops.max_pool2d import MaxPool2d
from ares.ops.requantize import Requantize
from ares.ops.trunc_avg_pool2d import TruncAvgPool2d
from ares.ops.zero_pad2d import ZeroPad2d
from ares.pipeline.network import NetworkSubject
from ares.plan import Buffer, Plan, folding, plan
from ares.toolchain import build, run
from ares.verdict import Outcome
from tests.checkout import ZOO
from tests.plan.memory import check_memory
from tests.slow import one_in
from tests.toolchain.tiny_network import any_target

Array = npt.NDArray[Any]
IMAGE, SIGNAL, TOKENS = (1, 2, 5, 7), (1, 3, 11), (1, 5, 4, 3)
ZERO_POINT = 9
FRAMES = [(0, 0, 1, 1), (1, 2, 0, 0), (2, 1, 3, 4), (0, 5, 0, 5)]
"""Behind only, as TensorFlow's SAME has it for a stride of 2; in front only; all round; more than a kernel."""


def _rescale(channels: int = 1) -> Rescale:
    ratios, biases = [Fraction(1, 64)] * channels, [Fraction(3, 10)] * channels
    return plan_rescale(ratios, biases, 0, -128, 127, 2**30)


def _drawn(shape: Sequence[int], lo: int = -127, hi: int = 127) -> Array:
    raw = np.random.Philox(key=7).random_raw(int(np.prod(shape))).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


def _weight(*shape: int) -> Array:
    return frozen_array(_drawn(shape), np.int8)


def _conv2d(
    groups: int = 1,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    name: str = "layer",
) -> Conv2d:
    return Conv2d(
        *(name, ("pad",), (name,)),
        weight=_weight(4, 2 // groups, 3, 2),
        stride=stride,
        padding=(1, 0, 0, 1),
        dilation=dilation,
        groups=groups,
        rescale=_rescale(4),
    )


def _conv1d() -> Conv1d:
    return Conv1d(
        *("layer", ("pad",), ("layer",)),
        weight=_weight(2, 3, 4),
        stride=(2,),
        padding=(1, 0),
        dilation=(2,),
        groups=1,
        rescale=_rescale(2),
    )


_SUMMED: dict[str, Any] = {
    "stride": (1, 1),
    "padding": (0, 0, 1, 0),
    "dilation": (1, 1),
    "groups": 1,
    "window": (2, 3),
    "window_stride": (2, 1),
    "window_padding": (1, 0, 0, 1),
    "axis": 1,
}


def _conv_sum(**changes: Any) -> ConvSum:
    fields = {"weight": _weight(3, 2, 2, 2), "rescale": _rescale(), **_SUMMED, **changes}
    return ConvSum("layer", ("pad",), ("layer",), **fields)


def _conv_fp32() -> ConvFp32:
    return ConvFp32(
        *("layer", ("pad",), ("layer",)),
        **_SUMMED,
        weight=_weight(3, 2, 2, 2),
        scale=frozen_array([0.5, 0.25, 1.5], np.float32),
        bias_codes=frozen_array([5, -3, 0], np.int32),
        bias=frozen_array([], np.float32),
    )


def _average(kind: type[AvgPool2d] | type[TruncAvgPool2d] = AvgPool2d) -> KernelOperation:
    sizes: Any = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0, 0, 1)}
    return kind("layer", ("pad",), ("layer",), **sizes, rescale=_rescale())


def _maximum(kernel: tuple[int, int] = (3, 6), ceil_mode: bool = False) -> MaxPool2d:
    sizes: Any = {"stride": (2, 3), "padding": (0, 0, 0, 0), "dilation": (1, 1)}
    return MaxPool2d("layer", ("pad",), ("layer",), kernel=kernel, **sizes, ceil_mode=ceil_mode)


def _pad(name: str, source: str, frame: tuple[int, int, int, int]) -> ZeroPad2d:
    return ZeroPad2d(name, (source,), (name,), padding=frame)


def _codes(name: str, shape: tuple[int, ...], dtype: DType = DType.S8, lo: int = -128) -> Tensor:
    zero_point = lo if dtype is DType.U8 else ZERO_POINT
    return Tensor(name, shape, dtype, 0.5, zero_point, lo, dtype.hi)


def _graph(
    source: Tensor, operations: Sequence[KernelOperation], outputs: Sequence[str] = ("layer",)
) -> Graph:
    """Whatever is no pad makes s8 codes with zero point 0, or real values."""
    tensors = {source.name: source}
    for operation in operations:
        ((shape, dtypes),) = operation.infer([tensors[name] for name in operation.inputs])
        (name,) = operation.outputs
        kept = tensors[operation.inputs[0]]
        if isinstance(operation, ZeroPad2d | MaxPool2d):
            made = Tensor(name, shape, kept.dtype, 0.5, kept.zero_point, kept.lo, kept.hi)
        elif dtypes == (DType.F32,):
            made = Tensor(name, shape, DType.F32)
        else:
            made = Tensor(name, shape, DType.S8, 0.5, 0, -128, 127)
        tensors[name] = made
    return Graph(
        "net", tuple(tensors.values()), tuple(operations), ("x",), tuple(outputs)
    ).validate()


def _folded(planned: Plan) -> dict[str, tuple[str, ...]]:
    return {step.layer: step.folded_into for step in planned.steps if step.folded_into}


def _require_exact(graph: Graph, folded: dict[str, tuple[str, ...]]) -> Plan:
    """What is folded, and that the C makes what the reference makes with all pads in place."""
    planned = plan(graph)
    check_memory(planned)
    assert _folded(planned) == folded
    project, target = emit(planned), any_target()
    assert project.folded == tuple(FoldedLayer(*item) for item in _folded(planned).items())
    (source,) = graph.tensors_of(graph.inputs)
    codes = _drawn(source.shape, source.lo, source.hi).astype(source.dtype.numpy)
    (trace,) = run(build(project, target), project, [[codes]])
    expected = run_reference(graph, [codes])
    assert set(trace.tensors) == {
        name for operation in graph.operations for name in operation.outputs
    } - {*folded}
    for name, found in trace.tensors.items():
        assert found.tobytes() == expected[name].astype(found.dtype).tobytes(), name
    for name, output in zip(graph.outputs, trace.outputs, strict=True):
        assert output.tobytes() == expected[name].astype(output.dtype).tobytes(), name
    return planned


# --- who takes a pad over

LAYERS: dict[str, KernelOperation] = {
    "conv2d": _conv2d(),
    "conv2d with a stride": _conv2d(stride=(2, 3)),
    "conv2d with a dilation": _conv2d(dilation=(2, 1)),
    "depthwise": _conv2d(groups=2),
    "conv_fp32": _conv_fp32(),
    "conv_sum": _conv_sum(),
    "average": _average(),
    "average that cuts bits off": _average(TruncAvgPool2d),
}


@pytest.mark.parametrize("frame", one_in(2, [(frame,) for frame in FRAMES]))
@pytest.mark.parametrize("layer", LAYERS)
def test_padding_of_an_image(layer: str, frame: tuple[int, int, int, int]) -> None:
    graph = _graph(_codes("x", IMAGE), [_pad("pad", "x", frame), LAYERS[layer]])
    planned = _require_exact(graph, {"pad": ("layer",)})
    assert "pad" not in {tensor.name for tensor in planned.tensors}


@pytest.mark.parametrize("frame", [(0, 6, 0, 0), (0, 0, 0, 3), (0, 2, 0, 9)])
def test_padding_of_a_signal(frame: tuple[int, int, int, int]) -> None:
    """(kernel - 1) * dilation in front is a causal convolution."""
    graph = _graph(_codes("x", SIGNAL), [_pad("pad", "x", frame), _conv1d()])
    _require_exact(graph, {"pad": ("layer",)})


@pytest.mark.parametrize("frame", [(0, 0, 1, 1), (2, 1, 3, 4)])
def test_a_maximum_where_no_code_is_below_zero(frame: tuple[int, int, int, int]) -> None:
    """Behind a ReLU zero never wins against a code, and in every window there is one."""
    graph = _graph(_codes("x", IMAGE, DType.U8, 0), [_pad("pad", "x", frame), _maximum()])
    _require_exact(graph, {"pad": ("layer",)})


def test_the_arena_without_a_pad() -> None:
    """What is read and what is made, both of one channel so that nothing is copied: 4 x 8 and 5 x 9 bytes.

    And the scratch memory of the convolution meanwhile.
    """
    table = frozen_array(np.arange(256), np.uint8)
    conv = Conv2d(
        *("layer", ("pad",), ("layer",)),
        weight=_weight(1, 1, 2, 2),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        rescale=_rescale(),
    )
    operations = [
        Requantize("before", ("x",), ("before",), table=table),
        _pad("pad", "before", (1, 1, 1, 1)),
        conv,
        _pad("after", "layer", (1, 0, 0, 0)),
    ]
    graph = _graph(_codes("x", (1, 1, 4, 8)), operations, ("after",))
    planned = _require_exact(graph, {"pad": ("layer",)})
    (call,) = (step.call for step in planned.steps if step.layer == "layer")
    assert call is not None
    scratch = Buffer("scratch", call.scratch, 0, 0).aligned
    assert planned.arena_bytes == planned.arena_bound == 32 + 48 + scratch


def test_pads_in_a_row() -> None:
    pads = [_pad("first", "x", (1, 0, 2, 0)), _pad("pad", "first", (0, 3, 0, 1))]
    planned = _require_exact(
        _graph(_codes("x", IMAGE), [*pads, _conv2d()]), {"first": ("layer",), "pad": ("layer",)}
    )
    (step,) = (step for step in planned.steps if step.layer == "layer")
    assert step.inputs == ("x@0231",)


def test_a_pad_that_two_layers_read() -> None:
    operations = [_pad("pad", "x", (1, 1, 1, 1)), _conv2d(), _conv2d(groups=2, name="other")]
    graph = _graph(_codes("x", IMAGE), operations, ("layer", "other"))
    _require_exact(graph, {"pad": ("layer", "other")})


def test_what_is_padded_may_be_read_by_others() -> None:
    """The result of `before` is kept until the convolution has read it."""
    table = frozen_array(np.roll(np.arange(256), 3), np.uint8)
    coefficients, rescale = plan_weighted_sum(
        [Fraction(1, 2)] * 2, [0, ZERO_POINT], Fraction(0), -128, 127
    )
    operations = [
        Requantize("before", ("x",), ("before",), table=table),
        _pad("pad", "before", (1, 1, 1, 1)),
        Add("sum", ("before", "x"), ("sum",), coefficients=tuple(coefficients), rescale=rescale),
        _conv2d(),
    ]
    _require_exact(_graph(_codes("x", IMAGE), operations, ("sum", "layer")), {"pad": ("layer",)})


# --- who does not


def _requantize() -> Requantize:
    table = frozen_array(np.arange(256), np.uint8)
    return Requantize("layer", ("pad",), ("layer",), table=table)


NOT: dict[str, tuple[Tensor, list[KernelOperation], tuple[str, ...]]] = {
    "an output": (_codes("x", IMAGE), [_conv2d()], ("pad", "layer")),
    "a reader without windows": (_codes("x", IMAGE), [_requantize()], ("layer",)),
    "one reader of two": (
        _codes("x", IMAGE),
        [_requantize(), _conv2d(name="other")],
        ("layer", "other"),
    ),
    "a maximum over codes below zero": (_codes("x", IMAGE), [_maximum()], ("layer",)),
    "a maximum rounded up": (
        _codes("x", (1, 2, 5, 8), DType.U8, 0),
        [_maximum((1, 2), ceil_mode=True)],
        ("layer",),
    ),
    "channels behind": (
        _codes("x", TOKENS),
        [_conv_sum(axis=3, weight=_weight(3, 6, 2, 2))],
        ("layer",),
    ),
}


@pytest.mark.parametrize("reason", NOT)
def test_a_pad_stays(reason: str) -> None:
    """(0, 1, 0, 2): two columns behind, one in front."""
    source, operations, outputs = NOT[reason]
    _require_exact(_graph(source, [_pad("pad", "x", (0, 1, 0, 2)), *operations], outputs), {})


def test_a_maximum_of_nothing_but_the_frame_stays() -> None:
    source = _codes("x", IMAGE, DType.U8, 0)
    _require_exact(_graph(source, [_pad("pad", "x", (6, 0, 0, 0)), _maximum()]), {})


def test_a_frame_around_channels_stays() -> None:
    layer = Conv1d(
        *("layer", ("pad",), ("layer",)),
        weight=_weight(2, 5, 4),
        stride=(1,),
        padding=(0, 0),
        dilation=(1,),
        groups=1,
        rescale=_rescale(2),
    )
    _require_exact(_graph(_codes("x", SIGNAL), [_pad("pad", "x", (1, 0, 1, 0)), layer]), {})


# --- whether it is seen

NETWORK = "test_37_zeropad2d"


def test_a_folded_layer_is_named() -> None:
    subject = NetworkSubject(ZOO.paths(NETWORK))
    assert subject.project.folded == (
        FoldedLayer("conv1.0", ("conv1.1",)),
        FoldedLayer("conv2.0", ("conv2.1",)),
    )
    verdict = subject.target(any_target())
    assert verdict.outcome is Outcome.PASS
    assert verdict.message == "3 cases, 7 layers each, 2 folded into others"
    source = subject.project.files[f"{NETWORK}.c"].decode()
    assert '{OP_ZEROPAD2D, "conv1.0", NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, NULL, 0}' in source
    assert "/* folded into conv1.1 */" in source


def test_a_wrong_padding_is_seen_in_the_layer_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """In front and behind exchanged: as many windows, and every shape is right."""
    right = folding._along_windows

    def mirrored(pad: ZeroPad2d, source: Tensor) -> tuple[int, ...] | None:
        frame = right(pad, source)
        return None if frame is None else (*frame[2:], *frame[:2])

    monkeypatch.setattr(folding, "_along_windows", mirrored)
    subject = NetworkSubject(ZOO.paths(NETWORK))
    verdict = subject.target(any_target())
    assert verdict.outcome is Outcome.FAIL
    assert verdict.layer == "conv1.1"
    assert "conv1.1 (OP_CONV2D): tensor conv1.1 differs from the golden" in verdict.message
