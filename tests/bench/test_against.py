"""Other runtimes, where they are installed (extra `bench`): they compute our network, in turns with us."""

from __future__ import annotations

import numpy as np
import pytest

from ares.bench.against import RUNTIMES, absent
from ares.bench.against.turns import compared
from ares.bench.measuring import build_bench, cost_of
from ares.bench.record import Cost
from ares.pipeline.network import NetworkSubject
from tests.checkout import ZOO
from tests.toolchain.tiny_network import any_target

NETWORKS = ("test_4_resnet_basic", "test_53_mlperf_mobilenet", "test_55_mlperf_autoencoder")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_computes_our_network(
    runtime: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ares.bench.against.turns._TURNS", 2)
    reason = absent(runtime)
    if reason is not None:
        pytest.skip(reason)
    bench = build_bench(NetworkSubject(ZOO.paths(network)), any_target())
    cost = compared(bench, cost_of(bench, 0.05), [runtime], 0.2)
    (found,) = cost.against
    assert (found.runtime, found.version[0].isdigit()) == (runtime, True)
    # Half a code of its own last rounding is certain; of another topology it would be dozens. On processors without
    # VNNI pairs of products saturate at 16 bits there (docs/runtimes.md), which has cost nine codes.
    assert 0.0 < found.largest_difference < 20.0
    assert found.ratio.low <= found.ratio.median <= found.ratio.high
    assert 0.0 < found.call < found.theirs.median
    assert Cost.from_json(cost.as_json()) == cost


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        # By TensorFlow's own rule, worked out by hand.
        (32, 3, 1, (1, 1)),
        (96, 3, 2, (0, 1)),
        (49, 10, 2, (4, 5)),
        (10, 4, 2, (1, 1)),
        (5, 1, 2, (0, 0)),
    ],
)
def test_same_is_what_tensorflow_pads(
    size: int, kernel: int, stride: int, padding: tuple[int, int]
) -> None:
    if absent("litert") is not None:
        pytest.skip(str(absent("litert")))
    from ares.bench.against.litert_model import _same
    from ares.bench.against.topology import Node

    node = Node("conv", "", ("x",), "y", kernel=(kernel, 1), stride=(stride, 1))
    top, left, bottom, right = _same(node, (1, 1, size, 1))
    assert ((top, bottom), (left, right)) == (padding, (0, 0))


def test_what_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert absent("openvino") == (
        "the Python package openvino is not installed (pip install 'ares-codegen[bench]')"
    )
    assert np.all([absent(runtime) for runtime in RUNTIMES])
