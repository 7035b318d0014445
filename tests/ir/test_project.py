"""Records of the generated C: what lies in its files, byte by byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ares.ir import DType, Port, TracePoint

VALUES: dict[str, tuple[list[Any], bytes]] = {
    "s8": ([-128, 127], b"\x80\x7f"),
    "u8": ([255, 1], b"\xff\x01"),
    "s16": ([-2, 258], b"\xfe\xff\x02\x01"),
    "s32": ([-2, 0x01020304], b"\xfe\xff\xff\xff\x04\x03\x02\x01"),
    "f32": ([-0.0, 1.5], b"\x00\x00\x00\x80\x00\x00\xc0\x3f"),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("order", "<>")
def test_a_port_is_little_endian_whatever_the_array_is(kind: str, order: str) -> None:
    values, data = VALUES[kind]
    port = Port("x", DType(kind), (1, 2))
    array = np.array([values], port.dtype.numpy.newbyteorder(order))
    assert port.to_bytes(array) == data
    back = port.from_bytes(data)
    assert back.dtype == port.dtype.numpy
    assert back.dtype.isnative
    assert back.shape == (1, 2)
    assert back.tobytes() == array.astype(port.dtype.numpy).tobytes()
    back[0, 0] = 0  # the caller's own


def test_a_port_takes_memory_in_any_order() -> None:
    port = Port("x", DType.S8, (2, 3))
    array = np.arange(6, dtype=np.int64).reshape(3, 2).T
    assert not array.flags.c_contiguous
    assert port.to_bytes(array) == bytes([0, 2, 4, 1, 3, 5])


def test_a_tensor_lies_in_the_order_of_its_layout() -> None:
    point = TracePoint(0, "conv", "OP_CONV2D", "y", DType.S16, (1, 2, 1, 3), (0, 2, 3, 1))
    array = np.arange(6, dtype=np.int16).reshape(point.shape)
    data = point.to_memory(array)
    assert data == bytes([0, 0, 3, 0, 1, 0, 4, 0, 2, 0, 5, 0])
    back = point.to_logical(data)
    assert back.dtype == np.int16
    assert np.array_equal(back, array)
